"""How a job is run: on how many threads, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Effort", "Progress"]

#: Called with the bytes of input and the rows that have been dealt with since the last time.
Progress = Callable[[int, int], Any]


class Effort(NamedTuple):
    """What changes how long a job takes, and nothing of its result.

    Parameters
    ----------
    threads : int, optional
        By default one for each processor.
    progress : callable, optional
        Called with bytes and rows dealt with; in the end the bytes are all of the sources'.
    """

    threads: int | None = None
    progress: Progress | None = None
