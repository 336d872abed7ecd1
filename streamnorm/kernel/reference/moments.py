"""The kernel's functions in numpy and Python integers.

They are the oracle that the compiled ones are tested against, and what runs where no compiler was
found: the same integers, more slowly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.kernel.reference import histogram as _histogram

histogram, merge_bins = _histogram.histogram, _histogram.merge_bins

Limbs = tuple[bytes, int, int]
_Tallies = tuple[NDArray[np.int64], NDArray[np.int64]]

#: Partial sums of 2^16 products of 18-bit pieces stay below 2^53, so that float64 holds them exactly.
_ROWS = 1 << 16
_PIECE = 18

_STEPS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
#: Values worked on at once: small enough that the second step finds them in the cache.
_CHUNK = 32768


def instructions(at_most: str | None = None) -> str:
    """Name what runs."""
    return "python"


def last_row(data: Any, delimiter: str) -> tuple[int, int]:
    """Give how far the whole rows of a piece of CSV reach, and where a quote is open, or -1."""
    text = bytes(data)
    last, plain, end = 0, 0, len(text)
    before_quotes = (b"\n", b"\r", delimiter.encode())
    at = text.find(b'"')
    while at >= 0:
        if at and text[at - 1 : at] not in before_quotes:
            at = text.find(b'"', at + 1)
            continue
        closed = _behind_quoted(text, at)
        if closed < 0:
            end = at
            break
        last = _behind_line_end(text, plain, at, end) or last
        plain, at = closed, text.find(b'"', closed)
    return _behind_line_end(text, plain, end, end) or last, at


def _behind_quoted(text: bytes, at: int) -> int:
    at = text.find(b'"', at + 1)
    while text[at + 1 : at + 2] == b'"' and at >= 0:
        at = text.find(b'"', at + 2)
    return at + 1 if at >= 0 else -1


def _behind_line_end(text: bytes, start: int, stop: int, end: int) -> int:
    """Give what lies behind the last line end, 0 if there is none; a carriage return may be half of one."""
    feed, carriage = text.rfind(b"\n", start, stop), text.rfind(b"\r", start, stop)
    if carriage > feed and carriage + 1 == end:
        carriage = text.rfind(b"\r", start, carriage)
    return max(feed, carriage) + 1


def arithmetic(x: NDArray[Any], operations: str, operands: NDArray[Any], out: NDArray[Any]) -> int:
    """Do steps of arithmetic, each rounded in the operands' precision.

    Parameters
    ----------
    x, out : ndarray of shape (n_rows, n_columns) or (n_values,)
        What is read and written, which may be one.
    operations : str
        A step each: one of ``+-*/``.
    operands : ndarray of shape (n_steps, n_columns), (n_steps, n_values) or (n_steps, 1)

    Returns
    -------
    int
        The index in C order of the first infinity in `x`, or -1.
    """
    first = first_infinity(x)
    rows = max(1, _CHUNK // x.shape[1]) if x.ndim == 2 and x.shape[1] else _CHUNK
    one_each = x.ndim == 1 and operands.shape[1] > 1
    with np.errstate(all="ignore"):
        for start in range(0, len(x), rows):
            chunk = slice(start, start + rows)
            part, target = x[chunk], out[chunk]
            if operands.dtype != out.dtype:
                target = np.empty(part.shape, operands.dtype)
            for operation, operand in zip(operations, operands, strict=True):
                _STEPS[operation](part, operand[chunk] if one_each else operand, out=target)
                part = target
            if operands.dtype != out.dtype:
                out[chunk] = target
    return first


def first_infinity(x: NDArray[Any]) -> int:
    """Give the index of the first infinity of an array in C order, or -1."""
    if x.dtype.kind != "f":
        return -1
    with np.errstate(all="ignore"):
        if np.isfinite(x.sum()):
            return -1
    infinite = np.isinf(x)
    return int(np.argmax(infinite)) if infinite.any() else -1


def longest(data: Any) -> int:
    """Give the bytes of the longest of texts that lie one behind the other, each behind its length."""
    text, at, most = memoryview(data).cast("B"), 0, 0
    while len(text) - at >= 4:
        length = min(int.from_bytes(text[at : at + 4], "little"), len(text) - at - 4)
        most = max(most, length)
        at += 4 + length
    return most


def plain(schema: Any) -> bool:
    """Tell whether a record batch can be read without its arrays: not in Python."""
    return False


def _column(run: Any, slot: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Give one column of a run and which of its rows are not null."""
    dtype = np.dtype(run[2])
    fortran = isinstance(run[3], np.ndarray) and not run[3].flags.c_contiguous
    raw = np.frombuffer(run[3].T if fortran else run[3], np.uint8)
    start = run[4] + (slot - run[0]) * run[6]
    length = run[7]
    if length == 0:
        return np.empty(0, dtype), np.empty(0, bool)
    view = np.ndarray((length,), dtype, raw.data, start, (run[5],))
    valid = np.ones(length, bool)
    if run[8] is not None:
        bits = np.unpackbits(np.frombuffer(run[8], np.uint8), bitorder="little")
        valid = bits[run[9] : run[9] + length].astype(bool)
    return view, valid


