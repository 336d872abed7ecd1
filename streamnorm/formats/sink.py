"""A sink writes batches to a path that is nobody's yet; giving the file its name is the caller's business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pyarrow as pa

from streamnorm.errors import StreamnormError, unwritable
from streamnorm.files import Draft, Target
from streamnorm.formats.source import Source

__all__ = ["OpenSink", "Sink", "writing"]


class Sink(Protocol):
    """Where batches go."""

    def write(self, batch: Any) -> None:
        """Write a batch, or what an editor of the same format made of a part of the input."""

    def end_unit(self) -> None:
        """End what was one part of the input."""

    def close(self) -> None:
        """Finish the file."""


class OpenSink(Protocol):
    """What opens a sink; a sink's class does."""

    def __call__(self, path: Draft, name: Target, schema: pa.Schema, like: Source, changed: set[str]) -> Sink:
        """Open a file for writing.

        Parameters
        ----------
        path : Path or Upload
            The file to be written.
        name : Path or Remote
            What it will be called.
        schema : pyarrow.Schema
        like : Source
            The input, whose layout is kept where the formats agree.
        changed : set of str
            Columns that hold normalised numbers.
        """


@contextmanager
def writing(path: Target) -> Iterator[None]:
    """Turn what goes wrong while writing into one sentence that names the file."""
    try:
        yield
    except StreamnormError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise unwritable(path, error) from error
