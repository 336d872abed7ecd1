"""Files of one job with other columns: one decision for any order, told in notes, the same for every format."""

from __future__ import annotations

import itertools
import json

import dask
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError

WRITE = {".parquet": pq.write_table, ".csv": pv.write_csv, ".arrow": feather.write_feather}
READ = {".parquet": pq.read_table, ".csv": pv.read_csv, ".arrow": feather.read_table}

#: Columns that come, go, get wider, are text, null or something else somewhere; `x` is in all, `note` is nobody's.
FILES = [
    {"x": [1.0, 2.0, 4.0], "note": ["a", "b", "c"], "wide": [1, 2, 9], "mixed": [5, 6, 7]},
    {"x": [7.5, 9.0], "added": [10, 30], "wide": [1.5, 2.5], "mixed": ["five", "six"]},
    {"added": [900, 100], "x": [3.0, None], "blank": pa.array([1.0, 3.0]), "note": ["d", "e"]},
    {"x": [0.5, 0.25], "blank": pa.nulls(2), "wide": pa.array([3, 4], pa.int8())},
]


def write(folder, suffix, files=FILES):
    folder.mkdir(exist_ok=True)
    paths = []
    for i, columns in enumerate(files):
        table = pa.table(columns)
        if suffix == ".csv":
            table = table.cast(
                pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema])
            )
        WRITE[suffix](table, folder / f"{i}{suffix}")
        paths.append(folder / f"{i}{suffix}")
    return paths


def together(files=FILES, without=("mixed", "note")) -> pa.Table:
    """All rows as one table: what a file lacks is null there."""
    tables = [pa.table({name: values for name, values in one.items() if name not in without}) for one in files]
    names = dict.fromkeys(name for table in tables for name in table.schema.names)
    schema = pa.schema([(name, pa.float64()) for name in names])
    columns = [
        {
            name: t[name].cast(pa.float64()) if name in t.schema.names else pa.nulls(len(t), pa.float64())
            for name in names
        }
        for t in tables
    ]
    return pa.concat_tables([pa.table(one, schema) for one in columns])


CHOICES = [
    {},
    {"default": "minmax"},
    {"default": "robust", "profile": True},
    {"default": None, "columns": {"added": "standard", "x": "minmax"}},
    {"suffix": "_z"},
]


@pytest.mark.parametrize("suffix", WRITE)
@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_any_order_gives_the_state_and_the_outputs_of_one_table(tmp_path, suffix, choices):
    paths = write(tmp_path / "in", suffix)
    whole = sn.TableNormalizer(**choices).fit(together())
    states, outputs = set(), set()
    for i, order in enumerate(itertools.permutations(paths)):
        fitted = sn.fit(order, sn.TableNormalizer(**choices), state=tmp_path / "s.json", overwrite=True)
        assert fitted == whole
        states.add((tmp_path / "s.json").read_text())
        if i % 8 == 0:
            written = sn.transform(fitted, order, tmp_path / f"out{i}")
            outputs.add(tuple(sorted((path.name, path.read_bytes()) for path in written)))
    assert len(states) == len(outputs) == 1
    assert list(fitted.learnt.types) == list(whole.learnt.types) or choices
    for path, name in zip(sorted(paths), FILES, strict=True):
        out = READ[suffix](tmp_path / "out0" / path.name)
        assert set(name) <= set(out.schema.names)
        assert ("added" in out.schema.names) == ("added" in name)
        if "note" in name:
            assert out["note"].to_pylist() == name["note"]
        if "mixed" in name:
            assert out["mixed"].to_pylist() == name["mixed"]


@pytest.mark.parametrize("suffix", WRITE)
def test_the_rest_of_a_job_goes_by_the_same_columns(tmp_path, suffix, capsys):
    paths = write(tmp_path / "in", suffix)
    state = tmp_path / "s.json"
    fitted = sn.fit(tmp_path / "in", state=state, keep_parts=True)
    assert streamnorm(capsys, "verify", state, tmp_path / "in").code == 0
    done = streamnorm(capsys, "run", tmp_path / "in", "--output", tmp_path / "run")
    assert done.code == 0
    assert done.err.count("has no column") == 1  # told by the fit, and not again
    sn.transform(fitted, tmp_path / "in", tmp_path / "out")
    back = sn.transform(fitted, tmp_path / "run", tmp_path / "back", inverse=True)
    for path in paths:
        assert (tmp_path / "run" / path.name).read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    assert sn.fit(back, fitted).learnt.types.keys() == fitted.learnt.types.keys()
    with dask.config.set(scheduler="synchronous"):
        assert sn.dask.fit(tmp_path / "in") == fitted
    only = sn.fit(paths[:2], state=tmp_path / "first.json")
    assert streamnorm(capsys, "forget", state, *paths[2:]).code == 0
    assert sn.load(state).learnt.columns()["x"][0].summary.take([0]).counts.table.sum() == 5
    assert list(only.learnt.types) == ["x", "wide", "added"]


