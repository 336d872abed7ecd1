"""The statistics of a state, for people and for programs."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from streamnorm.kernel import COUNTS
from streamnorm.state import State
from streamnorm.summaries.moments import CONSTANT

__all__ = ["as_table", "describe", "to_json"]


#: Arrays that belong to all columns of a group.
_SHARED = ("references_",)


def describe(state: State) -> list[dict[str, Any]]:
    """Give one object a column: its name, type, scaler, counts and fitted attributes."""
    columns = []
    for name, (group, slot) in state.table.learnt.where().items():
        counts = dict(zip(COUNTS, group.summary.counts.table[slot].tolist(), strict=True))
        rows = sum(counts.values())
        attributes = {}
        for attribute in group.rule.rule.attributes:
            value = group.attribute(attribute)
            if isinstance(value, np.ndarray) and attribute not in _SHARED:
                value = value[..., slot]
            attributes[attribute.rstrip("_")] = _plain(value)
        columns.append(
            {
                "name": name,
                "type": state.table.learnt.types[group.column(slot)],
                "scaler": group.rule.rule.name,
                "parameters": dict(group.rule.params),
                "steps": group.rule.steps.to_json(),
                "rows": rows,
                **counts,
                "constant": _is_constant(attributes),
                **attributes,
            }
        )
    return columns


def _is_constant(attributes: dict[str, Any]) -> bool:
    """Tell whether a column's spread is rounding noise, so that it is scaled by 1."""
    if attributes.get("data_range") is not None:
        spread, size = attributes["data_range"], max(abs(attributes["data_min"]), abs(attributes["data_max"]))
    elif attributes.get("var") is not None:
        spread, size = math.sqrt(attributes["var"]), abs(attributes["mean"])
    else:
        return False
    return bool(spread <= CONSTANT * size)


def _plain(value: Any) -> Any:
    number = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(number, list):
        return [_plain(item) for item in number]
    return None if isinstance(number, float) and not np.isfinite(number) else number


def to_json(state: State) -> str:
    """Give everything as JSON; statistics that do not exist are null."""
    document = {
        "class": state.kind,
        "digest": state.table.digest(),
        "settings": state.table.settings(),
        "columns": describe(state),
        "dropped": list(state.table.learnt.dropped),
        "sources": [vars(source) for source in state.sources],
    }
    return json.dumps(document, indent=2)


_NUMBERS = ("mean", "var", "center", "data_min", "data_max", "scale")


def as_table(state: State) -> str:
    """Give one line a column, as wide as its widest entries."""
    columns = describe(state)
    numbers = [key for key in _NUMBERS if any(key in column for column in columns)]
    rows = [["column", "type", "scaler", "rows", "missing %", *numbers, "notes"]]
    for column in columns:
        missing = column["nulls"] + column["nans"]
        rows.append(
            [
                column["name"], column["type"], column["scaler"], f"{column['rows']:,}",
                f"{100 * missing / column['rows']:.2f}" if column["rows"] else "-",
                *(_short(column.get(key)) for key in numbers),
                _notes(column),
            ]
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            c.ljust(w) if i < 3 or i == len(row) - 1 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    counted = sum(source.rows for source in state.sources)
    lines.append("")
    sources = f"{len(state.sources)} source{'' if len(state.sources) == 1 else 's'}"
    lines.append(f"{sources}, {counted:,} rows counted; digest {state.table.digest()}")
    return "\n".join(lines)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _notes(column: dict[str, Any]) -> str:
    notes = [name if value is True else f"{name} {value}" for name, value in column["steps"].items()]
    if column["values"] == 0:
        notes.append("no value")
    elif column["constant"]:
        notes.append("constant")
    infinite = column["positive_infinities"] + column["negative_infinities"]
    if infinite:
        notes.append(f"{infinite} infinite")
    return ", ".join(notes)
