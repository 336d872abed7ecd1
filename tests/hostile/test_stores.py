"""Stores that refuse, hang up and cut, and jobs that are stopped at a request: the old or the new is there, whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
import stores
from shell import streamnorm
from stores import Proxy, Request, finish, start

import streamnorm as sn
from streamnorm.files import answers
from streamnorm.states.packs import blocks_of

#: "all": at every request rather than at those that change something, which takes minutes.
ALL = os.environ.get("STREAMNORM_CRASHES") == "all"
STATE = "s3://bucket/s.json"


@dataclass(frozen=True)
class Job:
    """A command to be stopped, and what to run after it was."""

    words: str
    again: str


JOBS = {
    "fit": Job(
        "fit s3://bucket/in --state s3://bucket/s.json --update --keep-parts --threads 1",
        "fit s3://bucket/in --state s3://bucket/s.json --update --keep-parts --threads 1",
    ),
    "transform": Job(
        "transform s3://bucket/s.json s3://bucket/in --output s3://bucket/out --threads 1",
        "transform s3://bucket/s.json s3://bucket/in --output s3://bucket/out --threads 1 --resume",
    ),
    "run": Job(
        "run s3://bucket/in --output s3://bucket/old --state s3://bucket/t.json --threads 1 --overwrite",
        "run s3://bucket/in --output s3://bucket/old --state s3://bucket/t.json --threads 1 --overwrite --resume",
    ),
    "forget": Job(
        "forget s3://bucket/s.json s3://bucket/in/0.parquet --threads 1",
        "forget s3://bucket/s.json s3://bucket/in/0.parquet --threads 1",
    ),
}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A state of a first day, outputs of it, and a second day that came since."""
    folder = tmp_path_factory.mktemp("stores")
    with stores.server() as server:
        (folder / "in").mkdir()
        for day in range(2):
            table = pa.table({"x": [1.0, 2.5 + day, None], "shop": ["a", "b", "c"]})
            pq.write_table(table, folder / f"in/{day}.parquet")
        server.put("in/0.parquet", (folder / "in/0.parquet").read_bytes())
        time.sleep(3.1)  # else it is read again, as it may have changed while it was counted, by the clock of a store
        for words in (
            "fit s3://bucket/in --state s3://bucket/s.json --keep-parts",
            "run s3://bucket/in --output s3://bucket/old --state s3://bucket/t.json --scaler minmax",
        ):
            ended = finish(start(server.endpoint, words, folder))
            assert ended.code == 0, ended.err
        server.put("in/1.parquet", (folder / "in/1.parquet").read_bytes())
        yield server


@pytest.fixture(scope="module")
def proxy(bucket):
    with Proxy(bucket) as before:
        yield before


@pytest.fixture(scope="module")
def template(bucket):
    return bucket.tree()


@dataclass(frozen=True)
class Undisturbed:
    """A job that nothing happened to: its requests, and what was there after."""

    requests: list[Request]
    after: dict[str, bytes]


@pytest.fixture(scope="module")
def undisturbed(bucket, proxy, template, tmp_path_factory):
    found: dict[str, Undisturbed] = {}

    def of(name: str) -> Undisturbed:
        if name not in found:
            restore(bucket, template)
            proxy.begin(lambda request: "pass")
            ended = finish(start(proxy.endpoint, JOBS[name].words, tmp_path_factory.mktemp("undisturbed")))
            assert ended.code == 0, ended.err
            found[name] = Undisturbed(list(proxy.seen), bucket.tree())
        return found[name]

    return of


def restore(bucket, template):
    now = bucket.tree()
    for key in now.keys() - template.keys():
        bucket.remove(key)
    for key, data in template.items():
        if now.get(key) != data:
            bucket.put(key, data)


def told(tree):
    """Give what a job is for; how parts are put together depends on what was there."""
    return {key: data for key, data in tree.items() if ".parts/" not in key}


def blocks(tree, folder):
    """Name the parts, and sums of them, that are kept: each once."""
    found = []
    for key, data in tree.items():
        if ".parts/" in key:
            pack = folder / key.rpartition("/")[2]
            pack.write_bytes(data)
            found += blocks_of(pack)
            pack.unlink()
    return sorted(found)


