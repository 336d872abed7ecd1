"""Quantiles from a histogram that does not depend on the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamnorm import kernel
from streamnorm.errors import DataError, MergeError
from streamnorm.summaries._base import Block, Counts, Index, Summary

__all__ = ["MAX_BINS", "Bins", "Histogram", "HistogramOf", "checked_max_bins", "images_are_finite"]

#: Bins that may be left where nothing else is asked for.
MAX_BINS = 4096

_MOST_BINS = 65536
_MOST_WEIGHT = 2**32  # as in the kernel
_ALL_BITS = 64
_SIGN = np.uint64(1 << 63)
_Floats = NDArray[np.float64]


def _image(value: float) -> int:
    bits = int(np.float64(value).view(np.uint64))
    return bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 1 << 63


def _values(images: NDArray[np.uint64]) -> _Floats:
    """Give the float64 of every image; what lies beyond the finite ones counts as the last of those."""
    finite = np.clip(images, _LEAST, _GREATEST)
    return np.where(finite & _SIGN, finite ^ _SIGN, ~finite).view(np.float64)


_LEAST, _GREATEST = (np.uint64(_image(v)) for v in (-np.finfo(np.float64).max, np.finfo(np.float64).max))


@dataclass(frozen=True, eq=False)
class Bins:
    """How often the leading bits of float64 values occurred, one ragged row of bins a slot.

    The image of a value is its 64 bits with the sign flipped, or with all of them flipped where it is
    negative, so that images are in the order of the values. A bin holds the values whose images share
    their first `bits` bits, as many as leave no more than `max_bins` bins. That number can only fall
    when values are added, so however rows are split and merged, the same bins remain.

    Parameters
    ----------
    max_bins : int
        From 2 to 65536.
    bits : ndarray of shape (n_slots,), dtype int64
        1 to 64; 64 where there is no value. Bits that were dropped do not come back when values are
        taken away, unless all are.
    sizes : ndarray of shape (n_slots,), dtype int64
        Number of bins.
    keys : ndarray of shape (sum(sizes),), dtype uint64
        The least image of each bin, slot after slot, ascending: the leading bits, then zeros.
    counts : ndarray of shape (sum(sizes),), dtype int64
        Values in each bin, at least 1.
    """

    max_bins: int
    bits: NDArray[np.int64]
    sizes: NDArray[np.int64]
    keys: NDArray[np.uint64] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)

    @classmethod
    def empty(cls, slots: int, max_bins: int = MAX_BINS) -> Self:
        """No bin in any slot."""
        sizes = np.zeros(slots, np.int64)
        return cls(max_bins, sizes + _ALL_BITS, sizes, np.empty(0, np.uint64), np.empty(0, np.int64))

    @classmethod
    def of_kernel(cls, max_bins: int, ragged: tuple[bytes, bytes, bytes, bytes]) -> Self:
        """Take what the kernel returns."""
        bits, sizes, keys, counts = ragged
        return cls(
            max_bins, np.frombuffer(bits, np.int64), np.frombuffer(sizes, np.int64),
            np.frombuffer(keys, np.uint64), np.frombuffer(counts, np.int64),
        )  # fmt: skip

    @classmethod
    def of_zeros(cls, max_bins: int, times: NDArray[np.int64]) -> Self:
        """The value 0, so many times in each slot."""
        sizes = (times > 0).astype(np.int64)
        keys = np.full(sizes.sum(), _SIGN)
        return cls(max_bins, np.full(len(times), _ALL_BITS), sizes, keys, times[times > 0].astype(np.int64))

    def __len__(self) -> int:
        return len(self.sizes)

    def _combine(self, other: Self, subtract: bool) -> Self:
        if self.max_bins != other.max_bins:
            raise MergeError(
                f"cannot combine a histogram of at most {self.max_bins} bins with one of {other.max_bins}."
            )
        ragged = kernel.merge_bins(
            len(self), self.max_bins, self.bits, self.sizes, self.keys, self.counts,
            other.bits, other.sizes, other.keys, other.counts, subtract,
        )  # fmt: skip
        return self.of_kernel(self.max_bins, ragged)

    def __add__(self, other: Self) -> Self:
        return self._combine(other, False)

    def __sub__(self, other: Self) -> Self:
        rest = self._combine(other, True)
        if (rest.counts < 0).any():
            at = int(np.argmax(rest.counts < 0))
            slot = int(np.searchsorted(np.cumsum(rest.sizes), at, side="right"))
            raise MergeError(
                f"cannot forget values of column {slot} that were never counted: there are "
                f"{-rest.counts[at]} too few around {_values(rest.keys[at : at + 1])[0]!r}."
            )
        return rest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bins):
            return NotImplemented
        arrays = zip(self._arrays(), other._arrays(), strict=True)
        return self.max_bins == other.max_bins and all(np.array_equal(a, b) for a, b in arrays)

    __hash__ = None  # type: ignore[assignment]

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.bits, self.sizes, self.keys, self.counts

    def of_slots(self) -> Iterator[tuple[int, NDArray[np.uint64], NDArray[np.int64]]]:
        """Give bits, keys and counts of one slot after the other."""
        ends = np.cumsum(self.sizes).tolist()
        for bits, size, end in zip(self.bits.tolist(), self.sizes.tolist(), ends, strict=True):
            yield bits, self.keys[end - size : end], self.counts[end - size : end]

    def take(self, slots: Index) -> Self:
        """Keep the given slots, in that order."""
        kept = np.asarray(slots, np.int64)
        sizes, starts = self.sizes[kept], (np.cumsum(self.sizes) - self.sizes)[kept]
        at = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return type(self)(self.max_bins, self.bits[kept], sizes, self.keys[at], self.counts[at])

    def place(self, slots: int, at: Index) -> Self:
        """Put each slot at its place among more of them; the others are empty."""
        places = np.asarray(at, np.int64)
        own = self.take(np.argsort(places))
        bits, sizes = np.full(slots, _ALL_BITS), np.zeros(slots, np.int64)
        places = np.sort(places)
        bits[places], sizes[places] = own.bits, own.sizes
        return type(self)(self.max_bins, bits, sizes, own.keys, own.counts)

    def coarsen(self, bits: NDArray[np.int64]) -> Self:
        """Bring every slot to `bits`, shape (n_slots,), where it has more."""
        nothing = self.empty(len(self), self.max_bins)
        return self + type(self)(self.max_bins, bits, nothing.sizes, nothing.keys, nothing.counts)

    def to_json(self) -> list[dict[str, Any]]:
        """Give one object a slot: keys are hexadecimal, without the zeros behind their bits."""
        return [
            {
                "max_bins": self.max_bins,
                "bits": bits,
                "keys": [f"{key >> (_ALL_BITS - bits):x}" for key in keys.tolist()],
                "counts": counts.tolist(),
            }
            for bits, keys, counts in self.of_slots()
        ]

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, Any]]) -> Self:
        """Read what `to_json` gave of one slot or more; raises ValueError where it is not that."""
        if len({slot["max_bins"] for slot in slots}) != 1:
            raise ValueError("the slots of a histogram do not have one and the same max_bins")
        max_bins = checked_max_bins(slots[0]["max_bins"])
        rows = [_checked_bins(max_bins, slot["bits"], slot["keys"], slot["counts"]) for slot in slots]
        return cls(
            max_bins,
            np.array([slot["bits"] for slot in slots], np.int64),
            np.array([len(keys) for keys, _ in rows], np.int64),
            np.array([key for keys, _ in rows for key in keys], np.uint64),
            np.array([count for _, counts in rows for count in counts], np.int64),
        )


def images_are_finite(images: NDArray[np.uint64], below: NDArray[np.uint64]) -> bool:
    """Tell whether bins from each image on, with these bits below, hold a finite number."""
    return bool(((images | below) >= _LEAST).all() and (images <= _GREATEST).all())


def checked_max_bins(max_bins: Any) -> int:
    """Give what may be a limit of bins; raises DataError where it may not."""
    if type(max_bins) is not int or not 2 <= max_bins <= _MOST_BINS:
        raise DataError(f"max_bins must be an integer from 2 to {_MOST_BINS}, not {max_bins!r}.")
    return max_bins


def _checked_bins(max_bins: int, bits: Any, keys: list[str], counts: list[int]) -> tuple[list[int], list[int]]:
    """Give keys and counts of a slot as integers, or say why no histogram has them."""
    if type(bits) is not int or not 1 <= bits <= _ALL_BITS or (not keys and bits != _ALL_BITS):
        raise ValueError(f"{bits!r} are not the bits of {len(keys)} bins")
    if len(keys) > max_bins or len(keys) != len(counts):
        raise ValueError(f"{len(keys)} bins with {len(counts)} counts, of which there may be {max_bins}")
    if not all(type(count) is int and count > 0 for count in counts) or sum(counts) >= 1 << 63:
        raise ValueError("the counts of a histogram are not positive 64-bit integers")
    if not all(isinstance(key, str) and key == f"{int(key, 16):x}" for key in keys):
        raise ValueError("a key of a histogram is not a hexadecimal integer")
    shift = _ALL_BITS - bits
    images = [int(key, 16) << shift for key in keys]
    if any(a >= b for a, b in pairwise(images)):
        raise ValueError("the keys of a histogram do not ascend")
    if images and not (images[0] | (1 << shift) - 1 >= int(_LEAST) and images[-1] <= int(_GREATEST)):
        raise ValueError("a key of a histogram is that of no finite number")
    return images, counts


@dataclass(frozen=True, eq=False)
class Histogram(Summary):
    """Bins of the values of each column, and its counts.

    While a column has no more than `max_bins` distinct values, all are kept and its quantiles are exact:
    the same bits as ``numpy.quantile``. With more, values are known up to the bin that they lie in;
    quantiles are interpolated inside, and `error_bound` says how far off they can be. This goes for the
    least and the greatest value as well.

    Integers beyond 2^53 are counted as the float64 nearest to them; -0.0 counts as 0.0. A row of weight
    w counts as w rows, so weights must be whole numbers.

    What was added can be taken away again, in whole counts. The resolution that was given up for it does
    not come back: ``(a + b) - b == a.coarsen((a + b).bits)``, which is `a` where adding `b` cost no bits.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0, 10.0])
    >>> block = Block(1, 4, [kernel.Run(0, 1, "d", x, 0, 8, 0, 4)])
    >>> Histogram.of(block).quantile([0.25, 0.5, 1]).tolist()
    [[1.75], [2.5], [10.0]]
    >>> coarse = Histogram.of(block, max_bins=3)
    >>> coarse.bits.tolist(), coarse.quantile([0.5]).tolist(), coarse.error_bound([0.5]).round(9).tolist()
    ([12], [[3.0]], [[1.0]])
    """

    bins: Bins

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {"counts": Counts, "bins": Bins}

    @classmethod
    def empty(cls, slots: int, max_bins: int = MAX_BINS) -> Self:
        """Summarise no rows."""
        return cls(Counts.empty(slots), Bins.empty(slots, checked_max_bins(max_bins)))

    @classmethod
    def of(
        cls, block: Block, *, skip_infinite: bool = False, max_bins: int = MAX_BINS,
        bits: NDArray[np.int64] | None = None,
    ) -> Self:  # fmt: skip
        """Summarise a block of rows, as if `coarsen` had then been called where there are `bits`.

        Raises DataError where a weight is not a whole number.
        """
        checked_max_bins(max_bins)
        finest = np.full(block.slots, _ALL_BITS, np.int64) if bits is None else bits
        try:
            counts, infinities, ragged = kernel.histogram(block.slots, block.runs, max_bins, finest)
        except ValueError as error:
            if not block.weighted:
                raise
            raise DataError(f"Quantiles cannot take these weights: {error}.") from None
        tally = Counts.of_kernel(block, counts, infinities, skip_infinite)
        bins = Bins.of_kernel(max_bins, ragged)
        if block.zeros is not None:
            bins = (bins + Bins.of_zeros(max_bins, _times_of_zero(block, block.zeros))).coarsen(finest)
        return cls(tally, bins)

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, Any]]) -> Self:
        """Read what `to_json` gave of one slot or more; raises ValueError where it is not that."""
        read = super().from_json(slots)
        slots_of = zip(read.counts.values, read.bins.of_slots(), strict=True)
        for slot, (values, (_, _, counts)) in enumerate(slots_of):
            total = int(counts.sum())
            if total < values or (total > 0) != (values > 0):
                raise ValueError(f"slot {slot} of a histogram has {values} values but {total} in its bins")
        return read

    def with_rows(self, kind: Any, block: Block) -> Self:
        """Add a block of rows, counted at the resolution that is left here: the sum would have none finer."""
        more: Self = kind.of(block, bits=self.bits)
        return self + more

    @property
    def bits(self) -> NDArray[np.int64]:
        """Leading bits that are kept of each column's values, shape (n_slots,); 64: they are exact."""
        return self.bins.bits

    def intervals(self, slot: int) -> tuple[_Floats, _Floats, NDArray[np.int64]]:
        """Give the least and the greatest number of each bin of a column, ascending, and the bins' counts."""
        own = self.bins.take([slot])
        rest = np.uint64((1 << (_ALL_BITS - int(own.bits[0]))) - 1)
        return _values(own.keys), _values(own.keys | rest), own.counts

    def coarsen(self, bits: NDArray[np.int64]) -> Self:
        """Bring every column to `bits`, shape (n_slots,), where it has more."""
        return type(self)(self.counts, self.bins.coarsen(bits))

    def quantile(self, q: ArrayLike) -> _Floats:
        """Quantiles of each column, as numpy's method 'linear' defines them.

        Parameters
        ----------
        q : array-like of shape (n_quantiles,)
            Fractions, from 0 to 1.

        Returns
        -------
        ndarray of shape (n_quantiles, n_slots)
            NaN where a column has no value.
        """
        return self._per_slot(q, _estimate)

    def error_bound(self, q: ArrayLike) -> _Floats:
        """How far `quantile` can be from the quantiles of the values themselves; 0 where they are exact.

        Parameters
        ----------
        q : array-like of shape (n_quantiles,)
            Fractions, from 0 to 1.

        Returns
        -------
        ndarray of shape (n_quantiles, n_slots)
            In the unit of the values; NaN where a column has no value.
        """
        return self._per_slot(q, _bound)

    def _per_slot(self, q: ArrayLike, function: Any) -> _Floats:
        fractions = np.asarray(q, np.float64)
        if fractions.ndim != 1 or not ((fractions >= 0) & (fractions <= 1)).all():
            raise DataError("quantiles are asked for by a list of fractions from 0 to 1.")
        out = np.full((len(fractions), len(self)), np.nan)
        there = np.flatnonzero(self.bins.sizes)
        # Ranks are counted through all slots at once, unless the sum of huge weights would not fit.
        fits = self.bins.counts.sum(dtype=np.float64) < 2.0**62
        for slots in [there] if fits and len(there) else there[:, np.newaxis]:
            out[:, slots] = function(_Neighbours.of(fractions[:, np.newaxis], self.bins.take(slots)))
        return out


