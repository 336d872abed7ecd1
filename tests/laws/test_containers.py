"""One table of containers against one table of types, walked for every normalizer and every method.

Each cell is the numbers that `numpy.asarray` of what is given, or its table, has; or one sentence of ours.
"""

from __future__ import annotations

import datetime
import decimal
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from scipy import sparse

import streamnorm as sn
from streamnorm.errors import DataError, StreamnormError

BASE = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
#: Types of NumPy that hold numbers, and what is made of `BASE` in them.
NUMBERS = {kind: BASE.astype(kind) for kind in ("i1", "u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", ">f8", "g", "?")}
NUMBERS |= {
    "span": BASE.astype("i8").astype("m8[s]"),
    "object": BASE.astype(object),
    "object and none": np.where(BASE == 2, None, BASE.astype(object)),
    "decimal": np.array([[decimal.Decimal(int(v)) for v in row] for row in BASE], object),
    "missing": np.where(BASE == 2, np.nan, BASE),
}
#: Types that hold none.
OTHERS = {
    "date": BASE.astype("i8").astype("M8[ns]"),
    "NaT": np.where(BASE == 2, np.datetime64("NaT"), BASE.astype("i8").astype("M8[ns]")),
    "complex": BASE.astype(complex),
    "bytes": np.array([[b"1", b"2"], [b"x", b"2"]]),
    "text": np.array([["1", "2"], ["x", "2"]]),
    "object of dicts": np.where(BASE < 40, {"k": 1}, BASE.astype(object)),
    "object of dates": np.array([[datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]] * 2, object),
}


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"a": values[:, 0], "b": values[:, 1]})


def arrow(values: np.ndarray) -> pa.Table:
    native = values.astype(values.dtype.newbyteorder("="))
    columns = [native[:, i].tolist() if native.dtype == object else native[:, i] for i in range(2)]
    return pa.table({name: pa.array(column) for name, column in zip("ab", columns, strict=True)})


def polars(values: np.ndarray) -> pl.DataFrame:
    columns = [values[:, i].tolist() if values.dtype == object else values[:, i] for i in range(2)]
    return pl.DataFrame(dict(zip("ab", columns, strict=True)))


class Exported:
    """Something of nobody's that exports a table."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class Batches:
    """Something that can be iterated over again and again."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def __iter__(self) -> Any:
        return iter(self.parts)


def mapped_file(values: np.ndarray) -> np.ndarray:
    import tempfile

    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, values.dtype, "w+", shape=values.shape)
        mapped[:] = values
    return mapped


def of_xarray(values: np.ndarray) -> Any:
    return pytest.importorskip("xarray").DataArray(values, dims=("sample", "feature"))


def of_dask(values: np.ndarray) -> Any:
    return pytest.importorskip("dask.array").from_array(values, chunks=2)


def of_datasets(values: np.ndarray) -> Any:
    return pytest.importorskip("datasets").Dataset(arrow(values))


def of_datasets_one_by_one(values: np.ndarray) -> Any:
    rows = arrow(values).to_pylist()
    return pytest.importorskip("datasets").IterableDataset.from_generator(lambda: iter(rows))


def of_torch(values: np.ndarray) -> Any:
    return pytest.importorskip("torch").tensor(values)


def of_loader(values: np.ndarray) -> Any:
    torch = pytest.importorskip("torch")
    pairs = torch.utils.data.TensorDataset(torch.tensor(values), torch.tensor(values[:, 0]))
    return torch.utils.data.DataLoader(pairs, batch_size=2)


def halves(values: Any) -> list[Any]:
    return [values[:1], values[1:]]


