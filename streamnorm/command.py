"""The entry of the `streamnorm` command: quiet when it is interrupted before there is anything to end in order."""

from __future__ import annotations

import atexit
import gc
import os
import signal
from types import FrameType

__all__ = ["main"]

#: Objects made before garbage is looked for: the files of a large folder are many and no garbage, and looking for it
#: would take a fifth of the time.
_OBJECTS = 100_000


def main() -> None:
    """Run the command; until all of it is imported, Ctrl-C ends it at once, with the exit code 130 and no word."""
    gc.set_threshold(_OBJECTS)
    atexit.register(
        gc.freeze
    )  # at the end no garbage is looked for either: it would take a quarter of a small job's time
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from streamnorm.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)