def _times_of_zero(block: Block, zeros: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many values 0 the rows that are not stored stand for, with their weights."""
    if block.zero_weight is None:
        return zeros
    weights = block.zero_weight.fractions()
    if any(exponent < 0 or weight << exponent >= _MOST_WEIGHT << 30 for weight, exponent in weights):
        raise DataError("Quantiles cannot take these weights: weights of a histogram are whole numbers.")
    return np.array([weight << exponent for weight, exponent in weights], np.int64)


@dataclass(frozen=True)
class _Neighbours:
    """The two values in order that each quantile lies between, and its place from the one to the other.

    Of each value we know the bin: its least and greatest number, and which of the bin's values it is. Arrays are of
    shape (n_quantiles, n_slots).
    """

    gamma: _Floats
    least: tuple[_Floats, _Floats]
    greatest: tuple[_Floats, _Floats]
    part: tuple[_Floats, _Floats]  # of the way through the bin

    @classmethod
    def of(cls, q: _Floats, slots: Bins) -> Self:
        """Find them for fractions of shape (n_quantiles, 1) in slots that all have bins."""
        keys, counts, ends = slots.keys, slots.counts, np.cumsum(slots.counts)
        totals = ends[np.cumsum(slots.sizes) - 1]
        before = np.concatenate([[0], totals[:-1]])
        last = totals - before - 1
        place = last * q
        below = np.minimum(np.floor(place).astype(np.int64), last)
        both = (before + below, before + np.minimum(below + 1, last))
        bins = [np.searchsorted(ends, rank, side="right") for rank in both]
        rest = (np.uint64(1) << (_ALL_BITS - slots.bits).astype(np.uint64)) - np.uint64(1)
        # The values of a bin count as evenly spread over it, half a step from its ends.
        parts = [(rank - ends[at] + counts[at] + 0.5) / counts[at] for rank, at in zip(both, bins, strict=True)]
        return cls(
            place - below,
            (_values(keys[bins[0]]), _values(keys[bins[1]])),
            (_values(keys[bins[0]] | rest), _values(keys[bins[1]] | rest)),
            (parts[0], parts[1]),
        )


def _between(a: _Floats, b: _Floats, gamma: _Floats) -> _Floats:
    """Interpolate with numpy's roundings; where the difference overflows, without it."""
    with np.errstate(over="ignore", invalid="ignore"):
        way = b - a
        near = np.where(gamma < 0.5, a + way * gamma, b - way * (1 - gamma))
    return np.where(np.isinf(way), a * (1 - gamma) + b * gamma, near)


def _estimate(n: _Neighbours) -> _Floats:
    values = [low + (high - low) * part for low, high, part in zip(n.least, n.greatest, n.part, strict=True)]
    return _between(values[0], values[1], n.gamma)


def _bound(n: _Neighbours) -> _Floats:
    low, high, estimate = _between(*n.least, n.gamma), _between(*n.greatest, n.gamma), _estimate(n)
    # Each of the three is rounded a few times, and so is what the bound is compared with.
    rounding = np.maximum(np.abs(low), np.abs(high)) * 2.0**-50 + 2.0**-1072
    with np.errstate(over="ignore"):
        return np.where(low < high, np.maximum(estimate - low, high - estimate) + rounding, 0.0)


@dataclass(frozen=True)
class HistogramOf:
    """Histograms of at most `max_bins` bins: what makes them, where a type of summary is asked for.

    Examples
    --------
    >>> HistogramOf(16).empty(1).bins.max_bins
    16
    """

    max_bins: int = MAX_BINS

    def empty(self, slots: int) -> Histogram:
        """Summarise no rows."""
        return Histogram.empty(slots, self.max_bins)

    def of(
        self, block: Block, *, skip_infinite: bool = False, bits: NDArray[np.int64] | None = None
    ) -> Histogram:  # fmt: skip
        """Summarise a block of rows, at no more than `bits`."""
        return Histogram.of(block, skip_infinite=skip_infinite, max_bins=self.max_bins, bits=bits)

    def from_json(self, slots: Sequence[dict[str, Any]]) -> Histogram:
        """Read what `to_json` gave; raises ValueError where it is not that, or of another `max_bins`."""
        if not slots:
            return self.empty(0)
        read = Histogram.from_json(slots)
        if read.bins.max_bins != self.max_bins:
            raise ValueError(f"a histogram of {read.bins.max_bins} bins where {self.max_bins} were expected")
        return read