Make = Callable[[np.ndarray], Any]
ARRAYS: dict[str, Make] = {
    "ndarray": lambda values: values,
    "columns": np.asfortranarray,
    "masked": np.ma.masked_array,
    "matrix": np.matrix,
    "memory map": mapped_file,
    "list": lambda values: values.tolist(),
    "dask array": of_dask,
    "DataArray": of_xarray,
    "tensor": of_torch,
    "gradient": lambda values: of_torch(values).requires_grad_(),
    "DataLoader": of_loader,
    "iterator": lambda values: iter(halves(values)),
    "iterable": lambda values: Batches(halves(values)),
    "tuple of arrays": lambda values: tuple(halves(values)),
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
    "dok": sparse.dok_array,
    "csr_matrix": sparse.csr_matrix,
}
TABLES: dict[str, Make] = {
    "pandas": frame,
    "pandas of Arrow": lambda values: arrow(values).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas nullable": lambda values: frame(values).convert_dtypes(),
    "pandas sparse": lambda values: frame(values).apply(lambda column: pd.arrays.SparseArray(column)),
    "pandas categories": lambda values: frame(values).astype("category"),
    "polars": polars,
    "Table": arrow,
    "RecordBatch": lambda values: arrow(values).combine_chunks().to_batches()[0],
    "exported": lambda values: Exported(arrow(values)),
    "reader": lambda values: arrow(values).to_reader(),
    "dataset": lambda values: pyarrow.dataset.dataset(arrow(values)),
    "Dataset of Hugging Face": of_datasets,
    "IterableDataset": of_datasets_one_by_one,
    "IterableDataset of arrow": lambda values: of_datasets_one_by_one(values).with_format("arrow"),
    "IterableDataset of pandas": lambda values: of_datasets_one_by_one(values).with_format("pandas"),
    "IterableDataset of polars": lambda values: of_datasets_one_by_one(values).with_format("polars"),
    "IterableDataset of numpy": lambda values: of_datasets_one_by_one(values).with_format("numpy"),
    "list of frames": lambda values: halves(frame(values)),
    "list of batches": lambda values: arrow(values).to_batches(),
    "iterator of tables": lambda values: iter(halves(arrow(values))),
    "iterable of frames": lambda values: Batches(halves(frame(values))),
}


class OneColumn:
    """Something that exports Arrow data, and no table."""

    def __init__(self, values: np.ndarray) -> None:
        self.column = pa.array(values[:, 0])

    def __arrow_c_array__(self, requested_schema: object = None) -> Any:
        return self.column.__arrow_c_array__(requested_schema)


class Stream(OneColumn):
    """The same as a stream."""

    __arrow_c_array__ = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return pa.chunked_array([self.column]).__arrow_c_stream__(requested_schema)


