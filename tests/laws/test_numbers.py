"""Numbers that others get wrong, and NIST's reference data."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

import streamnorm as sn
from streamnorm.errors import InfiniteValueError
from streamnorm.summaries.exact import square_root

NIST = Path(__file__).parent / "nist"


def exact(values) -> tuple[float, float, float]:
    """Give mean, variance and standard deviation (ddof=1), each rounded once."""
    numbers = [Fraction(v) for v in values]
    n = len(numbers)
    mean = sum(numbers) / n
    variance = sum((v - mean) ** 2 for v in numbers) / (n - 1)
    return float(mean), float(variance), square_root(variance.numerator, variance.denominator)


def numacc(n: int) -> list[float]:
    """Give NIST StRD NumAcc1 to 4, as their definitions state the data."""
    if n == 1:
        return [10000001.0, 10000003.0, 10000002.0]
    base, low, high = {2: (1.2, 1.1, 1.3), 3: (1000000.2, 1000000.1, 1000000.3), 4: (1e7 + 0.2, 1e7 + 0.1, 1e7 + 0.3)}[
        n
    ]
    return [base] + [low, high] * 500


def digits_of_pi(n: int) -> list[float]:
    """Give the first n digits of pi, by Machin's formula in integers."""
    unit = 10 ** (n + 10)

    def arccot(x: int) -> int:
        total = term = unit // x
        k = 1
        while term:
            term //= -x * x
            k += 2
            total += term // k
        return total

    pi = 4 * (4 * arccot(5) - arccot(239))
    first, rest = divmod(pi, 10**3000)  # Python writes no more than 4,300 digits at once
    return [float(digit) for digit in f"{first}{rest:03000d}"[:n]]


@functools.cache
def nist_sets() -> dict[str, list[float]]:
    sets = {f"NumAcc{n}": numacc(n) for n in (1, 2, 3, 4)} | {"PiDigits": digits_of_pi(5000)}
    for path in sorted(NIST.glob("*.txt")):
        sets[path.stem] = [float(line) for line in path.read_text().split()]
    return sets


#: NIST's certified mean and standard deviation (for NumAcc2 to 4 of the decimal numbers).
CERTIFIED = {
    "NumAcc1": (10000002.0, 1.0),
    "NumAcc2": (1.2, 0.1),
    "NumAcc3": (1000000.2, 0.1),
    "NumAcc4": (10000000.2, 0.1),
    "PiDigits": (4.5358, None),  # of the true digits; NIST's file could not be compared digit by digit
    "Mavro": (2.00185600000000, 0.000429123454003053),
    "Michelso": (299.852400000000, 0.0790105478190518),
    "Lottery": (518.958715596330, 291.699727470969),
    "Lew": (-177.435000000000, 277.332168044316),
}


@pytest.mark.parametrize("name", nist_sets())
@pytest.mark.parametrize("size", [1, 7, 100, 10**6])
def test_nist(name, size):
    values = np.array(nist_sets()[name])
    scaler = sn.StandardScaler(ddof=1)
    for start in range(0, len(values), size):
        scaler.partial_fit(values[start : start + size, None])
    mean, variance, std = exact(values)
    assert (scaler.mean_[0], scaler.var_[0], scaler.scale_[0]) == (mean, variance, std)
    certified_mean, certified_std = CERTIFIED[name]
    assert mean == pytest.approx(certified_mean, rel=1e-7)  # of decimal data, rounded to float64
    assert certified_std is None or std == pytest.approx(certified_std, rel=1e-7)


def test_every_nist_set_is_here():
    assert set(nist_sets()) == set(CERTIFIED)


def test_two_batches_around_1e200():
    a, b = np.array([[1e200], [1.5e200]]), np.array([[2e200], [-3e200]])
    scaler = sn.StandardScaler().partial_fit(a).partial_fit(b)
    numbers = [Fraction(v) for v in np.concatenate([a, b])[:, 0]]
    mean = sum(numbers) / 4
    variance = sum((v - mean) ** 2 for v in numbers) / 4
    assert scaler.mean_[0] == float(mean)
    assert scaler.var_[0] == np.inf  # 3.8e400
    assert scaler.scale_[0] == square_root(variance.numerator, variance.denominator)
    assert np.isfinite(scaler.transform(a)).all()


