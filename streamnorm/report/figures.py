"""What is known of each column of a state, computed once for tables, pages and programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import amount
from streamnorm.kernel import COUNTS
from streamnorm.plans import Affine
from streamnorm.report.keys import keys_to_json, of_all
from streamnorm.report.rows import rows_to_json
from streamnorm.report.shapes import Bars, Shape, bars_of
from streamnorm.states import State
from streamnorm.summaries import CONSTANT, Extremes, Given, Histogram, Moments, Summary, part
from streamnorm.tables import Group

__all__ = ["Figures", "about_sources", "about_times", "figures_of", "to_json"]

#: Fractions whose quantiles are shown or used.
QUANTILES = (0.0, 0.005, 0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975, 0.995, 1.0)
#: (q99.5 - q0.5) / (q75 - q25) of a normal distribution, after the measure of tails of Crow and Siddiqui
#: (*Robust estimation of location*, 1967); tails are called heavy from twice that on.
NORMAL_TAILS = 2.5758293035489004 / 0.6744897501960817
#: Arrays that belong to all columns of a group.
_SHARED = ("references_",)
_BARS = 40


@dataclass(frozen=True)
class Figures:
    """One column's figures; None where the state does not tell.

    Parameters
    ----------
    name, type, scaler : str
    counts : mapping of str to int
        Rows by their kind.
    mean, std : float, optional
        Of the exact moments; the standard deviation with the `ddof` that the column is scaled with.
    quantiles : mapping of float to float
        By fraction; empty without a histogram.
    errors : mapping of float to float
        How far each quantile can be from the true one.
    least, greatest : float, optional
        Exact where the state keeps extremes, else within the histogram's error.
    shape : Shape, optional
        Of the values.
    group : Group
    slot : int
        Where the statistics are.
    """

    name: str
    type: str
    scaler: str
    counts: dict[str, int]
    mean: float | None
    std: float | None
    quantiles: dict[float, float]
    errors: dict[float, float]
    least: float | None
    greatest: float | None
    shape: Shape | None
    group: Group
    slot: int

    @classmethod
    def of(cls, name: str, kind: str, group: Group, slot: int) -> Figures:
        """Take the figures of one column of a group.

        Parameters
        ----------
        name : str
        kind : str
            Arrow type of the column.
        group : Group
        slot : int
            The column's place in the group.
        """
        summary = group.summary
        histogram, extremes = part(summary, Histogram), part(summary, Extremes)
        moments = part(summary, Moments)
        quantiles, errors = _quantiles(histogram, slot)
        ddof = group.rule.params.get("ddof", 0)
        given = _given(summary, slot, group.rule.rule.name)
        return cls(
            name,
            kind,
            group.rule.rule.name,
            dict(zip(COUNTS, summary.counts.table[slot].tolist(), strict=True)),
            given["mean"] if moments is None else _known(summary.cached("mean", moments.mean)[slot]),
            given["scale"]
            if moments is None
            else _known(summary.cached(("std", ddof), lambda: moments.std(ddof))[slot]),
            quantiles,
            errors,
            _known(extremes.minimum[slot]) if extremes else quantiles.get(0.0, given["data_min"]),
            _known(extremes.maximum[slot]) if extremes else quantiles.get(1.0, given["data_max"]),
            Shape.of(histogram, slot) if histogram else None,
            group,
            slot,
        )

    @property
    def rows(self) -> int:
        """Rows of any kind."""
        return sum(self.counts.values())

    @property
    def missing(self) -> float | None:
        """The share of rows that are null or NaN; None where there is no row."""
        return (self.counts["nulls"] + self.counts["nans"]) / self.rows if self.rows else None

    @property
    def constant(self) -> bool:
        """Whether the column's spread is rounding noise, so that it is scaled by 1."""
        if self.std is not None and self.mean is not None:
            return self.std <= CONSTANT * abs(self.mean)
        if self.least is not None and self.greatest is not None:
            return self.greatest / 2 - self.least / 2 <= CONSTANT / 2 * max(abs(self.least), abs(self.greatest))
        return False

    @property
    def tails(self) -> float | None:
        """(q99.5 - q0.5) / (q75 - q25), 3.82 for a normal distribution; None without quartiles that differ."""
        if not self.quantiles:
            return None
        outer = self.quantiles[0.995] / 2 - self.quantiles[0.005] / 2
        inner = self.quantiles[0.75] / 2 - self.quantiles[0.25] / 2
        return outer / inner if inner > 0 else None

    @property
    def flags(self) -> list[str]:
        """What a person should notice."""
        steps = self.group.rule.steps.to_json()
        found = [name if value is True else f"{name} {value}" for name, value in steps.items()]
        infinite = self.counts["positive_infinities"] + self.counts["negative_infinities"]
        if self.group.rule.given:
            found.append("given, not learnt")
        elif self.counts["values"] == 0:
            found.append("no finite value" if infinite else "all missing" if self.rows else "no rows")
        elif self.constant:
            found.append("constant")
        elif self.quantiles and self.tails is None:
            found.append("mostly one value")
        elif self.tails is not None and self.tails >= 2 * NORMAL_TAILS:
            found.append("heavy tails")
        return [*found, f"{infinite:,} infinite"] if infinite else found

    def scaled(self, bars: Bars, shapes: Sequence[Shape], number: int) -> Bars:
        """Map bars, and the shapes they were made of, by the column's scaler; at most `number` bars.

        Parameters
        ----------
        bars : Bars
        shapes : sequence of Shape
            What the bars were made of.
        number : int
            Bars, at most.
        """
        plan = self.group.rule.plan(self.group.summary)
        if isinstance(plan, Affine) and plan.clip is None:
            edges = self.scale(bars.edges)
            if np.isfinite(edges).all() and (np.diff(edges) > 0).all():
                return bars.mapped(self.scale)  # made anew, whole numbers would fall into bars unevenly
        return bars_of([shape.mapped(self.scale) for shape in shapes], number)

    def scale(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map values by the column's scaler."""
        out = np.empty_like(values)
        with np.errstate(all="ignore"):
            self.group.rule.plan(self.group.summary).apply(values, out, self.slot)
        return np.nan_to_num(out)  # a scale beyond all numbers makes 0 a NaN

    def to_json(self) -> dict[str, Any]:
        """Give everything, with the scaler's fitted attributes; what does not exist is null."""
        attributes = {}
        for attribute in self.group.rule.attributes:
            value = self.group.attribute(attribute)
            if isinstance(value, np.ndarray) and attribute not in _SHARED:
                value = value[..., self.slot]
            attributes[attribute.rstrip("_")] = _plain(value)
        document = {
            "name": self.name,
            "type": self.type,
            "scaler": self.scaler,
            "parameters": dict(self.group.rule.params),
            "steps": self.group.rule.steps.to_json(),
            "profile": self.group.rule.profile,
            "rows": self.rows,
            **self.counts,
            "missing": self.missing,
            "constant": self.constant,
            "flags": self.flags,
            "mean": self.mean,
            "std": self.std,
            "least": self.least,
            "greatest": self.greatest,
            "quantiles": {str(q): v for q, v in self.quantiles.items()},
            "quantile_errors": {str(q): v for q, v in self.errors.items()},
            "tails": self.tails,
            "histogram": bars_of([self.shape], _BARS).to_json() if self.shape else None,
        }
        return {name: _plain(value) for name, value in (document | attributes).items()}


def _given(summary: Summary, slot: int, scaler: str) -> dict[str, float | None]:
    """Take what was given of a column in place of mean, deviation and ends; None where it was not.

    Parameters
    ----------
    summary : Summary
    slot : int
    scaler : str
    """
    names = {"standard": ("mean", "scale"), "minmax": ("data_min", "data_max")}.get(scaler, ())
    numbers = {name: summary.number(name) if isinstance(summary, Given) else None for name in names}
    found = {name: _known(values[slot]) for name, values in numbers.items() if values is not None}
    return dict.fromkeys(("mean", "scale", "data_min", "data_max")) | found


def _quantiles(histogram: Histogram | None, slot: int) -> tuple[dict[float, float], dict[float, float]]:
    if histogram is None or histogram.counts.values[slot] == 0:
        return {}, {}
    values = histogram.cached("shown quantiles", lambda: histogram.quantile(QUANTILES))[:, slot]
    bounds = histogram.cached("their errors", lambda: histogram.error_bound(QUANTILES))[:, slot]
    return dict(zip(QUANTILES, values.tolist(), strict=True)), dict(zip(QUANTILES, bounds.tolist(), strict=True))


def _known(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _plain(value: Any) -> Any:
    while isinstance(value, (np.generic, np.ndarray)):  # an array may hold one array
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def figures_of(state: State) -> list[Figures]:
    """Give the figures of every column, in the table's order."""
    learnt = of_all(state.table.learnt)
    return [
        Figures.of(name, learnt.types[group.column(slot)], group, slot)
        for name, (group, slot) in learnt.where().items()
    ]


def about_sources(state: State) -> str:
    """Say in words what a state has counted."""
    if not state.sources:
        streams = len(state.positions.streams)
        return f"{streams:,} stream{'' if streams == 1 else 's'}" if streams else "no file on record"
    (table, *others) = [source.table for source in state.sources]
    if table is not None and not others:
        where = f"version {table.version} of {state.sources[0].location}"
        return f"{where}, {amount(table.files, 'file')}, {amount(state.sources[0].rows, 'row')} counted"
    files = f"{len(state.sources):,} source{'' if len(state.sources) == 1 else 's'}"
    out = max((len(source.without) for source in state.sources if source.without is not None), default=0)
    since = f", {amount(out, 'key')} taken out since" if out else ""
    return f"{files}, {sum(source.rows for source in state.sources):,} rows counted{since}"


def about_times(state: State) -> list[str]:
    """Say by which columns rows weigh, and how fast they age; nothing where they do not."""
    decays = dict.fromkeys(group.rule.decay for group in state.table.learnt.groups)
    return [f"rows weigh by {d.time}: half as much as those {d.halflife} later" for d in decays if d is not None]


def to_json(state: State) -> str:
    """Give everything as JSON; statistics that do not exist are null."""
    document = {
        "class": state.kind,
        "digest": state.digest(),
        **rows_to_json(state),
        "settings": state.table.settings(),
        **keys_to_json(state.table.learnt),
        "columns": [column.to_json() for column in figures_of(state)],
        "dropped": list(state.table.learnt.dropped),
        "sources": [{**vars(source), "table": source.table and source.table.to_json()} for source in state.sources],
        **({"positions": state.positions.to_json()} if state.positions else {}),
    }
    return json.dumps(document, indent=2, allow_nan=False)
