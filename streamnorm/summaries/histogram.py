"""Quantiles from a histogram that does not depend on the order of the rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamnorm import kernel
from streamnorm.errors import DataError
from streamnorm.summaries._base import Block, Counts, Summary
from streamnorm.summaries.bins import ALL_BITS, MAX_BINS, Bins, checked_max_bins, values_of_images

__all__ = ["Histogram", "HistogramOf"]

_MOST_WEIGHT = 2.0**32
_Floats = NDArray[np.float64]


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
        cls, block: Block, *, skip_infinite: bool = False, max_bins: int = MAX_BINS
    ) -> Self:  # fmt: skip
        """Summarise a block of rows.

        Raises DataError where a weight is not a whole number.

        Parameters
        ----------
        block : Block
        skip_infinite : bool
            Whether infinities are counted and passed over, not an error.
        max_bins : int
        """
        checked_max_bins(max_bins)
        return cls._counted(block, Bins.empty(block.slots, max_bins), skip_infinite)

    @classmethod
    def _counted(cls, block: Block, before: Bins, skip_infinite: bool = False) -> Self:
        """Add a block of rows to bins; the counts are those of the block.

        Parameters
        ----------
        block : Block
        before : Bins
        skip_infinite : bool
            Whether infinities are counted and passed over, not an error.
        """
        block = _repeated(block) if block.weighted else block
        known = (before.sizes, before.keys, before.counts) if len(before.keys) else ()
        counts, infinities, ragged = kernel.histogram(block.slots, block.runs, before.max_bins, before.bits, *known)
        tally = Counts.of_kernel(block, counts, infinities, skip_infinite)
        bins = Bins.of_kernel(before.max_bins, ragged)
        if block.zeros is not None:
            bins = bins + Bins.of_zeros(before.max_bins, block.zeros)
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
        rows = self._counted(block, self.bins)
        return dataclasses.replace(rows, counts=self.counts + rows.counts)

    @property
    def bits(self) -> NDArray[np.int64]:
        """Leading bits that are kept of each column's values, shape (n_slots,); 64: they are exact."""
        return self.bins.bits

    def intervals(self, slot: int) -> tuple[_Floats, _Floats, NDArray[np.int64]]:
        """Give the least and the greatest number of each bin of a column, ascending, and the bins' counts."""
        own = self.bins.take([slot])
        rest = np.uint64((1 << (ALL_BITS - int(own.bits[0]))) - 1)
        return values_of_images(own.keys), values_of_images(own.keys | rest), own.counts

    def bounds(self) -> tuple[_Floats, _Floats]:
        """Give what no value of a column is below, and none above: the ends of its outermost bins.

        Returns
        -------
        ndarray, ndarray of shape (n_slots,)
            The least and the greatest value while all distinct ones are kept; NaN where a column has none.
        """
        least, greatest = np.full((2, len(self)), np.nan)
        there = np.flatnonzero(self.bins.sizes)
        ends = np.cumsum(self.bins.sizes)[there]
        rest = (np.uint64(1) << (ALL_BITS - self.bits[there]).astype(np.uint64)) - np.uint64(1)
        least[there] = values_of_images(self.bins.keys[ends - self.bins.sizes[there]])
        greatest[there] = values_of_images(self.bins.keys[ends - 1] | rest)
        return least, greatest

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


def _repeated(block: Block) -> Block:
    """Give a block with each row as often as its weight says; raises DataError where that is no whole number."""
    runs: list[kernel.Run] = []
    times: dict[int, NDArray[np.int64]] = {}
    for run in block.runs:
        if run.weights is None:
            runs.append(run)
            continue
        if id(run.weights) not in times:
            times[id(run.weights)] = _whole(np.frombuffer(run.weights, np.float64))
        runs += [
            run._replace(
                slot=run.slot + i, slots=1, offset=run.offset + i * run.slot_stride, weights=None,
                times=times[id(run.weights)],
            )
            for i in range(run.slots)
        ]  # fmt: skip
    zeros = block.zeros
    if zeros is not None and block.zero_weight is not None:
        found = [math.ldexp(weight, exponent) for weight, exponent in block.zero_weight.fractions()]
        zeros = _whole(np.array(found), 2.0**62)
    return dataclasses.replace(block, runs=runs, zeros=zeros, zero_weight=None)


def _whole(weights: NDArray[np.float64], most: float = _MOST_WEIGHT) -> NDArray[np.int64]:
    if not ((weights >= 0) & (weights <= most) & (weights == np.floor(weights))).all():
        raise DataError("Quantiles cannot take these weights: weights of a histogram are whole numbers up to 2^32.")
    return weights.astype(np.int64)


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
        rest = (np.uint64(1) << (ALL_BITS - slots.bits).astype(np.uint64)) - np.uint64(1)
        # The values of a bin count as evenly spread over it, half a step from its ends.
        parts = [(rank - ends[at] + counts[at] + 0.5) / counts[at] for rank, at in zip(both, bins, strict=True)]
        return cls(
            place - below,
            (values_of_images(keys[bins[0]]), values_of_images(keys[bins[1]])),
            (values_of_images(keys[bins[0]] | rest), values_of_images(keys[bins[1]] | rest)),
            (parts[0], parts[1]),
        )


def _between(a: _Floats, b: _Floats, gamma: _Floats) -> _Floats:
    """Interpolate with numpy's roundings; where the difference overflows, without it.

    Parameters
    ----------
    a : ndarray
    b : ndarray
    gamma : ndarray
        How far from a to b, from 0 to 1.
    """
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

    def of(self, block: Block, *, skip_infinite: bool = False) -> Histogram:
        """Summarise a block of rows.

        Parameters
        ----------
        block : Block
        skip_infinite : bool
            Whether infinities are counted and passed over, not an error.
        """
        return Histogram.of(block, skip_infinite=skip_infinite, max_bins=self.max_bins)

    def from_json(self, slots: Sequence[dict[str, Any]]) -> Histogram:
        """Read what `to_json` gave; raises ValueError where it is not that, or of another `max_bins`."""
        if not slots:
            return self.empty(0)
        read = Histogram.from_json(slots)
        if read.bins.max_bins != self.max_bins:
            raise ValueError(f"a histogram of {read.bins.max_bins} bins where {self.max_bins} were expected")
        return read
