"""Results that go to standard output, when they are complete."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streamnorm.formats import Source

__all__ = ["piped"]

#: The name that standard output goes by.
_STDOUT = "-"


@contextmanager
def piped(output: str, found: list[Source], resume: bool) -> Iterator[str]:
    """Give where to write: the output itself, or for "-" a temporary file whose bytes follow at the end.

    Parameters
    ----------
    output : str
    found : sequence of Source
        The sources that are there now.
    resume : bool
        Whether the job goes on where it was stopped.
    """
    if output != _STDOUT:
        yield output
        return
    if len(found) != 1:
        raise click.UsageError(f"--output - takes one file, not {len(found):,}: name a folder for them.")
    if resume:
        raise click.UsageError("--resume goes on with files; nothing is left of what went to standard output.")
    with tempfile.TemporaryDirectory(prefix="streamnorm-") as folder:
        yield str(Path(folder, found[0].path.name))
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        (written,) = (path for path in files if not path.name.endswith(".resume"))  # the job's record
        with written.open("rb") as file, open(sys.stdout.fileno(), "wb", closefd=False) as out:
            shutil.copyfileobj(file, out)
