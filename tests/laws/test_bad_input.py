"""Bad input, for every normalizer: an error that names the column or parameter, and an object as it was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from scipy import sparse

import streamnorm as sn
from streamnorm.arrow.containers import batches_of
from streamnorm.errors import DataError, InfiniteValueError, UnseenKeyError

EVERY = {
    "standard": sn.StandardScaler,
    "minmax": sn.MinMaxScaler,
    "maxabs": sn.MaxAbsScaler,
    "robust": sn.RobustScaler,
    "quantile": lambda: sn.QuantileTransformer(n_quantiles=5),
    "power": sn.PowerTransformer,
    "squashing": sn.SquashingScaler,
    "winsor": lambda: sn.Winsorizer("iqr"),
    "kbins": lambda: sn.KBinsDiscretizer(encode="ordinal"),
    "whitener": sn.Whitener,
    "adaptive": lambda: sn.AdaptiveStandardScaler(30),
    "batch": sn.BatchNormalizer,
    "batch torch": sn.BatchNormalizer.torch,
}
#: All but the one that takes infinities.
FINITE = [kind for kind in EVERY if kind != "squashing"]
GOOD = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["a", "b"])
CONTAINERS = {
    "ndarray": lambda frame: frame.to_numpy(),
    "list": lambda frame: frame.to_numpy().tolist(),
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}
NAMED = ("pandas", "polars", "arrow")


def with_value(value) -> pd.DataFrame:
    frame = GOOD.astype(object) if isinstance(value, str) else GOOD.copy()
    frame.loc[4, "b"] = value
    return frame


#: Rows, and what the error says of them in a frame with names and in a matrix without: alone, or after 20 rows.
ROWS = {
    "one column more": (GOOD.assign(c=1.0), "c", "3 features"),
    "one column less": (GOOD[["a"]], "b", "1 features"),
    "another name": (GOOD.rename(columns={"b": "z"}), "z", None),
    "names in another order": (GOOD[["b", "a"]], "must be in the same order as they were in fit", None),
    "infinity": (with_value(np.inf), "column 'b', row 2?4 .*Replace infinities by", "column 1, row 2?4 .*Replace"),
    "minus infinity": (
        with_value(-np.inf),
        "column 'b', row 2?4 .*Replace infinities by",
        "column 1, row 2?4 .*Replace",
    ),
    "text": (GOOD.assign(b="x"), "column 'b'.*(eave the column out|eave it out), or cast", "column 1, row 0 .*or cast"),
}
#: Each with rows, container and words.
BATCHES = [
    pytest.param(rows, kind, named if kind in NAMED else plain, id=f"{name} in {kind}")
    for name, (rows, named, plain) in ROWS.items()
    for kind in CONTAINERS
    if kind in NAMED or plain is not None
] + [
    pytest.param(with_value("x"), kind, f"'x' in column {column}, row 4 .*or cast", id=f"text among numbers in {kind}")
    for kind, column in (("ndarray", 1), ("list", 1), ("pandas", "'b'"))
]
WEIGHTS = {
    "negative": (-np.ones(20), "[Nn]egative values.*sample_weight"),
    "one negative": (np.r_[-1.0, np.ones(19)], "[Nn]egative values.*sample_weight"),
    "too few": (np.ones(19), r"sample_weight.*\(19,\), expected \(20,\)"),
    "two dimensions": (np.ones((20, 2)), "[Ss]ample weights must be 1D"),
    "NaN": (np.full(20, np.nan), "sample_weight contains NaN"),
    "infinite": (np.full(20, np.inf), "sample_weight contains infinity"),
    "text": (["heavy"] * 20, "sample_weight must be numbers.*'heavy'"),
}


def refused(one, call, words):
    before, digest = dict(one.__dict__), one.digest()
    with pytest.raises(ValueError, match=f"(?s){words}"):
        call()
    assert one.__dict__ == before
    assert one.digest() == digest


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(("rows", "container", "words"), BATCHES)
def test_rows(kind, rows, container, words):
    if kind not in FINITE and "Replace" in words:
        return  # see below
    wrap = CONTAINERS[container]
    one = EVERY[kind]().fit(wrap(GOOD))
    refused(one, lambda: one.partial_fit(wrap(rows)), words)
    refused(one, lambda: one.fit(iter([wrap(GOOD), wrap(rows)])), words)
    refused(one, lambda: one.transform(wrap(rows)), words)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_that_become_a_bound_are_not_learnt_from(value, container):
    wrap, rows = CONTAINERS[container], with_value(value)
    one, without = sn.SquashingScaler().fit(wrap(rows)), sn.SquashingScaler().fit(wrap(with_value(np.nan)))
    assert np.array_equal([one.center_, one.scale_], [without.center_, without.scale_])
    mapped, wanted = np.array(one.transform(wrap(rows))), np.array(without.transform(wrap(with_value(np.nan))))
    assert mapped[4, 1] == np.copysign(3.0, value)
    assert np.array_equal(np.delete(mapped, 4, axis=0), np.delete(wanted, 4, axis=0))


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("shape", [(20,), (2, 2, 2), (0, 2), (20, 0)])
def test_shapes(kind, shape):
    one = EVERY[kind]().fit(GOOD.to_numpy())
    wrong, words = np.ones(shape), "Expected 2D array|dim 3|0 sample|0 feature|2 features"
    if shape == (2, 2, 2) and kind.startswith("batch"):
        wrong, words = np.ones((2, 3, 3)), "3 features"  # it takes any number of dimensions
    learn = one.fit if shape == (0, 2) else one.partial_fit  # which learns nothing from no rows
    refused(one, lambda: learn(wrong), words)
    refused(one, lambda: one.transform(wrong), words)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(kind, name):
    weights, words = WEIGHTS[name]
    for wrap in CONTAINERS.values():
        one, X = EVERY[kind]().fit(wrap(GOOD)), wrap(GOOD)
        refused(one, lambda one=one, X=X: one.partial_fit(X, sample_weight=weights), words)


@pytest.mark.parametrize("kind", EVERY)
def test_what_was_never_fitted_stays_so(kind):
    for rows in (GOOD.assign(b="x"), *([with_value(np.inf)] if kind in FINITE else [])):
        for wrap in CONTAINERS.values():
            one = EVERY[kind]()
            with pytest.raises(ValueError, match="column"):
                one.fit(wrap(rows))
            assert one.__dict__ == EVERY[kind]().__dict__


PARAMETERS = [
    (sn.StandardScaler(ddof=-1), "'ddof'.*-1"),
    (sn.StandardScaler(with_mean="yes"), "'with_mean'.*'yes'"),
    (sn.MinMaxScaler((1, 0)), r"feature range.*\(1, 0\)"),
    (sn.MaxAbsScaler(clip=3), "'clip'.*3"),
    (sn.RobustScaler(quantile_range=(75.0, 25.0)), r"quantile range.*\(75.0, 25.0\)"),
    (sn.RobustScaler(quantile_range=(-1.0, 25.0)), r"quantile range.*\(-1.0, 25.0\)"),
    (sn.RobustScaler(max_bins=1), "max_bins.*1"),
    (sn.QuantileTransformer(n_quantiles=0), "'n_quantiles'.*0"),
    (sn.QuantileTransformer(output_distribution="flat"), "'output_distribution'.*'flat'"),
    (sn.QuantileTransformer(max_bins=1), "max_bins.*1"),
    (sn.SquashingScaler(0.0), "'max_absolute_value'.*0.0"),
    (sn.SquashingScaler(quantile_range=(75.0, 25.0)), r"quantile range.*\(75.0, 25.0\)"),
    (sn.SquashingScaler(max_bins=1), "max_bins.*1"),
    (sn.KBinsDiscretizer(1), "'n_bins'.*1"),
    (sn.Winsorizer("mad"), "'capping_method'.*'mad'"),
    (sn.Winsorizer(tail="up"), "'tail'.*'up'"),
    (sn.Winsorizer(fold=0), "'fold'.*0"),
    (sn.Winsorizer("quantiles", fold=0.5), "below 0.5.*0.5"),
    (sn.KBinsDiscretizer([2, 1]), "number of bins at indices 1"),
    (sn.KBinsDiscretizer([2, 2, 2]), "n_bins must be a scalar or array"),
    (sn.KBinsDiscretizer(encode="dense"), "'encode'.*'dense'"),
    (sn.KBinsDiscretizer(strategy="flat"), "'strategy'.*'flat'"),
    (sn.KBinsDiscretizer(max_bins=1), "max_bins.*1"),
    (sn.PowerTransformer("log"), "'method'.*'log'"),
    (sn.PowerTransformer("box-cox"), "strictly positive data: column 'a' holds -.*yeo-johnson"),
    (sn.AdaptiveStandardScaler(0), "'halflife'.*0"),
    (sn.BatchNormalizer(momentum=1.5), "momentum.*1.5"),
    (sn.BatchNormalizer(epsilon=-1), "epsilon.*-1"),
]

PARAMETERS_OF_TABLES = [
    ({"infinite": "Skip"}, "infinite must be 'error' or 'skip', got 'Skip'"),
    ({"vectors": "rows"}, "vectors must be 'element', 'whole' or 'unit', got 'rows'"),
    ({"dtype": "int8"}, "dtype must be float64, float32 or float16, got 'int8'"),
    ({"columns": ["a"]}, r"columns must map names to scalers \({'price': 'robust'}\), got \['a'\]"),
    ({"suffix": 3}, "suffix must be a text, got 3"),
]


@pytest.mark.parametrize(("options", "words"), PARAMETERS_OF_TABLES)
def test_parameters_of_tables(options, words):
    with pytest.raises(DataError, match=words):
        sn.TableNormalizer(**options).fit(pa.table({"a": [1.0, 2.0]}))


@pytest.mark.parametrize(("one", "words"), PARAMETERS, ids=lambda value: str(value)[:60])
def test_parameters(one, words):
    before = dict(one.__dict__)
    with pytest.raises(ValueError, match=f"(?s){words}"):
        one.fit(GOOD)
    assert one.__dict__ == before
    good = type(one)(5).fit(GOOD) if isinstance(one, sn.AdaptiveStandardScaler) else type(one)().set_params(
        **({"n_quantiles": 5} if isinstance(one, sn.QuantileTransformer) else {})
    ).fit(GOOD)  # fmt: skip
    good.set_params(**one.get_params())
    before = dict(good.__dict__)
    with pytest.raises(ValueError, match=f"(?s){words}"):
        good.fit(GOOD)  # learnt before, and still so
    assert good.__dict__ == before


ROWS_OF_INPUT = pa.table({"a": np.ones(900), "b": np.where(np.arange(900) == 550, np.inf, np.arange(900.0))})
INPUTS = {
    "reader": lambda table: table.to_reader(max_chunksize=100),
    "chunks": lambda table: pa.Table.from_batches(table.to_batches(max_chunksize=100)),
    "dataset": lambda table: ds.dataset([table[:300], table[300:]]),
    "batches": lambda table: iter(table.to_batches(max_chunksize=100)),
    "arrays": lambda table: (b.to_pandas().to_numpy() for b in table.to_batches(max_chunksize=100)),
    "frames": lambda table: (b.to_pandas() for b in table.to_batches(max_chunksize=100)),
    "sparse": lambda table: (sparse.csr_array(b.to_pandas().to_numpy()) for b in table.to_batches(max_chunksize=100)),
    "lists": lambda table: (b.to_pandas().to_numpy().tolist() for b in table.to_batches(max_chunksize=100)),
    "streams": lambda table: (t.to_reader(max_chunksize=100) for t in (table[:300], table[300:])),
    "exports": lambda table: (Exports(b) for b in table.to_batches(max_chunksize=100)),
}


class Exports:
    """Arrow data of a library that has nothing but the interface."""

    def __init__(self, batch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self.batch.__arrow_c_array__(requested_schema)


@pytest.mark.parametrize("kind", FINITE)
@pytest.mark.parametrize("given", INPUTS)
def test_rows_are_those_of_the_input(kind, given):
    one = EVERY[kind]()
    if given == "sparse":
        if kind in ("minmax", "power", "kbins", "winsor", "whitener", "adaptive") or kind.startswith("batch"):
            return
        one.set_params(**{name: False for name in ("with_mean", "with_centering") if name in one.get_params()})
    column = "'b'" if given in ("reader", "chunks", "dataset", "batches", "frames", "streams", "exports") else "1"
    words = rf"column {column}, row 550 of the (input|batch)\. "
    with pytest.raises(InfiniteValueError, match=words) as found:
        one.fit(INPUTS[given](ROWS_OF_INPUT))
    assert (found.value.slot, found.value.row) == (1, 550)


OF_TABLES = ["reader", "chunks", "dataset", "batches", "frames", "streams", "exports"]


@pytest.mark.parametrize("given", OF_TABLES)
def test_rows_of_tables_are_those_of_the_input(given):
    words = r"column 'b', row 550 of the input\. "
    with pytest.raises(InfiniteValueError, match=words):
        sn.TableNormalizer().fit(INPUTS[given](ROWS_OF_INPUT))
    fitted = sn.TableNormalizer().fit(ROWS_OF_INPUT[:500])
    for apply in (fitted.transform, fitted.inverse_transform):
        with pytest.raises(InfiniteValueError, match=words):
            list(batches_of(apply(INPUTS[given](ROWS_OF_INPUT))))


@pytest.mark.parametrize("given", OF_TABLES)
def test_rows_of_keys_not_seen_are_those_of_the_input(given):
    table = pa.table({"k": ["a"] * 550 + ["b"] * 50, "x": [1.0] * 600})
    normalizer = sn.TableNormalizer(by="k", unseen="error").fit(table[:500])
    with pytest.raises(UnseenKeyError, match="key 'b' in row 550 was not seen") as found:
        list(batches_of(normalizer.transform(INPUTS[given](table))))
    assert found.value.row == 550


@pytest.mark.filterwarnings("ignore:Feature 0 is constant")
@pytest.mark.parametrize("kind", FINITE)
@pytest.mark.parametrize("inverse", [False, True])
def test_rows_are_those_of_the_input_when_mapping(kind, inverse):
    one = EVERY[kind]().fit(ROWS_OF_INPUT[:500])
    apply = one.inverse_transform if inverse else one.transform
    with pytest.raises(InfiniteValueError, match=r"column 'b', row 550 of the input\. "):
        apply(INPUTS["chunks"](ROWS_OF_INPUT))
    with pytest.raises(InfiniteValueError, match=r"column 'b', row 550 of the input\. "):
        apply(INPUTS["reader"](ROWS_OF_INPUT)).read_all()


UNREADABLE = {
    "lazy": (pl.LazyFrame({"a": [1.0]}), "polars LazyFrame.*collect"),
    "array": (pa.array([1.0]), r"one column of double.*pa\.table"),
    "chunked array": (pa.chunked_array([[1]]), r"one column of int64.*pa\.table"),
    "int128": (pl.DataFrame({"a": [1], "b": [2]}, schema={"a": pl.Int8, "b": pl.Int128}), "'b' holds Int128.*cast"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_tables_with_no_columns_to_read(name):
    X, words = UNREADABLE[name]
    for call in (
        sn.TableNormalizer().fit,
        sn.TableNormalizer().fit(pa.table({"a": [1.0, 2.0], "b": [1, 2]})).transform,
    ):
        with pytest.raises(DataError, match=words):
            call(X)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_has_no_columns_to_read(kind, name):
    X, words = UNREADABLE[name]
    one = EVERY[kind]().fit(GOOD)
    for call in (one.fit, one.partial_fit, one.transform, one.inverse_transform, lambda X: one.fit(iter([X]))):
        refused(one, lambda call=call: call(X), words)
    one.set_output(transform="polars")
    refused(one, lambda: one.transform(X), words)
