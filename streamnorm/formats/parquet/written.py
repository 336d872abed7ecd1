"""What is known of the pages of a column chunk that were written, for the footer and the page indexes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from streamnorm.formats.parquet.statistics import PageBounds
from streamnorm.formats.parquet.tree import I32, I64, Struct
from streamnorm.formats.parquet.walk import DICTIONARY, Page

__all__ = ["Written"]


class Written:
    """Pages that were written: their sizes, places, bounds and encodings.

    Parameters
    ----------
    placed : bool
        Whether an OffsetIndex wants the places.
    """

    def __init__(self, placed: bool) -> None:
        self.size = self.plain_size = self.rows = 0
        self.data_at: int | None = None
        self.bounds: list[PageBounds] = []
        self.counts: Counter[tuple[int, int]] = Counter()
        self.places: list[Struct] | None = [] if placed else None

    def add(self, page: Page, encoding: int, pieces: list[Any], plain: int) -> list[Any]:
        """Note a page: header and body, which unpacks to so many bytes.

        Parameters
        ----------
        page : Page
            As it was.
        encoding : int
            As it is written.
        pieces : list of buffer
            Header and body, in one piece or more.
        plain : int
            Bytes that the body unpacks to.
        """
        size = sum(map(len, pieces))
        self.counts[page.kind, encoding] += 1
        if page.kind != DICTIONARY:
            self.data_at = self.size if self.data_at is None else self.data_at
            if self.places is not None:
                self.places.append(Struct().set(1, I64, self.size).set(2, I32, size).set(3, I64, self.rows))
            self.rows += page.values
        self.size += size
        self.plain_size += len(pieces[0]) + plain
        return pieces