@pytest.mark.filterwarnings("ignore:overflow")
def test_the_ends_of_float64():
    X = np.array([[1e308], [-1e308]])
    assert sn.StandardScaler().fit(X).scale_[0] == 1e308
    assert sn.StandardScaler().fit_transform(X)[:, 0].tolist() == [1.0, -1.0]
    assert sn.MinMaxScaler().fit_transform(X)[:, 0].tolist() == pytest.approx([1.0, 0.0], abs=1e-15)
    assert sn.MaxAbsScaler().fit_transform(X)[:, 0].tolist() == [1.0, -1.0]


@pytest.mark.parametrize("kind", [sn.StandardScaler, sn.MinMaxScaler, sn.MaxAbsScaler, sn.RobustScaler])
def test_an_all_missing_batch_first(kind):
    X = np.array([[1.0], [2.0], [4.0]])
    late = kind().partial_fit(np.full((3, 1), np.nan)).partial_fit(X)
    assert np.array_equal(late.transform(X), kind().fit(X).transform(X))


@pytest.mark.parametrize(
    ("scaler", "X", "weights"),
    [
        (sn.StandardScaler(ddof=1), [[1.0, 1.0], [2.0, np.nan]], None),
        (sn.StandardScaler(ddof=2), [[1.0, 1.0], [2.0, 1.0], [4.0, np.nan]], None),
        (sn.StandardScaler(ddof=1.5, with_mean=False), [[1.0, 1.0], [2.0, np.nan]], None),
        (sn.StandardScaler(ddof=1), [[1.0, 1.0], [2.0, 2.0], [3.0, np.nan]], [0.5, 0.5, 2]),
    ],
)
def test_no_more_values_than_ddof_are_as_none(scaler, X, weights):
    scaler.fit(X, sample_weight=weights)
    assert np.isnan(scaler.scale_).tolist() == [False, True]
    with pytest.warns(UserWarning, match="StandardScaler has seen no value, or no more than ddof, of column 1: "):
        out = scaler.transform(X)
    assert np.isnan(out).all(axis=0).tolist() == [False, True]
    scaler.transform(X)  # it warns once
    assert scaler._bound.lacking(scaler._summary).tolist() == [False, True]


def test_tables_warn_of_columns_with_too_few_values():
    table = pa.table({"a": [1.0, None], "b": [1.0, 2.0], "c": pa.nulls(2, pa.float64())})
    with pytest.warns(UserWarning, match="^no value, or no more than ddof, of column 'a', 'c' was seen"):
        sn.TableNormalizer(sn.StandardScaler(ddof=1)).fit(table).transform(table)
    with pytest.warns(UserWarning, match="^no value of column 'c' was seen"):
        sn.TableNormalizer().fit(table).transform(table)


def test_a_mean_needs_one_value_whatever_ddof():
    assert sn.StandardScaler(ddof=1, with_std=False).fit_transform([[3.0]]).tolist() == [[0.0]]


@pytest.mark.parametrize(("columns", "named"), [(2, "0, 1"), (10, "0, .*, 9"), (13, "0, .*, 9 and 3 more")])
@pytest.mark.parametrize("scaler", [sn.MinMaxScaler(), sn.AdaptiveStandardScaler(5)], ids=str)
def test_a_warning_says_how_many_columns_it_does_not_name(scaler, columns, named):
    X = np.full((1, columns), np.nan)
    with pytest.warns(UserWarning, match=f"seen no value of column {named}: its"):
        scaler.fit(X).transform(X)


def test_integers_near_2_60():
    X = pa.table({"x": pa.array([2**60 + i for i in range(5)], pa.int64())})
    scaler = sn.StandardScaler().fit(X)
    assert scaler.var_[0] == 2.0
    assert scaler.mean_[0] == float(2**60 + 2)
    matrix = np.array([[2**60 + i] for i in range(5)])
    assert sn.StandardScaler().fit(matrix).var_[0] == 2.0


