"""A fit of which Spark runs one partition twice at once: ``python tests/speculation.py MASTER INPUT MARKS LOG``.

Prints the digest. LOG gets Spark's own record of the tasks, and MARKS a file for each attempt at the slow partition
that has delivered its rows: ``0`` for the original, ``1`` for the copy, with the number that Spark knows it by.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

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


def meet(marks: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Deliver all rows; the slow partition then waits for its other attempt, so that both come to the end."""
    context = TaskContext.get()
    yield from batches
    if context.partitionId() == _SLOW:
        (marks / f"{context.attemptNumber()}").write_text(str(context.taskAttemptId()))
        other, end = marks / f"{1 - context.attemptNumber()}", time.monotonic() + _PATIENCE
        while not other.exists() and time.monotonic() < end:
            time.sleep(0.01)


def main(master: str, source: str, marks: str, log: str) -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(master).config("spark.eventLog.dir", log)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    df = session.read.parquet(source).repartition(4)
    print(sn.spark.fit(df.mapInArrow(partial(meet, Path(marks)), df.schema)).digest())
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
