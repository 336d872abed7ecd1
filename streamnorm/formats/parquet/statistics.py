"""Statistics of mapped pages and column chunks, computed from the mapped values: least, greatest, nulls.

Bounds are written where the input has some. NaN is no bound, and a zero is bounded by both zeros, as the format asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamnorm.formats.parquet.tree import BINARY, BOOL, I32, I64, LIST, List, Struct

__all__ = ["PageBounds", "bounds", "restated", "restated_index", "stated", "union"]

#: Fields of Statistics: bounds as once written, their count of nulls and of distinct values, bounds as now written.
_MAX, _MIN, _NULLS, _DISTINCT, _MAX_VALUE, _MIN_VALUE, _MAX_EXACT, _MIN_EXACT = range(1, 9)
_UNORDERED, _ASCENDING, _DESCENDING = range(3)

#: Least and greatest value, as the file has them; None where no value is a number.
_Bounds = tuple[Any, Any] | None


class PageBounds(NamedTuple):
    """What is known of one data page: values that are not null, nulls, and the bounds."""

    present: int
    nulls: int
    bounds: _Bounds


def bounds(values: NDArray[Any]) -> _Bounds:
    """Find the least and the greatest of values, of which NaN is neither."""
    if not len(values):
        return None
    least, greatest = values.min(), values.max()
    if np.isnan(least):
        with np.errstate(all="ignore"):
            least, greatest = np.fmin.reduce(values), np.fmax.reduce(values)
        if np.isnan(least):
            return None
    return least, greatest


def union(pages: Iterable[PageBounds]) -> PageBounds:
    """Give what is known of pages together."""
    present = nulls = 0
    least = greatest = None
    for page in pages:
        present, nulls = present + page.present, nulls + page.nulls
        if page.bounds is not None:
            least = page.bounds[0] if least is None else min(least, page.bounds[0])
            greatest = page.bounds[1] if greatest is None else max(greatest, page.bounds[1])
    return PageBounds(present, nulls, None if least is None else (least, greatest))


def _encoded(found: _Bounds) -> tuple[bytes, bytes]:
    """Give bounds as bytes; of zeros the least is the negative one."""
    assert found is not None
    least, greatest = found
    return (-abs(least) if least == 0 else least).tobytes(), (abs(greatest) if greatest == 0 else greatest).tobytes()


def stated(found: PageBounds) -> tuple[int, bytes | None, bytes | None]:
    """Give nulls, least and greatest value as the header of a page has them."""
    return (found.nulls, *((None, None) if found.bounds is None else _encoded(found.bounds)))


def restated(old: Struct | None, found: PageBounds, distinct: Callable[[], int | None]) -> Struct | None:
    """Give Statistics of mapped values: the fields that the input has, computed anew.

    Parameters
    ----------
    old : Struct, optional
        The input's.
    found : PageBounds
    distinct : callable
        Counts the different values, where that can be known.
    """
    if old is None:
        return None
    there, new = old.fields.keys(), Struct()
    if _NULLS in there:
        new.set(_NULLS, I64, found.nulls)
    if _DISTINCT in there:
        new.set(_DISTINCT, I64, distinct())
    if found.bounds is not None:
        least, greatest = _encoded(found.bounds)
        for low, high in ((_MIN, _MAX), (_MIN_VALUE, _MAX_VALUE)):
            if low in there or high in there:
                new.set(low, BINARY, least).set(high, BINARY, greatest)
        for exact in (_MAX_EXACT, _MIN_EXACT):
            if exact in there:
                new.set(exact, BOOL, True)
    return new


def restated_index(old: Struct, pages: Sequence[PageBounds]) -> Struct | None:
    """Give the ColumnIndex of mapped pages; None where one has no bounds, which an index cannot say.

    Parameters
    ----------
    old : Struct
        The input's, whose counts of nulls and histograms of levels are still true.
    pages : sequence of PageBounds
    """
    if len(old.get(1).items) != len(pages) or any(page.present and page.bounds is None for page in pages):
        return None
    encoded = [_encoded(page.bounds) if page.present else (b"", b"") for page in pages]
    new = old.copy()
    new.set(1, LIST, List(BOOL, [not page.present for page in pages]))
    new.set(2, LIST, List(BINARY, [least for least, _ in encoded]))
    new.set(3, LIST, List(BINARY, [greatest for _, greatest in encoded]))
    new.set(4, I32, _order([page.bounds for page in pages if page.bounds is not None]))
    if 5 in old.fields:
        new.set(5, LIST, List(I64, [page.nulls for page in pages]))
    return new


def _order(found: Sequence[tuple[Any, Any]]) -> int:
    """Tell whether neither bound ever falls, or neither ever rises, from page to page."""
    pairs = list(itertools.pairwise(found))
    if all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairs):
        return _ASCENDING
    return _DESCENDING if all(a[0] >= b[0] and a[1] >= b[1] for a, b in pairs) else _UNORDERED
