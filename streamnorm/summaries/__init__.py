"""Summaries: frozen records of arrays, one slot a column, that form a commutative group or semilattice.

For every summary, ``of(A ++ B) == of(A) + of(B)`` for any split and order of rows, ``empty + a == a``, and
``(a + b) - b == a`` where it can forget. ``==`` compares every bit.
"""

from streamnorm.summaries._base import Block, Counts, Summary, SummaryType, WideWeights
from streamnorm.summaries.bins import ALL_BITS, MAX_BINS
from streamnorm.summaries.decayed import FURTHEST_POWER, DecayedMoments
from streamnorm.summaries.extremes import Extremes
from streamnorm.summaries.given import GIVEN, Given, GivenOf
from streamnorm.summaries.histogram import Histogram, HistogramOf
from streamnorm.summaries.moments import CONSTANT, Moments
from streamnorm.summaries.packing import pack, pack_bytes, unpack
from streamnorm.summaries.products import CrossProducts
from streamnorm.summaries.profile import Profiled, ProfiledOf, needed, part
from streamnorm.summaries.tally import Tally

__all__ = [
    "ALL_BITS",
    "CONSTANT",
    "FURTHEST_POWER",
    "GIVEN",
    "MAX_BINS",
    "Block",
    "Counts",
    "CrossProducts",
    "DecayedMoments",
    "Extremes",
    "Given",
    "GivenOf",
    "Histogram",
    "HistogramOf",
    "Moments",
    "Profiled",
    "ProfiledOf",
    "Summary",
    "SummaryType",
    "Tally",
    "WideWeights",
    "needed",
    "pack",
    "pack_bytes",
    "part",
    "unpack",
]
