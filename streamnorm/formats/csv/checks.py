"""What is wrong with a CSV file, in words that help."""

from __future__ import annotations

import codecs
import re

from streamnorm.errors import DataError
from streamnorm.files import Place, open_input
from streamnorm.formats.csv.opening import PACKINGS
from streamnorm.formats.csv.seen import First
from streamnorm.formats.signatures import FIRST_BYTES, signature_of

__all__ = [
    "WIDEST",
    "OpenQuoteError",
    "check_header",
    "check_signs",
    "no_header",
    "no_number",
    "wrong_fields",
    "wrong_text",
]


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: Largest number of columns; a file of more is no table, or has another delimiter.
WIDEST = 1 << 16


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
    name = path.name.lower()
    for packing in PACKINGS:
        if name.endswith(packing.ending) and start and not start.startswith(packing.first):
            raise DataError(f"it is not compressed by {packing.name}: name it without {packing.ending}, or restore it.")
        if name.endswith((".csv", ".tsv")) and start.startswith(packing.first):
            raise DataError(
                f"it is compressed by {packing.name} by its first bytes, and no CSV: end its name in {packing.ending}."
            )
    found = signature_of(start)
    if found and not found.ending.startswith((".csv", ".tsv")):
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
    if columns > WIDEST:
        raise DataError(
            f"the line of names has {columns} fields, expected {WIDEST} at most: give another delimiter (--delimiter) "
            "or write the table as Parquet."
        )


def wrong_fields(row: int, expected: int, found: int) -> DataError:
    """Say that a row has too few fields, or too many.

    Parameters
    ----------
    row : int
        From 1, without the header.
    expected, found : int
        Numbers of fields.
    """
    before = "skip what stands before that (--skip-rows), " if found > expected else ""
    return DataError(
        f"row {row}: expected {expected} field{'' if expected == 1 else 's'}, found {found}; "
        f"correct the row or the header, {before}or give another delimiter (--delimiter)."
    )


def wrong_text(name: str, row: int, encoding: str) -> DataError:
    """Say that bytes are no text.

    Parameters
    ----------
    name : str
        The column.
    row : int
        From 1, without the header.
    encoding : str
    """
    return DataError(
        f"column {name!r}, row {row}: the bytes are no {encoding}; say what the file is written in "
        "(--encoding latin1), or correct them."
    )


def no_number(name: str, first: First) -> DataError:
    """Say that a value of a column of numbers is none.

    Parameters
    ----------
    name : str
        The column.
    first : First
        The first such value.
    """
    return DataError(
        f"column {name!r}, row {first.row}: expected a number, found {first.text[:40]!r}; correct it, "
        "name it among the null values (--null-values), or leave the column out (--exclude, or name others)."
    )
