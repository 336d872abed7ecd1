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
import stores
from deltalake import DeltaTable, write_deltalake
from kept import parts_of
from lakes import add, column, commit, deleted, metadata, protocol, remove, rows_of, some_rows
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, SourceError

MAPPED = protocol("columnMapping", "deletionVectors")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def x(*values: float | None) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.float64())})


def update(table: str = "t", state: str = "s.json", **more):
    """Bring a state to the newest version, and compare it with what the engine reads."""
    fitted = sn.fit(table, state=state, update=Path(state).exists(), **more)
    columns = dict.fromkeys(fitted.learnt.types, "standard")
    assert fitted == sn.TableNormalizer(None, columns, by=fitted.by).fit(rows_of(table))
    return fitted


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
    update()
    before = {}
    for version, rows in enumerate([[1, 3], [1, 3, 4], [0], [0, 1, 2, 3, 4]], 1):
        new = {"deletionVector": deleted(rows)}
        commit(table, version, remove("a.parquet", **before), add(table, "a.parquet", **new))
        before = new
        fitted = update()
        assert fitted.sources_[0].rows == 6 - len(rows)
        assert sn.fit("t", sn.RobustScaler()) == sn.TableNormalizer("robust").fit(rows_of("t"))
        assert sn.fit("t", sn.MinMaxScaler()) == sn.TableNormalizer("minmax").fit(rows_of("t"))
    commit(
        table, 5, remove("a.parquet", **before), add(table, "a.parquet", deletionVector=deleted([1, 3]))
    )  # as RESTORE does
    update()
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
    update()
    commit(table, 1, add(table, "b.parquet", x(1, 2, float("inf")), deletionVector=deleted([0])))
    before = Path("s.json").read_bytes()
    with pytest.raises(DataError, match=r"t/b\.parquet: there is an infinity in column 'x', row 2"):
        update()
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
    update()
    update(state="by.json", normalizer=sn.TableNormalizer(None, {"x": "standard", "p": "standard"}, by="k"))
    write_deltalake("t", some_rows(np.random.default_rng(2), 30), mode="append")
    DeltaTable("t").delete("p = 1")
    update()
    fitted = update(state="by.json")
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
    assert set(update().learnt.types) == {"x", "price"}
    update(state="by.json", normalizer=sn.TableNormalizer(None, {"x": "standard"}, by="day"))


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
    assert set(update().learnt.types) == {"x"}
    before = sn.load("s.json")
    commit(table, 1, meta(column("y", number=1, stored="c1")))  # a rename
    with caplog.at_level("INFO"):
        assert set(update().learnt.types) == {"y"}
    assert "columns of t have other names now: all its files are counted again" in caplog.text
    commit(table, 2, meta(column("y", number=1, stored="c1"), column("x", number=2, stored="c2")))  # an added one
    commit(table, 3, add(table, "b.parquet", file(c1=[5.0], c2=[7.0])))
    assert set(update().learnt.types) == {"y"}
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
    update()
    write_deltalake("t", pa.table({"x": [3.0], "y": [4.0]}), mode="append", schema_mode="merge")
    assert set(update().learnt.types) == {"x"}
    update(state="both.json")
    assert sn.load("both.json").learnt.groups[0].summary.counts.rows.tolist() == [3, 3]


def test_another_schema():
    write_deltalake("t", pa.table({"x": [1, 2], "y": [1.0, 2.0]}))
    update()
    write_deltalake("t", pa.table({"y": [9.0], "x": [0.5]}), mode="overwrite", schema_mode="overwrite")
    update()
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
    fitted = update()
    assert fitted.sources_[0].rows == 0
    done = streamnorm(capsys, "transform", "s.json", "t", "--output", "out")
    assert (done.code, done.err) == (1, "error: version 1 of t has no rows: there is nothing to write.\n")
    write_deltalake("t", x(5, 6), mode="append")
    update()
    DeltaTable("t").delete()
    assert update() == fitted
    assert streamnorm(capsys, "verify", "s.json", "t").code == 0


def test_a_table_that_was_made_anew_at_its_place_is_another():
    write_deltalake("t", x(1, 2))
    update()
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
    update()