def test_epoch_seconds_of_1e8_rows():
    X = np.array([[1.7e9 - 5], [1.7e9 + 5]])
    scaler = sn.StandardScaler().fit(X, sample_weight=[5e7, 5e7])
    assert (scaler.mean_[0], scaler.var_[0], scaler.scale_[0]) == (1.7e9, 25.0, 5.0)
    assert scaler.n_samples_seen_ == 1e8


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.coo_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "scaler",
    [
        sn.StandardScaler(with_mean=False),
        sn.MaxAbsScaler(),
        sn.RobustScaler(with_centering=False),
        sn.QuantileTransformer(n_quantiles=5),
    ],
    ids=str,
)
def test_sparse_is_dense(scaler, weighted, container):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((200, 4)) < 0.2, rng.lognormal(size=(200, 4)), 0.0)
    X[3, 1] = np.nan
    weights = rng.integers(0, 3, 200).astype(float) if weighted else None
    dense, filled = type(scaler)(**scaler.get_params()), type(scaler)(**scaler.get_params())
    assert dense.fit(X, sample_weight=weights) == filled.fit(container(X), sample_weight=weights)
    assert np.array_equal(filled.transform(container(X)).toarray(), dense.transform(X), equal_nan=True)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.coo_array])
@pytest.mark.parametrize("copy", [True, False])
def test_an_infinity_in_a_sparse_matrix_is_told_by_its_row(container, copy):
    X = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [2.0, np.inf], [0.0, np.inf]])
    scaler = sn.StandardScaler(with_mean=False, copy=copy)
    with pytest.raises(InfiniteValueError, match=r"column 1, row 3 ") as fitting:
        scaler.fit(container(X))
    with pytest.raises(InfiniteValueError, match=r"column 1, row 3 ") as mapping:
        scaler.fit(X[:3]).transform(container(X))
    assert [(told.value.slot, told.value.row) for told in (fitting, mapping)] == [(1, 3), (1, 3)]


def test_an_infinity_behind_a_place_stored_twice_is_told_by_its_row():
    X = sparse.csc_array((np.array([1.0, 2.0, np.inf]), np.array([1, 1, 4]), np.array([0, 3])), shape=(5, 1))
    with pytest.raises(InfiniteValueError, match=r"column 0, row 4 "):
        sn.MaxAbsScaler().fit(X)


def test_sparse_input_stays_as_it_is():
    X = sparse.csc_array((np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 2])), shape=(3, 1))  # one place twice
    assert sn.MaxAbsScaler().fit(X).max_abs_[0] == 3.0
    assert X.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("scaler", [sn.StandardScaler(ddof=1), sn.RobustScaler(), sn.MinMaxScaler()], ids=str)
def test_whole_weights_are_repetitions(scaler):
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(50, 2)), rng.integers(0, 4, 50)
    a = type(scaler)(**scaler.get_params()).fit(X, sample_weight=weights)
    b = type(scaler)(**scaler.get_params()).fit(np.repeat(X, weights, axis=0))
    assert np.array_equal(a.transform(X), b.transform(X))
    if isinstance(scaler, sn.StandardScaler):
        assert a.mean_.tolist() == b.mean_.tolist()
        assert a.var_.tolist() == b.var_.tolist()


def test_weights_are_exact():
    rng = np.random.default_rng(0)
    X, weights = np.ldexp(rng.normal(size=(60, 1)), rng.integers(-300, 300, (60, 1))), np.exp(rng.normal(0, 20, 60))
    scaler = sn.StandardScaler(ddof=0.5)
    for part in np.split(rng.permutation(60), [1, 30]):
        scaler.partial_fit(X[part], sample_weight=weights[part])
    w, x = [Fraction(v) for v in weights], [Fraction(v) for v in X[:, 0]]
    total = sum(w)
    mean = sum(a * b for a, b in zip(w, x, strict=True)) / total
    squares = sum(a * (b - mean) ** 2 for a, b in zip(w, x, strict=True))
    assert scaler.mean_[0] == float(mean)
    variance = squares / (total - Fraction(1, 2))
    assert scaler.scale_[0] == square_root(variance.numerator, variance.denominator)
