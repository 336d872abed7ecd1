"""The formats, a row each: the source, the sink, and what is done to a batch before it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import NamedTuple

import pyarrow as pa

from streamnorm.errors import OutputError
from streamnorm.files import Draft, Place, Target, naming, open_input
from streamnorm.formats.csv.lines import text_of
from streamnorm.formats.csv.sink import CsvSink
from streamnorm.formats.csv.source import CsvSource
from streamnorm.formats.ipc.sink import ArrowSink
from streamnorm.formats.ipc.source import ArrowSource
from streamnorm.formats.parquet.sink import ParquetSink
from streamnorm.formats.parquet.source import ParquetSource
from streamnorm.formats.parquet.writer import Rewriter
from streamnorm.formats.signatures import FIRST_BYTES, ending_of
from streamnorm.formats.sink import OpenSink, Sink
from streamnorm.formats.source import Source

__all__ = [
    "FORMATS",
    "Format",
    "format_for",
    "format_of",
    "kind_of",
    "known_endings",
    "known_names",
    "open_sink",
    "source_at",
]


def _as_it_is(batch: pa.RecordBatch, decimal: str) -> pa.RecordBatch:
    """Give the batch as it is."""
    return batch


class Format(NamedTuple):
    """One format.

    Parameters
    ----------
    name : str
        As messages call it.
    source : type of Source
        Reads it, and has the endings of its names.
    sink : callable
        Opens what writes it.
    prepare : callable
        Makes of a mapped batch and the decimal point what the sink writes; on the thread that mapped the batch, since
        a sink has only one.
    rewriter : type of Rewriter, optional
        Writes a file of this format out of the bytes of another.
    """

    name: str
    source: type[Source]
    sink: OpenSink
    prepare: Callable[[pa.RecordBatch, str], pa.RecordBatch] = _as_it_is
    rewriter: type[Rewriter] | None = None


FORMATS = (
    Format("Parquet", ParquetSource, ParquetSink, rewriter=Rewriter),
    Format("CSV", CsvSource, CsvSink, text_of),
    Format("Arrow", ArrowSource, ArrowSink),
)


def known_names() -> str:
    """Name the formats for a message.

    Examples
    --------
    >>> known_names()
    'Parquet, CSV or Arrow'
    """
    return _alternatives([row.name for row in FORMATS])


def known_endings() -> str:
    """Give an ending of names for each format, for a message.

    Examples
    --------
    >>> known_endings()
    '.parquet, .csv or .arrow'
    """
    return _alternatives([row.source.suffixes[0] for row in FORMATS])


def _alternatives(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def format_of(path: Place | PurePath) -> Format | None:
    """Find the format by the end of a file's name."""
    name = path.name.lower()
    for row in FORMATS:
        if name.endswith(row.source.suffixes):
            return row
    return None


def kind_of(path: Place | PurePath) -> type[Source] | None:
    """Find the kind of source by the end of a file's name."""
    found = format_of(path)
    return None if found is None else found.source


def source_at(path: Place) -> type[Source]:
    """Find the kind of source by the end of a file's name, and where that tells nothing by its first bytes.

    Raises
    ------
    SourceError
        If it is of no kind that is read, or cannot be read.
    """
    kind = kind_of(path)
    if kind is not None:
        return kind
    with naming(path), open_input(path) as file:
        ending = ending_of(file.read(FIRST_BYTES), path)
    return next(row.source for row in FORMATS if ending.startswith(row.source.suffixes))


def format_for(name: Target, like: Source) -> Format:
    """Find the format of an output: by the end of its name, and where that tells nothing the input's.

    Raises
    ------
    OutputError
        If the name tells nothing, and is not the input's.
    """
    found = format_of(name)
    if found is None and name.name == like.relative.name:
        found = next(row for row in FORMATS if isinstance(like, row.source))
    if found is None:
        raise OutputError(f"{name} is of no known format: end the name in {known_endings()}, or in / for a folder.")
    return found


def open_sink(path: Draft, name: Target, schema: pa.Schema, like: Source, changed: set[str]) -> Sink:
    """Open a file for writing.

    Parameters
    ----------
    path : Path or Upload
        The file to be written.
    name : Path or Remote
        What it will be called: its ending decides the format, else the input's.
    schema : pyarrow.Schema
    like : Source
        The input, whose layout is kept where the formats agree.
    changed : set of str
        Columns that hold normalised numbers.

    Raises
    ------
    OutputError
        If the name is of no known format.
    """
    return format_for(name, like).sink(path, name, schema, like, changed)
