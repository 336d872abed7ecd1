"""Hostile CSV: each file is refused in one line that helps, or read for exactly what is in it."""

from __future__ import annotations

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import Case, check

NAN = float("nan")
HEAD = "x,t\n"
GOOD = HEAD + "1,a\n3,b\n"

#: More rows than are looked at to tell the types of the columns.
LONG = 1500
PAD = "".join(f"{i},{'p' * 1000}\n" for i in range(LONG))
PADDED = list(range(LONG))


def gz(text: str | bytes) -> bytes:
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 4
    return bytes(changed)


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1.0, 2.0]}), sink)
    return sink.getvalue()


def value(text: str, number: object) -> Case:
    """A value of a column of numbers, and what it is."""
    return Case(f'{HEAD}"{text}",a\n3,b\n5,c\n', numbers={"x": [number, 3, 5]})


def no_value(text: str) -> Case:
    """What is no number although it looks like one, behind the rows that decide what the column is."""
    return Case(f'{HEAD}{PAD}"{text}",a\n3,b\n', ["'x'", f"row {LONG + 1}", repr(text), "--null-values", "--exclude"])


def wide(columns: int) -> Case:
    """More columns than anyone would like."""
    names = [f"c{i}" for i in range(columns)]
    lines = [",".join(names), ",".join(["1"] * columns), ",".join(["3"] * columns)]
    return Case("\n".join(lines) + "\n", numbers={name: [1, 3] for name in names})


def wide_text(columns: int) -> Case:
    names = ",".join(f"c{i}" for i in range(columns))
    return Case(f"x,{names}\n1{',a' * columns}\n3{',b' * columns}\n", numbers={"x": [1, 3]})


