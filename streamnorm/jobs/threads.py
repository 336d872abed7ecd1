"""Work on threads, with few results waiting at any time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral
from queue import Full, Queue
from threading import Event
from typing import Generic, TypeVar

from streamnorm.errors import DataError

__all__ = ["in_any_order", "in_order", "threads_of"]

T = TypeVar("T")


def threads_of(asked: object) -> int:
    """Give the number of threads that is asked for, by default that of the processors this process may use.

    Raises
    ------
    DataError
        If it is none.
    """
    if asked is not None:
        if not isinstance(asked, Integral) or asked < 1:
            raise DataError(f"threads must be a whole number from 1 on, got {asked!r}: leave it out for the usual one.")
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_any_order(tasks: Iterable[Callable[[], T]], threads: int, stopped: Event | None = None) -> Iterator[T]:
    """Run tasks on threads and yield what they give as it comes, with few waiting at any time.

    Of several errors the first in the order of the tasks is raised. `stopped` is set when no more is wanted, for tasks
    that take long.

    Parameters
    ----------
    tasks : iterable of callable
    threads : int
    stopped : Event, optional
        Set when the others are to stop.
    """
    if threads == 1:
        for task in tasks:
            yield task()
        return
    with ThreadPoolExecutor(threads) as pool:
        running: dict[Future[T], None] = {}  # in the order of their tasks
        try:
            for made in _until_error(tasks):
                if made.error is not None:
                    _raise_first(running)
                    raise made.error
                if len(running) >= 2 * threads:
                    yield from _finished(running, stopped)
                running[pool.submit(made.task())] = None
            while running:
                yield from _finished(running, stopped)
        finally:
            if stopped:
                stopped.set()
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Made(Generic[T]):
    """A task, or what making it raised."""

    tasks: tuple[T, ...] = ()
    error: Exception | None = None

    def task(self) -> T:
        """Give the task."""
        return self.tasks[0]


def _until_error(tasks: Iterable[T]) -> Iterator[_Made[T]]:
    """Yield tasks, and what making one raised: those before it may have raised something first."""
    made = iter(tasks)
    while True:
        try:
            task = next(made)
        except StopIteration:
            return
        except Exception as error:
            yield _Made(error=error)
            return
        yield _Made((task,))


def _finished(running: dict[Future[T], None], stopped: Event | None) -> Iterator[T]:
    """Yield what those give that are done; if one of them failed, raise what the first of all raised."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    if any(future.exception() for future in done):
        if stopped:
            stopped.set()
        _raise_first(running)
    for future in done:
        del running[future]
        yield future.result()


def _raise_first(running: Iterable[Future[T]]) -> None:
    """Wait for all, and raise what the first of them raised, whatever the order in which they ended."""
    wait(running)
    errors = [error for error in (future.exception() for future in running) if error is not None]
    for error in [error for error in errors if not isinstance(error, CancelledError)] or errors:
        raise error


def in_order(tasks: Iterable[Callable[[], Iterable[T]]], threads: int) -> Generator[T, None, None]:
    """Run tasks on threads and yield the items that they give, in order; few items wait, however many there are."""
    if threads == 1:
        for task in tasks:
            yield from task()
        return
    stopped = Event()
    with ThreadPoolExecutor(threads) as pool:
        lanes: deque[tuple[_Lane[T], Future[None]]] = deque()
        failure: Exception | None = None
        try:
            for made in _until_error(tasks):
                if made.error is not None:
                    failure = made.error
                    break
                lane = _Lane[T](stopped)
                lanes.append((lane, pool.submit(lane.fill, made.task())))
                if len(lanes) > threads:
                    yield from _drained(*lanes.popleft())
            while lanes:
                yield from _drained(*lanes.popleft())
            if failure is not None:
                raise failure
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


class _Lane(Generic[T]):
    """What one task gives on its way, two items at most."""

    def __init__(self, stopped: Event) -> None:
        self._queue: Queue[tuple[T] | None] = Queue(2)
        self._stopped = stopped

    def fill(self, task: Callable[[], Iterable[T]]) -> None:
        """Put what a task gives, and the end; in a worker."""
        try:
            for item in task():
                self._put((item,))
        finally:
            self._put(None)

    def _put(self, item: tuple[T] | None) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                return self._queue.put(item, timeout=0.1)
        raise CancelledError

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            yield item[0]


def _drained(lane: _Lane[T], future: Future[None]) -> Iterator[T]:
    yield from lane
    future.result()
