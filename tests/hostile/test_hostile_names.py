"""Names that lead elsewhere or hold what terminals obey, and folders that nothing can be written to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hostile import contents, failure
from shell import streamnorm

GOOD = "x,t\n1,a\n3,b\n"
#: A line end, a code that turns a terminal red, and one that rings it.
ODD = "b\n\x1b[31m\x07c.csv"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "in").mkdir(parents=True)
    (here / "in" / "a.csv").write_text(GOOD)
    (tmp_path / "elsewhere.csv").write_text(GOOD)
    monkeypatch.chdir(here)
    return tmp_path


@pytest.mark.parametrize("pattern", ["*/../../*.csv", "i*/../../else*", "**/../../elsewhere.csv"])
def test_no_output_leaves_its_folder(pattern, folder, capsys):
    assert streamnorm(capsys, "fit", "in", "--state", "known.json").code == 0
    before = contents(folder)
    for words in (("run", pattern, "--state", "s.json"), ("transform", "known.json", pattern)):
        line = failure(streamnorm(capsys, *words, "--output", "out/", "--overwrite"))
        assert "elsewhere.csv" in line
        assert "outside out" in line
        assert contents(folder) == before


def test_dots_before_a_wildcard_lead_nowhere_else(folder, capsys):
    done = streamnorm(capsys, "run", "in/../../*.csv", "--output", "out/", "--state", "s.json", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert [str(p) for p in Path("out").rglob("*.csv")] == ["out/elsewhere.csv"]
    assert (folder / "elsewhere.csv").read_text() == GOOD


def test_a_link_that_leads_out_is_read_and_its_output_stays_inside(folder, capsys):
    (Path("in") / "link.csv").symlink_to(folder / "elsewhere.csv")
    (Path("in") / "folder").symlink_to(folder, target_is_directory=True)
    assert streamnorm(capsys, "run", "in", "--output", "out", "--state", "s.json", "--quiet").code == 0
    assert sorted(str(p) for p in Path("out").rglob("[!.]*")) == ["out/a.csv", "out/link.csv"]
    assert not (Path("out") / "link.csv").is_symlink()
    assert (folder / "elsewhere.csv").read_text() == GOOD


def test_an_odd_name_is_kept(folder, capsys):
    (Path("in") / ODD).write_text(GOOD)
    assert streamnorm(capsys, "run", "in", "--output", "out", "--state", "s.json", "--quiet").code == 0
    assert sorted(p.name for p in Path("out").glob("[!.]*")) == ["a.csv", ODD]


def test_an_odd_name_sends_no_codes_to_the_terminal(folder, capsys):
    before = contents(folder)
    assert "no file matches" in failure(streamnorm(capsys, "fit", ODD, "--state", "s.json"))
    (Path("in") / ODD).write_text("x,t\n1\n")
    assert "row 1" in failure(streamnorm(capsys, "fit", "in", "--state", "s.json"))
    (Path("in") / ODD).unlink()
    assert contents(folder) == before


@pytest.fixture
def locked(folder, monkeypatch):
    """A folder whose files cannot be listed and looked at, as if this were not root."""
    (Path("in") / "sub").mkdir()
    (Path("in") / "sub" / "a.csv").write_text(GOOD)
    (Path("in") / "open").mkdir()
    (Path("in") / "open" / "a.csv").write_text(GOOD)

    def refusing(call, below):
        def refuse(path=".", *words, **options):
            if isinstance(path, (str, Path)) and (Path(path).parent if below else Path(path)).name == "sub":
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *words, **options)

        return refuse

    monkeypatch.setattr(os, "scandir", refusing(os.scandir, below=False))
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), below=True))


@pytest.mark.parametrize("pattern", ["in/*/*.csv", "in/**/*.csv", "**/*.csv", "*/*/*", "in/*/a.csv", "in/**/a.csv",
                                     "in/s*", "../*/in/*/*.csv", "in/**", "[i]n/sub/a.csv"])  # fmt: skip
def test_a_pattern_passes_over_no_folder_that_cannot_be_listed(pattern, locked, capsys):
    line = failure(streamnorm(capsys, "fit", pattern, "--state", "s.json"))
    assert "sub" in line
    assert "denied" in line
    assert not Path("s.json").exists()


@pytest.mark.parametrize("pattern", ["in/*.csv", "in/o*/*.csv", "in/open/*", "in/o*/a.csv"])
def test_a_pattern_that_does_not_look_there(pattern, locked, capsys):
    assert streamnorm(capsys, "fit", pattern, "--state", "s.json").code == 0
    assert "no file matches" in failure(streamnorm(capsys, "fit", "in/o*/none.csv", "--state", "t.json"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only /proc refuses files to every user")
@pytest.mark.parametrize(
    "words",
    [
        (["run", "transform known.json"], "--output", "/proc/out.csv"),
        (["fit", "fit --update"], "--state", "/proc/s.json"),
    ],
)
def test_a_folder_that_cannot_be_written_to(words, folder, capsys):
    assert streamnorm(capsys, "fit", "in", "--state", "known.json").code == 0
    before = contents(folder)
    for job in words[0]:
        line = failure(streamnorm(capsys, *job.split(), "in/a.csv", *words[1:]))
        assert f"{words[2]} cannot be written" in line
        assert "choose another place" in line
        assert contents(folder) == before
