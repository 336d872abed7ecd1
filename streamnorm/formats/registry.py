"""The formats, a row each: endings of names, the source and the sink."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from streamnorm.errors import OutputError
from streamnorm.files import Place
from streamnorm.formats.csv.sink import CsvSink
from streamnorm.formats.csv.source import CsvSource
from streamnorm.formats.ipc.sink import ArrowSink, ArrowStreamSink
from streamnorm.formats.ipc.source import ArrowSource, ArrowStreamSource
from streamnorm.formats.parquet.sink import ParquetSink
from streamnorm.formats.parquet.source import ParquetSource
from streamnorm.formats.sink import Sink
from streamnorm.formats.source import Source

__all__ = ["FORMATS", "kind_of", "open_sink"]

_SINKS: dict[type[Source], type[Any]] = {
    ParquetSource: ParquetSink,
    CsvSource: CsvSink,
    ArrowSource: ArrowSink,
    ArrowStreamSource: ArrowStreamSink,
}


def open_sink(path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> Sink:
    """Open a file for writing.

    Parameters
    ----------
    path : Path
        The file to be written.
    name : Path
        What it will be called: its ending decides the format.
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
    kind = kind_of(name)
    if kind is None:
        raise OutputError(f"{name} is of no known format: end the name in .parquet, .csv or .arrow.")
    sink: Sink = _SINKS[kind](path, name, schema, like, changed)
    return sink


FORMATS: tuple[type[Source], ...] = (ParquetSource, CsvSource, ArrowSource, ArrowStreamSource)


def kind_of(path: Place | PurePath) -> type[Source] | None:
    """Find the kind of source by the end of a file's name."""
    name = path.name.lower()
    return next((kind for kind in FORMATS if name.endswith(kind.suffixes)), None)
