"""The functions that touch every value, compiled where there was a compiler and in Python otherwise.

The room imports nothing of the package. Begin with `runs`, which says what a column in memory is, then with
`c/kernel.c` or its twins in `reference`.
"""

from streamnorm.kernel.chosen import (
    COMPILED,
    add,
    count_pages,
    crc32,
    csv_fields,
    csv_splice,
    csv_texts,
    extremes,
    histogram,
    index_bounds,
    instructions,
    last_row,
    longest,
    memory,
    merge_bins,
    moments,
    page_header,
    pages,
    plain,
    products,
    read_chunk,
    read_pages,
    round_moments,
    shortest,
    sort,
    unpack,
)
from streamnorm.kernel.layouts import arithmetic
from streamnorm.kernel.reference import first_infinity
from streamnorm.kernel.runs import COUNTS, PAGE, Exported, Run, Segments

__all__ = [
    "COMPILED",
    "COUNTS",
    "PAGE",
    "Exported",
    "Run",
    "Segments",
    "add",
    "arithmetic",
    "count_pages",
    "crc32",
    "csv_fields",
    "csv_splice",
    "csv_texts",
    "extremes",
    "first_infinity",
    "histogram",
    "index_bounds",
    "instructions",
    "last_row",
    "longest",
    "memory",
    "merge_bins",
    "moments",
    "page_header",
    "pages",
    "plain",
    "products",
    "read_chunk",
    "read_pages",
    "round_moments",
    "shortest",
    "sort",
    "unpack",
]
