"""Structured Streaming: a batch that runs twice counts once, on a classic session and on Spark Connect."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import rows
from sparks import classic as classic_session
from sparks import connected, need_spark, quiet

import streamnorm as sn
from streamnorm.errors import DataError

need_spark()
pytestmark = [pytest.mark.slow, quiet]

TABLES = [rows(300, seed).select(["id", "price", "count", "small"]) for seed in range(4)]
SCHEMA = "id string, price double, count long, small tinyint"


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    with classic_session(tmp_path_factory.mktemp("warehouse"), serving=True) as session:
        yield session


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def put(place, number: int) -> None:
    pq.write_table(TABLES[number], place / ".new")
    (place / ".new").rename(place / "in" / f"{number}.parquet")


def run(session, place, function, checkpoint: str = "ckpt"):
    """Run a query over all files that are there, a batch for each, as a nightly job does."""
    stream = session.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(str(place / "in"))
    query = stream.writeStream.foreachBatch(function).option("checkpointLocation", str(place / checkpoint))
    query = query.trigger(availableNow=True).start()
    try:
        query.awaitTermination()
    finally:
        query.stop()


def fit(*numbers: int):
    return sn.TableNormalizer("robust").fit(pa.concat_tables([TABLES[number] for number in numbers]))


def test_each_batch_counts_once_over_nights(classic, place):
    learn = sn.spark.learner(place / "s.json", sn.TableNormalizer("robust"))
    for night in (range(2), range(2, 3), range(3, 3), range(3, 4)):
        for number in night:
            put(place, number)
        run(classic, place, learn)
        assert sn.load(place / "s.json") == fit(*range(night.stop))
    ((name, position),) = sn.load(place / "s.json").positions_.streams.items()
    assert name.startswith("spark/")
    assert position.ranges == ((0, 4),)


def test_rows_that_age(classic, place):
    normalizer = sn.TableNormalizer(sn.StandardScaler(halflife=3), time="small")
    for number in (2, 0, 1):
        put(place, number)
    run(classic, place, sn.spark.learner(place / "s.json", normalizer))
    assert sn.load(place / "s.json") == normalizer.fit(pa.concat_tables(TABLES[:3]))


def test_stopped_between_the_state_and_the_note_that_a_batch_is_done(classic, place):
    learn, ran = sn.spark.learner(place / "s.json", sn.TableNormalizer("robust")), []

    def stopped(df, batch_id):
        learn(df, batch_id)
        ran.append(batch_id)
        if batch_id == 1 and ran.count(1) == 1:
            raise RuntimeError("stopped here")

    for number in range(3):
        put(place, number)
    with pytest.raises(Exception, match="stopped here"):
        run(classic, place, stopped)
    (position,) = sn.load(place / "s.json").positions_.streams.values()
    assert position.ranges == ((0, 2),)
    run(classic, place, stopped)
    assert ran == [0, 1, 1, 2]
    assert sn.load(place / "s.json") == fit(0, 1, 2)


def test_a_new_checkpoint_is_another_query_and_a_named_one_the_same(classic, place):
    put(place, 0)
    run(classic, place, sn.spark.learner(place / "s.json"))
    run(classic, place, sn.spark.learner(place / "s.json"), "another")
    assert len(sn.load(place / "s.json").positions_.streams) == 2
    for checkpoint in ("third", "fourth"):
        run(classic, place, sn.spark.learner(place / "named.json", query="prices"), checkpoint)
    assert sn.load(place / "named.json").positions_.to_json() == {"spark/prices": {"ranges": [[0, 1]]}}


def test_other_scalers_and_missing_batches_are_refused(classic, place):
    put(place, 0)
    run(classic, place, sn.spark.learner(place / "s.json", "robust"))
    before = (place / "s.json").read_bytes()
    batch = classic.createDataFrame(TABLES[1].to_pandas())
    with pytest.raises(DataError, match="ask for none"):
        sn.spark.learner(place / "s.json", "minmax", query="other")(batch, 0)
    sn.spark.learner(place / "t.json", query="q")(batch, 3)
    with pytest.raises(DataError, match="spark/q: the range 5 to 5 does not begin where what was counted ends, at 4"):
        sn.spark.learner(place / "t.json", query="q")(batch, 5)
    with pytest.raises(DataError, match="name it"):
        sn.spark.learner(place / "t.json")(batch, 4)
    assert (place / "s.json").read_bytes() == before


def test_on_spark_connect(classic, place):
    with connected(classic) as session:
        for night in range(2):
            put(place, night)
            run(session, place, sn.spark.learner(str(place / "s.json"), sn.TableNormalizer("robust"), query="q"))
    assert sn.load(place / "s.json") == fit(0, 1)
    assert sn.load(place / "s.json").positions_.to_json() == {"spark/q": {"ranges": [[0, 2]]}}
