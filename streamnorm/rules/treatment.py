"""What a recipe does to a column beside scaling it: limits, log1p, filling, and the look of the result.

The steps are data. They belong to a column's rule, and so to the state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.arrow import booleans, readable
from streamnorm.arrow import compute as pc
from streamnorm.columns import values_of
from streamnorm.errors import DataError
from streamnorm.plans import Column, Plan, first_infinite, log1p
from streamnorm.summaries import DecayedMoments, Histogram, HistogramOf, Moments, ProfiledOf, Summary, SummaryType, part

__all__ = ["PLAIN", "Steps"]

FILLS = ("keep", "zero", "mean", "median")
TYPES = ("float16", "float32", "float64")
LAYOUTS = ("element", "whole", "unit")


@dataclass(frozen=True)
class Steps:
    """What is done before and after scaling, in this order.

    Parameters
    ----------
    clip : (float, float), optional
        Values are limited to this range before anything is learnt of them.
    log1p : bool
        ``log(1 + x)`` is what is learnt from and scaled.
    fill : {"keep", "zero", "mean", "median"}
        What a missing value becomes before it is scaled: 0, or the mean or median of what is scaled (of the
        logarithms, with `log1p`). It is not learnt from.
    clip_result : (float, float) or (str, str), optional
        Scaled values are limited to this range; or, by percentages such as ``("1%", "99%")``, to what those quantiles
        of the column become, for which a histogram is kept.
    type : {"float16", "float32", "float64"}, optional
        Type of the result.
    suffix : str, optional
        The result stands in a column of its own, with this behind its name.
    vectors : {"element", "whole", "unit"}, optional
        How a column of vectors is scaled.

    Raises
    ------
    DataError
        If one of them cannot be.
    """

    clip: tuple[float, float] | None = None
    log1p: bool = False
    fill: str = "keep"
    clip_result: tuple[float, float] | tuple[str, str] | None = None
    type: str | None = None
    suffix: str | None = None
    vectors: str | None = None

    def __post_init__(self) -> None:
        for name in ("clip", "clip_result"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _limits(name, getattr(self, name)))
        if type(self.log1p) is not bool:
            raise DataError(f"log1p must be true or false, got {self.log1p!r}.")
        for name, known in (("fill", FILLS), ("type", (None, *TYPES)), ("vectors", (None, *LAYOUTS))):
            if getattr(self, name) not in known:
                words = ", ".join(filter(None, known))
                raise DataError(f"{name} must be one of {words}, got {getattr(self, name)!r}.")
        if not (self.suffix is None or isinstance(self.suffix, str)):
            raise DataError(f"suffix must be text, got {self.suffix!r}.")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave; raises TypeError or DataError where it is not that."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """Give what is not as it is by default."""
        fields = dataclasses.fields(self)
        return {f.name: getattr(self, f.name) for f in fields if getattr(self, f.name) != f.default}

    def __str__(self) -> str:
        return ", ".join(name if value is True else f"{name}={value}" for name, value in self.to_json().items())

    # ---- learning ----

    def summary(self, kind: SummaryType) -> SummaryType:
        """Give what summarises for a scaler's type of summary and for filling."""
        wanted = {"mean": ["moments"], "median": ["histogram"]}.get(self.fill, [])
        if self._percents:
            wanted = sorted({*wanted, "histogram"})
        own = "moments" if kind in (Moments, DecayedMoments) else "histogram" if isinstance(kind, HistogramOf) else ""
        beside = tuple(name for name in wanted if name != own)
        return ProfiledOf(kind, beside) if beside else kind

    @property
    def _percents(self) -> list[float]:
        """The percentages that results are limited to; none where there are no such limits."""
        return [_percent(bound) for bound in self.clip_result or () if isinstance(bound, str)]

    def read(self, array: pa.Array, name: str) -> pa.Array:
        """Give the numbers that are learnt from and scaled; infinities stay what they are.

        Raises
        ------
        DataError
            If the column holds no numbers, or one that has no `log1p`.
        """
        array = readable(array, name)
        if self.clip is None and not self.log1p:
            return array
        x = values_of(array)
        out = np.array(x, np.float64) if self.clip is None else np.clip(x, *self.clip, dtype=np.float64)
        if self.log1p:
            self._check_log1p(array, out, name)
            out = log1p(out)
        if kernel.first_infinity(x) >= 0:
            np.copyto(out, x, where=np.isinf(x))
        validity = array.is_valid().buffers()[1] if array.null_count else None
        return pa.Array.from_buffers(pa.float64(), len(out), [validity, pa.py_buffer(out)])

    def _check_log1p(self, array: pa.Array, values: NDArray[np.float64], name: str) -> None:
        """Raise DataError for a value whose logarithm there is not.

        Parameters
        ----------
        array : pyarrow.Array of shape (n_rows,)
        values : ndarray of shape (n_rows,)
        name : str
            The column, for messages.
        """
        bad = (values <= -1) & (values > -np.inf)
        if array.null_count:
            bad &= np.asarray(array.is_valid())
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"column {name!r}, row {row} of the batch: log1p takes numbers above -1, found "
                f"{float(values[row])!r}: limit the column (clip), or scale it otherwise."
            )

    # ---- applying ----

    def filling(self, summary: Summary) -> NDArray[np.float64] | None:
        """Give what missing values of each column become, as it is scaled; None where they stay."""
        if self.fill == "keep":
            return None
        if self.fill == "zero":
            zero = self.read(pa.nulls(1, pa.float64()).fill_null(0.0), "0")[0].as_py()
            return np.full(len(summary), zero)
        if self.fill == "mean":
            moments = part(summary, Moments)
            return None if moments is None else moments.mean()
        histogram = part(summary, Histogram)
        return None if histogram is None else histogram.quantile([0.5])[0]

    def fill_missing(self, array: pa.Array, values: NDArray[np.float64]) -> pa.Array:
        """Replace nulls and NaN; those of a column without a value are kept.

        Parameters
        ----------
        array : pyarrow.Array
        values : ndarray of shape () or (n_rows,)
            What missing ones become, in all rows or in each; NaN where there was no value.

        Returns
        -------
        pyarrow.Array
            Of float64 where something may have been filled in, so that no statistic is rounded to less.
        """
        if np.isnan(values).all() or not (array.null_count or pa.types.is_floating(array.type)):
            return array
        array = array.cast(pa.float64(), safe=False)
        missing = pc.is_null(array, nan_is_null=True)
        if not values.ndim:
            return pc.if_else(missing, pa.scalar(float(values), array.type), array)
        wanted = pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(values)])
        return pc.if_else(pc.and_(missing, booleans(~np.isnan(values))), wanted, array)

    def finish(self, plan: Plan, summary: Summary) -> Plan:
        """Give the plan of a summary with what comes after it."""
        if not (self.clip_result or self.log1p):
            return plan
        limits = None if self.clip_result is None else self._limits(plan, summary)
        return _Finished(plan, self.log1p, limits)

    def _limits(self, plan: Plan, summary: Summary) -> NDArray[np.float64]:
        """Give the least and the greatest result of each column, shape (2, n_columns); NaN where there was no value."""
        if not self._percents:
            return np.repeat(np.array(self.clip_result, np.float64)[:, np.newaxis], len(summary), axis=1)
        histogram = part(summary, Histogram)
        if histogram is None:
            raise DataError("clip_result in percent needs quantiles, and these statistics were given: give numbers.")
        ends = histogram.quantile([percent / 100 for percent in self._percents])
        plan.apply(ends, ends)
        return ends


