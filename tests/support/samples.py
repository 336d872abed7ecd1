"""Columns that break sums: what the laws and the oracles are tried on."""

from __future__ import annotations

import numpy as np


def _random_bits(rng: np.random.Generator, n: int) -> np.ndarray:
    values = rng.integers(0, 2**64, n, dtype=np.uint64).view(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _with_missing(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))


def _few_far_off(rng: np.random.Generator, n: int) -> np.ndarray:
    values = rng.normal(size=n)
    values[::7] *= 2.0**-30
    values[::11] *= 2.0**-60
    values[::13] *= 2.0**40
    return values


def _largest_sums(rng: np.random.Generator, n: int, exponent: int, span: int) -> np.ndarray:
    """Draw values whose partial sums fill every bit: next to 2^exponent, or `span` bits lower. One block has less."""
    values = np.ldexp(2 - rng.choice([2.0**-52, 3 * 2.0**-52], n), exponent - 1)
    values[rng.random(n) < 0.05] *= 2.0**-span
    values[:512] *= 0.5
    return values


SAMPLES = {
    "random bits": _random_bits,
    "normal": lambda rng, n: rng.normal(size=n),
    "shifted": lambda rng, n: 1e9 + rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 3, size=n),
    "constant": lambda rng, n: np.full(n, 0.1),
    "zeros": lambda rng, n: np.zeros(n),
    "minus zero": lambda rng, n: np.where(rng.random(n) < 0.5, -0.0, 0.0),
    "all missing": lambda rng, n: np.full(n, np.nan),
    "missing": _with_missing,
    "huge and tiny": lambda rng, n: rng.choice([1.7e308, -1.7e308, 5e-324, -3e-310, 1.0], n),
    "subnormal": lambda rng, n: rng.integers(-9, 9, n) * 5e-324,
    "few far off": _few_far_off,
    "many zeros": lambda rng, n: rng.poisson(0.1, n) * 1.5,
    "int64 near 2^63": lambda rng, n: rng.integers(2**63 - 1000, 2**63 - 1, n),
    "int64": lambda rng, n: rng.integers(-(2**63), 2**63 - 1, n),
    "uint64": lambda rng, n: rng.integers(0, 2**64 - 1, n, dtype=np.uint64),
    "small int64": lambda rng, n: rng.integers(-100, 100, n),
    "int8": lambda rng, n: rng.integers(-128, 127, n).astype(np.int8),
    "uint8": lambda rng, n: rng.integers(0, 255, n).astype(np.uint8),
    "int16": lambda rng, n: rng.integers(-(2**15), 2**15 - 1, n).astype(np.int16),
    "uint16": lambda rng, n: rng.integers(0, 2**16 - 1, n).astype(np.uint16),
    "int32": lambda rng, n: rng.integers(-(2**31), 2**31 - 1, n).astype(np.int32),
    "uint32": lambda rng, n: rng.integers(0, 2**32 - 1, n).astype(np.uint32),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
} | {
    f"around 2^{e}": lambda rng, n, e=e: np.ldexp(rng.normal(size=n), e)
    for e in (-1060, -900, -430, -422, -418, 0, 470, 478, 482, 700, 1010)
}
SAMPLES |= {
    f"{kind} of {bits} bits": lambda rng, n, kind=kind, bits=bits: rng.integers(2 ** (bits - 1), 2**bits, n, dtype=kind)
    for kind in ("int64", "uint64")
    for bits in (31, 32, 33, 50, 51, 52, 53, 54)
} | {
    f"{span} bits below 2^{e}": lambda rng, n, e=e, span=span: _largest_sums(rng, n, e, span)
    for e in (-420, 0, 479)
    for span in (16, 17, 18, 30, 31)
}


def sample(name: str, n: int, seed: int = 0) -> np.ndarray:
    """Draw a column of n rows."""
    return SAMPLES[name](np.random.default_rng([seed, n]), n)
