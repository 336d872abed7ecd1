"""Crashes: whatever stops a job, the old or the new is there whole, and a rerun ends as if nothing had been."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import crashes
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crashes import Call, Ended, tree
from shell import streamnorm

import streamnorm as sn

needs_strace = pytest.mark.skipif(bool(crashes.MISSING), reason=crashes.MISSING)

ERRORS = ("ENOSPC", "EIO", "EMFILE", "EACCES")
SIGNALS = ("signal=INT", "signal=TERM", "signal=HUP")
#: "all": at every system call rather than at a sample of them, which takes half an hour.
ALL = os.environ.get("STREAMNORM_CRASHES") == "all"
#: Names that no one reads, of what a process that was killed leaves.
TEMPORARY = re.compile(r"(.*/)?\..*\.[0-9a-f]{8}\.streamnorm")
#: Parts that are put together with others at the end of a job, so that they are those of no state before or after it.
PACK = re.compile(r"s\.json\.parts/[0-9a-f]{32}\.parts")


@dataclass(frozen=True)
class Job:
    """A command to be stopped, and what to run after it was."""

    words: str
    again: str


JOBS = {
    "fit": Job(
        "fit in --state s.json --update --keep-parts --threads 1",
        "fit in --state s.json --update --keep-parts --threads 1",
    ),
    "transform": Job(
        "transform s.json in --output out --threads 1",
        "transform s.json in --output out --threads 1 --resume",
    ),
    "run": Job(
        "run in --output old --state t.json --threads 1 --overwrite",
        "run in --output old --state t.json --threads 1 --overwrite --resume",
    ),
}


def write_inputs(folder: Path, days: int) -> None:
    (folder / "in" / "sub").mkdir(parents=True, exist_ok=True)
    for day in range(days):
        table = pa.table({"x": [1.0, 2.5 + day, None], "shop": ["a", "b", "c"]})
        path = folder / "in" / f"{day}.parquet"
        if not path.exists():
            pq.write_table(table, path)
    if days > 1:
        (folder / "in" / "sub" / "late.csv").write_text(f"x,shop\n{days},a\n,b\n")


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A state of a first day, outputs of it, and a second day that came since."""
    folder = tmp_path_factory.mktemp("crash") / "template"
    write_inputs(folder, 1)
    for words in (
        "fit in --state s.json --keep-parts",
        "run in --output old --state t.json --scaler minmax",
    ):
        ended = crashes.run(folder, words)
        assert ended.code == 0, ended.err
    write_inputs(folder, 2)
    return folder


@dataclass(frozen=True)
class Undisturbed:
    """A job that nothing happened to: its calls, and what was there before and after."""

    job: Job
    calls: list[Call]
    before: dict[str, bytes | None]
    after: dict[str, bytes | None]
    template: Path


@pytest.fixture(scope="module")
def undisturbed(template):
    found: dict[str, Undisturbed] = {}

    def of(name: str) -> Undisturbed:
        if name not in found:
            folder = template.with_name(f"{name}.undisturbed")
            shutil.copytree(template, folder)
            calls = crashes.calls(folder, JOBS[name].words)
            found[name] = Undisturbed(JOBS[name], calls, tree(template), tree(folder), template)
        return found[name]

    return of


def check_whole(whole: Undisturbed, folder: Path, *, temporaries: bool) -> None:
    """Everything under a final name is as before or as after; temporary files are there only where they may be."""
    found = tree(folder)
    for name in sorted({*whole.before, *whole.after}):
        assert found.get(name, "nothing") in (whole.before.get(name, "nothing"), whole.after.get(name, "nothing")), name
    others = set(found) - set(whole.before) - set(whole.after)
    assert [n for n in others if not (PACK.fullmatch(n) or (temporaries and TEMPORARY.fullmatch(n)))] == []
    sn.load(folder / "s.json")
    sn.load(folder / "t.json")


def check_rerun(whole: Undisturbed, folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert streamnorm(capsys, *whole.job.again.split()).code == 0
    assert tree(folder) == whole.after


def sampled(cases: list, number: int, seed: int) -> list:
    """So many of the cases, evenly, from a place that the seed says; all of them where that is asked for."""
    if ALL or len(cases) <= number:
        return cases
    start = random.Random(seed).random()
    return [cases[int((i + start) * len(cases) / number)] for i in range(number)]


def copy_of(whole: Undisturbed, name: object) -> Path:
    folder = whole.template.with_name(str(name))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole.template, folder)
    return folder