STRUCTURE = {
    "empty": Case("", ["empty"]),
    "line ends alone": Case("\n\n\n\n", ["empty"]),
    "header only": Case("x,t\n", numbers={"x": [], "t": []}),
    "no final newline": Case("x,t\n1,a\n3,b", numbers={"x": [1, 3]}),
    "byte order mark": Case(b"\xef\xbb\xbfx,t\n1,a\n3,b\n", numbers={"x": [1, 3]}),
    "CRLF": Case("x,t\r\n1,a\r\n3,b\r\n", numbers={"x": [1, 3]}),
    "CR": Case("x,t\r1,a\r3,b\r", numbers={"x": [1, 3]}),
    "empty lines": Case("x,t\n\n1,a\n\n\n3,b\n\n", numbers={"x": [1, 3]}),
    "control Z at the end": Case(GOOD + "\x1a", ["row 3", "2 fields", "found 1"]),
    "short row": Case("x,t\n1,a\n3\n5,b\n", ["row 2", "2 fields", "found 1", "--delimiter"]),
    "short row late": Case(HEAD + PAD + "1\n", [f"row {LONG + 1}", "2 fields", "found 1"]),
    "long row": Case("x,t\n1,a\n3,b,c\n", ["row 2", "2 fields", "found 3"]),
    "short row behind others": Case('#\n\nx,t\n1,"a\nb"\n\n3\n', ["row 2", "found 1"], words=["--skip-rows", "1"]),
    "row longer than the header": Case("x\n1,a\n", ["row 1", "1 field", "found 2"]),
    "rows that end in delimiters": Case("x,t\n1,a,,\n3,b,,\n", numbers={"x": [1, 3]}),
    "rows that end in delimiters and more": Case("x,t\n1,a,,\n3,b,,c\n", ["row 2", "2 fields", "found 4"]),
    "all lines end in delimiters": Case("x,t,\n1,a,\n3,b,\n", numbers={"x": [1, 3]}),
    "all lines end in two delimiters": Case("x,t,,\n1,a,,\n3,b,,\n,,,\n", numbers={"x": [1, 3, None]}),
    "semicolons": Case("x;t\n1,5;a\n", ["row 1", "1 field", "--delimiter"]),
    "semicolons alone": Case("x;t\n1;a\n3;b\n", ["no column to normalise", "--delimiter"]),
    "duplicate names": Case("x,x\n1,2\n", ["2 columns 'x'", "rename"]),
    "duplicate names of text": Case("x,t,t\n1,a,b\n", ["2 columns 't'", "rename"]),
    "empty name": Case("x,\n1,2\n3,4\n", numbers={"x": [1, 3]}),
    "names with spaces": Case(" x ,t\n1,a\n3,b\n", numbers={" x ": [1, 3]}),
    "names with delimiters": Case('x,"a,""b"""\n1,a\n3,b\n', numbers={"x": [1, 3]}),
    "no column of numbers": Case("a,t\nq,r\n", ["no column to normalise"]),
    "lines to skip that are not there": Case(GOOD, ["10", "--skip-rows"], words=["--skip-rows", "10"]),
    "quoted newline across a block": Case(
        HEAD + "1," + "a" * ((1 << 20) - 10) + '\n3,"b\nc\r\nd"\n5,e\n', numbers={"x": [1, 3, 5]}
    ),
    "many quoted newlines": Case(
        HEAD + '1,"' + "\n" * 500_000 + '"\n' + '3,"a\n"\n' * 1000, numbers={"x": [1] + [3] * 1000}
    ),
    "quoted numbers": Case('x,t\n"1",a\n"3",b\n', numbers={"x": [1, 3]}),
    "quote inside a value": Case('x,t\n1,5" pipe\n3,6\'\n', numbers={"x": [1, 3]}),
    "quoted newline at the very end": Case('x,t\n1,a\n3,"b\n"\n', numbers={"x": [1, 3]}),
    "nothing but a quoted newline at the very end": Case('x,t\n1,a\n3,"\n"', numbers={"x": [1, 3]}),
    "quotes doubled at the very end": Case('x,t\n1,a\n3,"\nb"""\n\n', numbers={"x": [1, 3]}),
    "unclosed quote": Case('x,t\n1,"a\n3,b\n5,c\n', ["row 1", "quote", "close"]),
    "unclosed quote, no final newline": Case('x,t\n1,"a\n3,b', ["row 1", "quote", "close"]),
    "unclosed quote behind doubled ones": Case('x,t\n1,"a\n3,b""\n5,""c""\n', ["row 1", "quote", "close"]),
    "unclosed quote in the first column": Case('t,x\n"a,1\nb,3\n', ["row 1"]),
    "unclosed quote in the only column": Case('x\n1\n"3\n5\n', ["row 2", "quote"], words=["--columns", "x"]),
    "unclosed quote late": Case(HEAD + PAD + '7,"a\n' + PAD, [f"row {LONG + 1}", "quote"]),
    "unclosed quote, compressed": Case(gz(HEAD + '1,a\n3,"b\n' + PAD), ["row 2", "quote"], kind="csv.gz"),
    "unclosed quote in the header": Case('x,"t\n1,a\n', ["quote"]),
    "field of 5 MB": Case(HEAD + "1," + "a" * 5_000_000 + "\n3,b\n", numbers={"x": [1, 3]}),
    "field of 5 MB late": Case(HEAD + PAD + "1," + "a" * 5_000_000 + "\n3,b\n", numbers={"x": [*PADDED, 1, 3]}),
    "number of 5 MB": Case(HEAD + "1" * 5_000_000 + ",a\n3,b\n", ["beyond float64", "5,000,000 char", "row 1"]),
    "1,000 columns": wide(1000),
    "200,000 columns": Case("x" + "," * 200_000 + "\n", ["200001 fields", "65536", "--delimiter"]),
    "5,000,000 columns": Case(gz("x" + "," * 5_000_000 + "\n"), ["5000001 fields"], kind="csv.gz"),
    "a line of names of 2 MB": Case(
        f"x,{'n' * 2_000_000},{'m' * 100}\n1,a,b\n3,c,d\n", numbers={"x": [1, 3]}
    ),
    "a name of 16 kB": Case(f"{'n' * 16_000}\n1\n", ["'x'", "'nnnn", "nnnn'"], words=["--columns", "x"]),
    "names with more delimiters than there may be columns": Case(
        f'x,"{"," * 100_000}"\n1,a\n3,b\n', numbers={"x": [1, 3]}
    ),
    "space between fields": Case("x t\n1 a\n3 b\n", numbers={"x": [1, 3]}, words=["--delimiter", " "]),
    "tabs": Case("x\tt\n1\ta,b\n3\tc\n", numbers={"x": [1, 3]}, kind="tsv"),
}  # fmt: skip

