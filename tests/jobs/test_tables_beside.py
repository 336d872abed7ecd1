"""Tables that are written, compacted, vacuumed and followed at once; and updates that are killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake
from lakes import rows_of, some_rows

import streamnorm as sn
from streamnorm.errors import SourceError, StateError

#: What those say who were too late.
LOST = ("conflict", "concurrent", "not found", "no such file")
COMMAND = [sys.executable, "-c", "from streamnorm.command import main; main()"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Beside:
    """A writer, a compactor and a vacuum that run beside until they are stopped.

    Every file is kept by a link, so that each version can still be read, after a vacuum too, to be compared.
    """

    def __init__(self, table: str) -> None:
        self.table, self.over = table, threading.Event()
        self.wrong: list[BaseException] = []
        self.done = {"write": 0, "compact": 0, "vacuum": 0}
        self.threads = [threading.Thread(target=self.run, args=(name,)) for name in self.done]

    def run(self, name: str) -> None:
        rng = np.random.default_rng(len(name))
        while not self.over.is_set():
            try:
                getattr(self, name)(rng)
                self.done[name] += 1
            except Exception as error:  # writers that lose a race say so
                if not any(
                    word in str(error).lower() for word in ("conflict", "concurrent", "not found", "no such file")
                ):
                    self.wrong.append(error)
            time.sleep(float(rng.uniform(0, 0.05)))

    def write(self, rng: np.random.Generator) -> None:
        write_deltalake(self.table, some_rows(rng, 20), mode="append")
        if rng.random() < 0.3:
            low = int(rng.integers(0, 1000))
            DeltaTable(self.table).delete(f"id >= {low} and id < {low + 200}")

    def compact(self, rng: np.random.Generator) -> None:
        DeltaTable(self.table).optimize.compact()

    def vacuum(self, rng: np.random.Generator) -> None:
        self.keep()
        DeltaTable(self.table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def keep(self) -> None:
        kept = Path("kept")
        kept.mkdir(exist_ok=True)
        for path in Path(self.table).glob("*.parquet"):
            try:
                os.link(path, kept / path.name)
            except (FileExistsError, FileNotFoundError):
                continue

    def __enter__(self) -> Beside:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def followed(updates: int) -> None:
    write_deltalake("t", some_rows(np.random.default_rng(0), 50))
    sn.fit("t", sn.TableNormalizer(columns={"x": "robust"}), state="s.json")
    seen: dict[int, str] = {}
    with Beside("t") as beside:
        for _ in range(updates):
            try:
                fitted = sn.fit("t", state="s.json", update=True)
            except SourceError as error:  # told, and the state is that of the version before
                assert "changes faster than it is read" in str(error), error
                continue
            seen[fitted.sources_[0].table.version] = fitted.digest()
    assert beside.wrong == []
    assert all(beside.done.values()), beside.done
    beside.keep()
    for path in Path("kept").iterdir():
        if not Path("t", path.name).exists():
            os.link(path, Path("t", path.name))
    checked = 0
    for version, digest in seen.items():
        names = [Path(name).name for name in DeltaTable("t", version=version).file_uris()]
        if all(Path("t", name).exists() for name in names):
            checked += 1
            fresh = sn.TableNormalizer(columns={"x": "robust"}).fit(rows_of("t", version))
            assert fresh.digest() == digest, version
    assert checked > len(seen) // 2
    assert sn.fit("t", state="s.json", update=True) == sn.TableNormalizer(columns={"x": "robust"}).fit(rows_of("t"))


def test_a_writer_a_compactor_and_a_vacuum_beside():
    followed(8)


@pytest.mark.slow
def test_a_writer_a_compactor_and_a_vacuum_beside_a_hundred_updates():
    followed(100)


def test_of_two_that_update_at_once_one_is_told():
    for seed in range(3):
        write_deltalake("t", some_rows(np.random.default_rng(seed), 50), mode="append")
    sn.fit("t", state="s.json")
    write_deltalake("t", some_rows(np.random.default_rng(9), 50), mode="append")
    told: list[str] = []

    def update() -> None:
        try:
            sn.fit("t", state="s.json", update=True)
        except StateError as error:
            told.append(str(error))

    threads = [threading.Thread(target=update) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("is being updated by another process" in text for text in told)
    assert sn.load("s.json") == sn.TableNormalizer().fit(rows_of("t"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_an_update_that_is_killed_leaves_the_old_version_or_the_new_one():
    for seed in range(6):
        write_deltalake("t", some_rows(np.random.default_rng(seed), 200), mode="append")
    sn.fit("t", sn.RobustScaler(), state="s.json")
    moments = random.Random(0)
    counts = {"old": 0, "new": 0}
    for number in range(12):
        old = Path("s.json").read_bytes()
        write_deltalake("t", some_rows(np.random.default_rng(100 + number), 50), mode="append")
        DeltaTable("t").delete(f"id = {number * 37 % 1000}")
        began = time.monotonic()
        process = subprocess.Popen([*COMMAND, "fit", "t", "--state", "s.json", "--update"], stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.5, 2.5) if number % 2 else 0.1 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert time.monotonic() - began < 60
        now = Path("s.json").read_bytes()
        counts["old" if now == old else "new"] += 1
        if now != old:
            assert sn.load("s.json") == sn.TableNormalizer("robust").fit(rows_of("t"))
        assert sn.fit("t", state="s.json", update=True) == sn.TableNormalizer("robust").fit(rows_of("t"))
        assert [path.name for path in Path().glob(".*.streamnorm")] == []
    assert counts["old"]
