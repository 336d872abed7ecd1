"""What a job may take of the machine: memory that does not grow with the data, few open files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc for the peak of memory"),
]

MEMORY = Path(__file__).parents[1] / "benchmarks" / "memory.py"
LIMIT = 400_000_000


def peak(*words: object, before: str = "") -> int:
    """Give the peak of resident memory of a command in a process of its own, in bytes."""
    code = f"{before}\nimport runpy, sys\nrunpy.run_path({str(MEMORY)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words), "--threads", "2", "--quiet"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    said = [
        line for line in done.stderr.splitlines() if "count twice" not in line
    ]  # files that are alike are warned of
    assert (done.returncode, said) == (0, [])
    return int(done.stdout)


def write_copies(folder: Path, table: pa.Table, copies: int, **options: object) -> Path:
    """Write a folder of files of the same content."""
    folder.mkdir()
    pq.write_table(table, folder / "00000.parquet", use_dictionary=False, compression="none", **options)
    content = (folder / "00000.parquet").read_bytes()
    for number in range(1, copies):
        (folder / f"{number:05}.parquet").write_bytes(content)
    return folder


def normal(rows: int, columns: int) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table({f"x{i:04}": random.normal(size=rows) for i in range(columns)})


@pytest.mark.parametrize("scaler", ["standard", "robust"])
def test_ten_times_the_data_takes_no_more_memory(tmp_path, scaler):
    table = normal(100_000, 16)
    peaks = {}
    for copies in (4, 40):  # 51 and 512 MB
        folder = write_copies(tmp_path / str(copies), table, copies, row_group_size=50_000)
        words = ("--scaler", scaler)
        peaks[copies] = (
            peak("fit", folder, "--state", tmp_path / f"{copies}.json", *words),
            peak("run", folder, "--output", tmp_path / f"out{copies}", *words),
        )
        for path in (tmp_path / f"out{copies}").iterdir():
            path.unlink()
    for few, many in zip(peaks[4], peaks[40], strict=True):
        assert many < few + 50_000_000
        assert many < LIMIT


def test_a_table_of_two_thousand_columns(tmp_path):
    folder = write_copies(tmp_path / "wide", normal(5_000, 2000), 3, row_group_size=2_500)  # 240 MB
    assert peak("run", folder, "--output", tmp_path / "out") < LIMIT


def test_wide_row_groups_of_many_pages(tmp_path):
    table = normal(20_000, 2000)
    folder = write_copies(tmp_path / "wide", table, 2, row_group_size=20_000)  # of 320 MB, two of which at once
    assert peak("fit", folder, "--state", tmp_path / "s.json") < LIMIT
    state = sn.load(tmp_path / "s.json")
    assert state == sn.TableNormalizer().fit(table).partial_fit(table)
    assert peak("transform", tmp_path / "s.json", folder, "--output", tmp_path / "out") < LIMIT + 50_000_000
    for name in ("x0000", "x0777", "x1999"):
        written = pq.read_table(tmp_path / "out" / "00001.parquet", columns=[name])[name]
        assert written.to_pylist() == state.transform(table)[name].to_pylist()


def test_row_groups_of_a_million_rows(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(normal(1 << 20, 40), folder / "a.parquet")  # with dictionaries, as pyarrow writes them
    (folder / "b.parquet").hardlink_to(folder / "a.parquet")
    assert peak("fit", folder, "--state", tmp_path / "s.json") < LIMIT
    assert peak("transform", tmp_path / "s.json", folder, "--output", tmp_path / "out") < LIMIT


def test_footers_of_many_files_are_not_kept(tmp_path):
    few = write_copies(tmp_path / "few", normal(2, 200), 100)  # enough for what each thread's heap grows by at first
    many = write_copies(tmp_path / "many", normal(2, 200), 400)  # 420 kB each in memory
    fits = [peak("fit", folder, "--state", tmp_path / f"{folder.name}.json") for folder in (few, many)]
    assert fits[1] < fits[0] + 40_000_000


def test_ten_thousand_files_with_few_open_at_a_time(tmp_path):
    folder = write_copies(tmp_path / "in", pa.table({"x": [1.0, 3.0], "n": [1, 2]}), 10_000)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    assert peak("fit", folder, "--state", tmp_path / "s.json", before=limit) < LIMIT
    fitted = sn.load(tmp_path / "s.json")
    assert fitted == sn.TableNormalizer().fit(pa.table({"x": [1.0, 3.0] * 10_000, "n": [1, 2] * 10_000}))
    assert len(fitted.sources_) == 10_000


def test_memory_of_a_fit_does_not_grow_with_the_row_group(tmp_path):
    peaks = []
    for rows in (1 << 18, 1 << 21):
        table = pa.table({f"x{i}": np.random.default_rng(i).normal(size=rows) for i in range(16)})
        path = tmp_path / f"{rows}.parquet"
        pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
        peaks.append(peak("fit", path, "--state", tmp_path / f"{rows}.json"))
    assert peaks[1] < peaks[0] + 40_000_000  # of 235 MB more


def test_a_field_of_30_megabytes(tmp_path):
    path, state = tmp_path / "long.csv", tmp_path / "s.json"
    lines = b"".join(b"%d.25,some text,%d\n" % (i, i) for i in range(400_000))
    path.write_bytes(b"x,t,y\n" + lines + b'1.5,"' + b"abc, \n" * (5 << 20) + b'",7\n' + lines)
    assert path.stat().st_size > 50_000_000
    assert peak("fit", path, "--state", state) < 300_000_000
    assert peak("transform", state, path, "--output", tmp_path / "out.csv") < 300_000_000
