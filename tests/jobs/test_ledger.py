"""Who a file was: it is itself by whatever path, and two that are there count twice, with a warning."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kept import parts_of
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import CountedTwiceWarning
from streamnorm.jobs import merge

DAYS = {"a.csv": "x\n1\n2\n", "b.csv": "x\n5\n", "sub/c.csv": "x\n7\n8\n9\n"}


def write(folder, days=DAYS):
    for name, text in days.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(autouse=True)
def feed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("feed")
    assert streamnorm(capsys, "fit", "feed", "--state", "s.json", "--keep-parts").code == 0


def renamed() -> str:
    Path("feed").rename("feed_2024")
    return "feed_2024"


def linked() -> str:
    Path("feed").rename("there")
    Path("link").symlink_to("there")
    return "link"


def by_a_link_to_it() -> str:
    Path("link").symlink_to("feed")
    return "link"


def from_elsewhere() -> str:
    folder = str(Path("feed").resolve())
    Path("elsewhere").mkdir()
    shutil.move("s.json", "elsewhere")
    shutil.move("s.json.parts", "elsewhere")
    os.chdir("elsewhere")
    return folder


def from_inside() -> str:
    shutil.move("s.json", "feed")
    shutil.move("s.json.parts", "feed")
    os.chdir("feed")
    return "."


def one_file_in_a_new_folder() -> str:
    Path("feed/2024").mkdir()
    Path("feed/a.csv").rename("feed/2024/first.csv")
    return "feed"


def hard_links() -> str:
    shutil.copytree("feed", "hard", copy_function=os.link)
    return "hard"


MOVES = [renamed, linked, by_a_link_to_it, from_elsewhere, from_inside, one_file_in_a_new_folder, hard_links,
         lambda: str(Path("feed").resolve())]  # fmt: skip


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_a_file_is_itself_by_whatever_path(move, capsys):
    before = sn.load("s.json")
    folder = move()
    done = streamnorm(capsys, "verify", "s.json", folder)
    assert done.code == 0, done.err
    for words in (["--update", "--quiet"], ["--update"], ["--rebuild"]):
        done = streamnorm(capsys, "fit", folder, "--state", "s.json", *words)
        assert (done.code, "warning" in done.err) == (0, False), done.err
        after = sn.load("s.json")
        assert after == before
        assert [s.rows for s in sorted(after.sources_, key=lambda s: s.rows)] == [1, 2, 3]
    assert len(parts_of("s.json")) == 3
    write(folder, {"new.csv": "x\n100\n"})
    assert streamnorm(capsys, "fit", folder, "--state", "s.json", "--update").code == 0
    assert sn.load("s.json") == before + sn.TableNormalizer().fit(pa.table({"x": [100.0]}))
    assert streamnorm(capsys, "forget", "s.json", f"{folder}/new.csv").code == 0
    assert sn.load("s.json") == before


def test_a_move_is_told(capsys):
    done = streamnorm(capsys, "fit", renamed(), "--state", "s.json", "--update")
    assert done.err.splitlines() == [
        "note: feed_2024/a.csv was counted as feed/a.csv (so it is with 3 files): it goes by its new path, and is not "
        "counted again",
        "s.json: 0 new sources, 0 rows; in all 1 column, 3 sources, 6 rows",
    ]
    assert [s.location for s in sn.load("s.json").sources_] == [f"feed_2024/{name}" for name in DAYS]
    done = streamnorm(capsys, "fit", "feed_2024", "--state", "s.json", "--update")
    assert "note" not in done.err


def test_what_was_moved_can_be_forgotten_by_its_new_path(capsys):
    Path("feed/a.csv").rename("moved.csv")
    Path("feed/b.csv").rename("gone.csv")
    assert streamnorm(capsys, "forget", "s.json", "moved.csv", "gone.csv").code == 0
    assert sn.load("s.json") == sn.fit("feed")
    done = streamnorm(capsys, "forget", "s.json", "moved.csv")
    assert "has counted nothing of moved.csv" in done.err


# ---- two that are both there ----


@pytest.mark.filterwarnings("always::streamnorm.errors.CountedTwiceWarning")
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_two_that_are_both_there_count_twice_with_a_warning(capsys, quiet):
    shutil.copy("feed/a.csv", "feed/copy.csv")
    done = streamnorm(capsys, "fit", "feed", "--state", "s.json", "--update", *quiet)
    words = "warning: feed/copy.csv has the content of feed/a.csv, which {}: now its rows count twice."
    assert done.err.splitlines()[0] == words.format("was counted before")
    assert len(done.err.splitlines()) == 2 - len(quiet)
    assert sum(s.rows for s in sn.load("s.json").sources_) == 8
    done = streamnorm(capsys, "fit", "feed", "--state", "t.json", *quiet)
    assert done.err.splitlines()[0] == words.format("is counted too")
    done = streamnorm(capsys, "run", "feed", "--output", "out", "--state", "u.json", *quiet)
    assert done.err.splitlines()[0] == words.format("is counted too")
    for i in range(30):
        shutil.copy("feed/a.csv", f"feed/more{i}.csv")
    done = streamnorm(capsys, "fit", "feed", "--state", "v.json", *quiet)
    assert done.err.count("warning: ") == 1
    assert "(so it is with 31 files)" in done.err


def test_copies_are_warned_of_in_python_and_where_states_are_merged():
    shutil.copytree("feed", "copies")
    with pytest.warns(CountedTwiceWarning, match=r"feed/a\.csv has the content of copies/a\.csv"):
        sn.fit(["feed", "copies"], state="t.json")
    sn.fit("copies", state="u.json")
    with pytest.warns(CountedTwiceWarning, match=r"feed/a\.csv has the content of copies/a\.csv"):
        merge(["s.json", "u.json"], "m.json")


def test_files_without_rows_are_no_copies(recwarn):
    for name in ("e.parquet", "f.parquet"):
        pq.write_table(pa.table({"x": pa.array([], pa.float64())}), f"feed/{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sn.fit("feed", state="s.json", update=True)


def test_another_content_under_a_new_name_is_new(capsys):
    Path("feed/b.csv").rename("feed/z.csv")
    Path("feed/z.csv").write_text("x\n6\n")
    done = streamnorm(capsys, "fit", "feed", "--state", "s.json", "--update")
    assert (done.code, "feed/b.csv was counted and is no longer there" in done.err) == (1, True)
