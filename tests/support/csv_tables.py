"""CSV files made at random, with what is in them by Python's own `csv` and `fractions`."""

from __future__ import annotations

import csv
import io
import random
import re
from dataclasses import dataclass, field
from fractions import Fraction

SPACES = " \t\n\v\f\r"
#: What the tables have for missing numbers.
MISSING = ("", "NA", "null", "-200")
_NUMBER = {
    decimal: re.compile(rf"[+-]?([0-9]+({re.escape(decimal)}[0-9]*)?|{re.escape(decimal)}[0-9]+)([eE][+-]?[0-9]+)?")
    for decimal in ".,"
}


@dataclass
class Table:
    """One file and how it is written."""

    data: bytes
    delimiter: str
    decimal: str
    thousands: str
    comment: str
    columns: int
    rows: list[list[str]] = field(default_factory=list)

    @property
    def options(self) -> tuple[str, str, str, str]:
        return self.delimiter, self.comment, self.decimal, self.thousands


def number_text(random_: random.Random, decimal: str, thousands: str) -> str:
    """Write some number in some way."""
    kind = random_.randrange(9)
    if kind == 0:
        text = str(random_.randint(-(10 ** random_.randint(1, 22)), 10 ** random_.randint(1, 22)))
    elif kind == 1:
        text = repr(random_.uniform(-1000, 1000))
    elif kind == 2:
        text = f"{random_.getrandbits(64)}e{random_.randint(-340, 320)}"
    elif kind == 3:
        text = random_.choice(["+5", ".5", "5.", "-0", "1e5", "1E+5", "0.1", "00501", "-007", "9007199254740993"])
    elif kind == 4 and thousands:
        text = f"{random_.randint(0, 10**9):,}".replace(",", thousands)
        return text + random_.choice(["", decimal + "5"])
    elif kind == 5:
        text = "".join(random_.choices("0123456789", k=random_.randint(1, 60))) + ".5"
    elif kind == 6:
        text = random_.choice(["inf", "-Infinity", "NaN", "nan"])
    else:
        text = f"{random_.randint(0, 999)}.{random_.randint(0, 99):02}"
    return text.replace(".", decimal)


def _cell(random_: random.Random, decimal: str, thousands: str) -> str:
    kind = random_.randrange(12)
    if kind < 6:
        text = number_text(random_, decimal, thousands)
    elif kind < 8:
        text = random_.choice(MISSING)
    elif kind == 8:
        text = random_.choice(
            ["abc", "1.2.3", "1,5", "1.234,5", "12:30", "--1", "e5", ".", "0x1A", "1_000", "-", "ß", "1,234,56"]
        )
    else:
        text = "".join(random_.choices('ab "\r\n,;\t#|1.5é', k=random_.randint(0, random_.choice([3, 3, 200]))))
    return random_.choice(["", "", "", " ", "  "]) + text + random_.choice(["", "", "", " ", "\t"])


def _field(random_: random.Random, text: str, delimiter: str, first: bool, comment: str) -> str:
    special = any(c in text for c in (delimiter, '"', "\r", "\n"))
    if special or random_.random() < 0.2 or (first and comment and text.startswith(comment)):
        inner = '"' in text and not text.startswith('"') and not any(c in text for c in (delimiter, "\r", "\n"))
        if inner and random_.random() < 0.5 and not (first and comment and text.startswith(comment)):
            return text  # a quote inside of a field is a character like others
        return '"' + text.replace('"', '""') + '"'
    return text


def table(seed: int) -> Table:
    """Make a table."""
    random_ = random.Random(seed)
    delimiter = random_.choice(",;\t|,,")
    decimal = random_.choice(".,.") if delimiter != "," else random_.choice("...,")
    thousands = random_.choice(["", "", "," if decimal == "." else ".", "'"])
    comment = random_.choice(["", "", "#"])
    columns = random_.randint(1, 6)
    end = random_.choice(["\n", "\r\n", "\r"])
    parts = []
    rows = random_.randint(0, 12)
    for _ in range(rows):
        if random_.random() < 0.1:
            parts.append(end)
        if comment and random_.random() < 0.2:
            parts.append(comment + random_.choice(['a "comment', "", "1,2,3", '"']) + end)
        cells = [_cell(random_, decimal, thousands) for _ in range(columns)]
        line = delimiter.join(_field(random_, c, delimiter, i == 0, comment) for i, c in enumerate(cells))
        if not line or line[0] in "\r\n":
            line = '""' + line
        parts.append(line + (delimiter * random_.randint(1, 3) if random_.random() < 0.05 else "") + end)
    text = "".join(parts)
    if text and random_.random() < 0.3 and not text.endswith("\r\n"):
        text = text[:-1]
    made = Table(text.encode(), delimiter, decimal, thousands, comment, columns)
    made.rows = [row[:columns] for row in read(text, delimiter, comment)]
    return made


def read(text: str, delimiter: str, comment: str) -> list[list[str]]:
    """Read the records of a text by Python's `csv`, comments and empty lines left out."""
    csv.field_size_limit(1 << 30)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(_Uncommented(lines, comment, delimiter), delimiter=delimiter)
    return [row for row in reader if row]


