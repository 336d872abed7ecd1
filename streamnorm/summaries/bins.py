"""Bins of float64 values by their leading bits, as many as are left of all rows in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import DataError, MergeError
from streamnorm.summaries._base import Index

__all__ = ["ALL_BITS", "MAX_BINS", "Bins", "checked_max_bins", "images_are_finite", "values_of_images"]

#: Bins that may be left where nothing else is asked for.
MAX_BINS = 4096

_MOST_BINS = 65536
#: Bits of an image: with all of them each distinct value has a bin of its own.
ALL_BITS = 64
_SIGN = np.uint64(1 << 63)
_Floats = NDArray[np.float64]


def _image(value: float) -> int:
    bits = int(np.float64(value).view(np.uint64))
    return bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 1 << 63


def values_of_images(images: NDArray[np.uint64]) -> _Floats:
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
        return cls(max_bins, sizes + ALL_BITS, sizes, np.empty(0, np.uint64), np.empty(0, np.int64))

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
        return cls(max_bins, np.full(len(times), ALL_BITS), sizes, keys, times[times > 0].astype(np.int64))

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
                f"{-rest.counts[at]} too few around {values_of_images(rest.keys[at : at + 1])[0]!r}."
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
        bits, sizes = np.full(slots, ALL_BITS), np.zeros(slots, np.int64)
        places = np.sort(places)
        bits[places], sizes[places] = own.bits, own.sizes
        return type(self)(self.max_bins, bits, sizes, own.keys, own.counts)

    def joined(self, *others: Self) -> Self:
        """Put the slots of others, of the same `max_bins`, behind these."""
        arrays = zip(*(part._arrays() for part in (self, *others)), strict=True)
        return type(self)(self.max_bins, *(np.concatenate(own) for own in arrays))

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
                "keys": [f"{key >> (ALL_BITS - bits):x}" for key in keys.tolist()],
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
    """Give keys and counts of a slot as integers, or say why no histogram has them.

    Parameters
    ----------
    max_bins : int
    bits : object
        What stands in the file.
    keys : list of str
        In hexadecimal.
    counts : list of int
    """
    if type(bits) is not int or not 1 <= bits <= ALL_BITS or (not keys and bits != ALL_BITS):
        raise ValueError(f"{bits!r} are not the bits of {len(keys)} bins")
    if len(keys) > max_bins or len(keys) != len(counts):
        raise ValueError(f"{len(keys)} bins with {len(counts)} counts, of which there may be {max_bins}")
    if not all(type(count) is int and count > 0 for count in counts) or sum(counts) >= 1 << 63:
        raise ValueError("the counts of a histogram are not positive 64-bit integers")
    if not all(isinstance(key, str) and key == f"{int(key, 16):x}" for key in keys):
        raise ValueError("a key of a histogram is not a hexadecimal integer")
    shift = ALL_BITS - bits
    images = [int(key, 16) << shift for key in keys]
    if any(a >= b for a, b in pairwise(images)):
        raise ValueError("the keys of a histogram do not ascend")
    if images and not (images[0] | (1 << shift) - 1 >= int(_LEAST) and images[-1] <= int(_GREATEST)):
        raise ValueError("a key of a histogram is that of no finite number")
    return images, counts
