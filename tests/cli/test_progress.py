"""What a person at a terminal sees of a job that takes long, and how Ctrl-C ends it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn

#: The command with four units a second on any number of threads, at the terminal that is its standard input.
SLOW = """
import sys, time
if sys.stdin.isatty():
    import fcntl, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
import importlib
from streamnorm import cli
from streamnorm.jobs import reading as fitting
jobs = importlib.import_module("streamnorm.jobs.rewriting")
pause = 0.25 * int(sys.argv[sys.argv.index("--threads") + 1])
def slowly(function):
    def slow(*args, **kwargs):
        time.sleep(pause)
        return function(*args, **kwargs)
    return slow
fitting.summarise_units, jobs._located = slowly(fitting.summarise_units), slowly(jobs._located)
cli.main()
"""
ROWS, GROUPS = 1000, 16

at_a_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")


@pytest.fixture
def folder(tmp_path):
    values = np.random.default_rng(0).normal(size=ROWS * GROUPS)
    pq.write_table(pa.table({"x": values}), tmp_path / "in.parquet", row_group_size=ROWS)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def environment(folder):
    return {**os.environ, "TMPDIR": str(folder / "tmp"), "COLUMNS": "120"}


class Terminal:
    """A pseudo-terminal with the command in it."""

    def __init__(self, folder, *words):
        import fcntl
        import struct
        import termios

        self.screen, self._master = "", -1
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", SLOW, *words], cwd=folder, env=environment(folder), start_new_session=True,
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)

    def read_until(self, pattern, seconds=60):
        """Read until the screen shows this, or the process has ended."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.screen) and time.monotonic() < end:
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                more = os.read(self._master, 1 << 16)
            except OSError:  # how Linux says that nobody writes there any more
                more = b""
            if not more:
                break
            self.screen += more.decode()

    def press(self, key):
        os.write(self._master, key)

    def close(self):
        """Read the rest, and give the exit code."""
        self.read_until("$.^")
        code = self.process.wait(60)
        os.close(self._master)
        return code


@at_a_terminal
def test_a_bar_appears_after_a_second_and_tells_rows(folder):
    began = time.monotonic()
    terminal = Terminal(folder, "fit", "in.parquet", "--state", "s.json", "--threads", "1")
    terminal.read_until("rows/s")
    assert time.monotonic() - began > 1
    assert terminal.close() == 0
    first, size = next(s for s in terminal.screen.split("\r") if "rows/s" in s), (folder / "in.parquet").stat().st_size
    assert re.search(rf"\d+%.*\d+(\.\d+)?k?/{size / 1000:.3g}k", first)  # bytes, of all the bytes
    assert re.search(r"\[00:0\d<00:0\d, .*B/s, .*rows/s\]", first)  # time spent and left, and both rates
    assert terminal.screen.splitlines()[-1].endswith("s.json: 1 column, 1 source, 16,000 rows")


@at_a_terminal
def test_no_bar_when_quiet(folder):
    terminal = Terminal(folder, "run", "in.parquet", "--output", "out.parquet", "--threads", "1", "--quiet")
    assert (terminal.close(), terminal.screen) == (0, "")


def test_no_bar_in_a_pipe(folder):
    words = ("run", "in.parquet", "--output", "out.parquet", "--threads", "1")
    done = subprocess.run(
        [sys.executable, "-c", SLOW, *words], cwd=folder, env=environment(folder), text=True, capture_output=True,
        timeout=100, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "out.parquet: 1 file, 1 column normalised\n")


@at_a_terminal
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("command", ["fit", "transform"])
def test_ctrl_c_ends_in_order(folder, command, threads, capsys):
    streamnorm(capsys, "fit", folder / "in.parquet", "--state", folder / "s.json")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words = {
        "fit": ["fit", "in.parquet", "--state", "s.json", "--overwrite"],
        "transform": ["transform", "s.json", "in.parquet", "--output", "out.parquet"],
    }[command]
    terminal = Terminal(folder, *words, "--threads", threads)
    terminal.read_until("rows/s")
    terminal.press(b"\x03")
    assert terminal.close() == 130
    assert terminal.screen.splitlines()[-1] == "interrupted"
    assert "Traceback" not in terminal.screen
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "csv.gz"])
def test_bytes_and_rows_told_are_all_there_are(tmp_path, ending):
    table = pa.table({"x": np.arange(10_007.0), "y": np.arange(10_007)})
    path = tmp_path / f"in.{ending}"
    if ending == "parquet":
        pq.write_table(table, path, row_group_size=997)
    elif ending == "arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=997)
    else:
        with pa.CompressedOutputStream(str(path), "gzip") if ending == "csv.gz" else pa.OSFile(str(path), "wb") as file:
            pa.csv.write_csv(table, file)
    told = []
    normalizer = sn.fit(path, progress=lambda *numbers: told.append(numbers))
    assert [sum(numbers) for numbers in zip(*told, strict=True)] == [path.stat().st_size, 10_007]
    told.clear()
    sn.transform(normalizer, path, tmp_path / f"out.{ending}", progress=lambda *numbers: told.append(numbers))
    assert [sum(numbers) for numbers in zip(*told, strict=True)] == [path.stat().st_size, 10_007]
