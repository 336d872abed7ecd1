"""Followers that are killed: whatever is stopped when, a rerun ends as one fit of all, nothing twice, nothing lost."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brokers as support
import crashes
import pyarrow as pa
import pytest

import streamnorm as sn

needs_strace = pytest.mark.skipif(bool(crashes.MISSING), reason=crashes.MISSING)

#: A consumer of a stream that saves after every batch, whose rows are what its positions say.
FOLLOWER = """
import pyarrow as pa, streamnorm as sn
with sn.following(path, sn.TableNormalizer("robust")) as state:
    for at in range(state.position("t"), end):
        state.add(pa.table({"x": pa.array([float(at % 7), at / 3], pa.float64())}), {"t": (at, at + 1)})
        state.save()
"""


def batches(end: int) -> sn.TableNormalizer:
    values = [value for at in range(end) for value in (float(at % 7), at / 3)]
    return sn.TableNormalizer("robust").fit(pa.table({"x": values}))


@needs_strace
@pytest.mark.slow
def test_killed_at_every_system_call_around_a_save(tmp_path, monkeypatch, capsys):
    template = tmp_path / "template"
    template.mkdir()
    exec(FOLLOWER, {"path": template / "s.json", "end": 1})
    whole = Path(shutil.copytree(template, tmp_path / "whole"))
    code = f"import sys; path, end = 's.json', int(sys.argv[1]){FOLLOWER}"
    monkeypatch.setattr(crashes, "_COMMAND", [sys.executable, "-P", "-c", code])
    calls = [call for call in crashes.calls(whole, "3") if call.changes]
    assert sn.load(whole / "s.json") == batches(3)
    assert sum(call.name == "rename" for call in calls) == 2

    def one(number: int) -> None:
        folder = Path(shutil.copytree(template, tmp_path / f"hit {number}"))
        ended = crashes.hit(folder, "3", calls[number], "signal=KILL")
        assert (ended.code, ended.hit) == (-signal.SIGKILL, True), f"{calls[number]}: {ended.err}"
        known = sn.load(folder / "s.json")
        assert known == batches(known.positions_.of("t").next)  # whole, and no further than it says
        exec(FOLLOWER, {"path": folder / "s.json", "end": 3})
        assert sn.load(folder / "s.json") == batches(3)
        assert not list(folder.glob(".*.streamnorm"))
        shutil.rmtree(folder)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(len(calls))))
    with capsys.disabled():
        print(f" killed at {len(calls)} calls", end="")


# ---- a topic ----


def rows(start: int, end: int) -> list[dict[str, float]]:
    return [{"i": i, "x": i / 7, "id": str(i)} for i in range(start, end)]


def fit(end: int) -> sn.TableNormalizer:
    return sn.TableNormalizer().fit(pa.Table.from_pylist(rows(0, end)))


def send(cluster: support.Brokers, start: int, end: int) -> None:
    """Send messages to three partitions, with tombstones and what is no JSON between them."""
    for partition in range(3):
        own = rows(start, end)[partition::3]
        cluster.send("t", [*own[:5], None, *own[5:7], b"nonsense", *own[7:]], partition)


WORDS = "follow kafka://{}/t --state s.json --format json --schema types.json --every 0.1 --bad skip --quiet"


@pytest.mark.slow
def test_followers_of_a_topic_killed_at_random_moments(tmp_path, capsys):
    (tmp_path / "types.json").write_text('{"i": "int64", "x": "double"}')
    moments, sent, killed = random.Random(6), 0, 0
    with support.brokers() as cluster:
        words = WORDS.format(cluster.names)
        output = f" --output {cluster.address('out')}"
        for _ in range(8):
            process = crashes.start(tmp_path, words + output)
            until = time.monotonic() + 1.2 + moments.uniform(0, 1.5)
            while time.monotonic() < until:
                send(cluster, sent, sent + 90)
                sent += 90
                time.sleep(0.02)
            process.kill()
            killed += crashes.finish(process).code == -signal.SIGKILL
        assert crashes.run(tmp_path, f"{words} {output} --once").code == 0
        state = sn.load(tmp_path / "s.json")
        assert state == fit(sent)
        apart = [state.positions_.of(f"t/{partition}").apart for partition in range(3)]
        assert apart == [{"tombstone": sent // 90, "unreadable message": sent // 90}] * 3
        found = [int(json.loads(message.value())["id"]) for message in cluster.read("out") if message.value()]
    assert killed == 8
    assert set(found) == set(range(sent))  # at least once
    with capsys.disabled():
        print(f" {sent:,} messages, {len(found) - sent:,} sent again", end="")
