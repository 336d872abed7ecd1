"""The kernel's histogram in numpy: the oracle of the compiled one, and what runs without a compiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.kernel.reference.runs import finite_values, new_tallies

__all__ = ["histogram", "merge_bins"]

#: bits, sizes, keys and counts, as in `streamnorm.summaries.histogram.Bins`.
_Ragged = tuple[bytes, bytes, bytes, bytes]
_Bins = tuple[NDArray[np.uint64], NDArray[np.int64]]

_ALL_BITS = 64
_SIGN = np.uint64(1 << 63)
_MOST_BINS = 65536
_MOST_WEIGHT = 2.0**32


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << 64) - (1 << (64 - bits)))


def _images(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Map float64 to integers in the same order; -0.0 counts as 0.0."""
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _grouped(keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> _Bins:
    """Add up the counts of equal keys."""
    if not len(keys):
        return keys, counts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(counts[order], starts)


def _fit(keys: NDArray[np.uint64], counts: NDArray[np.int64], bits: int, most: int) -> tuple[_Bins, int]:
    """Drop as few bits as leave no more than `most` bins.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_bins,)
        In ascending order.
    counts : ndarray of int64, shape (n_bins,)
    bits : int
        Of the keys.
    most : int
        Bins.
    """
    while len(keys) > most:
        bits -= 1
        keys, counts = _grouped(keys & _mask(bits), counts)
    return (keys, counts), bits


def _ragged(slots: Sequence[tuple[_Bins, int]]) -> _Ragged:
    """Put the bins of all columns one behind the other; a column without any has all 64 bits."""
    bits = [bits if len(keys) else _ALL_BITS for (keys, _), bits in slots]
    sizes = [len(keys) for (keys, _), _ in slots]
    flat = [np.concatenate([[], *(bins[i] for bins, _ in slots)], dtype=t, casting="unsafe")
            for i, t in enumerate((np.uint64, np.int64))]  # fmt: skip
    return (
        np.array(bits, np.int64).tobytes(),
        np.array(sizes, np.int64).tobytes(),
        flat[0].tobytes(),
        flat[1].tobytes(),
    )


def _check_limits(runs: Sequence[Any], max_bins: int) -> None:
    if not 2 <= max_bins <= _MOST_BINS:
        raise ValueError(f"max_bins is from 2 to {_MOST_BINS}")
    for run in [] if isinstance(runs, tuple) else runs:
        if len(run) > 10 and run[10] is not None:
            weights = np.frombuffer(run[10], np.float64)[: run[7]]
            if not ((weights >= 0) & (weights <= _MOST_WEIGHT) & (weights == np.floor(weights))).all():
                raise ValueError("weights of a histogram are whole numbers up to 2^32")


def histogram(
    slots: int, runs: Sequence[Any], max_bins: int, finest: Any, *before: Any
) -> tuple[bytes, bytes, _Ragged]:  # fmt: skip
    """Count the values of every column by the leading bits of their images, by no more than `finest`.

    Parameters
    ----------
    slots : int
        Columns.
    runs : sequence of Run, Exported or Segments
    max_bins : int
    finest : buffer of int64, shape (n_slots,)
        The most bits of each slot.
    *before : buffers of int64, uint64 and int64
        Sizes, keys and counts of bins of so many bits, which are added to.
    """
    _check_limits(runs, max_bins)
    widths = np.frombuffer(finest, np.int64).tolist()
    if len(widths) != slots or not all(1 <= bits <= _ALL_BITS for bits in widths):
        raise ValueError("finest is a number of bits for each slot, from 1 to 64")
    tallies = new_tallies(slots)
    columns = []
    for bits, parts in zip(widths, finite_values(slots, runs, tallies), strict=True):
        keys, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for values, weight in parts:
            keys.append(_images(values))
            counts.append(np.ones(len(values), np.int64) if weight is None else weight.astype(np.int64))
        grouped = _grouped(np.concatenate(keys) & _mask(bits), np.concatenate(counts))
        columns.append(_fit(*grouped, bits, max_bins))
    found = _ragged(columns)
    if before:
        _check_before(slots, max_bins, widths, before)
        found = merge_bins(slots, max_bins, finest, *before, *found, False)
    return tallies[0].tobytes(), tallies[1].tobytes(), found


def _check_before(slots: int, max_bins: int, widths: list[int], before: Sequence[Any]) -> None:
    """Raise ValueError unless there are no more bins of a slot than may be left.

    Parameters
    ----------
    slots : int
        Columns.
    max_bins : int
    widths : list of int
        Bits of each slot.
    before : sequence of buffers
        Sizes, keys and counts.
    """
    if len(before) != 3:
        raise ValueError("bins have sizes, keys and counts")
    if any(len(keys) > max_bins for (keys, _), _ in _split(slots, np.array(widths, np.int64), *before)):
        raise ValueError("there are more bins than may be left")


def _split(slots: int, bits: Any, sizes: Any, keys: Any, counts: Any) -> list[tuple[_Bins, int]]:
    """Take the bins of every column out of flat arrays.

    Parameters
    ----------
    slots : int
        Columns.
    bits : buffer of int64, shape (n_slots,)
    sizes : buffer of int64, shape (n_slots,)
        Bins of each slot.
    keys : buffer of uint64, shape (n_bins,)
        Of all slots.
    counts : buffer of int64, shape (n_bins,)
    """
    of_slots, widths = (np.frombuffer(a, np.int64).tolist() for a in (sizes, bits))
    flat, numbers = np.frombuffer(keys, np.uint64), np.frombuffer(counts, np.int64)
    fine = len(of_slots) == len(widths) == slots and all(1 <= b <= _ALL_BITS for b in widths)
    if not fine or min(of_slots, default=0) < 0 or not sum(of_slots) == len(flat) == len(numbers):
        raise ValueError("the bins do not have the shape that was given")
    ends = np.cumsum(of_slots, dtype=np.int64).tolist()
    return [((flat[e - n : e], numbers[e - n : e]), b) for n, e, b in zip(of_slots, ends, widths, strict=True)]


def merge_bins(slots: int, max_bins: int, *flat_and_subtract: Any) -> _Ragged:
    """Add or subtract the bins of two histograms at the resolution of the coarser, or less."""
    *flat, subtract = flat_and_subtract
    if max_bins < 2:
        raise ValueError("max_bins is at least 2")
    columns = []
    for (a, a_bits), (b, b_bits) in zip(_split(slots, *flat[:4]), _split(slots, *flat[4:]), strict=True):
        bits = min(a_bits, b_bits)
        keys, counts = _grouped(
            np.concatenate([a[0], b[0]]) & _mask(bits), np.concatenate([a[1], -b[1] if subtract else b[1]])
        )
        if subtract:
            kept = counts != 0
            columns.append(((keys[kept], counts[kept]), bits))
        else:
            columns.append(_fit(keys, counts, bits, max_bins))
    return _ragged(columns)
