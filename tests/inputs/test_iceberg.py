"""Iceberg tables: a snapshot is what pyiceberg's own reader gives, whatever deletes its rows or renames its columns."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from icebergs import IceWalk, append_file, catalog_in, delete_by_vector, delete_rows, rewrite
from lakes import rows_of
from pyiceberg.manifest import FileFormat
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, SourceError
from streamnorm.inputs import log_path

NAME = "iceberg:c/ns.t"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Let pyiceberg's own configuration name a catalog in this folder."""
    from pyiceberg import catalog
    from pyiceberg.utils.config import Config

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYICEBERG_CATALOG__C__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__C__URI", f"sqlite:///{tmp_path}/c.db")
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    yield
    monkeypatch.undo()


def x(*values: float | None) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.float64())})


def made(rows: pa.Table, **more):
    table = catalog_in(Path.cwd()).create_table("ns.t", schema=rows.schema, **more)
    table.append(rows)
    return table


def update(table, state: str = "s.json", **more):
    """Bring a state to the current snapshot, and compare it with what pyiceberg reads."""
    fitted = sn.fit(NAME, state=state, update=Path(state).exists(), **more)
    columns = dict.fromkeys(fitted.learnt.types, "standard")
    assert fitted == sn.TableNormalizer(None, columns, by=fitted.by).fit(table.refresh().scan().to_arrow())
    return fitted


def test_a_table_is_followed_by_its_name_or_as_an_object(capsys):
    table = made(x(1, 2, 3))
    first = table.current_snapshot()
    done = streamnorm(capsys, "fit", NAME, "--state", "s.json")
    assert (done.code, done.err) == (0, f"s.json: version {first.snapshot_id}, 1 column, 1 file, 3 rows\n")
    table.append(x(4))
    table.delete("x = 2")
    done = streamnorm(capsys, "fit", NAME, "--state", "s.json", "--update")
    assert "2 files added, 1 taken out, 0 only rearranged; in all 1 column, 2 files, 3 rows" in done.err
    assert sn.load("s.json") == sn.TableNormalizer().fit(x(1, 3, 4)) == sn.fit(table)
    assert streamnorm(capsys, "verify", "s.json", NAME).code == 0
    old = sn.fit(NAME, version=first.snapshot_id, state="old.json")
    assert old == sn.TableNormalizer().fit(x(1, 2, 3))
    now = datetime.datetime.fromtimestamp(first.timestamp_ms / 1000, datetime.UTC)
    assert sn.fit(NAME, as_of=now.isoformat()) == old
    assert sn.fit(table, version=first.snapshot_id, state="old.json", update=True) == old
    assert streamnorm(capsys, "transform", "s.json", NAME, "--output", "out").code == 0
    found = pa.concat_tables(pq.read_table(path) for path in Path("out").rglob("*.parquet"))
    assert sorted(found.column("x").to_pylist()) == sn.load("s.json").transform(x(1, 3, 4)).column("x").to_pylist()
    with pytest.raises(SourceError, match=r"iceberg:c/ns\.t has no snapshot 7: name one that it has"):
        sn.fit(NAME, version=7)


def test_what_cannot_be_found_is_named():
    made(x(1))
    for name, words in (
        ("iceberg:c", "iceberg:c names no table: name it as iceberg:CATALOG/NAMESPACE.TABLE"),
        ("iceberg:c/ns.u", "iceberg:c/ns.u cannot be read as an Iceberg table: Table does not exist: ns.u"),
        ("iceberg:d/ns.t", "iceberg:d/ns.t cannot be read as an Iceberg table: .*PYICEBERG_CATALOG__D__URI"),
    ):
        with pytest.raises(SourceError, match=words):
            sn.fit(name)
    with pytest.raises(SourceError, match=r"is an Iceberg table: .* name it alone, and by its catalog"):
        sn.fit(Path.cwd() / "warehouse" / "ns" / "t")


def test_rows_that_are_deleted_by_their_positions(monkeypatch):
    table = made(x(1, 2, 3, 4))
    update(table)
    table.append(x(5, 6))
    paths = [task.file.file_path for task in table.scan().plan_files()]
    update(table)
    for path in paths:
        delete_rows(table, {path: [1]})
        fitted = update(table)
    assert fitted.sources_[0].rows == 4
    delete_rows(table, {paths[0]: [0, 1], paths[1]: [0]})
    update(table)
    sn.fit(NAME, sn.RobustScaler(), state="r.json")
    rewrite(table.refresh())
    read = []
    monkeypatch.setattr("streamnorm.jobs.following.fit_state", lambda *given, **more: read.append(given))
    update(table)
    assert sn.fit(NAME, state="r.json", update=True) == sn.TableNormalizer("robust").fit(table.scan().to_arrow())
    assert read == []


