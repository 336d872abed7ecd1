"""What is wrong with a CSV file, in words that help; and what its parser does not see."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from streamnorm.errors import DataError

__all__ = ["check_closed", "check_signs", "explaining"]

_GZIP = b"\x1f\x8b"
#: The first bytes of files that are no CSV, what they are and what to do.
_SIGNS = [
    (b"PAR1", "a Parquet file", "end its name in .parquet"),
    (b"ARROW1", "an Arrow file", "end its name in .arrow"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it"),
    (b"BZh", "compressed by bzip2", "unpack it"),
    (_GZIP, "compressed by gzip", "end its name in .csv.gz"),
]
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_WRONG_FIELDS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): ?(.*)", re.DOTALL)
_WRONG_BYTES = re.compile(r"column #(\d+): Row #(\d+): CSV conversion error to string: invalid UTF8")


def check_signs(path: Path, encoding: str) -> None:
    """Find out by a file's first bytes whether it is what its name says.

    Raises
    ------
    DataError
        If it is something else.
    """
    with path.open("rb") as file:
        start = file.read(6)
    if path.suffix.lower() == ".gz":
        if start and not start.startswith(_GZIP):
            raise DataError("it is not compressed by gzip: name it without .gz, or restore it.")
        return
    for sign, what, remedy in _SIGNS:
        if start.startswith(sign):
            raise DataError(f"it is {what} by its first bytes, and no CSV: {remedy}.")
    if start.startswith(_UTF16) and codecs.lookup(encoding).name == "utf-8":
        raise DataError("it is written in UTF-16 by its first bytes: say so (--encoding utf16).")


@contextmanager
def explaining(names: Sequence[str], skipped: int, encoding: str) -> Iterator[None]:
    """Say of what the parser reports in which row and column it is, and what to do.

    Parameters
    ----------
    names : sequence of str
        The columns.
    skipped : int
        Lines before the header, which the parser counts as rows.
    encoding : str

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
        words = _explanation(str(error), names, skipped, encoding)
        if words is None:
            raise
        raise DataError(words) from None


def _explanation(found: str, names: Sequence[str], skipped: int, encoding: str) -> str | None:
    if match := _WRONG_FIELDS.search(found):
        row, expected, got, text = int(match[1]) - 1 - skipped, int(match[2]), int(match[3]), match[4]
        return (
            f"row {row}: expected {expected} field{'' if expected == 1 else 's'} as in the header, found {got} in "
            f"{text[:40]!r}; correct the row, close a quote before it, or say what stands between fields (--delimiter)."
        )
    if match := _WRONG_BYTES.search(found):
        name, row = names[int(match[1])], int(match[2]) - 1 - skipped
        return (
            f"column {name!r}, row {row}: the bytes are no {encoding}; say what the file is written in "
            "(--encoding latin1), or correct them."
        )
    if "Empty CSV" in found:
        return "it is empty, or a quote in its first line is never closed: expected a line of column names."
    if "Could not skip" in found:
        return f"it has no {skipped} lines before the header: skip fewer (--skip-rows)."
    if "straddling" in found:
        return "a row is longer than 64 MiB: close the quote that is open there, or leave the file out."
    return None


def check_closed(path: Path, value: str, column: str, row: int, encoding: str) -> None:
    """Find out whether the last value of a file was left open by its quote, and swallowed what follows.

    The parser takes the end of the file for the end of such a value. It is told from one that was closed by the
    bytes that the file ends with, which are read again only where the value holds a line end.

    Raises
    ------
    DataError
        If it was.
    """
    if "\n" not in value and "\r" not in value:
        return
    written = '"' + value.replace('"', '""')
    end = _end_of(path, len(written.encode(encoding)) + 64).decode(encoding, errors="ignore")
    if end.endswith(written) and not end.rstrip("\r\n").endswith(written + '"'):
        raise DataError(f"column {column!r}, row {row}: a quote is opened there and never closed; close it.")


def _end_of(path: Path, size: int) -> bytes:
    end = b""
    with pa.input_stream(str(path), compression="detect") as stream:
        while chunk := stream.read(max(size, 1 << 20)):
            end = (end + chunk)[-size:]
    return end
