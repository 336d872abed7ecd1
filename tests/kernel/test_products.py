"""Products of every two columns: by the compiled kernel and by its reference, which give the same integers."""

from __future__ import annotations

import importlib
from fractions import Fraction

import numpy as np
import pytest
from samples import SAMPLES, sample

from streamnorm import kernel
from streamnorm.kernel import reference

_kernel = importlib.import_module("streamnorm.kernel._kernel" if kernel.COMPILED else "streamnorm.kernel.reference")
TARGETS = ["baseline", "avx2", "avx512"] if kernel.COMPILED else [_kernel.instructions()]
COUNTS = [1, 2, 3, 4, 8]


@pytest.fixture(params=TARGETS)
def target(request):
    before = _kernel.instructions()
    if _kernel.instructions(request.param) != request.param:
        pytest.skip(f"this machine has no {request.param}")
    yield request.param
    _kernel.instructions(before)


def multiplied(module, x, exponents, count, most):
    width = x.shape[1]
    digits, totals = np.full((2 * count - 1, width, width), -5), np.ones((count, width), np.int64)
    aside = np.full(len(x), 9, np.uint8)
    found = module.products(x, exponents, count, most, digits, totals, aside)
    return found, digits, totals, aside[: found[0]]


def matrix(name, rows, columns=3):
    x = np.stack([sample(name, rows, seed) for seed in range(columns)], axis=1).astype(np.float64)
    return np.where(np.isnan(x), 0.5, np.clip(x, -(2.0**800), 2.0**800))


def assert_the_same(x, exponents, count, most):
    got, expected = (multiplied(module, x, exponents, count, most) for module in (_kernel, reference))
    assert got[0] == expected[0]
    for one, other in zip(got[1:], expected[1:], strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SAMPLES)
def test_reference_gives_the_same_integers(name, count, target):
    x = matrix(name, 700, 11)
    exponents = np.clip(np.frexp(np.abs(x[:60]).max(axis=0))[1], -300, 300).astype(np.int64)
    for layout in (x, np.asfortranarray(x), x[::-1, ::2], x[:129], x[:1], x[:0]):
        own = exponents[::2].copy() if layout.shape[1] == 6 else exponents
        for most in (0, 100, 700):
            assert_the_same(layout, own, count, most)


@pytest.mark.parametrize("columns", [0, 1, 7, 8, 9, 16, 17, 40])
def test_any_number_of_columns(columns, target):
    x = matrix("normal", 300, columns) if columns else np.empty((300, 0))
    whole = np.rint(8 * x)  # which leaves slices that are all zeros
    for values in (x, whole, np.zeros_like(x), np.ldexp(whole, -40)):
        assert_the_same(values, np.full(columns, 6, np.int64), 3, 300)


@pytest.mark.parametrize("count", COUNTS)
def test_digits_make_up_the_sums_of_the_rows_that_are_not_left_out(count, target):
    x = np.concatenate([matrix("lognormal", 600), matrix("few far off", 600), matrix("huge and tiny", 9)])
    exponents = np.array([3, 5, 7], np.int64)
    (done, left), digits, totals, aside = multiplied(_kernel, x, exponents, count, len(x))
    assert done == len(x)
    rows = [[Fraction(v) for v in row] for row in x[aside == 0].tolist()]
    for i in range(3):
        units = [Fraction(2) ** (int(exponents[i]) - 21 - 22 * p) for p in range(count)]
        assert sum((int(t) - 1) * u for t, u in zip(totals[:, i], units, strict=True)) == sum(row[i] for row in rows)
        for j in range(3):
            unit = Fraction(2) ** int(exponents[i] + exponents[j] - 42)
            whole = sum((int(digit[i, j]) + 5) * unit / 2 ** (22 * place) for place, digit in enumerate(digits))
            assert whole == (sum(row[i] * row[j] for row in rows) if i <= j else 0)
    far = (np.abs(x) > np.ldexp(1.0, exponents)).any(axis=1)
    assert ((aside == 2) == far).all()
    assert left == (aside == 1).sum()


def test_the_greatest_slices_do_not_overflow(target):
    n = 1 << 17
    for value in (2.0**21, -(2.0**21 - 0.5 - 2.0**-23 - 2.0**-32)):  # one slice, and three of one sign
        found, digits, totals, aside = multiplied(_kernel, np.full((n, 9), value), np.full(9, 21, np.int64), 3, n)
        assert found == (n, 0)
        assert not aside.any()
        assert sum(Fraction(int(t) - 1) / 2 ** (22 * p) for p, t in enumerate(totals[:, 0])) == n * Fraction(value)
        for i, j in ((0, 0), (0, 8), (7, 8)):
            whole = sum(Fraction(int(d[i, j]) + 5) / 2 ** (22 * place) for place, d in enumerate(digits))
            assert whole == n * Fraction(value) ** 2


def test_work_ends_before_too_many_rows_are_put_aside(target):
    x = np.rint(4 * matrix("normal", 1000))
    x[[5, 130, 131, 400], 1] = 2.0**40
    x[[6, 700], 2] = 2.0**-90
    exponents = np.full(3, 4, np.int64)
    assert [multiplied(_kernel, x, exponents, 3, most)[0] for most in (0, 1, 3, 4, 1000)] == [
        (0, 1), (128, 1), (384, 1), (1000, 2), (1000, 2),
    ]  # fmt: skip
    parts = [multiplied(_kernel, x[part], exponents, 3, 1000) for part in (slice(128), slice(128, None))]
    whole = multiplied(_kernel, x, exponents, 3, 1000)
    assert (parts[0][1] + parts[1][1] + 5 == whole[1]).all()
    assert (multiplied(_kernel, x, exponents, 3, 1)[1] == parts[0][1]).all()


@pytest.mark.skipif(not kernel.COMPILED, reason="the reference trusts its caller: it cannot read astray")
@pytest.mark.parametrize(
    "wrong",
    ["x", "x type", "columns", "exponents", "digits", "totals", "aside", "count", "range", "read-only"],
)
def test_what_does_not_fit_is_refused(wrong):
    x, exponents = np.ones((600, 2)), np.ones(2, np.int64)
    digits, totals, aside = np.zeros((5, 2, 2), np.int64), np.zeros((3, 2), np.int64), np.zeros(600, np.uint8)
    given = {
        "x": x, "exponents": exponents, "count": 3, "most": 0, "digits": digits, "totals": totals, "aside": aside,
    }  # fmt: skip
    frozen = digits.copy()
    frozen.flags.writeable = False
    given |= {
        "x": {"x": np.ones(600)},
        "x type": {"x": x.astype(np.float32)},
        "columns": {"x": np.empty((0, 1 << 40))},
        "exponents": {"exponents": np.ones(1, np.int64)},
        "digits": {"digits": digits[:4]},
        "totals": {"totals": totals.astype(np.float64)},
        "aside": {"aside": aside[:599]},
        "count": {"count": 9},
        "range": {"exponents": np.array([1, 2000])},
        "read-only": {"digits": frozen},
    }[wrong]
    with pytest.raises((ValueError, BufferError)):
        _kernel.products(*given.values())
    assert not digits.any()