def check_whole(bucket, template, after):
    template, after, found = told(template), told(after), told(bucket.tree())
    for key in {*template, *after, *found}:
        assert found.get(key) in (template.get(key), after.get(key)), key


@pytest.mark.slow
@pytest.mark.parametrize("name", list(JOBS))
def test_a_process_killed_at_any_request(name, bucket, proxy, template, undisturbed, tmp_path):
    whole = undisturbed(name)
    for stop in [request for request in whole.requests if request.changes or ALL or not request.number]:
        restore(bucket, template)
        started: list[subprocess.Popen[str]] = []
        ready = threading.Event()

        def kill(started=started, ready=ready):
            ready.wait()
            started[0].kill()
            started[0].wait()

        def rule(request: Request, stop=stop) -> str:
            return "stop" if (request.changes, request.nth) == (stop.changes, stop.nth) else "pass"

        proxy.begin(rule)
        proxy.stop = kill
        started.append(start(proxy.endpoint, JOBS[name].words, tmp_path))
        ready.set()
        ended = finish(started[0])
        assert ended.code == -signal.SIGKILL, (stop, ended)
        check_whole(bucket, template, whole.after)
        proxy.begin(lambda request: "pass")
        again = finish(start(proxy.endpoint, JOBS[name].again, tmp_path))
        if "has counted nothing of" in again.err:  # it was forgotten, and only its part was not removed yet
            assert bucket.tree()["s.json"] == whole.after["s.json"], stop
            continue
        assert again.code == 0, (stop, again.err)
        assert told(bucket.tree()) == told(whole.after), stop
        assert blocks(bucket.tree(), tmp_path) == blocks(whole.after, tmp_path), stop


@pytest.mark.slow
@pytest.mark.parametrize("name", list(JOBS))
@pytest.mark.parametrize("fate", ["503", "reset", "lost", "cut"])
def test_requests_that_fail_once_are_tried_again(name, fate, bucket, proxy, template, undisturbed, tmp_path):
    whole = undisturbed(name)
    restore(bucket, template)
    failed = set()

    def rule(request: Request) -> str:
        what = (request.method, request.path)
        if what in failed:
            return "pass"
        failed.add(what)
        return fate

    proxy.begin(rule)
    ended = finish(start(proxy.endpoint, JOBS[name].words, tmp_path))
    assert ended.code == 0, ended.err
    assert told(bucket.tree()) == told(whole.after)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["fit", "run"])
def test_whatever_a_store_does_no_state_is_wrong(name, seed, bucket, proxy, template, undisturbed, tmp_path):
    whole, rng = undisturbed(name), random.Random(seed)
    restore(bucket, template)
    proxy.begin(lambda request: rng.choice(["503", "reset", "lost", "cut", "pass", "pass"]))
    ended = finish(start(proxy.endpoint, JOBS[name].words, tmp_path))
    assert ended.code in (0, 1), ended
    assert "Traceback" not in ended.err
    if ended.code:
        (line,) = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
        assert line.startswith("error: ")
    check_whole(bucket, template, whole.after)
    if ended.code == 0:
        assert told(bucket.tree()) == told(whole.after)
    proxy.begin(lambda request: "pass")
    again = finish(start(proxy.endpoint, JOBS[name].again, tmp_path))
    assert again.code == 0, again.err
    assert told(bucket.tree()) == told(whole.after)


