"""The compiled functions where there was a compiler, and their twins in Python otherwise.

Both give the same integers; `STREAMNORM_PURE=1` in the environment chooses the Python ones.
"""

from __future__ import annotations

import os

from streamnorm.kernel import reference

__all__ = [
    "COMPILED",
    "add",
    "arithmetic",
    "column_chunks",
    "count_pages",
    "crc32",
    "csv_fields",
    "csv_splice",
    "csv_texts",
    "extremes",
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

if os.environ.get("STREAMNORM_PURE", "") not in ("", "0"):
    from streamnorm.kernel import reference as _chosen
else:
    try:
        import streamnorm.kernel._kernel as _chosen  # type: ignore[import-not-found,no-redef]
    except ImportError:
        from streamnorm.kernel import reference as _chosen

COMPILED: bool = _chosen is not reference

add, arithmetic = _chosen.add, _chosen.arithmetic
moments, extremes = _chosen.moments, _chosen.extremes
histogram, merge_bins = _chosen.histogram, _chosen.merge_bins
round_moments, sort, group = _chosen.round_moments, _chosen.sort, _chosen.group
memory, trim, write_early = _chosen.memory, _chosen.trim, _chosen.write_early
instructions, plain = _chosen.instructions, _chosen.plain
last_row, longest = _chosen.last_row, _chosen.longest
pages, read_pages, count_pages = _chosen.pages, _chosen.read_pages, _chosen.count_pages
column_chunks = _chosen.column_chunks
read_struct, write_struct = _chosen.read_struct, _chosen.write_struct
unpack, crc32 = _chosen.unpack, _chosen.crc32
open_pages, remake_pages, seal_pages = _chosen.open_pages, _chosen.remake_pages, _chosen.seal_pages
index_bounds, page_header = _chosen.index_bounds, _chosen.page_header
csv_fields, csv_texts = _chosen.csv_fields, _chosen.csv_texts
csv_splice, shortest = _chosen.csv_splice, _chosen.shortest
products = _chosen.products
