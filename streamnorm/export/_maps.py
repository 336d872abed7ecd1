"""What every exporter starts from: each column's map on its own, in the order of the table."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.plans import Affine, Binned, Monotone, Plan, Power, Squashed, unit_of
from streamnorm.tables import Table

__all__ = ["ColumnMap", "Pieces", "check_scaling_only", "maps_of", "warn_of_float32"]

#: Largest loss by float32, relative to a column's scale, before a warning says so.
TOLERABLE = 1e-4
#: Steps beside scaling that every target can express.
_EXPRESSED = ("type", "suffix")


@dataclass(frozen=True)
class ColumnMap:
    """One column and what becomes of it.

    Parameters
    ----------
    name, target : str
        What the column is called before and after.
    kind : str
        Its Arrow type when it was learnt from.
    dtype : str or None
        The output's type where one was asked for.
    plan : Affine, Monotone or Squashed
        Of this column alone.
    """

    name: str
    target: str
    kind: str
    dtype: str | None
    plan: Affine | Monotone | Squashed

    def affine(self, target: str) -> Affine:
        """Give the plan where it is arithmetic without a clip.

        Raises
        ------
        DataError
            If it is not; `target` is what cannot express it.
        """
        if isinstance(self.plan, Affine) and self.plan.clip is None:
            return self.plan
        what = {Affine: "a clip", Monotone: "a map through quantiles", Squashed: "a soft bound"}[type(self.plan)]
        raise DataError(f"column {self.name!r} needs {what}, which {target} cannot express: export to onnx or sql.")

    def line(self) -> tuple[float, float]:
        """Give centre and factor of ``(x - centre) * factor``, which the map is about where it is not flat."""
        if isinstance(self.plan, Monotone):
            q = self.plan.quantiles[:, 0]
            width = float(q[-1] - q[0])
            return float(q[0]), 1.0 / width if width > 0 else 1.0
        if isinstance(self.plan, Squashed):
            centre, scale = self.plan.centre[0] / self.plan.unit[0], self.plan.scale[0] / self.plan.unit[0]
            return float(centre), 0.0 if self.plan.constant[0] else 1.0 / float(scale)
        zero, factor = np.zeros(1), np.float64(1)
        with np.errstate(all="ignore"):  # there may be no way back
            self.plan.invert(zero, zero, 0)
            for step in self.plan.steps:
                if step.operation in (np.multiply, np.divide):
                    factor = step.operation(factor, step.operand[0])
        return float(zero[0]), float(factor)


def maps_of(normalizer: Any) -> list[ColumnMap]:
    """Take a fitted normalizer apart.

    Raises
    ------
    DataError
        If it is not a fitted normalizer, does more to a column than scaling numbers, or has statistics per key.
    """
    if isinstance(normalizer, Table):
        dtype, learnt, targets = normalizer.settings()["dtype"], normalizer.learnt, normalizer.inputs(inverse=False)
        check_scaling_only(normalizer)
        return [
            ColumnMap(name, targets[name], _plain(learnt.types[name]), group.rule.steps.type or dtype,
                      _of_column(group.rule.plan(group.summary), slot, name))
            for name, (group, slot) in learnt.columns().items()
        ]  # fmt: skip
    if hasattr(normalizer, "summary_by_name"):
        group = normalizer.summary_by_name()
        names, plan = group.names, group.rule.plan(group.summary)
    elif hasattr(normalizer, "plan"):
        plan, names = normalizer.plan(), normalizer.get_feature_names_out()
    else:
        raise DataError(
            f"expected a fitted normalizer of streamnorm, found {type(normalizer).__name__}: fit one first."
        )
    return [ColumnMap(name, name, "double", None, _of_column(plan, i, name)) for i, name in enumerate(names)]


def _plain(kind: str) -> str:
    """Name the type of a dictionary's values, and any other type as it is."""
    return kind.removeprefix("dictionary<values=").partition(", indices=")[0]


def check_scaling_only(table: Table) -> None:
    """Raise DataError where a fitted table does more to a column than scaling numbers, or has keys."""
    if table.key_names:
        raise DataError("statistics per key cannot be exported: fit without by (--by), or transform with streamnorm.")
    for name, (group, _) in table.learnt.columns().items():
        if group.vector is not None:
            raise DataError(f"column {name!r} holds vectors, which cannot be exported: leave it out of the fit.")
        if "duration" in table.learnt.types[name]:
            raise DataError(
                f"column {name!r} holds durations, of which others have units of their own: cast it to numbers before "
                "the fit, or transform with streamnorm."
            )
        steps = [step for step in group.rule.steps.to_json() if step not in _EXPRESSED]
        if steps:
            raise DataError(
                f"column {name!r} has {steps[0]} beside its scaler, which cannot be exported: leave it out."
            )


