"""The pages of a column chunk, walked in bounded pieces: each is looked at before its bytes go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from streamnorm import kernel
from streamnorm.errors import DataError, SourceError
from streamnorm.files import Place
from streamnorm.formats.parquet.layout import read_view

__all__ = ["DATA", "DATA_V2", "DICTIONARY", "Lying", "Page", "damage", "pages_of"]

#: Types of pages, by Parquet's numbers.
DATA, DICTIONARY, DATA_V2 = 0, 2, 3
#: Bytes of a column chunk read at a time; a larger page is read whole.
_PIECE_BYTES = 4 << 20


class Page(NamedTuple):
    """What the header of a page says, as `kernel.pages` gives it: places in the piece, sizes in bytes."""

    kind: int
    start: int
    body: int
    packed: int
    unpacked: int
    crc: int
    computed: int
    values: int
    encoding: int
    definition_encoding: int
    repetition_encoding: int
    nulls: int
    rows: int
    definition_bytes: int
    repetition_bytes: int
    compressed: int

    @property
    def end(self) -> int:
        """Where it ends in the piece."""
        return self.body + self.packed


class Lying(Protocol):
    """Where a column chunk lies in a file, in bytes, and how many values the footer says it has."""

    @property
    def start(self) -> int:
        """Where it begins."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def values(self) -> int:
        """Its values, nulls included."""


@contextmanager
def damage(path: Place, column: str, group: int) -> Iterator[None]:
    """Say of bytes that are no pages where they stand: file, column and row group.

    Parameters
    ----------
    path : Place
    column : str
    group : int
    """
    try:
        yield
    except DataError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError, pa.ArrowException) as error:
        reason = str(error) if isinstance(error, ValueError) else "its pages make no sense"
        reason = " ".join(reason.split()).rstrip(".")
        raise SourceError(
            f"{path} cannot be read: column {column!r}, row group {group}: {reason}; restore the file or leave it out."
        ) from error


def pages_of(
    file: pa.NativeFile, chunk: Lying, piece_bytes: int = _PIECE_BYTES
) -> Iterator[tuple[memoryview, list[Page]]]:
    """Yield pieces of a column chunk with the pages that are whole in each; a piece ends where its last page ends.

    Parameters
    ----------
    file : pyarrow.NativeFile
    chunk : Lying
    piece_bytes : int
        What is read at a time, unless a page has more.

    Raises
    ------
    ValueError
        If a header is damaged, a page has another CRC than its header says, or the pages do not fill the chunk.
    """
    at, wanted, values = 0, piece_bytes, 0
    while at < chunk.size:
        size = min(wanted, chunk.size - at)
        data = read_view(file, chunk.start + at, size)
        records, end = kernel.pages(data)
        if not end:
            if size == chunk.size - at:
                raise ValueError("the last page does not end with its column chunk")
            wanted *= 4
            continue
        pages = [Page(*record) for record in np.frombuffer(records, np.int64).reshape(-1, len(Page._fields)).tolist()]
        for page in pages:
            if page.crc > 0 and page.crc != page.computed:
                raise ValueError("a page has another CRC than its header says")
            values += page.values if page.kind in (DATA, DATA_V2) else 0
        yield data[:end], pages
        at, wanted = at + end, piece_bytes
    if values != chunk.values:
        raise ValueError(f"its pages have {values} values, the footer says {chunk.values}")
