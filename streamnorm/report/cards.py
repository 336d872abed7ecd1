"""One column on a page: its figures, its histogram, and the same after its scaler against the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np

from streamnorm.report import svg
from streamnorm.report.drift import MAJOR, Drift
from streamnorm.report.figures import Figures
from streamnorm.report.shapes import Bars, bars_of
from streamnorm.report.words import number, percent, printable

__all__ = ["card", "drift_pill", "flag_pills", "safe", "sparklines"]

Params = Mapping[str, Any]
_BARS, _SPARK = 36, 16
_VERDICTS = {"stable": "good", "moderate": "warn", "not comparable": "warn"}
_BAD_FLAGS = ("all missing", "no finite value", "no rows", "constant")


def safe(text: str) -> str:
    """Write a text from outside so that it can be no markup, and turns nothing around."""
    return escape(printable(text))


def pill(text: str, kind: str) -> str:
    """Write a word on a coloured ground."""
    return f'<span class="pill {kind}">{escape(text)}</span>'


def flag_pills(figures: Figures | None) -> str:
    """Write what a person should notice."""
    flags = figures.flags if figures else []
    return " ".join(pill(flag, "bad" if flag in _BAD_FLAGS else "warn") for flag in flags)


def drift_pill(drift: Drift) -> str:
    """Write the verdict on a drift."""
    return pill(drift.verdict, _VERDICTS.get(drift.verdict, "bad"))


def sparklines(*sides: Figures | None) -> list[str]:
    """Draw the histograms of a column for a table, all on one axis."""
    known = [side for side in sides if side is not None and side.shape is not None]
    bars = bars_of([side.shape for side in known if side.shape], _SPARK) if known else None
    drawn = {id(f): svg.spark(bars, i, f is not sides[0]) for i, f in enumerate(known) if bars}
    return [drawn.get(id(side), "") for side in sides]


def card(place: int, before: Figures | None, after: Figures | None, drift: Drift | None, drawn: bool = True) -> str:
    """Show one column; `place` makes its anchor; `drawn` with pictures, or why there are none.

    Parameters
    ----------
    place : int
        Number of the column.
    before : Figures or None
    after : Figures or None
    drift : Drift or None
    drawn : bool
    """
    known = [f for f in (before, after) if f is not None]
    first = known[0]
    pills = [drift_pill(drift)] if drift else []
    pills += [f'<span class="soft">{safe(first.type)}, {escape(first.scaler)}</span>', flag_pills(first)]
    kind = " two" if len(known) == 2 else " new" if before is None else ""
    return (
        f'<article class="card{kind}" id="c{place}" aria-labelledby="h{place}">'
        f'<div><h3 id="h{place}"><bdi>{safe(first.name)}</bdi></h3>{" ".join(p for p in pills if p)}</div>'
        f'{_drift_lines(drift)}<div class="parts"><div>{_figures(before, after, drift)}</div>'
        f"{_pictures(known) if drawn else ''}</div></article>"
    )


_LINES: list[tuple[str, Callable[[Figures], str]]] = [
    ("rows", lambda f: f"{f.rows:,}"),
    ("missing", lambda f: f"{f.counts['nulls'] + f.counts['nans']:,}"),
    ("missing, %", lambda f: percent(f.missing)),
    ("mean", lambda f: number(f.mean, 4)),
    ("sd", lambda f: number(f.std, 4)),
    ("least", lambda f: number(f.least, 4)),
    ("25 %", lambda f: number(f.quantiles.get(0.25), 4)),
    ("median", lambda f: number(f.quantiles.get(0.5), 4)),
    ("75 %", lambda f: number(f.quantiles.get(0.75), 4)),
    ("greatest", lambda f: number(f.greatest, 4)),
]


def _figures(before: Figures | None, after: Figures | None, drift: Drift | None) -> str:
    """List a column's figures.

    Parameters
    ----------
    before : Figures or None
    after : Figures or None
    drift : Drift or None
    """
    sides = [before] if drift is None else [before, after]
    rows = []
    for heading, of in _LINES:
        cells = ["-" if side is None else of(side) for side in sides]
        if any(cell != "-" for cell in cells):
            rows.append(f'<tr><th scope="row">{heading}{"".join(f"<td>{cell}" for cell in cells)}')
    head = ""
    if drift is not None:
        head = (
            '<thead><tr><td></td><th scope="col" class="a">before</th><th scope="col" class="b">after</th></tr></thead>'
        )
    return f'<table class="figures">{head}<tbody>{"".join(rows)}</tbody></table>'


def _drift_lines(drift: Drift | None) -> str:
    if drift is None or drift.psi is None:
        return ""
    words = f"PSI <b>{number(drift.psi, 3)}</b>"
    if drift.noise is not None:
        words += f" (by chance up to {number(drift.noise, 2)})"
    if drift.shift is not None:
        words += f", moved by <b>{number(drift.shift, 3)}</b> sd"
    if drift.ratio is not None:
        words += f", sd times <b>{number(drift.ratio, 4)}</b>"
    if drift.basis != "histograms":
        words += f"; from {drift.basis} alone"
    part = min(1.0, drift.psi / (2 * MAJOR))
    meter = f'<span class="meter"><i style="width:{100 * part:.0f}%"></i></span>'
    return f'<p class="drift">{meter}<span>{words}</span></p>'


def _pictures(known: list[Figures]) -> str:
    first = known[0]
    shapes = [f.shape for f in known if f.shape is not None]
    if first.shape is None:
        why = (
            "There is no value to show." if first.counts["values"] == 0
            else "No histogram was kept. Fit with <code>--profile</code> to see the distribution."
        )  # fmt: skip
        return f'<p class="nothing" style="grid-column:span 2">{why}</p>'
    quartiles = [first.quantiles[q] for q in (0.25, 0.5, 0.75)]
    bars = bars_of(shapes, _BARS)
    raw = _figure("As it is", bars, None, quartiles)
    after = first.scale(np.array(quartiles)).tolist()
    title = f"After the {first.scaler} scaler{' of before' if len(shapes) > 1 else ''}"
    scaled = first.scaled(bars, shapes, _BARS)
    return raw + _figure(title, scaled, _target(first), after)


def _figure(title: str, bars: Bars, target: svg.Target | None, quartiles: list[float]) -> str:
    """Draw a picture with its caption.

    Parameters
    ----------
    title : str
    bars : Bars
    target : Target or None
        What the scaler aims at.
    quartiles : list of float
    """
    first, middle, third = quartiles
    half = f"the middle half lies from {number(first)} to {number(third)}, half below {number(middle)}"
    beyond = _beyond(bars)
    notes = [target.words] if target else []
    notes += [beyond] if beyond else []
    caption = f"<figcaption>{'; '.join(notes)}</figcaption>" if notes else ""
    drawn = svg.histogram(bars, f"{title}: histogram; {half}", target, (first, middle, third))
    return f"<figure><h4>{escape(title)}</h4>{drawn}{caption}</figure>"


def _beyond(bars: Bars) -> str:
    sides = [("below", bars.below[0]), ("above", bars.above[0])]
    said = [f"{percent(share)} % {side}" for side, share in sides if share > 1e-9]
    return f"not shown: {' and '.join(said)}" if said else ""


_NORMAL = svg.Target("target: mean 0, sd 1 (dashed: normal)", normal=True)


def _standard_target(p: Params) -> svg.Target:
    if p["with_mean"] and p["with_std"]:
        return _NORMAL
    return svg.Target("target: mean 0" if p["with_mean"] else "target: sd 1" if p["with_std"] else "unchanged")


def _range_target(low: float, high: float) -> svg.Target:
    return svg.Target(f"target: from {number(low)} to {number(high)}", band=(low, high))


def _minmax_target(p: Params) -> svg.Target:
    target = _range_target(*p["feature_range"])
    if p["quantile_range"] is None:
        return target
    first, last = p["quantile_range"]
    return dataclasses.replace(target, words=f"{target.words} at {number(first)} and {number(last)} %")


def _robust_target(p: Params) -> svg.Target:
    low, high = p["quantile_range"]
    return svg.Target(f"target: median 0, {number(high - low)} % within a width of 1")


#: Pictures of what a scaler aims at; one without a row here has its name under the picture.
_TARGETS: dict[str, Callable[[Params], svg.Target]] = {
    "standard": _standard_target,
    "minmax": _minmax_target,
    "maxabs": lambda p: _range_target(-1.0, 1.0),
    "robust": _robust_target,
    "kbins": lambda p: svg.Target(f"{p['n_bins']} bins"),
    "squashing": lambda p: _range_target(-p["max_absolute_value"], p["max_absolute_value"]),
    "winsor": lambda p: svg.Target({"right": "capped above", "left": "capped below"}.get(p["tail"], "capped")),
    "power": lambda p: _NORMAL if p["standardize"] else svg.Target("as normal as a power makes it"),
    "quantile": lambda p: _NORMAL if p["output_distribution"] == "normal" else _range_target(0.0, 1.0),
}


def _target(figures: Figures) -> svg.Target:
    if figures.constant:
        return svg.Target("constant: there is no spread to scale")
    target = _TARGETS.get(figures.scaler)
    return target(figures.group.rule.params) if target else svg.Target(f"scaled by {figures.scaler}")
