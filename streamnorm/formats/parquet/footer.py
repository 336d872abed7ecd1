"""Footers of Parquet files: whether they may be asked for columns, and where column chunks lie."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import accumulate
from typing import Any

import pyarrow as pa

from streamnorm.files import Place

__all__ = ["check_footer", "chunks_of", "start_of"]


class _Sealed:
    """A file of a size that gives nothing, and remembers whether it was asked."""

    closed = False

    def __init__(self, size: int) -> None:
        self._size, self._at, self.asked = size, 0, False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Give the place."""
        return self._at

    def read(self, size: int) -> bytes:
        """Give nothing: to raise here would take longer, since Arrow writes down where that was."""
        self.asked = True
        return b""

    def close(self) -> None:
        """Do nothing."""


def check_footer(path: Place, metadata: Any, group: int, columns: Collection[str]) -> None:
    """Find out whether asking a footer for columns of a row group would end the process.

    Arrow looks at the same entries before it reads the first page, and there raises what nothing catches elsewhere.

    Parameters
    ----------
    path : Place
    metadata : pyarrow.parquet.FileMetaData
    group : int
    columns : collection of str

    Raises
    ------
    OSError
        If it would.
    """
    import pyarrow.parquet as pq

    sealed = _Sealed(path.stat().st_size)
    file = pa.PythonFile(sealed, mode="r")
    try:
        with pq.ParquetFile(file, metadata=metadata, buffer_size=1, pre_buffer=False) as parquet:
            next(parquet.iter_batches(1, row_groups=[group], columns=list(columns), use_threads=False), None)
    except OSError:
        if not sealed.asked:
            raise


def chunks_of(metadata: Any, group: int, columns: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield what a footer tells of columns, with the name of each.

    Parameters
    ----------
    metadata : pyarrow.parquet.FileMetaData
    group : int
        Number of the row group.
    columns : collection of str
    """
    rows = metadata.row_group(group)
    for i in range(metadata.num_columns):
        path = metadata.schema.column(i).path.split(".")
        name = next((name for name in accumulate(path, "{}.{}".format) if name in columns), None)
        if name is not None:
            yield name, rows.column(i)


def start_of(chunk: Any) -> int:
    """Give the place of a column's first page; 0, where no page is, if the footer tells of none."""
    return int(min((at for at in (chunk.data_page_offset, chunk.dictionary_page_offset) if at), default=0))
