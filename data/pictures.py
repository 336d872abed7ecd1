"""Draw normalizers.svg: what each normalizer makes of one skewed column. ``python data/pictures.py``."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import streamnorm as sn
from streamnorm.report.svg import ticks

HERE = Path(__file__).parent
#: The column: how many minutes late each flight came in, most of them early, a few by a day.
COLUMN = "arr_delay"
#: Width and height of a panel, of what is drawn in it, and how many stand beside each other.
WIDTH, HEIGHT, INNER, BARS_HEIGHT, BESIDE = 250, 168, 220, 84, 4
#: Bars of a histogram.
BINS = 40
STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#57606a}
.name{font-weight:600;font-size:13px;fill:#1b1f24}
.bars{stroke:#2f62c6;fill:none}.axis{stroke:#57606a;fill:none}.n{text-anchor:middle}
@media (prefers-color-scheme:dark){text{fill:#a2acb8}.name{fill:#e8ebef}.bars{stroke:#6f9df2}.axis{stroke:#a2acb8}}
"""


class Panel(NamedTuple):
    """One picture: a title, what makes the numbers, and the range that is shown where it is not 0.5 to 99.5 percent."""

    title: str
    normalizer: Any
    shown: tuple[float, float] | None = None


PANELS = [
    Panel(f"{COLUMN}, as it is (minutes)", None),
    Panel("StandardScaler", sn.StandardScaler()),
    Panel("RobustScaler", sn.RobustScaler()),
    Panel("MinMaxScaler", sn.MinMaxScaler(), (0, 1)),
    Panel("MinMaxScaler, 1 to 99 %", sn.MinMaxScaler(quantile_range=(1, 99), clip=True), (0, 1)),
    Panel("MaxAbsScaler", sn.MaxAbsScaler(), (-1, 1)),
    Panel("PowerTransformer", sn.PowerTransformer()),
    Panel("SquashingScaler", sn.SquashingScaler(), (-3, 3)),
    Panel("Winsorizer, both tails", sn.Winsorizer(tail="both")),
    Panel("KBinsDiscretizer, ordinal", sn.KBinsDiscretizer(10, encode="ordinal"), (0, 9)),
    Panel("QuantileTransformer", sn.QuantileTransformer(), (0, 1)),
    Panel("QuantileTransformer, normal", sn.QuantileTransformer(output_distribution="normal"), (-5.3, 5.3)),
]


def draw(panels: Iterable[Panel]) -> str:
    """Give all panels as one picture, four in a row."""
    column = pq.read_table(HERE / "flights.parquet", columns=[COLUMN])[COLUMN].drop_null().to_numpy()[:, np.newaxis]
    drawn = [_panel(panel, column) for panel in panels]
    rows = -(-len(drawn) // BESIDE)
    placed = [
        f'<g transform="translate({10 + i % BESIDE * WIDTH},{4 + i // BESIDE * HEIGHT})">{inner}</g>'
        for i, inner in enumerate(drawn)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {BESIDE * WIDTH} {rows * HEIGHT + 4}" role="img">'
        f"<title>Histograms of {COLUMN} as it is and after each normalizer</title><style>{STYLE}</style>"
        f"{''.join(placed)}</svg>\n"
    )


def _panel(panel: Panel, column: NDArray[Any]) -> str:
    """Draw a histogram of what becomes of a column, its axis, and where the median and the greatest value went."""
    values = column if panel.normalizer is None else panel.normalizer.fit(column).transform(column)
    values = np.asarray(values, np.float64)[:, 0]
    low, high = panel.shown or np.quantile(values, [0.005, 0.995]).tolist()
    counts, edges = np.histogram(values, np.linspace(low, high, BINS + 1))
    step, base = INNER / BINS, 24 + BARS_HEIGHT
    path = "".join(
        f"M{(i + 0.5) * step:.1f} {base}v-{max(1.0, count / counts.max() * BARS_HEIGHT):.1f}"
        for i, count in enumerate(counts.tolist())
        if count
    )

    def x(value: float) -> float:
        return (value - edges[0]) / (edges[-1] - edges[0]) * INNER

    marks = ticks(low, high, 5)
    axis = "".join(f"M{x(mark):.1f} {base}v4" for mark in marks)
    labels = "".join(f'<text class="n" x="{x(mark):.1f}" y="{base + 17}">{_number(mark)}</text>' for mark in marks)
    words = f"median {_number(np.median(values))}, greatest {_number(values.max())}"
    return (
        f'<text class="name" y="12">{escape(panel.title)}</text>'
        f'<path class="bars" stroke-width="{step - 0.7:.1f}" d="{path}"/>'
        f'<path class="axis" d="M0 {base}H{INNER}{axis}"/>{labels}<text y="{base + 37}">{words}</text>'
    )


def _number(value: float) -> str:
    """Write a number of a few digits."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}").removesuffix("\N{MINUS SIGN}0") or "0"


if __name__ == "__main__":
    (HERE / "normalizers.svg").write_text(draw(PANELS), encoding="utf-8")
