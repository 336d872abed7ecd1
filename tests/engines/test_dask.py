"""The same bits on Dask: threads, processes and a cluster of one machine."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from clusters import AGEING, DAMAGES, NUMBERS, SCALERS, check_job, in_order, rows, write_damaged, write_folder

import streamnorm as sn
from streamnorm.errors import DataError, OutputError, StreamnormError
from streamnorm.formats.csv import pieces
from streamnorm.formats.options import CsvOptions

dask = pytest.importorskip("dask", reason="needs the extra 'dask'")
dd = pytest.importorskip("dask.dataframe", reason="needs the extra 'dask'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("many"), [rows(700, 0), rows(0, 1), rows(500, 2), rows(1, 3)])


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's own doings
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.fixture(
    params=[
        "threads",
        pytest.param("processes", marks=pytest.mark.slow),
        pytest.param("cluster", marks=pytest.mark.slow),
    ]
)
def scheduler(request):
    """Set Dask to a scheduler; the test that follows runs on it."""
    chosen = request.getfixturevalue("cluster") if request.param == "cluster" else request.param
    with dask.config.set(scheduler=chosen, num_workers=2):
        yield request.param


@pytest.mark.parametrize("values", [[None, None], ["x", "y"], [700.0, 702.0]], ids=str)
def test_columns_of_nulls_are_remembered(values):
    blank = pd.DataFrame({"a": [1.0, 3.0], "b": pd.Series([None, None], dtype=object)})
    given = pd.DataFrame({"a": [1.0, 3.0], "b": values})
    with dask.config.set({"scheduler": "threads", "dataframe.convert-string": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a column without a value
        fitted = sn.dask.fit(dd.from_pandas(blank, npartitions=1))
        assert fitted.learnt.types["b"] == "null"
        found = sn.dask.transform(fitted, dd.from_pandas(given, npartitions=1)).compute()
        wanted = sn.TableNormalizer().fit(blank).transform(given)
    pd.testing.assert_frame_equal(found, wanted)


def frame_of(folder):
    """Give a frame with a partition for each file, where `read_parquet` would put small ones together."""
    return dd.from_map(
        pd.read_parquet, sorted(folder.glob("*.parquet")), columns=["id", "price", "far", "count", "single"]
    )


@pytest.mark.parametrize("scaler", SCALERS)
def test_the_state_and_the_files_are_those_of_one_machine(scheduler, folder, tmp_path, scaler):
    normalizer = sn.TableNormalizer(scaler)
    local, fitted = sn.fit(folder, normalizer), sn.dask.fit(folder, normalizer)
    assert fitted == local
    assert fitted.digest() == local.digest()
    written = sn.dask.transform(fitted, folder, tmp_path / "dask")
    sn.transform(local, folder, tmp_path / "local")
    assert [path.name for path in written] == [f"part{i}.parquet" for i in range(4)]
    for path in written:
        result, expected = pq.read_table(path), pq.read_table(tmp_path / "local" / path.name)
        assert result.schema.equals(expected.schema, check_metadata=True)
        assert in_order(result) == in_order(expected)


def test_keys(scheduler, monkeypatch, folder, tmp_path):
    normalizer = sn.TableNormalizer(columns={"far": "robust"}, exclude=["count"], by=["small", "day"], min_count=5)
    monkeypatch.setattr("streamnorm.engines.dask._TASK_BYTES", 20_000)
    local, fitted = sn.fit(folder, normalizer), sn.dask.fit(folder, normalizer)
    assert fitted == local
    assert fitted.digest() == local.digest()
    for path in sn.dask.transform(fitted, folder, tmp_path / "dask"):
        assert in_order(pq.read_table(path)) == in_order(local.transform(pq.read_table(folder / path.name)))
    frame = frame_of(folder).assign(shop=lambda part: part["id"].str[-1])
    by_shop = sn.dask.fit(frame, sn.TableNormalizer(by="shop"))
    assert by_shop == sn.TableNormalizer(by="shop").fit(frame.compute())
    assert sn.dask.transform(by_shop, frame).compute().equals(by_shop.transform(frame.compute()))


@pytest.mark.parametrize("kind", AGEING)
def test_rows_that_age(scheduler, monkeypatch, folder, tmp_path, kind):
    monkeypatch.setattr("streamnorm.engines.dask._TASK_BYTES", 20_000)
    local, fitted = sn.fit(folder, AGEING[kind]), sn.dask.fit(folder, AGEING[kind])
    assert fitted == local
    assert fitted.digest() == local.digest()
    for path in sn.dask.transform(fitted, folder, tmp_path / "dask"):
        assert in_order(pq.read_table(path)) == in_order(local.transform(pq.read_table(folder / path.name)))
    columns = ["id", "price", "far", "small", "when", "day"]
    frame = dd.from_map(pd.read_parquet, sorted(folder.glob("*.parquet")), columns=columns)
    of_frame = sn.dask.fit(frame, AGEING[kind])
    one = AGEING[kind] if isinstance(AGEING[kind], sn.TableNormalizer) else sn.TableNormalizer(AGEING[kind])
    assert of_frame == one.fit(frame.compute())
    assert sn.dask.transform(of_frame, frame).compute().equals(one.transform(frame.compute()))
    lacking = frame.map_partitions(lambda part: part.assign(when=part["when"].where(part["id"] != "2-00300")))
    if kind == "instants":
        with pytest.raises(DataError, match=r"^partition 2: column 'when', row 300 of the batch: there is no time"):
            sn.dask.fit(lacking, AGEING[kind])


def test_vectors_by_key(scheduler, tmp_path):
    rng = np.random.default_rng(4)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=1200)), 3)
    table = pa.table({"episode": rng.integers(0, 5, 400), "action": vectors})
    pq.write_table(table, tmp_path / "episodes.parquet", row_group_size=70)
    normalizer = sn.TableNormalizer("robust", by="episode", profile=True)
    fitted = sn.dask.fit(tmp_path / "episodes.parquet", normalizer)
    assert fitted == normalizer.fit(table)
    assert fitted.without(3) == normalizer.without(3)


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_data_frame_is_as_one_of_pandas(folder, scaler):
    check_frame(frame_of(folder), scaler)


@pytest.mark.slow
def test_a_data_frame_on_other_schedulers(scheduler, folder):
    check_frame(frame_of(folder).repartition(npartitions=3), "standard")


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's, of pandas 3.1
def test_a_data_frame_of_files_is_as_the_files(folder):
    frame = dd.read_parquet(folder, dtype_backend="pyarrow")
    assert sn.dask.fit(frame[["price", "far", "count"]]) == sn.TableNormalizer().fit(
        pq.read_table(folder, columns=["price", "far", "count"])
    )


def check_frame(frame, scaler):
    whole = frame.compute()
    fitted = sn.dask.fit(frame, sn.TableNormalizer(scaler))
    assert fitted.digest() == sn.TableNormalizer(scaler).fit(whole).digest()
    there = sn.dask.transform(fitted, frame)
    assert there.dtypes.equals(there.compute().dtypes)
    assert there.compute().equals(fitted.transform(whole))
    back = sn.dask.transform(fitted, there, inverse=True)
    assert back.compute().equals(fitted.inverse_transform(fitted.transform(whole)))


def test_no_cut_and_no_tree_changes_a_bit(monkeypatch, folder):
    expected = sn.fit(folder).digest()
    for task_bytes, fan_in in ((1, 2), (20_000, 3), (1 << 30, 16)):
        monkeypatch.setattr("streamnorm.engines.dask._TASK_BYTES", task_bytes)
        monkeypatch.setattr("streamnorm.engines.dask._FAN_IN", fan_in)
        assert sn.dask.fit(folder).digest() == expected


def test_large_files_are_cut_by_row_groups(monkeypatch, folder):
    from streamnorm.engines.dask import _units
    from streamnorm.inputs.expand import expand

    (source,) = expand(folder / "part0.parquet")  # of four row groups
    monkeypatch.setattr("streamnorm.engines.dask._TASK_BYTES", source.size // 2 + 1)
    assert [units for _, units in _units([source])] == [range(2), range(2, 4)]


def test_bounds_of_integers_are_taken_from_footers(monkeypatch, folder):
    normalizer = sn.TableNormalizer("minmax", exclude=["price", "far", "single"])
    expected = sn.fit(folder, normalizer).digest()
    monkeypatch.setattr("streamnorm.formats.parquet.source.ParquetSource.read", None)
    assert sn.dask.fit(folder, normalizer).digest() == expected


def test_csv_files_are_transformed_as_those_of_the_state_were_written(tmp_path):
    (tmp_path / "a.csv").write_text("x;y\n1,5;a\n-200;b\n2,5;c\n")
    options = CsvOptions(delimiter=";", decimal=",", null_values=("-200",))
    sn.fit(tmp_path / "a.csv", state=tmp_path / "s.json", options=options)
    sn.dask.transform(sn.load(tmp_path / "s.json"), tmp_path / "a.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "x;y\n-1;a\n-200;b\n1;c\n"


def test_csv_and_choices_are_as_in_local_jobs(tmp_path):
    for number in range(3):
        pv.write_csv(rows(50, number).select(["id", "price", "small"]), tmp_path / f"{number}.csv")
    normalizer = sn.TableNormalizer(None, {"price": "robust", "small": sn.MinMaxScaler((-1, 1))})
    fitted = sn.dask.fit(tmp_path, normalizer)
    assert fitted.digest() == sn.fit(tmp_path, normalizer).digest()
    sn.dask.transform(fitted, tmp_path, tmp_path.parent / "out")
    sn.transform(fitted, tmp_path, tmp_path.parent / "local")
    for number in range(3):
        name = f"{number}.csv"
        assert (tmp_path.parent / "out" / name).read_bytes() == (tmp_path.parent / "local" / name).read_bytes()


def test_columns_of_csv_are_decided_by_all_their_values(tmp_path, scheduler, caplog, monkeypatch):
    monkeypatch.setattr(pieces, "_FIRST", 64)
    (tmp_path / "0.csv").write_text("zip,n,t\n" + "10501,1,2\n" * 50 + "00501,2,x\n" + "10501,3.5,4\n")
    (tmp_path / "1.csv").write_text("zip,n,t\n1,7,8\n")
    with caplog.at_level("INFO", "streamnorm"):
        local = sn.fit(tmp_path)
        told = [record.getMessage() for record in caplog.records]
        caplog.clear()
        fitted = sn.dask.fit(tmp_path)
        assert [record.getMessage() for record in caplog.records] == told
    assert fitted.digest() == local.digest()
    assert fitted.learnt.types == local.learnt.types == {"n": "double"}
    with pytest.raises(DataError, match=r"0\.csv: column 't', row 51: expected a number"):
        sn.dask.fit(tmp_path, sn.TableNormalizer(None, {"t": "standard"}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_told_as_by_a_local_job(scheduler, tmp_path, damage):
    folder, output = tmp_path / "in", tmp_path / "dask"
    folder.mkdir()
    write_damaged(folder, damage)
    strict = sn.TableNormalizer().fit(rows(300, 0))
    named = sn.TableNormalizer(None, dict.fromkeys(NUMBERS, "standard"))
    for local, job in (
        (lambda: sn.fit(folder, named), lambda: sn.dask.fit(folder, named)),
        (lambda: sn.transform(strict, folder, tmp_path / "local"), lambda: sn.dask.transform(strict, folder, output)),
    ):
        with pytest.raises(StreamnormError, match=r"part1\.parquet") as expected:
            local()
        with pytest.raises(type(expected.value)) as error:
            job()
        assert str(error.value) == str(expected.value)
    assert not (output / "part1.parquet").exists()


@pytest.mark.parametrize("damage", ["infinity", "text"])
def test_a_bad_partition_is_told_with_its_number_and_row(scheduler, tmp_path, damage):
    wrong = {
        "infinity": "there is an infinity in column 'far', row 311: make infinities missing values, or skip them "
        "(--infinite skip, infinite='skip').",
        "text": "column 'price' holds large_string, not numbers: leave it out, or cast it to a number before.",
    }[damage]
    frame = dd.from_map(
        pd.read_parquet, sorted(write_damaged(tmp_path, damage).glob("*")), columns=["price", "far"],
        meta=rows(0, 0).select(["price", "far"]).to_pandas(),
    )  # fmt: skip
    strict = sn.TableNormalizer().fit(rows(300, 0).select(["price", "far"]))
    for job in (lambda: sn.dask.fit(frame), lambda: sn.dask.transform(strict, frame).compute()):
        with pytest.raises(DataError) as error:
            job()
        assert str(error.value) == f"partition 1: {wrong}"


def test_a_key_that_is_new_is_told_with_its_partition_and_row(scheduler):
    frame = dd.from_pandas(pd.DataFrame({"shop": list("aabbac"), "x": range(6)}), npartitions=2)
    strict = sn.TableNormalizer(by="shop", unseen="error").fit(frame.compute()[:5])
    with pytest.raises(DataError, match=r"^partition 1: key 'c' in row 3 was not seen in the fit"):
        sn.dask.transform(strict, frame).compute()


def test_partitions_without_rows_and_frames_without_rows(folder):
    frame = frame_of(folder)
    few = frame[frame["id"] == "0-00003"]
    assert sn.dask.fit(few) == sn.TableNormalizer().fit(few.compute())
    none = frame[frame["id"] == "no such"]
    fitted = sn.dask.fit(none)
    assert fitted == sn.TableNormalizer().fit(none.compute())
    with pytest.warns(UserWarning, match="no value of column 'price'"):
        assert len(sn.dask.transform(fitted, none)) == 0


@pytest.mark.slow
def test_a_task_whose_worker_dies_counts_once(cluster, folder, tmp_path):
    mark = tmp_path / "was here"

    def die_once(part):
        import os

        if len(part) == 500 and not mark.exists():
            mark.touch()
            os._exit(1)
        return part

    frame = frame_of(folder).map_partitions(die_once)
    with dask.config.set(scheduler=cluster):
        fitted = sn.dask.fit(frame)
    assert mark.exists()
    assert fitted.digest() == sn.TableNormalizer().fit(frame_of(folder).compute()).digest()


def test_what_does_not_fit_is_told_before_anything_runs(folder, tmp_path):
    with pytest.raises(DataError, match="did you mean 'price'"):
        sn.dask.fit(folder, sn.TableNormalizer(columns={"prise": "robust"}))
    fitted = sn.fit(folder)
    with pytest.raises(DataError, match="column 'small' is missing here"):
        sn.dask.transform(fitted, frame_of(folder))
    with pytest.raises(DataError, match="say where"):
        sn.dask.transform(fitted, folder)
    with pytest.raises(DataError, match="a data frame has no output"):
        sn.dask.transform(fitted, frame_of(folder), tmp_path / "out")
    with pytest.raises(OutputError, match="is an input"):
        sn.dask.transform(fitted, folder, folder)


@pytest.mark.slow
def test_the_job_to_copy(folder, tmp_path):
    check_job("dask_etl.py", folder, tmp_path)
