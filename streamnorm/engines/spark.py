"""Spark: partitions are summarised where they lie, and the state is that of one machine, bit for bit.

`fit` and `transform` go through `DataFrame.mapInArrow` alone, so that they work on a classic session and on
Spark Connect alike. Every partition gives one binary summary; a shuffle brings these together in as many
tasks as Spark thinks right, each adds up what it gets, and the driver adds up the few that remain. Nothing
is counted on the side: a task that is retried, or run twice by speculation, gives the same summary, of which
Spark takes one.

What a cluster needs: streamnorm on every worker, and workers that run the driver's Python
(``PYSPARK_PYTHON``, best set to ``sys.executable`` before the session is made). Spark hands over 10,000 rows
at a time; ``spark.sql.execution.arrow.maxRecordsPerBatch`` at 65536 is quicker, and changes no bit.

How far it goes, for 100,000 partitions of 10,000 rows x 1,000 columns and Spark's 200 tasks, by real summaries of 400
such partitions and 200 sums of these (``python tests/benchmarks/scale.py``; histograms by 20 columns): moments take 29
bytes a column and bounds 16, so that 2.9 GB are shuffled, each task adds up its 500 partitions in 0.1 s, and the driver
gets 6 MB and needs less than 0.1 s: the partitions are the limit, not the driver. A histogram of 4,096 bins takes 8 KB
a column, and 9 KB when many were added up: 820 GB are shuffled, a task takes a minute, and the driver gets 1.9 GB, more
than ``spark.driver.maxResultSize`` allows by default (1 GB), and needs half a minute. Fewer and larger partitions, or
fewer bins, make that proportionally less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from streamnorm.arrow import no_rows
from streamnorm.engines import wire
from streamnorm.errors import DataError, SourceError
from streamnorm.jobs import mapped_schema, nothing, table_of, worker_table
from streamnorm.states import following, state_of
from streamnorm.tables import Learnt, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType, StructType

__all__ = ["fit", "learner", "transform"]

_STATES = pa.schema([("partition", pa.int32()), ("state", pa.binary()), ("error", pa.string())])
_STATES_DDL = "partition int, state binary, error string"
#: Spark's words for a file that it cannot read: the file, the reason, and the first cause that it names.
_UNREAD = re.compile(r"reading file (\S+)\.\s(.*?)SQLSTATE.*?Caused by: [\w.$]+: (.*?)\n", re.DOTALL)


def fit(df: DataFrame, normalizer: Any = None) -> Any:
    """Fit a normalizer to a Spark DataFrame.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        Of a classic session or of Spark Connect.
    normalizer : TableNormalizer or scaler, optional
        By default ``TableNormalizer()``: every numeric column is standardised. A scaler stands for a
        `TableNormalizer` that has it as its default.

    Returns
    -------
    TableNormalizer
        Fitted; equal, bit for bit, to one fitted to the same rows anywhere else.

    Raises
    ------
    DataError
        If a column does not fit or holds an infinity; says in which partition (that of
        ``spark_partition_id()``), and in which of its rows, counted from 1.
    SourceError
        If Spark cannot read a file; names it, and says why.

    Examples
    --------
    >>> import streamnorm as sn
    >>> df = spark.read.parquet("flights/")                                              # doctest: +SKIP
    >>> normalizer = sn.spark.fit(df, sn.TableNormalizer(columns={"dep_delay": "robust"}))  # doctest: +SKIP
    >>> normalizer.digest() == sn.fit("flights/", normalizer).digest()                   # doctest: +SKIP
    True
    """
    table = table_of(normalizer)
    return table.with_learnt(_fit(df, table, nothing(table, _arrow_schema(df))))


def _fit(df: DataFrame, table: Table, like: Learnt) -> Learnt:
    """Learn from a data frame.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
    table : Table
        Its settings count.
    like : Learnt
        Columns and scalers, with nothing learnt.
    """
    worker = worker_table(table, like)
    states = (
        _numbered(df)
        .select([f"c{df.columns.index(name)}" for name in worker.read_columns(worker.learnt)])
        .mapInArrow(partial(_summarise_partition, worker), _STATES_DDL)
        .repartition("partition")
        .mapInArrow(partial(_merge_states, worker), _STATES_DDL)
    )
    return wire.merge(_collect(states), worker.learnt)


@dataclass(frozen=True)
class Learner:
    """Learns from the batches of a streaming query, each once: what `learner` gives to ``foreachBatch``.

    Parameters
    ----------
    state : str or Path
        The state file, on the driver or in an object store.
    normalizer : TableNormalizer or scaler, optional
        What a new state begins with.
    query : str, optional
        What the state calls the query; by default its id.
    """

    state: str | Path
    normalizer: Any = None
    query: str | None = None

    def __call__(self, df: DataFrame, batch_id: int) -> None:
        """Learn from a batch, unless it was counted before."""
        with following(self.state, self.normalizer and table_of(self.normalizer)) as state:
            name = f"spark/{self.query or _query_of(df)}"
            if not state.uncounted(name, batch_id, batch_id + 1):
                return  # Spark stopped before it had noted that the batch was done
            table, schema = state.normalizer, _arrow_schema(df)
            state.check(no_rows(schema))
            like = table.learnt.emptied() if table.__sklearn_is_fitted__() else nothing(table, schema)
            state.add(table.with_learnt(_fit(df, table, like)), {name: (batch_id, batch_id + 1)})


def learner(state: str | Path, normalizer: Any = None, *, query: str | None = None) -> Learner:
    """Make what learns from a streaming query, for ``writeStream.foreachBatch``.

    The state is exactly-once: statistics and the number of the batch are saved in one step, so that a batch that Spark
    runs again, since it stopped before it had noted that it was done, is not counted again. Numbers are those of the
    query's checkpoint; a query with a new checkpoint is another one, and counts anew.

    On Spark Connect the function runs in a process of the server: the state lies there, streamnorm has to be installed
    there, and the query's name has to be given, since its id is not told.

    Parameters
    ----------
    state : str or Path
        The state file, on the driver or in an object store (a URI); it need not be there.
    normalizer : TableNormalizer or scaler, optional
        What a new state begins with, by default ``TableNormalizer()``; a state that is there must be of its columns
        and scalers.
    query : str, optional
        What the state calls the query, by default its id: one name for each checkpoint.

    Returns
    -------
    callable
        Takes a batch and its number. It raises DataError where batches are missing between what was counted and this
        one, as after a copy of an older state was put back.

    Examples
    --------
    >>> import streamnorm as sn
    >>> learn = sn.spark.learner("state.json", sn.TableNormalizer(columns={"price": "robust"}))
    >>> query = stream.writeStream.foreachBatch(learn).option("checkpointLocation", "ckpt")  # doctest: +SKIP
    >>> query.trigger(availableNow=True).start().awaitTermination()  # a nightly job         # doctest: +SKIP
    """
    return Learner(state, normalizer, query)


def _query_of(df: DataFrame) -> str:
    """Give the id of the query that a batch is of, which stays over restarts."""
    session: Any = df.sparkSession
    try:
        found = session.sparkContext.getLocalProperty("sql.streaming.queryId")
    except Exception:  # Spark Connect has no context, and says so in several ways
        found = None
    if not found:
        raise DataError(
            "the id of this query is not told here, as on Spark Connect: name it (query='prices'), and otherwise for "
            "each checkpoint."
        )
    return str(found)


def _collect(states: DataFrame) -> list[bytes]:
    """Let Spark work, and turn a hundred lines of Java about a file into one sentence."""
    try:
        found = states.toArrow().sort_by("partition")
    except Exception as error:
        unread = _UNREAD.search(str(error))
        if unread is None:
            raise
        file, said, cause = unread.groups()
        reason = (said.strip() or cause).rstrip(".")
        raise SourceError(f"{file} cannot be read: {reason}; restore the file or leave it out.") from None
    errors = found["error"].drop_null()
    if len(errors):
        raise DataError(errors[0].as_py())
    return cast("list[bytes]", found["state"].to_pylist())


def transform(normalizer: Any, df: DataFrame, *, inverse: bool = False) -> DataFrame:
    """Normalise the columns of a Spark DataFrame; all others, their types and nulls are kept.

    Parameters
    ----------
    normalizer : TableNormalizer or scaler
        Fitted, by `fit` or anywhere else.
    df : pyspark.sql.DataFrame
    inverse : bool, default=False
        Whether to undo rather than to do.

    Returns
    -------
    pyspark.sql.DataFrame
        Lazy: what is wrong with a value is found by the action that computes it, and the message says in
        which partition and row.

    Raises
    ------
    DataError
        If a column is missing, or is to become of a type that Spark does not have.
    """
    table = state_of(normalizer).mapping()
    if table.settings()["dtype"] == "float16":
        raise DataError("Spark has no float16: choose dtype float32 or float64.")
    table.warn_of_empty()
    schema = _mapped_schema(table, df, inverse)
    worker = worker_table(table, table.learnt)
    return _numbered(df).mapInArrow(partial(_map_partition, worker, inverse, df.columns), schema)


# ---- on the workers ----


def _summarise_partition(table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the summary of one partition, or what is wrong with it: trying again would not help."""
    number, names = _partition(), table.read_columns(table.learnt)
    try:
        state = wire.summarise_partition(table, number, _named(batches, names))
    except DataError as error:
        yield _states(number, None, str(error))
    else:
        yield _states(number, state, None)


