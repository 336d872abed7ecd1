"""Remedies that fit: names with commas and equal signs, options given twice, what may not be read or has no name."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import SourceError
from streamnorm.files import naming


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text('x,p=q,"a,b",y,"say ""so"""\n1,2,3,1,5\n4,5,7,2,6\n2,9,1,2,7\n')


COLUMNS = {
    "--columns x --columns y": ["x", "y"],
    "--columns x,y": ["x", "y"],
    "--columns x,y --columns p=q": ["x", "p=q", "y"],
    '--columns "a,b"': ["a,b"],
    '--columns x,"a,b" --columns y': ["x", "a,b", "y"],
    '--columns say_"so"': ['say "so"'],
    '--exclude "a,b" --exclude x,y': ["p=q", 'say "so"'],
    '--exclude "a,b",x --exclude y': ["p=q", 'say "so"'],
    "--by y --columns x": ["x"],
    '--by y --by x --columns "a,b"': ["a,b"],
}


@pytest.mark.parametrize("words", COLUMNS)
def test_columns_are_named_as_often_and_as_wanted(words, capsys):
    given = [word.replace("_", " ") for word in words.split()]
    done = streamnorm(capsys, "fit", "t.csv", "--state", "s.json", *given)
    assert done.code == 0, done.err
    assert list(sn.load("s.json").learnt.types) == COLUMNS[words]


@pytest.mark.parametrize("name", ["p=q", "a,b", "x", 'say "so"'])
def test_scale_splits_at_the_last_equals(name, capsys):
    done = streamnorm(capsys, "fit", "t.csv", "--state", "s.json", "--scale", f"{name}=minmax", "--columns", "y")
    assert done.code == 0, done.err
    rules = {column: group.rule.rule.name for column, (group, _) in sn.load("s.json").learnt.columns().items()}
    assert rules == {name: "minmax", "y": "standard"}


def test_a_name_that_is_no_utf8_is_to_be_changed(capsys):
    for suffix in (b"csv", b"parquet", b"arrow"):
        name = os.fsdecode(b"bad\xff." + suffix)
        Path(name).write_bytes(b"x\n1\n")
        done = streamnorm(capsys, "fit", name, "--state", "s.json")
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert done.err.startswith("error: bad")
        assert "has a name that is no UTF-8 text: rename it." in done.err


@pytest.mark.parametrize("opened", [lambda path: pa.OSFile(str(path)), lambda path: path.open("rb"), os.scandir])
def test_permission_denied_says_so(opened, monkeypatch):
    path = Path("t.csv")
    if os.geteuid() == 0:  # who may read everything

        def opened(path):
            raise PermissionError(13, "Permission denied", str(path))

    path.chmod(0)
    with pytest.raises(SourceError, match=r"^t\.csv may not be read: permission is denied; ask for it"), naming(path):
        opened(path)


def test_lines_before_the_header_name_the_option_that_skips_them(capsys):
    Path("p.csv").write_text("a report\nmade today\n\nx,y,z\n1,2,3\n4,5,6\n")
    done = streamnorm(capsys, "fit", "p.csv", "--state", "s.json")
    assert (done.code, "(--skip-rows), or give another delimiter (--delimiter)" in done.err) == (1, True)
    assert streamnorm(capsys, "fit", "p.csv", "--state", "s.json", "--skip-rows", "3").code == 0
