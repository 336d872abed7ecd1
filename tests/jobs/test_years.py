"""Costs of an update and of forgetting: linear in what is given plus what was recorded, counted and not timed."""

import json
import os
import time

import pytest
from shell import streamnorm as shell

import streamnorm as sn
from streamnorm.formats import Source
from streamnorm.jobs.ledger import Named
from streamnorm.states import read

FILES = 60


@pytest.fixture
def streamnorm(capsys):
    def run(*words):
        result = shell(capsys, *words)
        assert not result.code, result.err

    return run


@pytest.fixture
def counted(tmp_path, monkeypatch, streamnorm):
    """A folder of files, counted in a state that is older than a tick of any clock."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for i in range(FILES):
        (tmp_path / "in" / f"day[{i}].csv").write_text(f"v\n{i}\n{i + 1}\n")
    for path in (tmp_path / "in").iterdir():
        age(path, hours=3)
    streamnorm("fit", "in", "--state", "s.json")
    age(tmp_path / "s.json", hours=2)
    return tmp_path


def age(path, hours):
    then = time.time() - 3600 * hours
    os.utime(path, (then, then))


@pytest.fixture
def looked_at(monkeypatch):
    """Count how often a name is looked at."""
    from streamnorm.jobs import ledger

    calls = []
    key = ledger._key
    monkeypatch.setattr(ledger, "_key", lambda location: calls.append(location) or key(location))
    return calls


@pytest.fixture
def hashed(monkeypatch):
    found = []
    fingerprint = Source.fingerprint
    monkeypatch.setattr(Source, "fingerprint", lambda self: found.append(self.path.name) or fingerprint(self))
    return found


def test_names_that_a_shell_expanded_are_looked_at_once(counted, streamnorm, looked_at):
    (counted / "in" / "new.csv").write_text("v\n5\n")
    names = sorted(f"in/{path.name}" for path in (counted / "in").iterdir())
    streamnorm("fit", *names, "--state", "s.json", "--update")
    assert len(read(counted / "s.json").sources) == FILES + 1
    assert len(looked_at) < 8 * FILES


def test_forgetting_many_is_linear(counted, streamnorm, looked_at):
    names = sorted(f"in/{path.name}" for path in (counted / "in").iterdir())
    streamnorm("forget", "s.json", *names[: FILES // 2])
    assert [source.location for source in read(counted / "s.json").sources] == names[FILES // 2 :]
    assert len(looked_at) < 12 * FILES
    rest = sn.fit(names[FILES // 2 :], "standard")
    assert read(counted / "s.json").table.learnt == rest.learnt


def test_a_touched_file_is_hashed_once(counted, streamnorm, hashed):
    touched = counted / "in" / "day[7].csv"
    touched.touch()
    before = read(counted / "s.json")
    streamnorm("fit", "in", "--state", "s.json", "--update")
    assert hashed == [touched.name]
    age(touched, hours=1)  # touched again, well before the next night
    hashed.clear()
    streamnorm("fit", "in", "--state", "s.json", "--update")
    assert hashed == [touched.name]
    hashed.clear()
    streamnorm("fit", "in", "--state", "s.json", "--update")
    assert hashed == []
    after = read(counted / "s.json")
    assert after.table == before.table
    (entry,) = (source for source in after.sources if source.location.endswith(touched.name))
    assert entry.modified == touched.stat().st_mtime_ns


@pytest.mark.parametrize(
    ("given", "location", "is_covered"),
    [
        (["in"], "in/a.csv", True),
        (["in/"], "in/deep/a.csv", True),
        (["in"], "inside/a.csv", False),
        (["./in/../in"], "in/a.csv", True),
        (["/"], "in/a.csv", True),
        (["in/*.csv"], "in/a.csv", True),
        (["in/*.csv"], "in/deep/a.csv", False),
        (["in/d*"], "in/deep/a.csv", True),
        (["in/**/*.csv"], "in/deep/a.csv", True),
        (["in/**"], "in/very/deep/a.csv", True),
        (["i?/a[0-9].csv"], "in/a1.csv", True),
        (["in/a[1].csv"], "in/a[1].csv", True),
        (["in/a[1].csv"], "in/a1.csv", True),
        (["in/a[1].csv", "in/b[2].csv"], "in/b2.csv", True),
        (["in/a[1].csv"], "in/a2.csv", False),
        (["s3://bucket/in/"], "s3://bucket/in/a.csv", True),
        (["s3://key:word@bucket/in?region=x"], "s3://bucket/in/a.csv", True),
        (["s3://bucket/in/*.csv"], "s3://bucket/in/a.csv", True),
        (["s3://bucket/in/*.csv"], "s3://bucket/other/a.csv", False),
        (["-"], "stdin://0123", False),
        ([], "in/a.csv", False),
    ],
)
def test_what_a_name_covers(given, location, is_covered):
    named = Named(given)
    assert named.covers(location) == is_covered
    assert (named.unused([location]) is None) == ((is_covered and len(given) == 1) or not given)


def test_a_state_is_read_once_to_forget(counted, streamnorm, monkeypatch):
    from streamnorm.states import file

    reads = []
    text = file.text_of
    monkeypatch.setattr(file, "text_of", lambda path: reads.append(path) or text(path))
    streamnorm("forget", "s.json", *(f"in/day[{i}].csv" for i in range(20)))
    assert len(reads) <= 2
    assert len(json.loads((counted / "s.json").read_text())["sources"]) == FILES - 20
