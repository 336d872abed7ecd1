"""The kernel's functions in numpy and Python integers, each file the twin of C headers.

They are the oracle that the compiled ones are tested against, and what runs where no compiler was found: the same
integers, more slowly. They import nothing of the package; begin with `runs`, which every statistic reads by.
"""

from streamnorm.kernel.reference.arithmetic import arithmetic, first_infinity
from streamnorm.kernel.reference.csv_fields import csv_fields
from streamnorm.kernel.reference.csv_texts import csv_splice, csv_texts, shortest
from streamnorm.kernel.reference.histogram import histogram, merge_bins
from streamnorm.kernel.reference.limbs import add, round_moments
from streamnorm.kernel.reference.moments import extremes, moments
from streamnorm.kernel.reference.page_headers import column_chunks, crc32, pages
from streamnorm.kernel.reference.page_values import unpack
from streamnorm.kernel.reference.parquet_pages import count_pages, read_pages
from streamnorm.kernel.reference.parquet_rewrite import (
    index_bounds,
    open_pages,
    page_header,
    read_struct,
    remake_pages,
    seal_pages,
    write_struct,
)
from streamnorm.kernel.reference.products import products
from streamnorm.kernel.reference.runs import group, instructions, memory, plain, sort, trim, write_early
from streamnorm.kernel.reference.text import last_row, longest

__all__ = [
    "add",
    "arithmetic",
    "column_chunks",
    "count_pages",
    "crc32",
    "csv_fields",
    "csv_splice",
    "csv_texts",
    "extremes",
    "first_infinity",
    "group",
    "histogram",
    "index_bounds",
    "instructions",
    "last_row",
    "longest",
    "memory",
    "merge_bins",
    "moments",
    "open_pages",
    "page_header",
    "pages",
    "plain",
    "products",
    "read_pages",
    "read_struct",
    "remake_pages",
    "round_moments",
    "seal_pages",
    "shortest",
    "sort",
    "trim",
    "unpack",
    "write_early",
    "write_struct",
]
