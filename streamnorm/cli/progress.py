"""What a job tells while it works: progress on a terminal, and notes."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from streamnorm.cli.messages import one_line, say
from streamnorm.errors import CountedTwiceWarning

if TYPE_CHECKING:
    from streamnorm.formats import Source


__all__ = ["notes", "progress_of"]


@contextmanager
def progress_of(found: list[Source], quiet: bool) -> Iterator[Callable[[int, int], Any] | None]:
    """Show bytes, rows a second and time left on a terminal, once a job has taken a second."""
    from streamnorm.kernel import COMPILED

    if quiet:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", CountedTwiceWarning)
    if not (quiet or COMPILED):
        say("note: the compiled kernel is missing: the same results take longer; reinstall where a C compiler is.")
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=sum(s.size for s in found), unit="B", unit_scale=True, delay=1, leave=False) as bar:
        yield _telling(bar)


def _telling(bar: Any) -> Callable[[int, int], None]:
    """Give what moves a bar by bytes and rows, from any thread."""
    lock, total = Lock(), 0

    def tell(size: int, rows: int) -> None:
        nonlocal total
        with lock:
            total += rows
            rate = total / max(bar.format_dict["elapsed"], 1e-9)
            bar.set_postfix_str(f"{bar.format_sizeof(rate)} rows/s", refresh=False)
            bar.update(size)

    return tell


class _Notes(logging.Handler):
    """Writes what a job tells as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"note: {one_line(record.getMessage())}")


@contextmanager
def notes() -> Iterator[None]:
    """Write what jobs tell as notes until the block ends."""
    log, handler = logging.getLogger("streamnorm"), _Notes()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