@pytest.mark.parametrize("by", ["k", ["k", "l"]])
def test_keys_and_vectors_of_some_files(tmp_path, by):
    files = [
        {"k": ["a", "b"], "l": [1, 1], "x": [1.0, 2.0]},
        {"k": ["a", "a"], "l": [1, 2], "x": [3.0, 5.0], "y": [1.0, 9.0]},
    ]
    paths = write(tmp_path / "in", ".parquet", files)
    rows = [{"k": k, "l": n, "x": x, "y": y} for k, n, x, y in
            [("a", 1, 1.0, None), ("b", 1, 2.0, None), ("a", 1, 3.0, 1.0), ("a", 2, 5.0, 9.0)]]  # fmt: skip
    whole = sn.TableNormalizer(by=by, exclude=["l"]).fit(pa.Table.from_pylist(rows))
    for order in itertools.permutations(paths):
        assert sn.fit(order, sn.TableNormalizer(by=by, exclude=["l"])) == whole
    written = sn.transform(whole, tmp_path / "in", tmp_path / "out")
    assert [pq.read_schema(path).names for path in written] == [list(one) for one in files]
    vectors = [{"x": [1.0]}, {"x": [2.0], "v": pa.array([[1.0, 2.0]], pa.list_(pa.float64(), 2))}]
    paths = write(tmp_path / "vectors", ".parquet", vectors)
    one, other = (sn.fit(order) for order in (paths, paths[::-1]))
    assert one == other
    assert list(one.learnt.where()) == ["x", "v[0]", "v[1]"]


def test_what_is_known_from_footers_counts_what_a_file_lacks(tmp_path):
    paths = write(tmp_path / "in", ".parquet", [{"x": [1, 2]}, {"y": [3, 4, 5], "x": [9, 8, 7]}])
    for order in itertools.permutations(paths):
        fitted = sn.fit(order, "minmax")
        counts = {
            name: group.summary.counts.table[i, :2].tolist() for name, (group, i) in fitted.learnt.columns().items()
        }
        assert counts == {"x": [5, 0], "y": [3, 2]}


# ---- notes ----


def notes_of(done):
    return [line for line in done.err.splitlines() if line.startswith("note: ")]