class NoStream(Stream):
    """Something that exports nothing."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return None


REFUSED: dict[str, tuple[Make, str]] = {
    "pandas Series": (lambda values: pd.Series(values[:, 0]), "X is a pandas Series, one column .*: give X.to_frame"),
    "pandas Index": (lambda values: pd.Index(values[:, 0]), "X is a pandas Index, one column .*: give X.to_frame"),
    "polars Series": (lambda values: polars(values)["a"], "X is a polars Series, one column .*: give X.to_frame"),
    "LazyFrame": (lambda values: polars(values).lazy(), "X is a polars LazyFrame.*collect"),
    "dask frame": (
        lambda values: pytest.importorskip("dask.dataframe").from_pandas(frame(values), npartitions=2),
        "X is a Dask DataFrame.*use sn.dask.fit",
    ),
    "xarray Dataset": (lambda values: of_xarray(values).to_dataset(name="x"), "X is an xarray Dataset.*to_dataframe"),
    "ChunkedArray": (lambda values: arrow(values)["a"], "X is one column of double"),
    "DatasetDict": (
        lambda values: pytest.importorskip("datasets").DatasetDict(train=of_datasets(values)),
        "X is a DatasetDict of several splits: give one of train",
    ),
    "Column of Hugging Face": (
        lambda values: of_datasets(values)["a"],
        "X is a Column of datasets, one column",
    ),
    "exported array": (OneColumn, r"X is a OneColumn, which exports no table of Arrow \(.*\): give a table"),
    "exported column": (Stream, r"X is a Stream, which exports no table of Arrow \(.*\): give a table"),
    "exported nothing": (NoStream, r"X is a NoStream, which exports no table of Arrow \(.*\): give a table"),
    "dict": (lambda values: {"a": values[:, 0]}, r"X is a dict, which is no table: give pa.table\(X\)"),
    "set": (lambda values: {1.0}, "X is a set, which is no table"),
    "None": (lambda values: None, "X is a NoneType, which is no table"),
    "text": (lambda values: "flights.csv", "X is a str, which is no table"),
    "number": (lambda values: 3, "X is a int, which is no table"),
}
NORMALIZERS: dict[str, Callable[[], Any]] = {
    "standard": lambda: sn.StandardScaler(with_mean=False),
    "power": lambda: sn.PowerTransformer(max_bins=64),
    "rows": sn.Normalizer,
    "whitener": sn.Whitener,
    "minmax": lambda: sn.MinMaxScaler((0, 2)),
    "maxabs": sn.MaxAbsScaler,
    "robust": lambda: sn.RobustScaler(with_centering=False),
    "quantile": lambda: sn.QuantileTransformer(n_quantiles=2),
    "squashing": sn.SquashingScaler,
    "kbins": lambda: sn.KBinsDiscretizer(2, encode="ordinal"),
    "winsor": lambda: sn.Winsorizer(fold=0.5),
    "adaptive": lambda: sn.AdaptiveStandardScaler(5),
    "batch": lambda: sn.BatchNormalizer(momentum=0.5),
}
#: Those that learn from the order, or from where a batch ends.
ORDERED = ("adaptive", "batch")
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{words}")
    for words in ("n_quantiles", ".*feature names", ".*was seen", "the matrix subclass")
]


#: Containers by their words in the guide, without what stands there in parentheses.
WORDS = {
    "ndarray": ["ndarray", "columns"],
    "memory map": ["memory map"],
    "matrix": ["matrix"],
    "nested list": ["list"],
    "Dask array": ["dask array"],
    "xarray `DataArray`": ["DataArray"],
    "tensor": ["tensor", "gradient"],
    "masked array": ["masked"],
    "scipy sparse": ["csr", "csc", "coo", "dok", "csr_matrix"],
    "DataFrame of pandas or Polars": [name for name in TABLES if name.startswith(("pandas", "polars"))],
    "`pa.Table`": ["Table"],
    "`RecordBatch`": ["RecordBatch"],
    "what exports Arrow data": ["exported"],
    "`RecordBatchReader`": ["reader"],
    "dataset of pyarrow": ["dataset"],
    "`Dataset` of Hugging Face": ["Dataset of Hugging Face"],
    "`IterableDataset`": [name for name in TABLES if name.startswith("IterableDataset")],
    "`DataLoader`": ["DataLoader"],
    "iterator": ["iterator", "iterator of tables"],
    "other iterable": ["iterable", "iterable of frames"],
    "list of batches": ["tuple of arrays", "list of frames", "list of batches"],
    "`Series`": ["pandas Series", "polars Series"],
    "`Index`": ["pandas Index"],
    "`ChunkedArray`": ["ChunkedArray"],
    "a column that exports Arrow data": ["exported array", "exported column", "exported nothing"],
    "`LazyFrame`": ["LazyFrame"],
    "Dask frame": ["dask frame"],
    "xarray `Dataset`": ["xarray Dataset"],
    "`DatasetDict`": ["DatasetDict"],
    "`Column` of Hugging Face": ["Column of Hugging Face"],
    "dict": ["dict"],
    "set": ["set"],
    "text": ["text", "None"],
    "number": ["number"],
}


def test_the_guide_has_the_table():
    text = (Path(sn.__file__).parent / "docs" / "guide.md").read_text(encoding="utf-8")
    table = text.split("## What containers are read as")[1].split("\n## ")[0]
    rows = [row.split("|")[1:] for row in table.splitlines() if row.startswith("| ") and "---" not in row][1:]
    words = {re.sub(r" \(.*?\)", "", word).strip(): row[1] for row in rows for word in row[0].split(", ")}
    assert list(words) == list(WORDS)
    assert {name for names in WORDS.values() for name in names} == {*ARRAYS, *TABLES, *REFUSED}
    assert {name for word, read in words.items() if "refused" in read for name in WORDS[word]} == {*REFUSED}


def numbers(result: Any) -> np.ndarray:
    """Give what a normalizer gave as one matrix of float64."""
    if isinstance(result, pa.RecordBatchReader):
        result = result.read_all()
    if isinstance(result, (pa.Table, pa.RecordBatch)):
        return np.column_stack([np.asarray(column, np.float64) for column in result.columns])
    if sparse.issparse(result):
        return result.toarray()
    if hasattr(result, "__next__"):
        return np.vstack([numbers(part) for part in result])
    if isinstance(result, pd.DataFrame):
        return result.to_numpy(np.float64, na_value=np.nan)
    return np.asarray(result, np.float64)


def expected(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "m":
        return values / np.timedelta64(1, "s")
    return values.astype(np.float64)


def methods_of(new: Any, fitted: Any) -> list[Callable[[Any], Any]]:
    """Give all that takes rows; what rows were before they had norm 1, nothing tells."""
    back = [] if isinstance(fitted, sn.Normalizer) else [fitted.inverse_transform]
    return [new.fit, new.partial_fit, fitted.transform, *back]


def made(make: Make, values: np.ndarray) -> Any:
    """Put values into a container; skip where it cannot hold them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = make(values)
            held = polars(values) if make is polars else None
    except Exception as error:
        pytest.skip(f"{type(error).__name__}: no such values in this container")
    if held is not None and values.dtype != object and pl.Object in held.dtypes:
        pytest.skip("Polars has no such type")
    return given


