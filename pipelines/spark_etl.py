"""Normalise a folder of Parquet on Spark: ``python pipelines/spark_etl.py IN OUT [--state STATE]``.

Learns from every file below IN, writes normalised copies of its columns to the folder OUT, and keeps what
was learnt in a state file that `streamnorm show`, `streamnorm transform` and `sn.load` read anywhere. The
same script goes to a cluster: ``spark-submit --master yarn pipelines/spark_etl.py IN OUT``; streamnorm has
to be installed there, as for every Python job.
"""

from __future__ import annotations

import argparse
import os
import sys

import streamnorm as sn
from streamnorm.errors import StreamnormError


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Normalise a folder of Parquet on Spark.")
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument("--state", help="where to keep what was learnt")
    parser.add_argument("--scaler", default="standard", help="of every numeric column")
    given = parser.parse_args(words)

    # Workers must run the Python that has streamnorm; on a cluster its path may be set from outside.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.appName("streamnorm")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", 65536)
        .getOrCreate()
    )
    try:
        df = spark.read.parquet(given.input)
        normalizer = sn.spark.fit(df, given.scaler)
        if given.state:
            sn.save(normalizer, given.state)
        sn.spark.transform(normalizer, df).write.parquet(given.output)
        print(f"{len(normalizer.feature_names_in_)} columns normalised, state {normalizer.digest()}")
    except StreamnormError as error:
        sys.exit(f"error: {error}")
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