@pytest.mark.parametrize(
    ("fate", "message"),
    [
        ("503", "the store answers 503 SlowDown, asked 7 times; run this again later"),
        ("reset", r"it cannot be reached \(HTTP error: error sending request\), asked 7 times; check its address"),
    ],
)
def test_a_store_that_is_down_is_told_in_one_line(fate, message, bucket, proxy, template, monkeypatch):
    for name, value in stores.environment(proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(answers, "PAUSES", (0.01,) * 6)
    restore(bucket, template)
    normalizer = sn.load(STATE)
    proxy.begin(lambda request: fate if request.changes else "pass")
    with pytest.raises(sn.errors.OutputError, match=f"^s3://bucket/x.json cannot be written: {message}"):
        sn.save(normalizer, "s3://bucket/x.json")
    assert bucket.tree() == template


@pytest.mark.slow
def test_of_two_processes_at_once_one_is_told_and_both_files_are_counted_once(bucket, proxy, template, tmp_path):
    restore(bucket, template)
    one, two = (f"fit s3://bucket/in/{day}.parquet --state s3://bucket/u.json --update" for day in range(2))
    arrived, go = threading.Event(), threading.Event()

    def rule(request: Request) -> str:
        if request.method == "PUT" and request.path.startswith("/bucket/u.json"):
            arrived.set()
            go.wait(60)
        return "pass"

    proxy.begin(rule)
    first = start(proxy.endpoint, one, tmp_path)
    assert arrived.wait(60)
    second = finish(start(bucket.endpoint, two, tmp_path))
    assert second.code == 0, second.err
    go.set()
    ended = finish(first)
    assert ended.code == 1
    assert "u.json was written by another process meanwhile" in ended.err
    assert finish(start(bucket.endpoint, one, tmp_path)).code == 0
    counted = finish(start(bucket.endpoint, "verify s3://bucket/u.json s3://bucket/in", tmp_path))
    assert "2 sources" in counted.out, counted
    bucket.remove("u.json")


@pytest.fixture
def found(proxy, monkeypatch):
    """The proxy, as what this process finds."""
    for name, value in stores.environment(proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    proxy.begin(lambda request: "pass")
    return proxy


def refusing(times, *words):
    """Give a rule that answers 503 to the first requests for what is named."""
    left = [times]

    def rule(request: Request) -> str:
        if left[0] and all(word in f"{request.method} {request.path}" for word in words):
            left[0] -= 1
            return "503"
        return "pass"

    return rule


def test_each_try_of_a_write_is_told_and_there_is_an_end_to_them(bucket, found, template, caplog, monkeypatch):
    restore(bucket, template)
    normalizer = sn.load(STATE)
    monkeypatch.setattr(answers, "PAUSES", (0.01, 0.02, 0.03))
    with caplog.at_level("INFO", "streamnorm"):
        found.begin(refusing(2, "PUT /bucket/x.json"))
        sn.save(normalizer, "s3://bucket/x.json")
        assert [record.getMessage() for record in caplog.records] == [
            "s3://bucket/x.json: the store answers 503 SlowDown; trying again in 0.01 s (2 of 4)",
            "s3://bucket/x.json: the store answers 503 SlowDown; trying again in 0.02 s (3 of 4)",
        ]
        assert sn.load("s3://bucket/x.json") == normalizer
        for seconds, tries in ((60, 4), (0, 1)):
            monkeypatch.setattr(answers, "RETRY_SECONDS", seconds)
            found.begin(refusing(99, "PUT /bucket/y.json"))
            with pytest.raises(sn.errors.OutputError, match=f"503 SlowDown, asked {tries} times?; run this again"):
                sn.save(normalizer, "s3://bucket/y.json")
            assert sum(request.path.startswith("/bucket/y.json") for request in found.seen if request.changes) == tries
    bucket.remove("x.json")


@pytest.mark.parametrize(
    ("words", "file"), [("fit s3://bucket/in/0.parquet --state s.json", "in/0.parquet"), (f"show {STATE}", "s.json")]
)
def test_each_try_of_a_reading_is_told(words, file, bucket, found, template, monkeypatch, capsys, tmp_path):
    restore(bucket, template)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answers, "PAUSES", (0.01, 0.02, 0.03))
    found.begin(refusing(40, file))  # of which the library that reads swallows thirty
    ended = streamnorm(capsys, *words.split())
    assert ended.code == 0, ended.err
    notes = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert notes[0].startswith(f"note: s3://bucket/{file}: the store answers 503")
    assert notes[0].endswith("; trying again in 0.01 s (2 of 4)")
    assert len(notes) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_large_file_that_comes_in_pieces_is_learnt_from_rightly_or_refused(kind, bucket, found, tmp_path):
    table = pa.table({"x": np.random.default_rng(0).normal(size=400_000)})
    (pq.write_table if kind == "parquet" else pv.write_csv)(table, tmp_path / f"big.{kind}")
    bucket.put(f"big.{kind}", (tmp_path / f"big.{kind}").read_bytes())
    expected, ends = sn.TableNormalizer().fit(table), []
    for seed in range(12):
        rng = random.Random(seed)
        found.begin(lambda request, rng=rng: rng.choice(["503", "reset", "cut", *["pass"] * 6]))
        try:
            ends.append(sn.fit(f"s3://bucket/big.{kind}") == expected)
        except sn.errors.SourceError as error:
            assert str(error).startswith(f"s3://bucket/big.{kind} cannot be ")
    bucket.remove(f"big.{kind}")
    assert ends
    assert all(ends)


@pytest.mark.slow
def test_an_output_of_many_parts_is_whole_or_not_there(bucket, found, tmp_path):
    table = pa.table({"x": np.random.default_rng(0).normal(size=5_000_000)})
    pq.write_table(table, tmp_path / "big.parquet")
    normalizer = sn.TableNormalizer().fit(table)
    (here,) = sn.transform(normalizer, tmp_path / "big.parquet", tmp_path / "out.parquet")
    written = []
    for seed in range(6):
        rng = random.Random(seed)
        found.begin(lambda request, rng=rng: rng.choice(["503", "reset", "lost", *["pass"] * 3]))
        with suppress(sn.errors.OutputError):
            sn.transform(normalizer, tmp_path / "big.parquet", "s3://bucket/big/", overwrite=True)
        there = bucket.tree().get("big/big.parquet")
        written.append(there is not None)
        assert there in (None, here.read_bytes())
        if there:
            bucket.remove("big/big.parquet")
    assert any(written)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["uploads", "partNumber=2", "uploadId"])
