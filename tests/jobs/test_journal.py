"""A job that is retried ends well: what it finished it knows again, and what is not its own it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import streamnorm

import streamnorm as sn

NOTHING = "note: nothing is left to do: all outputs are there, as this job writes them\n"


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)
    for i, name in enumerate(("a.csv", "b.csv", "sub/c.csv")):
        Path("in", name).write_text(f"x\n{i}\n{i + 3}\n")
    assert streamnorm(capsys, "fit", "in", "--state", "s.json").code == 0


JOBS = {
    "a folder": "transform s.json in --output out",
    "one file": "transform s.json in/a.csv --output a.csv",
    "back": "transform s.json in --output out --inverse",
    "run": "run in --output out --state t.json",
    "run of one": "run in/b.csv --output b.csv --scaler minmax",
}


def outputs():
    """Names, bytes and times of all that is not hidden."""
    paths = [path for path in Path().rglob("*.csv") if path.parts[0] != "in"]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("first", [[], ["--resume"]])
def test_a_finished_job_has_nothing_left_to_do(name, first, capsys):
    words = JOBS[name].split()
    assert streamnorm(capsys, *words, *first).code == 0
    before = outputs()
    for _ in range(2):
        done = streamnorm(capsys, *words, "--resume")
        assert (done.code, done.err.startswith(NOTHING)) == (0, True), done.err
        assert streamnorm(capsys, "fit", "in", "--state", "s.json", "--update").code == 0
        assert outputs() == before
    assert streamnorm(capsys, *words).code == 1  # as ever
    assert streamnorm(capsys, *words, "--resume", "--quiet").err == ""


@pytest.mark.parametrize("name", JOBS)
def test_the_bytes_are_the_same_for_every_run(name, capsys):
    words = JOBS[name].split()
    written = []
    for more in ([], ["--overwrite"], ["--overwrite", "--resume"]):
        assert streamnorm(capsys, *words, *more).code == 0
        written.append({path: data for path, (data, _) in outputs().items()})
    assert written[0] == written[1] == written[2]


def write_again(path: Path) -> None:
    path.write_bytes(path.read_bytes())


OTHERS = {
    "an output was written by somebody else": lambda: write_again(Path("out/a.csv")),
    "an input changed": lambda: write_again(Path("in/a.csv")),
    "the record is gone": lambda: Path("out/.streamnorm.resume").unlink(),
    "the record is damaged": lambda: Path("out/.streamnorm.resume").write_bytes(b"\xff[1,\n{}\nnull"),
    "the state is another": lambda: sn.fit("in/a.csv", state="s.json", overwrite=True),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_of_this_job_is_refused(what, capsys):
    words = JOBS["a folder"].split()
    assert streamnorm(capsys, *words).code == 0
    OTHERS[what]()
    before = outputs()
    done = streamnorm(capsys, *words, "--resume")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "out/a.csv exists, and is not from a" in done.err
    assert outputs() == before


def test_a_new_file_is_all_that_is_left(capsys):
    words = JOBS["a folder"].split()
    assert streamnorm(capsys, *words).code == 0
    before = outputs()
    Path("in/d.csv").write_text("x\n8\n")
    assert streamnorm(capsys, *words, "--resume").code == 0
    assert before.items() < outputs().items()
    assert set(outputs()) - set(before) == {"out/d.csv"}


def test_the_record_does_not_grow_and_is_no_data(capsys):
    for _ in range(4):
        assert streamnorm(capsys, "run", "in", "--output", "out", "--overwrite").code == 0
    lines = [line for line in Path("out/.streamnorm.resume").read_text().splitlines() if line]
    assert len(lines) == 6  # these, and those that they replaced
    assert len(sn.fit("out", state="o.json").sources_) == 3
    failed = streamnorm(capsys, "transform", "s.json", "in", "in/none.csv", "--output", "new")
    assert (failed.code, Path("new").exists()) == (1, False)
