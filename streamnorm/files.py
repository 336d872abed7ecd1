"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamnorm.errors import OutputError, StreamnormError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | Path, *, parents: bool = False) -> Iterator[Path]:
    """Give a temporary file in the same folder; it takes the name when the block ends well.

    Its bytes are on the disk before it is renamed, and the folder's entry after. If an error leaves the
    block, what had the name before is as it was, and the temporary file is gone.

    Parameters
    ----------
    path : str or Path
    parents : bool
        Whether to make the folders it lies in; those made are gone too after an error.

    Raises
    ------
    OutputError
        If the folder or the file cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    made = [folder for folder in path.parents if parents and not folder.exists()]
    try:
        if made:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; choose a folder that can.") from None
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError) and not isinstance(error, StreamnormError):
            reason = error.strerror or error
            raise OutputError(f"{path} cannot be written: {reason}; make room or choose another.") from error
        raise
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's entries where the system can, to the disk."""
    if os.name == "nt":
        if path.is_dir():
            return
        handle = os.open(path, os.O_RDWR)
    else:
        handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
