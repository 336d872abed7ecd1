"""What is exported, run in the libraries that it was exported to."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn

SAMPLE = Path(__file__).parents[2] / "data" / "flights.parquet"
#: What columns of some thousands lose where they are computed in float32.
FLOAT32 = {"rtol": 2e-6, "atol": 2e-5}

beside_keras = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def some_flights() -> pa.Table:
    """The sample's first rows."""
    return pq.read_table(SAMPLE).slice(0, 20000)


def matrix(table: pa.Table, dtype: type = np.float64) -> np.ndarray:
    return np.column_stack([column.to_numpy() for column in table.columns]).astype(dtype)


def expected(normalizer: sn.TableNormalizer, table: pa.Table) -> np.ndarray:
    return matrix(normalizer.transform(table).select(list(normalizer.feature_names_in_)))


def run_onnx(model: onnx.ModelProto, X: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.ascontiguousarray(session.run(None, {"X": X})[0])


def run_duckdb(query: str, source: pa.Table) -> pa.Table:
    with duckdb.connect() as connection:
        connection.register("source", source)
        return connection.sql(query).to_arrow_table()


def hard_table() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            'we"i`r\\d name; --': pa.array([*rng.normal(size=20), np.nan, None]),
            "small": pa.array([*rng.normal(3, 1, 20), np.nan, None], pa.float32()),
            "flag": pa.array([*(rng.random(20) < 0.3), True, None], pa.bool_()),
            "constant": pa.array([7.0] * 21 + [None]),
            "text": ["x"] * 22,
        }
    )
