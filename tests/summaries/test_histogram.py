"""Histograms: the laws, the kernel against its reference, quantiles against numpy's, and what JSON may hold."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import SAMPLES, sample

from streamnorm import kernel
from streamnorm.errors import DataError, InfiniteValueError, MergeError
from streamnorm.kernel import reference as _reference
from streamnorm.summaries import Block
from streamnorm.summaries.bins import Bins
from streamnorm.summaries.exact import Exact
from streamnorm.summaries.histogram import Histogram, HistogramOf

QUARTERS = [0.25, 0.5, 0.75]
MANY = [0.0, 1e-9, 0.1, 0.25, 1 / 3, 0.5, 0.7, 0.99, 1 - 1e-9, 1.0]


def run_of(column, weights=None, slot=0):
    column = np.ascontiguousarray(column)
    kind = {"l": "q", "L": "Q"}.get(column.dtype.char, column.dtype.char)
    return kernel.Run(slot, 1, kind, column, 0, column.itemsize, 0, len(column), weights=weights)


def block_of(*columns, weights=None, **more):
    runs = [run_of(column, weights, slot) for slot, column in enumerate(columns)]
    return Block(len(columns), len(columns[0]), runs, **more)


def of(*columns, max_bins=64, weights=None):
    return Histogram.of(block_of(*columns, weights=weights), max_bins=max_bins)


def finest(slots, bits=64):
    return np.full(slots, bits, np.int64)


def tree(parts, seed):
    """Merge two at random until one is left."""
    rng, parts = np.random.default_rng(seed), list(parts)
    while len(parts) > 1:
        b, a = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        parts.append(a + b)
    return parts[0]


def definition(values, max_bins):
    """Bits, keys and counts of finite values by the definition, one value after the other."""
    images = [int(v.view(np.uint64)) for v in np.asarray(values, np.float64) + 0.0]
    images = [i ^ (2**64 - 1) if i >> 63 else i | 1 << 63 for i in images]
    bits = next(b for b in range(64, 0, -1) if len({i >> (64 - b) for i in images}) <= max_bins)
    keys = [i >> (64 - bits) << (64 - bits) for i in images]
    return bits, sorted(set(keys)), [keys.count(key) for key in sorted(set(keys))]


bit_patterns = st.lists(st.integers(0, 2**64 - 1), max_size=60).map(
    lambda bits: np.array(bits, np.uint64).view(np.float64)
)
near = st.lists(st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.0, np.nextafter(1, 2), -1.0, 1.7e308, -1.7e308, np.nan]))
columns = (bit_patterns | near.map(np.array)).map(lambda x: np.where(np.isinf(x), np.nan, x))


@pytest.mark.parametrize("max_bins", [2, 5, 64, 4096])
@pytest.mark.parametrize("name", SAMPLES)
class TestLaws:
    def test_any_cut_any_order_any_tree(self, name, max_bins):
        rows = sample(name, 500)
        whole = of(rows, max_bins=max_bins)
        for seed, cuts in enumerate([[], [1], [0, 0, 100], [250, 499], range(0, 500, 7)]):
            shuffled = np.random.default_rng(seed).permutation(rows)
            parts = [of(part, max_bins=max_bins) for part in np.split(shuffled, list(cuts))]
            assert tree(parts, seed) == whole
            assert tree(parts, seed).digest() == whole.digest()

    def test_identity_and_exchange(self, name, max_bins):
        a, b, c = (of(part, max_bins=max_bins) for part in np.split(sample(name, 500), [100, 250]))
        empty = Histogram.empty(1, max_bins)
        assert of(sample(name, 0), max_bins=max_bins) == empty
        assert a + empty == a == empty + a
        assert a + b == b + a
        assert (a + b) + c == a + (b + c)

    def test_forgetting(self, name, max_bins):
        a, b = (of(part, max_bins=max_bins) for part in np.split(sample(name, 500), [200]))
        both = a + b
        assert both - b == a.coarsen(both.bits)
        assert both - a == b.coarsen(both.bits)
        assert ((both - b) == a) == (a.bits[0] == both.bits[0] or a.bins.sizes[0] == 0)
        assert both - both == Histogram.empty(1, max_bins)
        assert (both - b) + b == both

    def test_the_kernel_gives_what_the_reference_does(self, name, max_bins):
        columns = [sample(name, 500, seed) for seed in range(3)]
        weights = np.random.default_rng(0).integers(0, 3, 500).astype(float)
        for block in (block_of(*columns), block_of(*columns, weights=weights)):
            for bits in (finest(3), np.array([64, 12, 1], np.int64), np.array([20, 52, 40], np.int64)):
                one, other = (k.histogram(3, block.runs, max_bins, bits) for k in (kernel, _reference))
                assert one == other

    def test_rows_added_to_what_is_there(self, name, max_bins):
        rows, kind = sample(name, 500), HistogramOf(max_bins)
        total = kind.empty(1)
        for part in np.split(rows, [0, 3, 300]):
            total = total.with_rows(kind, block_of(part))
        assert total == of(rows, max_bins=max_bins)

    def test_the_kernel_adds_rows_to_bins_as_the_reference_does(self, name, max_bins):
        before = of(sample(name, 900), max_bins=max_bins)
        for rows, weighted in ((0, False), (1, False), (300, False), (9000, False), (300, True)):
            weights = np.random.default_rng(1).integers(0, 3, rows).astype(float) if weighted else None
            runs, known = block_of(sample(name, rows, 2), weights=weights).runs, before.bins._arrays()
            one, other = (k.histogram(1, runs, max_bins, *known) for k in (kernel, _reference))
            assert one == other


@settings(deadline=None, max_examples=300)
@given(columns, st.integers(2, 9), st.integers(0, 60), st.integers(0, 9))
def test_laws_on_any_bits(rows, max_bins, cut, seed):
    whole = of(rows, max_bins=max_bins)
    order = np.random.default_rng(seed).permutation(len(rows))
    a, b = (of(rows[part], max_bins=max_bins) for part in np.split(order, [cut]))
    assert a + b == whole == b + a
    assert whole - b == a.coarsen(whole.bits)
    finite = rows[np.isfinite(rows)]
    bits, keys, counts = definition(finite, max_bins)
    assert [list(x) for x in ([bits], keys, counts)] == [x.tolist() for x in (whole.bits, *whole.bins._arrays()[2:])]
    assert Histogram.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def smooth(name, n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "normal": lambda: rng.normal(size=n),
        "lognormal": lambda: rng.lognormal(size=n),
        "uniform": lambda: rng.random(n),
        "N(1e6, 1)": lambda: rng.normal(1e6, 1, n),
        "bimodal": lambda: np.where(rng.random(n) < 0.5, rng.normal(-5, 1, n), rng.normal(5, 0.5, n)),
        "cauchy": lambda: rng.standard_cauchy(n),
        "pareto": lambda: rng.pareto(1.5, n) + 1,
    }[name]()


SMOOTH = ["normal", "lognormal", "uniform", "N(1e6, 1)", "bimodal", "cauchy", "pareto"]
ODD = {
    "few far off": lambda x: np.concatenate([x, [1e300, -1e-300, 0.0, -0.0]]),
    "half zero": lambda x: np.where(np.arange(len(x)) % 2, x, 0.0),
    "sorted": np.sort,
    "missing": lambda x: np.where(np.arange(len(x)) % 9, x, np.nan),
    "tenths": lambda x: np.round(x, 1),
    "two clusters": lambda x: np.where(np.arange(len(x)) % 2, 1e3, 1e6) + x / 1e3,
    "window of the sample alone": lambda x: np.where(np.arange(len(x)) % (len(x) // 256 + 1), x * 1e-200, x),
    "integers": lambda x: np.round(1000 * x),
    "float32": lambda x: x.astype(np.float32),
    "near the greatest": lambda x: x * (1e308 / np.abs(x).max()),
}


class TestWindow:
    """Columns long enough for the kernel to count them in a window."""

    @pytest.mark.parametrize("max_bins", [2, 100, 1000])
    @pytest.mark.parametrize("odd", ODD)
    @pytest.mark.parametrize("name", SMOOTH)
    def test_the_kernel_gives_what_the_reference_does(self, name, odd, max_bins):
        column = ODD[odd](smooth(name, 9000))
        runs = [run_of(part) for part in np.split(column, [0, 1, 5000])]
        expected = _reference.histogram(1, runs, max_bins, finest(1))
        assert kernel.histogram(1, runs, max_bins, finest(1)) == expected
        kept = int(np.frombuffer(expected[2][0], np.int64)[0])
        for bits in {min(kept + 1, 64), kept, max(kept - 1, 1), 1}:
            expected = _reference.histogram(1, runs, max_bins, finest(1, bits))
            assert kernel.histogram(1, runs, max_bins, finest(1, bits)) == expected

    @pytest.mark.parametrize("max_bins", [100, 1000])
    @pytest.mark.parametrize("name", SMOOTH)
    def test_a_stream_that_drifts(self, name, max_bins):
        parts = [smooth(other, 5000, seed) * 2.0**seed for seed, other in enumerate([name, *SMOOTH, name])]
        kind = HistogramOf(max_bins)
        total = kind.empty(1)
        for part in parts:
            total = total.with_rows(kind, block_of(part))
        assert total == of(np.concatenate(parts), max_bins=max_bins)

    @pytest.mark.parametrize("times", [1, 2**29, 2**40])
    @pytest.mark.parametrize("odd", ODD)
    @pytest.mark.parametrize("name", SMOOTH)
    def test_rows_are_added_to_bins_as_the_reference_adds_them(self, name, odd, times):
        column = ODD[odd](smooth(name, 9000))
        for other in (smooth(name, 9000, 1), ODD[odd](smooth(name, 3000, 2)), smooth(name, 5, 3)):
            bits, sizes, keys, counts = of(other, max_bins=1000).bins._arrays()
            known = (bits, sizes, keys, counts * times)
            expected = _reference.histogram(1, [run_of(column)], 1000, *known)
            assert kernel.histogram(1, [run_of(column)], 1000, *known) == expected

    def test_bins_that_cannot_be_added_to(self):
        bits, sizes, keys, counts = of(smooth("normal", 900), max_bins=64).bins._arrays()
        wrong = {
            "more bins than may be left": (len(keys) - 1, (sizes, keys, counts)),
            "sizes, keys and counts": (64, (sizes, keys)),
            "shape": (64, (sizes + 1, keys, counts)),
        }
        for words, (most, known) in wrong.items():
            for k in (kernel, _reference):
                with pytest.raises(ValueError, match=words):
                    k.histogram(1, [run_of(np.ones(9000))], most, bits, *known)

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_matrices(self, order):
        matrix = np.stack([smooth(name, 9000) for name in SMOOTH for _ in range(3)], axis=1)
        matrix[::17, 3] = np.nan
        matrix[:, 4] = np.arange(9000) % 5
        matrix = np.array(matrix, order=order)
        runs = [kernel.Run(0, matrix.shape[1], "d", matrix, 0, *matrix.strides, len(matrix))]
        for bits in (finest(21), finest(21) - np.arange(21) * 3):
            assert kernel.histogram(21, runs, 500, bits) == _reference.histogram(21, runs, 500, bits)
        known = of(*(matrix[:700] * 1.01).T, max_bins=500).bins._arrays()
        assert kernel.histogram(21, runs, 500, *known) == _reference.histogram(21, runs, 500, *known)

    def test_nulls_and_infinities(self):
        column = smooth("normal", 20_000)
        column[[7777, 9999]] = np.inf, -np.inf
        valid = np.random.default_rng(1).integers(0, 256, 2501, np.uint8)
        run = run_of(column)._replace(validity=valid.tobytes(), validity_offset=3)
        assert kernel.histogram(1, [run], 4096, finest(1)) == _reference.histogram(1, [run], 4096, finest(1))
        with pytest.raises(InfiniteValueError, match=r"column 0, row 7777"):
            of(column)
        skipped = Histogram.of(block_of(column), skip_infinite=True)
        assert skipped.bins == of(column[np.isfinite(column)], max_bins=4096).bins

    @pytest.mark.parametrize("target", ["baseline", "avx2", "avx512"])
    def test_every_instruction_set(self, target):
        best = kernel.instructions()
        run = run_of(smooth("cauchy", 20_000))
        kernel.instructions(target)
        try:
            for bits in (finest(1), finest(1, 12)):
                assert kernel.histogram(1, [run], 300, bits) == _reference.histogram(1, [run], 300, bits)
        finally:
            kernel.instructions(best if best != "python" else None)


class TestQuantiles:
    @pytest.mark.parametrize("n", [1, 2, 3, 10, 999, 1000])
    @pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("all missing", "int64 near 2^63")])
    def test_exact_while_all_values_are_kept(self, name, n):
        rows = sample(name, n).astype(np.float64)
        if np.isnan(rows).all():
            return
        h = of(rows, max_bins=1000)
        q = np.concatenate([MANY, np.linspace(0, 1, 57)])
        with np.errstate(over="ignore", invalid="ignore"):
            expected = np.nanpercentile(rows, q * 100)
            fine = np.isfinite(expected)  # numpy's difference of two values may overflow
        assert h.bits == [64]
        assert h.quantile(q * 100 / 100)[fine, 0].tolist() == expected[fine].tolist()
        assert np.isfinite(h.quantile(q)).all()
        assert not h.error_bound(q).any()

    def test_weights_are_repetitions(self):
        x, weights = sample("normal", 300), np.arange(300) % 4.0
        repeated = np.repeat(x, weights.astype(int))
        for most in (400, 50):
            assert of(x, weights=weights, max_bins=most) == of(repeated, max_bins=most)
        x[::7] = np.nan
        assert of(x, weights=weights) == of(np.repeat(x, weights.astype(int)))

    @pytest.mark.parametrize("bad", [0.5, -1.0, np.nan, np.inf, 2.0**33])
    def test_other_weights(self, bad):
        for k in (kernel, _reference):
            with pytest.raises(ValueError, match="whole numbers"):
                k.histogram(1, block_of(np.ones(2), weights=np.array([1, bad])).runs, 9, finest(1))
        with pytest.raises(DataError, match="Quantiles cannot take these weights"):
            of(np.ones(2), weights=np.array([1, bad]))

    def test_zeros_that_are_not_stored(self):
        x = sample("normal", 90)
        block = block_of(x, zeros=np.array([400]))
        assert Histogram.of(block, max_bins=50).bins == of(np.concatenate([x, np.zeros(400)]), max_bins=50).bins
        weighted = block_of(x, weights=np.ones(90), zeros=np.array([4]), zero_weight=Exact.of_integers([400]))
        assert Histogram.of(weighted, max_bins=50).bins == Histogram.of(block, max_bins=50).bins
        halves = block_of(x, weights=np.ones(90), zeros=np.array([4]), zero_weight=Exact.of_fractions([(1, -1)]))
        with pytest.raises(DataError, match="whole numbers"):
            Histogram.of(halves)

    @pytest.mark.parametrize("name", SMOOTH)
    def test_the_bound_holds(self, name):
        x = smooth(name, 20_000)
        q = np.linspace(0, 1, 1001)
        exact = np.quantile(x, q)
        for max_bins in (2, 10, 100, 3000):
            h = of(x, max_bins=max_bins)
            assert h.bits[0] < 64
            assert (np.abs(h.quantile(q)[:, 0] - exact) <= h.error_bound(q)[:, 0]).all()
            assert (np.diff(h.quantile(q)[:, 0]) >= 0).all()

    @pytest.mark.parametrize("name", SMOOTH)
    def test_rank_error(self, name):
        """Under 0.02 % at the quartiles, with 4096 bins of a million values."""
        x = smooth(name, 1_000_000)
        got = of(x, max_bins=4096).quantile(QUARTERS)[:, 0]
        ranks = np.searchsorted(np.sort(x), got) / len(x)
        assert np.abs(ranks - QUARTERS).max() < 0.0002

    def test_no_value(self):
        h = of([1.0, 2.0], [np.nan, np.nan])
        assert np.isnan(h.quantile(QUARTERS)).tolist() == [[False, True]] * 3
        assert np.isnan(h.error_bound([0.5])).tolist() == [[False, True]]
        assert h.quantile([]).shape == (0, 2)

    @pytest.mark.parametrize("q", [0.5, [-0.1], [1.1], [np.nan], [[0.5]]])
    def test_wrong_fractions(self, q):
        with pytest.raises(DataError, match="fractions from 0 to 1"):
            of([1.0]).quantile(q)


class TestMerging:
    def test_different_max_bins(self):
        with pytest.raises(MergeError, match="at most 64 bins with one of 65"):
            of([1.0]) + of([1.0], max_bins=65)
        assert of([1.0]) != of([1.0], max_bins=65)

    def test_forgetting_what_was_never_counted(self):
        a = of([1.0, 2.0], [3.0, 4.0])
        before = copy.deepcopy(a)
        with pytest.raises(MergeError, match=r"column 1 that were never counted.*1 too few around .*3\.5"):
            a - of([1.0], [3.5])
        assert a == before

    def test_slots(self):
        columns = [smooth(name, 900) for name in SMOOTH]
        h = of(*columns)
        assert h.take([3, 0, 3]) == of(*(columns[i] for i in (3, 0, 3)))
        assert h.take([]) == Histogram.empty(0, 64)
        assert pickle.loads(pickle.dumps(h)) == h

    def test_the_kernel_merges_as_the_reference_does(self):
        a, b = (of(*(smooth(name, n, n) for name in SMOOTH), max_bins=50).bins for n in (30, 999))
        for args in ((a, b, False), (b, a, False), (a + b, b, True), (a, b, True)):
            flat = [array for bins in args[:2] for array in bins._arrays()]
            assert kernel.merge_bins(7, 50, *flat, args[2]) == _reference.merge_bins(7, 50, *flat, args[2])

    @pytest.mark.parametrize("bits", [finest(0), finest(2), finest(1, 0), finest(1, 65), finest(1, -1)])
    def test_bits_that_cannot_be(self, bits):
        for k in (kernel, _reference):
            with pytest.raises(ValueError, match="from 1 to 64"):
                k.histogram(1, [run_of(np.ones(3))], 9, bits)

    def test_bins_of_the_wrong_shape(self):
        a = of([1.0, 2.0]).bins
        for k in (kernel, _reference):
            for wrong in (
                {"sizes": a.sizes + 1},
                {"bits": a.bits + 1},
                {"bits": a.bits * 0},
                {"keys": a.keys[1:]},
            ):
                b = Bins(**{**vars(a), **wrong})
                with pytest.raises(ValueError, match="shape"):
                    k.merge_bins(1, 64, *a._arrays(), *b._arrays(), False)

    @pytest.mark.parametrize("max_bins", [1, 0, 65537, 2.5, True, "9"])
    def test_wrong_max_bins(self, max_bins):
        with pytest.raises(DataError, match="max_bins must be an integer from 2 to 65536"):
            HistogramOf(max_bins).empty(1)
        with pytest.raises(DataError, match="max_bins must be an integer from 2 to 65536"):
            of([1.0], max_bins=max_bins)


def change(slot, **bins):
    return {**slot, "bins": {**slot["bins"], **bins}}


class TestJson:
    def test_round_trip(self):
        h = of(*(smooth(name, 900) for name in SMOOTH), np.full(900, np.nan))
        text = json.dumps(h.to_json())
        assert Histogram.from_json(json.loads(text)) == h
        assert HistogramOf(64).from_json(json.loads(text)) == h
        assert HistogramOf(64).from_json([]) == HistogramOf(64).empty(0)
        with pytest.raises(ValueError, match="64 bins where 65 were expected"):
            HistogramOf(65).from_json(json.loads(text))

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"max_bins": 1}, "max_bins"),
            ({"max_bins": 10**9}, "max_bins"),
            ({"max_bins": 2}, "3 bins"),
            ({"bits": 0}, "bits"),
            ({"bits": 65}, "bits"),
            ({"bits": 12.0}, "bits"),
            ({"keys": ["c00", "bff", "c02"]}, "ascend"),
            ({"keys": ["bff", "bff", "c02"]}, "ascend"),
            ({"keys": ["bff", "c00", "1c02"]}, "finite"),
            ({"keys": ["bff", "c00", "fff"]}, "finite"),
            ({"keys": ["0", "c00", "c02"]}, "finite"),
            ({"keys": ["bff", "c00", "0c02"]}, "hexadecimal"),
            ({"keys": ["bff", "c00", "-1"]}, "ascend"),
            ({"keys": ["bff", "c00", "zz"]}, "invalid literal"),
            ({"keys": ["bff", "c00", 3074]}, "hexadecimal"),
            ({"keys": ["bff", "c00"]}, "2 bins with 3 counts"),
            ({"counts": [1, 3, 0]}, "positive"),
            ({"counts": [1, -2, 5]}, "positive"),
            ({"counts": [1, 2.0, 1]}, "positive"),
            ({"counts": [1, 2, 2**63]}, "positive"),
            ({"counts": [1, 1, 1]}, "4 values but 3"),
            ({"keys": [], "counts": []}, "0 bins"),
            ({"keys": [], "counts": [], "bits": 64}, "4 values but 0"),
        ],
    )
    def test_refusals(self, wrong, message):
        (slot,) = of([1.0, 2.0, 3.0, 10.0], max_bins=3).to_json()
        assert slot["bins"] == {"max_bins": 3, "bits": 12, "keys": ["bff", "c00", "c02"], "counts": [1, 2, 1]}
        with pytest.raises(ValueError, match=message):
            Histogram.from_json([change(slot, **wrong)])

    def test_one_max_bins_for_all_slots(self):
        slots = of([1.0]).to_json() + of([1.0], max_bins=65).to_json()
        with pytest.raises(ValueError, match="one and the same max_bins"):
            Histogram.from_json(slots)

    @pytest.mark.parametrize("missing", ["max_bins", "bits", "keys", "counts"])
    def test_missing_parts(self, missing):
        (slot,) = of([1.0]).to_json()
        del slot["bins"][missing]
        with pytest.raises(KeyError):
            Histogram.from_json([slot])


def test_bounds_hold_all_values_and_are_they_while_these_are_few():
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=9000), rng.lognormal(0, 3, 9000), np.round(rng.normal(size=9000), 1)])
    X = np.column_stack([X, -X[:, 1], np.full(9000, np.nan)])
    histogram = of(*X.T, max_bins=4096)
    least, greatest = histogram.bounds()
    for slot, column in enumerate(X.T[:4]):
        low, high, _ = histogram.intervals(slot)
        assert (least[slot], greatest[slot]) == (low[0], high[-1])
        assert least[slot] <= column.min() <= column.max() <= greatest[slot]
    assert (least[2], greatest[2]) == (X[:, 2].min(), X[:, 2].max())
    assert np.isnan([least[4], greatest[4]]).all()
    assert [len(ends) for ends in Histogram.empty(0).bounds()] == [0, 0]