def all_hit(whole: Undisturbed, cases: list[tuple[Call, str]]) -> Iterator[tuple[Call, str, Path, Ended]]:
    """Run a job once for each case, two at a time, and give the folder that each leaves."""

    def one(number: int) -> tuple[Call, str, Path, Ended]:
        call, what = cases[number]
        folder = copy_of(whole, f"hit {number}")
        return call, what, folder, crashes.hit(folder, whole.job.words, call, what)

    with ThreadPoolExecutor(2) as pool:
        for call, what, folder, ended in pool.map(one, range(len(cases))):
            assert ended.hit, f"{call} was not made again: {ended.err}"
            yield call, what, folder, ended
            shutil.rmtree(folder)


def check_error(whole: Undisturbed, call: Call, folder: Path, ended: Ended) -> None:
    """One line and exit code 1; or all is done, where the job can do without the call."""
    if ended.code == 0:
        found, after = (
            {n: data for n, data in t.items() if not PACK.fullmatch(n)} for t in (tree(folder), whole.after)
        )
        assert found == after
    else:
        assert ended.code == 1, ended.err
        assert re.fullmatch(r"error: (\.:|(in|out|old|[st]\.json)\b).*\n", ended.err), ended.err
    check_whole(whole, folder, temporaries=False)


def check_killed(whole: Undisturbed, folder: Path, ended: Ended) -> None:
    assert ended.code == -signal.SIGKILL
    check_whole(whole, folder, temporaries=True)


def errors_of(whole: Undisturbed) -> list[tuple[Call, str]]:
    return [(call, f"error={name}") for call in whole.calls for name in ERRORS if call.name != "rmdir"]


# ---- a few, always ----


@needs_strace
def test_every_name_is_given_to_bytes_that_are_on_the_disk(undisturbed):
    renamed = 0
    for name in JOBS:
        whole = undisturbed(name)
        changes = [call for call in whole.calls if call.changes]
        for at, call in enumerate(changes):
            if call.name == "rename":
                written = [before.name for before in changes[:at] if before.path == call.path]
                assert written[-1] == "fsync", f"{call} before its bytes were on the disk"
                after = changes[at + 1]
                assert (after.name, after.path) == ("fsync", str(Path(call.path).parent))
                renamed += 1
    assert renamed == 10  # three outputs each, two states, two parts


@needs_strace
@pytest.mark.parametrize("what", ["signal=KILL", "signal=TERM", "error=ENOSPC"])
def test_a_job_stopped_where_the_state_takes_its_name(undisturbed, capsys, monkeypatch, what):
    whole = undisturbed("fit")
    call = [call for call in whole.calls if call.name == "rename" and call.path.startswith(".s.json")][-1]
    for _, _, folder, ended in all_hit(whole, [(call, what)]):
        if what == "signal=KILL":
            check_killed(whole, folder, ended)
            assert tree(folder)["s.json"] == whole.before["s.json"]
        elif what.startswith("error"):
            check_error(whole, call, folder, ended)
            assert tree(folder) == whole.before
        else:
            check_stopped(whole, folder, ended, what)
        check_rerun(whole, folder, capsys, monkeypatch)


# ---- at every system call that changes something, and failing a sample of all ----


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_a_system_call(undisturbed, capsys, monkeypatch, name):
    whole = undisturbed(name)
    every = [(call, "signal=KILL") for call in whole.calls if call.changes]
    for _, _, folder, ended in all_hit(whole, every):
        check_killed(whole, folder, ended)
        check_rerun(whole, folder, capsys, monkeypatch)
    with capsys.disabled():
        print(f" {name}: killed at {len(every)} calls", end="")


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_system_call_that_fails(undisturbed, capsys, monkeypatch, name):
    whole = undisturbed(name)
    every = errors_of(whole)
    some = sampled(every, 24, seed=2)
    failed = 0
    for call, _, folder, ended in all_hit(whole, some):
        check_error(whole, call, folder, ended)
        check_rerun(whole, folder, capsys, monkeypatch)
        failed += ended.code
    assert failed
    with capsys.disabled():
        print(f" {name}: {len(some)} of {len(every)} failures", end="")


