"""The functions that touch every value, compiled where there was a compiler and in Python otherwise.

The room imports nothing of the package. Begin with `runs`, which says what a column in memory is, then with
`c/kernel.c` or its twins in `reference`.
"""

from streamnorm.kernel.chosen import (
    COMPILED,
    add,
    extremes,
    histogram,
    instructions,
    last_row,
    longest,
    merge_bins,
    moments,
    plain,
    round_moments,
    sort,
)
from streamnorm.kernel.layouts import arithmetic
from streamnorm.kernel.reference import first_infinity
from streamnorm.kernel.runs import COUNTS, Exported, Run, Segments

__all__ = [
    "COMPILED",
    "COUNTS",
    "Exported",
    "Run",
    "Segments",
    "add",
    "arithmetic",
    "extremes",
    "first_infinity",
    "histogram",
    "instructions",
    "last_row",
    "longest",
    "merge_bins",
    "moments",
    "plain",
    "round_moments",
    "sort",
]
