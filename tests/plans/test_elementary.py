"""The logarithm of 1 + x is near the true one, and the same on every machine."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from streamnorm.plans.elementary import log1p

_RNG = np.random.default_rng(0)
VALUES = np.concatenate(
    [
        [0.0, 5e-324, -5e-324, 2.0**-1022, 2.0**-53, -(2.0**-53), -1 + 2.0**-53, 2.0**53, 1.7976931348623157e308],
        np.sqrt(0.5) - 1 + np.arange(-4, 5) * 2.0**-53,
        np.sqrt(2.0) - 1 + np.arange(-4, 5) * 2.0**-53,
        _RNG.uniform(-1, 1, 400),
        _RNG.uniform(-1, 1, 200) * 10.0 ** _RNG.uniform(-300, -1, 200),
        10.0 ** _RNG.uniform(-20, 308, 400),
        np.arange(1.0, 100.0),
    ]
)


def test_it_is_off_by_less_than_one_unit_in_the_last_place():
    with localcontext() as context:
        context.prec = 400  # 1 + x of the smallest
        for x, found in zip(VALUES.tolist(), log1p(VALUES).tolist(), strict=True):
            context.prec = 800 if abs(x) < 1e-100 else 400
            true = (1 + Decimal(x)).ln() if abs(x) > 1e-100 else Decimal(x)
            assert abs(Decimal(found) - true) < Decimal(math.ulp(found))


@pytest.mark.parametrize(
    ("x", "bits"),
    [
        (0.5, "0x1.9f323ecbf984cp-2"),
        (-0.9, "-0x1.26bb1bbb55516p+1"),
        (1e10, "0x1.7069e2aa3184ep+4"),
        (3e-5, "0x1.f74f16101d066p-16"),
        (123.456, "0x1.34bba22cd5df5p+2"),
    ],
)
def test_it_has_the_same_bits_everywhere(x, bits):
    assert float(log1p(np.array([x]))[0]).hex() == bits


def test_where_it_stands_in_an_array_does_not_matter():
    assert [float(log1p(VALUES[i : i + 1])[0]) for i in range(len(VALUES))] == log1p(VALUES).tolist()


def test_what_has_no_logarithm():
    assert np.isnan(log1p(np.array([-1.0, -2.0, np.nan]))).all()
