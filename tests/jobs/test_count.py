"""Exactly once: a growing folder is counted as one fit of all of it, whatever changes, goes or runs beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import crashes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kept import parts_of
from reading import on_reading
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import OutputError, SourceError, StateError
from streamnorm.formats.parquet.writer import Rewriter
from streamnorm.inputs.expand import expand
from streamnorm.jobs.count import count
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.work import table_of
from streamnorm.states.file import read
from streamnorm.states.holding import holding

HOUR = 3_600_000_000_000


def write_day(folder: Path, day: int, *more: float) -> Path:
    """Write a day's file, as if a while ago: what is younger than the state is always read again."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{day}.parquet"
    pq.write_table(pa.table({"x": [1.0, day + 2.5, None, *more]}), path)
    age(path)
    return path


def age(path: Path, hours: int = 1) -> None:
    now = (path.parent / "..").stat().st_mtime_ns
    os.utime(path, ns=(now - hours * HOUR, now - hours * HOUR))


def learnt(folder: Path) -> str:
    """What one fit of all that is there learns."""
    return sn.fit(folder).digest()


@pytest.fixture
def job(tmp_path, monkeypatch, capsys):
    """Two days in a folder, and what fits them."""
    monkeypatch.chdir(tmp_path)
    for day in range(2):
        write_day(tmp_path / "in", day)

    def fit(*words: str):
        return streamnorm(capsys, "fit", "in", "--state", "s.json", *words)

    return fit


def test_an_update_reads_only_what_is_new(job, tmp_path):
    assert job().code == 0
    counted = tmp_path / "in" / "0.parquet"
    good, stamp = counted.read_bytes(), counted.stat().st_mtime_ns
    write_day(tmp_path / "in", 2)
    expected = learnt(tmp_path / "in")
    counted.write_bytes(b"x" * len(good))  # would be an error if anyone looked
    os.utime(counted, ns=(stamp, stamp))
    done = job("--update")
    assert (done.code, done.err) == (0, "s.json: 1 new source, 3 rows; in all 1 column, 3 sources, 9 rows\n")
    assert sn.load("s.json").digest() == expected
    before = Path("s.json").read_bytes()
    assert job("--update").code == 0
    assert Path("s.json").read_bytes() == before


def test_a_state_is_not_replaced_unless_that_is_asked_for(job, tmp_path):
    assert job().code == 0
    before = Path("s.json").read_bytes()
    with pytest.raises(OutputError, match=r"s\.json exists: add to it \(update\), replace it \(overwrite\)"):
        sn.fit(tmp_path / "in" / "0.parquet", state="s.json")
    assert Path("s.json").read_bytes() == before
    assert len(sn.fit(tmp_path / "in" / "0.parquet", state="s.json", overwrite=True).sources_) == 1
    sn.transform("s.json", tmp_path / "in" / "0.parquet", "out.parquet")  # a path stands for its state
    assert pq.read_table("out.parquet").equals(sn.load("s.json").transform(pq.read_table("in/0.parquet")))


@pytest.mark.skipif(bool(crashes.MISSING), reason=crashes.MISSING)
def test_an_update_does_not_open_what_was_counted(job, tmp_path):
    assert job().code == 0
    write_day(tmp_path / "in", 2)
    calls = crashes.calls(tmp_path, "fit in --state s.json --update --threads 1")
    opened = {call.path for call in calls if call.name in ("open", "openat", "read")}
    assert {path for path in opened if path.endswith(".parquet")} == {"in/2.parquet"}


def test_a_file_younger_than_the_state_is_compared_by_its_content(job, tmp_path):
    assert job().code == 0
    path = tmp_path / "in" / "0.parquet"
    data = path.read_bytes()
    path.write_bytes(data)  # the same, at another time
    before = read("s.json")
    assert job("--update").code == 0
    after = read("s.json")
    assert after.table == before.table
    assert after.sources[0].modified == path.stat().st_mtime_ns
    assert [vars(entry) | {"modified": 0} for entry in after.sources] == [
        vars(e) | {"modified": 0} for e in before.sources
    ]
    pq.write_table(pa.table({"x": [1.0, 2.25, None]}), path)
    assert path.stat().st_size == len(data)  # only the content tells
    assert "has changed" in job("--update").err


