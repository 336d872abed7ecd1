"""A report of one state, or of the drift between two, as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from streamnorm.report.cards import card, drift_pill, flag_pills, safe, sparklines
from streamnorm.report.drift import Drift, drifts_of
from streamnorm.report.figures import Figures, about_sources, about_times, figures_of
from streamnorm.report.keys import about_keys, changes_of, of_key
from streamnorm.report.rows import about_rows
from streamnorm.report.words import number, percent
from streamnorm.states import State

__all__ = ["fragment", "page"]

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
"""


def page(
    before: State, after: State | None = None, names: tuple[str, str] = ("before", "after"), key: Sequence[str] = ()
) -> str:
    """Write the report.

    Parameters
    ----------
    before : State
    after : State, optional
        Compared with the first, the worst drift at the top.
    names : (str, str)
        What the states are called.
    key : sequence of str
        Of statistics per key, the one to show; those of all rows without.
    """
    if key:
        before, after = of_key(before, key), after and of_key(after, key)
    of = f" for {safe(', '.join(key))}" if key else ""
    if after is None:
        columns = figures_of(before)
        title, top = f"Statistics of {_short(names[0])}{of}", _tiles(before, columns)
        table = _overview(columns)
        drawn = _drawn(columns)
        cards = [card(i, column, None, None, drawn) for i, column in enumerate(columns)]
        states = [_origin(before, names[0], "")]
    else:
        drifts = drifts_of(before, after)
        title, top = f"Drift from {_short(names[0])} to {_short(names[1])}{of}", _drift_tiles(drifts)
        table = _drift_overview(drifts)
        drawn = _drawn([f for d in drifts for f in (d.before, d.after) if f])
        cards = [card(i, d.before, d.after, d, drawn) for i, d in enumerate(drifts)]
        states = [_origin(before, names[0], "before"), _origin(after, names[1], "after")]
    style = resources.files(__package__ or "streamnorm.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        f"{_HEAD.format(title=title, style=style)}<header><h1>{title}</h1>{''.join(states)}{top}</header>\n<main>\n"
        f'<h2 id="overview">Overview</h2>\n{table}\n{_keys(before, after)}<h2>Columns</h2>\n{"" if drawn else _BARE}'
        + "\n".join(cards)
        + f"{'' if drawn else '</div>'}\n</main>\n"
        f"{_footer(after is not None)}</body>\n</html>\n"
    )


def _drawn(columns: list[Figures]) -> bool:
    """Tell whether there are histograms, or would be if there were values."""
    return any(f.shape for f in columns) or not any(f.counts["values"] for f in columns)


def _short(name: str) -> str:
    """Leave out the folders of a file's name."""
    return safe(name.replace("\\", "/").rstrip("/").rpartition("/")[2])


def _origin(state: State, name: str, side: str) -> str:
    """Say what a state was made of.

    Parameters
    ----------
    state : State
    name : str
    side : str
        "before" or "after".
    """
    mark = f'<b class="{"a" if side == "before" else "b"}">{side}</b> ' if side else ""
    digest = f"digest <code>{state.digest()}</code>"
    times = "".join(f", {safe(words)}" for words in about_times(state))
    rows = "".join(f'<p class="soft">{safe(line)}</p>' for line in about_rows(state))
    return f'<p class="soft">{mark}{safe(name)}: {about_sources(state)}{times}, {digest}</p>{rows}'


def _keys(before: State, after: State | None) -> str:
    """Say what is known of the keys, and which moved most; nothing where there are none."""
    about = about_keys(before.table.learnt)
    if not about:
        return ""
    words = (
        f'<p class="soft">{escape(about)}. This page shows the statistics of all rows; <code>--key</code> of one.</p>'
    )
    changes = changes_of(before, after, 10) if after else None
    if changes is None:
        return f"<h2>Keys</h2>\n{words}\n"
    rows = [
        f'<tr><th scope="row" class="l"><bdi>{safe(m.key)}</bdi><td class="l"><bdi>{safe(m.column)}</bdi>'
        f"<td>{number(m.shift, 3)}"
        for m in changes.moved
    ]
    moved = _table("Keys that moved most", [("key", "l"), ("column", "l"), ("shift, sd", "")], rows) if rows else ""
    return f'<h2>Keys</h2>\n{words}<p class="soft">{changes.counted()}; those that moved most:</p>\n{moved}\n'


def _tile(term: str, text: str) -> str:
    return f'<div class="tile"><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>'


def _tiles(state: State, columns: list[Figures]) -> str:
    rows = sum(column.rows for column in columns)
    missing = sum(column.counts["nulls"] + column.counts["nans"] for column in columns)
    tiles = [
        _tile("rows", f"{max((column.rows for column in columns), default=0):,}"),
        _tile("columns", f"{len(columns):,}"),
        _tile("values missing", f"{percent(missing / rows if rows else None)} %"),
        _tile("columns with notes", f"{sum(bool(column.flags) for column in columns):,}"),
    ]
    return f'<dl class="tiles">{"".join(tiles)}</dl>'


def _drift_tiles(drifts: list[Drift]) -> str:
    kinds = {"major": "major drift", "moderate": "moderate drift", "stable": "stable"}
    tiles = [_tile(words, f"{sum(d.verdict == kind for d in drifts):,}") for kind, words in kinds.items()]
    others = sum(d.verdict not in kinds for d in drifts)
    return f'<dl class="tiles">{"".join([*tiles, _tile("new, gone or not comparable", f"{others:,}")])}</dl>'


