"""Sessions of Spark on this machine: a classic one, which may serve Spark Connect, and one of Spark Connect to it."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clusters import free_port

#: Warnings that are PySpark's own.
quiet = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")


def need_spark() -> None:
    """Skip the test or the module where there is no PySpark, or no Java."""
    pytest.importorskip("pyspark", reason="needs the extra 'spark'")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java", allow_module_level=True)


@contextmanager
def classic(warehouse: Path, master: str = "local[2]", *, serving: bool = False, **settings: object) -> Iterator[Any]:
    """Give a classic session, whose workers run this Python.

    Parameters
    ----------
    warehouse : Path
        An empty folder.
    master : str
    serving : bool
        Whether it serves Spark Connect, at its `connect_port`.
    **settings : object
        Settings of Spark SQL, without ``spark.sql.``, with ``__`` for a dot.
    """
    from pyspark.sql import SparkSession

    port = free_port()
    plugin = {
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.port": port,
    }
    every = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.sql.warehouse.dir": warehouse,
        "spark.sql.shuffle.partitions": 2,
        **(plugin if serving else {}),
        **{f"spark.sql.{name.replace('__', '.')}": value for name, value in settings.items()},
    }
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master(master)
        for name, value in every.items():
            builder = builder.config(name, str(value))
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        session.connect_port = port
        try:
            yield session
        finally:
            session.stop()


@contextmanager
def connected(session: Any) -> Iterator[Any]:
    """Give a session of Spark Connect to a classic one that serves it."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")  # PySpark sets it and leaves it
        remote = SparkSession.builder.remote(f"sc://127.0.0.1:{session.connect_port}").create()
        try:
            yield remote
        finally:
            remote.stop()