@pytest.mark.parametrize("how", ["changed", "vanished"])
@pytest.mark.parametrize("remedy", ["forget", "rebuild"])
@pytest.mark.parametrize("parts", [(), ("--keep-parts",)])
def test_what_changed_or_vanished_is_an_error_and_its_remedies_work(job, tmp_path, capsys, how, remedy, parts):
    assert job(*parts).code == 0
    path = tmp_path / "in" / "0.parquet"
    if how == "changed":
        write_day(tmp_path / "in", 0, 7.0)
    else:
        path.unlink()
    before = Path("s.json").read_bytes()
    refused = job("--update")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "in/0.parquet" in refused.err
    assert "--rebuild" in refused.err
    assert Path("s.json").read_bytes() == before
    if remedy == "rebuild":
        assert job("--rebuild").code == 0
    else:
        offered = re.search(r"streamnorm (forget s\.json [^),]*)", refused.err)
        assert (offered is not None) == bool(parts)
        done = streamnorm(capsys, *(offered[1] if offered else "forget s.json in/0.parquet").split())
        if not parts:
            assert (done.code, "--keep-parts" in done.err, "--rebuild" in done.err) == (1, True, True)
            assert Path("s.json").read_bytes() == before
            return
        assert done.code == 0
        assert sn.load("s.json").digest() == learnt(tmp_path / "in" / "1.parquet")
        assert job("--update").code == 0
    assert sn.load("s.json").digest() == learnt(tmp_path / "in")
    record = {part for entry in sn.load("s.json").sources_ for part in entry.part_names}
    assert (record <= set(parts_of("s.json"))) if parts else not parts_of("s.json")


@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust", "quantile"])
def test_a_part_is_taken_out_exactly_without_the_old_bytes(tmp_path, monkeypatch, capsys, scaler):
    monkeypatch.chdir(tmp_path)
    for day in range(3):
        write_day(tmp_path / "in", day, 100.0 * day)
    assert streamnorm(capsys, "fit", "in", "--state", "s.json", "--keep-parts", "--scaler", scaler).code == 0
    (tmp_path / "in" / "2.parquet").unlink()
    assert streamnorm(capsys, "forget", "s.json", "in/2.parquet").code == 0
    assert streamnorm(capsys, "fit", "in", "--state", "one.json", "--scaler", scaler).code == 0
    assert Path("s.json").read_bytes() == Path("one.json").read_bytes()


def test_the_same_content_under_another_name_is_warned_of(job, tmp_path):
    assert job().code == 0
    copy = tmp_path / "in" / "copy.parquet"
    copy.write_bytes((tmp_path / "in" / "0.parquet").read_bytes())
    with pytest.warns(UserWarning, match=r"copy\.parquet has the content of in/0\.parquet"):
        sn.fit("in", state="s.json", update=True)


def test_a_folder_that_cannot_be_listed_is_not_passed_over(job, tmp_path, monkeypatch):
    (tmp_path / "in" / "sub").mkdir()
    write_day(tmp_path / "in" / "sub", 3)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    refused = job()
    assert (refused.code, Path("s.json").exists()) == (1, False)
    assert "in/sub may not be read" in refused.err


def test_a_state_folder_that_cannot_be_reached_is_named_by_the_state(job, monkeypatch):
    is_dir = Path.is_dir

    def refuse_here(self):
        if self == Path():
            raise OSError(5, "Input/output error", str(self))
        return is_dir(self)

    monkeypatch.setattr(Path, "is_dir", refuse_here)
    refused = job()
    assert refused.code == 1
    assert (
        refused.err
        == "error: s.json cannot be written: Input/output error; see to the disk, or choose another place.\n"
    )


# ---- while it is read ----


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def replace(path: Path) -> None:
    path.with_suffix(".new").write_bytes(path.read_bytes())
    stamp = path.stat().st_mtime_ns
    os.utime(path.with_suffix(".new"), ns=(stamp, stamp))
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [append, rewrite, replace, Path.unlink])
@pytest.mark.parametrize("command", ["fit", "transform", "run"])
def test_a_file_that_changes_while_it_is_read_is_noticed(job, tmp_path, capsys, monkeypatch, change, command):
    assert job().code == 0
    write_day(tmp_path / "in", 2)
    words = {
        "fit": "fit in --state s.json --update",
        "transform": "transform s.json in/2.parquet --output out/2.parquet",
        "run": "run in/2.parquet --output out/2.parquet --state t.json",
    }[command]
    before, take = crashes.tree(tmp_path), Rewriter.take
    on_reading(monkeypatch, after=lambda path, _: change(path) if path.exists() else None)

    def take_and_change(self, items):
        if (path := tmp_path / "in" / "2.parquet").exists():
            change(path)
        return take(self, items)

    monkeypatch.setattr(Rewriter, "take", take_and_change)
    refused = streamnorm(capsys, *words.split(), "--threads", "1")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "2.parquet" in refused.err
    after = crashes.tree(tmp_path)
    assert {name for name in {*before, *after} if before.get(name, 0) != after.get(name, 0)} <= {"in/2.parquet"}


def test_the_error_of_a_file_that_changed_says_so(job, tmp_path, monkeypatch):
    on_reading(monkeypatch, lambda path, _: append(path))
    with pytest.raises(SourceError, match=r"0\.parquet changed while it was read: run this again"):
        sn.fit(tmp_path / "in" / "0.parquet")


CUT_SHORT = """
import os, sys
from streamnorm.inputs import expand
(source,) = expand(sys.argv[1])
(unit,) = source.units()
batches = source.read(unit)
rows = next(batches).num_rows
os.truncate(source.path, 10_000)
print(rows, sum(batch.num_rows for batch in batches))
"""