def test_deletes_by_value_are_refused():
    table = made(x(1, 2, 3))
    update(table)
    before = Path("s.json").read_bytes()
    (task,) = table.scan().plan_files()
    delete_rows(table, {task.file.file_path: [0]}, equal=1)
    with pytest.raises(SourceError, match=r"cannot be read as an Iceberg table: .*equality deletes"):
        sn.fit(NAME, state="s.json", update=True)
    assert Path("s.json").read_bytes() == before


AVRO, ENCRYPTED = {"file_format": FileFormat.AVRO}, {"key_metadata": b"key"}


@pytest.mark.parametrize(("words", "more"), [("is written as AVRO", AVRO), ("is encrypted", ENCRYPTED)])
def test_files_that_are_no_plain_parquet_are_refused(words, more):
    table = made(x(1, 2, 3))
    update(table)
    append_file(table, x(4), **more)
    before = Path("s.json").read_bytes()
    with pytest.raises(SourceError, match=rf"\.parquet {words}, which is not read: write the table as plain Parquet"):
        sn.fit(NAME, state="s.json", update=True)
    assert Path("s.json").read_bytes() == before


def test_rows_that_are_deleted_by_a_vector():
    table = made(x(1, 2, 3, 4, 5))
    update(table)
    (task,) = table.scan().plan_files()
    delete_by_vector(table, task.file.file_path, [1, 3])
    assert update(table).sources_[0].rows == 3


def test_a_column_of_a_partition_that_stands_in_no_file():
    rows = pa.table({"x": [1.0, 2.0], "day": pa.array([1, 1], pa.int32()).cast(pa.date32())})
    table = catalog_in(Path.cwd()).create_table("ns.t", schema=rows.schema)
    with table.update_spec() as spec:
        spec.add_identity("day")
    table.refresh().append(rows)
    append_file(table.refresh(), x(7, 8, 9), Record(20))
    update(table, normalizer=sn.TableNormalizer(None, {"x": "standard"}, by="day"))
    assert len(sn.load("s.json").learnt.keyed.keys) == 2


def test_columns_are_known_by_their_ids(caplog):
    table = made(x(1, 2))
    update(table)
    with table.update_schema() as schema:
        schema.rename_column("x", "y")
    with caplog.at_level("INFO"):
        assert set(update(table).learnt.types) == {"y"}
    assert "have other names now: all its files are counted again" in caplog.text
    with table.refresh().update_schema() as schema:
        schema.add_column("x", DoubleType())
    table.refresh().append(pa.table({"y": [3.0], "x": [7.0]}))
    assert set(update(table).learnt.types) == {"y"}
    assert sn.fit(NAME) == sn.TableNormalizer().fit(table.scan().to_arrow())
    with table.update_schema() as schema:
        schema.delete_column("y")
    with table.update_schema() as schema:
        schema.add_column("y", DoubleType())
    with pytest.raises(DataError, match=r"has dropped column 'y', which was counted, by version \d+; another one has"):
        sn.fit(NAME, state="s.json", update=True)
    assert sn.fit(NAME) == sn.TableNormalizer().fit(table.refresh().scan().to_arrow())


def test_columns_that_were_widened_have_one_type_in_copies():
    numbers = {
        "n": pa.array([1, 2], pa.int32()),
        "f": pa.array([1.5, 2.1], pa.float32()),
        "g": pa.array([0.3, 2.1], pa.float32()),
    }
    table = made(pa.table({"x": [1.0, 2.0], **numbers}))
    sn.fit(NAME, sn.TableNormalizer(None, {"x": "standard", "g": "standard"}), state="s.json")
    sn.transform("s.json", NAME, "z", update=True)
    with table.update_schema() as schema:
        schema.update_column("n", LongType())
        for name in "fg":
            schema.update_column(name, DoubleType())
    table.append(pa.table({"x": [3.0], "n": [2**40], "f": [0.1], "g": [0.1]}))
    update(table)
    expected = sn.load("s.json").transform(table.refresh().scan().to_arrow())
    for written in (sn.transform("s.json", NAME, "out"), sn.transform("s.json", NAME, "z", update=True)):
        found = pa.concat_tables(pq.read_table(path) for path in written)
        assert found.sort_by("x").cast(expected.schema).equals(expected.sort_by("x"))
        assert [found.schema.field(name).type for name in "nfg"] == [pa.int64(), pa.float64(), pa.float64()]
    assert rows_of("z").schema.types == expected.schema.types


