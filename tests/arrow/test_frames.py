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
    odd = {"o": [1, "a"], "c": [1 + 2j, 0]}
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


SCALERS = {
    "standard": sn.StandardScaler,
    "minmax": sn.MinMaxScaler,
    "quantile": lambda: sn.QuantileTransformer(n_quantiles=2),
    "adaptive": lambda: sn.AdaptiveStandardScaler(5),
    "batch": sn.BatchNormalizer,
}
NUMBERS = pa.table(
    {"a": pa.array([1.0, None, 3.0, 2.0]), "b": pa.array([1, 2, None, 2], pa.int64()),
     "c": pa.array([1, None, 4, 4], pa.float32())}
)  # fmt: skip
NULLABLE = {pa.float64(): pd.Float64Dtype(), pa.int64(): pd.Int64Dtype(), pa.float32(): pd.Float32Dtype()}
GIVEN = {
    "arrow": lambda table: table,
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "chunks": lambda table: pa.concat_tables([table[:2], table[2:]]),
    "polars": pl.from_arrow,
    "nullable": lambda table: table.to_pandas(types_mapper=NULLABLE.get).set_index(pd.Index([7, 3, 5, 1])),
    "pandas of arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("given", GIVEN)
class TestSetOutput:
    def test_nulls_stay_nulls_in_polars(self, given, scaler):
        X, one = GIVEN[given](NUMBERS), SCALERS[scaler]().set_output(transform="polars")
        wanted = SCALERS[scaler]().fit(X).transform(NUMBERS)
        for out in (one.fit(X).transform(X), one.fit_transform(X)):
            assert out.schema == {"a": pl.Float64, "b": pl.Float64, "c": pl.Float32}
            assert out.equals(pl.from_arrow(wanted))
            assert [out[name].null_count() for name in "abc"] == [1, 1, 1]

    def test_columns_of_pandas_keep_their_kind(self, given, scaler):
        X, one = GIVEN[given](NUMBERS), SCALERS[scaler]().set_output(transform="pandas").fit(NUMBERS)
        out, wanted = one.transform(X), SCALERS[scaler]().fit(NUMBERS).transform(NUMBERS)
        assert list(out.columns) == ["a", "b", "c"]
        kinds = {
            "nullable": ["Float64", "Float64", "Float32"],
            "pandas of arrow": [f"{n}[pyarrow]" for n in ("double", "double", "float")],
        }
        assert [str(kind) for kind in out.dtypes] == kinds.get(given, ["float64"] * 3)
        assert list(out.index) == list(getattr(X, "index", range(4)))
        assert out.isna().to_numpy().tolist() == wanted.to_pandas().isna().to_numpy().tolist()
        if given in kinds:
            for name in "abc":
                assert out[name].dropna().tolist()[:1] == wanted[name].to_pylist()[:1]


@pytest.mark.parametrize("given", [lambda table: table, pl.from_arrow])
def test_null_and_nan_each_stay_what_they_were(given):
    X = given(pa.table({"a": pa.array([1.0, None, 3.0, np.nan], from_pandas=False)}))
    out = sn.StandardScaler().set_output(transform="polars").fit(X).transform(X)
    assert str(out["a"].to_list()) == "[-1.0, None, 1.0, nan]"


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_nullable_columns_without_text_as_names(output):
    frame = pd.DataFrame({0: [1.0, None, 3.0], 1: [1.0, 2.0, 3.0]}, dtype="Float64")
    out = sn.StandardScaler().set_output(transform=output).fit(frame).transform(frame)
    assert list(out.columns) == ["x0", "x1"]
    assert out["x0"].to_list()[::2] == [-1.0, 1.0]
    with pytest.raises(ValueError, match="1 features"):
        sn.StandardScaler().set_output(transform=output).fit(frame).transform(frame[[0]])
