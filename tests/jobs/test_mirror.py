"""A mirror holds the normalised rows of the table it mirrors, and each of its commits does what the table did, once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stores
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from lakes import Walk, add, column, commit, deleted, metadata, protocol, remove, rows_of, some_rows
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, OutputError

COMMAND = [sys.executable, "-c", "from streamnorm.command import main; main()"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sorted_rows(table: pa.Table) -> pa.Table:
    names = sorted(table.column_names)
    plain = table.select(names).cast(pa.schema([table.schema.field(n).remove_metadata() for n in names]))
    return plain.combine_chunks().sort_by([(name, "ascending") for name in names])


def check(table: str = "t", mirror: str = "z") -> None:
    rows, found = rows_of(table), rows_of(mirror)
    expected = sn.load("s.json").transform(rows)
    by = DeltaTable(mirror).metadata().partition_columns
    assert by == DeltaTable(table).metadata().partition_columns
    for name in by:  # is left as it is
        expected = expected.set_column(expected.column_names.index(name), name, rows.column(name))
    assert sorted_rows(found).equals(sorted_rows(expected.select(found.column_names)))


def test_a_mirror_does_what_the_table_did_once(capsys):
    write_deltalake("t", some_rows(np.random.default_rng(0), 60))
    write_deltalake("t", some_rows(np.random.default_rng(1), 30), mode="append")
    sn.fit("t", state="s.json")
    done = streamnorm(capsys, "transform", "s.json", "t", "--output", "z", "--update")
    assert (done.code, done.err) == (0, "z: version 1 mirrored: 2 files added, 0 taken out; in all 2 files\n")
    check()
    version = DeltaTable("z").version()
    done = streamnorm(capsys, "transform", "s.json", "t", "--output", "z", "--update")
    assert (done.code, done.err) == (0, "z: version 1 mirrored: 0 files added, 0 taken out; in all 2 files\n")
    assert DeltaTable("z").version() == version
    DeltaTable("t").delete("id < 200")
    write_deltalake("t", some_rows(np.random.default_rng(2), 10), mode="append")
    assert streamnorm(capsys, "transform", "s.json", "t", "--output", "z", "--update").code == 0
    assert DeltaTable("z").version() == version + 1
    actions = [json.loads(line) for line in Path(f"z/_delta_log/{version + 1:020}.json").read_text().splitlines()]
    identity = str(DeltaTable("t").metadata().id)
    (transaction,) = [action["txn"] for action in actions if "txn" in action]
    assert (transaction["appId"], transaction["version"]) == (f"streamnorm-{identity}", DeltaTable("t").version())
    check()


@pytest.mark.parametrize("seed", range(3))
def test_a_mirror_of_a_random_walk(tmp_path, seed):
    walk = Walk(tmp_path / "t", seed)
    sn.fit("t", state="s.json")
    for _ in range(8):
        walk.step()
        written = sn.transform("s.json", "t", "z", update=True)
        assert {path.name for path in written} == {Path(name).name for name in DeltaTable("z").file_uris()}
        check()


ODD = ["a", "b b", "c/d", None, "é%", "k=1", "..", "a:b?#*", "x" * 300]


@pytest.mark.parametrize("by", [["k"], ["k", "p"], ["x"], ["id", "k"]])
def test_a_mirror_is_partitioned_as_the_table(by):
    rows = pa.table({"id": range(9), "x": [i / 4 for i in range(9)], "k": ODD, "p": [1, 2, None] * 3})
    rows = rows.append_column("y", rows.column("x"))
    write_deltalake("t", rows.filter(pa.compute.less(rows["id"], 7)), partition_by=by)
    sn.fit("t", state="s.json")
    sn.transform("s.json", "t", "z", update=True)
    check()
    if "k" not in by:  # deltalake names a folder after the long one
        write_deltalake("t", rows.slice(7), mode="append")
    DeltaTable("t").delete("id < 3")
    written = sn.transform("s.json", "t", "z", update=True)
    check()
    before = DeltaTable("z").version()
    assert sn.transform("s.json", "t", "z", update=True) == written
    assert DeltaTable("z").version() == before
    names = DeltaTable("z", version=before).get_add_actions(flatten=True).column("path").to_pylist()
    assert all(name.startswith(f"{by[0]}=") for name in names)
    write_deltalake("t", rows.slice(0, 2), mode="overwrite", schema_mode="overwrite", partition_by=["p"])
    sn.transform("s.json", "t", "z", update=True)
    check()


def test_partition_values_of_other_types_and_by_keys():
    table = Path("t")
    fields = [column("x"), column("day", "date"), column("price", "decimal(5,2)"), column("on", "boolean"),
              column("at", "timestamp"), column("f", "double")]  # fmt: skip
    one = {"day": "2026-01-31", "price": "12.50", "on": "true", "at": "2026-01-31 12:00:00.5", "f": "1.5E-300"}
    rows = pa.table({"x": [1.0, 2.0]})
    names = list(one)
    commit(
        table, 0, protocol(), metadata(fields, names),
        add(table, "a.parquet", rows, partitionValues=one),
        add(table, "b.parquet", rows, partitionValues=dict.fromkeys(names)),
    )  # fmt: skip
    sn.fit("t", sn.TableNormalizer(by="day"), state="s.json")
    sn.transform("s.json", "t", "z", update=True)
    check()


def test_values_that_a_log_cannot_write_are_refused(monkeypatch):
    from streamnorm.inputs.delta import DeltaLake

    write_deltalake("t", pa.table({"x": [1.0, 2.0], "b": [b"a", b"a"]}), partition_by=["b"])
    sn.fit("t", state="s.json")
    sn.transform("s.json", "t", "y", update=True)
    check(mirror="y")
    listed = DeltaLake.snapshot

    def of_bytes(self, version=None, as_of=None):
        found = listed(self, version, as_of)
        files = tuple(dataclasses.replace(f, constants={"b": pa.array([b"\xff"])}) for f in found.files)
        return dataclasses.replace(found, files=files)

    monkeypatch.setattr(DeltaLake, "snapshot", of_bytes)
    with pytest.raises(OutputError, match="the mirror cannot be partitioned by 'b': its values are of type binary"):
        sn.transform("s.json", "t", "z", update=True)


def test_what_a_process_that_was_killed_while_it_made_a_mirror_leaves():
    write_deltalake("t", some_rows(np.random.default_rng(0), 60))
    sn.fit("t", state="s.json")
    Path("z/_delta_log").mkdir(parents=True)
    sn.transform("s.json", "t", "z", update=True)
    check()


def test_a_mirror_in_a_store(tmp_path, monkeypatch):
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    with stores.server() as bucket:
        address = bucket.endpoint.removeprefix("http://")
        mirror = f"s3://key:secret@bucket/a/z?scheme=http&endpoint_override={address}&region=us-east-1"
        options = {
            "AWS_ENDPOINT_URL": bucket.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        }  # fmt: skip
        write_deltalake("t", some_rows(np.random.default_rng(0), 60), partition_by=["k"])
        sn.fit("t", state="s.json")
        for number in range(3):
            written = sn.transform("s.json", "t", mirror, update=True)
            assert all(name.startswith("s3://bucket/a/z/k=") for name in written)
            opened = DeltaTable("s3://bucket/a/z", storage_options=options)
            found = pa.table(QueryBuilder().register("t", opened).execute("select * from t"))
            expected = sn.load("s.json").transform(rows_of("t"))
            assert sorted_rows(found.cast(expected.schema)).equals(sorted_rows(expected))
            assert (opened.version(), len(written)) == (number + 1, len(opened.file_uris()))
            write_deltalake("t", some_rows(np.random.default_rng(1 + number), 20), mode="append")
            DeltaTable("t").delete(f"id > {800 - 100 * number}")
        bucket.put(f"a/z/_delta_log/{4:020}.json", b'{"commitInfo": {"timestamp": 0, "operation": "WRITE"}}')

        def meanwhile(*given, **more):
            from streamnorm.jobs.copies import map_files

            bucket.put(f"a/z/_delta_log/{5:020}.json", b'{"commitInfo": {"timestamp": 0, "operation": "WRITE"}}')
            map_files(*given, **more)

        with monkeypatch.context() as patched:
            patched.setattr("streamnorm.jobs.mirroring.map_files", meanwhile)
            with pytest.raises(OutputError, match="s3://bucket/a/z was changed by another process meanwhile"):
                sn.transform("s.json", "t", mirror, update=True)
        for name, value in stores.environment(bucket.endpoint).items():
            monkeypatch.setenv(name, value)
        sn.transform("s.json", "t", "s3://bucket/a/z", update=True)
        assert DeltaTable("s3://bucket/a/z", storage_options=options).version() == 6
        assert sn.fit("s3://bucket/a/z").sources_[0].rows == sn.fit("t").sources_[0].rows
        with pytest.raises(OutputError, match="s3://bucket/a exists and is no mirror"):
            sn.transform("s.json", "t", "s3://bucket/a", update=True)


def test_deletion_vectors_and_added_columns():
    table = Path("t")
    one = pa.table({"x": [1.0, 2.0, 3.0]})
    fields = metadata([column("x")], identity="11111111-1111-1111-1111-111111111111")
    commit(table, 0, protocol("deletionVectors"), fields, add(table, "a.parquet", one))
    sn.fit("t", state="s.json")
    sn.transform("s.json", "t", "z", update=True)
    new = {"deletionVector": deleted([1])}
    commit(table, 1, remove("a.parquet"), add(table, "a.parquet", **new))
    sn.transform("s.json", "t", "z", update=True)
    check()
    more = metadata([column("x"), column("y", "string")], identity="11111111-1111-1111-1111-111111111111")
    commit(table, 2, more, add(table, "b.parquet", pa.table({"x": [9.0], "y": ["b"]})))
    sn.transform("s.json", "t", "z", update=True)
    assert rows_of("z").column_names == ["x", "y"]
    check()


def test_other_statistics_write_all_of_it_anew():
    write_deltalake("t", some_rows(np.random.default_rng(0), 60))
    sn.fit("t", state="s.json")
    sn.transform("s.json", "t", "z", update=True)
    sn.fit("t", sn.MinMaxScaler(), state="s.json", overwrite=True)
    sn.transform("s.json", "t", "z", update=True)
    check()
    DeltaTable("t").delete()
    assert sn.transform("s.json", "t", "z", update=True) == []
    assert len(rows_of("z")) == 0


def test_what_is_no_mirror_stays_as_it_is(monkeypatch):
    write_deltalake("t", some_rows(np.random.default_rng(0), 60))
    sn.fit("t", state="s.json")
    write_deltalake("other", some_rows(np.random.default_rng(0), 6))
    Path("full").mkdir()
    Path("full/file").write_text("here")
    Path("file").write_text("here")
    for output, words in (
        ("other", "is a Delta table and no mirror of this one"),
        ("full", "exists and is no mirror"),
        ("file", "file exists and is no mirror"),
        ("gs://bucket/z", "gs://bucket/z is neither on a disk nor in S3, where mirrors lie: choose such a place"),
    ):
        with pytest.raises(OutputError, match=words):
            sn.transform("s.json", "t", output, update=True)
    pq.write_table(pa.table({"x": [1.0]}), "a.parquet")
    with pytest.raises(DataError, match="only a table that changes can be mirrored"):
        sn.transform("s.json", "a.parquet", "z", update=True)
    with pytest.raises(DataError, match="neither mapped back, overwritten nor resumed"):
        sn.transform("s.json", "t", "z", update=True, inverse=True)
    sn.transform("s.json", "t", "z", update=True)
    write_deltalake("t", some_rows(np.random.default_rng(1), 6), mode="append")
    before = DeltaTable("z").version()

    def meanwhile(*given, **more):
        from streamnorm.jobs.copies import map_files

        commit(Path("z"), before + 1, {"commitInfo": {"timestamp": 0, "operation": "WRITE"}})
        map_files(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr("streamnorm.jobs.mirroring.map_files", meanwhile)
        with pytest.raises(OutputError, match="z was changed by another process meanwhile: run this again"):
            sn.transform("s.json", "t", "z", update=True)
    sn.transform("s.json", "t", "z", update=True)
    check()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_mirror_that_is_killed_is_whole_and_is_gone_on_with():
    for seed in range(4):
        write_deltalake("t", some_rows(np.random.default_rng(seed), 200), mode="append")
    sn.fit("t", state="s.json")
    sn.transform("s.json", "t", "z", update=True)
    for number in range(8):
        before = sorted_rows(rows_of("z"))
        write_deltalake("t", some_rows(np.random.default_rng(9 + number), 50), mode="append")
        DeltaTable("t").delete(f"id = {number * 37 % 1000}")
        words = ["transform", "s.json", "t", "--output", "z", "--update"]
        process = subprocess.Popen([*COMMAND, *words], stderr=subprocess.DEVNULL)
        time.sleep(0.5 + 0.25 * number)
        process.kill()
        process.wait()
        if not sorted_rows(rows_of("z")).equals(before):
            check()
        sn.transform("s.json", "t", "z", update=True)
        check()
