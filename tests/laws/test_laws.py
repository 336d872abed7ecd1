"""The laws, for every summary and every normalizer: a class added to the list is a class tested."""

from __future__ import annotations

import functools
import operator
import pickle

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import SAMPLES, sample
from scipy import sparse
from sklearn.base import clone

import streamnorm as sn
from streamnorm.columns import block_of_matrix
from streamnorm.errors import MergeError
from streamnorm.rules import FAMILY
from streamnorm.summaries import Extremes, Histogram, HistogramOf, Moments, ProfiledOf

SUMMARIES = {
    "moments": Moments,
    "extremes": Extremes,
    "histogram": Histogram,
    "profiled moments": ProfiledOf(Moments),
    "profiled extremes": ProfiledOf(Extremes),
    "profiled histogram": ProfiledOf(HistogramOf()),
    "histogram with moments": ProfiledOf(Histogram, ("moments",)),
}
RECIPE = {
    "columns": {
        "x0": {"clip": [-1, 1.5], "fill": "mean", "scaler": "robust"},
        "x2": {"fill": "median", "clip_result": [-1, 1], "type": "float32", "suffix": "_z"},
        "x3": {"log1p": True, "fill": "zero"},
        "x4": {"drop": True},
        "x[15]": {"scaler": "quantile", "n_quantiles": 5, "clip_result": "1%, 99%"},
    }
}
NORMALIZERS = {
    "standard": sn.StandardScaler,
    "standard ddof": lambda: sn.StandardScaler(ddof=1.5),
    "timed": lambda: sn.StandardScaler(halflife="6h", time="at"),
    "minmax": sn.MinMaxScaler,
    "minmax of quantiles": lambda: sn.MinMaxScaler(quantile_range=(5, 95), clip=True),
    "maxabs": sn.MaxAbsScaler,
    "robust": sn.RobustScaler,
    "squashing": sn.SquashingScaler,
    "kbins": lambda: sn.KBinsDiscretizer(4, encode="ordinal"),
    "winsor": lambda: sn.Winsorizer("quantiles", "both"),
    "gaussian winsor": sn.Winsorizer,
    "quantile": lambda: sn.QuantileTransformer(n_quantiles=5),
    "power": sn.PowerTransformer,
    "whitener": sn.Whitener,
    "pca whitener": lambda: sn.Whitener("pca", n_components=2, regularization=0.25),
    "table": sn.TableNormalizer,
    "recipe table": lambda: sn.TableNormalizer.from_recipe(RECIPE),
    "mixed table": lambda: sn.TableNormalizer(columns={"x0": "minmax"}),
    "profiled table": lambda: sn.TableNormalizer(profile=True, columns={"x0": "robust"}),
    "keyed table": lambda: sn.TableNormalizer(by="shop", min_count=3),
    "timed table": lambda: sn.TableNormalizer(sn.StandardScaler(halflife="90d"), {"x1": "robust"}, time="at"),
    "keyed timed table": lambda: sn.TableNormalizer(sn.StandardScaler(halflife="1d"), time="at", by="shop"),
    "keyed mixed table": lambda: sn.TableNormalizer(columns={"x0": "minmax"}, by=["day", "shop"], unseen="keep"),
    "keyed profiled table": lambda: sn.TableNormalizer(
        "robust", profile=True, by="day", columns={"x0": sn.QuantileTransformer(n_quantiles=5)}
    ),
}
#: What depends on the order, and therefore has other laws.
ORDERED = {
    "adaptive": lambda: sn.AdaptiveStandardScaler(30),
    "adaptive deviation": lambda: sn.AdaptiveStandardScaler(1e6, with_mean=False),
    "batch": sn.BatchNormalizer,
    "batch torch": sn.BatchNormalizer.torch,
}
EVERY = NORMALIZERS | ORDERED
assert set(FAMILY) <= set(NORMALIZERS), "a scaler of the family is walked through every law"
CUTS = [[], [1], [0, 0, 100], [1, 2, 3, 4], [150, 299], list(range(0, 300, 7)), [300]]