def test_a_process_killed_within_an_upload_leaves_no_output(at, bucket, proxy, tmp_path):
    table = pa.table({"x": np.random.default_rng(0).normal(size=5_000_000)})
    pq.write_table(table, tmp_path / "big.parquet")
    sn.save(sn.TableNormalizer().fit(table), tmp_path / "s.json")
    words = "transform s.json big.parquet --output s3://bucket/big/ --resume --threads 1"
    started: list[subprocess.Popen[str]] = []
    ready = threading.Event()

    def rule(request: Request) -> str:
        if at in request.path and (request.method == "POST" or "part" in at):
            ready.wait()
            started[0].kill()
            started[0].wait()
            return "reset"
        return "pass"

    proxy.begin(rule)
    started.append(start(proxy.endpoint, words, tmp_path))
    ready.set()
    assert finish(started[0]).code == -signal.SIGKILL
    assert not any(key.startswith("big/") for key in bucket.tree())
    assert finish(start(bucket.endpoint, words, tmp_path)).code == 0
    (here,) = sn.transform(tmp_path / "s.json", tmp_path / "big.parquet", tmp_path / "out.parquet")
    assert bucket.tree()["big/big.parquet"] == here.read_bytes()
    bucket.remove("big/big.parquet")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show s3://bucket/s.json", "s3://bucket/s.json cannot be read: "),
        ("fit s3://bucket/in --state s.json", "s3://bucket/in cannot be listed: "),
        ("fit s3://bucket/in/0.parquet --state s.json", "s3://bucket/in/0.parquet cannot be "),
        ("forget s3://bucket/s.json s3://bucket/in/0.parquet", "s3://bucket/s.json cannot be "),
        (
            "run x.csv --output s3://bucket/out/",
            "s3://bucket/out cannot be written: the store answers 403 ",
        ),
        ("merge s.json --output s3://bucket/m.json", "s3://bucket/m.json cannot be written: the store answers 403"),
    ],
)
@pytest.mark.parametrize("fate", ["403", "reset"])
def test_what_is_denied_or_down_is_one_line(words, message, fate, found, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("x\n1\n2\n")
    if words.startswith("merge"):
        sn.fit("x.csv", state="s.json")
    monkeypatch.setattr(answers, "PAUSES", ())
    found.begin(lambda request: fate)
    ended = streamnorm(capsys, *words.split())
    assert (ended.code, ended.out) == (1, "")
    (line,) = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
    assert line.startswith(f"error: {message if fate == '403' else message.partition(': ')[0]}")
    assert "; " in line
    assert len(line) < 500