def test_a_file_cut_short_between_two_batches_does_not_end_the_process(tmp_path):
    path = tmp_path / "x.parquet"  # a memory map of it would, by a signal
    pq.write_table(pa.table({"x": np.arange(900_000) % 100}), path, row_group_size=1 << 20)
    command = [sys.executable, "-P", "-c", CUT_SHORT, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stdout, told.stderr) == (0, "262144 637856\n", "")


# ---- two at once ----


def test_a_state_that_is_being_updated_is_refused_to_another_process(job, tmp_path):
    assert job().code == 0
    write_day(tmp_path / "in", 2)
    before = Path("s.json").read_bytes()
    with holding("s.json"):
        told = crashes.run(tmp_path, "fit in --state s.json --update")
    assert told.code == 1
    assert told.err == "error: s.json is being updated by another process: run this again when that is done.\n"
    assert Path("s.json").read_bytes() == before
    assert crashes.run(tmp_path, "fit in --state s.json --update").code == 0
    assert sn.load("s.json").digest() == learnt(tmp_path / "in")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust"])
def test_all_that_was_counted_can_be_taken_out(tmp_path, monkeypatch, capsys, scaler, at_once):
    monkeypatch.chdir(tmp_path)
    days = [str(write_day(Path("in"), day)) for day in range(2)]
    assert streamnorm(capsys, "fit", "in", "--state", "s.json", "--keep-parts", "--scaler", scaler).code == 0
    for given in [days] if at_once else [[day] for day in days]:
        done = streamnorm(capsys, "forget", "s.json", *given)
        assert done.code == 0, done.err
    assert sn.load("s.json").learnt.groups[0].summary.counts.rows.tolist() == [0]
    assert sn.fit("in", state="s.json", update=True) == sn.fit("in", sn.TableNormalizer(scaler))


@pytest.mark.parametrize("keep_parts", [False, True])
def test_of_two_that_begin_a_state_one_wins_and_keeps_its_parts(job, tmp_path, monkeypatch, keep_parts):
    told: list[str] = []

    def meet(path, columns):
        undo()
        try:
            sn.fit("in", state="s.json", keep_parts=keep_parts)
        except StateError as error:
            told.append(str(error))

    undo = on_reading(monkeypatch, meet)
    try:
        count(
            Path("s.json"),
            ["in"],
            expand("in"),
            table_of(),
            how="new",
            chosen=False,
            keep_parts=keep_parts,
            effort=Effort(1),
        )
    except StateError as error:
        told.append(str(error))
    assert len(told) == 1
    assert sn.load("s.json").digest() == learnt(tmp_path / "in")
    assert len(parts_of(tmp_path / "s.json")) == 2 * keep_parts


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["", "--keep-parts"])
def test_of_many_processes_that_update_one_state_none_loses_what_it_was_told_is_counted(job, tmp_path, parts):
    assert job(*parts.split()).code == 0
    days = range(2, 6)
    words = {day: f"fit in/{day}.parquet --state s.json --update {parts}" for day in days}
    for day in days:
        write_day(tmp_path / "in", day)
    left, rounds = set(days), 0
    while left:
        running = {day: crashes.start(tmp_path, words[day]) for day in left}
        ended = {day: crashes.finish(process) for day, process in running.items()}
        done = {day for day, end in ended.items() if end.code == 0}
        assert done, [end.err for end in ended.values()]
        for day in left - done:
            assert re.search(r"error: s\.json.* (is being updated|was written) by another process", ended[day].err)
        left, rounds = left - done, rounds + 1
        counted = {entry.location for entry in sn.load("s.json").sources_}
        assert counted == {f"in/{day}.parquet" for day in {0, 1, *days} - left}
    assert sn.load("s.json").digest() == learnt(tmp_path / "in")
    assert len(parts_of(tmp_path / "s.json")) == (6 if parts else 0)


def test_a_part_is_not_tidied_away_under_another_process(job, tmp_path):
    assert job("--keep-parts").code == 0
    write_day(tmp_path / "in", 2)
    handle = os.open("s.json.parts", os.O_RDONLY)
    try:
        from streamnorm.files.locks import lock

        assert lock(handle, wait=False)
        told = crashes.run(tmp_path, "fit in --state s.json --update")
    finally:
        os.close(handle)
    assert told.err == "error: s.json.parts is being updated by another process: run this again when that is done.\n"


def test_parts_left_by_a_crash_do_not_begin_the_keeping_of_parts(job, tmp_path):
    assert job().code == 0
    write_day(tmp_path / "in", 2)
    (tmp_path / "s.json.parts").mkdir()
    left = tmp_path / "s.json.parts" / f"{'0' * 32}-{'0' * 16}.json"
    left.write_text("left by a process that was killed")
    assert job("--update").code == 0
    assert not (tmp_path / "s.json.parts").exists()
