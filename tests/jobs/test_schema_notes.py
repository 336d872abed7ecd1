"""Files of one job whose schemas differ: they count as one, and one line says so."""

from __future__ import annotations

import itertools
import logging

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn


def write(path, **columns):
    pq.write_table(pa.table(columns), path)


def column(values, kind):
    return pa.array(values, kind)


@pytest.fixture
def notes(capsys, tmp_path):
    """Fit what lies in the folder, and give the lines that begin with "note:"."""

    def of(*words):
        done = streamnorm(capsys, "fit", tmp_path, "--state", tmp_path.parent / "state.json", "--overwrite", *words)
        assert (done.code, done.out) == (0, "")
        return [line.replace(f"{tmp_path}/", "") for line in done.err.splitlines() if line.startswith("note:")]

    return of


def test_another_width_is_told(tmp_path, notes):
    write(tmp_path / "a.parquet", x=column([1, 2], pa.int64()), y=[1.0, 2.0])
    write(tmp_path / "b.parquet", x=column([3, 4], pa.int32()), y=[1.0, 2.0])
    assert notes() == [
        "note: b.parquet has column 'x' as int32 where a.parquet has int64: read as numbers all the same"
    ]
    assert notes("--quiet") == []


def test_a_kind_of_difference_is_told_once_with_its_count(tmp_path, notes):
    write(tmp_path / "a.parquet", x=column([1], pa.int64()), y=column([1], pa.int64()))
    for i in range(20):
        write(tmp_path / f"b{i:02}.parquet", x=column([i], pa.int32()), y=column([1], pa.int32()))
    write(tmp_path / "c.parquet", x=column([1], pa.int64()), y=[0.5])
    assert notes() == [
        "note: b00.parquet has column 'x' as int32 where a.parquet has int64 (so it is with 2 columns in 20 files): "
        "read as numbers all the same",
        "note: c.parquet has column 'y' as double where a.parquet has int64: read as numbers all the same",
    ]


def test_another_order_is_told(tmp_path, notes):
    write(tmp_path / "a.parquet", x=[1.0], text=["a"], y=[1.0])
    write(tmp_path / "b.parquet", y=[1.0], x=[1.0], text=["a"])
    write(tmp_path / "c.parquet", text=["a"], y=[1.0], x=[1.0])
    write(tmp_path / "d.parquet", text=["the order of what is not learnt from is nobody's business"], x=[1.0], y=[1.0])
    assert notes() == [
        "note: b.parquet has its columns in another order than a.parquet (so it is with 2 files): they go by their "
        "names"
    ]


def test_files_alike_and_types_that_a_csv_file_only_seems_to_have_are_not_told(tmp_path, notes):
    for name in ("a.csv", "b.parquet", "c.parquet"):
        if name.endswith("csv"):
            (tmp_path / name).write_text("x,y\n1,2\n")
        else:
            write(tmp_path / name, x=[1.0], y=[float(len(name))], text=[name])
    (tmp_path / "d.csv").write_text("x,y\n1.5,2\n")
    assert notes() == []


def test_a_state_that_is_added_to_is_one_of_the_sides(tmp_path, notes):
    write(tmp_path / "a.parquet", x=column([1], pa.int64()), y=[1.0])
    assert notes() == []
    write(tmp_path / "b.parquet", y=[1.0], x=column([1], pa.uint8()))
    state = tmp_path.parent / "state.json"
    assert [message.replace(f"{tmp_path}/", "") for message in _logged(tmp_path, state=state, update=True)] == [
        "b.parquet has column 'x' as uint8 where the state has int64: read as numbers all the same",
        "b.parquet has its columns in another order than the state: they go by their names",
    ]


def _logged(folder, **choices):
    """Give what a job in Python tells those who listen."""
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    log = logging.getLogger("streamnorm")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        sn.fit(folder, **choices)
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    return heard


def test_python_is_told_nothing_unasked(tmp_path, capsys):
    write(tmp_path / "a.parquet", x=column([1], pa.int64()))
    write(tmp_path / "b.parquet", x=column([1], pa.int8()))
    sn.fit(tmp_path)
    assert capsys.readouterr() == ("", "")
    assert len(_logged(tmp_path)) == 1


def test_the_widest_type_is_kept_whatever_the_order(tmp_path):
    tables = [
        pa.table({"x": column([1.5, 2.5], pa.float32()), "n": column([1, 2], pa.int8()), "m": [1, 2]}),
        pa.table({"x": [1.1, 7.3], "n": column([3, 3], pa.uint16()), "m": column([1.5, 2], pa.float32())}),
        pa.table({"x": column([], pa.int8()), "n": column([], pa.int32()), "m": column([], pa.int8())}),
    ]
    for i, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{i}.parquet")
    found = set()
    for order in itertools.permutations(range(3)):
        files = sn.fit([tmp_path / f"{i}.parquet" for i in order])
        batches = [tables[i] for i in order]
        added = sum(sn.TableNormalizer().fit(batch) for batch in batches)
        assert files == added == sn.TableNormalizer().fit(iter(batches))
        found |= {str(dict(one.learnt.types)) for one in (files, added, sn.TableNormalizer().fit(iter(batches)))}
    assert found == {"{'x': 'double', 'n': 'int32', 'm': 'double'}"}


