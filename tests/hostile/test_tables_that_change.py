"""Tables that change while they are followed, by whom they are followed twice at once, or who is killed meanwhile."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import crashes
import numpy as np
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.errors import SourceError

if os.name == "nt":
    pytest.skip("locks and signals of POSIX", allow_module_level=True)

import beside

NAMES = {"delta": "t", "iceberg": "iceberg:c/ns.t"}
ROBUST = {"default": sn.RobustScaler(max_bins=16)}


@pytest.fixture(params=NAMES)
def kind(request, tmp_path, monkeypatch):
    """A table in this folder, which pyiceberg's own configuration names."""
    from pyiceberg import catalog
    from pyiceberg.utils.config import Config

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYICEBERG_CATALOG__C__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__C__URI", f"sqlite:///{tmp_path}/c.db")
    monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
    beside.make(request.param, tmp_path)
    yield request.param
    monkeypatch.undo()


def version_of(state: str = "s.json") -> int:
    return sn.load(state).sources_[0].table.version


def check_state(state: str = "s.json", **choices: object) -> int:
    """A state is that of the rows of the version that it says; give that version."""
    found, version = sn.load(state), version_of(state)
    rows = pq.read_table(beside.kept(Path.cwd(), version))
    assert found.digest() == sn.TableNormalizer(**choices).fit(rows).digest(), version
    return version


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not done() and time.monotonic() < until:
        time.sleep(0.005)


def wait_for_change(number: int) -> None:
    wait_until(lambda: len(list(Path("kept").glob("*.parquet"))) > number + 1)


def follow(kind: str, folder: Path, updates: int) -> None:
    """Update two states again and again while the table is written, compacted and swept."""
    choices = {"s.json": {}, "r.json": ROBUST}
    for state, chosen in choices.items():
        sn.fit(NAMES[kind], sn.TableNormalizer(**chosen), state=state)
    seen, refused = {version_of()}, 0
    with beside.changing(kind, folder):
        for number in range(updates):
            wait_for_change(number)
            state = ("s.json", "s.json", "r.json")[number % 3]
            before = Path(state).read_bytes()
            try:
                sn.fit(NAMES[kind], state=state, update=True)
            except SourceError as error:
                assert "changes faster than it is read" in str(error), error
                assert Path(state).read_bytes() == before
                refused += 1
            wait_until(beside.kept(folder, version_of(state)).exists)  # by whom the change was made
            seen.add(check_state(state, **choices[state]))
    assert refused <= updates // 3  # on a machine that is slow, or does much else
    assert len(seen) > updates // 3
    for state, chosen in choices.items():
        sn.fit(NAMES[kind], state=state, update=True)
        check_state(state, **chosen)


def test_a_table_that_is_changed_by_others_meanwhile(kind, tmp_path):
    follow(kind, tmp_path, 6)


@pytest.mark.slow
def test_a_table_that_is_changed_by_others_for_long(kind, tmp_path):
    follow(kind, tmp_path, 120)


def changed(kind: str, folder: Path, number: int) -> int:
    """Change the table, keep its rows and give the version."""
    side = beside.SIDES[kind](folder, np.random.default_rng(100 + number))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyiceberg's, of deletes that match nothing
        for role in ("writer", "changer", "writer"):
            getattr(side, role)()
            version = beside.keep(folder, side)
    return version


def words(kind: str) -> str:
    return f"fit {NAMES[kind]} --state s.json --update"


def test_two_updates_of_a_state_at_once(kind, tmp_path):
    sn.fit(NAMES[kind], state="s.json")
    for number in range(2):
        version = changed(kind, tmp_path, number)
        ended = [crashes.finish(process) for process in [crashes.start(tmp_path, words(kind)) for _ in range(3)]]
        assert 0 in [one.code for one in ended]
        for one in ended:
            assert one.code == 0 or (one.code == 1 and "another process" in one.err), one.err
        assert check_state() == version
    changed(kind, tmp_path, 9)
    sn.fit(NAMES[kind], state="s.json", update=True)
    check_state()


def killed(kind: str, folder: Path, moments: list[float]) -> None:
    """Kill updates, at parts of the time that one takes; what is left is a state of before or of after."""
    sn.fit(NAMES[kind], state="s.json")
    changed(kind, folder, 0)
    began = time.monotonic()
    assert crashes.run(folder, words(kind)).code == 0
    took = time.monotonic() - began
    for number, moment in enumerate(moments, 1):
        before, version = check_state(), changed(kind, folder, number)
        process = crashes.start(folder, words(kind))
        time.sleep(took * moment)
        process.kill()
        crashes.finish(process)
        assert check_state() in (before, version)
        sn.fit(NAMES[kind], state="s.json", update=True)
        assert check_state() == version


def test_an_update_that_is_killed(kind, tmp_path):
    killed(kind, tmp_path, [0.8])


@pytest.mark.slow
def test_updates_that_are_killed(kind, tmp_path):
    killed(kind, tmp_path, [0.5 + number / 40 for number in range(20)])
