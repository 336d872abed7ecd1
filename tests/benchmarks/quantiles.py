"""Rank error and speed of quartiles beside sketches of equal size: `python tests/benchmarks/quantiles.py`.

Every peer is given its values in batches, as a stream brings them, and a state as large as the histogram's:
16 bytes a bin, and for a sketch what it serialises to. Peers that are not installed are named as missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.summaries import Block
from streamnorm.summaries.histogram import Histogram, HistogramOf

BATCH = 1 << 16
QUARTERS = np.array([0.25, 0.5, 0.75])
_Values = NDArray[np.float64]


def _bimodal(random: np.random.Generator, n: int) -> _Values:
    return np.where(random.random(n) < 0.5, random.normal(-5, 1, n), random.normal(5, 0.5, n))


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], _Values]] = {
    "normal": lambda random, n: random.normal(size=n),
    "lognormal": lambda random, n: random.lognormal(size=n),
    "uniform": lambda random, n: random.random(n),
    "N(1e6, 1)": lambda random, n: random.normal(1e6, 1, n),
    "bimodal": _bimodal,
    "Cauchy": lambda random, n: random.standard_cauchy(n),
}


def _batches(values: _Values) -> Iterator[_Values]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def _histogram(values: _Values, size: int) -> tuple[_Values, int]:
    make = HistogramOf(size // 16)
    total: Histogram = make.empty(1)
    for part in _batches(values):
        total = total.with_rows(make, Block(1, len(part), [kernel.Run(0, 1, "d", part, 0, 8, 0, len(part))]))
    return total.quantile(QUARTERS)[:, 0], 16 * int(total.bins.sizes[0])


def _sketch(new: Callable[[int], Any], values: _Values, size: int) -> tuple[_Values, int]:
    """Fill a sketch of the parameter k whose serialised size comes nearest."""
    low, high = 10, 65535
    few = values[: 4 * BATCH]
    while high - low > 8:
        k = (low + high) // 2
        sketch = new(k)
        sketch.update(few)
        low, high = (k, high) if len(sketch.serialize()) < size else (low, k)
    sketch = new(low)
    started = time.perf_counter()
    for part in _batches(values):
        sketch.update(part)
    quantiles = np.array([sketch.get_quantile(q) for q in QUARTERS])
    _sketch_seconds.append(time.perf_counter() - started)
    return quantiles, len(sketch.serialize())


#: What filling the last sketch took: the search for its size is not measured.
_sketch_seconds: list[float] = []


def _peers() -> dict[str, Callable[[_Values, int], tuple[_Values, int]]]:
    peers = {"streamnorm": _histogram}
    if importlib.util.find_spec("datasketches") is None:
        print("datasketches is not installed: KLL and t-digest are left out (pip install datasketches)")
        return peers
    import datasketches

    kinds = {"KLL": "kll_doubles_sketch", "t-digest": "tdigest_double"}
    for name, kind in kinds.items():
        if hasattr(datasketches, kind):
            new = getattr(datasketches, kind)
            peers[name] = lambda values, size, new=new: _sketch(new, values, size)
        else:
            print(f"this datasketches has no {kind}: {name} is left out")
    return peers


def _rank_error(values: _Values, quantiles: _Values) -> float:
    """Give the greatest distance in rank, as a fraction of the rows; equal values have a range of ranks."""
    ordered = np.sort(values)
    low, high = (np.searchsorted(ordered, quantiles, side=side) / len(values) for side in ("left", "right"))
    return float(np.maximum(np.maximum(low - QUARTERS, QUARTERS - high), 0).max())


def main() -> None:
    """Print one line for each distribution and peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--max-bins", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    peers = _peers()
    print(f"{arguments.rows} rows in batches of {BATCH}, kernel: {kernel.instructions()}")
    print(f"{'':10} {'':10} {'rank error':>11} {'state':>9} {'million/s':>10} {'numpy.sum':>10}")
    for name, draw in DISTRIBUTIONS.items():
        values = draw(np.random.default_rng(0), arguments.rows)
        for peer, work in peers.items():
            seconds, sums = [], []
            for _ in range(arguments.repeat):
                started = time.perf_counter()
                for part in _batches(values):
                    part.sum()
                sums.append(time.perf_counter() - started)
                started = time.perf_counter()
                quantiles, size = work(values, 16 * arguments.max_bins)
                seconds.append(time.perf_counter() - started if work is _histogram else _sketch_seconds[-1])
            error, best = _rank_error(values, quantiles), min(seconds)
            speed, ratio = len(values) / best / 1e6, best / min(sums)
            print(f"{name:10} {peer:10} {error:11.5%} {size:9} {speed:10.1f} {ratio:9.1f}x", flush=True)


if __name__ == "__main__":
    main()