def _merge_states(table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give one summary for many, and the errors as they are."""
    total = table.learnt
    for batch in batches:
        yield batch.filter(batch["error"].is_valid())
        total = total + wire.merge((state.as_py() for state in batch["state"].drop_null()), table.learnt)
    yield _states(_partition(), wire.to_bytes(total), None)


def _states(partition: int, state: bytes | None, error: str | None) -> pa.RecordBatch:
    """Give one row of what travels to the driver: the number of a partition with its summary, or why there is none.

    Parameters
    ----------
    partition : int
        Its number.
    state : bytes or None
        A summary, as `to_bytes` wrote it.
    error : str or None
        Why there is none.
    """
    return pa.RecordBatch.from_pylist([{"partition": partition, "state": state, "error": error}], _STATES)


def _map_partition(
    table: Table, inverse: bool, names: list[str], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Map the batches of one partition, on a worker.

    Parameters
    ----------
    table : Table
    inverse : bool
        Whether to map back.
    names : list of str
        Columns of the data frame, as they are called there.
    batches : iterable of pyarrow.RecordBatch
    """
    return wire.map_partition(table, _partition(), _named(batches, names), inverse=inverse)


def _partition() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return 0 if context is None else context.partitionId()


# ---- schemas ----


def _numbered(df: DataFrame) -> DataFrame:
    """Name the columns c0, c1, ...: `mapInArrow` cannot take every name, one with a dot for instance."""
    return df.toDF(*[f"c{i}" for i in range(len(df.columns))])


def _named(batches: Iterable[pa.RecordBatch], names: list[str]) -> Iterator[pa.RecordBatch]:
    return (batch.rename_columns(names) for batch in batches)


def _arrow_schema(df: DataFrame) -> pa.Schema:
    return df.limit(0).toArrow().schema


def _mapped_schema(table: Table, df: DataFrame, inverse: bool) -> StructType:
    """Give the schema after mapping: Spark's own for the columns that pass, nullable numbers for the others.

    Parameters
    ----------
    table : Table
    df : pyspark.sql.DataFrame
    inverse : bool
        Whether to map back.
    """
    from pyspark.sql.types import StructField, StructType

    before = _arrow_schema(df)
    after = mapped_schema(table, before, inverse=inverse)
    made = {
        target: StructField(target, _spark_type(after.field(target)), True, df.schema[source].metadata)
        for source, target in table.inputs_of(before, inverse).items()
    }
    passing = iter([field for field in df.schema if field.name in after.names and field.name not in made])
    return StructType([made[name] if name in made else next(passing) for name in after.names])


def _spark_type(field: pa.Field) -> DataType:
    """Give Spark's type for numbers or for vectors of these; raises DataError where it has none."""
    from pyspark.sql.types import ArrayType, DoubleType, FloatType

    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return ArrayType(_spark_type(kind.value_field.with_name(field.name)), True)
    if kind not in (pa.float32(), pa.float64()):
        raise DataError(f"column {field.name!r} would be {kind}, which Spark does not have: take another dtype.")
    return FloatType() if kind == pa.float32() else DoubleType()
