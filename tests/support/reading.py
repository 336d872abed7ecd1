"""Something that happens while a Parquet file is read, whichever way it is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamnorm.formats.parquet.source import ParquetSource

Event = Callable[[Path, list[str]], None]


def _nothing(path: Path, columns: list[str]) -> None:
    pass


def on_reading(
    monkeypatch: pytest.MonkeyPatch, before: Event = _nothing, after: Event = _nothing
) -> Callable[[], None]:
    """Let something happen before and after columns of a unit are read, given file and columns; give what undoes it."""
    batches, portions, chunks = ParquetSource.read, ParquetSource.portions, ParquetSource.chunks

    def read(self, unit, columns=None, *more):
        before(self.path, list(self.schema.names if columns is None else columns))
        yield from batches(self, unit, columns, *more)
        after(self.path, [])

    def by_pages(self, unit, names):
        if names:
            before(self.path, list(names))
        yield from portions(self, unit, names)
        if names:
            after(self.path, [])

    @contextmanager
    def by_itself(self, unit, names, *more):
        with chunks(self, unit, names, *more) as lying:
            if lying:
                before(self.path, lying.names)
            yield lying
            if lying:
                after(self.path, [])

    monkeypatch.setattr(ParquetSource, "read", read)
    monkeypatch.setattr(ParquetSource, "portions", by_pages)
    monkeypatch.setattr(ParquetSource, "chunks", by_itself)

    def undo() -> None:
        monkeypatch.setattr(ParquetSource, "read", batches)
        monkeypatch.setattr(ParquetSource, "portions", portions)
        monkeypatch.setattr(ParquetSource, "chunks", chunks)

    return undo
