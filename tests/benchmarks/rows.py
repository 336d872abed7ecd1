"""The table of comparisons: what is done, against whom, and the goal of DESIGN.md, section 8."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import covariances
import keyed
import numpy as np
import peers
import processes
import small
import vectors
from peers import Statistics
from timing import NOT_SLOWER, Goal, Measured, Pair, at_most, faster, fastest, paired

import streamnorm as sn
from data import Kind

HERE = Path(__file__).parent
MEGABYTE = 1 << 20
LIMIT = 400.0
KEYED_LIMIT = 1200.0


@dataclass(frozen=True)
class Bench:
    """The sizes, the data and what several comparisons share."""

    normal: Kind
    taxi: Kind
    folder: Path
    threads: int
    seconds: float
    least: int
    peaks: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @cached_property
    def output(self) -> Path:
        """A folder for results; it is emptied before each."""
        return self.folder / "output"

    def clear(self) -> None:
        """Remove the last results, and wait until nothing else is being written."""
        shutil.rmtree(self.output, ignore_errors=True)
        if hasattr(os, "sync"):
            os.sync()

    @cached_property
    def normalizers(self) -> dict[str, Any]:
        """Fitted table normalizers by the kind of data."""
        return {kind.name: sn.fit(kind.parquet, threads=self.threads) for kind in (self.normal, self.taxi)}


@dataclass(frozen=True)
class Row:
    """One comparison. `measure` gives a pair to be timed, or what it has measured itself."""

    name: str
    work: str
    against: str
    goal: Goal
    measure: Callable[[Bench], Pair | Measured]
    needs: str | None = None  # a module

    def run(self, bench: Bench) -> Measured:
        """Measure."""
        made = self.measure(bench)
        return paired(made, bench.seconds, bench.least) if isinstance(made, Pair) else made


def statistics_of(normalizer: Any) -> Statistics:
    """Give mean and standard deviation of each column of a fitted table normalizer."""
    return {
        name: (group.summary.mean()[i], group.summary.std()[i])
        for name, (group, i) in normalizer.learnt.where().items()
    }


def agree(ours: Any, theirs: Any) -> None:
    """Raise unless both found the same statistics, up to rounding."""
    mine = statistics_of(ours)
    if set(mine) != set(theirs):
        raise ValueError(f"other columns: {sorted(mine)} and {sorted(theirs)}")
    np.testing.assert_allclose([mine[name] for name in theirs], list(theirs.values()), rtol=1e-4, atol=1e-6)


# ---- in memory ----


def _learn(scaler: Any, batches: Any) -> Any:
    for batch in batches:
        scaler.partial_fit(batch)
    return scaler


def _sklearn() -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler()


def _agree_scalers(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose([ours.mean_, ours.scale_], [theirs.mean_, theirs.scale_], rtol=1e-7, atol=1e-7)


def batches_numpy(bench: Bench) -> Pair:
    """Exact sums of Arrow batches, and plain sums of the same memory."""
    batches = bench.normal.batches
    return Pair(lambda: _learn(sn.StandardScaler(), batches), lambda: peers.numpy_sum(batches))


def batches_sklearn(bench: Bench) -> Pair:
    """Ours on Arrow batches, scikit-learn's on ndarrays of the same numbers."""
    batches, matrices = bench.normal.batches, bench.normal.matrices
    return Pair(lambda: _learn(sn.StandardScaler(), batches), lambda: _learn(_sklearn(), matrices), _agree_scalers)


def one_array_sklearn(rows: int, columns: int, times: int, bench: Bench) -> Pair:
    """Both on one small ndarray, again and again."""
    X = np.random.default_rng(3).normal(size=(rows, columns))
    ours, theirs = sn.StandardScaler().fit(X), _sklearn().fit(X)
    return Pair(lambda: ours.partial_fit(X), lambda: theirs.partial_fit(X), _agree_scalers, times=times)


def map_batches_numpy(bench: Bench) -> Pair:
    """Arrow batches to Arrow batches."""
    batches = bench.normal.batches
    scaler = _learn(sn.StandardScaler(), batches)
    statistics = list(zip(scaler.mean_, scaler.scale_, strict=True))

    def ours() -> None:
        for batch in batches:
            scaler.transform(batch)

    return Pair(ours, lambda: peers.numpy_map_columns(batches, statistics))


