"""Column chunks of Parquet as their bytes lie: the twin of parquet_pages.h."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.kernel.reference.page_headers import FIELDS, is_size
from streamnorm.kernel.reference.page_values import (
    DELTA,
    PLAIN,
    PLAIN_DICTIONARY,
    RLE_DICTIONARY,
    SPLIT,
    count_indices,
    present_in,
    unpack,
    unpack_snappy,
)

__all__ = ["count_pages", "read_pages"]

_DATA_PAGE, _INDEX_PAGE, _, _DATA_PAGE_V2 = range(4)
_RLE = 3


def count_pages(pages: Sequence[Any], nullable: bool, width: int, counts: Any = None) -> bytes:
    """Tell of each page how many values are not null and where they begin; count the entries of the dictionary.

    Parameters
    ----------
    pages : list of (int, int, buffer or None, buffer)
        Number of values, encoding, levels where they do not stand in the body, and the body.
    nullable : bool
        Whether there are levels.
    width : int
        Bytes of a plain value.
    counts : buffer of int64, optional
        One an entry of the dictionary, to be added to.

    Raises
    ------
    ValueError
        If bytes are wrong.
    """
    if not isinstance(pages, list) or not 1 <= width <= 16:
        raise ValueError("pages are a list, and values have 1 to 16 bytes")
    table = np.zeros(0, np.int64) if counts is None else np.frombuffer(counts, np.int64)
    found = [_count_page(*page, nullable=nullable, width=width, counts=table) for page in pages]
    return np.array(found, np.int64).tobytes()


def _count_page(
    values: int, encoding: int, levels: Any, body: Any, *, nullable: bool, width: int, counts: NDArray[np.int64]
) -> tuple[int, int]:
    """Count the values of one page.

    Parameters
    ----------
    values, encoding, levels, body
        An item of `count_pages`, whose parameters the others are.
    nullable : bool
    width : int
    counts : ndarray of shape (n_entries,)
    """
    data, start, present = memoryview(body).cast("B"), 0, values
    if not is_size(values):
        raise ValueError("a page has a number of values out of range")
    if nullable:
        own = None if levels is None else memoryview(levels).cast("B")
        if own is None:
            if len(data) < 4:
                raise ValueError("definition levels are missing")
            start = 4 + int.from_bytes(data[:4], "little")
            if start > len(data):
                raise ValueError("definition levels are longer than their page")
            own = data[4:start]
        present = present_in(own, values)
    if encoding == PLAIN and present > (len(data) - start) // width:
        raise ValueError("there are fewer values than the page tells of")
    if encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY):
        count_indices(data[start:], present, counts)
    return present, start


def read_pages(
    data: Any, records: Any, snappy: bool, bodies: Any, nullable: bool, width: int, counts: Any, out: Any
) -> tuple[int, int, int]:
    """Read pages of values: plain ones one behind the other, and how often each entry of the dictionary occurs.

    Parameters
    ----------
    data, records : buffer
        A piece of a column chunk, and the records of pages in it.
    snappy : bool
        Whether pages are packed by snappy; else they are not, or stand in `bodies`.
    bodies : list of buffer or None
        What is left of each page once it is unpacked, without the levels of a v2 page.
    nullable : bool
        Whether there are definition levels.
    width : int
        Bytes of a value, 4 or 8.
    counts : buffer of int64 or None
        One an entry of the dictionary, to be added to.
    out : buffer
        Gets plain values.

    Returns
    -------
    values, present, plain : int
        Values, those that are not null, and those in `out`.

    Raises
    ------
    ValueError
        If bytes are wrong.
    NotImplementedError
        If a page is of a kind that is not read here.
    """
    view, into = memoryview(data).cast("B"), memoryview(out).cast("B")
    table = np.zeros(0, np.int64) if counts is None else np.frombuffer(counts, np.int64)
    rows = np.frombuffer(records, np.int64).reshape(-1, FIELDS).tolist()
    if width not in (4, 8) or (bodies is not None and len(bodies) < len(rows)):
        raise ValueError("values have 4 or 8 bytes, and every page has a body")
    totals = np.zeros(3, np.int64)
    for i, row in enumerate(rows):
        if row[0] == _INDEX_PAGE:
            continue
        _look_at(view, row, nullable)
        levels, body = _unpacked(view, row, snappy, None if bodies is None else bodies[i])
        present, start = _count_page(row[7], row[8], levels, body, nullable=nullable, width=width, counts=table)
        totals[:2] += row[7], present
        if row[8] in (PLAIN_DICTIONARY, RLE_DICTIONARY):
            continue
        plain = row[8] == PLAIN
        values = body[start : start + present * width] if plain else unpack(row[8], body, start, present, width)
        at = int(totals[2]) * width
        if len(values) > len(into) - at:
            raise ValueError("there is no room for a page")
        into[at : at + len(values)] = values
        totals[2] += present
    values_read, present, plain_read = totals.tolist()
    return values_read, present, plain_read


def _look_at(data: memoryview, row: list[int], nullable: bool) -> None:
    """Raise unless a page is one of values that are read here.

    Parameters
    ----------
    data : memoryview
    row : list of int
        What its header tells.
    nullable : bool
    """
    if row[2] < 0 or row[3] < 0 or row[3] > len(data) - row[2]:
        raise ValueError("a page lies outside of what was read")
    levels_fit = row[0] != _DATA_PAGE_V2 or 0 <= row[13] <= min(row[3], row[4])
    if not (is_size(row[4]) and is_size(row[7]) and levels_fit):
        raise ValueError("a page has numbers out of range")
    if row[5] > 0 and row[5] != row[6]:
        raise ValueError("a page has another CRC than its header says")
    known = row[8] in (PLAIN, PLAIN_DICTIONARY, DELTA, RLE_DICTIONARY, SPLIT) and row[0] in (_DATA_PAGE, _DATA_PAGE_V2)
    if not known or (nullable and row[0] == _DATA_PAGE and row[9] != _RLE) or (row[0] == _DATA_PAGE_V2 and row[14]):
        raise NotImplementedError("pages of this kind are not read here")


def _unpacked(data: memoryview, row: list[int], snappy: bool, given: Any) -> tuple[memoryview | None, memoryview]:
    """Give the levels of a v2 page and the unpacked bytes behind them.

    Parameters
    ----------
    data : memoryview
    row : list of int
        What its header tells.
    snappy : bool
    given : buffer or None
        What is unpacked already.
    """
    size = row[13] if row[0] == _DATA_PAGE_V2 else 0
    levels = data[row[2] : row[2] + size] if row[0] == _DATA_PAGE_V2 else None
    body, unpacked = data[row[2] + size : row[2] + row[3]], row[4] - size
    if given is not None:
        body = memoryview(given).cast("B")
        if len(body) != unpacked:
            raise ValueError("a page unpacks to another number of bytes than its header says")
    elif snappy and row[15] and len(body) + unpacked:
        body = memoryview(unpack_snappy(body, unpacked))
    elif len(body) != unpacked:
        raise ValueError("a page has another number of bytes than its header says")
    return levels, body
