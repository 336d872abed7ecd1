"""Weighted statistics of a sequence of rows, whose weights halve every so many rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.normalizers._ordered import Record, floats_of_text, frozen_array
from streamnorm.once import once

__all__ = ["DecayedRows"]

Floats = NDArray[np.float64]

#: Rows of a block. Blocks begin at multiples of this many rows of the stream, wherever batches begin.
_ROWS = 512
#: Columns summarised in one go, 512 KiB of them: enough to make up for numpy's cost of a call.
_BESIDE = 128
#: Numbers are kept in units of a quarter of X's: differences of any two float64 values stay finite.
_UNIT = 0.25


@dataclass(frozen=True, eq=False)
class DecayedRows:
    """Everything learnt from a sequence of rows.

    Parameters
    ----------
    halflife : float
        In rows.
    blocks : _Decayed
        The rows of all full blocks.
    rows : ndarray of shape (n_pending, n_slots)
        The rows since, as they came; missing values are NaN, and no row is all missing.
    given : ndarray of shape (n_pending,)
        The weights they came with, greater than 0.
    """

    halflife: float
    blocks: _Decayed
    rows: Floats
    given: Floats

    @classmethod
    def empty(cls, halflife: float, slots: int) -> DecayedRows:
        """No rows."""
        return cls(halflife, _Decayed.empty(slots), np.empty((0, slots)), np.empty(0))

    def then(self, rows: Floats, given: Floats) -> DecayedRows:
        """Let rows follow."""
        blocks, decay = self.blocks, _decay(self.halflife)
        rows, given = np.concatenate([self.rows, rows]), np.concatenate([self.given, given])
        whole = len(rows) // _ROWS * _ROWS
        for block in _blocks_of(rows[:whole], given[:whole], decay):
            blocks = blocks.then(block, decay)
        return DecayedRows(self.halflife, blocks, rows[whole:].copy(), given[whole:].copy())

    @once
    def _now(self) -> _Decayed:
        decay = _decay(self.halflife)
        return self.blocks.then(_Decayed.of(self.rows, self.given[:, np.newaxis], decay), decay)

    @property
    def seen(self) -> NDArray[np.int64]:
        """Values of each column, shape (n_slots,)."""
        return frozen_array(self._now.seen)

    @once
    def mean(self) -> Floats:
        """Weighted mean as of the last row, shape (n_slots,); NaN where there was no value."""
        return frozen_array(np.where(self.seen == 0, np.nan, self._now.mean / _UNIT))

    @once
    def std(self) -> Floats:
        """Weighted standard deviation as of the last row, shape (n_slots,); NaN where there was no value."""
        return frozen_array(np.where(self.seen == 0, np.nan, self._now.std / _UNIT))

    def state(self) -> tuple[Any, ...]:
        """Give every number, once."""
        b = self.blocks
        return self.halflife, b.seen, b.weight, b.mean, b.rest, b.std, self.rows, self.given

    def record(self) -> Record:
        """Write floats as text, by `repr`, and missing values as None."""
        b = self.blocks
        slots = [
            {"seen": seen, "weight": repr(weight), "mean": repr(mean), "rest": repr(rest), "std": repr(std),
             "rows": [None if math.isnan(value) else repr(value) for value in rows]}
            for seen, weight, mean, rest, std, rows in zip(
                b.seen.tolist(), b.weight.tolist(), b.mean.tolist(), b.rest.tolist(), b.std.tolist(),
                self.rows.T.tolist(), strict=True,
            )
        ]  # fmt: skip
        return slots, {"halflife": repr(self.halflife), "weights": [repr(w) for w in self.given.tolist()]}

    @classmethod
    def of_record(cls, slots: Sequence[dict[str, Any]], common: dict[str, Any]) -> DecayedRows:
        """Read what `record` gave; ValueError, KeyError or TypeError where it is not that."""
        seen = [slot["seen"] for slot in slots]
        if not all(type(count) is int and 0 <= count < 2**63 for count in seen):
            raise ValueError("a count is no integer of 63 bits")
        given = floats_of_text(common["weights"])
        if len(given) >= _ROWS or any(len(slot["rows"]) != len(given) for slot in slots):
            raise ValueError("the latest rows are too many, or not as many as their weights")
        fields = {name: floats_of_text([slot[name] for slot in slots]) for name in ("weight", "mean", "rest", "std")}
        rows = np.empty((len(given), len(slots)))
        for i, slot in enumerate(slots):
            there = np.array([value is not None for value in slot["rows"]], bool)
            rows[:, i] = np.nan
            rows[there, i] = floats_of_text([value for value in slot["rows"] if value is not None])
        (halflife,) = floats_of_text([common["halflife"]]).tolist()
        if halflife <= 0 or (given <= 0).any() or (fields["weight"] < 0).any() or (fields["std"] < 0).any():
            raise ValueError("the halflife, a weight or a deviation is negative")
        if np.isnan(rows).all(axis=1).any():
            raise ValueError("a row has no value")
        return cls(halflife, _Decayed(np.array(seen, np.int64), **fields), rows, given)


@dataclass(frozen=True)
class _Decayed:
    """Weighted statistics of the rows so far, as of the last of them; one slot a column.

    Means and standard deviations are in units of `_UNIT`; the mean is ``mean + rest``.
    """

    seen: NDArray[np.int64]
    weight: Floats
    mean: Floats
    rest: Floats
    std: Floats

    @classmethod
    def empty(cls, slots: int) -> _Decayed:
        """No rows."""
        return cls(np.zeros(slots, np.int64), *(np.zeros(slots) for _ in range(4)))

    @classmethod
    def of(cls, rows: Floats, given: Floats, decay: Floats) -> _Decayed:
        """Summarise up to `_ROWS` rows of shape (n_rows, n_slots).

        `given` holds their weights, of shape (n_rows, 1) or (n_rows, n_slots), `decay` the factor by age.

        Every operation is elementwise or a `_sum`, so that a column's bits depend on nothing beside it.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_slots)
        given : ndarray of shape (n_rows,)
            Weights of the rows.
        decay : ndarray of shape (n_rows,)
            What is left of each row's weight at the end.
        """
        n, slots = rows.shape
        if n == 0:
            return cls.empty(slots)
        x = rows * _UNIT
        valid = ~np.isnan(x)
        if valid.all():
            w = given * decay[n - 1 :: -1, np.newaxis]
            pivot = x[-1]
            seen = np.full(slots, n)
            x = x - pivot
        else:
            ages = np.cumsum(valid[::-1], axis=0)[::-1] - valid
            w = given * np.where(valid, decay[ages], 0.0)
            seen = valid.sum(axis=0)
            latest = x[n - 1 - np.argmax(valid[::-1], axis=0), np.arange(slots)]
            pivot = np.where(seen > 0, latest, 0.0)
            x = np.where(valid, x - pivot, 0.0)
        weight = _sum(w)
        share = w / np.where(weight > 0, weight, 1.0)
        shift = _sum(share * x)
        x -= shift
        # A power of two near the greatest deviation: no square overflows, none that matters underflows.
        unit = np.ldexp(0.5, np.frexp(np.abs(x).max(axis=0))[1])
        x /= unit
        std = unit * np.sqrt(_sum(share * x * x))
        mean, rest = _two_sum(pivot, shift)
        return cls(seen.astype(np.int64), np.broadcast_to(weight, (slots,)).copy(), mean, rest, std)

    def slots(self, which: slice) -> _Decayed:
        """Keep some of the columns."""
        return _Decayed(self.seen[which], self.weight[which], self.mean[which], self.rest[which], self.std[which])

    def then(self, block: _Decayed, decay: Floats) -> _Decayed:
        """Let a block of at most `_ROWS` rows follow."""
        old = self.weight * decay[block.seen]
        weight = old + block.weight
        safe = np.where(weight > 0, weight, 1.0)
        p, q = old / safe, block.weight / safe
        delta = (block.mean - self.mean) + (block.rest - self.rest)
        mean, low = _two_sum(self.mean, q * delta)
        mean, rest = _two_sum(mean, low + self.rest)
        within = np.hypot(np.sqrt(p) * self.std, np.sqrt(q) * block.std)
        std = np.hypot(within, np.sqrt(p * q) * np.abs(delta))
        return _Decayed(self.seen + block.seen, weight, mean, rest, std)


def _blocks_of(rows: Floats, given: Floats, decay: Floats) -> Iterator[_Decayed]:
    """Summarise whole blocks, many at once: the columns of one block beside those of the next.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_slots)
    given : ndarray of shape (n_rows,)
        Weights of the rows.
    decay : ndarray of shape (n_rows,)
        What is left of each row's weight at the end of its block.
    """
    slots = rows.shape[1]
    many = max(1, _BESIDE // max(1, slots))
    for start in range(0, len(rows), many * _ROWS):
        stop = start + many * _ROWS
        part = rows[start:stop].reshape(-1, _ROWS, slots)
        beside = np.ascontiguousarray(part.transpose(1, 0, 2)).reshape(_ROWS, -1)
        weights = given[start:stop].reshape(-1, _ROWS).T.repeat(slots, axis=1)
        blocks = _Decayed.of(beside, weights, decay)
        for i in range(len(part)):
            yield blocks.slots(slice(i * slots, (i + 1) * slots))


@functools.lru_cache(maxsize=8)
def _decay(halflife: float) -> Floats:
    """Give the factor by age, from 0 to `_ROWS` values."""
    return frozen_array(np.exp2(-np.arange(_ROWS + 1) / halflife))


def _sum(x: Floats) -> Floats:
    """Sum over the first axis, in an order that depends on its length alone.

    `numpy.sum` takes another order for one column than for several.
    """
    while len(x) > 1:
        half = len(x) // 2
        pairs = x[:half] + x[half : 2 * half]
        if len(x) % 2:
            pairs[0] += x[-1]
        x = pairs
    return np.asarray(x[0])


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Give the rounded sum and its rounding error, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