def map_matrices_numpy(bench: Bench) -> Pair:
    """Arrays to arrays."""
    matrices = bench.normal.matrices
    scaler = _learn(sn.StandardScaler(), matrices)
    mean, scale = scaler.mean_, scaler.scale_

    def ours() -> None:
        for matrix in matrices:
            scaler.transform(matrix)

    return Pair(ours, lambda: peers.numpy_map_matrices(matrices, mean, scale))


# ---- files ----


def fit_parquet_pyarrow(kind: str, bench: Bench) -> Pair:
    """A fit of a folder, and nothing but its decoding."""
    data: Kind = getattr(bench, kind)
    folder, names, threads = data.parquet, data.numbers, bench.threads
    decode = [partial(peers.pyarrow_decode, folder, names, threads, whole) for whole in (False, True)]
    return Pair(lambda: sn.fit(folder, threads=threads), fastest(decode))


def fit_parquet(kind: str, peer: Callable[..., Statistics], bench: Bench, *, state: bool = False) -> Pair:
    """A fit of a folder, which with a state hashes every file."""
    data: Kind = getattr(bench, kind)
    folder, names = data.parquet, data.numbers
    path = bench.folder / "state.json" if state else None
    ours = partial(sn.fit, folder, state=path, overwrite=state, threads=bench.threads)
    return Pair(ours, lambda: peer(folder, names), agree)


def fit_csv(kind: str, peer: Callable[..., Statistics], bench: Bench, *, packed: bool = False) -> Pair:
    """A fit of a CSV file, compressed or not."""
    data: Kind = getattr(bench, kind)
    path, names = data.gzipped if packed else data.csv, data.numbers
    return Pair(lambda: sn.fit(path, threads=bench.threads), lambda: peer(path, names), agree)


def map_csv(kind: str, safe: bool, bench: Bench) -> Pair:
    """A normalised copy of a CSV file."""
    data: Kind = getattr(bench, kind)
    path, normalizer = data.csv, sn.fit(data.csv, threads=bench.threads)
    scales = {
        name: (group.summary.mean()[i], group.summary.scale()[i])
        for name, (group, i) in normalizer.learnt.where().items()
    }
    return Pair(
        lambda: sn.transform(normalizer, path, bench.output / "all.csv", threads=bench.threads),
        lambda: peers.polars_map_csv(path, bench.output, scales, safe),
        prepare=bench.clear,
    )


def map_parquet(kind: str, peer: Callable[..., None], bench: Bench, *, one: bool = False) -> Pair:
    """Normalised copies of a folder, or of one of its files."""
    data: Kind = getattr(bench, kind)
    folder, normalizer = data.one if one else data.parquet, bench.normalizers[kind]
    scales = {
        name: (group.summary.mean()[i], group.summary.scale()[i])
        for name, (group, i) in normalizer.learnt.where().items()
    }
    return Pair(
        lambda: sn.transform(normalizer, folder, bench.output, threads=bench.threads),
        lambda: peer(folder, bench.output, scales),
        prepare=bench.clear,
    )


def copy_parquet(kind: str, bench: Bench) -> Pair:
    """Normalised copies of a folder, and copies of its bytes."""
    data: Kind = getattr(bench, kind)
    folder, normalizer = data.parquet, bench.normalizers[kind]
    return Pair(
        lambda: sn.transform(normalizer, folder, bench.output, threads=bench.threads),
        lambda: subprocess.run(["cp", "-r", folder, bench.output], check=True),
        prepare=bench.clear,
    )


# ---- the command ----