def _of_column(plan: Plan, slot: int, name: str) -> Affine | Monotone | Squashed:
    """Give the plan of one column alone.

    Parameters
    ----------
    plan : Plan
    slot : int
        The column.
    name : str
        Likewise, for messages.
    """
    if not isinstance(plan, (Affine, Monotone, Squashed)):
        what = {Power: "goes through a power transform", Binned: "is put into bins"}[type(plan)]
        raise DataError(f"column {name!r} {what}, which only an export to sklearn can express.")
    return plan.take(np.array([slot]))


@dataclass(frozen=True)
class Pieces:
    """A map through quantiles, piece by piece, with every constant that `Monotone` computes on the way.

    ``x`` is multiplied by `unit` first. Between knots ``u[i]`` and ``u[i + 1]`` the map is the mean of
    ``slope[i] * (x - u[i]) + left[i]`` and ``right[i] - slope[i] * (u[i + 1] - x)``; at ``u[i]`` it is ``at[i]``;
    0 up to the first knot, else 1 from the last. Computed so, it has the same bits.
    """

    u: NDArray[np.float64]
    at: NDArray[np.float64]
    slope: NDArray[np.float64]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    unit: float = 1.0

    @classmethod
    def of(cls, column: ColumnMap, target: str) -> Pieces:
        """Cut a column's map into pieces.

        Raises
        ------
        DataError
            If it ends in a normal variable, which `target` cannot express.
        """
        plan = column.plan
        if not isinstance(plan, Monotone):
            raise TypeError(f"{column.name!r} is not mapped through quantiles")
        if plan.normal:
            raise DataError(
                f"column {column.name!r} becomes a normal variable, which {target} cannot express: export to "
                "sklearn, or fit it with output_distribution='uniform'."
            )
        unit = unit_of(plan.quantiles[:, 0])
        q = plan.quantiles[:, 0] * unit
        if np.isnan(q).any():  # no value was seen
            nothing = np.full(1, np.nan)
            return cls(np.full(2, np.nan), np.full(2, np.nan), nothing, nothing, nothing)
        if len(q) == 1:  # all values become 0, as if they lay before the first knot
            return cls(np.full(2, np.finfo(np.float64).max), np.zeros(2), *np.zeros((3, 1)))
        with np.errstate(over="ignore"):
            steps = np.diff(q)
            if np.isinf(q[-1] - q[0]) or np.isinf(1 / steps[steps > 0]).any():
                raise DataError(
                    f"column {column.name!r} has quantiles too near or too far from each other for a slope, which "
                    f"{target} needs: leave it out of the fit, or transform with streamnorm."
                )
        first = np.flatnonzero(np.concatenate([[True], q[1:] > q[:-1]]))
        last = np.append(first[1:], len(q)) - 1
        u, low, high = q[first], plan.references[first], plan.references[last]
        if len(u) == 1:
            u, low, high = (np.repeat(values, 2) for values in (u, low, high))
            return cls(u, low, np.zeros(1), high[:1], low[1:], unit)
        return cls(u, 0.5 * (high + low), (low[1:] - high[:-1]) / np.diff(u), high[:-1], low[1:], unit)


def warn_of_float32(columns: Iterable[ColumnMap], *, of_centre: bool = True) -> None:
    """Warn of columns of which float32 loses more than `TOLERABLE` of a standard deviation, or of another scale.

    Parameters
    ----------
    columns : iterable of ColumnMap
    of_centre : bool
        Whether what is subtracted is rounded too: whether the arithmetic is in float32, not the values alone.
    """
    losses = {column.name: loss for column in columns if (loss := _loss(column, of_centre)) > TOLERABLE}
    for name, loss in losses.items():
        warnings.warn(
            f"float32 loses up to {loss:.2g} of a standard deviation (or of what the scaler divides by) of column "
            f"{name!r}: export it as float64.",
            stacklevel=3,
        )


def _loss(column: ColumnMap, of_centre: bool) -> float:
    """Bound the loss, in units of the output: of rounding the values, and of rounding the centre."""
    centre, factor = column.line()
    if not (math.isfinite(centre) and math.isfinite(factor)) or factor == 0:
        return 0.0
    largest = abs(centre) + 1 / abs(factor)
    whole = column.kind.startswith(("int", "uint", "bool")) and largest <= 1 << 24
    with np.errstate(over="ignore"):
        of_values = 0.0 if whole else float(np.spacing(np.float32(largest))) / 2
        rounded = abs(float(np.float32(centre)) - centre) if of_centre else 0.0
        return (of_values + rounded) * abs(factor)
