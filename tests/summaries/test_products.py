"""Sums of products of all pairs of columns: exact, whatever the numbers, and subject to every law."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import SAMPLES, sample

from streamnorm.errors import InfiniteValueError, MergeError
from streamnorm.summaries import CrossProducts
from streamnorm.summaries.crossing import crossed, pairs_of

MATRICES = {
    "plain": lambda rng, n: rng.normal(size=(n, 4)),
    "shifted": lambda rng, n: 1e9 + rng.normal(size=(n, 3)),
    "heavy tails": lambda rng, n: rng.lognormal(0, 9, size=(n, 3)),
    "integers": lambda rng, n: rng.integers(-9, 9, (n, 4)).astype(float),
    "one outlier": lambda rng, n: np.where(np.arange(n)[:, None] == n // 2, 1e30, rng.normal(size=(n, 3))),
    "growing": lambda rng, n: rng.normal(size=(n, 2)) * np.exp(np.arange(n) / 50)[:, None],
    "extreme scales": lambda rng, n: np.ldexp(rng.normal(size=(n, 4)), [-1060, 1010, 500, -400]),
    "tiny, then not": lambda rng, n: np.where(np.arange(n)[:, None] < n // 2, 1e-250, 1e90) * rng.normal(size=(n, 2)),
    "extremes in a column": lambda rng, n: rng.choice([1e300, -1e-300, 5e-324, 1.7e308, 1.0, 0.0], (n, 3)),
    "zeros": lambda rng, n: np.zeros((n, 2)),
    "full blocks": lambda rng, n: np.ldexp(2 - 2.0**-52 * rng.integers(1, 3, (n, 3)), 7),
} | {name: lambda rng, n, name=name: np.stack([sample(name, n, 1), sample("normal", n), sample(name, n, 2)], axis=1)
     for name in SAMPLES}  # fmt: skip


def matrix(name, n):
    return np.asarray(MATRICES[name](np.random.default_rng([7, n]), n), np.float64)


def sums_of(x, weights=None):
    """The same sums as `crossed` gives, in fractions."""
    rows = [[*map(Fraction, row), Fraction(1)] for row in x.tolist()]
    weights = [Fraction(1)] * len(x) if weights is None else [Fraction(w) for w in weights.tolist()]
    return [
        sum((w * row[i] * row[j] for w, row in zip(weights, rows, strict=True)), Fraction(0))
        for i, j in zip(*pairs_of(x.shape[1] + 1), strict=True)
    ]


def fractions(exact):
    return [Fraction(value) * Fraction(2) ** exponent for value, exponent in exact.fractions()]


@pytest.mark.parametrize("name", MATRICES)
def test_sums_are_those_of_fractions(name):
    x = matrix(name, 400)
    x = x[~np.isnan(x).any(axis=1)]
    assert fractions(crossed(x)) == sums_of(x)
    assert fractions(crossed(np.asfortranarray(x[::2]))) == sums_of(x[::2])


@pytest.mark.parametrize("name", ["plain", "heavy tails", "one outlier", "growing", "full blocks", "tiny, then not"])
def test_sums_of_many_blocks_are_those_of_fractions(name):
    x = matrix(name, 9000)
    assert fractions(crossed(x)) == sums_of(x)


def test_more_blocks_than_64_bits_hold_are_summed_in_parts():
    x = np.full((2048 * 70 + 5, 1), 1.0 - 2.0**-53)
    value = Fraction(x[0, 0])
    assert fractions(crossed(x)) == [len(x) * value**2, len(x) * value, len(x)]


@pytest.mark.parametrize("weights", [[0.5, 3, 2.0**60, 1e-300, 0.1], [1, 1, 1, 1, 1], [0, 2, 0, 7, 1e200]])
def test_weighted_sums_are_those_of_fractions(weights):
    x = matrix("plain", 5)
    weights = np.array(weights, np.float64)
    assert fractions(crossed(x, weights)) == sums_of(x, weights)


@pytest.mark.parametrize("name", MATRICES)
class TestLaws:
    def test_any_cut_any_order(self, name):
        x = matrix(name, 300)
        whole = CrossProducts.of_matrix(x)
        for seed, cuts in enumerate([[], [1], [0, 0, 100], [1, 2, 3, 4], list(range(0, 300, 37)), [300]]):
            parts = [CrossProducts.of_matrix(part) for part in np.split(x, cuts)]
            order = np.random.default_rng(seed).permutation(len(parts))
            total = CrossProducts.empty(x.shape[1])
            for i in order:
                total = total + parts[i]
            assert total == whole
            assert total.digest() == whole.digest()
        assert CrossProducts.of_matrix(x[::-1]) == CrossProducts.of_matrix(np.asfortranarray(x)) == whole

    def test_identity_exchange_and_forgetting(self, name):
        x = matrix(name, 300)
        a, b, c = (CrossProducts.of_matrix(part) for part in np.split(x, [100, 250]))
        empty = CrossProducts.empty(x.shape[1])
        assert CrossProducts.of_matrix(x[:0]) == empty
        assert a + empty == a == empty + a
        assert a + b == b + a
        assert (a + b) + c == a + (b + c)
        assert (a + b) - b == a
        assert a - a == empty

    def test_columns_can_be_taken(self, name):
        x = matrix(name, 300)
        x = x[~np.isnan(x).any(axis=1)]
        whole = CrossProducts.of_matrix(x)
        for slots in ([0], [1, 0], [1, 1, 0], [-1]):
            assert whole.take(slots) == CrossProducts.of_matrix(x[:, slots])

    def test_json_and_pickle(self, name):
        whole = CrossProducts.of_matrix(matrix(name, 300))
        assert CrossProducts.from_json(whole.to_json()) == whole
        assert pickle.loads(pickle.dumps(whole)) == whole
        assert whole.is_possible()


@given(
    values=st.lists(st.tuples(*[st.floats(allow_infinity=False, width=64)] * 3), max_size=25),
    cut=st.integers(0, 25),
)
@settings(max_examples=100, deadline=None)
def test_laws_for_any_floats(values, cut):
    x = np.array(values, np.float64).reshape(-1, 3)
    whole = CrossProducts.of_matrix(x)
    parts = [CrossProducts.of_matrix(part) for part in (x[:cut], x[cut:])]
    assert parts[1] + parts[0] == whole
    assert whole - parts[0] == parts[1]
    assert fractions(whole.pairs.sums) == sums_of(x[~np.isnan(x).any(axis=1)])


def test_rows_with_a_missing_value_are_left_out_whole_and_counted():
    x = np.array([[1.0, 2.0], [np.nan, 9.0], [3.0, 5.0], [7.0, np.nan], [np.nan, np.nan]])
    one = CrossProducts.of_matrix(x)
    assert one.left_out == 3
    assert one.counts.values.tolist() == [2, 2]
    assert one.mean().tolist() == [2.0, 3.5]
    assert one.pairs == CrossProducts.of_matrix(x[[0, 2]]).pairs


def test_rows_of_weight_0_are_as_if_they_were_not_there():
    x = np.array([[1.0, 2.0], [np.inf, np.nan], [3.0, 5.0]])
    assert CrossProducts.of_matrix(x, np.array([1.0, 0.0, 1.0])) == CrossProducts.of_matrix(x[[0, 2]])
    whole = CrossProducts.of_matrix(x[[0, 2]], np.array([2.0, 3.0]))
    again = CrossProducts.of_matrix(x[[0, 0, 2, 2, 2]])
    assert whole.pairs == again.pairs
    assert whole.samples() == again.samples() == 5


def test_infinities_are_refused_with_their_place():
    x = np.zeros((5, 3))
    x[4, 1] = -np.inf
    with pytest.raises(InfiniteValueError) as error:
        CrossProducts.of_matrix(x, np.array([0.0, 1, 1, 1, 1]))
    assert (error.value.slot, error.value.row) == (1, 4)


def test_forgetting_what_was_never_counted_is_refused():
    a, b = CrossProducts.of_matrix(matrix("plain", 9)), CrossProducts.of_matrix(2 * matrix("plain", 9))
    with pytest.raises(MergeError, match="never counted"):
        a - b
    few = CrossProducts.of_matrix(matrix("plain", 3))
    with pytest.raises(MergeError, match="cannot forget"):
        few - a


def test_statistics_are_those_of_fractions():
    x = 1e6 + matrix("plain", 40)
    n, rows = len(x), [[Fraction(v) for v in row] for row in x.tolist()]
    mean = [sum(column) / n for column in zip(*rows, strict=True)]
    scatter = [[sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in rows) for j in range(4)] for i in range(4)]
    one = CrossProducts.of_matrix(x)
    assert one.mean().tolist() == [float(m) for m in mean]
    assert one.covariance(1).tolist() == [[float(v / (n - 1)) for v in row] for row in scatter]
    assert one.covariance(0, 3).tolist() == [[float(8 * v / n) for v in row] for row in scatter]
    correlation = one.correlation()
    assert (np.diag(correlation) == 1).all()
    for i in range(4):
        for j in range(4):
            square = scatter[i][j] ** 2 / (scatter[i][i] * scatter[j][j])
            low, high = np.nextafter(abs(correlation[i, j]), 0), np.nextafter(abs(correlation[i, j]), 2)
            halves = [(Fraction(a) + Fraction(abs(correlation[i, j]))) / 2 for a in (low, high)]
            assert halves[0] ** 2 <= square <= halves[1] ** 2
            assert correlation[i, j] == math.copysign(correlation[i, j], scatter[i][j])


def test_statistics_of_few_rows_and_of_constants():
    none, one = CrossProducts.empty(2), CrossProducts.of_matrix(np.array([[1.0, 2.0]]))
    assert np.isnan(none.mean()).all()
    assert np.isnan(none.covariance(0)).all()
    assert one.mean().tolist() == [1.0, 2.0]
    assert np.isnan(one.covariance(1)).all()
    assert one.covariance(0).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    constant = CrossProducts.of_matrix(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]]))
    assert constant.covariance(1)[0].tolist() == [0.0, 0.0]
    assert np.isnan(constant.correlation()[0]).all()
    assert constant.correlation()[1, 1] == 1.0
    beyond = CrossProducts.of_matrix(np.array([[1e200, 1.0], [-1e200, 2.0]]))
    assert beyond.covariance(1)[0, 0] == np.inf
    assert np.isfinite(beyond.covariance(1, -beyond.greatest(1))).all()


def test_columns_that_were_not_seen_together_are_refused():
    one = CrossProducts.of_matrix(np.ones((2, 2)))
    with pytest.raises(TypeError, match="together"):
        one.joined(one)
    with pytest.raises(TypeError, match="together"):
        one.place(3, [0, 1])


@pytest.mark.parametrize("change", ["products", "weight", "total"])
def test_damaged_records_are_refused(change):
    slots = CrossProducts.of_matrix(np.ones((2, 2))).to_json()
    slots[1]["pairs"][change] = ["1", "1", "1"] if change == "products" else "zz"
    with pytest.raises(ValueError, match=r"products|exact"):
        CrossProducts.from_json(slots)
