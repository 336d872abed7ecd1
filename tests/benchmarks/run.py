"""Measure streamnorm beside its peers and print one table of ratios: `python tests/benchmarks/run.py`.

Every ratio is the median of pairs measured one after the other (ours, theirs, ours, theirs, ...), so that
what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rows import Row
    from timing import Measured

THREADS = 2
_HEADER = "| work | against | goal | measured (median) | min-max | met? |\n|---|---|---|---|---|---|"
_PEERS = ("numpy", "pyarrow", "scikit-learn", "pandas", "polars")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of each Parquet table")
    parser.add_argument("--csv-rows", type=int, help="rows of each CSV file; by default a quarter of --rows")
    parser.add_argument("--files", type=int, default=4, help="Parquet files of each table")
    parser.add_argument("--seconds", type=float, default=15, help="about how long each comparison takes")
    parser.add_argument("--quick", action="store_true", help="one pair of each: to see that all of it runs")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="names of comparisons, such as 'parquet-*'")
    parser.add_argument("--list", action="store_true", help="name the comparisons and stop")
    parser.add_argument("--folder", type=Path, help="where the data goes, and stays; by default a temporary folder")
    return parser.parse_args()


def _machine() -> str:
    cpuinfo, name = Path("/proc/cpuinfo"), platform.processor() or platform.machine()
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    from streamnorm import kernel

    versions = []
    for peer in _PEERS:
        try:
            versions.append(f"{peer} {importlib.metadata.version(peer)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{peer} missing")
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; Python "
        f"{platform.python_version()}, streamnorm {importlib.metadata.version('streamnorm')} "
        f"(kernel: {kernel.instructions()}), {', '.join(versions)}; {THREADS} threads."
    )


def _line(row: Row, measured: Measured) -> str:
    ratios = row.goal.ratios(measured)
    met = "yes" if row.goal.is_met(measured) else "NO"
    return (
        f"| {row.work} | {row.against} | {row.goal.words} | {statistics.median(ratios):.2f} | "
        f"{min(ratios):.2f}-{max(ratios):.2f} | {met} |"
    )


def _print(rows: list[Row], given: argparse.Namespace, folder: Path) -> None:
    """Print each line of the table as soon as it is measured."""
    from rows import Bench

    from data import Kind

    csv_rows = given.csv_rows or max(1, given.rows // 4)
    normal, taxi = (Kind(name, folder, given.rows, csv_rows, given.files) for name in ("normal", "taxi"))
    bench = Bench(normal, taxi, folder, THREADS, 0 if given.quick else given.seconds, 1 if given.quick else 5)
    print(_machine())
    print(f"\n{given.rows:,} rows in {given.files} files of each Parquet table, {csv_rows:,} of each CSV.\n\n{_HEADER}")
    for row in rows:
        if row.needs and importlib.util.find_spec(row.needs) is None:
            print(f"| {row.work} | {row.against} | {row.goal.words} | skipped: no {row.needs} here | | |", flush=True)
            continue
        measured = row.run(bench)
        ours, theirs = (statistics.median(side) for side in zip(*measured, strict=True))
        print(f"{row.name}: {ours:.4g} and {theirs:.4g}, {len(measured)} pairs", file=sys.stderr, flush=True)
        print(_line(row, measured), flush=True)


def main() -> None:
    """Run the comparisons."""
    given = _arguments()
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)  # read when Polars is imported
    import pyarrow as pa
    from rows import ROWS

    pa.set_cpu_count(THREADS)
    rows = [row for row in ROWS if fnmatch.fnmatch(row.name, given.only)]
    if given.list or not rows:
        print("\n".join(row.name for row in ROWS))
        sys.exit(0 if given.list else 2)
    if given.folder:
        _print(rows, given, given.folder)
    else:
        with tempfile.TemporaryDirectory(prefix="streamnorm-") as folder:
            _print(rows, given, Path(folder))


if __name__ == "__main__":
    main()
