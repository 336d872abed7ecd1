"""How a command ends when it is asked to: in order, as after Ctrl-C, so that nothing half-written is left."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

__all__ = ["Terminated", "in_order", "standard_streams_open", "until_asked_to_end"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(BaseException):
    """Another process, or the terminal that went away, asked this one to end.

    Attributes
    ----------
    code : int
        What shells give as the exit code then.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


@contextmanager
def in_order() -> Iterator[None]:
    """Raise `Terminated` where a signal to end comes, unless somebody has said what to do with it."""
    before = {}
    if current_thread() is main_thread():  # no other thread is told of signals
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        before = {number: handler for number, handler in before.items() if handler is signal.SIG_DFL}
    for number in before:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def until_asked_to_end() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and the signals to end be asked for, instead of ending what is being done; a second one ends it."""
    asked: list[int] = []
    numbers = [signal.SIGINT, *_SIGNALS] if current_thread() is main_thread() else []
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def standard_streams_open() -> None:
    """Open what is closed of the three standard streams, so that no file gets their numbers, and stray words."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
        if getattr(sys, name) is None:  # as Python has it where they were closed
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
