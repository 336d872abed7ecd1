"""Normalise a folder of files on Dask: ``python pipelines/dask_etl.py IN OUT [--cluster ADDRESS]``.

Learns from every Parquet, CSV or Arrow file below IN, writes a normalised copy of each to the same place
below OUT, and keeps what was learnt in a state file that `streamnorm show`, `streamnorm transform` and
`sn.load` read anywhere. Without an address the work is done by processes of this machine; with one by a
running cluster, whose workers see the same files under the same names.
"""

from __future__ import annotations

import argparse
import sys

from dask.distributed import Client, LocalCluster

import streamnorm as sn
from streamnorm.errors import StreamnormError


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Normalise a folder of files on Dask.")
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument("--state", help="where to keep what was learnt")
    parser.add_argument("--scaler", default="standard", help="of every numeric column")
    parser.add_argument("--cluster", metavar="ADDRESS", help="scheduler of a running cluster")
    given = parser.parse_args(words)

    with Client(given.cluster or LocalCluster(dashboard_address=None)):
        try:
            normalizer = sn.dask.fit(given.input, given.scaler)
            if given.state:
                sn.save(normalizer, given.state)
            written = sn.dask.transform(normalizer, given.input, given.output)
        except StreamnormError as error:
            sys.exit(f"error: {error}")
    print(f"{len(written)} files written, state {normalizer.digest()}")


if __name__ == "__main__":
    main()
