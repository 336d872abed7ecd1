"""A recipe to begin with: every column is looked at, and what seems right is written down with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamnorm.arrow import index_columns, is_choosable, is_numeric
from streamnorm.formats import Source
from streamnorm.jobs.effort import Effort, Progress
from streamnorm.jobs.reading import fit_state
from streamnorm.jobs.schema import look_at, union_of
from streamnorm.summaries import ALL_BITS, CONSTANT
from streamnorm.tables import Table

__all__ = ["recipe_for"]

_POINTS = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
#: Ratios from which a column counts as skewed (its longer tail to the other) and as far (its range to its middle half).
_SKEWED, _FAR = 3.0, 25.0
_CODE = re.compile(
    r"(?i:(^|[_\W])(ids?|code|key|zip|zipcode|postcode|uuid|guid|phone|nr|no|num|number)$)|[a-z](Id|ID)$"
)
_CALENDAR = {"year", "quarter", "month", "week", "day", "weekday", "dayofweek", "dayofyear", "hour", "minute", "second"}


@dataclass(frozen=True)
class _Look:
    """What was seen of a column."""

    name: str
    type: str
    whole: bool  # integers
    rows: int
    values: int
    distinct: int | None  # None where there are too many to have been kept apart
    points: tuple[float, ...]  # at _POINTS

    @property
    def about(self) -> str:
        """Its type and range, in words."""
        words = [self.type]
        if self.values:
            low, *_, high = self.points
            words.append(f"from {low:.6g} to {high:.6g}, median {self.points[3]:.6g}")
        if self.rows > self.values:
            words.append(f"{_percent(1 - self.values / self.rows)} % missing")
        if self.distinct is not None and self.distinct < 100:
            words.append(f"{self.distinct} different value{'' if self.distinct == 1 else 's'}")
        return ", ".join(words)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share > 0.0995 else f"{100 * share:.2g}"


def _is_constant(look: _Look) -> bool:
    low, *_, high = look.points
    return high - low <= CONSTANT * max(abs(low), abs(high))


def _is_flag(look: _Look) -> bool:
    return (look.points[0], look.points[-1], look.distinct) == (0, 1, 2)


def _is_code(look: _Look) -> bool:
    return look.whole and _CODE.search(look.name) is not None


def _is_calendar(look: _Look) -> bool:
    return look.whole and look.name.lower() in _CALENDAR


def _is_running(look: _Look) -> bool:
    """Tell whether every integer of a range occurs about once, which is how rows are numbered."""
    low, *_, high = look.points
    as_many = 0.99 < look.values / (high - low + 1) < 1.01
    return look.whole and look.values > 2 and as_many and look.distinct in (None, look.values)


def _tails(points: Sequence[float]) -> float:
    """How many times as long as the other the longer tail is."""
    left, right = points[3] - points[1], points[5] - points[3]
    shorter, longer = sorted((left, right))
    return longer / shorter if shorter > 0 else np.inf if longer > 0 else 1.0


def _is_logarithmic(look: _Look) -> bool:
    rightly = look.points[5] - look.points[3] > look.points[3] - look.points[1]
    logs = np.log1p(np.maximum(look.points, 0))
    return look.points[0] >= 0 and rightly and _tails(look.points) > _SKEWED and _tails(logs.tolist()) <= _SKEWED


def _is_heavy(look: _Look) -> bool:
    low, _, lower, _, upper, _, high = look.points
    middle = upper - lower
    return middle > 0 and (_tails(look.points) > _SKEWED or high - low > _FAR * middle)


#: The first that holds decides.
_RULES: tuple[tuple[Callable[[_Look], bool], str, str], ...] = (
    (lambda look: look.values == 0, "drop = true", "no value"),
    (_is_constant, "drop = true", "constant"),
    (_is_flag, 'scaler = "none"', "0 and 1"),
    (_is_code, 'scaler = "none"', "a number that names something, by its name"),
    (_is_calendar, 'scaler = "none"', "a part of a date or time, by its name"),
    (_is_running, 'scaler = "none"', "seems to number the rows"),
    (_is_logarithmic, 'scaler = "standard"\nlog1p = true', "skewed: even as a logarithm"),
    (_is_heavy, 'scaler = "robust"', "skewed, or with values far out"),
    (lambda look: True, 'scaler = "standard"', ""),
)

_HEAD = """\
# What becomes of each column; edit it, then: streamnorm run SRC --recipe FILE --output DST
# Beside scaler: its parameters, clip = [low, high] before scaling, log1p = true, clip_result = [low, high]
# or "1%, 99%", fill = "mean", "median" or "zero" for missing values, type = "float32", suffix = "_z", drop = true.
default = "none"        # columns that are not named here stay as they are
"""


def recipe_for(sources: Sequence[Source], *, threads: int | None = None, progress: Progress | None = None) -> str:
    """Look at all rows and write a recipe.

    Parameters
    ----------
    sources : sequence of Source
    threads : int, optional
        By default one for each processor. The recipe does not depend on it.
    progress : callable, optional
        Called with bytes dealt with.

    Returns
    -------
    str
        TOML with a table for each column of numbers, and the reason for it.

    Raises
    ------
    SourceError, DataError
        If a file cannot be read, or there are no columns of numbers.
    """
    schema = union_of(look_at(sources))[0]
    index = index_columns(schema)
    numbers = [item.name for item in schema if is_numeric(item.type) and item.name not in index]
    table = Table("robust", exclude=[item.name for item in schema if item.name not in numbers], infinite="skip")
    state = fit_state(sources, table, effort=Effort(threads, progress), record=False)
    schema = _settled(schema, numbers, state.table.learnt.types)
    looks = list(_looks(state.table, schema))
    parts = [_HEAD]
    if any(group.summary.counts.table[:, 3:].any() for group in state.table.learnt.groups):
        parts.append('infinite = "skip"       # there are infinities: they are not learnt from\n')
    parts += [_entry(look) for look in looks]
    parts += [_vectors(item) for item in schema if item.name not in numbers and is_choosable(item.type)]
    left = [f"{item.name} ({item.type})" for item in schema if not is_choosable(item.type)]
    if left:
        parts.append(f"# Without numbers, so left alone: {_on_one_line(', '.join(left))}\n")
    return "\n".join(parts)


def _settled(schema: pa.Schema, numbers: Sequence[str], types: Mapping[str, str]) -> pa.Schema:
    """Give the schema as the values of text files turned out to make it.

    Parameters
    ----------
    schema : pyarrow.Schema
    numbers : sequence of str
        Columns that were numbers as far as was known.
    types : mapping of str to str
        Those that are.
    """

    def kind(item: pa.Field) -> pa.DataType:
        if item.name not in numbers:
            return item.type
        if item.name not in types:
            return pa.string()
        return pa.float64() if types[item.name] == "double" else item.type

    return pa.schema([item.with_type(kind(item)) for item in schema])


def _looks(table: Table, schema: pa.Schema) -> Iterator[_Look]:
    for name, (group, slot) in table.learnt.columns().items():
        summary = group.summary
        bins, points = summary.bins, summary.quantile(_POINTS)[:, slot]  # type: ignore[attr-defined]
        distinct = int(bins.sizes[slot]) if bins.bits[slot] == ALL_BITS else None
        counts = summary.counts
        kind = schema.field(name).type
        yield _Look(
            name, str(kind), pa.types.is_integer(kind), int(counts.rows[slot]), int(counts.values[slot]), distinct,
            tuple(points.tolist()),
        )  # fmt: skip


def _entry(look: _Look) -> str:
    words, reason = next((words, reason) for holds, words, reason in _RULES if holds(look))
    first, *more = words.split("\n")
    because = f"{first}        # {reason}" if reason else first
    lines = [f"[columns.{_key(look.name)}]", f"# {look.about}", because, *more]
    if look.rows > look.values > 0 and "none" not in words and "drop" not in words:
        lines.append('# fill = "median"')
    return "\n".join([*lines, ""])


def _vectors(item: pa.Field) -> str:
    return f'[columns.{_key(item.name)}]\n# {item.type}: can be scaled, if it is to be\nscaler = "none"\n'


def _key(name: str) -> str:
    if re.fullmatch("[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _on_one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
