"""Tables for terminals and pipes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamnorm.once import once
from streamnorm.report.drift import Drift
from streamnorm.report.figures import Figures, about_sources, about_times, figures_of
from streamnorm.report.keys import about_keys
from streamnorm.report.rows import about_rows
from streamnorm.report.shapes import bars_of
from streamnorm.report.words import cut, number, percent, printable, wide
from streamnorm.states import State

__all__ = ["diff_table", "show_table", "sparkline"]

_LEVELS = "▁▂▃▄▅▆▇█"
_SPARK = 12
_NARROWEST = 8  # a name is not cut shorter


@dataclass(frozen=True)
class _Field:
    """A column of a table: its heading, its cells, and how soon it goes where there is no room (0: never)."""

    heading: str
    cells: list[str]
    goes: int = 0
    left: bool = False

    @once
    def width(self) -> int:
        return max(wide(text) for text in (self.heading, *self.cells))


def sparkline(shares: Sequence[float]) -> str:
    """Draw shares as bars of eight heights; nothing is a space.

    Examples
    --------
    >>> sparkline([0, 0.1, 0.4, 0.5])
    ' ▂▇█'
    """
    most = max(shares)
    return "".join(_LEVELS[min(7, int(8 * share / most))] if share > 0 else " " for share in shares)


def _spark(column: Figures) -> str:
    return sparkline(np.maximum(bars_of([column.shape], _SPARK).shares[0], 0).tolist()) if column.shape else ""


def show_table(state: State, width: int | None = None) -> str:
    """Write one line a column.

    Parameters
    ----------
    state : State
    width : int, optional
        Cells of a terminal to fit into: less important figures go, then long names are cut. None for a
        pipe: everything, and no sparkline.
    """
    columns = figures_of(state)
    fields = _show_fields(columns)
    if width is not None:
        drawn = _Field("histogram", [_spark(c) for c in columns], 3, True)
        fields.insert(-1, drawn)
    fields = [field for field in fields if field.heading == "column" or any(c not in ("", "-") for c in field.cells)]
    lines = _lay_out(fields, width)
    keys = about_keys(state.table.learnt)
    hint = "above are the statistics of all rows; --key KEY shows those of one"
    lines += ["", *about_rows(state), *([keys, hint] if keys else []), *map(printable, about_times(state))]
    lines.append(f"{about_sources(state)}; digest {state.digest()}")
    lines += map(printable, state.positions.words())
    told = [source.from_footer for source in state.sources if source.from_footer]
    if told:
        columns_told = f"{max(told)} column{'' if max(told) == 1 else 's'}"
        lines.append(f"least and greatest value of {columns_told} taken from the footers of {len(told)} of them")
    return "\n".join(lines)


def _show_fields(columns: list[Figures]) -> list[_Field]:
    def cells(of: Callable[[Figures], str]) -> list[str]:
        return [of(column) for column in columns]

    return [
        _Field("column", cells(lambda c: printable(c.name)), left=True),
        _Field("type", cells(lambda c: printable(c.type)), 11, True),
        _Field("scaler", cells(lambda c: c.scaler), 10, True),
        _Field("rows", cells(lambda c: f"{c.rows:,}"), 9),
        _Field("missing %", cells(lambda c: percent(c.missing)), 4),
        _Field("mean", cells(lambda c: number(c.mean)), 1),
        _Field("sd", cells(lambda c: number(c.std)), 2),
        _Field("min", cells(lambda c: number(c.least)), 7),
        _Field("25 %", cells(lambda c: number(c.quantiles.get(0.25))), 8),
        _Field("median", cells(lambda c: number(c.quantiles.get(0.5))), 4),
        _Field("75 %", cells(lambda c: number(c.quantiles.get(0.75))), 8),
        _Field("max", cells(lambda c: number(c.greatest)), 7),
        _Field("notes", cells(lambda c: ", ".join(c.flags)), 5, True),
    ]


def diff_table(drifts: list[Drift], width: int | None = None) -> str:
    """Write one line a column, worst first; `width` is that of `show_table`."""

    def cells(of: Callable[[Drift], str]) -> list[str]:
        return [of(drift) for drift in drifts]

    fields = [
        _Field("column", cells(lambda d: printable(d.name)), left=True),
        _Field("PSI", cells(lambda d: number(d.psi, 3))),
        _Field("by chance", cells(lambda d: number(d.noise, 2)), 5),
        _Field("verdict", cells(lambda d: d.verdict), 1, True),
        _Field("shift / sd", cells(lambda d: number(d.shift, 3)), 2),
        _Field("sd ratio", cells(lambda d: number(d.ratio, 4)), 3),
        _Field("missing %", cells(lambda d: _arrow(d, lambda f: percent(f.missing))), 4),
        _Field("mean", cells(lambda d: _arrow(d, lambda f: number(f.mean, 4))), 6),
        _Field("rows", cells(lambda d: _arrow(d, lambda f: f"{f.rows:,}")), 8),
        _Field("from", cells(lambda d: d.basis), 7, True),
    ]
    lines = _lay_out(fields, width)
    basis = sorted({d.basis for d in drifts if d.basis in ("moments", "extremes")})
    if basis:
        lines += [
            "",
            f"PSI from {' or '.join(basis)} is that of normal distributions; fit with --profile to compare histograms.",
        ]
    return "\n".join(lines)


def _arrow(drift: Drift, of: Callable[[Figures], str]) -> str:
    before, after = ((f and of(f)) or "-" for f in (drift.before, drift.after))
    return before if before == after else f"{before} -> {after}"


def _lay_out(fields: list[_Field], width: int | None) -> list[str]:
    """Align the fields; where they must fit, leave out what goes first, then cut names."""
    kept = fields if width is None else _fitting(fields, width)
    excess = 0 if width is None else _width(kept) - width
    if excess > 0:
        room = max(_NARROWEST, kept[0].width - excess)
        kept[0] = _Field(kept[0].heading, [cut(cell, room) for cell in kept[0].cells], left=True)
    rows = [[field.heading for field in kept], *zip(*(field.cells for field in kept), strict=True)]
    lines = []
    for row in rows:
        padded = [_pad(cell, field) for cell, field in zip(row, kept, strict=True)]
        lines.append("  ".join(padded).rstrip())
    if len(kept) < len(fields):
        gone = ", ".join(field.heading for field in fields if field not in kept)
        lines += ["", f"left out for want of room: {gone}"]
    return lines


def _fitting(fields: list[_Field], width: int) -> list[_Field]:
    """Take fields by their importance, those of one rank together, as long as they fit."""
    kept = {0}
    for rank in sorted({field.goes for field in fields}):
        more = kept | {i for i, field in enumerate(fields) if field.goes == rank}
        if rank == 0 or _width([fields[i] for i in more]) <= width:
            kept = more
    return [fields[i] for i in sorted(kept)]


def _width(fields: list[_Field]) -> int:
    return sum(field.width for field in fields) + 2 * (len(fields) - 1)


def _pad(cell: str, field: _Field) -> str:
    space = " " * (field.width - wide(cell))
    return cell + space if field.left else space + cell
