"""Whole processes: how soon a command is done, and what a script of others takes for the same."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from timing import Measured, Pair, clock

if TYPE_CHECKING:
    from rows import Bench

COMMAND = Path(sys.executable).with_name("streamnorm")
#: Seconds that a command may take beside the import of what reads its file.
BESIDE = 0.15
#: Bytes of Parquet that a whole process learns from.
_WHOLE = 640_000_000
_POLARS = """
import sys, polars as pl
frame = pl.scan_parquet(sys.argv[1])
names = frame.collect_schema().names()
both = [pl.col(name).mean().alias(f"{name} mean") for name in names]
both += [pl.col(name).std(ddof=0).alias(f"{name} std") for name in names]
print(frame.select(both).collect(engine="streaming"))
"""


@dataclass(frozen=True)
class _Runner:
    """Runs processes that find compiled Python where they look for it, as that of an installed package."""

    cache: Path

    def run(self, *words: str | Path) -> None:
        """Run a command."""
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = str(self.cache)
        subprocess.run(list(map(str, words)), check=True, capture_output=True, env=env)

    def python(self, code: str, *words: str | Path) -> None:
        """Run a script."""
        self.run(sys.executable, "-c", code, *words)


def _runner(bench: Bench) -> _Runner:
    return _Runner(bench.folder / "pycache")


def start_up(bench: Bench) -> Pair:
    """The command's version, and the import of what it reads files with."""
    runner = _runner(bench)
    return Pair(lambda: runner.run(COMMAND, "--version"), lambda: runner.python("import pyarrow"))


def ten_rows(bench: Bench) -> Measured:
    """The seconds that a fit of ten rows takes more than the import of what reads them, beside what it may take."""
    source, state = bench.folder / "ten.parquet", bench.folder / "ten.json"
    bench.folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": [float(i) for i in range(10)]}), source)
    measured, runner = [], _runner(bench)
    for _ in range(bench.least + 1):
        ours = clock(lambda: runner.run(COMMAND, "fit", source, "--state", state, "--overwrite", "--quiet"))
        measured.append((ours - clock(lambda: runner.python("import pyarrow.parquet")), BESIDE))
    return measured[1:]  # the first also warms caches


@cache
def _whole(folder: Path) -> Path:
    """Give a folder of enough Parquet: the same files again and again, which take no room on the disk."""
    files, whole = sorted(folder.iterdir()), folder.with_name(f"{folder.name}-whole")
    whole.mkdir(exist_ok=True)
    times = -(-_WHOLE // sum(file.stat().st_size for file in files))
    for i in range(times):
        for file in files:
            link = whole / f"{i}-{file.name}"
            if not link.exists():
                os.link(file, link)
    return whole


def fit(bench: Bench) -> Pair:
    """A fit of 640 MB as a command, and a script with Polars."""
    folder, state = _whole(bench.normal.parquet), bench.folder / "whole.json"
    words = ("--state", state, "--overwrite", "--threads", str(bench.threads), "--quiet")
    runner = _runner(bench)
    return Pair(lambda: runner.run(COMMAND, "fit", folder, *words), lambda: runner.python(_POLARS, folder))
