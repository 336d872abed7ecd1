"""Count the different results that each library gives for the same rows: `python tests/benchmarks/agreement.py`.

The rows are those of one column of the sample. They are shuffled and cut into batches in many ways, as files in a
folder are when somebody writes them again, or threads when they finish in another order. All the libraries see the
same batches; results are compared as bits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

import streamnorm as sn

SAMPLE = Path(__file__).parents[2] / "data" / "flights.parquet"
Batches = Sequence[NDArray[np.float64]]


def of_streamnorm(batches: Batches) -> tuple[float, float]:
    """Learn batch by batch."""
    scaler = sn.StandardScaler()
    for batch in batches:
        scaler.partial_fit(batch[:, None])
    return float(scaler.mean_[0]), float(scaler.var_[0])


def of_sklearn(batches: Batches) -> tuple[float, float]:
    """Learn batch by batch."""
    scaler = StandardScaler()
    for batch in batches:
        scaler.partial_fit(batch[:, None])
    return float(scaler.mean_[0]), float(scaler.var_[0])


def of_polars(batches: Batches) -> tuple[float, float]:
    """Ask for both over the batches as chunks of one column."""
    frame = pl.concat([pl.DataFrame({"x": batch}) for batch in batches], rechunk=False).lazy()
    mean, var = frame.select(pl.col("x").mean().alias("mean"), pl.col("x").var(ddof=0).alias("var")).collect().row(0)
    return mean, var


def of_duckdb(batches: Batches) -> tuple[float, float]:
    """Ask for both over the batches as chunks of an Arrow table."""
    table = pa.table({"x": pa.chunked_array([pa.array(batch) for batch in batches])})
    with duckdb.connect() as connection:
        connection.register("t", table)
        mean, var = connection.execute("SELECT avg(x), var_pop(x) FROM t").fetchone() or (0.0, 0.0)
    return mean, var


LIBRARIES: dict[str, Callable[[Batches], tuple[float, float]]] = {
    "streamnorm": of_streamnorm,
    "scikit-learn": of_sklearn,
    "Polars": of_polars,
    "DuckDB": of_duckdb,
}


def cuts(x: NDArray[np.float64], ways: int) -> Iterator[Batches]:
    """Shuffle and cut rows, in 2 to 40 batches of any length."""
    rng = np.random.default_rng(0)
    for _ in range(ways):
        places = rng.choice(np.arange(1, len(x)), size=rng.integers(1, 40), replace=False)
        yield np.split(rng.permutation(x), np.sort(places))


def main() -> None:
    """Print how many means and variances there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", type=int, default=300, help="ways to shuffle and cut (300)")
    parser.add_argument("--column", default="temp", help="column of the sample (temp)")
    given = parser.parse_args()
    x = pq.read_table(SAMPLE, columns=[given.column])[given.column].drop_null().cast(pa.float64()).to_numpy()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LIBRARIES}
    for batches in cuts(x, given.ways):
        for name, statistics in LIBRARIES.items():
            found[name].append(statistics(batches))
    print(f"{len(x):,} rows of {given.column}, {given.ways} ways to shuffle and cut them")
    print("| | different means | different variances |\n|---|---|---|")
    for name, results in found.items():
        means, variances = (len(set(column)) for column in zip(*results, strict=True))
        print(f"| {name} | {means} | {variances} |")


if __name__ == "__main__":
    main()