def block(rows):
    return block_of_matrix(np.asarray(rows).reshape(-1, 1))


def pieces(rows, cuts, order=None):
    parts = np.split(rows, sorted(cuts))
    return parts if order is None else [parts[i] for i in np.random.default_rng(order).permutation(len(parts))]


def tree(parts, seed):
    """Merge neighbours at random until one is left."""
    rng, parts = np.random.default_rng(seed), list(parts)
    while len(parts) > 1:
        i = int(rng.integers(len(parts) - 1))
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("kind", SUMMARIES)
class TestSummaries:
    def test_any_cut_any_order_any_tree(self, kind, name):
        summary, rows = SUMMARIES[kind], sample(name, 300)
        whole = summary.of(block(rows))
        for seed, cuts in enumerate(CUTS):
            parts = [summary.of(block(part)) for part in pieces(rows, cuts, order=seed)]
            assert tree(parts, seed) == whole
        assert summary.of(block(rows[::-1].copy())) == whole

    def test_identity_and_exchange(self, kind, name):
        summary, rows = SUMMARIES[kind], sample(name, 300)
        a, b, c = (summary.of(block(part)) for part in np.split(rows, [100, 250]))
        empty = summary.empty(1)
        assert summary.of(block(rows[:0])) == empty
        assert a + empty == a == empty + a
        assert a + b == b + a
        assert (a + b) + c == a + (b + c)

    def test_forgetting(self, kind, name):
        summary, rows = SUMMARIES[kind], sample(name, 300)
        a, b = (summary.of(block(part)) for part in np.split(rows, [120]))
        if not a.can_forget:
            with pytest.raises(MergeError, match="cannot forget"):
                (a + b) - b
            return
        assert (a + b) - b == a
        assert (a + b) - a == b
        assert a - a == summary.empty(1)

    def test_taking_slots(self, kind, name):
        summary, column = SUMMARIES[kind], sample(name, 300)
        rows = np.stack([column, column[::-1] // 2, np.zeros_like(column)], axis=1)
        whole = summary.of(block_of_matrix(rows))
        for slots in ([0], [2], [1, 0, 1], [-1], []):
            assert whole.take(slots) == summary.of(block_of_matrix(rows[:, slots]))
        with pytest.raises(IndexError):
            whole.take([3])

    def test_json_and_pickle(self, kind, name):
        summary = SUMMARIES[kind]
        a = summary.of(block(sample(name, 300)))
        assert summary.from_json(a.to_json()) == a
        assert pickle.loads(pickle.dumps(a)) == a
        assert summary.from_json(a.to_json()).digest() == a.digest()


@given(
    values=st.lists(st.floats(allow_infinity=False, width=64), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    kind=st.sampled_from(sorted(SUMMARIES)),
)
@settings(max_examples=150, deadline=None)
def test_laws_for_any_floats(values, cuts, kind):
    summary, rows = SUMMARIES[kind], np.array(values, np.float64)
    whole = summary.of(block_of_matrix(rows.reshape(-1, 1)))
    parts = [summary.of(block_of_matrix(part.reshape(-1, 1))) for part in pieces(rows, cuts)]
    assert functools.reduce(operator.add, parts, summary.empty(1)) == whole
    if whole.can_forget:
        assert whole - parts[0] == functools.reduce(operator.add, parts[1:], summary.empty(1))


def table_of(rows) -> pa.Table:
    return pa.table({f"x{i}": rows[:, i] for i in range(rows.shape[1])})


def rows_of(n=300) -> np.ndarray:
    names = ["normal", "shifted", "missing", "lognormal", "constant", "all missing"]
    return np.stack([sample(name, n) for name in names], axis=1)


def data_of(kind, rows) -> pa.Table:
    """Give a table of the rows, with keys and times where the kind has some: they are made of the rows' values.

    Where a row with a missing value is left out whole, the column that has none but such is another.
    """
    if kind.endswith("whitener") and rows.shape[1] > 5:
        rows = np.where(np.arange(rows.shape[1]) == 5, rows[:, 1:2] - 1e9 - rows[:, :1], rows)
    table = table_of(rows)
    if "timed" in kind:
        days = np.floor(4000 * np.abs(np.nan_to_num(rows[:, 0])))
        table = table.append_column("at", pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32()))
    if not kind.startswith("keyed"):
        return table
    number = np.floor(3 * np.abs(rows[:, 0]))
    shops = pa.array([None if np.isnan(n) else f"shop {n:g}" for n in number], pa.string())
    days = pa.array(np.nan_to_num(number).astype(np.int32) % 3, pa.int32()).cast(pa.date32())
    return table.append_column("shop", shops.dictionary_encode()).append_column("day", days)


def fitted(kind, rows):
    return EVERY[kind]().fit(data_of(kind, rows))


@pytest.mark.filterwarnings("ignore:.*no value", "ignore:n_quantiles", "ignore:Feature|Bins whose")
@pytest.mark.parametrize("kind", NORMALIZERS)
class TestNormalizers:
    def test_any_batches_any_order(self, kind):
        rows = rows_of()
        whole = fitted(kind, rows)
        for seed, cuts in enumerate(CUTS):
            one = NORMALIZERS[kind]()
            for part in pieces(rows, cuts, order=seed):
                one.partial_fit(data_of(kind, part))
            assert one == whole
            assert one.digest() == whole.digest()

    def test_a_stream_is_its_batches(self, kind):
        rows = rows_of()
        batches = [data_of(kind, part).to_batches()[0] for part in np.split(rows, [50, 200])]
        reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
        whole = fitted(kind, rows)
        assert NORMALIZERS[kind]().fit(reader) == whole
        assert NORMALIZERS[kind]().fit(iter(batches)) == whole

    def test_merge_and_forget(self, kind):
        rows = rows_of()
        parts = [fitted(kind, part) for part in np.split(rows, [50, 200])]
        whole = fitted(kind, rows)
        assert sum(parts) == whole
        assert sum(reversed(parts)).digest() == whole.digest()
        if kind in ("minmax", "maxabs", "mixed table", "keyed mixed table"):
            with pytest.raises(MergeError, match="cannot forget"):
                whole - parts[0]
            assert whole == fitted(kind, rows)
        else:
            assert whole - parts[0] == parts[1] + parts[2]

    def test_what_cannot_be_merged(self, kind):
        a = fitted(kind, rows_of())
        other = fitted(kind, rows_of()[:, :5])
        with pytest.raises(MergeError, match="columns"):
            a + other
        with pytest.raises((MergeError, TypeError)):
            a + sn.StandardScaler(with_mean=False).fit(table_of(rows_of()))
        with pytest.raises(TypeError):
            a + 1


@pytest.mark.filterwarnings("ignore:.*no value", "ignore:n_quantiles", "ignore:Feature|Bins whose")
@pytest.mark.parametrize("kind", EVERY)
class TestEveryNormalizer:
    def test_save_and_load(self, kind, tmp_path):
        whole = fitted(kind, rows_of())
        sn.save(whole, tmp_path / "state.json")
        again = sn.load(tmp_path / "state.json")
        assert again == whole
        assert type(again) is type(whole)
        assert again.digest() == whole.digest()
        table = data_of(kind, rows_of())
        assert again.transform(table).to_pandas().equals(whole.transform(table).to_pandas())
        assert again.partial_fit(table) == whole.partial_fit(table)

    def test_empty_and_missing_batches_change_nothing(self, kind):
        rows = rows_of()
        a = fitted(kind, rows)
        digest = a.digest()
        assert a.partial_fit(data_of(kind, rows[:0])).digest() == digest
        nothing = np.full((3, 6), np.nan)
        b = EVERY[kind]().partial_fit(data_of(kind, nothing)).partial_fit(data_of(kind, rows))
        table = data_of(kind, rows[:20])
        assert str(b.transform(table)) == str(a.transform(table))

    def test_a_refused_batch_changes_nothing(self, kind):
        a = fitted(kind, rows_of())
        digest, bad = a.digest(), rows_of(10)
        bad[4, 1] = np.inf
        infinite = [] if kind == "squashing" else [data_of(kind, bad)]  # there it is a value like others
        for wrong in (*infinite, data_of(kind, bad[:, :2]), pa.table({f"x{i}": ["a"] for i in range(6)})):
            with pytest.raises(ValueError, match="x"):
                a.partial_fit(wrong)
            assert a.digest() == digest

    def test_clone_and_pickle(self, kind):
        rows = rows_of()
        whole = fitted(kind, rows)
        again = pickle.loads(pickle.dumps(whole))
        assert again == whole
        assert again.digest() == whole.digest()
        assert again.partial_fit(data_of(kind, rows)) == whole.partial_fit(data_of(kind, rows))
        assert clone(whole) == EVERY[kind]() != whole
        assert clone(whole).fit(data_of(kind, rows)) == fitted(kind, rows)

    def test_fitted_attributes_cannot_be_written_to(self, kind):
        one = fitted(kind, rows_of())
        arrays = [
            value
            for name in dir(one)
            if name.endswith("_") and not name.startswith("_") and name != "feature_names_in_"
            for value in [getattr(one, name)]
            if isinstance(value, np.ndarray)
        ]
        assert len(arrays) > 0 or "table" in kind
        assert [array.flags.writeable for array in arrays] == [False] * len(arrays)

    def test_refitting_forgets(self, kind):
        rows = rows_of()
        assert fitted(kind, rows[:50]).fit(data_of(kind, rows)) == fitted(kind, rows)


ALIKE = [
    (sn.StandardScaler, {"ddof": 1}, {"ddof": 1.0}, {"ddof": 2}),
    (sn.StandardScaler, {"ddof": 0}, {"ddof": np.float32(0), "with_mean": np.True_}, {"ddof": 0.5}),
    (sn.StandardScaler, {"ddof": 0.5}, {"ddof": np.float16(0.5), "copy": np.True_}, {"ddof": 1}),
    (sn.MinMaxScaler, {"feature_range": (0, 1)}, {"feature_range": (0.0, np.int8(1))}, {"feature_range": (0, 1.5)}),
    (sn.MinMaxScaler, {"feature_range": (0, 0.5)}, {"feature_range": (0.0, np.float64(0.5))}, {"clip": True}),
    (sn.MinMaxScaler, {"quantile_range": (1, 99)}, {"quantile_range": (1.0, np.int8(99))}, {"quantile_range": None}),
    (sn.MinMaxScaler, {}, {"quantile_range": None, "max_bins": np.int64(4096)}, {"max_bins": 256}),
    (
        sn.RobustScaler, {"quantile_range": (25.0, 75.0)}, {"quantile_range": (25, np.int64(75))},
        {"quantile_range": (24.0, 75.0)},
    ),
    (sn.Winsorizer, {"fold": 2}, {"fold": np.float32(2)}, {"fold": 2.5}),
    (sn.PowerTransformer, {"standardize": True}, {"standardize": np.True_}, {"max_bins": 256}),
    (sn.QuantileTransformer, {"n_quantiles": 2}, {"n_quantiles": np.int32(2)}, {"n_quantiles": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "same", "other"), ALIKE)
def test_parameters_of_equal_value_are_equal(kind, params, same, other, tmp_path):
    table = table_of(rows_of()[:, :2])
    a, b, c = (kind(**given).fit(table) for given in (params, same, other))
    assert a == b
    assert a.digest() == b.digest()
    assert (a + b).digest() == (b + a).digest() == (a + a).digest()
    for number, one in enumerate((a, b)):
        sn.save(one, tmp_path / f"{number}.json")
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    assert sn.load(tmp_path / "1.json") == a
    tables = [sn.TableNormalizer(kind(**given)).fit(table) for given in (params, same)]
    assert tables[0] == tables[1]
    assert tables[0].digest() == tables[1].digest()
    assert tables[0] + tables[1] == tables[1] + tables[0]
    assert a != c
    assert a.digest() != c.digest()
    with pytest.raises(MergeError, match="other parameters"):
        a + c


#: What takes no sparse matrices.
DENSE = (
    "minmax",
    "minmax of quantiles",
    "power",
    "squashing",
    "kbins",
    "winsor",
    "gaussian winsor",
    "whitener",
    "pca whitener",
)
#: What takes arrays without names of columns.
SCALERS = [kind for kind in EVERY if "table" not in kind and kind != "timed"]
CONTAINERS = {
    "ndarray": lambda table: table.to_pandas().to_numpy(),
    "float32": lambda table: table.to_pandas().to_numpy(np.float32),
    "integers": lambda table: table.to_pandas().to_numpy().astype(int),
    "pandas": lambda table: table.to_pandas(),
    "polars": pl.from_arrow,
    "sparse": lambda table: sparse.csr_array(table.to_pandas().to_numpy()),
    "arrow": lambda table: table,
}


@pytest.mark.filterwarnings("ignore:n_quantiles", "ignore:Bins whose")
@pytest.mark.parametrize(
    ("kind", "container"),
    [(k, c) for k in SCALERS for c in CONTAINERS if c != "sparse" or k not in (*DENSE, *ORDERED)],
)
class TestNoRows:
    """`partial_fit` learns nothing from none; `fit` refuses it, as scikit-learn does, but for Arrow data."""

    def made(self, kind, container, columns=2):
        one = EVERY[kind]()
        if container == "sparse":
            one.set_params(**{name: False for name in ("with_mean", "with_centering") if name in one.get_params()})
        wrap = CONTAINERS[container]
        rows = table_of(np.array([[1.0, 2.0], [4.0, 2.0], [3.0, 8.0]]))
        return one, wrap(rows), wrap(rows[:0].select(range(columns)))

    def test_they_change_nothing(self, kind, container):
        one, rows, none = self.made(kind, container)
        digest = one.fit(rows).digest()
        assert one.partial_fit(none).digest() == digest
        assert one.partial_fit(none, sample_weight=[]).digest() == digest

    def test_they_may_come_first(self, kind, container):
        one, rows, none = self.made(kind, container)
        whole = clone(one).fit(rows)
        assert clone(one).partial_fit(none).n_features_in_ == 2
        assert clone(one).partial_fit(none).partial_fit(rows) == whole
        assert clone(one).partial_fit(none, sample_weight=[]).partial_fit(rows) == whole

    def test_their_columns_are_checked(self, kind, container):
        one, rows, none = self.made(kind, container, columns=1)
        one.fit(rows)
        with pytest.raises(ValueError, match=r"1 features|x1"):
            one.partial_fit(none)

    def test_fit_refuses_them(self, kind, container):
        one, _, none = self.made(kind, container)
        if container == "arrow":
            assert one.fit(none).n_features_in_ == 2
            return
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            one.fit(none)
        assert one.__dict__ == clone(one).__dict__


@pytest.mark.filterwarnings("ignore:.*no value")
@pytest.mark.parametrize("kind", ORDERED)
def test_missing_float64_do_not_widen_what_was_learnt_from_float32(kind):
    rows = rows_of().astype(np.float32)[:, :3]
    one = EVERY[kind]().fit(rows)
    digest = one.digest()
    assert one.partial_fit(np.full((2, 3), np.nan)).digest() == digest


@pytest.mark.parametrize("kind", ORDERED)
class TestOrdered:
    def test_a_stream_is_its_batches(self, kind):
        batches = [table_of(part).to_batches()[0] for part in np.split(rows_of(), [50, 200])]
        one = ORDERED[kind]()
        for batch in batches:
            one.partial_fit(batch)
        reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
        assert ORDERED[kind]().fit(reader) == ORDERED[kind]().fit(iter(batches)) == one

    def test_the_cut_matters_to_batch_normalization_alone(self, kind):
        rows, free = rows_of(1300), kind.startswith("adaptive")
        whole = fitted(kind, rows)
        for cuts in ([650], [1, 2, 3, 4], [0, 0, 100], [1299], list(range(7, 1300, 97))):
            one = ORDERED[kind]()
            for part in pieces(rows, cuts):
                if kind != "batch torch" or len(part) > 50:  # its variance needs two samples
                    one.partial_fit(table_of(part))
            assert (one == whole) == (one.digest() == whole.digest()) == free

    def test_the_order_matters(self, kind):
        rows = rows_of()
        one, other = ORDERED[kind](), ORDERED[kind]()
        for part in (rows[:100], rows[100:]):
            one.partial_fit(part)
        for part in (rows[100:], rows[:100]):
            other.partial_fit(part)
        assert one != other
        assert one.digest() != other.digest()

    def test_merging_is_refused(self, kind):
        a, b = fitted(kind, rows_of()), fitted(kind, rows_of())
        for merge in (lambda: a + b, lambda: a - b, lambda: sum([a, b]), lambda: a + 1):
            with pytest.raises(MergeError, match="cannot be added"):
                merge()
        assert a == b

    def test_weights(self, kind):
        rows, rng = rows_of(), np.random.default_rng(0)
        weights = rng.integers(0, 4, len(rows)).astype(float)
        make = ORDERED[kind]
        assert make().fit(rows, sample_weight=np.ones(len(rows))) == make().fit(rows)
        one = make().fit(rows, sample_weight=weights)
        there = weights > 0
        assert one == make().fit(rows[there], sample_weight=weights[there]) != make().fit(rows)
        table = pa.concat_tables([table_of(rows[:9]), table_of(rows[9:])])
        zeros = np.where(np.arange(len(rows)) < 9, 0.0, weights)  # none in the first chunk
        assert make().fit(table, sample_weight=zeros.tolist()) == make().fit(
            table_of(rows[9:]), sample_weight=weights[9:]
        )
        infinite = np.where(there[:, np.newaxis], rows, np.inf)  # where the weight is 0
        assert make().fit(infinite, sample_weight=weights) == one
        digest = one.digest()
        assert one.partial_fit(rows, sample_weight=np.zeros(len(rows))).digest() == digest
        for wrong in (-weights, weights[1:], np.full(len(rows), np.nan)):
            with pytest.raises(ValueError, match="weight"):
                one.partial_fit(rows, sample_weight=wrong)
            assert one.digest() == digest


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ({}, {"exclude": "n"}, "column 'n' is in one of them only"),
        (
            {},
            {"default": "minmax"},
            r"column 'x' has standard\(\) in one and minmax\(\) in the other",
        ),
        ({}, {"columns": {"n": sn.StandardScaler(ddof=1)}}, r"column 'n' .* standard\(ddof=1\)"),
        ({"profile": True}, {}, r"column 'x' has standard\(profile=True\)"),
        ({"vectors": "whole"}, {}, "column 'v' has .* of whole vectors in one"),
        ({"columns": {"n": "drop"}}, {"columns": {"n": "none"}}, r"one drops \['n'\] and the other \[\]"),
    ],
)
def test_what_keeps_tables_from_being_added_is_said(one, two, words):
    table = pa.table({"x": [1.0, 2.0], "n": [1, 2], "v": pa.array([[1.0], [2.0]], pa.list_(pa.float64(), 1))})
    columns = {"v": "standard"}
    a, b = (
        sn.TableNormalizer(**{**options, "columns": columns | options.get("columns", {})}).fit(table)
        for options in (one, two)
    )
    for combine in (operator.add, operator.sub):
        with pytest.raises(MergeError, match=words):
            combine(a, b)
