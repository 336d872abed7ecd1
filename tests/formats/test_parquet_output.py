"""Pieces of a file that is being written: all of them, in order, however little the system takes at a time."""

from __future__ import annotations

import os

import numpy as np
import pytest

from streamnorm.formats.parquet import output

PIECES = [bytes([i % 251]) * (i % 40) for i in range(3000)] + [memoryview(np.arange(9.0)).cast("B"), b""]
WHOLE = b"".join(PIECES)


def written(path) -> output.Output:
    out = output.Output(path)
    out.write(PIECES[:10])
    out.write(PIECES[10:])
    out.close()
    return out


def test_many_pieces_and_the_disk_told_early(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "_EARLY_BYTES", 5000)
    told = []
    monkeypatch.setattr(output.kernel, "write_early", lambda file, *where: told.append(where))
    path = tmp_path / "out"
    path.write_bytes(b"what was there before, and is longer" * 9000)
    assert written(path).at == len(WHOLE)
    assert path.read_bytes() == WHOLE
    assert told
    assert all(start % 4096 == size % 4096 == 0 and start + size <= len(WHOLE) for start, size in told)


@pytest.mark.skipif(not hasattr(os, "writev"), reason="there is no such call here")
def test_a_system_that_takes_few_bytes_at_a_time(tmp_path, monkeypatch):
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda file, pieces: real(file, [b"".join(pieces)[:777]]))
    written(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == WHOLE


def test_a_system_without_the_call(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "writev", raising=False)
    written(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == WHOLE
