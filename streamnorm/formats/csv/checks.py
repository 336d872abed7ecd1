"""What is wrong with a CSV file, in words that help."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from streamnorm.arrow import boolean_of
from streamnorm.arrow import compute as pc
from streamnorm.errors import DataError
from streamnorm.files import Place, open_input
from streamnorm.formats.signatures import FIRST_BYTES, GZIP, signature_of

__all__ = ["OpenQuoteError", "check_header", "check_signs", "explaining", "no_header", "stray"]


#: Number of values by which a column is judged.
_SOME = 1000
#: Numbers with points or commas, and with groups of three digits.
_LIKE_A_NUMBER = r"^\s*[+-]?([0-9]{1,3}([., '][0-9]{3})+|[0-9]*)([.,]?[0-9]+|[0-9]+[.,])([eE][+-]?[0-9]+)?\s*$"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: Largest number of columns: Arrow's parser takes 30 kB for each.
_WIDEST = 1 << 16
_WRONG_FIELDS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_WRONG_BYTES = re.compile(r"column #(\d+): (?:Row #(\d+): )?CSV conversion error to \w+: invalid UTF8")


class OpenQuoteError(DataError):
    """A quote that the file ends inside of."""


def check_signs(path: Place, encoding: str) -> None:
    """Find out by a file's first bytes whether it is what its name says.

    Raises
    ------
    DataError
        If it is something else.
    """
    with open_input(path) as file:
        start = file.read(FIRST_BYTES)
    if path.name.lower().endswith(".gz"):
        if start and not start.startswith(GZIP):
            raise DataError("it is not compressed by gzip: name it without .gz, or restore it.")
        return
    found = signature_of(start)
    if found and found.ending != ".csv":
        raise DataError(f"it is {found.what} by its first bytes, and no CSV: {found.remedy}.")
    if start.startswith(_UTF16) and codecs.lookup(encoding).name == "utf-8":
        raise DataError("it is written in UTF-16 by its first bytes: say so (--encoding utf16).")


def no_header(skipped: int) -> DataError:
    """Say that there is no line of names."""
    if skipped:
        return DataError(f"nothing follows the {skipped} lines that are skipped: skip fewer (--skip-rows).")
    return DataError("it is empty: expected a line with the names of the columns; restore it or leave it out.")


def check_header(header: bytes, delimiter: str) -> None:
    """Look at the names of the columns before they are parsed.

    Raises
    ------
    DataError
        If they are no text, or more than memory is taken for.
    """
    if b"\0" in header:
        raise DataError(
            "the line of names holds NUL bytes, expected text: restore the file, or say what it is written in "
            "(--encoding utf-16-le)."
        )
    columns = re.sub(rb'"[^"]*"', b"", header).count(delimiter.encode()) + 1
    if columns > _WIDEST:
        raise DataError(
            f"the line of names has {columns} fields, expected {_WIDEST} at most: give another delimiter (--delimiter) "
            "or write the table as Parquet."
        )


@contextmanager
def explaining(names: Sequence[str], encoding: str, rows_before: Callable[[], int]) -> Iterator[None]:
    """Say of what the parser reports in which row and column it is, and what to do.

    Parameters
    ----------
    names : sequence of str
        The columns that are parsed.
    encoding : str
    rows_before : callable
        Counts the rows before those that are parsed.

    Raises
    ------
    DataError
        Rows are counted from 1, without the header.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(
            f"the names of the columns are no {encoding}: say what the file is written in (--encoding latin1)."
        ) from None
    except pa.ArrowInvalid as error:
        if match := _WRONG_FIELDS.search(str(error)):
            row, expected, found = (int(part) for part in match.groups())
            raise DataError(
                f"row {rows_before() + row}: expected {expected} field{'' if expected == 1 else 's'}, found {found}; "
                "correct the row or the header, or give another delimiter (--delimiter)."
            ) from None
        if match := _WRONG_BYTES.search(str(error)):
            place = f", row {rows_before() + int(match[2])}" if match[2] else ""
            raise DataError(
                f"column {names[int(match[1])]!r}{place}: the bytes are no {encoding}; say what the file is written in "
                "(--encoding latin1), or correct them."
            ) from None
        raise


def stray(text: pa.Array, decimal: str) -> int:
    """Find the first value that is no number where most look like one, in whatever country; -1 where there is none.

    Parameters
    ----------
    text : pyarrow.StringArray
        With nulls for what is missing.
    decimal : str
        The decimal point of those that are numbers.
    """
    some = text.slice(0, _SOME).drop_null()
    looks = pc.sum(pc.match_substring_regex(some, _LIKE_A_NUMBER)).as_py() or 0
    if 2 * looks <= len(some):
        return -1
    point = re.escape(decimal)
    number = rf"^\s*[+-]?([0-9]+{point}?[0-9]*|{point}[0-9]+)([eE][+-]?[0-9]+)?\s*$"
    return int(pc.index(pc.match_substring_regex(text, number), boolean_of(False)).as_py())
