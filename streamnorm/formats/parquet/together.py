"""Pages of a column chunk mapped together: page by page the interpreter would have more to do than the processor.

That is for data pages of the common kinds; what is made of them is the same as of one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.formats.parquet.codecs import SNAPPY, packed
from streamnorm.formats.parquet.statistics import PageBounds
from streamnorm.formats.parquet.walk import DATA, DATA_V2, Page

__all__ = ["WIDTHS", "Arithmetic", "Given", "Remade", "remade"]

#: Types of mapped values by their bytes.
WIDTHS: dict[int, Any] = {4: np.float32, 8: np.float64}
_PLAIN = 0

#: The letter of plain values, operations of ``+-*/``, and an operand for each.
Arithmetic: TypeAlias = tuple[str, str, NDArray[np.float64]]


class Given(NamedTuple):
    """Pages as they are.

    Parameters
    ----------
    data : memoryview
        What the pages stand in.
    pages : sequence of Page
        Data pages, of plain values or of indices.
    bodies : list of buffer, optional
        What is in each, unpacked, for a codec that the kernel does not know.
    codec : int
    nullable : bool
    width : int
        Bytes of a plain value.
    """

    data: memoryview
    pages: Sequence[Page]
    bodies: list[Any] | None
    codec: int
    nullable: bool
    width: int


class Remade(NamedTuple):
    """A page as it is written: header and body in pieces, the bytes that the body unpacks to, and the bounds."""

    encoding: int
    pieces: list[Any]
    plain: int
    bounds: PageBounds


def remade(
    given: Given, function: Callable[[Any, int], NDArray[Any]] | Arithmetic, width: int, entries: Any, used: bytearray
) -> Iterator[Remade] | None:
    """Map pages; give None where they are to be mapped one by one, which says what is wrong with them.

    Parameters
    ----------
    given : Given
    function : callable or (str, str, ndarray)
        Maps so many plain values; or their letter, and operations with an operand for each.
    width : int
        Bytes of a mapped value.
    entries, used : ndarray and bytearray of shape (n_entries,)
        The dictionary's mapped entries as float64, and which of them occur.
    """
    data, pages, bodies, codec, nullable, own_width = given
    opened = kernel.open_pages(data, np.array(pages, np.int64), codec == SNAPPY, bodies, nullable, own_width)
    if opened is None:
        return None
    state, values, count = opened
    if isinstance(function, tuple):
        mapped: Any = function
    else:
        mapped = function(memoryview(values)[: count * own_width], count).view(np.uint8).data
    found = kernel.remake_pages(state, mapped, width, entries, used)
    return None if found is None else _sealed(given, state, WIDTHS[width], *found)


def _sealed(given: Given, state: Any, kind: Any, memory: Any, told: Any) -> Iterator[Remade]:
    """Pack pages, and give them their headers.

    Parameters
    ----------
    given : Given
    state
        Of `kernel.open_pages`.
    kind : type
        NumPy's, of the mapped values.
    memory, told
        Of `kernel.remake_pages`.
    """
    view = memoryview(memory)
    bodies = [
        None if page.encoding != _PLAIN else _packed(given.codec, page, view[at - before : at + size], before)
        for page, (before, at, size, *_) in zip(given.pages, told, strict=True)
    ]
    headers = kernel.seal_pages(state, bodies)
    for page, header, body, (_, _, size, present, least, greatest) in zip(
        given.pages, headers, bodies, told, strict=True
    ):
        both = None if least > greatest else (kind(least), kind(greatest))
        bounds = PageBounds(present, page.values - present, both)
        if body is None:
            yield Remade(page.encoding, [header, given.data[page.body : page.end]], page.unpacked, bounds)
        elif page.kind == DATA_V2:
            levels = given.data[page.body : page.body + page.repetition_bytes + page.definition_bytes]
            yield Remade(_PLAIN, [header, levels, body], len(levels) + size, bounds)
        else:
            yield Remade(_PLAIN, [header, body], size, bounds)


def _packed(codec: int, page: Page, values: memoryview, before: int) -> Any:
    """Pack a body, but for one of version 2 that would not become smaller.

    Parameters
    ----------
    codec : int
    page : Page
    values : memoryview
    before : int
        Bytes of it that make it a literal already.
    """
    own = values if before else packed(codec, values)
    return own if page.kind == DATA or len(own) < len(values) else values
