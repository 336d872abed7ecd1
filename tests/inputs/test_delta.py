"""Delta tables: a version is what delta-rs' own engine reads, whoever wrote it and whatever its log says."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from lakes import add, column, commit, deleted, follow, metadata, protocol, remove, rows_of, some_rows, x
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, SourceError

MAPPED = protocol("columnMapping", "deletionVectors")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# ---- words ----


def test_a_table_is_followed_and_every_command_says_how_it_stands(capsys):
    rows = some_rows(np.random.default_rng(0), 60)
    write_deltalake("t", rows)
    done = streamnorm(capsys, "fit", "t", "--state", "s.json")
    assert (done.code, done.err) == (0, "s.json: version 0, 4 columns, 1 file, 60 rows\n")
    write_deltalake("t", rows.slice(0, 5), mode="append")
    DeltaTable("t").delete("id < 500")
    done = streamnorm(capsys, "fit", "t", "--state", "s.json", "--update")
    left = len(rows_of("t"))
    assert done.code == 0, done.err
    assert done.err.startswith("s.json: version 0 -> 2: ")
    assert done.err.endswith(f"only rearranged; in all 4 columns, 1 file, {left} rows\n")
    assert sn.load("s.json") == sn.TableNormalizer().fit(rows_of("t"))
    done = streamnorm(capsys, "verify", "s.json", "t")
    assert done.out.startswith("s.json: the same, bit for bit: version 2, 4 columns"), done.err
    done = streamnorm(capsys, "fit", "t", "--version", "1", "--state", "old.json")
    assert done.code == 0, done.err
    assert sn.load("old.json") == sn.TableNormalizer().fit(rows_of("t", 1))
    assert streamnorm(capsys, "transform", "old.json", "t", "--version", "1", "--output", "out").code == 0
    expected = (
        sn.load("old.json").transform(rows_of("t", 1)).sort_by([(name, "ascending") for name in rows.column_names])
    )
    found = pa.concat_tables(pq.read_table(path) for path in sorted(Path("out").rglob("*.parquet")))
    assert found.sort_by([(name, "ascending") for name in rows.column_names]).equals(expected)
    assert f"version 2 of t, 1 file, {left} rows counted" in streamnorm(capsys, "show", "s.json").out
    shown = json.loads(streamnorm(capsys, "show", "s.json", "--json").out)
    assert shown["sources"][0]["table"]["version"] == 2
    done = streamnorm(capsys, "run", "t", "--output", "ran")
    assert (done.code, done.err) == (0, "ran: 1 file, 4 columns normalised\n")
    expected = sn.load("s.json").transform(rows_of("t"))
    (written,) = Path("ran").rglob("*.parquet")
    order = [(name, "ascending") for name in expected.column_names]
    assert pq.read_table(written).cast(expected.schema).sort_by(order).equals(expected.sort_by(order))
    done = streamnorm(capsys, "run", "t", "--output", "again", "--state", "r.json")
    assert (done.code, "fit it (streamnorm fit t --state r.json), then transform" in done.err) == (2, True)
    assert "[columns.x]" in streamnorm(capsys, "init", "t").out
    for words in ("forget s.json t", "fit out --state s.json --update", "verify s.json out"):
        done = streamnorm(capsys, *words.split())
        assert (done.code, "follows the table t, and counts nothing else" in done.err) == (1, True), done.err
    done = streamnorm(capsys, "fit", "out", "--version", "1", "--state", "new.json")
    assert (done.code, done.err) == (1, "error: only a table that changes has versions: name its folder, alone.\n")


def test_a_table_may_be_an_object_whose_version_counts():
    write_deltalake("t", x(1, 2))
    write_deltalake("t", x(5), mode="append")
    assert sn.fit(DeltaTable("t", version=0)) == sn.TableNormalizer().fit(x(1, 2))
    assert sn.fit(DeltaTable("t"), state="s.json") == sn.TableNormalizer().fit(x(1, 2, 5))
    assert sn.fit(DeltaTable("t", version=0), state="s.json", update=True) == sn.TableNormalizer().fit(x(1, 2))
    (written,) = sn.transform("s.json", DeltaTable("t", version=0), "out")
    assert pq.read_table(written).column("x").to_pylist() == [-1, 1]


def test_a_version_may_be_the_one_of_a_time():
    write_deltalake("t", x(1, 2))
    between = datetime.datetime.now(datetime.UTC) + datetime.timedelta(milliseconds=5)
    while datetime.datetime.now(datetime.UTC) < between + datetime.timedelta(milliseconds=5):
        pass
    write_deltalake("t", x(5), mode="append")
    assert sn.fit("t", as_of=between.isoformat()) == sn.TableNormalizer().fit(x(1, 2))
    with pytest.raises(DataError, match=r"a version and a time are two versions of a table"):
        sn.fit("t", version=0, as_of=between.isoformat())
    with pytest.raises(SourceError, match=r"^t cannot be read as a Delta table: .*; name a version that there is"):
        sn.fit("t", version=9)


# ---- rows that are deleted ----


def test_deletion_vectors():
    table = Path("t")
    commit(
        table,
        0,
        MAPPED,
        metadata([column("x")]),
        add(table, "a.parquet", x(1, 2, 3, 4, 5)),
        add(table, "b.parquet", x(9)),
    )
    follow()
    before = {}
    for version, rows in enumerate([[1, 3], [1, 3, 4], [0], [0, 1, 2, 3, 4]], 1):
        new = {"deletionVector": deleted(rows)}
        commit(table, version, remove("a.parquet", **before), add(table, "a.parquet", **new))
        before = new
        fitted = follow()
        assert fitted.sources_[0].rows == 6 - len(rows)
        assert sn.fit("t", sn.RobustScaler()) == sn.TableNormalizer("robust").fit(rows_of("t"))
        assert sn.fit("t", sn.MinMaxScaler()) == sn.TableNormalizer("minmax").fit(rows_of("t"))
    commit(
        table, 5, remove("a.parquet", **before), add(table, "a.parquet", deletionVector=deleted([1, 3]))
    )  # as RESTORE does
    follow()
    sn.transform("s.json", "t", "out")
    assert len(pq.read_table("out/a.parquet")) == 3
    assert pq.read_table("out/a.parquet").equals(sn.load("s.json").transform(x(1, 3, 5)))


def test_an_infinity_in_a_row_that_is_deleted_does_not_matter():
    table = Path("t")
    commit(
        table,
        0,
        MAPPED,
        metadata([column("x")]),
        add(table, "a.parquet", x(1, float("inf"), 3), deletionVector=deleted([1])),
    )
    follow()
    commit(table, 1, add(table, "b.parquet", x(1, 2, float("inf")), deletionVector=deleted([0])))
    before = Path("s.json").read_bytes()
    with pytest.raises(DataError, match=r"t/b\.parquet: there is an infinity in column 'x', row 2"):
        follow()
    assert Path("s.json").read_bytes() == before


@pytest.mark.parametrize("name", ["link", "folder/../t", "t/", "./t", "link/."])
def test_rows_that_are_deleted_where_the_table_has_other_names(name):
    table = Path("t")
    commit(table, 0, MAPPED, metadata([column("x")]), add(table, "a.parquet", x(1, 2, 3), deletionVector=deleted([1])))
    Path("link").symlink_to("t")
    Path("folder").mkdir()
    assert sn.fit(name) == sn.TableNormalizer().fit(x(1, 3))


def test_rows_that_are_deleted_of_a_file_that_is_not_listed(monkeypatch):
    from streamnorm.inputs.delta import DeltaLake

    table = Path("t")
    commit(table, 0, MAPPED, metadata([column("x")]), add(table, "a.parquet", x(1, 2, 3), deletionVector=deleted([1])))
    monkeypatch.setattr(DeltaLake, "_deleted", lambda self, table: {"/elsewhere/a.parquet": np.array([1])})
    with pytest.raises(SourceError, match=r"^t deletes rows of /elsewhere/a\.parquet, which it does not list"):
        sn.fit("t")


def test_rows_that_are_deleted_of_a_file_by_its_whole_path(tmp_path):
    pq.write_table(x(1, 2, 3), "one file.parquet")
    for version, start in enumerate(["file://", ""]):
        size, name = Path("one file.parquet").stat().st_size, f"{start}{tmp_path}/one%20file.parquet"
        action = {"path": name, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
        more = {"stats": json.dumps({"numRecords": 3}), "deletionVector": deleted([1])}
        commit(tmp_path / f"t{version}", 0, MAPPED, metadata([column("x")]), {"add": {**action, **more}})
        assert sn.fit(f"t{version}") == sn.TableNormalizer().fit(x(1, 3))


# ---- columns ----


def test_partition_columns_are_those_of_the_log_and_not_of_the_path():
    rows = some_rows(np.random.default_rng(1), 80)
    write_deltalake("t", rows, partition_by=["k", "p"])
    follow()
    follow(state="by.json", normalizer=sn.TableNormalizer(None, {"x": "standard", "p": "standard"}, by="k"))
    write_deltalake("t", some_rows(np.random.default_rng(2), 30), mode="append")
    DeltaTable("t").delete("p = 1")
    follow()
    fitted = follow(state="by.json")
    assert set(fitted.learnt.types) == {"x", "p"}
    written = sn.transform("s.json", "t", "out")
    found = pa.concat_tables(pq.read_table(path, partitioning=None) for path in written)
    order = [(name, "ascending") for name in rows.column_names]
    assert found.select(rows.column_names).sort_by(order).equals(fitted_table("s.json", "t").sort_by(order))


def fitted_table(state: str, table: str) -> pa.Table:
    return sn.load(state).transform(rows_of(table))


def test_partition_columns_of_other_types_and_a_path_that_lies():
    table = Path("t")
    fields = [column("x"), column("day", "date"), column("price", "decimal(5,2)"), column("on", "boolean")]
    values = {"day": "2026-01-31", "price": "12.50", "on": "true"}
    nothing = {"day": None, "price": None, "on": None}
    commit(
        table, 0, protocol(), metadata(fields, ["day", "price", "on"]),
        add(table, "day=1999-01-01/a.parquet", x(1, 2), partitionValues=values),
        add(table, "b.parquet", x(3), partitionValues=nothing),
    )  # fmt: skip
    assert set(follow().learnt.types) == {"x", "price"}
    follow(state="by.json", normalizer=sn.TableNormalizer(None, {"x": "standard"}, by="day"))


@pytest.mark.parametrize("mode", ["name", "id"])
def test_columns_are_known_by_what_stays_when_they_are_renamed(mode, caplog):
    table, one, two = Path("t"), "col-1", "col-2"
    identity = "11111111-1111-1111-1111-111111111111"

    def meta(*fields):
        return metadata(fields, identity=identity, columnMapping__mode=mode)

    def file(**columns):
        numbers = {"c1": 1, "c2": 2, "c3": 3}
        items = [pa.field(n, pa.float64(), metadata={"PARQUET:field_id": str(numbers[n])}) for n in columns]
        return pa.table(list(columns.values()), schema=pa.schema(items))

    commit(table, 0, MAPPED, meta(column("x", number=1, stored="c1")), add(table, "a.parquet", file(c1=[1.0, 2.0])))
    assert set(follow().learnt.types) == {"x"}
    before = sn.load("s.json")
    commit(table, 1, meta(column("y", number=1, stored="c1")))  # a rename
    with caplog.at_level("INFO"):
        assert set(follow().learnt.types) == {"y"}
    assert "columns of t have other names now: all its files are counted again" in caplog.text
    commit(table, 2, meta(column("y", number=1, stored="c1"), column("x", number=2, stored="c2")))  # an added one
    commit(table, 3, add(table, "b.parquet", file(c1=[5.0], c2=[7.0])))
    assert set(follow().learnt.types) == {"y"}
    assert sn.fit("t") == sn.TableNormalizer().fit(rows_of("t"))
    sn.transform("s.json", "t", "out")
    assert pq.read_table("out/a.parquet").column_names == ["y", "x"]
    commit(table, 4, meta(column("x", number=2, stored="c2"), column("y", number=3, stored="c3")))
    state = Path("s.json").read_bytes()
    with pytest.raises(
        DataError, match="t has dropped column 'y', which was counted, by version 4; another one has its name"
    ):
        sn.fit("t", state="s.json", update=True)
    assert Path("s.json").read_bytes() == state
    assert sn.fit("t", state="s.json", overwrite=True) == sn.TableNormalizer().fit(rows_of("t"))
    assert before != sn.load("s.json")
    assert (one, two) == ("col-1", "col-2")


def test_a_column_that_was_added_is_null_where_files_lack_it():
    write_deltalake("t", x(1, 2))
    follow()
    write_deltalake("t", pa.table({"x": [3.0], "y": [4.0]}), mode="append", schema_mode="merge")
    assert set(follow().learnt.types) == {"x"}
    follow(state="both.json")
    assert sn.load("both.json").learnt.groups[0].summary.counts.rows.tolist() == [3, 3]


def test_another_schema():
    write_deltalake("t", pa.table({"x": [1, 2], "y": [1.0, 2.0]}))
    follow()
    write_deltalake("t", pa.table({"y": [9.0], "x": [0.5]}), mode="overwrite", schema_mode="overwrite")
    follow()
    write_deltalake("t", pa.table({"y": ["text"], "x": [0.5]}), mode="overwrite", schema_mode="overwrite")
    before = Path("s.json").read_bytes()
    with pytest.raises(DataError, match="column 'y' holds string"):
        sn.fit("t", state="s.json", update=True)
    write_deltalake("t", pa.table({"x": [0.5]}), mode="overwrite", schema_mode="overwrite")
    with pytest.raises(
        DataError, match=r"t has dropped column 'y', which was counted, by version 3: fit the table again"
    ):
        sn.fit("t", state="s.json", update=True)
    assert Path("s.json").read_bytes() == before


# ---- tables that are empty, other ones, or of other versions ----


def test_an_empty_table(capsys):
    write_deltalake("t", x(1, 2))
    DeltaTable("t").delete()
    fitted = follow()
    assert fitted.sources_[0].rows == 0
    done = streamnorm(capsys, "transform", "s.json", "t", "--output", "out")
    assert (done.code, done.err) == (1, "error: version 1 of t has no rows: there is nothing to write.\n")
    write_deltalake("t", x(5, 6), mode="append")
    follow()
    DeltaTable("t").delete()
    assert follow() == fitted
    assert streamnorm(capsys, "verify", "s.json", "t").code == 0


def test_a_table_that_was_made_anew_at_its_place_is_another():
    write_deltalake("t", x(1, 2))
    follow()
    shutil.rmtree("t")
    write_deltalake("t", x(1, 2))
    before = Path("s.json").read_bytes()
    with pytest.raises(
        DataError, match=r"t is another table than the one that was counted \(its id is .*\): fit it again"
    ):
        sn.fit("t", state="s.json", update=True)
    with pytest.raises(DataError, match="t is another table than the one"):
        sn.fit("t", state="s.json", rebuild=True)
    assert Path("s.json").read_bytes() == before
    sn.fit("t", state="s.json", overwrite=True)
    follow()


def test_an_older_version_and_back():
    for i in range(5):
        write_deltalake("t", x(*range(i + 1)), mode="append")
    follow()
    for version in (2, 4, 0, 3):
        fitted = sn.fit("t", state="s.json", update=True, version=version)
        assert fitted == sn.TableNormalizer().fit(rows_of("t", version))
        assert fitted.sources_[0].table.version == version
    follow()
    DeltaTable("t").restore(1)
    follow()


def test_a_state_of_files_does_not_follow_a_table():
    write_deltalake("t", x(1, 2))
    pq.write_table(x(3), "a.parquet")
    sn.fit("a.parquet", state="s.json")
    with pytest.raises(
        DataError, match=r"s\.json has counted files, and cannot follow the table t: begin a state of its own"
    ):
        sn.fit("t", state="s.json", update=True)
    with pytest.raises(SourceError, match=r"t is a Delta table: .* name it alone"):
        sn.fit(["t", "a.parquet"])