def _in_segments(run: Any, bounds: Any) -> list[Any]:
    """Give a run for each segment of one."""
    ends = np.frombuffer(bounds, np.int64).tolist()
    return [
        (slot, 1, run[2], run[3], run[4] + start * run[5], *run[5:7], stop - start, run[8], run[9] + start, None)
        for slot, (start, stop) in enumerate(pairwise(ends))
    ]


def _finite(
    slots: int, runs: Sequence[Any], tallies: _Tallies
) -> list[list[tuple[NDArray[Any], NDArray[np.float64] | None]]]:
    """Sort the finite values of every column out, with their weights, and count the others."""
    counts, infinities = tallies
    rows = np.zeros(slots, np.int64)
    if isinstance(runs, tuple):
        runs = _in_segments(*runs)
    columns: list[list[tuple[NDArray[Any], NDArray[np.float64] | None]]] = [[] for _ in range(slots)]
    for run in runs:
        weights = None if run[10] is None else np.frombuffer(run[10], np.float64)[: run[7]]
        for slot in range(run[0], run[0] + run[1]):
            values, valid = _column(run, slot)
            present = np.ones(len(values), bool) if weights is None else weights != 0
            infinite = np.isinf(values) & valid & present
            if infinite.any() and infinities[slot] < 0:
                infinities[slot] = rows[slot] + int(np.argmax(infinite))
            keep = valid & present & np.isfinite(values)
            counts[slot] += [
                keep.sum(),
                (present & ~valid).sum(),
                (present & valid & np.isnan(values)).sum(),
                (infinite & (values > 0)).sum(),
                (infinite & (values < 0)).sum(),
            ]
            rows[slot] += len(values)
            columns[slot].append((values[keep], None if weights is None else weights[keep]))
    return columns


def _new_tallies(slots: int) -> _Tallies:
    return np.zeros((slots, 5), np.int64), np.full(slots, -1, np.int64)


