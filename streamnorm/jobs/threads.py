"""Work on threads, with few results waiting at any time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
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

    `stopped` is set when no more is wanted, for tasks that take long.

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
        running: set[Future[T]] = set()
        try:
            for task in tasks:
                if len(running) >= 2 * threads:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
                running.add(pool.submit(task))
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            if stopped:
                stopped.set()
            pool.shutdown(cancel_futures=True)


def in_order(tasks: Iterable[Callable[[], Iterable[T]]], threads: int) -> Generator[T, None, None]:
    """Run tasks on threads and yield the items that they give, in order; few items wait, however many there are."""
    if threads == 1:
        for task in tasks:
            yield from task()
        return
    stopped = Event()
    with ThreadPoolExecutor(threads) as pool:
        lanes: deque[tuple[_Lane[T], Future[None]]] = deque()
        try:
            for task in tasks:
                lane = _Lane[T](stopped)
                lanes.append((lane, pool.submit(lane.fill, task)))
                if len(lanes) > threads:
                    yield from _drained(*lanes.popleft())
            while lanes:
                yield from _drained(*lanes.popleft())
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
