"""Arithmetic in float64 with one rounding at the end, wherever the numbers come from; finite in, finite out."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bits import assert_same_bits
from scipy import sparse

import streamnorm as sn
from streamnorm.errors import DataError, OverflowedError

SCALERS = [
    sn.StandardScaler(),
    sn.StandardScaler(ddof=1, with_mean=False),
    sn.MinMaxScaler((-1, 3)),
    sn.MinMaxScaler(clip=True),
    sn.MaxAbsScaler(),
    sn.RobustScaler(unit_variance=True),
    sn.QuantileTransformer(n_quantiles=20),
    sn.QuantileTransformer(n_quantiles=20, output_distribution="normal"),
    sn.AdaptiveStandardScaler(30),
    sn.BatchNormalizer(momentum=0.5, gamma=[2.0, 3.0], beta=1.0),
]
SMALL = [np.float32, np.float16]


def rows(dtype) -> np.ndarray:
    rng = np.random.default_rng(0)
    centre = 2019.0 if dtype == np.float16 else 101325.1
    X = np.column_stack([centre + rng.normal(0, 3 if dtype == np.float16 else 0.02, 400), rng.normal(5, 2, 400)])
    X[7, 1] = np.nan
    return X.astype(dtype)


def frames(X: np.ndarray) -> dict[str, object]:
    """Give the same numbers in containers of every kind."""
    columns = {"a": X[:, 0], "b": X[:, 1]}
    return {
        "rows": X,
        "columns": np.asfortranarray(X),
        "swapped": X.astype(X.dtype.newbyteorder(">")),
        "pandas": pd.DataFrame(columns),
        "polars": pl.DataFrame(columns),
        "arrow": pa.table(columns),
        "batch": pa.record_batch(columns),
        "mixed": pd.DataFrame({"a": columns["a"], "b": columns["b"].astype(np.float64)}),
    }


def columns_of(result) -> list[np.ndarray]:
    if isinstance(result, (pa.Table, pa.RecordBatch)):
        return [np.asarray(column) for column in result.columns]
    return [np.asarray(result)[:, i] for i in range(2)]


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_results_are_those_of_float64_rounded_once(scaler, dtype):
    X = rows(dtype)
    scaler.fit(X.astype(np.float64))
    wanted = scaler.transform(X.astype(np.float64))
    back = scaler.inverse_transform(wanted.astype(dtype).astype(np.float64))
    for name, container in frames(X).items():
        for way, expected in ((scaler.transform, wanted), (scaler.inverse_transform, back)):
            given = container if way == scaler.transform else frames(wanted.astype(dtype))[name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names
                found = columns_of(way(given))
            for own, other in zip(found, expected.T, strict=True):
                assert own.dtype == (np.float64 if name == "mixed" and own is found[1] else own.dtype)
                assert_same_bits(np.ascontiguousarray(own.astype(dtype)), np.ascontiguousarray(other.astype(dtype)))


@pytest.mark.parametrize("dtype", SMALL)
def test_sparse_results_are_those_of_float64_rounded_once(dtype):
    X = np.where(np.random.default_rng(1).random((90, 3)) < 0.3, 2019.3, 0.0).astype(dtype)
    for scaler in (sn.StandardScaler(with_mean=False), sn.MaxAbsScaler()):
        wanted = scaler.fit(X.astype(np.float64)).transform(X.astype(np.float64)).astype(dtype)
        for kind in (sparse.csr_array, sparse.csc_array):
            if dtype == np.float32:  # scipy has no float16
                found = scaler.transform(kind(X))
                assert found.dtype == dtype and found.format == kind(X).format
                assert np.array_equal(found.toarray(), wanted)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()], ids=str)
@pytest.mark.parametrize("scaler", ["standard", "minmax", "maxabs", "robust", "quantile"])
def test_files_tables_and_dask_round_once(scaler, kind, tmp_path):
    dask = pytest.importorskip("dask.dataframe")
    X = rows(np.float16 if kind == pa.float16() else np.float32)
    table = pa.table({"a": pa.array(X[:, 0], kind), "b": pa.array(X[:, 1], kind)})
    wide = table.cast(pa.schema([("a", pa.float64()), ("b", pa.float64())]))
    normalizer = sn.TableNormalizer(scaler).fit(table)
    wanted = normalizer.transform(wide).cast(table.schema, safe=False)
    pq.write_table(table, tmp_path / "in.parquet")
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    framed = dask.from_pandas(table.to_pandas(), npartitions=2)
    results = [normalizer.transform(table), pq.read_table(tmp_path / "out.parquet")]
    results.append(pa.Table.from_pandas(sn.dask.transform(normalizer, framed).compute(), preserve_index=False))
    for result in results:
        for name in table.column_names:
            assert_same_bits(*(np.asarray(found[name].combine_chunks()) for found in (result, wanted)))


def test_what_is_filled_in_and_taken_back_is_rounded_once():
    X = np.array([2015.25, 2017.0, np.nan, 2024.0], np.float32)
    for recipe in ({"fill": "mean"}, {"fill": "median", "scaler": "robust"}, {"log1p": True}):
        normalizer = sn.TableNormalizer.from_recipe({"default": "none", "columns": {"x": recipe}})
        normalizer.fit(pa.table({"x": X}))
        found, wide = (normalizer.transform(pa.table({"x": x})) for x in (X, X.astype(np.float64)))
        assert found["x"].to_pylist() == wide["x"].cast(pa.float32()).to_pylist() or recipe == {"log1p": True}
        back = (normalizer.inverse_transform(pa.table({"x": z})) for z in (found["x"], found["x"].cast(pa.float64())))
        one, two = (np.asarray(table["x"]) for table in back)
        assert_same_bits(one, two.astype(np.float32))
    normalizer = sn.TableNormalizer.from_recipe({"columns": {"x": {"fill": "mean"}}}).fit(pa.table({"x": X}))
    assert normalizer.transform(pa.table({"x": X}))["x"].to_pylist()[2] == 0.0


def test_the_examples():
    years = np.arange(2015, 2025, dtype=np.float16)[:, None]
    assert sn.StandardScaler().fit_transform(np.array([[1000], [1000.5]], np.float16)).tolist() == [[-1.0], [1.0]]
    assert len(np.unique(sn.StandardScaler().fit_transform(years))) == 10
    pressure = np.random.default_rng(0).normal(101325, 0.02, (10_000, 1)).astype(np.float32)
    z = sn.StandardScaler().fit_transform(pressure)
    assert abs(z.mean(dtype=np.float64)) < 1e-7
    assert sn.MinMaxScaler().fit_transform([[0], [1e-310]]).tolist() == [[0.0], [1.0]]


# ---- finite in, finite out ----

EXTREMES = {
    "subnormal": [0.0, 1e-310, 5e-324, 3e-311],
    "subnormal beside others": [0.0, 1e-310, 1.0, 5e-311],
    "the ends": [-1.7e308, 1.7e308, 0.0, 5e-324, 1.0],
    "far from the mean": [1.7e308] * 9 + [-1.7e308],
    "two values": [-1.7e308, 1.7e308],
}


@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("scaler", [*SCALERS[:-1], sn.StandardScaler(ddof=1), sn.RobustScaler()], ids=str)
@pytest.mark.filterwarnings("ignore:n_quantiles")
def test_what_is_finite_stays_so_or_is_an_error(scaler, values):
    X = np.array(values)[:, None]
    try:
        z = scaler.fit(X).transform(X)
        assert np.isfinite(z).all()
        assert np.isfinite(scaler.inverse_transform(z)).all()
    except OverflowedError as error:
        assert (error.slot, error.kind) == (0, "float64")


@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("ddof", [0, 1])
def test_extreme_z_scores_are_those_of_rational_arithmetic(values, ddof):
    numbers = [Fraction(v) for v in values]
    mean = sum(numbers) / len(numbers)
    variance = sum((v - mean) ** 2 for v in numbers) / (len(numbers) - ddof)
    wanted = [float((v - mean) ** 2 / variance) * (1 if v >= mean else -1) for v in numbers]
    z = sn.StandardScaler(ddof=ddof).fit_transform(np.array(values)[:, None])[:, 0]
    assert np.sign(z) * z**2 == pytest.approx(wanted, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
def test_extreme_ranges_are_those_of_rational_arithmetic(values):
    numbers = [Fraction(v) for v in values]
    low, high = min(numbers), max(numbers)
    z = sn.MinMaxScaler().fit_transform(np.array(values)[:, None])[:, 0]
    wanted = [float((v - low) / (high - low)) for v in numbers]
    assert z.tolist() == pytest.approx(wanted, rel=1e-13, abs=1e-15)
    assert (z.min(), z.max()) == (0.0, 1.0)


@pytest.mark.parametrize("dtype", SMALL)
def test_a_result_beyond_the_type_names_column_and_row(dtype):
    X = np.array([[1.0, 0.0], [2.0, 1e-3], [3.0, 0.0]])
    far = np.array([[1.0, 0.0], [1.0, np.finfo(dtype).max], [np.nan, np.inf]], dtype)[:2]
    text = rf"column {{}}, row 1 of the batch: the result of .* is beyond {np.dtype(dtype)}: give the column as float64"
    for scaler in (
        sn.StandardScaler(),
        sn.MinMaxScaler(),
        sn.AdaptiveStandardScaler(5),
        sn.BatchNormalizer(momentum=0),
    ):
        scaler.set_params(**({"epsilon": 1e-30} if isinstance(scaler, sn.BatchNormalizer) else {})).fit(X)
        given = far.copy()
        for options in ({}, {"copy": False}) if hasattr(scaler, "copy") else ({},):
            with pytest.raises(OverflowedError, match=text.format(1)):
                scaler.transform(given, **options)
            assert np.array_equal(given, far)  # though it might have been written over
        scaler.fit(pd.DataFrame(X, columns=["a", "b"]))
        with pytest.raises(OverflowedError, match=text.format("'b'")):
            scaler.transform(pa.table({"a": far[:, 0], "b": far[:, 1]}))
    table = sn.TableNormalizer().fit(pa.table({"a": X[:, 0], "b": X[:, 1]}))
    given = pa.table({"a": far[:, 0], "b": far[:, 1]})
    with pytest.raises(OverflowedError, match=text.format("'b'")):
        table.transform(given)
    with pytest.raises(OverflowedError, match="column 'b', row 5 of the input"):
        table.transform(pa.concat_tables([given.slice(0, 1)] * 4 + [given]))


def test_what_lies_under_a_null_and_what_is_skipped_is_no_error():
    table = pa.table({"x": [0.0, 1e-3]})
    hidden = pa.Array.from_buffers(
        pa.float16(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([0, 6e4], np.float16))], null_count=1
    )
    assert sn.TableNormalizer().fit(table).transform(pa.table({"x": hidden}))["x"].to_pylist() == [-1.0, None]
    skipping = sn.TableNormalizer(infinite="skip").fit(table)
    assert np.isinf(skipping.transform(pa.table({"x": [np.inf]}))["x"].to_pylist())
    with pytest.raises(OverflowedError, match="column 'x', row 1 of the batch"):
        skipping.transform(pa.table({"x": pa.array([np.inf, 6e4], pa.float16())}))


def test_a_result_that_is_limited_is_none_beyond_the_type():
    recipe = {"columns": {"x": {"clip_result": [-3, 3]}}}
    normalizer = sn.TableNormalizer.from_recipe(recipe).fit(pa.table({"x": [0.0, 1e-3]}))
    assert normalizer.transform(pa.table({"x": pa.array([6e4], pa.float16())}))["x"].to_pylist() == [3.0]
    clipped = sn.MinMaxScaler(clip=True).fit([[0.0], [1e-3]])
    assert clipped.transform(np.array([[6e4]], np.float16)).tolist() == [[1.0]]


def test_files_name_the_row_from_one(tmp_path):
    pq.write_table(pa.table({"x": pa.array([0.0, 1.0, 6e4], pa.float32())}), tmp_path / "in.parquet")
    normalizer = sn.TableNormalizer(dtype="float16").fit(pa.table({"x": [0.0, 1e-3]}))
    with pytest.raises(DataError, match=r"in.parquet: column 'x', row 3: the result of 60000.0 is beyond float16: "):
        sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
