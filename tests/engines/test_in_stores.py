"""Clusters with their files or their state in a store: the same bits, and batches that are counted once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
import stores
from sparks import classic, need_spark, quiet

import streamnorm as sn
from streamnorm.errors import OutputError

pytestmark = [pytest.mark.slow, quiet]
BUCKET = "s3://bucket"


def numbers(seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"x": rng.normal(size=3000), "y": rng.integers(0, 99, 3000), "shop": ["a", "b", "c"] * 1000})


@pytest.fixture(scope="module")
def server():
    with stores.server() as bucket, pytest.MonkeyPatch.context() as patch:
        for name, value in stores.environment(bucket.endpoint).items():
            patch.setenv(name, value)  # before a cluster begins, whose workers inherit it
        yield bucket


@pytest.fixture
def bucket(server, tmp_path):
    """A bucket with a folder of files, of which `tmp_path` has a copy."""
    server.clear()
    (tmp_path / "in" / "day=1").mkdir(parents=True)
    pq.write_table(numbers(0), tmp_path / "in" / "a b.parquet", row_group_size=500)
    pq.write_table(numbers(1), tmp_path / "in" / "day=1" / "b.parquet")
    pv.write_csv(numbers(2), tmp_path / "in" / "day=1" / "c.csv")
    server.put_tree(tmp_path)
    return server


def below(folder):
    """Give the files of a folder, without the records of jobs, which a store needs none of."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.*")
        if path.suffix != ".resume"
    }


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask_reads_and_writes_there(scheduler, bucket, tmp_path, monkeypatch):
    dask = pytest.importorskip("dask", reason="needs the extra 'dask'")
    monkeypatch.setattr("streamnorm.engines.dask._TASK_BYTES", 10_000)  # several tasks a file
    with dask.config.set(scheduler=scheduler, num_workers=2):
        fitted = sn.dask.fit(f"{BUCKET}/in", sn.TableNormalizer("robust"))
        assert fitted == sn.fit(tmp_path / "in", sn.TableNormalizer("robust"))
        sn.save(fitted, f"{BUCKET}/s.json")
        known = sn.load(f"{BUCKET}/s.json")
        written = sn.dask.transform(known, f"{BUCKET}/in", f"{BUCKET}/out")
        assert [str(place) for place in written] == [
            f"{BUCKET}/out/{name}" for name in ("a%20b.parquet", "day=1/b.parquet", "day=1/c.csv")
        ]
        with pytest.raises(OutputError, match=r"^s3://bucket/out/a%20b.parquet exists: .*--overwrite"):
            sn.dask.transform(known, f"{BUCKET}/in", f"{BUCKET}/out")
        sn.dask.transform(known, f"{BUCKET}/out", f"{BUCKET}/back", inverse=True)
    sn.transform(fitted, tmp_path / "in", tmp_path / "out")
    sn.transform(fitted, tmp_path / "out", tmp_path / "back", inverse=True)
    assert {name: data for name, data in bucket.tree().items() if name != "s.json"} == below(tmp_path)


@pytest.fixture(scope="module")
def session(server, tmp_path_factory):
    need_spark()
    with classic(tmp_path_factory.mktemp("warehouse")) as session:
        yield session


def test_the_state_of_spark_lies_there(session, bucket, tmp_path):
    """Spark reads what lies here; driver and workers know the state in the store."""
    df = session.read.parquet(str(tmp_path / "in" / "a b.parquet"))
    sn.save(sn.spark.fit(df, sn.TableNormalizer("robust")), f"{BUCKET}/s.json")
    assert sn.load(f"{BUCKET}/s.json") == sn.TableNormalizer("robust").fit(numbers(0))
    out = sn.spark.transform(sn.load(f"{BUCKET}/s.json"), df).toArrow()
    assert sorted(out["x"].to_pylist()) == sorted(sn.load(f"{BUCKET}/s.json").transform(numbers(0))["x"].to_pylist())


def test_batches_of_a_query_are_counted_once_in_a_state_there(session, bucket, tmp_path):
    learn = sn.spark.learner(f"{BUCKET}/stream.json", sn.TableNormalizer("robust"), query="prices")
    for number in range(2):
        batch = session.createDataFrame(numbers(number).to_pandas())
        learn(batch, number)
        learn(batch, number)  # Spark stopped before it had noted that it was done
    known = sn.load(f"{BUCKET}/stream.json")
    assert known == sn.TableNormalizer("robust").fit(pa.concat_tables([numbers(0), numbers(1)]))
    assert known.positions_.to_json() == {"spark/prices": {"ranges": [[0, 2]]}}
    assert list(bucket.tree()) == ["in/a b.parquet", "in/day=1/b.parquet", "in/day=1/c.csv", "stream.json"]