def test_an_older_version_and_back():
    for i in range(5):
        write_deltalake("t", x(*range(i + 1)), mode="append")
    update()
    for version in (2, 4, 0, 3):
        fitted = sn.fit("t", state="s.json", update=True, version=version)
        assert fitted == sn.TableNormalizer().fit(rows_of("t", version))
        assert fitted.sources_[0].table.version == version
    update()
    DeltaTable("t").restore(1)
    update()


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


# ---- files that were only written anew, and files that are gone ----


def read_of(monkeypatch) -> list[str]:
    """Watch which data files are read."""
    from streamnorm.inputs.tablefile import TableFile

    found: list[str] = []
    units = TableFile.units
    monkeypatch.setattr(TableFile, "units", lambda self: (found.append(self.key), units(self))[1])
    return found


@pytest.mark.parametrize("partitioned", [None, ["p"]])
def test_what_was_only_rearranged_is_not_read(monkeypatch, capsys, partitioned):
    for seed in range(12):
        write_deltalake("t", some_rows(np.random.default_rng(seed), 20), mode="append", partition_by=partitioned)
    update()
    read = read_of(monkeypatch)
    old = len(DeltaTable("t").file_uris())
    DeltaTable("t").optimize.compact()
    new = len(DeltaTable("t").file_uris())
    done = streamnorm(capsys, "fit", "t", "--state", "s.json", "--update")
    words = f"0 files added, 0 taken out, {old} only rearranged; in all 4 columns, {new} file"
    assert done.err.startswith(f"s.json: version 11 -> 12: {words}"), done.err
    assert read == []
    DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    update()
    assert read == []
    DeltaTable("t").delete("id < 100")
    update()
    assert read
    DeltaTable("t").optimize.z_order(["id"])
    del read[:]
    update()
    assert read == []


def test_files_known_together_are_added_up_when_there_are_many(monkeypatch):
    monkeypatch.setattr("streamnorm.jobs.following._MOST_PARTS", 4)
    for seed in range(6):
        write_deltalake("t", some_rows(np.random.default_rng(seed), 20), mode="append")
    update()
    sn.fit("t", sn.RobustScaler(), state="r.json")
    DeltaTable("t").optimize.compact()
    assert len(update().sources_[0].part_names) == 1
    write_deltalake("t", some_rows(np.random.default_rng(9), 20), mode="append")
    DeltaTable("t").optimize.compact()
    DeltaTable("t").delete("id < 300")
    update()
    fitted = sn.fit("t", state="r.json", update=True)
    assert fitted == sn.TableNormalizer("robust").fit(rows_of("t"))


def test_taking_out_one_of_many_reads_few_parts(monkeypatch):
    from streamnorm.states.parts import Parts

    table = Path("t")
    files = [add(table, f"{i}.parquet", x(i, i + 0.5)) for i in range(120)]
    commit(table, 0, protocol(), metadata([column("x")]), *files)
    sn.fit("t", sn.RobustScaler(), state="r.json")
    commit(table, 1, remove("77.parquet"))
    read = []
    get = Parts._get
    monkeypatch.setattr(Parts, "_get", lambda self, key: ((found := get(self, key)) and read.append(key)) or found)
    assert sn.fit("t", state="r.json", update=True) == sn.TableNormalizer("robust").fit(rows_of("t"))
    assert len(read) <= 40


def test_a_table_that_only_says_that_rows_were_moved_is_compared_by_their_number():
    table = Path("t")
    fields = metadata([column("x")])
    commit(table, 0, protocol(), fields, add(table, "a.parquet", x(1, 2)), add(table, "b.parquet", x(3, 4)))
    update()
    moved = add(table, "c.parquet", x(1, 2, 4), change=False)  # fewer rows: contained, and not all
    commit(table, 1, remove("a.parquet", change=False), remove("b.parquet", change=False), moved)
    update()
    commit(table, 2, add(table, "c.parquet", change=False))  # statistics written anew
    update()
    nothing_said = add(table, "d.parquet", x(1, 2, 4), change=False, stats=None)
    commit(table, 3, remove("c.parquet", change=False), nothing_said)
    update()


