"""The functions that touch every value, compiled where there was a compiler and in Python otherwise.

Both give the same integers; `STREAMNORM_PURE=1` in the environment chooses the Python ones.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from streamnorm.kernel.reference.moments import first_infinity

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

#: What is counted of every column, in the order of the kernel's tallies.
COUNTS = ("values", "nulls", "nans", "positive_infinities", "negative_infinities")


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


class Exported(NamedTuple):
    """A record batch of plain numbers as capsules of Arrow's C data interface; for the compiled kernel only."""

    schema: Any
    array: Any


class Segments(NamedTuple):
    """One column whose rows were sorted by their key: slot i has rows ``bounds[i]`` to ``bounds[i + 1]`` of the run."""

    run: Run
    bounds: Any  # int64, one more than slots


if os.environ.get("STREAMNORM_PURE", "") not in ("", "0"):
    from streamnorm.kernel.reference import moments as _chosen
else:
    try:
        from streamnorm.kernel import _kernel as _chosen  # type: ignore[no-redef]
    except ImportError:
        from streamnorm.kernel.reference import moments as _chosen

moments = _chosen.moments
extremes = _chosen.extremes
histogram, merge_bins = _chosen.histogram, _chosen.merge_bins
add, arithmetic = _chosen.add, _chosen.arithmetic
round_moments, sort = _chosen.round_moments, _chosen.sort
instructions = _chosen.instructions
plain, last_row, longest = _chosen.plain, _chosen.last_row, _chosen.longest
COMPILED: bool = _chosen.__name__ != "streamnorm.kernel.reference.moments"
