"""A folder is read whole, or says what it passed over; a lake table's folder is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import SourceError

pytestmark = pytest.mark.filterwarnings("ignore::streamnorm.errors.CountedTwiceWarning")  # the files are all alike

TABLE = pa.table({"x": [1.0, 2.0, 4.0]})


def write(*places):
    for place in map(Path, places):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix == ".csv":
            place.write_text("x\n1\n2\n4\n")
        else:
            pq.write_table(TABLE, place)


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def notes(capsys, *words):
    done = streamnorm(capsys, *words)
    assert done.code == 0, done.err
    return [line.removeprefix("note: ") for line in done.err.splitlines() if line.startswith("note: ")]


# ---- what lies beside ----

SILENT = ["_SUCCESS", ".day1.csv.crc", "README.md", "readme", "LICENSE", "meta.json", "day1.csv.crc", "a.md5", "x.yaml",
          ".hidden/x.csv", "_tmp/x.csv", "_tmp/y.bin"]  # fmt: skip
TOLD = ["day3.txt", "x.parq", "a.orc", "a.jsonl", "upload.csv.tmp", "sub/table.xlsx", "pipe"]


@pytest.mark.parametrize("words", [["in"], ["in/*", "in/*/*"]])
def test_what_is_not_read_is_named_in_one_note(tmp_path, capsys, words):
    write("in/day1.csv", "in/sub/day2.csv")
    for name in SILENT + (TOLD if words == ["in"] else TOLD[:0]):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path) if name == "pipe" else path.write_text("x\n1\n")
    told = notes(capsys, "fit", *words, "--state", "s.json")
    assert len(sn.load("s.json").sources_) == 2
    if words == ["in"]:
        assert told == [f"in holds 7 files that are not read, by their names: {', '.join(sorted(TOLD))}"]
        assert notes(capsys, "fit", *words, "--state", "s.json", "--update", "--quiet") == []
    else:
        assert told == []


def test_a_note_names_ten(capsys):
    write("in/day1.csv")
    for i in range(13):
        Path(f"in/{i:02}.txt").write_text("x")
    (told,) = notes(capsys, "fit", "in", "--state", "s.json")
    assert told.endswith("03.txt, 04.txt, 05.txt, 06.txt, 07.txt, 08.txt, 09.txt and 3 more")


# ---- links ----


def test_linked_folders_are_followed_once_and_loops_are_not(tmp_path):
    write("in/a.csv", "in/sub/b.csv", "other/c.csv", "other/deep/d.csv", "beside.csv")
    Path("in/linked").symlink_to(tmp_path / "other")
    Path("in/sub/again").symlink_to("../../other")
    Path("in/sub/up").symlink_to("..")
    Path("in/upper").symlink_to(tmp_path)
    Path("other/back").symlink_to(tmp_path / "in")
    Path("in/a_link.csv").symlink_to("a.csv")
    Path("in/0_sub").symlink_to("sub")
    found = sn.fit("in", state="s.json").sources_
    assert [s.location for s in found] == ["in/a.csv", "in/linked/c.csv", "in/linked/deep/d.csv", "in/sub/b.csv"]
    assert sum(s.rows for s in found) == 12


@pytest.mark.parametrize("words", ["in", "in/*.csv", "in/*", "in/link.csv"])
def test_a_link_that_leads_nowhere_is_an_error(words):
    write("in/a.csv")
    Path("in/link.csv").symlink_to("gone.csv")
    with pytest.raises(
        SourceError, match=r"in/link.csv is a link to gone.csv, which is not there: restore that, or rem"
    ):
        sn.fit(words)


def test_a_link_of_another_kind_that_leads_nowhere_is_named(capsys):
    write("in/a.csv")
    Path("in/link.txt").symlink_to("gone.txt")
    assert notes(capsys, "fit", "in", "--state", "s.json") == [
        "in holds 1 file that is not read, by its name: link.txt"
    ]


# ---- tables that change ----

LAKES = {
    "a Delta table": "_delta_log/00000000000000000000.json",
    "an Iceberg table": "metadata/v1.metadata.json",
    "a Hudi table": ".hoodie/hoodie.properties",
    "a Lance table": "_versions/1.manifest",
    "a DuckLake table": "data/ducklake-0197-delete.parquet",
    "a Paimon table": "snapshot/snapshot-1",
}


def sides(*given):
    """Give each way to name a lake table, but for the folder of a Delta table, which is followed."""
    return [(kind, name) for kind in LAKES for name in given if (kind, name) != ("a Delta table", "lake/t")]


@pytest.mark.parametrize(("kind", "given"), sides("lake/t", "lake", "lake/t/data", "lake/t/data/*.parquet"))
def test_a_lake_table_of_a_store_is_refused_too(kind, given, tmp_path, capsys):
    """Every file system of Arrow is listed by the same code: that of this machine stands for a store."""
    write("lake/t/a.parquet", "lake/t/data/b.parquet")
    sign = Path("lake/t", LAKES[kind])
    sign.parent.mkdir(parents=True, exist_ok=True)
    sign.write_text("{}")
    done = streamnorm(capsys, "fit", f"{tmp_path.as_uri()}/{given}", "--state", "s.json")
    assert done.code == 1
    assert f"is {kind}: only its log says" in done.err
    assert not Path("s.json").exists()


@pytest.mark.parametrize(
    ("kind", "given"), sides("lake/t", "lake", "lake/t/data", "lake/t/data/*.parquet", "lake/*", "lake/t/d*", "link")
)
def test_a_lake_table_is_refused_from_every_side(kind, given, capsys):
    write("lake/t/a.parquet", "lake/t/data/b.parquet", "lake/t/day.parquet")
    sign = Path("lake/t", LAKES[kind])
    sign.parent.mkdir(exist_ok=True)
    sign.write_text("{}")
    Path("link").symlink_to("lake/t/data")
    done = streamnorm(capsys, "fit", given, "--state", "s.json")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"is {kind}: only its log says which of the files and rows in it count; name " in done.err
    assert not Path("s.json").exists()
    assert sn.fit(["lake/t/a.parquet", "lake/t/data/b.parquet"]) == sn.TableNormalizer().fit(
        pa.concat_tables([TABLE, TABLE])
    )


def test_a_lance_folder_is_refused_by_its_name():
    write("all/t.lance/data/a.parquet")
    for given in ("all", "all/t.lance", "all/t.lance/data"):
        with pytest.raises(SourceError, match="is a Lance table"):
            sn.fit(given)


def test_folders_of_like_names_are_no_tables():
    write("metadata/a.parquet", "snapshot/b.parquet", "in/metadata/c.parquet", "in/manifest/d.parquet")
    Path("in/metadata/about.json").write_text("{}")
    assert len(sn.fit(["metadata", "snapshot", "in"], state="s.json").sources_) == 4


# ---- outputs of inputs that are gone ----


def test_outputs_of_inputs_that_are_gone_are_named(capsys):
    write("in/a.csv", "in/b.csv", "in/sub/c.csv")
    assert notes(capsys, "run", "in", "--output", "out") == []
    Path("in/b.csv").unlink()
    Path("in/sub/c.csv").unlink()
    assert notes(capsys, "run", "in", "--output", "out", "--overwrite") == [
        "out holds 2 files that none of these inputs gives, as one that is gone may have: b.csv, sub/c.csv; remove "
        "what is not wanted"
    ]
    write("in/d.csv")
    Path("in/a.csv").unlink()
    assert notes(capsys, "run", "in", "--output", "out") == []  # nothing is written again
