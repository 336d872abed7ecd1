"""Standard input and pipes, kept in a temporary file."""

from __future__ import annotations

import stat
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import xxhash

from streamnorm.errors import SourceError
from streamnorm.files import CHUNK_BYTES, Spooled, naming
from streamnorm.formats import FIRST_BYTES, ending_of

__all__ = ["is_pipe", "spool"]

#: Names of what a process has open, which say nothing of what it is the next time.
_OPEN = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def is_pipe(path: Path) -> bool:
    """Tell whether what a path leads to can be read only once: a named pipe, ``/dev/stdin``, what ``<(...)`` gives.

    Raises
    ------
    SourceError
        If it is a device.
    """
    if not path.exists():
        return False
    with naming(path):
        mode = path.stat().st_mode
    if str(path).startswith(_OPEN) or stat.S_ISFIFO(mode):
        return True
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise SourceError(f"{path} is a device, expected a file: copy what it holds into one.")
    return False


def spool(pipe: Path | None = None) -> Spooled:
    """Keep a pipe, by default standard input, in a temporary file, and tell its kind by its first bytes.

    Raises
    ------
    SourceError
        If nothing comes, or what is no table.
    """
    title = "standard input" if pipe is None else str(pipe)
    file = tempfile.NamedTemporaryFile(prefix="streamnorm-")  # noqa: SIM115 (goes with what is returned)
    content = xxhash.xxh3_128()
    first = b""
    with nullcontext(sys.stdin.buffer) if pipe is None else pipe.open("rb") as came:
        while chunk := came.read(CHUNK_BYTES):
            if len(first) < FIRST_BYTES:
                first += chunk[:FIRST_BYTES]
            content.update(chunk)
            file.write(chunk)
    file.flush()
    if not first:
        raise SourceError(f"nothing came from {title}: pipe a file into this command.")
    ending = ending_of(first[:FIRST_BYTES], title)
    return Spooled(f"stdin://{content.hexdigest()}", f"stdin{ending}", file, title)
