"""How fast a topic is followed, and what saving costs: ``python tests/benchmarks/streams.py``.

The brokers are librdkafka's own, in this process, so that what is measured shares its processors with them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import streamnorm as sn
from streamnorm.files import replacing

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import brokers as support

_FIELDS = 3
_EACH = 75_000  # a partition of these brokers keeps 5 MB


def follow_a_topic() -> None:
    """Print messages a second, counted alone, and written again."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(_FIELDS)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    values = [
        json.dumps(dict(zip(names, row, strict=True))).encode()
        for row in rng.normal(size=(_EACH, _FIELDS)).round(6).tolist()
    ]
    with support.brokers() as cluster, tempfile.TemporaryDirectory() as folder:
        for partition in range(3):
            cluster.send("t", values, partition)
        for number, output in enumerate([None, None, cluster.address("out")]):
            began = time.perf_counter()
            sn.follow(
                cluster.address("t"), state=f"{folder}/{number}.json", format="json", schema=schema, once=True,
                every=1.0, output=output,
            )  # fmt: skip
            took = time.perf_counter() - began
            what = ("warming up", "counted", "counted and written")[number]
            print(f"{what:22} {3 * _EACH / took:12,.0f} messages/s of {_FIELDS} numbers, {len(values[0])} bytes")


def save_a_state(scaler: str) -> None:
    """Print what a save takes, beside what the disk takes for the same bytes."""
    rng = np.random.default_rng(0)
    table = pa.table({f"c{i}": rng.normal(size=200_000) for i in range(16)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        with sn.following(path, sn.TableNormalizer(scaler)) as state:
            state.add(table, {"t": (0, 1)})
            saves, disk = [], []
            for at in range(1, 31):
                state.add(table.slice(at, 100), {"t": (at, at + 1)})
                began = time.perf_counter()
                state.save()
                saves.append(time.perf_counter() - began)
                began = time.perf_counter()
                with replacing(path.with_name("same")) as temporary:
                    temporary.write_bytes(path.read_bytes())
                disk.append(time.perf_counter() - began)
            size = path.stat().st_size
    save, own = np.median(saves), np.median(disk)
    print(
        f"a save of 16 columns, {scaler:9} {1000 * save:6.1f} ms, of the disk {1000 * own:5.1f} ms: beyond it "
        f"{1000 * (save - own):5.1f} ms; {size:,} bytes; at one save a second {save:.1%} of the time"
    )


if __name__ == "__main__":
    for name in ("standard", "robust"):
        save_a_state(name)
    follow_a_topic()