def _dyadic(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split float64 values into integers and powers of two."""
    fraction, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(fraction, 53).astype(np.int64), exponent.astype(np.int64) - 53


def _pieces(mantissas: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Cut mantissas into three pieces, value = sum(piece[i] * 2^(18 i))."""
    size, sign = np.abs(mantissas), np.sign(mantissas)
    mask = (1 << _PIECE) - 1
    return [(size >> (_PIECE * i) & mask).astype(np.float64) * sign for i in range(3)]


def _sums(values: NDArray[Any]) -> tuple[int, int]:
    """Give the sums of x and x^2 in units of 2^-1088 and 2^-2176."""
    total = squares = 0
    for start in range(0, len(values), _ROWS):
        mantissas, exponents = _dyadic(values[start : start + _ROWS])
        lowest = int(exponents.min())
        at = exponents - lowest
        pieces = _pieces(mantissas)
        for i, piece in enumerate(pieces):
            for e, partial in enumerate(np.bincount(at, piece).tolist()):
                total += int(partial) << (e + lowest + _PIECE * i + 1088 + 1088) if partial else 0
            for j, other in enumerate(pieces):
                for e, partial in enumerate(np.bincount(at, piece * other).tolist()):
                    if partial:
                        squares += int(partial) << (2 * (e + lowest) + _PIECE * (i + j) + 2 * 2176)
    return total >> 1088, squares >> 2176


def _exactly(values: NDArray[Any]) -> list[tuple[int, int]]:
    """Give every value as (integer, power of two)."""
    if values.dtype.kind in "iu":
        return [(int(v), 0) for v in values]
    mantissas, exponents = _dyadic(values)
    return list(zip(mantissas.tolist(), exponents.tolist(), strict=True))


_UNIT = 6528  # twice the kernel's bias: room below every product of three


def moments(slots: int, runs: Sequence[Any]) -> tuple[bytes, bytes, Limbs, Limbs, Limbs]:
    """Sum x, x^2 and the weights of every column; without weights each is 1."""
    tallies = _new_tallies(slots)
    sums, squares, weights = [0] * slots, [0] * slots, [0] * slots
    for slot, parts in enumerate(_finite(slots, runs, tallies)):
        for values, weight in parts:
            if weight is None:
                weights[slot] += len(values) << _UNIT
            if weight is not None:
                for (w, e_w), (x, e) in zip(_exactly(weight), _exactly(values), strict=True):
                    weights[slot] += w << (e_w + _UNIT)
                    sums[slot] += w * x << (e + e_w + _UNIT)
                    squares[slot] += w * x * x << (2 * e + e_w + _UNIT)
            elif values.dtype.itemsize == 8 and values.dtype.kind in "iu":
                integers = values.tolist()
                sums[slot] += sum(integers) << _UNIT
                squares[slot] += sum(v * v for v in integers) << _UNIT
            elif len(values):
                total, total_of_squares = _sums(values)
                sums[slot] += total << (_UNIT - 1088)
                squares[slot] += total_of_squares << (_UNIT - 2176)
    limbs = [_limbs(column, -_UNIT) for column in (sums, squares, weights)]
    return tallies[0].tobytes(), tallies[1].tobytes(), limbs[0], limbs[1], limbs[2]


def extremes(slots: int, runs: Sequence[Any]) -> tuple[bytes, bytes, bytes, bytes]:
    """Find the least and the greatest value of every column; +inf and -inf where there is none."""
    tallies = _new_tallies(slots)
    least, greatest = np.full(slots, np.inf), np.full(slots, -np.inf)
    for slot, parts in enumerate(_finite(slots, runs, tallies)):
        for values, _ in parts:
            if len(values):
                as_floats = values.astype(np.float64)
                least[slot] = min(least[slot], as_floats.min())
                greatest[slot] = max(greatest[slot], as_floats.max())
    return tallies[0].tobytes(), tallies[1].tobytes(), (least + 0.0).tobytes(), (greatest + 0.0).tobytes()


def _limbs(values: Sequence[int], exponent: int) -> Limbs:
    """Write integers times 2^exponent as two's complement limbs, as few as hold them all."""
    present = [v for v in values if v]
    if not present:
        return b"", 0, 0
    low = min(((v & -v).bit_length() - 1) // 64 for v in present)
    width = max(((v if v > 0 else ~v) >> 64 * low).bit_length() // 64 + 1 for v in present)
    data = b"".join((v >> 64 * low).to_bytes(8 * width, "little", signed=True) for v in values)
    return data, width, exponent + 64 * low


def add(
    rows: int, a: Any, a_width: int, a_exponent: int, b: Any, b_width: int, b_exponent: int, subtract: bool
) -> Limbs:
    """Add or subtract two arrays of wide integers."""
    low = min(a_exponent, b_exponent)

    def integers(data: Any, width: int, exponent: int) -> list[int]:
        raw = bytes(data)
        size = 8 * width
        rows_of = (raw[i * size : (i + 1) * size] for i in range(rows))
        return [int.from_bytes(row, "little", signed=True) << (exponent - low) for row in rows_of]

    sign = -1 if subtract else 1
    pairs = zip(integers(a, a_width, a_exponent), integers(b, b_width, b_exponent), strict=True)
    return _limbs([x + sign * y for x, y in pairs], low)


def round_moments(values: Any, *sums_and_ddof: Any) -> tuple[bytes, bytes]:
    """Leave every column to the caller, who rounds fractions of Python's integers."""
    slots = len(np.frombuffer(values, np.int64))
    return np.full((slots, 3), np.nan).tobytes(), bytes(slots)


def sort(groups: int, of: Any) -> tuple[bytes, bytes]:
    """Sort rows by their group."""
    ids = np.frombuffer(of, np.int32)
    if len(ids) and not (ids.min() >= 0 and ids.max() < groups):
        raise ValueError("a row is of a group that is not there")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=groups))]).astype(np.int64)
    return np.argsort(ids, kind="stable").astype(np.int64).tobytes(), bounds.tobytes()
