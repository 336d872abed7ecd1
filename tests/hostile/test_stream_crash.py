"""Followers that are killed: whatever is stopped when, a rerun ends as one fit of all, nothing twice, nothing lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brokers as support
import crashes
import pyarrow as pa
import pytest

import streamnorm as sn
from streamnorm.jobs import merge

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
    moments, sent, state = random.Random(6), 0, tmp_path / "s.json"
    with support.brokers() as cluster:
        words = f"{WORDS.format(cluster.names)} --output {cluster.address('out')}"
        for _ in range(8):
            before, until = state.exists() and state.read_bytes(), None
            process = crashes.start(tmp_path, words)
            while until is None or time.monotonic() < until:
                send(cluster, sent, sent + 90)
                sent += 90
                time.sleep(0.02)
                if until is None and (state.exists() and state.read_bytes()) != before:
                    until = time.monotonic() + moments.uniform(0, 0.4)
            process.kill()
            assert crashes.finish(process).code == -signal.SIGKILL
        assert crashes.run(tmp_path, f"{words} --once").code == 0
        known = sn.load(state)
        assert known == fit(sent)
        apart = [known.positions_.of(f"t/{partition}").apart for partition in range(3)]
        assert apart == [{"tombstone": sent // 90, "unreadable message": sent // 90}] * 3
        found = [int(json.loads(message.value())["id"]) for message in cluster.read("out") if message.value()]
    assert set(found) == set(range(sent))  # at least once
    with capsys.disabled():
        print(f" {sent:,} messages, {len(found) - sent:,} sent again", end="")


#: Runs the command with a disk whose syncs take up to a fifth of a second.
SLOW_DISK = """
import os, random, time
sync = os.fsync
def slow(handle):
    time.sleep(random.random() / 5)
    sync(handle)
os.fsync = slow
from streamnorm.cli import main; main()
"""


#: Exit codes; 143 is that of one which is asked to end before it has begun.
ENDS = {"kill": {-signal.SIGKILL}, "terminate": {0, 143}}


def resident(process: subprocess.Popen[str]) -> int:
    """Give the memory of a process, in bytes; 0 where it has ended."""
    try:
        pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_soak_of_members_that_come_and_go(tmp_path, capsys, monkeypatch):
    """STREAMNORM_SOAK says for how many seconds."""
    seconds = float(os.environ.get("STREAMNORM_SOAK", "40"))
    (tmp_path / "types.json").write_text('{"i": "int64", "x": "double"}')
    (tmp_path / "quick.properties").write_text("session.timeout.ms=6000\nheartbeat.interval.ms=300\n")
    monkeypatch.setattr(crashes, "_COMMAND", [sys.executable, "-P", "-c", SLOW_DISK])
    moments, sent, stops, memory = random.Random(7), 0, {"kill": 0, "terminate": 0}, [[0], [0]]
    with support.brokers() as cluster:
        group = WORDS.format(cluster.names).replace("/t ", "/t?group=g ") + " --settings quick.properties"
        words = [group.replace(" s.json", f" {member}.json") for member in range(2)]
        members = [crashes.start(tmp_path, one) for one in words]
        until, turn = time.monotonic() + seconds, time.monotonic() + 15
        while time.monotonic() < until:
            send(cluster, sent, sent + 30)
            sent += 30
            time.sleep(0.1)
            for member in range(2):
                memory[member].append(resident(members[member]))
            if time.monotonic() > turn:
                member, how = moments.randrange(2), moments.choice(list(stops))
                getattr(members[member], how)()
                stops[how] += 1
                ended = crashes.finish(members[member])
                assert ended.code in ENDS[how], ended.err
                members[member] = crashes.start(tmp_path, words[member])
                turn = time.monotonic() + moments.uniform(10, 25)
        for member in members:
            member.terminate()
            assert crashes.finish(member).code in {
                *ENDS["terminate"],
                -signal.SIGTERM,
            }  # as it starts
        states = [tmp_path / f"{member}.json" for member in range(2)]
        merge([state for state in states if state.exists()], tmp_path / "s.json")
        holes = [len(position.ranges) - 1 for position in sn.load(tmp_path / "s.json").positions_.streams.values()]
        assert crashes.run(tmp_path, f"{WORDS.format(cluster.names)} --once").code == 0
        known = sn.load(tmp_path / "s.json")
        assert known == fit(sent)
        assert all(len(position.ranges) == 1 for position in known.positions_.streams.values())
    peaks = [max(own) / 2**20 for own in memory]
    assert max(peaks) < 400
    with capsys.disabled():
        halves = [[max(own[: len(own) // 2]) >> 20, max(own[len(own) // 2 :]) >> 20] for own in memory]
        print(f" {seconds:.0f} s, {sent:,} messages, {stops}, holes {holes}, MB by halves {halves}", end="")