def test_files_without_ids_and_without_the_column_of_their_partition():
    table = made(pa.table({"x": [1.0], "p": pa.array([1], pa.int32())}))
    with table.update_spec() as spec:
        spec.add_field("p", IdentityTransform(), "p")
    pq.write_table(pa.table({"x": [2.0, 3.0], "p": pa.array([7, 7], pa.int32())}), "a.parquet")
    table.refresh().add_files([f"file://{Path.cwd()}/a.parquet"])
    update(table)
    fitted = update(table, state="by.json", normalizer=sn.TableNormalizer(None, {"x": "standard"}, by="p"))
    assert len(fitted.learnt.keyed.keys) == 2


def test_an_empty_table_and_another_one_at_its_place():
    catalog = catalog_in(Path.cwd())
    table = catalog.create_table("ns.t", schema=x(1).schema)
    assert update(table).sources_[0].rows == 0
    table.append(x(1, 2))
    update(table)
    table.delete()
    update(table)
    catalog.drop_table("ns.t")
    made(x(5))
    with pytest.raises(DataError, match=r"is another table than the one that was counted"):
        sn.fit(NAME, state="s.json", update=True)


def test_a_file_that_is_gone_for_good_is_named():
    table = made(x(1, 2))
    update(table)
    table.append(x(3))
    for task in table.scan().plan_files():
        if task.file.record_count == 1:
            Path(task.file.file_path.removeprefix("file://")).unlink()
    with pytest.raises(SourceError, match=r"\.parquet is in version \d+ of iceberg:c/ns\.t and is not there"):
        sn.fit(NAME, state="s.json", update=True)


def test_paths_that_hold_what_marks_deleted_rows():
    paths = ["k=a#1/f.parquet", "k=a#2/f.parquet", "k=a#0123456789abcdef/f.parquet"]
    assert [log_path(path) for path in paths] == paths == [log_path(f"{path}#0123456789abcdef") for path in paths]


def test_a_file_that_is_listed_twice_is_refused():
    table = made(x(1))
    pq.write_table(x(2, 3), "a.parquet")
    table.add_files([f"file://{Path.cwd()}/a.parquet"])
    update(table)
    before = Path("s.json").read_bytes()
    table.add_files([f"file://{Path.cwd()}/a.parquet"], check_duplicate_files=False)
    with pytest.raises(SourceError, match=r"iceberg:c/ns\.t lists file:.*/a\.parquet more than once"):
        sn.fit(NAME, state="s.json", update=True)
    assert Path("s.json").read_bytes() == before


def test_what_happened_in_between_need_not_be_told():
    table = made(x(1, 2))
    update(table)
    table.append(x(3))
    between = table.current_snapshot().manifest_list
    table.append(x(4))
    Path(between.removeprefix("file://")).unlink()
    update(table)


KINDS = {
    "standard": {},
    "minmax": {"default": "minmax"},
    "maxabs": {"default": "maxabs"},
    "robust": {"default": sn.RobustScaler(max_bins=16)},
    "quantile": {"default": sn.QuantileTransformer(max_bins=16)},
    "profile": {"profile": True},
    "robust by": {"default": sn.RobustScaler(max_bins=8), "by": ["p", "k"]},
}


def walk(path: Path, seed: int, steps: int, kinds: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyiceberg's, of deletes that match nothing
        walked = IceWalk(path, seed)
        for kind in kinds:
            sn.fit(NAME, sn.TableNormalizer(**KINDS[kind]), state=path / f"{kind}.json")
        for step in range(steps):
            what = walked.step()
            rows = walked.rows()
            for kind in kinds:
                fitted = sn.fit(NAME, state=path / f"{kind}.json", update=True)
                assert fitted.digest() == sn.TableNormalizer(**KINDS[kind]).fit(rows).digest(), (seed, step, what, kind)
        assert sn.fit(walked.table, sn.TableNormalizer(**KINDS[kinds[0]])) == sn.load(path / f"{kinds[0]}.json")


@pytest.mark.parametrize("seed", range(2))
def test_a_random_walk_ends_in_a_fresh_fit_of_every_snapshot(tmp_path, seed):
    walk(tmp_path, seed, 6, ["standard", "robust by"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_long_random_walk_ends_in_a_fresh_fit_of_every_snapshot(tmp_path, seed):
    walk(tmp_path, seed, 50, list(KINDS))
