"""Folders that files arrive in: those that are complete are counted once, and their copies written once."""

from __future__ import annotations

import signal
import threading
import time

import crashes
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, SourceError, StateError, StreamnormError

PARTS = [pa.table({"x": [float(i), i / 7, None], "shop": ["a", "b", "c"]}) for i in range(6)]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def put(place, number: int, name: str = ""):
    """Let a file arrive, as programs should: under its name when it is complete."""
    path = place / "in" / (name or f"{number}.parquet")
    path.parent.mkdir(exist_ok=True)
    pq.write_table(PARTS[number], path.with_name(".new"))
    path.with_name(".new").rename(path)
    return path


def fit(*numbers: int):
    return sn.TableNormalizer().fit(pa.concat_tables([PARTS[number] for number in numbers]))


def follow(place, **choices):
    return sn.follow(place / "in", state=place / "s.json", **{"once": True, **choices})


def test_each_file_counts_once_and_is_written_once(place):
    put(place, 0)
    assert follow(place, output=place / "out") == fit(0)
    put(place, 1, "deeper/1.parquet")
    first = (place / "out" / "0.parquet").stat()
    assert follow(place, output=place / "out") == fit(0, 1)
    assert (place / "out" / "0.parquet").stat() == first
    assert pq.read_table(place / "out" / "deeper" / "1.parquet") == fit(0, 1).transform(PARTS[1])
    state = (place / "s.json").stat()
    assert follow(place, output=place / "out") == fit(0, 1)
    assert (place / "s.json").stat() == state


def test_a_copy_that_a_crash_kept_from_being_written_is_written(place):
    put(place, 0)
    put(place, 1)
    assert follow(place) == fit(0, 1)
    follow(place, output=place / "out")
    assert pq.read_table(place / "out" / "0.parquet") == fit(0, 1).transform(PARTS[0])


def test_files_that_were_counted_may_go_and_move(place):
    paths = [put(place, number) for number in range(3)]
    follow(place)
    paths[0].unlink()
    paths[1].rename(place / "in" / "moved.parquet")
    put(place, 3)
    assert follow(place) == fit(0, 1, 2, 3)
    assert len(sn.load(place / "s.json").sources_) == 4


def test_a_file_that_was_counted_and_has_changed_is_an_error(place):
    put(place, 0)
    follow(place)
    put(place, 1, "0.parquet")
    with pytest.raises(DataError, match="has changed since it was counted"):
        follow(place)
    assert sn.load(place / "s.json") == fit(0)


def test_a_file_that_cannot_be_read(place, caplog):
    put(place, 0)
    (place / "in" / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(StreamnormError, match=r"bad\.parquet"):
        follow(place)
    assert not (place / "s.json").exists()
    assert follow(place, bad="skip", output=place / "out") == fit(0)
    assert "is passed over until it changes" in caplog.text
    assert [path.name for path in (place / "out").glob("*.parquet")] == ["0.parquet"]
    put(place, 2, "bad.parquet")
    assert follow(place, bad="skip", output=place / "out") == fit(0, 2)


def test_no_folder_and_no_file(place):
    with pytest.raises(SourceError, match="holds no Parquet"):
        follow(place)
    with pytest.raises(SourceError, match="there is no file"):
        sn.follow(place / "none", state=place / "s.json", once=True)
    assert follow(place, once=False, stop=lambda: True) is None


def test_choices_of_topics_are_refused(place):
    for choices in ({"format": "json"}, {"schema": "like.parquet"}, {"settings": "file"}):
        with pytest.raises(DataError, match="are about topics"):
            follow(place, **choices)
    with pytest.raises(DataError, match="that of a folder a folder"):
        follow(place, output="kafka://a:1/t")


def test_csv_is_read_as_the_state_remembers(place, capsys):
    (place / "in" / "a.csv").write_text("x;shop\n1,5;a\n")
    words = ["follow", place / "in", "--state", place / "s.json", "--once"]
    result = streamnorm(capsys, *words, "--delimiter", ";", "--decimal", ",", "--output", place / "out")
    assert (result.code, result.err.splitlines()[-1]) == (0, f"{place}/s.json: 1 file, 1 written")
    (place / "in" / "b.csv").write_text("x;shop\n2,5;b\n")
    assert streamnorm(capsys, *words).err.splitlines()[-1] == f"{place}/s.json: 1 file"
    assert streamnorm(capsys, *words).err.splitlines()[-1] == f"{place}/s.json: nothing new"
    assert sn.load(place / "s.json") == sn.TableNormalizer().fit(pa.table({"x": [1.5, 2.5]}))


# ---- while it runs ----


def wait_for(what, seconds=20):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_files_that_come_while_it_runs(place, caplog):
    """One grows for a while: it is looked at only when it has been the same for one look."""
    stop, failed = threading.Event(), []

    def run():
        try:
            follow(place, once=False, stop=stop.is_set, every=0.3, output=place / "out")
        except StreamnormError as error:
            failed.append(error)

    data = put(place, 5, "whole.parquet").read_bytes()
    (place / "in" / "whole.parquet").unlink()
    follower = threading.Thread(target=run)
    follower.start()
    try:
        for number in range(4):
            put(place, number)
            for end in range(0, len(data) // 2, 40):  # never still
                (place / "in" / "grows.parquet").write_bytes(data[: number * 40 + end])
                time.sleep(0.02)
        with pytest.raises(StateError, match="being updated by another process"):
            follow(place)
        (place / "in" / "grows.parquet").write_bytes(data)
        wait_for(lambda: failed or len(list((place / "out").rglob("*.parquet"))) == 5)
    finally:
        stop.set()
        follower.join()
    assert not failed
    assert sn.load(place / "s.json") == fit(0, 1, 2, 3, 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_in_order(place, number):
    put(place, 0)
    process = crashes.start(place, "follow in --state s.json --every 0.1 --output out")
    try:
        wait_for(lambda: (place / "out" / "0.parquet").exists())
        process.send_signal(number)
        ended = crashes.finish(process)
    finally:
        process.kill()
    assert (ended.code, ended.err) == (0, "s.json: 1 file, 1 written\n")
    assert sn.load(place / "s.json") == fit(0)


def test_killed_at_any_moment_it_ends_as_if_nothing_had_been(place):
    for number in range(6):
        put(place, number)
        process = crashes.start(place, "follow in --state s.json --every 0.05 --output out --threads 1 --quiet")
        time.sleep(0.55 + 0.07 * number)
        process.kill()
        crashes.finish(process)
    follow(place, output=place / "out")
    assert sn.load(place / "s.json") == fit(*range(6))
    assert len(sn.load(place / "s.json").sources_) == 6
    assert sorted(path.name for path in (place / "out").glob("*.parquet")) == [f"{i}.parquet" for i in range(6)]
