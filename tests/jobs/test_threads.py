"""Work on threads: order, few results at any time, and an end in time when something fails."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from streamnorm.jobs.threads import in_any_order, in_order


def count(start: int, items: int, made: list[int]):
    for i in range(start, start + items):
        made.append(i)
        yield i


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_items_come_in_order_and_few_wait(threads):
    made: list[int] = []
    got = []
    for item in in_order((partial(count, 100 * i, 100, made) for i in range(20)), threads):
        got.append(item)
        assert len(made) - len(got) <= 5 * (threads + 1)
    assert got == list(range(2000))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_comes_out_at_its_place_and_all_threads_end(threads):
    before = threading.active_count()

    def task(number: int):
        yield number
        if number == 3:
            raise ValueError(number)
        yield from range(1000, 1100)

    got = []
    with pytest.raises(ValueError, match="3"):
        got.extend(in_order((partial(task, i) for i in range(10)), threads))
    assert [item for item in got if item < 1000] == [0, 1, 2, 3]
    assert threading.active_count() == before


def test_a_reader_that_stops_early_ends_the_threads():
    before = threading.active_count()
    items = in_order((partial(count, 0, 10**9, []) for _ in range(3)), 2)
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before


def test_long_tasks_are_told_when_no_more_is_wanted():
    stopped = threading.Event()

    def fail():
        raise ValueError("no")

    def work():
        assert stopped.wait(30)

    start = time.monotonic()
    with pytest.raises(ValueError, match="no"):
        list(in_any_order([work, fail], 2, stopped))
    assert time.monotonic() - start < 20


def test_results_wait_until_they_are_taken_and_few_of_them():
    made: list[int] = []
    results = in_any_order((partial(made.append, i) for i in range(1000)), 3)
    for taken, _ in enumerate(results, 1):
        time.sleep(0.0001)
        assert len(made) - taken <= 2 * 3 + 3
    assert sorted(made) == list(range(1000))


@pytest.mark.parametrize("slow", [0.0, 0.2])
def test_the_first_of_several_errors_comes_out_whichever_was_sooner(slow):
    begun = threading.Event()

    def first():
        begun.wait(10)
        time.sleep(slow)
        raise ValueError("first")

    def second():
        begun.set()
        raise ValueError("second")

    with pytest.raises(ValueError, match="first"):
        list(in_any_order([first, second, second], 2))


def test_an_error_of_a_task_comes_before_that_of_making_the_next_one():
    before = threading.active_count()

    def tasks():
        def fail():
            time.sleep(0.1)
            raise ValueError("task")

        yield fail
        raise ValueError("making")

    with pytest.raises(ValueError, match="task"):
        list(in_any_order(tasks(), 2))
    assert threading.active_count() == before


def test_whoever_takes_few_results_ends_the_threads():
    before = threading.active_count()
    made: list[int] = []
    results = in_any_order((partial(made.append, i) for i in range(10**6)), 2)
    next(results)
    results.close()
    assert threading.active_count() == before
    assert len(made) < 100


class Panic(BaseException):
    """What extensions in Rust raise, which is no `Exception`."""


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("error", [Panic, SystemExit, KeyboardInterrupt])
def test_whatever_making_a_task_raises_comes_out(error, threads):
    before = threading.active_count()

    def tasks():
        yield lambda: 0
        raise error("no")

    got = []
    with pytest.raises(error, match="no"):
        got.extend(in_any_order(tasks(), threads))
    assert got == [0]
    assert threading.active_count() == before


def test_where_no_thread_can_be_started_the_others_end(monkeypatch):
    before, start = threading.active_count(), threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)
        time.sleep(0.1)  # for it to wait until results are taken

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start"):
        list(in_any_order([time.monotonic] * 100, 3))
    assert threading.active_count() == before