# ---- at any moment, by signals ----


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_a_random_moment(template, tmp_path, capsys, monkeypatch, name):
    job, folder = JOBS[name], tmp_path / "undisturbed"
    shutil.copytree(template, folder)
    began = time.monotonic()
    assert crashes.run(folder, job.words).code == 0
    took = time.monotonic() - began
    whole = Undisturbed(job, [], tree(template), tree(folder), tmp_path / "template")
    shutil.copytree(template, whole.template)
    moments = random.Random(3)
    for number in range(5):
        folder = copy_of(whole, f"random {number}")
        process = crashes.start(folder, job.words)
        time.sleep(took * moments.uniform(0.5, 1))
        process.kill()
        crashes.finish(process)
        check_whole(whole, folder, temporaries=True)
        check_rerun(whole, folder, capsys, monkeypatch)


CUT_SHORT = """
import os
import pyarrow as pa
from streamnorm import cli, kernel
reads = 0
def cut(given, size):
    global reads
    reads += size > 10_000
    if reads == 4:
        os.truncate("in/0.parquet", 1000)
    return given
class Cut(pa.OSFile):
    def read_at(self, size, start):
        return cut(super().read_at(size, start), size)
    def readinto(self, room):
        return cut(super().readinto(room), len(room))
preadv, moments = os.preadv, kernel.moments
pa.OSFile = Cut
os.preadv = lambda file, rooms, start: cut(preadv(file, rooms, start), len(rooms[0]))
kernel.moments = lambda slots, runs: cut(moments(slots, runs), slots and 10_001)
cli.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", ["fit in --state s.json --update", "transform s.json in --output out"])
def test_a_file_cut_short_while_it_is_read_is_an_error(tmp_path, words):
    (tmp_path / "in").mkdir()
    table = pa.table({"x": [i / 7 for i in range(100_000)]})
    for path in (tmp_path / "before.parquet", tmp_path / "in" / "0.parquet"):
        pq.write_table(table, path, row_group_size=10_000, compression="none", use_dictionary=False)
    assert crashes.run(tmp_path, "fit before.parquet --state s.json").code == 0
    state = (tmp_path / "s.json").read_bytes()
    command = [sys.executable, "-c", CUT_SHORT, *words.split(), "--threads", "1"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("error: in/0.parquet ")
    assert (tmp_path / "s.json").read_bytes() == state
    assert [name for name in tree(tmp_path) if name.startswith("out/") and not TEMPORARY.fullmatch(name)] == []


def check_stopped(whole: Undisturbed, folder: Path, ended: Ended, what: str) -> None:
    """In order: its own exit code and word, whole outputs, no temporaries; what is there is for `--resume`."""
    code, word = {
        "signal=INT": (130, "interrupted"),
        "signal=TERM": (143, "terminated"),
        "signal=HUP": (129, "terminated"),
    }[what]
    assert (ended.code, ended.err.split()[-1]) == (code, word), ended.err
    assert "Traceback" not in ended.err
    check_whole(whole, folder, temporaries=False)


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_asked_to_end(undisturbed, capsys, monkeypatch, name):
    whole = undisturbed(name)
    every = [
        (call, what) for call in whole.calls if call.changes for what in SIGNALS if call.name not in ("unlink", "rmdir")
    ]
    for _, what, folder, ended in all_hit(whole, sampled(every, 8, seed=4)):
        check_stopped(whole, folder, ended, what)
        check_rerun(whole, folder, capsys, monkeypatch)


# ---- standard streams ----


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_get_no_file(template, tmp_path, closed):
    shutil.copytree(template, tmp_path / "job")
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    ended = crashes.finish(crashes.start(tmp_path / "job", JOBS["fit"].words, shell))
    assert ended.code == 0
    assert len(sn.load(tmp_path / "job" / "s.json").sources_) == 3
    assert crashes.run(template, "show s.json").code == 0
    ended = crashes.finish(crashes.start(tmp_path / "job", "show s.json", shell))
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("words", ["show s.json", "init in", JOBS["fit"].words, JOBS["run"].words])
def test_a_pipe_that_nobody_reads(template, tmp_path, words):
    folder = tmp_path / "job"
    shutil.copytree(template, folder)
    for stream in ("stdout", "stderr"):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            ended = crashes.finish(crashes.start(folder, words, **{stream: writer}))
        finally:
            os.close(writer)
        assert ended.code in (0, 1)  # 1 where it had something to say there
        assert "Traceback" not in ended.err
        assert "Exception" not in ended.err
        assert not [name for name in tree(folder) if TEMPORARY.fullmatch(name)]
        sn.load(folder / "s.json")
        sn.load(folder / "t.json")
