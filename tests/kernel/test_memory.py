"""Memory that is used again once nothing views it."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from streamnorm import kernel
from streamnorm.kernel import reference


@pytest.mark.parametrize("size", [0, 1, 4095, 1 << 20])
def test_memory_is_a_writable_buffer_of_its_size(size):
    view = memoryview(kernel.memory(size))
    view[:] = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert (len(view), view.readonly, view.format) == (size, False, "B")
    assert bytes(view) == bytes(range(256)) * (size // 256) + bytes(size % 256)


def test_what_views_memory_keeps_it():
    kept = [np.frombuffer(kernel.memory(1 << 16), np.uint8) for _ in range(40)]
    for i, array in enumerate(kept):
        array[:] = i
    del kept[::2]
    more = [np.frombuffer(kernel.memory(1 << 16), np.uint8) for _ in range(40)]
    for array in more:
        array[:] = 99
    assert [set(array.tolist()) for array in kept] == [{i} for i in range(1, 40, 2)]


def test_threads_do_not_share_memory():
    wrong = []

    def write(number: int) -> None:
        for turn in range(300):
            array = np.frombuffer(kernel.memory(1 << (15 + turn % 6)), np.uint8)
            array[:] = number
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not kernel.COMPILED, reason="the interpreter's own memory is not kept")
def test_memory_is_used_again():
    size = (3 << 20) + 12_345  # of no other block
    first = np.frombuffer(kernel.memory(size), np.uint8)
    place = first.ctypes.data
    del first
    assert np.frombuffer(kernel.memory(size), np.uint8).ctypes.data == place


_MANY = """
import os
from pathlib import Path
from streamnorm import kernel

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

before = resident()
many = [memoryview(kernel.memory(20 << 20)) for _ in range(40)]
for view in many:
    view[:] = bytes(len(view))
most = resident() - before
del many, view
print(most, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_little_memory_is_kept():
    done = subprocess.run([sys.executable, "-c", _MANY], capture_output=True, text=True, check=True)
    most, kept = map(int, done.stdout.split())
    assert most > 700
    assert kept < 200  # 64, and what malloc keeps


@pytest.mark.parametrize(("size", "error"), [(-1, ValueError), (1 << 62, MemoryError), ("1", TypeError)])
def test_sizes_that_cannot_be(size, error):
    with pytest.raises(error):
        kernel.memory(size)


@pytest.mark.parametrize("module", [kernel, reference], ids=["kernel", "reference"])
def test_memory_in_use_is_kept_when_the_rest_is_given_back(module):
    kept = np.frombuffer(module.memory(1 << 16), np.uint8)
    kept[:] = 7
    del (spare := [module.memory(1 << 16)])[:]
    module.trim()
    assert not spare
    assert kept.tolist() == [7] * (1 << 16)
    assert len(memoryview(module.memory(1 << 16))) == 1 << 16