@pytest.mark.parametrize("suffix", WRITE)
def test_every_decision_is_told_once(tmp_path, suffix, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", suffix)
    told = [notes_of(streamnorm(capsys, "fit", *order, "--state", "s.json", "--overwrite"))
            for order in (["in"], [f"in/{i}{suffix}" for i in (2, 0, 3, 1)])]  # fmt: skip
    assert told[0] == told[1]
    for words in (
        f"in/0{suffix} has no column 'added', which in/1{suffix} has (so it is with 3 columns in 4 files): it is "
        "normalised where it is, and missing elsewhere",
        f"in/1{suffix} has column 'mixed' as string where in/0{suffix} has int64: it is left alone in all files",
    ):
        assert told[0].count(f"note: {words}") == 1
    assert notes_of(streamnorm(capsys, "fit", "in", "--state", "t.json", "--quiet")) == []
    done = streamnorm(capsys, "transform", "s.json", "in", "--output", "out")
    assert notes_of(done) == [
        f"note: in/0{suffix} has no column 'added' (so it is with 3 columns in 4 files): it is normalised where it is"
    ]


@pytest.mark.parametrize("suffix", WRITE)
def test_a_state_keeps_its_columns(tmp_path, suffix, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in", suffix, [{"id": [1, 2], "v": [10, 30]}, {"id": [3], "v": [20], "new": [900]}])
    done = streamnorm(capsys, "fit", f"in/0{suffix}", "--state", "s.json")
    assert (done.code, notes_of(done)) == (0, [])
    done = streamnorm(capsys, "fit", "in", "--state", "s.json", "--update")
    assert notes_of(done) == [
        f"note: in/1{suffix} has column 'new', which the state was begun without: it is left alone; fit all again "
        "(--overwrite) to have it too"
    ]
    assert list(sn.load("s.json").learnt.types) == ["id", "v"]
    done = streamnorm(capsys, "fit", f"in/1{suffix}", "--state", "t.json")
    done = streamnorm(capsys, "fit", "in", "--state", "t.json", "--update", "--scaler", "standard")
    assert (done.code, notes_of(done)) == (0, [
        f"note: in/0{suffix} has no column 'new', which the state has: it is normalised where it is, and missing "
        "elsewhere"
    ])  # fmt: skip
    assert sn.load("t.json") == sn.fit("in")
    done = streamnorm(capsys, "fit", "in", "--state", "t.json", "--rebuild")
    assert (done.code, sn.load("t.json")) == (0, sn.fit("in"))


# ---- what is an error, in any order ----


@pytest.mark.parametrize(
    ("second", "choices", "words"),
    [
        ({"a": ["x"]}, {"columns": {"a": "standard"}}, "2.parquet: column 'a' holds string, not numbers"),
        ({"a": [["x"]]}, {"columns": {"a": "standard"}}, "2.parquet: column 'a' holds list<"),
        ({"b": [1.0]}, {"columns": {"c": "standard"}}, "there is no column 'c'"),
        ({"b": ["x"]}, {}, "2.parquet: it has none of the columns that are normalised .'a'.: leave it out"),
        ({"a": ["x"]}, {}, "2.parquet has column 'a' as string where .*1.parquet has double; make it numbers there"),
        ({"a": [1.0]}, {"by": "k"}, "2.parquet: there is no column 'k' to group by"),
    ],
)
def test_errors_name_the_file_in_any_order(tmp_path, second, choices, words):
    pq.write_table(pa.table({"a": [1.0, 2.0], "k": ["u", "v"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table(second), tmp_path / "2.parquet")
    messages = set()
    for order in (["1.parquet", "2.parquet"], ["2.parquet", "1.parquet"]):
        with pytest.raises(DataError, match=words) as error:
            sn.fit([tmp_path / name for name in order], sn.TableNormalizer(**choices))
        messages.add(str(error.value))
    assert len(messages) == 1


def test_a_column_that_is_something_else_in_one_file_is_left_alone_unless_it_was_named(tmp_path):
    others = [pa.array([True]), pa.array([1], pa.duration("s")), pa.array([1]).dictionary_encode(), [[1.0]]]
    for i, other in enumerate([*others, pa.array([[1.0]], pa.list_(pa.float64(), 1)), pa.array([1], pa.date32())]):
        folder = tmp_path / str(i)
        paths = write(folder, ".arrow", [{"x": [1.0], "y": [2.0]}, {"x": [3.0], "y": other}])
        one, two = (sn.fit(order) for order in (paths, paths[::-1]))
        assert one == two
        assert list(one.learnt.types) == ["x"], other
        if i < 3:
            one, two = (sn.fit(order, sn.TableNormalizer(columns={"y": "standard"})) for order in (paths, paths[::-1]))
            assert one == two
            assert list(one.learnt.types) == ["x", "y"]


# ---- the index of pandas ----


def test_the_index_that_pandas_wrote_is_left_alone_unless_it_is_named(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"x": [1.0, 2.0], "id": [7, 8]}, index=[10, 20])
    frame.to_parquet(tmp_path / "a.parquet")
    frame.set_index("id").to_parquet(tmp_path / "named.parquet")
    frame.set_index(["id", "x"]).assign(y=1.5).to_parquet(tmp_path / "several.parquet")
    frame.to_csv(tmp_path / "a.csv")
    found = {
        name: list(sn.fit(tmp_path / name).learnt.types)
        for name in ("a.parquet", "named.parquet", "several.parquet", "a.csv")
    }
    assert found == {"a.parquet": ["x", "id"], "named.parquet": ["x"], "several.parquet": ["y"], "a.csv": ["x", "id"]}
    named = sn.TableNormalizer(columns={"__index_level_0__": "standard"})
    assert list(sn.fit(tmp_path / "a.parquet", named).learnt.types) == ["x", "id", "__index_level_0__"]
    table = pa.Table.from_pandas(frame)
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
    assert list(sn.TableNormalizer().fit(table).learnt.types) == ["x", "id"]
    out = sn.transform(sn.fit(tmp_path / "a.parquet"), tmp_path / "a.parquet", tmp_path / "o.parquet")
    assert pd.read_parquet(out[0]).index.tolist() == [10, 20]
