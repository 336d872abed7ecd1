"""What a column of CSV is, all its values in all files decide; and the options that say how files are written."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import random
import sys
from fractions import Fraction

import pyarrow as pa
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, SourceError
from streamnorm.formats.csv import pieces


def fit(capsys, folder, *words):
    state = folder.parent / "state.json"
    done = streamnorm(capsys, "fit", folder, "--state", state, "--overwrite", *words)
    return done, [line for line in done.err.splitlines() if line.startswith("note: ")]


# ---- decided by all values ----

ROWS = ["10501,1,2", "10502,2,x", "00501,3,4", "10503,4,5"]


@pytest.mark.parametrize("last", ["", "\n"])
def test_the_order_of_rows_and_the_last_newline_change_nothing(tmp_path, capsys, last):
    found = set()
    for order in itertools.permutations(ROWS):
        path = tmp_path / "in" / "a.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("zip,v,w\n" + "\n".join(order) + last)
        done, told = fit(capsys, tmp_path / "in")
        assert done.code == 0
        found.add((tmp_path / "state.json").read_bytes().partition(b'"sources"')[0])
        row = order.index("00501,3,4") + 1
        assert any(f"'zip' is left alone, as row {row} has '00501'" in note for note in told)
        row = order.index("10502,2,x") + 1
        assert any(f"'w' is left alone, as row {row} has 'x'" in note for note in told)
    assert list(sn.load(tmp_path / "state.json").learnt.types) == ["v"]
    assert len(found) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_found_late_is_found_in_every_order_of_files(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(pieces, "_FIRST", 64)
    monkeypatch.setattr(pieces, "_SIZE", 64)
    rows = [f"{i},{i}.5,{'x' if i == 90 else i},{'007' if i == 80 else 100 + i}" for i in range(100)]
    texts = {name: "a,b,c,d\n" + "\n".join(rows[at : at + 50]) for name, at in (("p.csv", 0), ("q.csv", 50))}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in texts]
    one, other = (sn.fit(order, threads=threads) for order in (paths, paths[::-1]))
    assert one == other
    assert dict(one.learnt.types) == dict(other.learnt.types) == {"a": "int64", "b": "double"}
    alone = sum(
        sn.fit(path, sn.TableNormalizer(columns=dict.fromkeys("ab", "standard"), default=None)) for path in paths
    )
    assert one.learnt == alone.learnt


def test_a_state_and_its_parts_know_only_what_is_left(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("x,y\n5,q\n6,7\n")
    state = tmp_path / "s.json"
    sn.fit([tmp_path / "a.csv", tmp_path / "b.csv"], state=state, keep_parts=True)
    assert list(sn.load(state).learnt.types) == ["x"]
    assert sn.load(state) == sn.fit([tmp_path / "b.csv", tmp_path / "a.csv"])


@pytest.mark.parametrize("order", list(itertools.permutations(["1", "2", "3", "abc"])))
def test_a_run_refuses_what_most_values_speak_against(tmp_path, capsys, order):
    (tmp_path / "in.csv").write_text("t,x\n" + "".join(f"a,{value}\n" for value in order))
    done = streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    row = order.index("abc") + 1
    assert (done.code, f"in.csv: column 'x', row {row}: expected a number, found 'abc'" in done.err) == (1, True)
    assert not (tmp_path / "out.csv").exists()


def test_an_update_refuses_text_and_codes(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    state = tmp_path / "s.json"
    sn.fit(tmp_path / "a.csv", state=state)
    before = state.read_bytes()
    for value, words in (("q", []), ("007", [])):
        (tmp_path / "b.csv").write_text(f"x\n3\n{value}\n")
        done = streamnorm(capsys, "fit", tmp_path / "b.csv", "--state", state, "--update", *words)
        assert (done.code, f"b.csv: column 'x', row 2: expected a number, found {value!r}" in done.err) == (1, True)
        assert state.read_bytes() == before
    assert streamnorm(capsys, "fit", tmp_path / "b.csv", "--state", state, "--update", "--columns", "x").code == 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_first_wrong_value_is_named_whatever_the_threads(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(pieces, "_FIRST", 200)
    monkeypatch.setattr(pieces, "_SIZE", 200)
    rows = [str(i) for i in range(3000)]
    for at in (1234, 1300, 2999):
        rows[at] = "q"
    (tmp_path / "in.csv").write_text("x\n" + "\n".join(rows) + '\n1,2\n"open')
    for _ in range(5):
        with pytest.raises(DataError, match=r"column 'x', row 1235: expected a number, found 'q'"):
            sn.fit(tmp_path / "in.csv", sn.TableNormalizer(columns={"x": "standard"}), threads=threads)


# ---- how files are written ----


def check_run(capsys, folder, data: bytes, expected: bytes, *words, name="in.csv", notes=0):
    (folder / name).write_bytes(data)
    out, state = folder / f"out.{name}", folder / "s.json"
    done = streamnorm(capsys, "run", folder / name, "--output", out, "--state", state, "--overwrite", *words)
    assert done.code == 0, done.err
    assert done.err.count("note: ") == notes, done.err
    assert out.read_bytes() == expected
    again = folder / f"again.{name}"
    done = streamnorm(capsys, "transform", state, folder / name, "--output", again, "--overwrite")
    assert (done.code, again.read_bytes()) == (0, expected), done.err
    assert streamnorm(capsys, "verify", state, folder / name).code == 0
    return done


def test_no_header(tmp_path, capsys):
    done = check_run(capsys, tmp_path, b"1,a\n3,b\n", b"-1,a\n1,b\n", "--no-header")
    assert "--no-header\n" in done.err
    assert list(sn.load(tmp_path / "s.json").learnt.types) == ["column_1"]


def test_a_header_of_numbers_is_told(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.csv").write_text("1,2\n3,4\n5,6\n")
    done, notes = fit(capsys, tmp_path / "in")
    assert (done.code, len(notes), "--no-header" in notes[0]) == (0, 1, True)


def test_thousands(tmp_path, capsys):
    check_run(capsys, tmp_path, b'x,t\n"1,000",a\n"3,000.0",b\n', b'x,t\n"-1",a\n"1",b\n', "--thousands", ",")
    words = ["--delimiter", ";", "--decimal", ",", "--thousands", "."]
    check_run(capsys, tmp_path, b"x;t\n1.000;a\n3.000,0;b\n", b"x;t\n-1;a\n1;b\n", *words)
    (tmp_path / "in.csv").write_text('x\n"1,00"\n2\n3\n')
    failed = streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "o.csv", "--thousands", ",")
    assert "row 1: expected a number, found '1,00'" in failed.err


def test_comments(tmp_path, capsys):
    text = b'# a "quote\nx,t\n#,,,\n%s,a\n# "\n%s,"#\n# b"\n#'
    check_run(capsys, tmp_path, text % (b"1", b"3"), text % (b"-1", b"1"), "--comment", "#")


def test_the_line_that_names_the_delimiter(tmp_path, capsys):
    check_run(
        capsys, tmp_path, b"\xef\xbb\xbfsep=;\r\nx;t\r\n1;a\r\n3;b\r\n", b"\xef\xbb\xbfsep=;\r\nx;t\r\n-1;a\r\n1;b\r\n"
    )


def test_empty_fields_beyond_the_header(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("x;t\n1;a\n3;b;;\n5;c;;,,\n")
    done, notes = fit(capsys, tmp_path / "in", "--delimiter", ";")
    assert done.code == 0
    assert [note.partition("a.csv: ")[2] for note in notes] == [
        "2 rows, the first of them row 2, have empty fields beyond the last column: they stay as they are"
    ]
    check_run(capsys, tmp_path, b"x,t\n1,a,\n3,b,\n", b"x,t\n-1,a,\n1,b,\n", notes=1)


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)]
)
def test_compressed_files_also_in_folders(tmp_path, capsys, ending, pack):
    (tmp_path / "in").mkdir()
    for name, rows in (("a", "1,a\n3,b\n"), ("b", "5,c\n")):
        (tmp_path / "in" / f"{name}.csv.{ending}").write_bytes(pack(f"x,t\n{rows}".encode()))
    done = streamnorm(capsys, "run", tmp_path / "in", "--output", tmp_path / "out", "--scaler", "minmax")
    assert done.code == 0, done.err
    with pa.input_stream(str(tmp_path / "out" / f"a.csv.{ending}"), compression=None) as file:
        data = file.read()
    unpack = {"gz": gzip.decompress, "bz2": bz2.decompress, "xz": lzma.decompress}.get(
        ending, lambda data: pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    )
    assert unpack(data) == b"x,t\n0,a\n0.5,b\n"
    (tmp_path / f"c.csv.{ending}").write_text("x\n1\n")
    with pytest.raises(DataError, match=f"name it without .{ending}"):
        sn.fit(tmp_path / f"c.csv.{ending}")


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)]
)
def test_damaged_compressed_files(tmp_path, monkeypatch, ending, pack, quick):
    if not quick:
        monkeypatch.setitem(sys.modules, "isal", None)
    rng = random.Random(3)
    packed = pack("".join(["x\n", *(f"{rng.random()}\n" for _ in range(3000))]).encode())
    path, middle = tmp_path / f"a.csv.{ending}", len(packed) // 2
    path.write_bytes(packed)
    assert sn.fit(path).learnt.types == {"x": "double"}
    broken = [packed[:middle] + bytes(40) + packed[middle + 40 :]] if ending != "zst" else []  # it has no checksum
    for damaged in (packed[:middle], packed[:-3], *broken):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=f"a.csv.{ending} cannot be read: .*; restore the file"):
            sn.fit(path)


@pytest.mark.parametrize(
    "options",
    [{"thousands": "."}, {"thousands": "1"}, {"comment": '"'}, {"comment": ",", "delimiter": ","}, {"thousands": ""},
     {"decimal": ",", "thousands": ","}, {"comment": "##"}],
)  # fmt: skip
def test_signs_that_cannot_be(options):
    with pytest.raises(DataError, match="CSV files"):
        sn.CsvOptions(**options)


def test_integers_of_64_bits_are_exact_beside_other_numbers(tmp_path):
    random_ = random.Random(3)
    values = [random_.choice([2**63 + 1, 2**64 - 1, 2**53 + 1, -(2**63), 7]) for _ in range(50)]
    others = [random_.choice(["", "0.5", "1e300", str(2**60 + 1)]) for _ in range(50)]
    (tmp_path / "in.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(values, others, strict=True)))
    fitted = sn.fit(tmp_path / "in.csv")
    summary = fitted.learnt.groups[0].summary
    assert [Fraction(v) * Fraction(2) ** e for v, e in summary.total.fractions()] == [
        sum(values), sum(Fraction(int(text) if text.isdigit() else float(text)) for text in others if text)
    ]  # fmt: skip
    assert summary.counts.rows.tolist() == [50, 50]
