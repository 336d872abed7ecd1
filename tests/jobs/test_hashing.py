"""Files that are hashed while they are read: the hash is that of all their bytes, whatever is read of them and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

import streamnorm as sn
from streamnorm import kernel, states
from streamnorm.errors import SourceError
from streamnorm.formats.source import Hashing
from streamnorm.jobs import reading

ROWS = 30_000


def write(path: Path, seed: int, **how) -> None:
    random = np.random.default_rng(seed)
    table = pa.table(
        {
            "z": random.normal(size=ROWS),
            "text": [f"{i % 97} words" for i in range(ROWS)],
            "a": pa.array(random.integers(0, 9, ROWS), mask=random.random(ROWS) < 0.2),
            "list": [[i, i + 1] for i in range(ROWS)],
            "m": random.normal(size=ROWS).astype(np.float32),
            "b": random.integers(-100, 100, ROWS).astype(np.int8),
        }
    )
    pq.write_table(table, path, row_group_size=ROWS // 3, **how)


CASES = {
    "all columns": ({}, {}),
    "one in the middle": ({}, {"columns": {"m": "standard"}, "default": None}),
    "columns of several scalers": ({}, {"columns": {"z": "minmax", "a": "robust"}}),
    "read as a whole": ({}, {"default": "robust", "profile": True}),
    "by values": ({"compression": "zstd"}, {"columns": {"z": "none"}}),
    "large pages": ({"compression": "none", "use_dictionary": False, "data_page_size": 1 << 22}, {}),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_hash_is_that_of_the_whole_file(tmp_path, case, threads):
    how, options = CASES[case]
    (tmp_path / "in").mkdir()
    for i in range(4):
        write(tmp_path / "in" / f"{i}.parquet", i, **how)
    default = options.get("default", "standard")
    table = sn.TableNormalizer(default, **{k: v for k, v in options.items() if k != "default"})
    fitted = sn.fit(tmp_path / "in", table, state=tmp_path / "s.json", threads=threads)
    found = {Path(entry.location).name: entry for entry in states.read(tmp_path / "s.json").sources}
    for i in range(4):
        data = (tmp_path / "in" / f"{i}.parquet").read_bytes()
        assert found[f"{i}.parquet"].fingerprint == xxhash.xxh3_128(data).hexdigest()
        assert found[f"{i}.parquet"].rows == ROWS
    assert fitted.digest() == sn.fit(tmp_path / "in", table).digest()


@pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel alone gives away what it reads")
def test_a_file_is_read_once_for_both(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for i in range(2):
        write(tmp_path / "in" / f"{i}.parquet", i, compression="none", use_dictionary=False)
    again: list[int | None] = []
    read = Hashing._read
    monkeypatch.setattr(Hashing, "_read", lambda self, size: (again.append(size), read(self, size))[1])
    sn.fit(tmp_path / "in", sn.TableNormalizer("standard", columns={"list": "none"}), state=tmp_path / "s.json")
    size = (tmp_path / "in" / "0.parquet").stat().st_size
    known = sum(size for size in again if size is not None)
    assert 0 < known < 2 * size * 0.8  # text, lists and small integers, which the kernel does not read by itself
    assert again.count(None) == 2


def test_a_file_of_more_than_a_thread_s_share_is_hashed_beside(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "0.parquet", 0)
    monkeypatch.setattr(reading, "_read_in_order", lambda *_: pytest.fail("one thread has all of it"))
    sn.fit(tmp_path / "in", state=tmp_path / "s.json", threads=2)
    data = (tmp_path / "in" / "0.parquet").read_bytes()
    assert states.read(tmp_path / "s.json").sources[0].fingerprint == xxhash.xxh3_128(data).hexdigest()


@pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel alone gives away what it reads")
def test_what_goes_wrong_with_the_bytes_is_told(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "0.parquet", 0)
    write(tmp_path / "in" / "1.parquet", 1)

    def fail(self, at, data):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Hashing, "take", fail)
    with pytest.raises(SourceError, match=r"[01]\.parquet cannot be read: the disk is gone"):
        sn.fit(tmp_path / "in", state=tmp_path / "s.json", threads=2)
    assert not (tmp_path / "s.json").exists()


def test_bytes_are_hashed_once_and_in_order(tmp_path):
    data = np.random.default_rng(0).bytes(5_000_000)
    (tmp_path / "x").write_bytes(data)
    hashing = Hashing(tmp_path / "x")
    for start, stop in (
        (100, 2000),
        (0, 50),
        (2000, 3000),
        (1_500_000, 1_600_000),
        (2500, 2600),
        (1_600_000, 1_600_001),
    ):
        hashing.take(start, data[start:stop])
    assert hashing.digest() == xxhash.xxh3_128(data).hexdigest()