ENCODINGS = {
    "UTF-16 unasked for": Case("x,t\n1,ä\n3,b\n".encode("utf-16"), ["UTF-16", "--encoding utf16"]),
    "UTF-16": Case("x,t\n1,ä\n3,b\n".encode("utf-16"), numbers={"x": [1, 3]}, words=["--encoding", "utf16"]),
    "Latin-1 unasked for": Case("x,t\n1,a\n3,ä\n".encode("latin-1"), ["'t'", "row 2", "utf8", "--encoding"]),
    "Latin-1 late": Case((HEAD + PAD + "1,ä\n").encode("latin-1"), ["'t'", f"row {LONG + 1}", "--encoding"], fits=True),
    "Latin-1 in a name": Case("x,ä\n1,a\n".encode("latin-1"), ["names", "--encoding"]),
    "Latin-1": Case("x,ä\n1,ö\n3,\xa0\n".encode("latin-1"), numbers={"x": [1, 3]}, words=["--encoding", "latin1"]),
    "lone surrogate": Case(b"x,t\n1,\xed\xa0\x80\n3,b\n", ["'t'", "row 1", "--encoding"]),
    "NUL alone": Case(b"\0" * 4096, ["NUL", "names", "restore"]),
    "NUL in the line of names, compressed": Case(gz(b"x,t\0\n1,a\n"), ["NUL", "names"], kind="csv.gz"),
    "UTF-16 without a mark": Case("x,t\n1,a\n3,b\n".encode("utf-16-le"), ["NUL", "--encoding utf-16-le"]),
    "UTF-16 without a mark, asked for": Case(
        "x,t\n1,a\n3,b\n".encode("utf-16-le"), numbers={"x": [1, 3]}, words=["--encoding", "utf-16-le"]
    ),
    "NUL in text": Case(b"x,t\n1,a\0b\n3,\0\n", numbers={"x": [1, 3]}),
    "NUL in a number": Case(f"{HEAD}{PAD}1\0,a\n", ["'x'", f"row {LONG + 1}", r"'1\x00'"]),
    "line separators of Unicode": Case("x,t\n1,a\u2028b\x85\n3,\x0b\x0c\n", numbers={"x": [1, 3]}),
    "terminal codes in a value": Case(f"{HEAD}{PAD}\x1b[31m\x07,a\n", ["'x'", f"row {LONG + 1}"]),
    "terminal codes in a short row": Case("x,t,u\n1,\x1b[2J\x07\n", ["row 1", "3 fields"]),
    "spreadsheet formulas": Case('x,t\n1,=cmd|x\n3,"=1,2"\n', numbers={"x": [1, 3]}),
}

COMPRESSED = {
    "gzip": Case(gz(GOOD), numbers={"x": [1, 3]}, kind="csv.gz"),
    "gzip of two members": Case(gz(HEAD + "1,a\n") + gz("3,b\n"), numbers={"x": [1, 3]}, kind="csv.gz"),
    "gzip of nothing": Case(gz(""), ["empty"], kind="csv.gz"),
    "no bytes called gzip": Case(b"", ["empty"], kind="csv.gz"),
    "gzip header alone": Case(gz(GOOD)[:10], ["cannot be read", "restore"], kind="csv.gz"),
    "gzip cut in the middle": Case(gz(HEAD + PAD)[:3000], ["cannot be read", "restore"], kind="csv.gz"),
    "gzip cut before its checksum": Case(gz(GOOD)[:-8], ["cannot be read", "restore"], kind="csv.gz"),
    "gzip cut by a byte": Case(gz(GOOD)[:-1], ["cannot be read", "restore"], kind="csv.gz"),
    "gzip with a flipped bit": Case(flipped(gz(HEAD + PAD), 2000), ["error"], kind="csv.gz"),
    "gzip with another checksum": Case(flipped(gz(GOOD), -6), ["cannot be read", "restore"], kind="csv.gz"),
    "gzip with another length": Case(flipped(gz(GOOD), -2), ["cannot be read", "restore"], kind="csv.gz"),
    "gzip and then garbage": Case(gz(GOOD) + b"garbage", ["cannot be read", "restore"], kind="csv.gz"),
    "plain called gzip": Case(GOOD, ["gzip", "name"], kind="csv.gz"),
    "gzip called plain": Case(gz(GOOD), ["gzip", "name"]),
    "Parquet called CSV": Case(parquet(), ["Parquet", "name"]),
    "zip called CSV": Case(b"PK\x03\x04" + b"\0\n" * 100, ["zip"]),
    "Arrow called CSV": Case(b"ARROW1\0\0" + b"\0\n" * 100, ["Arrow", "name"]),
    "garbage called CSV": Case(bytes((i * i * 7919 >> 5) & 255 for i in range(5000)), ["names", "--encoding"]),
}

