"""What others do for the same work, each as its users write it and in its best setting.

A fit gives the mean and standard deviation of every column, so that the results can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import BATCH_ROWS

#: Mean and standard deviation of each column.
Statistics: TypeAlias = dict[str, tuple[float, float]]


# ---- numpy ----


def numpy_sum(batches: Sequence[pa.RecordBatch]) -> None:
    """Sum every column, in place."""
    for batch in batches:
        for column in batch.columns:
            column.to_numpy().sum()


def numpy_map_columns(batches: Sequence[pa.RecordBatch], statistics: Sequence[tuple[float, float]]) -> None:
    """Standardise every column of every batch into fresh memory."""
    for batch in batches:
        [(c.to_numpy() - m) / s for c, (m, s) in zip(batch.columns, statistics, strict=True)]


def numpy_map_matrices(matrices: Sequence[np.ndarray], mean: np.ndarray, scale: np.ndarray) -> None:
    """Standardise every matrix into fresh memory."""
    for matrix in matrices:
        (matrix - mean) / scale


# ---- scikit-learn ----


def _fitted(names: Sequence[str], matrices: Iterable[Any]) -> Statistics:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for matrix in matrices:
        scaler.partial_fit(matrix)
    return dict(zip(names, zip(scaler.mean_.tolist(), np.sqrt(scaler.var_).tolist(), strict=True), strict=True))


def _matrices(folder: Path, names: Sequence[str]) -> Iterator[np.ndarray]:
    for path in sorted(folder.iterdir()):
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=list(names)):
                yield np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names])


def sklearn_fit_parquet(folder: Path, names: Sequence[str]) -> Statistics:
    """Feed the batches of all files to StandardScaler."""
    return _fitted(names, _matrices(folder, names))


def sklearn_fit_csv(path: Path, names: Sequence[str]) -> Statistics:
    """Feed pandas' chunks to StandardScaler."""
    import pandas as pd

    with pd.read_csv(path, usecols=list(names), chunksize=BATCH_ROWS) as chunks:
        return _fitted(names, (chunk[list(names)].to_numpy() for chunk in chunks))


def sklearn_map_parquet(folder: Path, output: Path, statistics: Statistics) -> None:
    """Carry every batch through pandas and StandardScaler to a new file."""
    from sklearn.preprocessing import StandardScaler

    scaler, names = StandardScaler(), list(statistics)
    scaler.mean_, scaler.scale_ = (np.array(part) for part in zip(*statistics.values(), strict=True))
    scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(names)
    output.mkdir()
    for path in sorted(folder.iterdir()):
        writer = None
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                frame = batch.to_pandas()
                frame[names] = scaler.transform(frame[names].to_numpy())
                table = pa.Table.from_pandas(frame, preserve_index=False)
                writer = writer or pq.ParquetWriter(output / path.name, table.schema)
                writer.write_table(table)
        if writer is not None:
            writer.close()


# ---- pyarrow ----


def pyarrow_decode(folder: Path, names: Sequence[str], threads: int, whole: bool) -> None:
    """Decode columns, a row group at a time on each thread, as one table or in batches."""

    def decode(path: Path, metadata: Any, group: int) -> None:
        with pq.ParquetFile(path, metadata=metadata, memory_map=True, pre_buffer=False) as file:
            if whole:
                file.read_row_group(group, columns=list(names), use_threads=False)
            else:
                for _ in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(names), use_threads=False):
                    pass

    with ThreadPoolExecutor(threads) as pool:
        jobs = []
        for path in sorted(folder.iterdir()):
            metadata = pq.read_metadata(path, memory_map=True)
            jobs += [pool.submit(decode, path, metadata, group) for group in range(metadata.num_row_groups)]
        for job in jobs:
            job.result()


# ---- Polars ----


def _polars_fit(frame: Any, names: Sequence[str]) -> Statistics:
    import polars as pl

    means = [pl.col(name).mean().alias(f"{name} mean") for name in names]
    stds = [pl.col(name).std(ddof=0).alias(f"{name} std") for name in names]
    found = frame.select(means + stds).collect(engine="streaming").row(0)
    return dict(zip(names, zip(found[: len(names)], found[len(names) :], strict=True), strict=True))


def polars_fit_parquet(folder: Path, names: Sequence[str]) -> Statistics:
    """Stream mean and standard deviation."""
    import polars as pl

    return _polars_fit(pl.scan_parquet(folder), names)


def polars_fit_csv(path: Path, names: Sequence[str]) -> Statistics:
    """Stream mean and standard deviation; the types are given, as they would be guessed wrong."""
    import polars as pl

    return _polars_fit(pl.scan_csv(path, schema_overrides=dict.fromkeys(names, pl.Float64)), names)


def polars_map_parquet(folder: Path, output: Path, statistics: Mapping[str, tuple[float, float]], safe: bool) -> None:
    """Stream standardised columns to one file, compressed as the input; `safe` to disk, as ours is."""
    import polars as pl

    columns = [(pl.col(name) - mean) / scale for name, (mean, scale) in statistics.items()]
    output.mkdir()
    pl.scan_parquet(folder).with_columns(columns).sink_parquet(
        output / "all.parquet", compression="snappy", sync_on_close="all" if safe else None
    )


def polars_map_csv(path: Path, output: Path, statistics: Mapping[str, tuple[float, float]], safe: bool) -> None:
    """Stream standardised columns to one CSV file; `safe` to disk, as ours is."""
    import polars as pl

    columns = [(pl.col(name) - mean) / scale for name, (mean, scale) in statistics.items()]
    output.mkdir()
    pl.scan_csv(path, schema_overrides=dict.fromkeys(statistics, pl.Float64)).with_columns(columns).sink_csv(
        output / "all.csv", sync_on_close="all" if safe else None
    )
