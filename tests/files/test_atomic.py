"""A file that replaces another is what that was: who may read it, whose it is, where a link leads; long names too."""

import errno
import os
import stat

import pyarrow as pa
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import StateError
from streamnorm.files import beside, replacing

posix = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
TABLE = pa.table({"x": [1.0, 2.0, 4.0]})


def write(path):
    with replacing(path) as temporary:
        temporary.write_text("new")


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660, 0o400, 0o755])
def test_the_mode_stays(mode, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == mode
        temporary.chmod(mode | 0o200)  # for writing, where this is not done by root
        temporary.write_text("new")
        temporary.chmod(mode)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


@posix
def test_a_new_file_has_the_mode_of_any(tmp_path):
    write(tmp_path / "file")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    write(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o640)


@posix
def test_another_group_may_not_read_what_the_first_might(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    mine = path.stat()

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    fstat = os.fstat
    monkeypatch.setattr(
        os, "fstat", lambda handle: os.stat_result((*fstat(handle)[:5], mine.st_gid + 1, *fstat(handle)[6:]))
    )
    write(path)
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(there, tmp_path):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "target", tmp_path / "link"
    link.symlink_to(target)
    if there:
        target.write_text("old")
        target.chmod(0o600)
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    if there:
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "link", "target"]


@posix
def test_a_state_keeps_mode_and_link(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    (tmp_path / "b.csv").write_text("x\n7\n")
    state, link = tmp_path / "s.json", tmp_path / "link.json"
    assert not streamnorm(capsys, "fit", tmp_path / "a.csv", "--state", state).code
    state.chmod(0o600)
    link.symlink_to(state)
    assert not streamnorm(capsys, "fit", tmp_path / "b.csv", "--state", link, "--update").code
    assert link.is_symlink()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert len(sn.load(state).sources_) == 2


@pytest.mark.parametrize("letter", ["a", "ä", "漢"])
@pytest.mark.parametrize("length", [200, 233, 234, 235, 240, 247, 249, 255])
def test_names_up_to_what_the_file_system_has(letter, length, tmp_path, capsys):
    stem = letter * ((length - len(".json")) // len(letter.encode()))
    state, output = tmp_path / f"{stem}.json", tmp_path / f"{stem[: len(stem) - 2]}.csv"
    (tmp_path / "in.csv").write_text("x\n1\n2\n4\n")
    words = ["--state", state, "--keep-parts"]
    assert not streamnorm(capsys, "fit", tmp_path / "in.csv", *words).code
    assert not streamnorm(capsys, "transform", state, tmp_path / "in.csv", "--output", output).code
    assert not streamnorm(capsys, "transform", state, tmp_path / "in.csv", "--output", output, "--overwrite").code
    assert not streamnorm(capsys, "forget", state, tmp_path / "in.csv").code
    hidden = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert [name.endswith(".resume") for name in hidden] == [True]
    assert {path.name for path in tmp_path.iterdir()} - {*hidden} == {"in.csv", state.name, output.name}


def test_names_that_are_cut_are_told_apart(tmp_path):
    long = "x" * 250
    one, two = (beside(tmp_path / f"{long}{end}", ".", ".resume") for end in "ab")
    assert one != two
    assert len(one.name) == len(two.name) == 255
    assert beside(tmp_path / "s.json", "", ".parts").name == "s.json.parts"


def test_a_state_of_zeros_is_refused_by_its_first_bytes(tmp_path):
    path = tmp_path / "s.json"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(StateError, match="is no state file: it is not JSON"):
        sn.load(path)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "Permission denied; ask for the permission, or choose another place."),
        (errno.EPERM, "Operation not permitted; ask for the permission, or choose another place."),
        (errno.EROFS, "Read-only file system; choose another place."),
        (errno.ENOSPC, "No space left on device; make room, or choose another place."),
        (errno.EMFILE, "Too many open files; close files, or allow more of them (ulimit -n)."),
        (errno.ENAMETOOLONG, "File name too long; choose a shorter name."),
    ],
)
@pytest.mark.parametrize("kind", ["state", "out.parquet", "out.csv", "out.arrow"])
def test_the_remedy_fits_why_it_cannot_be_written(tmp_path, monkeypatch, capsys, number, remedy, kind):
    (tmp_path / "in.csv").write_text("x\n1\n2\n")
    target = tmp_path / kind
    words = ["fit", tmp_path / "in.csv", "--state"] if kind == "state" else ["run", tmp_path / "in.csv", "--output"]

    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("streamnorm.files.atomic._claim", refuse)
    ended = streamnorm(capsys, *words, target)
    assert (ended.code, ended.err) == (1, f"error: {target} cannot be written: {remedy}\n")
    assert not target.exists()
