"""What a summary weighs on its way, and what merging many partitions costs: `python tests/benchmarks/scale.py`.

Summaries of real rows are merged through the two levels of `sn.spark`: tasks that each merge many partitions,
then the driver, which merges what the tasks give. A sample of the partitions is summarised and merged, each with rows
of its own; the driver's states are as many as there are tasks, each of another run of the sample. Times are those of
the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import streamnorm as sn
from streamnorm.engines.wire import merge, summarise_partition, to_bytes
from streamnorm.jobs.work import nothing, worker_table
from streamnorm.tables.table import Learnt

#: Columns that are measured. Of histograms few are as good as many; of moments they would show what is not columns.
SCALERS = {"standard": 1000, "minmax": 1000, "robust": 20, "quantile": 20}
#: Runs of the sample that one task merges are one part in so many.
_PART = 8


def summaries(scaler: str, columns: int, rows: int, sample: int) -> tuple[list[bytes], Learnt]:
    """Summarise so many partitions of normal and lognormal columns, each with a shift of its own."""
    rng = np.random.default_rng(0)
    values = rng.normal(100, 15, (columns, rows))
    values[::2] = np.exp(values[::2] / 50)
    names = [f"x{i}" for i in range(columns)]

    def partitions() -> Iterator[pa.RecordBatch]:
        for shift in rng.normal(size=(sample, columns, 1)):
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in values + shift], names)

    table = sn.TableNormalizer(scaler)
    like = nothing(table, pa.schema([(name, pa.float64()) for name in names]))
    worker = worker_table(table, like)
    return [summarise_partition(worker, 0, [batch]) for batch in partitions()], like


def seconds_of_a_merge(states: list[bytes], like: Learnt) -> float:
    """Give the time of reading and adding one state to what many gave."""
    started = time.process_time()
    merge(states, like)
    return (time.process_time() - started) / len(states)


def main() -> None:
    """Print one line a scaler."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--partitions", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10_000, help="of a partition")
    parser.add_argument("--tasks", type=int, default=200, help="that merge partitions; Spark's default is 200")
    parser.add_argument("--sample", type=int, default=400, help="partitions that are really summarised and merged")
    given = parser.parse_args()
    print(f"{given.partitions:,} partitions of {given.rows:,} rows x {given.columns:,} columns, {given.tasks} tasks:")
    for scaler, most in SCALERS.items():
        measured = min(most, given.columns)
        times = given.columns / measured
        states, like = summaries(scaler, measured, given.rows, given.sample)
        each = seconds_of_a_merge(states, like) * times
        starts = (task * given.sample // given.tasks for task in range(given.tasks))
        length, around = max(1, given.sample // _PART), states * 2
        merged = [to_bytes(merge(around[start : start + length], like)) for start in starts]
        again = seconds_of_a_merge(merged, like) * times
        one, size = (sum(map(len, found)) / len(found) / measured for found in (states, merged))
        print(
            f"{scaler}: {one:,.0f} bytes a column from a partition, {size:,.0f} merged; "
            f"shuffled {one * given.columns * given.partitions / 1e9:,.1f} GB; "
            f"each task {each * given.partitions / given.tasks:,.1f} s; "
            f"driver: {size * given.columns * given.tasks / 1e6:,.0f} MB and {again * given.tasks:,.1f} s "
            f"(of {given.sample} partitions and {measured:,} columns)",
            flush=True,
        )


if __name__ == "__main__":
    main()