class _Uncommented:
    """Lines of a file without comments: those that begin with the sign, outside of quotes."""

    def __init__(self, lines, comment, delimiter):
        self._lines, self._comment, self._delimiter = iter(lines), comment, delimiter
        self._inside = False

    def __iter__(self):
        return self

    def __next__(self):
        for line in self._lines:
            if self._comment and not self._inside and line.startswith(self._comment):
                continue
            self._inside = self._ends_inside(line)
            return line
        raise StopIteration

    def _ends_inside(self, line):
        """Tell whether a quote is open at the end of a line."""
        inside, begins, at = self._inside, not self._inside, 0
        while at < len(line):
            c = line[at]
            if inside and c == '"':
                if line[at + 1 : at + 2] == '"':
                    at += 1
                else:
                    inside = False
            elif begins and c == '"':
                inside = True
            begins = not inside and c == self._delimiter
            at += 1
        return inside


def value(text: str, made: Table) -> Fraction | float | str | None:
    """Give what a field says: a number exactly or as a special float, None if it is missing, the text else."""
    trimmed = text.strip(SPACES)
    plain = trimmed
    if made.thousands and made.thousands in trimmed:
        whole = re.match(rf"[+-]?[0-9]{{1,3}}({re.escape(made.thousands)}[0-9]{{3}})+(?![0-9])", trimmed)
        plain = whole[0].replace(made.thousands, "") + trimmed[whole.end() :] if whole else "no number"
        if whole and made.thousands in trimmed[whole.end() :]:
            plain = "no number"
    if _NUMBER[made.decimal].fullmatch(plain):
        number = Fraction(plain.replace(made.decimal, "."))
        return None if number == -200 else number
    if trimmed in MISSING:
        return None
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", trimmed, re.IGNORECASE):
        return float(trimmed)
    return trimmed


@dataclass
class Template:
    """A file as bytes that stay and numbers that are replaced: pairs of a column and a text."""

    segments: list[bytes | tuple[int, str]]
    delimiter: str
    decimal: str
    thousands: str
    comment: str
    encoding: str

    @property
    def data(self) -> bytes:
        return b"".join(s if isinstance(s, bytes) else s[1].encode() for s in self.segments)

    def with_numbers(self, write) -> bytes:
        """Give the file with every number written anew."""
        return b"".join(s if isinstance(s, bytes) else write(*s) for s in self.segments)


def template(seed: int) -> Template:
    """Make a file with a header ``n0,t1,n2,...``: columns of numbers, and of text that nothing reads."""
    random_ = random.Random(seed)
    delimiter, decimal = random_.choice([",.", ";.", ";,", "\t.", "|,", ",,"])
    thousands = random_.choice(["", "'"])
    comment, encoding = random_.choice(["", "#"]), random_.choice(["utf-8", "utf-8", "latin-1", "cp1252"])
    ends = random_.choice([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"]])
    kinds = [random_.choice("nnt") for _ in range(random_.randint(1, 6))]
    names = [f"{kind}{i}" for i, kind in enumerate(kinds)]
    segments: list[bytes | tuple[int, str]] = []

    def put(text: str) -> None:
        segments.append(text.encode(encoding))

    if encoding == "utf-8" and random_.random() < 0.2:
        put("\ufeff")
    put("".join(random_.choices(["\n", (comment + 'say "\n') if comment else ""], k=random_.randint(0, 2))))
    put(delimiter.join(f'"{name}"' if random_.random() < 0.3 else name for name in names) + random_.choice(ends))
    for _ in range(random_.randint(0, 10)):
        if random_.random() < 0.1:
            put(random_.choice(ends))
        if comment and random_.random() < 0.1:
            put(comment + random_.choice(['"', "1,2", ""]) + random_.choice(ends))
        for i, kind in enumerate(kinds):
            put(delimiter if i else "")
            _put_cell(random_, segments, i, kind, put, (delimiter, decimal, thousands, comment), alone=len(kinds) == 1)
        put((delimiter * 2 if random_.random() < 0.05 else "") + random_.choice(ends))
    if random_.random() < 0.3 and segments[-1].endswith((b"\n", b"\r")) and len(segments[-1]) == 1:
        segments.pop()
    return Template(segments, delimiter, decimal, thousands, comment, encoding)


def _put_cell(random_, segments, column, kind, put, signs, *, alone):
    delimiter, decimal, thousands, _ = signs
    if kind == "t" and not (alone and random_.random() < 0.5):
        text = "".join(random_.choices('ab "\r\n,;\t#|1.5éß', k=random_.randint(1, random_.choice([4, 4, 100]))))
        put('"' + text.replace('"', '""') + '"' if random_.random() < 0.5 else "x" + re.sub('["\r\n,;\t|]', "", text))
        return
    number = number_text(random_, decimal, thousands)
    while number.strip("+-").lower() in ("inf", "infinity", "nan"):
        number = number_text(random_, decimal, thousands)
    quoted = any(sign in number for sign in (delimiter, '"')) or random_.random() < 0.2 or alone
    before, behind = random_.choice(["", "", " "]), random_.choice(["", "", " "])
    if quoted:
        before, behind = '"' + before, behind + '"'
    put(before)
    if kind == "n" and random_.random() < 0.85 and float(re.sub(r"\D", "", number) or 0) != 200:
        segments.append((column, number))
    else:
        put(random_.choice(MISSING) if kind == "n" else "x")
    put(behind)
