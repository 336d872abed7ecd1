"""Data frames of every library come back in their own type, with the numbers of the same Arrow table."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import streamnorm as sn
from streamnorm.errors import DataError

TABLE = pa.table(
    {
        "whole": pa.array([1, None, 4], pa.int64()),
        "small": pa.array([1.0, 2.0, None], pa.float32()),
        "flag": pa.array([True, None, False]),
        "text": pa.array(["x", None, "y"]),
    }
)
CHOICES = {"columns": {"flag": "minmax"}}
KINDS = {
    "nullable": ({pa.int64(): pd.Int64Dtype(), pa.float32(): pd.Float32Dtype(), pa.bool_(): pd.BooleanDtype()}.get,
                 ["Float64", "Float32", "Float64"]),
    "arrow": (pd.ArrowDtype, ["double[pyarrow]", "float[pyarrow]", "double[pyarrow]"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def normalizer() -> sn.TableNormalizer:
    return sn.TableNormalizer(**CHOICES).fit(TABLE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["", "_z"])
def test_pandas_columns_keep_their_kind(kind, suffix):
    mapper, wanted = KINDS[kind]
    frame = TABLE.to_pandas(types_mapper=mapper).set_index(pd.Index([7, 3, 5]))
    normalizer = sn.TableNormalizer(**CHOICES, suffix=suffix).fit(frame)
    assert normalizer == sn.TableNormalizer(**CHOICES, suffix=suffix).fit(TABLE)
    result, arrow = normalizer.transform(frame), normalizer.transform(TABLE)
    assert [str(result[name + suffix].dtype) for name in ("whole", "small", "flag")] == wanted
    assert list(result.index) == [7, 3, 5]
    pd.testing.assert_series_equal(result["text"], frame["text"])
    for name in ("whole", "small", "flag"):
        assert result[name + suffix].array.to_numpy(object, na_value=None).tolist() == arrow[name + suffix].to_pylist()
    back = normalizer.inverse_transform(result)
    assert [str(back[name].dtype) for name in ("whole", "small", "flag")] == wanted
    assert back["whole"].tolist()[::2] == [1, 4]
    assert back["whole"].isna().tolist() == [False, True, False]


def test_pandas_columns_of_numpy_stay_so():
    frame = pd.DataFrame({"whole": [1, 2, 3], "half": np.array([1, 2, 3], np.float16), "wide": [1.0, np.nan, 3.0]})
    result = sn.TableNormalizer().fit(frame).transform(frame)
    assert [result[name].dtype for name in frame] == [np.float64, np.float16, np.float64]


def test_polars(normalizer):
    frame = pl.from_arrow(TABLE).with_columns(pl.col("text").cast(pl.Categorical))
    assert sn.TableNormalizer(**CHOICES).fit(frame) == normalizer
    result = normalizer.transform(frame)
    assert result.dtypes == [pl.Float64, pl.Float32, pl.Float64, pl.Categorical]
    assert result.with_columns(pl.col("text").cast(pl.String)).to_dicts() == normalizer.transform(TABLE).to_pylist()
    assert normalizer.inverse_transform(result)["whole"].to_list() == [1, None, 4]


def test_polars_vectors():
    frame = pl.DataFrame({"v": pl.Series([[1.0, 2.0], None, [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2))})
    result = sn.TableNormalizer().fit(frame).transform(frame)
    assert result.schema == frame.schema
    assert result["v"].to_list() == [[-1.0, -1.0], None, [1.0, 1.0]]


def test_duckdb(normalizer):
    with duckdb.connect() as connection:
        relation = connection.from_arrow(TABLE)
        assert sn.TableNormalizer(**CHOICES).fit(relation) == normalizer
        result = normalizer.transform(relation)
    assert type(result) is duckdb.DuckDBPyRelation
    assert [str(kind) for kind in result.types] == ["DOUBLE", "FLOAT", "DOUBLE", "VARCHAR"]
    assert result.to_arrow_table().to_pylist() == normalizer.transform(TABLE).to_pylist()
    back = normalizer.inverse_transform(result)
    assert back.project("whole").fetchall() == [(1.0,), (None,), (4.0,)]


LABELS = {
    "numbers": [0, 1],
    "mixed": ["a", 1],
    "times": pd.to_datetime(["2026-01-01", "2026-01-02"]),
    "levels": pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]),
    "flags": [True, False],
}


@pytest.mark.parametrize(("kind", "suffix"), [*((kind, "") for kind in LABELS), ("numbers", "_z"), ("flags", "_z")])
def test_labels_of_pandas_need_not_be_text(kind, suffix):
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=LABELS[kind])
    normalizer = sn.TableNormalizer(suffix=suffix).fit(frame)
    mapped = normalizer.transform(frame)
    assert mapped.iloc[:, -2:].to_numpy().tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    assert normalizer.inverse_transform(mapped).equals(frame)


def test_columns_of_pandas_that_arrow_does_not_know_pass():
    odd = {"o": [1, "a"], "c": [1 + 2j, 0], "s": pd.arrays.SparseArray([0, 1])}
    frame = pd.DataFrame({"x": [1.0, 3.0], **odd})
    mapped = sn.TableNormalizer().fit_transform(frame)
    assert mapped["x"].tolist() == [-1.0, 1.0]
    assert mapped[list(odd)].equals(frame[list(odd)])


@pytest.mark.parametrize("kind", [pa.table, pd.DataFrame, pl.DataFrame])
def test_a_result_does_not_replace_another_column(kind):
    table = kind({"a": [1.0, 2.0], "a_z": ["keep", "this"]})
    with pytest.raises(DataError, match="there is a column 'a_z' already: choose another suffix"):
        sn.TableNormalizer(suffix="_z").fit(table).transform(table)


def test_a_table_normalizer_is_handed_on_like_a_scaler(normalizer):
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [1.0, 0.0, 5.0]})
    fitted = sn.TableNormalizer(columns={"y": "minmax"}).fit(frame)
    assert fitted.frozen().fit(frame * 9, None).transform(frame).equals(fitted.transform(frame))
    assert np.array_equal(fitted.to_sklearn().transform(frame), fitted.transform(frame))