PLAIN = Steps()


@dataclass(frozen=True)
class _Finished:
    """A plan whose result is limited; its way back ends before log1p.

    Parameters
    ----------
    plan : Plan
    log1p : bool
    limits : ndarray of shape (2, n_columns), optional
        Least and greatest result.
    """

    plan: Plan
    log1p: bool
    limits: NDArray[np.float64] | None

    def take(self, columns: NDArray[np.intp]) -> Plan:
        return _Finished(self.plan.take(columns), self.log1p, None if self.limits is None else self.limits[:, columns])

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        first = self.plan.apply(x, out, column)
        if self.limits is not None:
            low, high = self.limits if column is None else self.limits[:, column]
            with np.errstate(over="ignore", invalid="ignore"):  # a bound beyond the type of `out`; under a null is all
                np.clip(out, low.astype(out.dtype), high.astype(out.dtype), out=out)
        return first if first < 0 else first_infinite(x, out)

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values back.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        if not self.log1p:
            return self.plan.invert(x, out, column)
        logarithms = out if out.dtype == np.float64 else np.empty(out.shape)
        self.plan.invert(x, logarithms, column)
        with np.errstate(all="ignore"):  # what lies under a null may be anything
            np.expm1(logarithms, out=logarithms)
            out[...] = logarithms
        return first_infinite(x, out)


def _limits(name: str, given: Any) -> tuple[float, float] | tuple[str, str]:
    """Read two numbers, or of `clip_result` two percentages, in order.

    Parameters
    ----------
    name : str
        Of the step.
    given : object
    """
    parts = given.split(",") if isinstance(given, str) else given
    texts = [part.strip() for part in parts if isinstance(part, str)] if isinstance(parts, (list, tuple)) else []
    if texts and all(text.endswith("%") for text in texts) and len(texts) == len(parts):
        if name == "clip":
            raise DataError(
                "clip takes numbers: values are limited before they are learnt from, and quantiles are known after; "
                "write clip_result for results, or scaler = 'minmax' with a quantile_range."
            )
        return _percentages(name, texts, given)
    try:
        low, high = (float(bound) for bound in given)
    except (TypeError, ValueError):
        low = high = np.nan
    if not low < high:
        percents = ", or two percentages" if name == "clip_result" else ""
        raise DataError(f"{name} must be two numbers{percents}, the smaller one first, got {given!r}.")
    return low, high


def _percentages(name: str, texts: list[str], given: Any) -> tuple[str, str]:
    """Write two percentages in one way, whatever way they were written.

    Parameters
    ----------
    name : str
        Of the step.
    texts : list of str
        Which end with ``%``.
    given : object
        For messages.
    """
    try:
        low, high = (_percent(text) for text in texts)
    except ValueError:
        low = high = np.nan
    if not 0 <= low < high <= 100:
        raise DataError(f"{name} must be two percentages from 0% to 100%, the smaller one first, got {given!r}.")
    return f"{low!r}%".replace(".0%", "%"), f"{high!r}%".replace(".0%", "%")


def _percent(text: str) -> float:
    return float(text.removesuffix("%"))
