"""What the tasks of a rewrite give beside bytes: column chunks that were made, and ends of row groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from streamnorm.formats.parquet.tree import I64, LIST, STRUCT, List, Struct

__all__ = ["GroupEnd", "Made", "Placed", "moved"]


@dataclass
class Made:
    """A column chunk as it is written: its entry in the footer, with places counted from its own beginning."""

    column: Struct
    size: int
    column_index: bytes | None = None
    offset_index: Struct | None = None
    bloom: tuple[int, int] | None = None


class GroupEnd(NamedTuple):
    """All of a row group was given."""

    number: int


class Placed(NamedTuple):
    """A column chunk that was given, and its place among the columns of the result."""

    leaf: int
    made: Made


def moved(offset_index: Struct, by: int) -> Struct:
    """Give an OffsetIndex of pages that lie elsewhere.

    Parameters
    ----------
    offset_index : Struct
    by : int
        Bytes.
    """
    places = [place.copy().set(1, I64, place.get(1) + by) for place in offset_index.get(1).items]
    return offset_index.copy().set(1, LIST, List(STRUCT, places))
