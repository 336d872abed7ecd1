"""Weights of rows that halve with time: ``2^(t / halflife)``, by operations that give the same bits everywhere."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm.arrow import compute as pc
from streamnorm.errors import DataError
from streamnorm.plans import exp
from streamnorm.summaries import FURTHEST_POWER, WideWeights

__all__ = ["Decay", "halflife_text"]

Integers: TypeAlias = NDArray[Any]  # of int64, or of Python's where these would not do

#: Nanoseconds of each unit of a duration, from long to short.
_UNITS = {
    "d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000,
    "ms": 1_000_000, "us": 1_000, "ns": 1,
}  # fmt: skip
_OTHER_NAMES = {
    "w": 7 * _UNITS["d"], "min": _UNITS["m"],
    "week": 7 * _UNITS["d"], "day": _UNITS["d"], "hour": _UNITS["h"], "minute": _UNITS["m"], "second": _UNITS["s"],
}  # fmt: skip
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")
#: Bits of the fraction of a half-life: as many as float64 has below 1.
_BITS = 52
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
#: Largest magnitude of integers that are multiplied as int64.
_ROOM = 1 << 62
_EXACT = 2.0**53


def halflife_text(halflife: Any) -> str | int | float:
    """Write a half-life the one way that equal ones are written: a duration as text, a number as itself.

    Parameters
    ----------
    halflife : str, timedelta, numpy.timedelta64, int or float
        A duration, such as ``"7d"``, ``"12h"`` or ``"1.5 hours"`` (units w, d, h, m or min, s, ms, us, ns); or, for
        times that are numbers, a number in their unit.

    Raises
    ------
    DataError
        If it is none, or not above 0.

    Examples
    --------
    >>> halflife_text("168h"), halflife_text(datetime.timedelta(days=1.5)), halflife_text(30.0)
    ('7d', '36h', 30)
    """
    if isinstance(halflife, (int, float, np.integer, np.floating)) and not isinstance(halflife, (bool, np.timedelta64)):
        number = float(halflife)
        if not 0 < number < np.inf:
            raise DataError(f"halflife must be above 0 and finite, got {halflife!r}.")
        return int(number) if number.is_integer() else number
    size = _nanoseconds(halflife)
    if size is None or size.denominator != 1:
        raise DataError(
            f"halflife must be a duration of whole nanoseconds ('7d', '12h', '30min', a timedelta) or a number, got "
            f"{halflife!r}."
        )
    if size <= 0:
        raise DataError(f"halflife must be above 0, got {halflife!r}.")
    unit = next(name for name, one in _UNITS.items() if size % one == 0)
    return f"{int(size) // _UNITS[unit]}{unit}"


def _nanoseconds(duration: Any) -> Fraction | None:
    """Give the size of a duration; None of what is none."""
    if isinstance(duration, np.timedelta64):
        ticks = duration.astype("timedelta64[ns]")
        return None if np.isnat(ticks) or ticks.astype(duration.dtype) != duration else Fraction(int(ticks.astype(int)))
    if isinstance(duration, datetime.timedelta):
        micro = duration // datetime.timedelta(microseconds=1)
        return Fraction(1000 * micro + int(getattr(duration, "nanoseconds", 0)))  # of pandas
    match = _DURATION.fullmatch(duration.lower()) if isinstance(duration, str) else None
    if match is None:
        return None
    known = _UNITS | _OTHER_NAMES
    one = known.get(match[2], known.get(match[2].removesuffix("s")))
    return None if one is None else Fraction(match[1]) * one


@dataclass(frozen=True)
class Decay:
    """How the weight of a row follows from its time.

    Parameters
    ----------
    halflife : str, int or float
        As `halflife_text` writes it.
    time : str or int
        The column that the times are in: its name, or its number where columns have none.
    """

    halflife: str | int | float
    time: str | int

    def weights(self, times: pa.Array, given: NDArray[np.float64] | None = None) -> WideWeights:
        """Give the weight of each row: that given, times ``2^(t / halflife)``, where t is counted from 1970 or from 0.

        The power's whole part is exact, and its fraction is 52 bits, rounded down. They are the same in whatever unit
        the times are, and so is the weight.

        Parameters
        ----------
        times : pyarrow.Array of shape (n_rows,)
            Timestamps, dates or durations; text that tells one, as ISO 8601 has it; or numbers.
        given : ndarray of shape (n_rows,), optional

        Raises
        ------
        DataError
            If a row has no time, or one of another kind than the halflife.
        """
        times = _plain(times)
        if pa.types.is_null(times.type) and not len(times):
            return WideWeights(np.empty(0), np.empty(0, np.int64))
        self._refuse_missing(times)
        if isinstance(self.halflife, str):
            ticks, unit = self._instants(times)
            size = Fraction(unit, int(_nanoseconds(self.halflife) or 1))
            powers, fractions = self._of_integers(ticks, size)
        else:
            powers, fractions = self._of_numbers(self._numbers(times), Fraction(self.halflife))
        factors = exp(fractions * _LN2)
        if given is None:
            return WideWeights(factors, powers)
        shares, more = np.frexp(given)
        return WideWeights(shares * factors, powers + more)

    def _refuse_missing(self, times: pa.Array) -> None:
        missing = np.asarray(pc.is_null(times, nan_is_null=True))
        if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
            missing = missing | np.asarray(pc.equal(pc.utf8_trim_whitespace(times), "").fill_null(True))
        if missing.any():
            raise DataError(
                f"column {self.time!r}, row {int(np.argmax(missing))} of the batch: there is no time, by which the row "
                "would be weighed: fill it in, or leave the row out."
            )

    def _instants(self, times: pa.Array) -> tuple[NDArray[np.int64], int]:
        """Give times as integers, and how many nanoseconds one is."""
        kind = times.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            times = self._read(times)
            kind = times.type
        if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
            unit = _UNITS[kind.unit]
        elif pa.types.is_date32(kind):
            unit, times = _UNITS["d"], times.cast(pa.int32())
        elif pa.types.is_date64(kind):
            unit = _UNITS["ms"]
        else:
            raise DataError(
                f"column {self.time!r} holds {kind}, not times, and the halflife is {self.halflife!r}: give the "
                "halflife as a number in the column's unit, or make the column timestamps."
            )
        return times.cast(pa.int64()).to_numpy(zero_copy_only=False), unit

    def _read(self, texts: pa.Array) -> pa.Array:
        """Read times as ISO 8601 writes them, with a zone (Z, +01:00) or all without."""
        kinds = [pa.timestamp(unit, zone) for unit in ("ns", "us") for zone in (None, "UTC")]
        for kind in kinds:
            try:
                return texts.cast(kind)
            except pa.ArrowInvalid:
                continue
        for row, text in enumerate(texts):
            if not any(_is_time(text, kind) for kind in kinds):
                raise DataError(
                    f"column {self.time!r}, row {row} of the batch: expected a time like 2026-01-31 12:00:00, found "
                    f"{str(text)[:40]!r}: correct it, or give the halflife as a number if times are numbers."
                )
        raise DataError(f"column {self.time!r} has times with a zone and times without: write all alike.")

    def _numbers(self, times: pa.Array) -> NDArray[Any]:
        """Give times that are numbers, as int64 or float64."""
        kind = times.type
        wanted = pa.int64() if pa.types.is_integer(kind) else pa.float64()
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise DataError(
                    f"column {self.time!r} holds {kind} and the halflife is the number {self.halflife!r}: give it a "
                    "unit ('7d')."
                )
            try:
                return np.asarray(times.cast(pa.int64()).to_numpy(zero_copy_only=False))
            except pa.ArrowInvalid:
                pass
        try:
            numbers = times.cast(wanted, safe=pa.types.is_integer(kind)).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid as error:
            raise DataError(f"column {self.time!r} holds what is no time: {error}; correct it.") from None
        bad = ~np.isfinite(numbers)
        if bad.any():
            raise DataError(f"column {self.time!r}, row {int(np.argmax(bad))} of the batch: the time is infinite.")
        return np.asarray(numbers)

    def _of_integers(self, ticks: Integers, size: Fraction) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give whole part and fraction of half-lives.

        Parameters
        ----------
        ticks : ndarray of int64, shape (n_rows,)
        size : Fraction
            Half-lives of a tick.
        """
        self._refuse_far(np.abs(ticks.astype(np.float64)) * float(size))
        over, under = size.numerator, size.denominator
        if over * under >= _ROOM or under >= _ROOM >> 1:
            ticks = ticks.astype(object)
        whole, rest = _divided(ticks, under)
        more, rest = _divided(rest * over, under)
        powers, bits, found = whole * over + more, 0, np.zeros_like(ticks)
        step = _BITS if ticks.dtype == object else 62 - under.bit_length()
        while bits < _BITS:
            now = min(step, _BITS - bits)
            digits, rest = _divided(rest * (1 << now), under)
            found, bits = found * (1 << now) + digits, bits + now
        return powers.astype(np.int64), found.astype(np.float64) * 2.0**-_BITS

    def _of_numbers(self, times: NDArray[Any], halflife: Fraction) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give whole part and fraction of half-lives; whole numbers are the same as integers and as float64.

        Parameters
        ----------
        times : ndarray of int64 or float64, shape (n_rows,)
        halflife : Fraction
        """
        if times.dtype == np.int64:
            return self._of_integers(times, 1 / halflife)
        length = float(halflife)
        with np.errstate(over="ignore"):
            self._refuse_far(np.abs(times) / length)
        rest = np.fmod(times, length)
        powers, fractions = np.rint((times - rest) / length).astype(np.int64), rest / length
        below = fractions < 0
        powers, fractions = powers - below, fractions + below
        whole = (np.floor(times) == times) & (np.abs(times) <= _EXACT)
        powers[whole], fractions[whole] = self._of_integers(times[whole].astype(np.int64), 1 / halflife)
        return powers, fractions

    def _refuse_far(self, halves: NDArray[np.float64]) -> None:
        far = halves >= FURTHEST_POWER
        if far.any():
            raise DataError(
                f"column {self.time!r}, row {int(np.argmax(far))} of the batch: the time is more than 2^40 half-lives "
                "from 1970, or from 0: take a longer halflife, or correct it."
            )


def _divided(numbers: Integers, by: int) -> tuple[Integers, Integers]:
    """Give whole quotients and rests, of Python's integers too."""
    return numbers // by, numbers % by


def _plain(times: pa.Array) -> pa.Array:
    if isinstance(times, pa.ChunkedArray):
        times = times.combine_chunks()
    return times.dictionary_decode() if pa.types.is_dictionary(times.type) else times


def _is_time(text: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
