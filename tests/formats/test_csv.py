"""CSV: numbers exactly, the text of each value byte for byte, and errors that name the row."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from fractions import Fraction

import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, StateError
from streamnorm.formats.options import CsvOptions


def fitted(tmp_path, text, *, name="in.csv", options=None, **kwargs):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return sn.fit(path, sn.TableNormalizer(**kwargs), options=options)


def moments(normalizer):
    learnt = normalizer.learnt
    return {name: group.summary.take([i]) for name, (group, i) in learnt.where().items()}


def total(summary) -> Fraction:
    ((value, exponent),) = summary.total.fractions()
    return Fraction(value) * Fraction(2) ** exponent


def test_numbers_are_exact(tmp_path):
    learnt = moments(fitted(tmp_path, f"a,b\n{2**60 + 1},0.1\n{2**62 + 3},0.2\n-7,\n"))
    assert total(learnt["a"]) == 2**60 + 1 + 2**62 + 3 - 7
    assert total(learnt["b"]) == Fraction(0.1) + Fraction(0.2)
    assert learnt["b"].counts.table[0].tolist() == [2, 1, 0, 0, 0]


def test_integers_that_become_floats_late(tmp_path):
    rows = [str(2**60 + 1)] * 200_000 + ["0.5"]
    learnt = moments(fitted(tmp_path, "a\n" + "\n".join(rows)))
    assert total(learnt["a"]) == 200_000 * (2**60 + 1) + Fraction(1, 2)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_text_of_values_is_kept_byte_for_byte(tmp_path, capsys, ending):
    rows = [
        "zip,name,x,id",
        '00501,"a, ""quoted"" one",1,007',
        '10001,"two\nlines",3,1e5',
        "00000, spaces ,NA,-0",
        "99999,,5,ß",
    ]
    (tmp_path / "in.csv").write_bytes(ending.join(rows).encode() + ending.encode())
    done = streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert done.code == 0
    expected = [rows[0], *(row.replace(",1,007", ",-1.224744871391589,007") for row in rows[1:])]
    expected[2] = expected[2].replace(",3,1e5", ",0,1e5")
    expected[4] = expected[4].replace(",5,", ",1.224744871391589,")
    assert (tmp_path / "out.csv").read_bytes().decode() == ending.join(expected) + ending


def test_how_a_file_is_written_is_kept(tmp_path, capsys):
    """Quotes, spaces, line ends, empty lines and what stands before the header."""
    text = b'\xef\xbb\xbf# by hand\r\n"x",t\r\n 1 ,""\r\n\r\n"3","plain"\n1,"a, b"\r\n" 2",\r\n\r\n'
    (tmp_path / "in.csv").write_bytes(text)
    words = ["--skip-rows", "1", "--scaler", "minmax"]
    assert streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "out.csv", *words).code == 0
    expected = (
        text.replace(b" 1 ,", b" 0 ,").replace(b'"3"', b'"1"').replace(b'1,"a', b'0,"a').replace(b'" 2"', b'" 0.5"')
    )
    assert (tmp_path / "out.csv").read_bytes() == expected


def test_decimal_comma_and_minus_200(tmp_path, capsys):
    (tmp_path / "in.csv").write_text("day;CO\n10/03/2004;2,6\n11/03/2004;-200\n12/03/2004;3,4\n")
    words = ["--delimiter", ";", "--decimal", ",", "--null-values", "-200"]
    done = streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "out.csv", *words)
    assert done.code == 0
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "day;CO"
    assert lines[2] == "11/03/2004;-200"
    assert [float(lines[i].split(";")[1].replace(",", ".")) for i in (1, 3)] == pytest.approx([-1.0, 1.0], abs=1e-14)


def test_rows_before_the_header_and_latin_1(tmp_path, capsys):
    (tmp_path / "in.csv").write_bytes("# made by hand\nn\xe4me,x\nK\xf6ln,1\nBonn,2\n".encode("latin-1"))
    words = ["--skip-rows", "1", "--encoding", "latin1"]
    assert streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "out.csv", *words).code == 0
    assert (tmp_path / "out.csv").read_text(encoding="latin-1") == "# made by hand\nnäme,x\nKöln,-1\nBonn,1\n"


def test_gzip_in_and_out(tmp_path, capsys):
    with gzip.open(tmp_path / "in.csv.gz", "wt") as file:
        file.write("x\n1\n3\n")
    streamnorm(capsys, "run", tmp_path / "in.csv.gz", "--output", tmp_path / "out.csv.gz")
    with gzip.open(tmp_path / "out.csv.gz", "rt") as file:
        assert file.read() == "x\n-1\n1\n"


def test_a_byte_order_mark_is_no_part_of_the_name(tmp_path):
    assert list(moments(fitted(tmp_path, b"\xef\xbb\xbfx\n1\n2\n"))) == ["x"]


@pytest.mark.filterwarnings("ignore:no value")
def test_a_header_alone(tmp_path):
    learnt = moments(fitted(tmp_path, "a,b\n"))
    assert [summary.counts.table.sum() for summary in learnt.values()] == [0, 0]


@pytest.mark.parametrize("at", [3, 150_000])
@pytest.mark.parametrize("wrong", ["abc", "1.2.3", "0x1A", "1,5", "--1"])
def test_text_among_numbers_names_file_row_and_column(tmp_path, capsys, at, wrong):
    rows = ["1.2500000000"] * 200_000
    rows[at - 1] = f'"{wrong}"'
    (tmp_path / "in.csv").write_text("y\n" + "\n".join(rows))
    words = ["--columns", "y"] if at == 3 else []
    failed = streamnorm(capsys, "run", tmp_path / "in.csv", "--output", tmp_path / "out.csv", *words)
    assert (failed.code, failed.out) == (1, "")
    assert f"in.csv: column 'y', row {at}: expected a number, found {wrong!r}" in failed.err
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_a_column_that_is_named_is_read_as_numbers(tmp_path, capsys):
    path, out, state = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "s.json"
    path.write_text("a,b,c\n00012,1,n\n2,2,m\n")
    for words in (["--columns", "a"], ["--scale", "a=standard"], ["--columns", "a,b"]):
        run = ["run", path, "--output", out, "--state", state, "--overwrite", *words]
        assert streamnorm(capsys, *run).code == 0
        assert out.read_text().splitlines()[1].startswith("1,")
        assert streamnorm(capsys, "fit", path, "--state", state, "--update", *words).code == 0
        assert moments(sn.load(state))["a"].counts.values.tolist() == [2]
    assert list(fitted(tmp_path, "a,b\n00012,1\n2,2\n", columns={"a*": "standard"}).learnt.types) == ["b"]
    with pytest.raises(DataError, match="column 'c', row 1: expected a number, found 'n'"):
        fitted(tmp_path, "c,b\nn,1\nm,2\n", columns={"c": "standard"})


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,b\n1,2,3\n", "a,a\n1,2\n", ""])
def test_what_is_no_table(tmp_path, text):
    with pytest.raises((DataError, OSError), match=r"in\.csv"):
        fitted(tmp_path, text)


def test_an_infinity_written_out(tmp_path):
    for text in ("inf", "-Infinity", "1e400"):
        with pytest.raises(DataError, match=r"in\.csv.*(infinity|beyond float64).*--infinite skip") as error:
            fitted(tmp_path, f"a\n1\n{text}\n")
        assert "column 'a', row 2" in str(error.value)


# ---- how files are written is remembered ----

#: A file as Europeans write it, with a code for what is missing.
EUROPEAN = "t;x\n1;1,5\n2;-200\n3;2,5\n"
WAYS = ["--delimiter", ";", "--decimal", ",", "--null-values=-200"]
NOTE = "note: CSV files are read as those of the state were: --decimal , --delimiter ';' --null-values -200\n"


@pytest.fixture
def european(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(EUROPEAN)
    assert streamnorm(capsys, "fit", "a.csv", "--state", "s.json", "--columns", "x", *WAYS).code == 0
    return tmp_path


def test_files_are_transformed_as_those_of_the_state_were_written(european, capsys):
    done = streamnorm(capsys, "transform", "s.json", "a.csv", "--output", "out.csv")
    assert (done.code, done.err) == (0, NOTE + "out.csv: 1 file, 1 column normalised\n")
    assert (european / "out.csv").read_text() == "t;x\n1;-1\n2;-200\n3;1\n"
    sn.transform(sn.load("s.json"), "a.csv", "python.csv")
    assert (european / "python.csv").read_bytes() == (european / "out.csv").read_bytes()


def test_what_is_said_of_files_counts_more_than_what_is_remembered(european, capsys):
    (european / "b.csv").write_text("t|x\n1|1,5\n2|-200\n")
    done = streamnorm(capsys, "transform", "s.json", "b.csv", "--output", "out.csv", "--delimiter", "|")
    assert (done.code, done.err.splitlines()[0]) == (0, NOTE.replace(" --delimiter ';'", "").strip())
    assert (european / "out.csv").read_text() == "t|x\n1|-1\n2|-200\n"
    (european / "c.csv").write_text("t,x\n1,1.5\n")
    plain = CsvOptions()
    sn.transform(sn.load("s.json"), "c.csv", "python.csv", options=plain)
    assert (european / "python.csv").read_text() == "t,x\n1,-1\n"


def test_a_state_that_grows_is_verified_and_forgets_as_its_files_were_written(european, capsys):
    before = (european / "s.json").read_bytes()
    (european / "b.csv").write_text("t;x\n1;-200\n2;9,5\n")
    assert streamnorm(capsys, "fit", "b.csv", "--state", "s.json", "--update").code == 0
    assert sn.load("s.json").learnt.groups[0].summary.counts.table[0].tolist() == [3, 2, 0, 0, 0]
    verified = streamnorm(capsys, "verify", "s.json", "a.csv", "b.csv", "--quiet")
    assert (verified.code, verified.err) == (0, "")
    assert streamnorm(capsys, "forget", "s.json", "b.csv").code == 0
    assert (european / "s.json").read_bytes() == before
    assert sn.fit("b.csv", state="s.json", update=True).learnt.groups[0].summary.counts.table[0, 0] == 3


def test_of_files_written_in_two_ways_nothing_is_remembered(european, capsys):
    (european / "b.csv").write_text("t,x\n1,1.5\n2,7\n")
    other = ["--delimiter", ",", "--decimal", ".", "--null-values", "NA"]
    assert streamnorm(capsys, "fit", "b.csv", "--state", "s.json", "--update", *other).code == 0
    done = streamnorm(capsys, "transform", "s.json", "b.csv", "--output", "out.csv")
    assert (done.code, done.err) == (0, "out.csv: 1 file, 1 column normalised\n")
    assert streamnorm(capsys, "forget", "s.json", "a.csv").code == 0  # written in one way, which is remembered
    assert sn.load("s.json").learnt.groups[0].summary.counts.table[0, 0] == 2


@pytest.mark.parametrize(
    "options", [{"decimal": 1}, {"skip_rows": -1}, {"null_values": [1]}, {"open": "x"}, ["decimal"], {"encoding": []}]
)
def test_a_state_cannot_say_anything_else_of_files(european, options):
    document = json.loads((european / "s.json").read_text())
    document["sources"][0]["options"] = options
    del document["checksum"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (european / "s.json").write_text(json.dumps(document))
    with pytest.raises(StateError, match=r"s\.json cannot be read"):
        sn.load("s.json")


# ---- columns that are numbers but for single values ----


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("1,2.5\n2,N.A.\n3,4.5\n", "column 'x' is left alone, as row 2 has 'N.A.'"),
        ('1,"1,5"\n2,NA\n3,7\n', "column 'x' is left alone, as row 1 has '1,5'"),
        ('1,"1.234,5"\n2,7\n', "column 'x' is left alone, as row 1 has '1.234,5'"),
        ("1,a\n2,b\n3,4\n", None),
        ("1,00501\n2,00502\n3,none\n", None),
        ("1,2024-01-02\n2,18:00\n", None),
    ],
)
def test_a_column_left_alone_for_single_values_is_told_of(tmp_path, capsys, rows, told):
    (tmp_path / "in.csv").write_text("id,x\n" + rows)
    command = ["fit", tmp_path / "in.csv", "--state", tmp_path / "s.json", "--overwrite"]
    done = streamnorm(capsys, *command)
    notes = [line for line in done.err.splitlines() if line.startswith("note: ")]
    assert done.code == 0
    assert len(notes) == (told is not None)
    assert told is None or told in notes[0]
    assert "note: " not in streamnorm(capsys, *command, "--exclude", "x").err
    assert "note: " not in streamnorm(capsys, *command, "--columns", "id").err


def test_several_columns_left_alone_are_one_note(tmp_path, capsys):
    (tmp_path / "in.csv").write_text('id,x,y\n1,"1,5",2\n2,"2,5",-\n3,"3,5",4\n')
    done = streamnorm(capsys, "fit", tmp_path / "in.csv", "--state", tmp_path / "s.json")
    assert (
        done.err.splitlines()[0]
        .split("in.csv: ")[1]
        .startswith("column 'x' is left alone (so are 'y'), as row 1 has '1,5' where most values are numbers: ")
    )


@pytest.mark.parametrize("beside", ["1", "1.5", "9531180932987155946", "1e300", ""])
@pytest.mark.parametrize(
    "text", ["06750848539852852017", "-0006750848539852852017", "9007199254740993", "+9007199254740993"]
)
def test_an_integer_is_the_same_number_whatever_stands_beside_it(tmp_path, text, beside):
    def fitted(*values):
        (tmp_path / "in.csv").write_text("id,x\n" + "".join(f"1,{value}\n" for value in values))
        return sn.fit(tmp_path / "in.csv", sn.TableNormalizer(columns={"x": "standard"}, default=None))

    assert fitted(text, beside) == fitted(text) + fitted(beside)


@pytest.mark.parametrize("blank", ["", ",\n", "NA,NA\nNA,\n"])
def test_a_file_without_values_says_nothing_of_its_columns(tmp_path, blank):
    texts = {"a": blank, "b": "t1,1\nt2,2\n", "c": blank}
    for name, rows in texts.items():
        (tmp_path / f"{name}.csv").write_text("id,x\n" + rows)
    paths = [tmp_path / f"{name}.csv" for name in texts]
    normalizers = [sn.fit(list(order)) for order in itertools.permutations(paths)]
    assert list(normalizers[0].learnt.types) == ["x"]
    assert all(one == normalizers[0] for one in normalizers)
    assert list(sn.fit([paths[0], paths[2]]).learnt.types) == ["id", "x"]