def test_a_compacted_file_that_was_never_read_and_whose_origins_are_gone(monkeypatch):
    for seed in range(4):
        write_deltalake("t", x(seed, 1), mode="append")
    update()
    write_deltalake("t", x(7), mode="append")  # never counted alone
    DeltaTable("t").optimize.compact()
    DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    update()
    write_deltalake("t", x(8), mode="append")
    update()
    DeltaTable("t").optimize.compact()
    update()
    DeltaTable("t").delete("x = 8")
    DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    update()


def test_a_range_of_versions_whose_log_is_gone():
    for seed in range(4):
        write_deltalake("t", x(seed, 1), mode="append")
    update()
    write_deltalake("t", x(9), mode="append")
    DeltaTable("t").optimize.compact()
    DeltaTable("t").create_checkpoint()
    for version in range(5):
        Path(f"t/_delta_log/{version:020}.json").unlink()
    update()


def test_parts_that_are_gone_are_no_harm(caplog):
    for seed in range(3):
        write_deltalake("t", x(seed, 1), mode="append")
    update()
    assert len(parts_of("s.json")) == 3
    shutil.rmtree("s.json.parts")
    DeltaTable("t").delete("x = 0")
    with caplog.at_level("INFO"):
        update()
    assert "parts of s.json are not there, or not what was counted: all its files are counted again" in caplog.text
    assert len(parts_of("s.json")) == len(DeltaTable("t").file_uris())
    write_deltalake("t", x(5), mode="append")
    update()


def test_files_that_vanish_before_they_are_read_are_looked_for_in_a_newer_version(monkeypatch):
    from streamnorm.inputs.delta import DeltaLake

    write_deltalake("t", x(1, 2))
    write_deltalake("t", x(3), mode="append")
    update()
    write_deltalake("t", x(4), mode="append")
    listed = DeltaLake.snapshot
    times = []

    def then_rewritten(self, version=None, as_of=None):
        found = listed(self, version, as_of)
        times.append(found.version)
        if len(times) < 3:
            write_deltalake("t", x(len(times)), mode="append")
            DeltaTable("t").optimize.compact()
            DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        return found

    monkeypatch.setattr(DeltaLake, "snapshot", then_rewritten)
    fitted = sn.fit("t", state="s.json", update=True)
    assert len(times) == 3
    assert fitted == sn.TableNormalizer().fit(rows_of("t"))


def test_a_file_that_is_gone_for_good_is_named():
    write_deltalake("t", x(1, 2))
    update()
    write_deltalake("t", x(3), mode="append")
    (new,) = set(DeltaTable("t").file_uris()) - set(DeltaTable("t", version=0).file_uris())
    before = Path("s.json").read_bytes()
    Path(new).unlink()
    with pytest.raises(SourceError, match=r"^t/.*\.parquet is in version 1 of t and is not there, as after a vacuum"):
        sn.fit("t", state="s.json", update=True)
    assert Path("s.json").read_bytes() == before
    with pytest.raises(SourceError, match="is in version 1 of t and is not there"):
        sn.fit("t", version=1)


def test_a_file_of_other_rows_than_the_table_says():
    table = Path("t")
    commit(table, 0, protocol(), metadata([column("x")]), add(table, "a.parquet", x(1, 2)))
    pq.write_table(x(1, 2, 3), table / "a.parquet")
    with pytest.raises(SourceError, match=r"t/a\.parquet has 3 rows, and its table says 2: restore the file"):
        sn.fit("t")


@pytest.mark.parametrize("feature", ["typeWidening", "variantType", "fromTheFuture"])
def test_what_a_table_asks_of_readers_and_is_not_understood_is_named(feature):
    table = Path("t")
    commit(table, 0, protocol(feature), metadata([column("x")]), add(table, "a.parquet", x(1, 2)))
    with pytest.raises(SourceError, match=feature):
        sn.fit("t")


