"""The nightly job over a folder of Parquet: ``python pipelines/nightly_etl.py IN OUT --state STATE``.

Files of IN without a copy in OUT are tonight's. They are compared with everything counted so far; if a column has
drifted too far, the job ends with exit code 3 and changes nothing. Otherwise they are added to the statistics, and
their normalised copies are written. A job that was stopped anywhere is finished by running it again: no file is
counted twice, and no copy is there in part.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamnorm as sn
from streamnorm.errors import StreamnormError

DRIFTED = 3


def tonight(folder: Path, copies: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.parquet")) if not (copies / path.name).exists()]


def counted(files: list[Path]) -> str:
    return f"{len(files)} new file{'' if len(files) == 1 else 's'}"


def drifted(state: Path, new: list[Path], like: sn.TableNormalizer, limit: float) -> list[str]:
    """Describe the columns of the new files that are further from the state than the limit."""
    worst_first = sn.report.diff(state, sn.fit(new, like))
    return [f"{drift.name}: PSI {drift.rank:.3g}" for drift in worst_first if drift.exceeds(limit)]


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Add tonight's files to the statistics; write their normalised copies."
    )
    parser.add_argument("input", metavar="IN", type=Path, help="folder that gets a Parquet file a day")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder of the normalised copies")
    parser.add_argument("--state", type=Path, required=True, help="state file; made on the first night")
    parser.add_argument("--columns", help="only these, as A,B,...; every numeric one by default")
    parser.add_argument("--max-drift", type=float, default=0.25, help="greatest PSI of a column (default: 0.25)")
    parser.add_argument("--accept-drift", action="store_true", help="go on although columns have drifted")
    given = parser.parse_args(words)

    new = tonight(given.input, given.output)
    if not new:
        print("nothing new")
        return 0
    chosen = dict.fromkeys(given.columns.split(","), "standard") if given.columns else None
    # The profile keeps a histogram of each column, which is what drift is seen in.
    normalizer = sn.TableNormalizer(None if chosen else "standard", chosen, profile=True)
    if given.state.exists() and not given.accept_drift:
        moved = drifted(given.state, new, normalizer, given.max_drift)
        if moved:
            print(f"refused: columns of {counted(new)} have drifted: {', '.join(moved)}", file=sys.stderr)
            return DRIFTED
    fitted = sn.fit(new, normalizer, state=given.state, update=True)
    sn.transform(fitted, new, f"{given.output}/")  # a folder, even for one file
    print(f"{counted(new)} added and written, {len(fitted.sources_)} in all, state {fitted.digest()}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StreamnormError as error:
        sys.exit(f"error: {error}")
