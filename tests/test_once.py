"""Attributes computed once: without a lock, so that threads do not wait for each other and a fork finds none held."""

import os
import threading
import time

import pytest

from streamnorm.once import once


class Slow:
    started, going_on = threading.Event(), threading.Event()

    def __init__(self, wait):
        self.wait = wait

    @once
    def value(self):
        """A value."""
        if self.wait:
            self.started.set()
            self.going_on.wait(20)
        return object()


def test_it_is_computed_once_and_kept():
    slow = Slow(False)
    assert slow.value is slow.value
    assert "value" in vars(slow)
    assert Slow.value.__doc__ == "A value."


def test_threads_get_the_same():
    slow, found = Slow(False), []
    threads = [threading.Thread(target=lambda: found.append(slow.value)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


@pytest.fixture
def computing():
    """Let a thread be inside of the attribute of another object of the class."""
    Slow.started.clear()
    Slow.going_on.clear()
    thread = threading.Thread(target=lambda: Slow(True).value)
    thread.start()
    assert Slow.started.wait(20)
    yield
    Slow.going_on.set()
    thread.join()


def test_objects_do_not_wait_for_each_other(computing):
    found = []
    thread = threading.Thread(target=lambda: found.append(Slow(False).value), daemon=True)
    thread.start()
    thread.join(10)
    assert found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # from Python 3.12 on: of fork beside threads
def test_a_fork_meanwhile_goes_on(computing):
    child = os.fork()
    if not child:
        Slow(False).value  # noqa: B018
        os._exit(0)
    for _ in range(1000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended
    assert status == 0
