"""What the kernel reads: rows of columns in memory, and what it counts of each."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["COUNTS", "PAGE", "TOLD", "Chunks", "Exported", "Run", "Segments"]

#: What is counted of every column, in the order of the kernel's tallies.
COUNTS = ("values", "nulls", "nans", "positive_infinities", "negative_infinities")


#: What is told of a page of Parquet, in the order of the kernel's records of int64; -1 where its header does not say.
PAGE = (
    "kind", "start", "body", "packed", "unpacked", "crc", "computed", "values", "encoding", "definition_encoding",
    "repetition_encoding", "nulls", "rows", "definition_bytes", "repetition_bytes", "compressed",
)  # fmt: skip

#: What a Parquet footer tells of a column chunk, in the same way; the last: whether it is encrypted or in another file.
TOLD = ("group", "rows", "type", "codec", "values", "size", "data", "dictionary", "elsewhere")


class Run(NamedTuple):
    """Rows of one column, or of neighbouring columns of a matrix, in memory.

    Value (row, slot) lies at byte ``offset + row * stride + (slot - first slot) * slot_stride`` of
    `values`. The kernel reads the fields by position.
    """

    slot: int
    slots: int
    type: str  # one of bBhHiIqQfd, as in the struct module
    values: Any  # any object with the buffer protocol
    offset: int
    stride: int
    slot_stride: int
    length: int  # rows
    validity: Any = None  # bitmap, lowest bit first: 0 is null
    validity_offset: int = 0  # bits
    weights: Any = None  # float64, one a row
    times: Any = None  # int64, one a row: how many rows it stands for; of one column without weights


class Exported(NamedTuple):
    """Record batches of plain numbers as capsules of Arrow's C data interface; for the compiled kernel only."""

    schema: Any  # of all of them
    arrays: Any  # a tuple of them


class Segments(NamedTuple):
    """One column whose rows were sorted by their key: slot i has rows ``bounds[i]`` to ``bounds[i + 1]`` of the run."""

    run: Run
    bounds: Any  # int64, one more than slots


class Chunks(NamedTuple):
    """Column chunks of a Parquet file, one a slot, that the compiled kernel reads by itself.

    Nulls are not counted. NotImplementedError is raised where one is written in another way or damaged.
    """

    file: Any  # the system's number of it
    records: Any  # int64 of shape (n_slots, 6): start, size, values, type, whether snappy, whether nullable
    taker: Any = None  # called with the place and the bytes of all that is read, as it is read
