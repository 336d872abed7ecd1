"""Delta tables whose files were written anew, moved or removed, in stores too, and walks through their versions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stores
from deltalake import DeltaTable, write_deltalake
from kept import parts_of
from lakes import add, column, commit, deleted, follow, metadata, protocol, remove, rows_of, some_rows, x
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import SourceError

MAPPED = protocol("columnMapping", "deletionVectors")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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
    follow()
    read = read_of(monkeypatch)
    old = len(DeltaTable("t").file_uris())
    DeltaTable("t").optimize.compact()
    new = len(DeltaTable("t").file_uris())
    done = streamnorm(capsys, "fit", "t", "--state", "s.json", "--update")
    words = f"0 files added, 0 taken out, {old} only rearranged; in all 4 columns, {new} file"
    assert done.err.startswith(f"s.json: version 11 -> 12: {words}"), done.err
    assert read == []
    DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    follow()
    assert read == []
    DeltaTable("t").delete("id < 100")
    follow()
    assert read
    DeltaTable("t").optimize.z_order(["id"])
    del read[:]
    follow()
    assert read == []


def test_files_known_together_are_added_up_when_there_are_many(monkeypatch):
    monkeypatch.setattr("streamnorm.jobs.following._MOST_PARTS", 4)
    for seed in range(6):
        write_deltalake("t", some_rows(np.random.default_rng(seed), 20), mode="append")
    follow()
    sn.fit("t", sn.RobustScaler(), state="r.json")
    DeltaTable("t").optimize.compact()
    assert len(follow().sources_[0].part_names) == 1
    write_deltalake("t", some_rows(np.random.default_rng(9), 20), mode="append")
    DeltaTable("t").optimize.compact()
    DeltaTable("t").delete("id < 300")
    follow()
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
    follow()
    moved = add(table, "c.parquet", x(1, 2, 4), change=False)  # fewer rows: contained, and not all
    commit(table, 1, remove("a.parquet", change=False), remove("b.parquet", change=False), moved)
    follow()
    commit(table, 2, add(table, "c.parquet", change=False))  # statistics written anew
    follow()
    nothing_said = add(table, "d.parquet", x(1, 2, 4), change=False, stats=None)
    commit(table, 3, remove("c.parquet", change=False), nothing_said)
    follow()


def test_a_compacted_file_that_was_never_read_and_whose_origins_are_gone(monkeypatch):
    for seed in range(4):
        write_deltalake("t", x(seed, 1), mode="append")
    follow()
    write_deltalake("t", x(7), mode="append")  # never counted alone
    DeltaTable("t").optimize.compact()
    DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    follow()
    write_deltalake("t", x(8), mode="append")
    follow()
    DeltaTable("t").optimize.compact()
    follow()
    DeltaTable("t").delete("x = 8")
    DeltaTable("t").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    follow()


def test_a_range_of_versions_whose_log_is_gone():
    for seed in range(4):
        write_deltalake("t", x(seed, 1), mode="append")
    follow()
    write_deltalake("t", x(9), mode="append")
    DeltaTable("t").optimize.compact()
    DeltaTable("t").create_checkpoint()
    for version in range(5):
        Path(f"t/_delta_log/{version:020}.json").unlink()
    follow()


def test_parts_that_are_gone_are_no_harm(caplog):
    for seed in range(3):
        write_deltalake("t", x(seed, 1), mode="append")
    follow()
    assert len(parts_of("s.json")) == 3
    shutil.rmtree("s.json.parts")
    DeltaTable("t").delete("x = 0")
    with caplog.at_level("INFO"):
        follow()
    assert "parts of s.json are not there, or not what was counted: all its files are counted again" in caplog.text
    assert len(parts_of("s.json")) == len(DeltaTable("t").file_uris())
    write_deltalake("t", x(5), mode="append")
    follow()


def test_files_that_vanish_before_they_are_read_are_looked_for_in_a_newer_version(monkeypatch):
    from streamnorm.inputs.delta import DeltaLake

    write_deltalake("t", x(1, 2))
    write_deltalake("t", x(3), mode="append")
    follow()
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
    follow()
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
