"""From CSV to normalised Parquet: ``python pipelines/csv_to_parquet.py A.csv B.csv.gz --output FOLDER``.

Learns from all files at once and writes a Parquet file for each. Numeric columns are normalised in float64, all
others become strings, as they stand in the file. Nothing is held in memory but a few pieces of a file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamnorm as sn
from streamnorm.errors import StreamnormError
from streamnorm.formats import CsvOptions


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Normalise CSV files, and write them as Parquet.")
    parser.add_argument("files", metavar="CSV", type=Path, nargs="+")
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--state", help="where to keep what was learnt")
    parser.add_argument("--scaler", default="standard", help="standard, minmax, maxabs, robust or quantile")
    parser.add_argument("--exclude", default="", help="numeric columns to leave alone, as A,B,... (numbers of things)")
    parser.add_argument("--delimiter", help="between fields; a comma by default")
    parser.add_argument("--null-values", help="what stands for a missing number, as A,B,...")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    given = parser.parse_args(words)

    choices = {"delimiter": given.delimiter}
    if given.null_values:
        choices["null_values"] = ("", *given.null_values.split(","))
    options = CsvOptions(**choices)
    excluded = [name for name in given.exclude.split(",") if name]
    normalizer = sn.fit(given.files, sn.TableNormalizer(given.scaler, exclude=excluded), options=options)
    if given.state:
        sn.save(normalizer, given.state)
    for file in given.files:
        target = given.output / Path(file.name.removesuffix(".gz")).with_suffix(".parquet").name
        sn.transform(normalizer, file, target, options=options, overwrite=given.overwrite)
        print(target)


if __name__ == "__main__":
    try:
        main()
    except StreamnormError as error:
        sys.exit(f"error: {error}")
