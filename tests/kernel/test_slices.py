"""Values cut into slices: by the compiled kernel and by its reference, which give the same bits."""

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


def cut(module, x, exponents, count):
    blocks = -(-len(x) // 512)
    out = np.full((blocks, count * (count + 1) // 2, x.shape[1], 512), np.nan)
    totals, aside = np.ones((count, x.shape[1]), np.int64), np.full(len(x), 9, np.uint8)
    found = module.slices(x, exponents, count, out, totals, aside)
    return found, out, totals, aside


def matrix(name, rows, columns=3):
    x = np.stack([sample(name, rows, seed) for seed in range(columns)], axis=1).astype(np.float64)
    return np.where(np.isnan(x), 0.5, np.clip(x, -(2.0**800), 2.0**800))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SAMPLES)
def test_reference_gives_the_same_bytes(name, count, target):
    x = matrix(name, 700, 11)
    exponents = np.clip(np.frexp(np.abs(x[:60]).max(axis=0))[1], -300, 300).astype(np.int64)
    for layout in (x, np.asfortranarray(x), x[::-1, ::2], x[:512], x[:1], x[:0]):
        own = exponents[::2].copy() if layout.shape[1] == 6 else exponents
        got, expected = (cut(module, layout, own, count) for module in (_kernel, reference))
        assert got[0] == expected[0]
        for one, other in zip(got[1:], expected[1:], strict=True):
            assert one.tobytes() == other.tobytes() or (one == other).all()


@pytest.mark.parametrize("count", COUNTS)
def test_slices_make_up_the_values_that_are_not_left_out(count, target):
    x = np.concatenate([matrix("lognormal", 600), matrix("few far off", 600), matrix("huge and tiny", 9)])
    exponents = np.array([3, 5, 7], np.int64)
    (beyond, left, used), out, totals, aside = cut(_kernel, x, exponents, count)
    flat = out.swapaxes(0, 2).swapaxes(0, 1).reshape(out.shape[1], 3, -1)[:, :, : len(x)]
    assert np.abs(out[:, :count]).max() <= 2**21
    assert np.abs(out).max() <= 2**22
    sums = [[Fraction(0)] * 3 for _ in range(count)]
    for row in range(len(x)):
        for column in range(3):
            value, limit = Fraction(x[row, column]), Fraction(2) ** int(exponents[column])
            parts = [Fraction(flat[p, column, row]) for p in range(count)]
            whole = sum(part * limit / 2 ** (21 + 22 * p) for p, part in enumerate(parts))
            assert whole == (0 if aside[row] else value)
            sums = [[s + (parts[p] if c == column else 0) for c, s in enumerate(row_)] for p, row_ in enumerate(sums)]
    assert [[int(s) + 1 for s in row] for row in sums] == totals.tolist()
    far = (np.abs(x) > np.ldexp(1.0, exponents)).any(axis=1)
    assert ((aside == 2) == far).all()
    assert (beyond, beyond + left) == (far.sum(), (aside != 0).sum())
    assert used == count


@pytest.mark.skipif(not kernel.COMPILED, reason="the reference trusts its caller: it cannot read astray")
@pytest.mark.parametrize("wrong", ["x", "x type", "exponents", "out", "totals", "aside", "count", "range", "read-only"])
def test_what_does_not_fit_is_refused(wrong):
    x, exponents = np.ones((600, 2)), np.ones(2, np.int64)
    out, totals, aside = np.zeros((2, 6, 2, 512)), np.zeros((3, 2), np.int64), np.zeros(600, np.uint8)
    given = {"x": x, "exponents": exponents, "count": 3, "out": out, "totals": totals, "aside": aside}
    frozen = out.copy()
    frozen.flags.writeable = False
    given |= {
        "x": {"x": np.ones(600)},
        "x type": {"x": x.astype(np.float32)},
        "exponents": {"exponents": np.ones(1, np.int64)},
        "out": {"out": out[:1]},
        "totals": {"totals": totals.astype(np.float64)},
        "aside": {"aside": aside[:599]},
        "count": {"count": 9},
        "range": {"exponents": np.array([1, 2000])},
        "read-only": {"out": frozen},
    }[wrong]
    with pytest.raises((ValueError, BufferError)):
        _kernel.slices(*given.values())
    assert not out.any()