def test_files_of_another_table_by_their_whole_path(tmp_path):
    table = Path("t")
    pq.write_table(x(1, 2), "one file.parquet")
    for version, start in enumerate(["file://", ""]):
        size, name = Path("one file.parquet").stat().st_size, f"{start}{tmp_path}/one%20file.parquet"
        action = {"path": name, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
        log = tmp_path / f"t{version}"
        commit(log, 0, protocol(), metadata([column("x")]), {"add": {**action, "stats": None}})
        assert sn.fit(log) == sn.TableNormalizer().fit(x(1, 2))
    assert not table.exists()


def test_a_table_in_a_store():
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"127.0.0.1:{server.get_host_and_port()[1]}"
    settings = f"scheme=http&endpoint_override={address}&region=us-east-1&allow_bucket_creation=true"
    filesystem, _ = fs.FileSystem.from_uri(f"s3://key:secret@lake?{settings}")
    filesystem.create_dir("lake")  # servers of one process share their buckets
    options = {
        "AWS_ENDPOINT_URL": f"http://{address}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
    }  # fmt: skip
    table = f"s3://key:secret@lake/a/t?{settings}"
    rows = some_rows(np.random.default_rng(0), 60)
    write_deltalake("s3://lake/a/t", rows, storage_options=options, partition_by=["k"])
    assert sn.fit(table, state="s.json") == sn.TableNormalizer().fit(rows)
    write_deltalake("s3://lake/a/t", rows.slice(0, 9), storage_options=options, mode="append")
    fitted = sn.fit(table, state="s.json", update=True)
    assert fitted == sn.TableNormalizer().fit(pa.concat_tables([rows, rows.slice(0, 9)]))
    assert fitted.sources_[0].location == "s3://lake/a/t"
    DeltaTable("s3://lake/a/t", storage_options=options).optimize.compact()
    assert sn.fit(table, state="s.json", update=True) == fitted
    assert sum(len(pq.read_table(p, partitioning=None)) for p in sn.transform("s.json", table, "out")) == 69
    server.stop()


def test_rows_that_are_deleted_of_a_table_in_a_store(tmp_path, monkeypatch):
    table = Path("up/a b/t")
    fields = metadata([column("x"), column("p", "string")], ["p"])
    one = {"partitionValues": {"p": "q"}, "deletionVector": deleted([1])}
    two = {"partitionValues": {"p": "a b"}, "deletionVector": deleted([0])}
    plain = add(table, "p=a%20b/f.parquet", x(5, 6, 7), **two)
    plain["add"]["path"] = "p=a%2520b/f.parquet"
    commit(table, 0, MAPPED, fields, add(table, "p=q/a.parquet", x(1, 2, 3), **one), plain)
    with stores.server() as bucket:
        bucket.put_tree(Path("up"))
        for name, value in stores.environment(bucket.endpoint).items():
            monkeypatch.setenv(name, value)
        assert sn.fit("s3://bucket/a%20b/t") == sn.TableNormalizer().fit(x(1, 3, 6, 7))


# ---- the walk ----

KINDS = {
    "standard": {},
    "minmax": {"default": "minmax"},
    "maxabs": {"default": "maxabs"},
    "robust": {"default": sn.RobustScaler(max_bins=16)},
    "quantile": {"default": sn.QuantileTransformer(max_bins=16)},
    "profile": {"profile": True},
    "by": {"by": "k"},
    "robust by": {"default": sn.RobustScaler(max_bins=8), "by": ["p", "k"]},
    "several": {"columns": {"x": "robust", "n": "minmax"}},
}


def walk(path: Path, seed: int, steps: int, kinds: list[str]) -> None:
    from lakes import Walk

    walked = Walk(path / "t", seed)
    for kind in kinds:
        sn.fit(path / "t", sn.TableNormalizer(**KINDS[kind]), state=path / f"{kind}.json")
    for step in range(steps):
        what = walked.step()
        rows = rows_of(path / "t")
        for kind in kinds:
            fitted = sn.fit(path / "t", state=path / f"{kind}.json", update=True)
            assert fitted.digest() == sn.TableNormalizer(**KINDS[kind]).fit(rows).digest(), (seed, step, what, kind)
    fresh = sn.fit(path / "t", sn.TableNormalizer(**KINDS[kinds[0]]))
    assert fresh == sn.load(path / f"{kinds[0]}.json")


@pytest.mark.parametrize("seed", range(3))
def test_a_random_walk_ends_in_a_fresh_fit_of_every_version(tmp_path, seed):
    walk(tmp_path, seed, 6, ["standard", "robust by"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_long_random_walk_ends_in_a_fresh_fit_of_every_version(tmp_path, seed):
    walk(tmp_path, seed, 50, list(KINDS))
