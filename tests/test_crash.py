"""Crashes: whatever stops a job, the old or the new is there whole, and a rerun ends as if nothing had been."""

from __future__ import annotations

import os
import re
import shutil
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

#: All calls rather than a sample of them: "all", for an hour at leisure.
ALL = os.environ.get("STREAMNORM_CRASHES") == "all"
#: What is left by a process that was killed, under names that no one reads.
LEFT = re.compile(r"(.*/)?(\..*\.[0-9a-f]{8}\.streamnorm|\.streamnorm\.resume)")


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


def check_whole(whole: Undisturbed, folder: Path, *, left: bool) -> None:
    """Everything under a final name is as before or as after; other things are there only if they may be left."""
    found = tree(folder)
    for name in sorted({*whole.before, *whole.after}):
        assert found.get(name, "nothing") in (whole.before.get(name, "nothing"), whole.after.get(name, "nothing")), name
    others = set(found) - set(whole.before) - set(whole.after)
    assert [name for name in others if not (left and LEFT.fullmatch(name))] == []
    sn.load(folder / "s.json")
    sn.load(folder / "t.json")


def check_rerun(whole: Undisturbed, folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    again = streamnorm(capsys, *whole.job.again.split())
    if again.code:  # it had ended but for its last words
        assert (again.code, "exists: " in again.err) == (1, True)
    assert tree(folder) == whole.after


def one(whole: Undisturbed, number: int, call: Call, what: str) -> tuple[Path, Ended]:
    folder = whole.template.with_name(f"{number}.{call.name}.{call.nth}.{what.partition('=')[2]}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole.template, folder)
    return folder, crashes.hit(folder, whole.job.words, call, what)


def all_of(whole: Undisturbed, cases: list[tuple[Call, str]]):
    with ThreadPoolExecutor(2) as pool:
        yield from zip(cases, pool.map(lambda pair: one(whole, pair[0], *pair[1]), enumerate(cases)), strict=True)
