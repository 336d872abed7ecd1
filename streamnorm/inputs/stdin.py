"""Standard input, kept in a temporary file."""

from __future__ import annotations

import sys
import tempfile

import xxhash

from streamnorm.errors import SourceError
from streamnorm.files import CHUNK_BYTES, Spooled
from streamnorm.formats import ending_of

__all__ = ["spool"]


def spool() -> Spooled:
    """Keep standard input in a temporary file, and tell its kind by its first bytes.

    Raises
    ------
    SourceError
        If nothing comes.
    """
    file = tempfile.NamedTemporaryFile(prefix="streamnorm-")  # noqa: SIM115 (goes with what is returned)
    content = xxhash.xxh3_128()
    first = b""
    while chunk := sys.stdin.buffer.read(CHUNK_BYTES):
        first = first or chunk
        content.update(chunk)
        file.write(chunk)
    file.flush()
    if not first:
        raise SourceError("nothing came from standard input: pipe a file into this command.")
    return Spooled(f"stdin://{content.hexdigest()}", f"stdin{ending_of(first)}", file)