#: One normalizer is walked through all types, the others through those that are read in different ways.
CELLS = [("standard", kind) for kind in NUMBERS]
CELLS += [
    (name, kind) for name in NORMALIZERS for kind in ("i8", "f4", "f8", "object", "missing") if name != "standard"
]


@pytest.mark.parametrize("container", [*ARRAYS, *TABLES])
@pytest.mark.parametrize(("name", "kind"), CELLS)
def test_numbers_are_those_of_asarray(name, kind, container):
    make, values = {**ARRAYS, **TABLES}[container], NUMBERS[kind]
    given, wanted = made(make, values), expected(values)
    if kind == "span" and container == "list":
        with pytest.raises(DataError, match="found timedelta"):
            NORMALIZERS[name]().fit(given)
        return
    if sparse.issparse(given) and name in ("minmax", "power", "whitener", "squashing", "kbins", "winsor", *ORDERED):
        with pytest.raises((StreamnormError, TypeError, ValueError), match=r"[Ss]parse"):
            NORMALIZERS[name]().fit(given)
        return
    if name == "rows" and np.isnan(wanted).any():
        with pytest.raises(DataError, match=r"missing|NaN"):
            numbers(NORMALIZERS[name]().fit_transform(given))
        return
    fitted = NORMALIZERS[name]().fit(BASE)
    for method in (fitted.transform, *([] if name == "rows" else [fitted.inverse_transform])):
        found, right = numbers(method(made(make, values))), method(wanted)
        assert np.allclose(found, right, rtol=1e-3 if kind == "f2" else 1e-6, atol=1e-12, equal_nan=True)
    if name == "batch" and hasattr(given, "__iter__") and not hasattr(given, "shape"):
        return  # batches of other sizes are other steps
    for learn in (NORMALIZERS[name]().fit, NORMALIZERS[name]().partial_fit):
        found = learn(made(make, values))
        right = NORMALIZERS[name]().fit(wanted)
        named = "feature_names_in_" in found.__dict__
        probe = arrow(BASE) if named else BASE
        assert np.allclose(numbers(found.transform(probe)), right.transform(BASE), rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("container", [*ARRAYS, *TABLES])
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["standard", "quantile", "power", "batch", "rows", "table"])
def test_what_is_no_number_is_a_sentence(name, kind, container):
    make = {**ARRAYS, **TABLES}[container]
    if container == "list" and kind in ("date", "NaT"):
        pytest.skip("NumPy gives nanoseconds as integers")
    one = sn.TableNormalizer if name == "table" else NORMALIZERS[name]
    fitted = one().fit(arrow(BASE) if name == "table" else BASE)
    for method in methods_of(one(), fitted):
        with pytest.raises(StreamnormError) as told:
            numbers(method(made(make, OTHERS[kind])))
        assert len(str(told.value)) > 20


@pytest.mark.parametrize("container", TABLES)
@pytest.mark.parametrize("kind", [kind for kind in NUMBERS if kind != "?"])
def test_tables_are_normalised_from_every_container(kind, container):
    make, values = TABLES[container], NUMBERS[kind]
    columns = {"a": "standard", "b": "minmax"}
    wanted = sn.TableNormalizer(columns=columns).fit(arrow(expected(values)))
    if (container, kind) == ("pandas categories", "span") or (container == "pandas sparse" and values.dtype == object):
        with pytest.raises(DataError, match=r"column 'a' holds .*, not numbers"):
            sn.TableNormalizer(columns=columns).fit(made(make, values))
        return
    fitted = sn.TableNormalizer(columns=columns).fit(made(make, values))
    assert sn.TableNormalizer(columns=columns).partial_fit(made(make, values)).digest() == fitted.digest()
    right = numbers(wanted.transform(arrow(expected(values))))
    found = numbers(fitted.transform(made(make, values)))
    assert np.allclose(found, right, rtol=1e-3 if kind == "f2" else 1e-6, equal_nan=True)