# ---- columns that hold only nulls somewhere ----

NULLS = pa.nulls(2)
KINDS = {
    ".parquet": pq.write_table,
    ".feather": pa.feather.write_feather,
    ".arrows": lambda table, path: _stream(table, path),
}


def _stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table)


def two(folder, suffix, values, **choices):
    """Write a file of nulls and one of values, and fit them in both orders."""
    nulls, full = folder / f"p1{suffix}", folder / f"p2{suffix}"
    KINDS[suffix](pa.table({"x": NULLS, "y": [1, 2]}), nulls)
    KINDS[suffix](pa.table({"x": values, "y": [1, 2]}), full)
    return nulls, full, *(sn.fit(order, sn.TableNormalizer(**choices)) for order in ([nulls, full], [full, nulls]))


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust"])
@pytest.mark.parametrize("values", [pa.array([1, 3]), pa.array([1.0, 3.0], pa.float32())])
def test_only_nulls_are_missing_numbers_in_any_order(tmp_path, suffix, scaler, values):
    nulls, full, one, other = two(tmp_path, suffix, values, default=scaler)
    assert one == other
    assert one.digest() == other.digest()
    assert dict(one.learnt.types) == {"x": str(values.type), "y": "int64"}
    written, like = (sn.transform(one, path, tmp_path / f"{path.stem}.out.parquet")[0] for path in (nulls, full))
    assert pq.read_schema(written).equals(pq.read_schema(like))
    assert pq.read_table(written)["x"].to_pylist() == [None, None]
    back = sn.transform(one, written, tmp_path / "back.parquet", inverse=True)
    assert pq.read_table(back[0])["x"].to_pylist() == [None, None]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64(), 2), pa.large_list(pa.int8())])
@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_only_nulls_are_missing_vectors_in_any_order(tmp_path, kind, vectors):
    values = pa.array([[1, 2], [3, 5]], kind)
    nulls, full, one, other = two(tmp_path, ".parquet", values, columns={"x": "standard"}, vectors=vectors)
    assert one == other
    assert pq.read_table(sn.transform(one, nulls, tmp_path / "out.parquet")[0])["x"].to_pylist() == [None, None]
    assert sn.fit([full, nulls], one) == one


def test_only_nulls_are_missing_with_keys_and_steps(tmp_path):
    recipe = {"columns": {"x": {"log1p": True, "fill": "mean", "clip": [0, 10]}}}
    for choices in ({"by": "y"}, {}):
        nulls, full, *_ = two(tmp_path, ".parquet", [1.0, 3.0])
        one, other = (
            sn.fit(order, sn.TableNormalizer.from_recipe(recipe | choices)) for order in ([nulls, full], [full, nulls])
        )
        assert one == other
        out = sn.transform(one, nulls, tmp_path / f"out{len(choices)}.parquet")
        assert pq.read_table(out[0])["x"].null_count == 0


def test_a_nightly_file_of_nulls_is_added_checked_and_taken_out(tmp_path, capsys):
    nulls, full, one, _ = two(tmp_path, ".parquet", [1.0, 3.0])
    state = tmp_path / "s.json"
    before = sn.fit(full, state=state)
    for words in (["--update"], ["--update", "--columns", "y,x"], ["--rebuild"]):
        done = streamnorm(capsys, "fit", full, nulls, "--state", state, *words)
        assert (done.code, "note:" in done.err) == (0, False), done.err
        assert sn.load(state) == one
    assert streamnorm(capsys, "verify", state, full, nulls).code == 0
    assert streamnorm(capsys, "forget", state, nulls).code == 0
    assert sn.load(state) == before
    assert streamnorm(capsys, "run", nulls, full, "--output", tmp_path / "out").code == 0
    assert pq.read_table(tmp_path / "out" / "p2.parquet")["x"].to_pylist() == [-1.0, 1.0]
    assert "[columns.x]\n# double" in streamnorm(capsys, "init", nulls, full).out


def test_what_is_text_elsewhere_is_left_alone(tmp_path):
    *_, one, other = two(tmp_path, ".parquet", pa.array(["a", "b"]))
    assert one == other
    assert list(one.learnt.types) == ["y"]


def test_what_was_null_everywhere_and_comes_as_text_is_left_alone_with_a_note(tmp_path, capsys):
    nulls, texts, *_ = two(tmp_path, ".parquet", pa.array(["a", "b"]))
    state = tmp_path / "s.json"
    assert streamnorm(capsys, "fit", nulls, "--state", state).code == 0
    done = streamnorm(capsys, "fit", nulls, texts, "--state", state, "--update")
    assert done.code == 0, done.err
    assert f"note: {texts} has column 'x' as string where the state has nothing but nulls: it is left alone" in done.err
    assert dict(sn.load(state).learnt.types) == {"x": "null", "y": "int64"}
    done = streamnorm(capsys, "transform", state, texts, "--output", tmp_path / "out.parquet")
    assert (done.code, "warning" in done.err) == (0, False), done.err
    assert pq.read_table(tmp_path / "out.parquet")["x"].to_pylist() == ["a", "b"]
