"""Pictures as inline SVG: colours and lettering come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from streamnorm.report.shapes import Bars
from streamnorm.report.words import number

__all__ = ["Target", "histogram", "spark", "ticks"]

_WIDTH, _HEIGHT = 360, 180
_TOP, _BASE = 8, 152
#: Width of a figure in the lettering of the axis, and the least room between two numbers.
_LETTER, _GAP = 6.5, 8.0
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """What a column should look like after its scaler.

    Parameters
    ----------
    words : str
        For people.
    normal : bool
        Whether it is the standard normal distribution.
    band : (float, float), optional
        Least and greatest value, or the edges of the middle half.
    """

    words: str
    normal: bool = False
    band: tuple[float, float] | None = None


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Choose round numbers from `low` to `high`, at most `most`.

    Parameters
    ----------
    low : float
    high : float
    most : int

    Examples
    --------
    >>> ticks(0.3, 9.7), ticks(-1.2, 1.3)
    ([2.0, 4.0, 6.0, 8.0], [-1.0, -0.5, 0.0, 0.5, 1.0])
    """
    width = high / most - low / most
    if not 0 < width < math.inf or not math.isfinite(high - low):
        return [low]
    power = 10.0 ** math.floor(math.log10(width))
    for step in (power * f for f in (1, 2, 2.5, 5, 10, 20)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if step > 0 and last - first < most:
            return [i * step for i in range(first, last + 1)]
    return [low]


def _round(value: float) -> str:
    """Write a coordinate in few bytes: a report has thousands."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text in ("0", "-0") else text.replace("-0.", "-.").removeprefix("0")


def _pair(x: float, y: float) -> str:
    """Write two coordinates; a minus is room enough between them."""
    return f"{_round(x)} {_round(y)}".replace(" -", "-")


def _curve(ys: Sequence[float], left: float, step: float) -> str:
    """Draw a line through points at equal distances.

    Parameters
    ----------
    ys : sequence of float
        Pixels.
    left : float
        Pixels.
    step : float
        Pixels from one point to the next.
    """
    steps, at = [], round(ys[0], 1)
    for y in ys[1:]:
        steps.append(_pair(step, y - at))
        at += round(y - at, 1)  # so that rounding does not add up
    return f"M{_pair(left, ys[0])}l{' '.join(steps)}"


def _bars(shares: _Floats, most: float, step: float, base: float, height: float, kind: str = "bars") -> str:
    """Draw bars as strokes of one path, with a hair of room between them.

    Parameters
    ----------
    shares : ndarray of shape (n_bars,)
        Shares of the rows.
    most : float
        The greatest share.
    step : float
        Width of a bar, in pixels.
    base : float
        Of the bars, in pixels from the top.
    height : float
        Of the greatest share, in pixels.
    kind : str
        Class of the path.
    """
    heights = [max(1, round(share / most * height)) if share > 0 else 0 for share in shares.tolist()]
    path, skipped = "", step / 2
    for tall in heights:
        if tall:
            path += f"m{_pair(skipped, -tall)}v{tall}"
            skipped = 0.0
        skipped += step
    width = step - min(1.0, step / 6)
    return f'<path class="{kind}" stroke-width="{width:.2f}" d="M0 {_round(base)}{path}"/>'


def _outline(shares: _Floats, most: float, step: float) -> str:
    """Draw the upper edge of bars as a line of steps.

    Parameters
    ----------
    shares : ndarray of shape (n_bars,)
        Shares of the rows.
    most : float
        The greatest share.
    step : float
        Width of a bar, in pixels.
    """
    path, at = f"M0 {_BASE}", 0
    heights = [round(max(share, 0) / most * (_BASE - _TOP)) for share in shares.tolist()]
    for y, same in groupby(heights):
        path += f"v{at - y}h{_round(step * len(list(same)))}"
        at = y
    return f'<path class="after" d="{path}v{at}"/>'


def spark(bars: Bars, which: int, after: bool = False) -> str:
    """Draw one of the shapes as a small histogram for a table, in the colour of its state.

    Parameters
    ----------
    bars : Bars
    which : int
        Number of the shape.
    after : bool
        Whether the state is the later of two.
    """
    most = float(max(shares.max() for shares in bars.shares))
    shares = bars.shares[which]
    drawn = _bars(shares, most, _round_step(96, shares), 24, 23, "bars after" if after else "bars")
    return f'<svg class="spark" viewBox="0 0 96 24" role="img" aria-label="histogram">{drawn}</svg>'


def _round_step(width: float, shares: _Floats) -> float:
    return round(width / len(shares), 1)


def histogram(
    bars: Bars, label: str, target: Target | None = None, quartiles: tuple[float, float, float] | None = None
) -> str:
    """Draw a histogram with its axis; a second shape is a line over the first one's bars.

    Parameters
    ----------
    bars : Bars
        Of one shape or two.
    label : str
        What a reader who cannot see it is told.
    target : Target, optional
        Drawn behind or over the bars.
    quartiles : (float, float, float), optional
        Drawn under the axis: a line from the first to the third, a dot at the median.
    """
    low, high = float(bars.edges[0]), float(bars.edges[-1])
    step = _round_step(_WIDTH, bars.shares[0])
    inner = step * len(bars.shares[0])
    curve = _normal_curve(bars) if target and target.normal else None
    most = max(float(max(shares.max() for shares in bars.shares)), float(curve.max()) if curve is not None else 0)

    def x(value: float) -> float:
        return inner * min(max((value / 2 - low / 2) / (high / 2 - low / 2), 0), 1)

    parts = []
    if target and target.band:
        left, right = (x(edge) for edge in target.band)
        parts.append(f'<path class="band" d="M{_round(left)} {_TOP}H{_round(right)}V{_BASE}H{_round(left)}z"/>')
    parts.append(_bars(bars.shares[0], most, step, _BASE, _BASE - _TOP))
    if curve is not None:
        ys = [_BASE - c / most * (_BASE - _TOP) for c in curve.tolist()]
        parts.append(f'<path class="target" d="{_curve(ys, 0, inner / (len(ys) - 1))}"/>')
    parts += [_outline(shares, most, step) for shares in bars.shares[1:]]
    parts.append(_axis(bars, x, inner, quartiles[1] if quartiles else None))
    if quartiles:
        first, middle, third = (x(value) for value in quartiles)
        parts.append(
            f'<path class="box" d="M{_round(first)} {_BASE + 5}H{_round(max(third, first + 1))}"/>'
            f'<circle class="median" cx="{_round(middle)}" cy="{_BASE + 5}" r="3"/>'
        )
    return (
        f'<svg class="plot" viewBox="-2 0 {_WIDTH + 4} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _axis(bars: Bars, x: Callable[[float], float], width: float, median: float | None) -> str:
    """Draw the axis with round numbers, or with the one value that there is.

    Parameters
    ----------
    bars : Bars
    x : callable
        Pixels of a value.
    width : float
        Of the picture, in pixels.
    median : float or None
    """
    whole = float(bars.edges[0]) % 1 == 0.5 and float(bars.edges[1] - bars.edges[0]) % 1 == 0
    for most in (5, 4, 3, 2):  # as many as there is room for, and no halves between whole numbers
        values = ticks(float(bars.edges[0]), float(bars.edges[-1]), most)
        if median is not None and sum(int((shares > 0).sum()) for shares in bars.shares) == 1:
            values = [median]
        labels = [_label(value, x(value), width) for value in values]
        room = all(a[1] + _GAP <= b[0] for a, b in pairwise(labels))
        if room and not (whole and any(value % 1 for value in values)):
            break
    marks = "".join(f"M{_round(x(value))} {_BASE}v4" for value in values)
    words = [text for _, _, text in labels]
    return f'<path class="axis" d="M0 {_BASE}H{_round(width)}{marks}"/>{"".join(words)}'


def _label(value: float, at: float, width: float) -> tuple[float, float, str]:
    """Write a number under the axis, within it; give where it begins and ends, about, too.

    Parameters
    ----------
    value : float
    at : float
        Pixels from the left.
    width : float
        Of the picture, in pixels.
    """
    text = number(value, 4)
    half = _LETTER * len(text) / 2
    place, left = ("s", at) if at < half else ("e", at - 2 * half) if at > width - half else ("", at - half)
    kind = f' class="{place}"' if place else ""
    return left, left + 2 * half, f'<text x="{_round(at)}" y="{_HEIGHT - 6}"{kind}>{text}</text>'


def _normal_curve(bars: Bars) -> _Floats:
    """Give the share that the standard normal distribution would have in a bar anywhere along the axis."""
    at = np.linspace(bars.edges[0], bars.edges[-1], 41)
    width = bars.edges[1] - bars.edges[0]
    with np.errstate(under="ignore", over="ignore"):
        return np.asarray(width * np.exp(-at * at / 2) / math.sqrt(2 * math.pi))