@pytest.mark.parametrize("container", REFUSED)
@pytest.mark.parametrize("name", [*NORMALIZERS, "table"])
def test_what_is_no_table_says_what_to_give(name, container):
    make, words = REFUSED[container]
    one = sn.TableNormalizer if name == "table" else NORMALIZERS[name]
    fitted = one().fit(arrow(BASE))
    for method in methods_of(one(), fitted):
        with pytest.raises(DataError, match=words):
            method(make(BASE))


@pytest.mark.parametrize("make", [*ARRAYS.values()], ids=ARRAYS)
def test_a_table_normalizer_says_that_arrays_have_no_names(make):
    fitted = sn.TableNormalizer().fit(arrow(BASE))
    for method in (sn.TableNormalizer().fit, fitted.transform):
        with pytest.raises(DataError, match=r"expected a table .*, found .*: give its columns names"):
            numbers(method(make(BASE)))


@pytest.mark.parametrize("name", [*NORMALIZERS])
@pytest.mark.parametrize("make", [lambda values: values, frame, np.ndarray.tolist], ids=["rows", "pandas", "list"])
def test_integers_beyond_float64_are_a_sentence(make, name):
    fitted, beyond = NORMALIZERS[name]().fit(BASE), make(np.array([[10**400, 2], [3, 4]], object))
    for method in methods_of(NORMALIZERS[name](), fitted):
        with pytest.raises(DataError, match=r"column .*, row 0 of the batch: this int is beyond float64: leave"):
            method(beyond)


def test_masked_values_are_missing():
    masked = np.ma.masked_array([[1, 5], [3, 7], [9, 9]], [[0, 0], [0, 0], [1, 0]])
    scaler = sn.StandardScaler().fit(masked)
    assert scaler.mean_.tolist() == [2.0, 7.0]
    assert np.isnan(scaler.transform(masked))[:, 0].tolist() == [False, False, True]


def test_the_examples():
    xr, dd = pytest.importorskip("xarray"), pytest.importorskip("dask.dataframe")
    X = xr.DataArray([[0.0, 10.0], [2.0, 30.0]], dims=("sample", "feature"))
    scaler = sn.StandardScaler().fit(X)
    assert scaler.mean_.tolist() == [1.0, 20.0]
    assert type(scaler.transform(X)) is np.ndarray
    dates = pd.DataFrame({"seen": pd.to_datetime(["2024-01-01", "2024-01-03", None])})
    with pytest.raises(DataError, match="column 'seen' holds datetime64"):
        sn.StandardScaler().fit(dates)
    with pytest.raises(DataError, match=r"use sn\.dask\.fit"):
        sn.StandardScaler().fit(dd.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}), npartitions=1))
    with pytest.raises(DataError, match=r"give X.to_frame\(\)"):
        sn.TableNormalizer().fit(pd.Series([1.0, 2.0]))
    hot = pd.DataFrame({"hot": pd.arrays.SparseArray([0.0, 0.0, 5.0])})
    for normalizer in (sn.TableNormalizer(), sn.TableNormalizer(columns={"hot": "standard"})):
        assert list(normalizer.fit(hot).feature_names_in_) == ["hot"]


def test_arrays_of_two_dimensions_are_vectors():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Array2D((2, 2), "float32")})
    images = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    given = datasets.Dataset.from_dict({"image": images}, features=features)
    normalizer = sn.TableNormalizer(columns={"image": "standard"}).fit(given)
    assert list(normalizer.learnt.where()) == [f"image[{i}]" for i in range(4)]
    mapped = normalizer.transform(given)["image"].to_pylist()
    wanted = sn.StandardScaler().fit_transform(images.reshape(3, 4)).reshape(3, 2, 2)
    assert np.array_equal(np.array(mapped, np.float32), wanted)