NUMBERS = {
    "integers that become floats late": Case(HEAD + PAD + "0.5,b\n", numbers={"x": [*PADDED, 0.5]}),
    "integers of 60 bits that become floats late": Case(
        HEAD + PAD + f"{2**60 + 1},a\n0.5,b\n{2**60 + 3},c\n", numbers={"x": [*PADDED, 2**60 + 1, 0.5, 2**60 + 3]}
    ),
    "integers that become text late": Case(HEAD + PAD + "q,b\n", ["'x'", f"row {LONG + 1}", "'q'"]),
    "a first megabyte without a value": Case(
        HEAD + "".join(f",{'p' * 1000}\n" for _ in range(LONG)) + "1,b\n3,c\n", numbers={"x": [None] * LONG + [1, 3]}
    ),
    "leading zeros": Case("x,t\n1,007\n3,008\n", numbers={"x": [1, 3]}),
    "leading zeros late": Case(HEAD + PAD + "1,a\n007,b\n", ["no column to normalise", "'007'"], transforms=True),
    "leading zeros late, asked for": Case(
        HEAD + PAD + "1,a\n007,b\n", numbers={"x": [*PADDED, 1, 7]}, words=["--columns", "x"]
    ),
    "nothing but leading zeros": Case("t\n007\n008\n", ["no column to normalise"]),
    "thousands separators": Case('x,t\n"1,234",a\n3,b\n', ["no column to normalise"]),
    "decimal commas": Case(
        "x;t\n1,5;a\n3,5;b\n", numbers={"x": [1.5, 3.5]}, words=["--delimiter", ";", "--decimal", ","]
    ),
    "infinity": Case("x,t\n1,a\ninf,b\n", ["infinity", "'x'", "row 2", "--infinite skip"]),
    "minus infinity late": Case(HEAD + PAD + "-Infinity,b\n", ["infinity", "'x'", f"row {LONG + 1}"]),
    "1e400": Case(HEAD + PAD + "1e400,b\n", ["'1e400'", "beyond float64", "--infinite skip", "'x'", f"row {LONG + 1}"]),
    "400 digits": Case(f"x,t\n1,a\n{'9' * 400},b\n", ["beyond float64", "9...", "400 characters", "'x'", "row 2"]),
    **{f"{text!r} is a number": value(text, number) for text, number in {
        "NaN": None, "NA": None, "null": None, "#N/A": None, "": None, "  ": None, "-nan": None,
        "+1": 1, " 1 ": 1, "1.": 1, ".5": 0.5, "1e5": 1e5, "1E5": 1e5, "-0.0": -0.0, "5e-324": 5e-324,
        "1e-400": 0.0, "1e308": 1e308, "0." + "0" * 400 + "1": 0.0, "0.1": 0.1,
        "9007199254740993": 2**53 + 1, "9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63),
        "9223372036854775808": 2.0**63, "18446744073709551615": 2**64 - 1, "18446744073709551616": 2.0**64,
    }.items()},
    **{f"{text!r} is no number": no_value(text) for text in (
        "0x1A", "1,5", "1.5e", "1.2.3", "1_000", "--1", "+-1", "-", ".", "e5", "1 000", "1d3", "TRUE", "12:30",
        "1,234.5", "1.234,5", "\u0661", "½", "1%", "$1", "(1)", "1-", "nil", "#DIV/0!", "infinite",
    )},
}  # fmt: skip

TABLE = {**STRUCTURE, **ENCODINGS, **COMPRESSED, **NUMBERS}


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("name", TABLE)
def test_hostile_csv(name, tmp_path, capsys):
    check(TABLE[name], tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("case", [wide(20_000), wide_text(20_000)], ids=["numbers", "text"])
def test_twenty_thousand_columns(case, tmp_path, capsys):
    check(case, tmp_path, capsys)
