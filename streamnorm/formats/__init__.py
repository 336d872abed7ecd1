"""Parquet, CSV and Arrow IPC: a folder for each with the same names inside, and one row in `registry`.

The room imports `errors`, `kernel`, `arrow` and `files`; it knows no statistics. Begin with `source`, which says
what any file is, and `sink`, which says where batches go.
"""

from streamnorm.formats.csv.checks import no_number
from streamnorm.formats.csv.seen import Seen
from streamnorm.formats.ipc.stream import IpcStream
from streamnorm.formats.options import CsvOptions
from streamnorm.formats.parquet.layout import NotByPagesError
from streamnorm.formats.parquet.source import ParquetSource
from streamnorm.formats.registry import (
    FORMATS,
    Format,
    format_for,
    kind_of,
    known_endings,
    known_names,
    open_sink,
    source_at,
)
from streamnorm.formats.signatures import FIRST_BYTES, ending_of
from streamnorm.formats.sink import writing
from streamnorm.formats.source import Bounds, Editor, Hashing, Lying, Portion, Source, Unit

__all__ = [
    "FIRST_BYTES",
    "FORMATS",
    "Bounds",
    "CsvOptions",
    "Editor",
    "Format",
    "Hashing",
    "IpcStream",
    "Lying",
    "NotByPagesError",
    "ParquetSource",
    "Portion",
    "Seen",
    "Source",
    "Unit",
    "ending_of",
    "format_for",
    "kind_of",
    "known_endings",
    "known_names",
    "no_number",
    "open_sink",
    "source_at",
    "writing",
]
