"""A fit of which Spark runs one partition twice: ``python tests/support/speculation.py MASTER INPUT MARKS LOG``.

Prints the digest. LOG gets Spark's own record of the tasks, and MARKS a file for each attempt at the slow partition
that has given its summary: ``0`` for the original, ``1`` for the copy, with the number that Spark knows it by.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

import streamnorm as sn

_SLOW = 1
_PATIENCE = 30.0
_SETTINGS = {
    "spark.speculation": True,
    "spark.speculation.interval": "100ms",
    "spark.speculation.minTaskRuntime": "100ms",
    "spark.speculation.multiplier": 1.1,
    "spark.speculation.quantile": 0.5,
    "spark.speculation.efficiency.enabled": False,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.memory": "500m",
    "spark.sql.shuffle.partitions": 2,
    "spark.ui.enabled": False,
    "spark.eventLog.enabled": True,
    "spark.eventLog.compress": False,
    "spark.eventLog.rolling.enabled": False,
}


_summarise = sn.spark._summarise_partition


def summarise_and_meet(marks: Path, table: Any, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the summary; the slow partition then waits for its other attempt, so that both of them give theirs."""
    from pyspark import TaskContext

    yield from _summarise(table, batches)
    context = TaskContext.get()
    if context.partitionId() == _SLOW:
        (marks / f"{context.attemptNumber()}").write_text(str(context.taskAttemptId()))
        other, end = marks / f"{1 - context.attemptNumber()}", time.monotonic() + _PATIENCE
        while not other.exists() and time.monotonic() < end:
            time.sleep(0.01)


def main(master: str, source: str, marks: str, log: str) -> None:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(master).config("spark.eventLog.dir", log)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    df = session.read.parquet(source).repartition(4)
    sn.spark._summarise_partition = partial(summarise_and_meet, Path(marks))
    print(sn.spark.fit(df).digest())
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
