"""Work on threads, with few results waiting at any time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral
from operator import itemgetter
from queue import Full, Queue
from threading import Event, Lock, Semaphore
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


def in_any_order(
    tasks: Iterable[Callable[[], T]], threads: int, stopped: Event | None = None, *, ahead: int = 3
) -> Iterator[T]:  # fmt: skip
    """Run tasks on threads and yield what they give as it comes, with few waiting at any time.

    Of several errors the first in the order of the tasks is raised. `stopped` is set when no more is wanted, for tasks
    that take long.

    Parameters
    ----------
    tasks : iterable of callable
    threads : int
    stopped : Event, optional
        Set when the others are to stop.
    ahead : int, default=3
        Tasks for each thread that are begun or done before what one gave is taken and dealt with.
    """
    if threads == 1:
        for task in tasks:
            yield task()
        return
    crew = _Crew(tasks, threads, Event() if stopped is None else stopped, ahead)
    with ThreadPoolExecutor(threads) as pool:
        try:
            for _ in range(threads):
                pool.submit(crew.work)
            yield from crew.results()
        finally:
            crew.stop()
    if crew.errors:
        raise min(crew.errors, key=itemgetter(0))[1]


class _Crew(Generic[T]):
    """Workers that take tasks from one list, the next one as soon as the last is done: each makes those that it does.

    Parameters
    ----------
    tasks : iterable of callable
    workers : int
    stopped : Event
        Set when no more is wanted.
    ahead : int
        Tasks for each worker that are begun or done before what one gave is dealt with.
    """

    def __init__(self, tasks: Iterable[Callable[[], T]], workers: int, stopped: Event, ahead: int) -> None:
        self.stopped = stopped
        #: What tasks raised, or making them, by their numbers.
        self.errors: list[tuple[int, BaseException]] = []
        self._tasks = enumerate(_until_error(tasks, BaseException))  # a worker makes them: nobody else would be told
        self._taking = Lock()
        self._room = Semaphore(ahead * workers)
        self._results: Queue[tuple[T] | None] = Queue()
        self._workers = workers

    def work(self) -> None:
        """Do tasks until there are no more, or one fails; in a worker."""
        try:
            while True:
                self._room.acquire()
                with self._taking:
                    number, made = (-1, None) if self.stopped.is_set() else next(self._tasks, (-1, None))
                if made is None:
                    break
                self._do(number, made)
        finally:
            self._room.release()  # for the next worker to see the end
            self._results.put(None)

    def _do(self, number: int, made: _Made[Callable[[], T]]) -> None:
        try:
            self._results.put((made.task()(),))
        except CancelledError:
            self.stop()
        except BaseException as error:
            self.errors.append((number, error))
            self.stop()

    def stop(self) -> None:
        """Let workers end, also those that wait for results to be taken."""
        self.stopped.set()
        self._room.release()  # each that ends lets the next one see it

    def results(self) -> Iterator[T]:
        """Yield what tasks give until all workers have ended."""
        while self._workers:
            result = self._results.get()
            if result is None:
                self._workers -= 1
            else:
                try:
                    yield result[0]
                finally:
                    self._room.release()


@dataclass(frozen=True)
class _Made(Generic[T]):
    """A task, or what making it raised."""

    tasks: tuple[T, ...] = ()
    error: BaseException | None = None

    def task(self) -> T:
        """Give the task, or raise what making it raised."""
        if self.error is not None:
            raise self.error
        return self.tasks[0]


def _until_error(tasks: Iterable[T], kind: type[BaseException] = Exception) -> Iterator[_Made[T]]:
    """Yield tasks, and what of a kind making one raised: those before it may have raised something first."""
    made = iter(tasks)
    while True:
        try:
            task = next(made)
        except StopIteration:
            return
        except kind as error:
            yield _Made(error=error)
            return
        yield _Made((task,))


def in_order(tasks: Iterable[Callable[[], Iterable[T]]], threads: int) -> Generator[T, None, None]:
    """Run tasks on threads and yield the items that they give, in order; few items wait, however many there are."""
    if threads == 1:
        for task in tasks:
            yield from task()
        return
    stopped = Event()
    with ThreadPoolExecutor(threads) as pool:
        lanes: deque[tuple[_Lane[T], Future[None]]] = deque()
        failure: BaseException | None = None
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
