"""Statistics of the last seven days: ``python pipelines/rolling_window.py IN --state STATE``.

IN is a folder with a file a day, whose names sort by date. Today's file is added to the state and the eighth day is
forgotten; both are exact, so that the state is bit for bit what a fit of the seven files would be. The parts kept
beside the state let a day be forgotten whose file is gone. Run it after every new file, and again after a crash.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamnorm as sn
from streamnorm.errors import StreamnormError
from streamnorm.jobs import forget


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Keep the statistics of the last days.")
    parser.add_argument("input", metavar="IN", type=Path, help="folder with a file a day, whose names sort by date")
    parser.add_argument("--state", type=Path, required=True, help="state file; made on the first day")
    parser.add_argument("--days", type=int, default=7, help="files in the window (default: 7)")
    parser.add_argument("--pattern", default="*.parquet", help="names of the files (default: *.parquet)")
    parser.add_argument("--scaler", default="standard", help="standard, minmax, maxabs, robust or quantile")
    given = parser.parse_args(words)

    window = sorted(given.input.glob(given.pattern))[-given.days :]
    if not window:
        sys.exit(f"error: {given.input} has no file {given.pattern}")
    normalizer = sn.fit(window, given.scaler, state=given.state, update=True, keep_parts=True)
    old = [entry.location for entry in normalizer.sources_ if Path(entry.location) not in window]
    if old:
        forget(given.state, old)
        normalizer = sn.load(given.state)
    names = [Path(entry.location).name for entry in normalizer.sources_]
    print(f"{len(window)} days from {min(names)} to {max(names)}, {len(old)} forgotten, state {normalizer.digest()}")


if __name__ == "__main__":
    try:
        main()
    except StreamnormError as error:
        sys.exit(f"error: {error}")
