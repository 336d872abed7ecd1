"""The benchmarks run, and leave no comparison out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "benchmarks" / "run.py"


def _run(*words: str) -> list[str]:
    result = subprocess.run([sys.executable, str(RUN), *words], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.slow
def test_every_comparison_is_printed() -> None:
    names = _run("--list")
    lines = _run("--quick", "--rows", "4000", "--csv-rows", "1000", "--files", "2")
    table = [line for line in lines if line.startswith("| ")][1:]
    assert len(table) == len(names) >= 20
    assert all(line.count("|") == 7 for line in table)
    assert not [line for line in table if "skipped" in line], "a peer is missing: install the test extra"


def test_one_comparison_can_be_chosen() -> None:
    lines = _run("--quick", "--rows", "1000", "--only", "one-row-*")
    assert len([line for line in lines if line.startswith("| ")]) == 2


def test_exact_statistics_agree_however_rows_are_cut() -> None:
    script = RUN.with_name("agreement.py")
    result = subprocess.run([sys.executable, str(script), "--ways", "5"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith("| ")][1:]
    assert rows[0] == "| streamnorm | 1 | 1 |"
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| scikit-learn", "| Polars", "| DuckDB"]


def test_merging_many_partitions_is_measured_for_every_scaler() -> None:
    words = ["--columns", "3", "--rows", "100", "--partitions", "1000", "--sample", "3"]
    script = RUN.with_name("scale.py")
    result = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == ["standard", "minmax", "robust", "quantile"]
    assert all(int(line.split()[1].replace(",", "")) > 0 for line in lines)  # bytes of a column
