"""Exports at the edges: constants of almost nothing, few quantiles, and what other libraries read otherwise."""

from __future__ import annotations

import warnings

import duckdb
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from bits import assert_same_bits

import streamnorm as sn
from streamnorm.errors import DataError
from streamnorm.export import DIALECTS, to_onnx, to_sklearn, to_sql


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize(
    "scaler", [sn.StandardScaler(), sn.StandardScaler(with_mean=False), sn.MinMaxScaler()], ids=str
)
@pytest.mark.parametrize("beside", [[], ["maxabs"], ["maxabs", "maxabs"], ["quantile"]])
def test_onnx_keeps_steps_by_what_is_almost_nothing(scaler, beside, optimised):
    x = np.random.default_rng(0).normal(size=1000)
    x = (x - x.mean()) / x.std()
    for values in (x * (1 + 1e-8) + 1, x, np.where(x > 0, 1.0, -0.0), np.full(1000, 1e-50)):
        table = pa.table({"a": values, **{f"b{i}": x for i in range(len(beside))}})
        columns = {"a": scaler, **{f"b{i}": name for i, name in enumerate(beside)}}
        normalizer = sn.TableNormalizer(columns=columns).fit(table)
        options = onnxruntime.SessionOptions()
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(to_onnx(normalizer).SerializeToString(), options)
        matrix = np.column_stack(table.columns)
        wanted = np.column_stack(normalizer.transform(table).columns)
        assert_same_bits(session.run(None, {"X": matrix})[0], wanted)


@pytest.mark.parametrize(
    "scalers", [["minmax"] * 2 + ["standard"] * 2, ["minmax", "standard"] * 2, ["minmax", "none"] * 2]
)
def test_onnx_of_columns_in_any_groups(scalers):
    table = pa.table({f"c{i}": np.random.default_rng(i).normal(i, size=50) for i in range(4)})
    columns = {name: scaler for name, scaler in zip(table.column_names, scalers, strict=True) if scaler != "none"}
    normalizer = sn.TableNormalizer(None, columns).fit(table)
    session = onnxruntime.InferenceSession(to_onnx(normalizer).SerializeToString())
    mapped = normalizer.transform(table).select(list(columns))
    found = session.run(None, {"X": np.column_stack(table.select(list(columns)).columns)})[0]
    assert_same_bits(found, np.column_stack(mapped.columns))


@pytest.mark.parametrize("rows", [[1.0, 3.0], [3.0], [np.nan, np.nan], [np.nan]])
@pytest.mark.parametrize("n_quantiles", [1, 2, 1000])
def test_maps_of_few_quantiles(rows, n_quantiles):
    normalizer = sn.TableNormalizer(sn.QuantileTransformer(n_quantiles=n_quantiles))
    normalizer.fit(pa.table({"x": pa.array(rows, from_pandas=False)}))
    table = pa.table({"x": [0.0, 1.0, 2.0, 3.0, 9.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a column without a value
        wanted = normalizer.transform(table)["x"].to_numpy()
    assert np.isnan(wanted).all() == np.isnan(rows).all()
    session = onnxruntime.InferenceSession(to_onnx(normalizer).SerializeToString())
    assert_same_bits(session.run(None, {"X": table["x"].to_numpy().reshape(-1, 1)})[0][:, 0], wanted)
    source = table  # noqa: F841 (DuckDB finds it by its name)
    assert_same_bits(duckdb.sql(to_sql(normalizer)).to_arrow_table()["x"].to_numpy(), wanted)


def test_durations_are_refused():
    table = pa.table({"d": pa.array([1, 2, 7], pa.duration("s")), "x": [1.0, 2.0, 3.0]})
    normalizer = sn.TableNormalizer(columns={"d": "standard"}).fit(table)
    for convert in (to_sql, to_onnx, to_sklearn):
        with pytest.raises(DataError, match="column 'd' holds durations"):
            convert(normalizer)


@pytest.mark.parametrize("suffix", ["", "_z"])
def test_names_that_are_one_for_a_database_are_refused(suffix):
    normalizer = sn.TableNormalizer(suffix=suffix).fit(pa.table({"x": [1.0, 2.0], "X": [5.0, 7.0]}))
    for dialect in DIALECTS:
        if dialect in ("duckdb", "spark", "bigquery"):
            with pytest.raises(DataError, match=f"columns 'x' and 'X' are one for {dialect}"):
                to_sql(normalizer, dialect=dialect)
        else:
            assert '"X"' in to_sql(normalizer, dialect=dialect)


def test_sql_of_a_dictionary_is_of_its_values():
    source = pa.table({"x": pa.array([1, 2, 1], pa.float32()).dictionary_encode()})
    normalizer = sn.TableNormalizer(columns={"x": "standard"}).fit(source)
    found = duckdb.sql(to_sql(normalizer)).to_arrow_table()["x"]
    assert found.type == pa.float32()
    assert found.to_pylist() == normalizer.transform(source)["x"].to_pylist()


def test_a_scale_of_nothing_is_exported():
    scaler = sn.RobustScaler(quantile_range=(0, 100), unit_variance=True)
    normalizer = sn.TableNormalizer(scaler).fit(pa.table({"x": [0.0, 5e-324]}))
    to_onnx(normalizer, dtype="float32")
