"""The same bits on Spark: a real local session and a Spark Connect one beside it, in one JVM."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import (
    AGEING,
    NUMBERS,
    SCALERS,
    check_job,
    in_order,
    rows,
    with_infinity,
    write_damaged,
    write_folder,
)
from sparks import classic as classic_session
from sparks import connected, need_spark, quiet

import streamnorm as sn
from streamnorm.errors import DataError, SourceError, StreamnormError

need_spark()
pytestmark = [pytest.mark.slow, quiet]


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    """A session that tries a task twice and serves Spark Connect."""
    settings = {"session__timeZone": "UTC", "shuffle__partitions": 4, "execution__arrow__maxRecordsPerBatch": 150}
    with classic_session(tmp_path_factory.mktemp("warehouse"), "local[2,2]", serving=True, **settings) as session:
        yield session


@pytest.fixture(scope="module")
def connect(classic):
    with connected(classic) as session:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        yield session


# For the whole module, so that pytest puts all tests on the classic session first: PySpark knows one kind at a time.
@pytest.fixture(scope="module", params=["classic", "connect"])
def spark(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tables = [rows(700, 0), rows(0, 1), rows(500, 2), rows(1, 3)]
    return write_folder(tmp_path_factory.mktemp("many"), tables)


@pytest.mark.parametrize("scaler", SCALERS)
def test_the_state_and_the_values_are_those_of_one_machine(spark, folder, scaler):
    normalizer = sn.TableNormalizer(scaler)
    df = spark.read.parquet(str(folder))
    local, fitted = sn.fit(folder, normalizer), sn.spark.fit(df, normalizer)
    assert fitted == local
    assert fitted.digest() == local.digest()
    result = sn.spark.transform(fitted, df).toArrow()
    expected = local.transform(pq.read_table(folder))
    assert in_order(result) == in_order(expected)
    assert result.schema.names == expected.schema.names


def test_keys(spark, folder):
    normalizer = sn.TableNormalizer(columns={"far": "robust"}, exclude=["count"], by=["small", "day"], min_count=5)
    df = spark.read.parquet(str(folder))
    local, fitted = sn.fit(folder, normalizer), sn.spark.fit(df.repartition(3), normalizer)
    assert fitted == local
    assert fitted.digest() == local.digest()
    expected = local.transform(pq.read_table(folder))
    assert in_order(sn.spark.transform(fitted, df).toArrow()) == in_order(expected)


@pytest.mark.parametrize("kind", AGEING)
def test_rows_that_age(spark, folder, kind):
    df = spark.read.parquet(str(folder))
    local, fitted = sn.fit(folder, AGEING[kind]), sn.spark.fit(df.repartition(3), AGEING[kind])
    assert fitted == local
    assert fitted.digest() == local.digest()
    expected = local.transform(pq.read_table(folder))
    assert in_order(sn.spark.transform(fitted, df).toArrow()) == in_order(expected)


def test_rows_that_age_by_times_without_a_zone_and_without_a_time(spark, folder):
    df = spark.read.parquet(str(folder)).orderBy("id").coalesce(1)
    local = df.selectExpr("id", "price", "cast(when as timestamp_ntz) when")
    normalizer = sn.TableNormalizer(sn.StandardScaler(halflife="30us"), time="when")
    assert sn.spark.fit(local, normalizer) == normalizer.fit(local.toArrow())
    lacking = df.selectExpr("price", "if(id = '0-00400', null, when) when")
    with pytest.raises(DataError, match=r"^partition 0: column 'when', row \d+ of the batch: there is no time"):
        sn.spark.fit(lacking, normalizer)


def test_vectors_by_key(spark, tmp_path):
    rng = np.random.default_rng(4)
    actions, names = rng.normal(size=(400, 3)).tolist(), [str(i) for i in range(400)]
    table = pa.table({"id": names, "episode": rng.integers(0, 5, 400), "action": actions})
    pq.write_table(table, tmp_path / "episodes.parquet")
    normalizer = sn.TableNormalizer("robust", {"action": "robust"}, by="episode", profile=True)
    df = spark.read.parquet(str(tmp_path / "episodes.parquet"))
    fitted, local = sn.spark.fit(df.repartition(3), normalizer), sn.fit(tmp_path, normalizer)
    assert fitted == local
    assert fitted.without(3) == local.without(3)
    expected = local.transform(table)
    assert in_order(sn.spark.transform(fitted, df).toArrow()) == in_order(expected)
    half = sn.spark.fit(df, sn.TableNormalizer.from_recipe({"columns": {"action": {"type": "float16"}}}))
    with pytest.raises(DataError, match="column 'action' would be halffloat, which Spark does not have"):
        sn.spark.transform(half, df)


def test_columns_of_nulls_are_remembered(spark):
    blank = spark.sql("SELECT 1.0D a, NULL b UNION ALL SELECT 3.0D, NULL")
    fitted = sn.spark.fit(blank)
    assert fitted == sn.TableNormalizer().fit(pa.table({"a": [1.0, 3.0], "b": pa.nulls(2)}))
    text = spark.sql("SELECT 1.0D a, 'x' b")
    assert sn.spark.transform(fitted, text).toArrow().to_pylist() == [{"a": -1.0, "b": "x"}]
    assert sn.spark.transform(fitted, blank).toArrow()["b"].null_count == 2
    with pytest.warns(UserWarning, match="no value of column 'b' was seen"):
        numbers = sn.spark.transform(fitted, spark.sql("SELECT 1.0D a, 700.0D b"))
    assert np.isnan(numbers.toArrow()["b"][0].as_py())


def test_the_session_is_a_real_one_of_its_kind(spark, request):
    kind = {"classic": "pyspark.sql.session", "connect": "pyspark.sql.connect.session"}
    assert type(spark).__module__ == kind[request.node.callspec.params["spark"]]


def test_no_partitioning_changes_a_bit(spark, folder):
    df = spark.read.parquet(str(folder))
    digests = {sn.spark.fit(df.repartition(n)).digest() for n in (1, 12)}
    assert digests == {sn.fit(folder).digest()}


def test_columns_are_chosen_as_for_files(spark, folder):
    normalizer = sn.TableNormalizer(
        None, {"price": "robust", "count": sn.MinMaxScaler((-1, 1)), "flag": "standard"}, dtype="float32"
    )
    df = spark.read.parquet(str(folder))
    fitted = sn.spark.fit(df, normalizer)
    assert fitted.digest() == sn.fit(folder, normalizer).digest()
    result = sn.spark.transform(fitted, df)
    assert {name for name, kind in result.dtypes if kind == "float"} == {"price", "count", "flag", "single"}
    assert in_order(result.toArrow()) == in_order(fitted.transform(pq.read_table(folder)))


def test_other_columns_keep_type_nullability_and_metadata(spark, folder):
    df = spark.read.parquet(str(folder)).selectExpr("*", "map('a', 1) m", "parse_json('{\"b\":1}') v", "struct(id) s")
    df = df.withMetadata("day", {"about": "the day"}).withMetadata("price", {"unit": "EUR"})
    result = sn.spark.transform(sn.fit(folder), df)
    before, after = ({field.name: field for field in frame.schema.fields} for frame in (df, result))
    assert list(before) == list(after)
    assert {name for name in before if before[name] != after[name]} == {"count", "small", "money"}  # to double
    assert {after[name].dataType.typeName() for name in NUMBERS} == {"double", "float"}
    assert after["price"].metadata == {"unit": "EUR"}
    assert result.select("m", "s").collect() == df.select("m", "s").collect()
    assert result.selectExpr("to_json(v) v").first()["v"] == '{"b":1}'


def test_suffix_and_inverse(spark, folder):
    df = spark.read.parquet(str(folder))
    fitted = sn.spark.fit(df, sn.TableNormalizer(None, {"price": "standard"}, suffix="_z"))
    there = sn.spark.transform(fitted, df)
    assert there.columns == [*df.columns, "price_z"]
    back = sn.spark.transform(fitted, there, inverse=True)
    assert back.columns == df.columns
    local = fitted.inverse_transform(fitted.transform(pq.read_table(folder)))
    assert in_order(back.toArrow()) == in_order(local)


def test_a_scaler_stands_for_a_table_of_it_and_odd_names_are_names(spark):
    table = pa.table({"a.b": [1.0, 2.0, None], "c`d e": [1, 2, 4], "select": ["x", "y", "z"]})
    df = spark.createDataFrame(table)
    fitted = sn.spark.fit(df, sn.StandardScaler(ddof=1))
    assert fitted == sn.TableNormalizer(sn.StandardScaler(ddof=1)).fit(table)
    assert sn.spark.transform(fitted, df).toArrow().to_pydict() == fitted.transform(table).to_pydict()


def test_partitions_without_rows_and_frames_without_rows(spark, folder):
    df = spark.read.parquet(str(folder))
    few = df.where("id = '0-00003'").repartition(5)
    assert sn.spark.fit(few) == sn.TableNormalizer().fit(few.toArrow())
    none = df.where("id = 'no such'")
    fitted = sn.spark.fit(none)
    assert fitted == sn.TableNormalizer().fit(rows(0, 0))
    with pytest.warns(UserWarning, match="no value of column 'price'"):
        assert sn.spark.transform(fitted, none).count() == 0


def test_a_task_that_is_retried_counts_once(spark, folder):
    def fail_at_first(batches):
        from pyspark import TaskContext

        context = TaskContext.get()
        yield from batches
        if context.attemptNumber() == 0 and context.partitionId() % 2 == 0:
            raise OSError("the machine is gone")

    df = spark.read.parquet(str(folder)).repartition(4)
    flaky = df.mapInArrow(fail_at_first, df.schema)
    fitted = sn.spark.fit(flaky)
    assert fitted.digest() == sn.fit(folder).digest()
    assert in_order(sn.spark.transform(fitted, flaky).toArrow()) == in_order(fitted.transform(pq.read_table(folder)))


def test_an_infinity_is_told_with_its_partition_and_row(spark, tmp_path):
    from pyspark.errors import PySparkException

    folder = write_folder(tmp_path, [with_infinity(rows(400, 0), 310)])
    df = spark.read.parquet(str(folder)).repartition(3, "id").sortWithinPartitions("id")
    where = df.selectExpr("spark_partition_id() p", "far").toArrow().to_pydict()
    number = where["p"][where["far"].index(float("inf"))]
    row = [far for p, far in zip(where["p"], where["far"], strict=True) if p == number].index(float("inf")) + 1
    with pytest.raises(DataError) as local:
        sn.fit(folder)
    sentence = str(local.value).partition(".parquet: ")[2].replace("row 311", f"row {row}")
    message = rf"partition {number}: {re.escape(sentence)}$"
    with pytest.raises(DataError, match=f"^{message}"):
        sn.spark.fit(df)
    fitted = sn.spark.fit(df, sn.TableNormalizer(infinite="skip"))
    assert fitted == sn.fit(folder, sn.TableNormalizer(infinite="skip"))
    strict = sn.TableNormalizer().fit(rows(400, 0))
    with pytest.raises(PySparkException, match=f"(?m)DataError: {message}"):  # Spark puts its own lines before
        sn.spark.transform(strict, df).toArrow()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("page", "can not read class .*PageHeader"),
        ("cut short", "file:.*/part1.parquet is not a Parquet file"),
        ("text", r"Data type mismatches when reading Parquet column \[price\]"),
    ],
)
def test_a_file_that_spark_cannot_read_is_one_sentence(spark, tmp_path, damage, reason):
    df = spark.read.parquet(str(write_damaged(tmp_path, damage)))
    line = rf"^file:/+\S+/part1\.parquet cannot be read: {reason}[^\n]*; restore the file or leave it out\.$"
    with pytest.raises(SourceError, match=line):
        sn.spark.fit(df)
    fitted = sn.TableNormalizer().fit(rows(300, 0))
    with pytest.raises(Exception, match=rf"reading file file:\S+/part1\.parquet(.|\n)*{reason}"):  # Spark's own, lazily
        sn.spark.transform(fitted, df).toArrow()


def test_what_is_wrong_beside_files_stays_what_spark_says(spark, folder):
    def fail(batches):
        raise LookupError("of the step before")
        yield

    df = spark.read.parquet(str(folder))
    with pytest.raises(Exception, match="LookupError: of the step before") as error:
        sn.spark.fit(df.mapInArrow(fail, df.schema))
    assert not isinstance(error.value, StreamnormError)


def test_what_does_not_fit_is_told_before_anything_runs(spark, folder):
    df = spark.read.parquet(str(folder))
    with pytest.raises(DataError, match="did you mean 'price'"):
        sn.spark.fit(df, sn.TableNormalizer(columns={"prise": "robust"}))
    with pytest.raises(DataError, match="column 'price' is missing here"):
        sn.spark.transform(sn.fit(folder), df.drop("price"))
    with pytest.raises(DataError, match="Spark has no float16"):
        sn.spark.transform(sn.fit(folder, sn.TableNormalizer(dtype="float16")), df)
    with pytest.raises(DataError, match="no column to normalise"):
        sn.spark.fit(df.select("id", "day"))


def test_exported_sql_has_the_same_bits(classic, tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            'we"i`r\\d': pa.array([None, np.nan, *rng.normal(size=998)]),
            "small": pa.array([None, np.nan, *rng.normal(3, 1, 998)], pa.float32()),
            "flag": rng.random(1000) < 0.3,
            "constant": np.full(1000, 7.0),
            "whole": rng.integers(-9, 9, 1000),
            "other": rng.lognormal(0, 3, 1000),
            "far": pa.array([None, np.nan, *rng.standard_t(1, 998)]),
            "capped": pa.array([None, np.nan, *rng.standard_t(1, 998)]),
        }
    )
    columns = {
        "whole": sn.MinMaxScaler(clip=True), "flag": "standard", "other": sn.QuantileTransformer(n_quantiles=20),
        "far": "squashing", "capped": sn.Winsorizer("iqr", "both"),
    }  # fmt: skip
    normalizer = sn.TableNormalizer(columns=columns).fit(table.slice(0, 500))
    pq.write_table(table, tmp_path / "t.parquet")
    classic.read.parquet(str(tmp_path / "t.parquet")).createOrReplaceTempView("source")
    found, wanted = classic.sql(sn.export.to_sql(normalizer, dialect="spark")).toArrow(), normalizer.transform(table)
    for name in table.column_names:
        ours, theirs = (t[name].combine_chunks() for t in (wanted, found))
        assert (theirs.type, theirs.is_valid().to_pylist()) == (ours.type, ours.is_valid().to_pylist())
        np.testing.assert_array_equal(
            theirs.fill_null(0.0).to_numpy(), ours.fill_null(0.0).to_numpy(), err_msg=name, strict=True
        )


def test_the_job_to_copy(folder, tmp_path):
    check_job("spark_etl.py", folder, tmp_path)
