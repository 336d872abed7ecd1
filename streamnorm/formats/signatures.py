"""The first bytes of files, by which their formats are told apart."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from streamnorm.errors import SourceError

__all__ = ["ARROW", "ARROW_STREAM", "FIRST_BYTES", "GZIP", "PARQUET", "ending_of", "signature_of"]

PARQUET = b"PAR1"
ARROW = b"ARROW1"
#: A message begins with this mark, and a stream with a message.
ARROW_STREAM = b"\xff\xff\xff\xff"
GZIP = b"\x1f\x8b"

#: Bytes at the beginning of a file that its format is told by.
FIRST_BYTES = 1 << 10


class Signature(NamedTuple):
    """What a file is by its first bytes.

    Parameters
    ----------
    what : str
        In words, behind "it is".
    ending : str
        What its name should end in; nothing where it is no table that is read.
    remedy : str
        What to do with one that is not read, or that is called something else.
    """

    what: str
    ending: str
    remedy: str


_UNPACK = "unpack it"
_EXPORT = "write its tables as Parquet or CSV"
_STARTS = {
    PARQUET: Signature("a Parquet file", ".parquet", "end its name in .parquet"),
    b"PARE": Signature("a Parquet file with an encrypted footer", "", "write it without encryption"),
    ARROW: Signature("an Arrow file", ".arrow", "end its name in .arrow"),
    ARROW_STREAM: Signature("an Arrow stream", ".arrows", "end its name in .arrows"),
    b"FEA1": Signature(
        "a Feather file of version 1", "", "write it again, as version 2 (pyarrow.feather.write_feather)"
    ),
    GZIP: Signature("compressed by gzip", ".csv.gz", "end its name in .gz"),
    b"BZh": Signature("compressed by bzip2", ".csv.bz2", _UNPACK),
    b"\xfd7zXZ\0": Signature("compressed by xz", ".csv.xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": Signature("compressed by zstd", ".csv.zst", _UNPACK),
    b"\x04\x22\x4d\x18": Signature("compressed by lz4", "", _UNPACK),
    b"PK\x03\x04": Signature("a zip archive", "", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": Signature("a 7z archive", "", _UNPACK),
    b"Rar!": Signature("a rar archive", "", _UNPACK),
    b"ORC": Signature("an ORC file", "", _EXPORT),
    b"Obj\x01": Signature("an Avro file", "", _EXPORT),
    b"SQLite format 3\0": Signature("an SQLite database", "", _EXPORT),
    b"\x89HDF": Signature("an HDF5 file", "", _EXPORT),
    b"\x93NUMPY": Signature("a NumPy array", "", _EXPORT),
    b"\xd0\xcf\x11\xe0": Signature("an old Office file", "", _EXPORT),
    b"\x80\x04\x95": Signature("a pickle", "", _EXPORT),
    b"%PDF": Signature("a PDF", "", _EXPORT),
}
_CSV = Signature("text", ".csv", "end its name in .csv")
_PAGE = "restore the file: what sent it may have answered with an error"
#: What no table begins with: text that a web server or an object store sends.
_PAGES = (
    (re.compile(rb"<(\?xml|error\b)", re.IGNORECASE), Signature("an XML page", "", _PAGE)),
    (re.compile(rb"<(!doctype|html|head|body)\b", re.IGNORECASE), Signature("an HTML page", "", _PAGE)),
    (re.compile(rb"\{\s*(\"[^\"]*\"\s*:|\})|\[\s*[{\[]"), Signature("JSON", "", _EXPORT)),
)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def signature_of(first: bytes) -> Signature | None:
    r"""Tell what a file is; None for one that is neither of a known format nor text.

    Parameters
    ----------
    first : bytes
        The first `FIRST_BYTES` bytes of it, or all.

    Examples
    --------
    >>> signature_of(b"x,y\n1,2\n").ending, signature_of(b"PAR1\x15\x04").ending, signature_of(b"<html>").what
    ('.csv', '.parquet', 'an HTML page')
    """
    for start, found in _STARTS.items():
        if first.startswith(start):
            return found
    text = first.removeprefix(codecs.BOM_UTF8).lstrip()
    for page, found in _PAGES:
        if page.match(text):
            return found
    return _CSV if first.startswith(_UTF16) or not _NO_TEXT.search(first) else None


def ending_of(first: bytes, title: object) -> str:
    """Give what the name of a file with these first bytes should end in.

    Parameters
    ----------
    first : bytes
        The first `FIRST_BYTES` bytes of it, or all.
    title : object
        What messages call the file.

    Raises
    ------
    SourceError
        If it is none that is read.
    """
    found = signature_of(first)
    if found is None or not found.ending:
        what, remedy = (found.what, found.remedy) if found else ("of no known kind", "restore it or leave it out")
        raise SourceError(f"{title} is {what} by its first bytes, expected Parquet, CSV or Arrow: {remedy}.")
    return found.ending