def _peak(bench: Bench, *words: str | Path) -> float:
    command = [sys.executable, HERE / "memory.py", *words, "--threads", str(bench.threads), "--quiet"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return int(result.stdout) / MEGABYTE


def _peaks(job: str, bench: Bench) -> list[tuple[float, float]]:
    """Measure the peaks of a job on all of the data and on a quarter of it, in megabytes."""
    if job not in bench.peaks:
        state = bench.folder / "memory.json"
        _peak(bench, "fit", bench.normal.quarter, "--state", state, "--overwrite")
        words: dict[str, Callable[[Path], list[str | Path]]] = {
            "fit": lambda folder: ["fit", folder, "--state", state, "--overwrite"],
            "transform": lambda folder: ["transform", state, folder, "--output", bench.output],
        }
        measured = []
        for _ in range(min(bench.least, 3)):
            both = []
            for folder in (bench.normal.parquet, bench.normal.quarter):
                bench.clear()
                both.append(_peak(bench, *words[job](folder)))
            measured.append((both[0], both[1]))
        bench.peaks[job] = measured
    return bench.peaks[job]


def memory_growth(job: str, bench: Bench) -> Measured:
    """Peak of all of the data beside that of a quarter."""
    return _peaks(job, bench)


def memory_limit(job: str, bench: Bench) -> Measured:
    """Peak of all of the data beside the limit."""
    return [(peak, LIMIT) for peak, _ in _peaks(job, bench)]


def memory_keyed(bench: Bench) -> Measured:
    """Peak of a fit by key beside the limit, in megabytes of a million bytes, as it was set."""
    words = ("fit", keyed.million(bench), "--by", "key", "--state", bench.folder / "memory.json", "--overwrite")
    return [(_peak(bench, *words) * MEGABYTE / 1e6, KEYED_LIMIT) for _ in range(min(bench.least, 2))]


# ---- the table ----

_SAME = Goal("the same (at most 1.1x)", 1.1)
_BELOW = Goal(f"under {LIMIT:g} MB", 1.0)
_KINDS = {"normal": "16 random float64", "taxi": "taxi-like"}
_BATCHES = "partial_fit, Arrow batches of 64 Ki rows x 16, one thread"


def _file_rows() -> list[Row]:
    rows = []
    for kind, words in _KINDS.items():
        fit, copy = f"fit a folder of Parquet, {words}", f"Parquet to Parquet transform, {words}"
        csv, bound = f"fit a CSV, {words}", at_most(0.75 if kind == "normal" else 0.35)
        rows += [
            Row(f"parquet-fit-{kind}-pyarrow", fit, "pyarrow decoding the same columns at its best", at_most(0.8),
                partial(fit_parquet_pyarrow, kind)),
            Row(f"parquet-fit-{kind}-polars", fit, "Polars streaming mean, std", at_most(0.6),
                partial(fit_parquet, kind, peers.polars_fit_parquet), "polars"),
            Row(f"parquet-fit-state-{kind}-polars", f"{fit}, with a state file", "Polars streaming mean, std",
                at_most(0.8), partial(fit_parquet, kind, peers.polars_fit_parquet, state=True), "polars"),
            Row(f"parquet-fit-{kind}-sklearn", fit, "scikit-learn loop over iter_batches", faster(3),
                partial(fit_parquet, kind, peers.sklearn_fit_parquet)),
            Row(f"parquet-transform-{kind}-polars", copy, "Polars sink_parquet", bound,
                partial(map_parquet, kind, partial(peers.polars_map_parquet, safe=False)), "polars"),
            Row(f"parquet-transform-one-{kind}-polars", f"{copy}, one file", "Polars sink_parquet", bound,
                partial(map_parquet, kind, partial(peers.polars_map_parquet, safe=False), one=True), "polars"),
            Row(f"parquet-transform-{kind}-cp", copy, "cp of the files", at_most(3), partial(copy_parquet, kind)),
            Row(f"parquet-transform-{kind}-polars-synced", copy, "Polars sink_parquet, synced to disk as ours is",
                bound, partial(map_parquet, kind, partial(peers.polars_map_parquet, safe=True)), "polars"),
            Row(f"parquet-transform-{kind}-sklearn", copy, "scikit-learn-and-pandas loop", faster(12),
                partial(map_parquet, kind, peers.sklearn_map_parquet)),
            Row(f"csv-fit-{kind}-polars", csv, "Polars scan_csv mean, std", at_most(0.6),
                partial(fit_csv, kind, peers.polars_fit_csv), "polars"),
            Row(f"csv-fit-gz-{kind}-polars", f"fit a .csv.gz, {words}", "Polars scan_csv mean, std", NOT_SLOWER,
                partial(fit_csv, kind, peers.polars_fit_csv, packed=True), "polars"),
            Row(f"csv-fit-{kind}-sklearn", csv, "scikit-learn over pandas chunks", faster(4),
                partial(fit_csv, kind, peers.sklearn_fit_csv)),
            Row(f"csv-transform-{kind}-polars", f"CSV to CSV transform, {words}", "Polars scan_csv to sink_csv",
                NOT_SLOWER, partial(map_csv, kind, False), "polars"),
            Row(f"csv-transform-{kind}-polars-synced", f"CSV to CSV transform, {words}",
                "Polars scan_csv to sink_csv, synced to disk as ours is", NOT_SLOWER, partial(map_csv, kind, True),
                "polars"),
        ]  # fmt: skip
    return rows


ROWS = [
    Row("batches-numpy", _BATCHES, "numpy.sum of the same columns", at_most(3), batches_numpy),
    Row("batches-sklearn", _BATCHES, "scikit-learn on ndarrays in memory", faster(10), batches_sklearn),
    Row("one-row-sklearn", "partial_fit, 1 row x 16", "scikit-learn", faster(5),
        partial(one_array_sklearn, 1, 16, 200)),
    Row("wide-sklearn", "partial_fit, 1,000 rows x 2,000", "scikit-learn", faster(5),
        partial(one_array_sklearn, 1000, 2000, 2)),
    Row("transform-batches-numpy", "transform, Arrow batches of 64 Ki rows x 16", "numpy (x - m) / s, column by column",
        NOT_SLOWER, map_batches_numpy),
    Row("transform-matrices-numpy", "transform, ndarrays of 64 Ki rows x 16", "numpy (x - m) / s", NOT_SLOWER,
        map_matrices_numpy),
    Row("vectors-fit-plain", "partial_fit, vectors of 768 float32", "as many values in plain columns", at_most(2),
        vectors.fit),
    Row("vectors-transform-plain", "transform, vectors of 768 float32", "as many values in plain columns", at_most(2),
        vectors.transform),
    *(
        Row(f"covariances-{columns}-numpy", f"Whitener.partial_fit, {columns} columns", "numpy X.T @ X", at_most(10),
            partial(covariances.fit, columns=columns))
        for columns in (16, 100)
    ),
    *(
        Row(f"keyed-{name}-polars", f"fit in memory by key, 100 rows for each {name} key", "Polars group_by mean, std",
            NOT_SLOWER, partial(keyed.fit_polars, text=name == "text"), "polars")
        for name in ("integer", "text")
    ),
    *(
        Row(f"keyed-many-{name}-polars", f"fit in memory by key, 25 rows for each {name} key",
            "Polars group_by mean, std", NOT_SLOWER, partial(keyed.fit_polars, text=name == "text", rows_of_a_key=25),
            "polars")
        for name in ("integer", "text")
    ),
    *(
        Row(f"keyed-parquet-{name}-polars", f"fit Parquet by key, 100 rows for each {name} key",
            "Polars group_by mean, std", NOT_SLOWER, partial(keyed.fit_parquet_polars, text=name == "text"), "polars")
        for name in ("integer", "text")
    ),
    Row("histogram-small-batches", "histograms of 4 million values in batches of 8,192", "in batches of 1 Mi",
        at_most(2), small.histograms),
    *_file_rows(),
    *(
        Row(f"memory-{job}-{name}", f"peak memory of {job}, 4x the data", against, goal, partial(measure, job))
        for job in ("fit", "transform")
        for name, against, goal, measure in (
            ("growth", "1x the data", _SAME, memory_growth),
            ("limit", f"{LIMIT:g} MB", _BELOW, memory_limit),
        )
    ),
    Row("memory-keyed-limit", "peak memory of fit by a million keys", f"{KEYED_LIMIT:g} MB",
        Goal(f"under {KEYED_LIMIT:g} MB", 1.0), memory_keyed),
    Row("start-up", "streamnorm --version", 'python -c "import pyarrow"', at_most(0.6), processes.start_up),
    Row("ten-rows", "streamnorm fit of ten rows, beside import pyarrow.parquet", f"{processes.BESIDE:g} s",
        Goal(f"at most {processes.BESIDE:g} s", 1.0), processes.ten_rows),
    Row("process-fit-polars", "streamnorm fit of 640 MB of Parquet, the whole process", "a script with Polars",
        NOT_SLOWER, processes.fit, "polars"),
]  # fmt: skip