def _table(caption: str, headings: list[tuple[str, str]], rows: list[str]) -> str:
    """Write a table.

    Parameters
    ----------
    caption : str
    headings : list of (str, str)
        Text and class of each.
    rows : list of str
        HTML.
    """
    heads = "".join(f'<th scope="col" class="{kind}">{escape(text)}</th>' for text, kind in headings)
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _name(place: int, name: str) -> str:
    return f'<th scope="row" class="l"><a href="#c{place}"><bdi>{safe(name)}</bdi></a>'


def _overview(columns: list[Figures]) -> str:
    fields: list[tuple[str, str, list[str]]] = [
        ("histogram", "l", [sparklines(f)[0] for f in columns]),
        ("missing, %", "", [percent(f.missing) for f in columns]),
        ("mean", "wide", [number(f.mean, 4) for f in columns]),
        ("sd", "wide", [number(f.std, 4) for f in columns]),
        ("least", "wide", [number(f.least, 4) for f in columns]),
        ("median", "wide", [number(f.quantiles.get(0.5), 4) for f in columns]),
        ("greatest", "wide", [number(f.greatest, 4) for f in columns]),
        ("notes", "l wide", [flag_pills(f) for f in columns]),
    ]
    fields = [field for field in fields if any(cell not in ("", "-") for cell in field[2])]
    rows = []
    for i, f in enumerate(columns):
        slim = f'<span class="slim">{flag_pills(f)}</span>' if f.flags else ""
        cells = (f'<td class="{kind}">{texts[i]}' if kind else f"<td>{texts[i]}" for _, kind, texts in fields)
        rows.append(f"<tr>{_name(i, f.name)}{slim}{''.join(cells)}")
    return _table("All columns", [("column", "l"), *((heading, kind) for heading, kind, _ in fields)], rows)


def _drift_overview(drifts: list[Drift]) -> str:
    rows = []
    for i, d in enumerate(drifts):
        pictures = sparklines(d.before, d.after)
        missing = [percent(f.missing) if f else "-" for f in (d.before, d.after)]
        rows.append(
            f'<tr>{_name(i, d.name)}<td class="l">{drift_pill(d)}<td>{number(d.psi, 3)}'
            f'<td class="wide">{number(d.shift, 3)}<td class="wide">{number(d.ratio, 4)}'
            f'<td class="wide mid">{missing[0]}<td class="wide mid">{missing[1]}'
            f'<td class="wide">{pictures[0]}<td class="wide">{pictures[1]}'
        )
    headings = [
        ("column", "l"), ("verdict", "l"), ("PSI", ""), ("shift, sd", "wide"), ("sd ratio", "wide"),
        ("missing before, %", "wide mid"), ("after, %", "wide mid"), ("before", "l wide"), ("after", "l wide"),
    ]  # fmt: skip
    return _table("Drift of all columns, worst first", headings, rows)


#: Opens the cards of states without any histogram.
_BARE = """<p class="soft">No histogram was kept: fit with <code>--profile</code> to see and compare distributions.</p>
<div class="bare">
"""
_READ = """<p>Bars show shares of all values; ends far away from the quartiles are left out, and said to be. The
line under an axis runs from the first to the third quartile, with a dot at the median. <b>Heavy tails</b>: the
middle 99 % is over 7.6 times as wide as the middle 50 %, twice as much as in a normal distribution.</p>
"""
_READ_DRIFT = """<p>Blue bars are before, the orange line is after; both are scaled by the statistics of before.
<b>PSI</b>, the population stability index, is the sum of (q - p) ln(q / p) over the tenths of before, what lies beyond
its ends and the missing values, with the shares p before and q after; by custom it is moderate above 0.1 and major
above 0.25. What chance alone gives in 19 of 20 comparisons is called stable.</p>
"""


def _footer(drift: bool) -> str:
    return f"<footer><h2>How to read this</h2>{_READ}{_READ_DRIFT if drift else ''}</footer>\n"


def fragment(state: State) -> str:
    """Write the overview as a table for a notebook, in the notebook's own colours."""
    columns = figures_of(state)
    rows = "".join(
        f"<tr><th><bdi>{safe(f.name)}</bdi></th><td>{_plain_spark(f)}"
        + "".join(
            f"<td>{text}"
            for text in (
                escape(f.scaler), f"{f.rows:,}", percent(f.missing), number(f.mean), number(f.std), number(f.least),
                number(f.quantiles.get(0.25)), number(f.quantiles.get(0.5)), number(f.quantiles.get(0.75)),
                number(f.greatest), escape(", ".join(f.flags)),
            )
        )
        + "</tr>"
        for f in columns
    )  # fmt: skip
    headings = (
        "column",
        "histogram",
        "scaler",
        "rows",
        "missing %",
        "mean",
        "sd",
        "min",
        "25 %",
        "median",
        "75 %",
        "max",
        "notes",
    )
    heads = "".join(f"<th>{heading}</th>" for heading in headings)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    keys = about_keys(state.table.learnt)
    words = "".join(f"<p>{escape(line)}</p>" for line in about_rows(state))
    return f'<div style="overflow-x:auto">{table}</div>{words}' + (
        f"<p>{escape(keys)}; above are all rows</p>" if keys else ""
    )


def _plain_spark(figures: Figures) -> str:
    return sparklines(figures)[0].replace('class="spark"', 'width="96" height="24" stroke="currentColor"')
