"""The guide's commands for robots' episodes are run as they stand, on datasets as LeRobot keeps them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shell import streamnorm

import streamnorm as sn

GUIDE = (Path(sn.__file__).parent / "docs" / "guide.md").read_text(encoding="utf-8")
(COMMANDS,) = re.findall(r"```sh\n(.*?)```", GUIDE.split("\n## Robot learning\n")[1].split("\n## ")[0], re.DOTALL)
WIDTHS = {"observation.state": 6, "action": 2}


def write(folder: Path, seed: int) -> pa.Table:
    """Write a dataset of twenty episodes, and the statistics that there are of its images."""
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(20):
        frames = 40 + index
        columns = {"episode_index": np.full(frames, index), "timestamp": (np.arange(frames) / 30).astype(np.float32)}
        for name, width in WIDTHS.items():
            flat = rng.normal(index, 1, frames * width).astype(np.float32)
            columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), width)
        parts.append(pa.table(columns))
        (folder / "data" / "chunk-000").mkdir(parents=True, exist_ok=True)
        pq.write_table(parts[-1], folder / "data" / "chunk-000" / f"episode_{index:06}.parquet")
    (folder / "meta").mkdir()
    images = {"observation.images.top": {"mean": [[[0.5]], [[0.4]], [[0.3]]], "count": [100]}}
    (folder / "meta" / "stats.json").write_text(json.dumps(images))
    lines = [json.dumps({"episode_index": index, "stats": images}) for index in range(20)]
    (folder / "meta" / "episodes_stats.jsonl").write_text("\n".join(lines))
    return pa.concat_tables(parts)


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pick, place = write(tmp_path / "pick", 0), write(tmp_path / "place", 1)
    lines = COMMANDS.splitlines()
    assert len(lines) == 9
    for line in lines:
        done = streamnorm(capsys, *shlex.split(line, comments=True)[1:])
        assert (done.code, done.err.count("error")) == (0, 0), (line, done.err)
    kept = pick.filter(pa.compute.not_equal(pick["episode_index"], 17))
    normalizer = sn.TableNormalizer("minmax", by="episode_index", profile=True)
    assert sn.load("both.json") == normalizer.fit(pa.concat_tables([kept, place]))
    assert json.loads(Path("both.stats.json").read_text()) == sn.export.to_lerobot(normalizer)
    stats = json.loads(Path("stats.json").read_text())
    assert stats.pop("observation.images.top")["count"] == [100]
    assert stats == sn.export.to_lerobot(sn.load("pick.json"))
    found = [json.loads(line) for line in Path("episodes_stats.jsonl").read_text().splitlines()]
    assert len(found) == 19
    assert all(line["stats"].pop("observation.images.top")["count"] == [100] for line in found)
    assert found == sn.export.to_lerobot_episodes(sn.load("pick.json"))
    assert len(list(Path("pick_normalised").rglob("*.parquet"))) == 20
