"""Bytes of CSV files: decompressed, and recoded where delimiters could be part of a character."""

from __future__ import annotations

import codecs
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple, cast

import pyarrow as pa

from streamnorm.files import Place, open_input

__all__ = ["PACKINGS", "Packing", "keeps_bytes", "open_text", "recoded"]


class Packing(NamedTuple):
    """How files are compressed.

    Parameters
    ----------
    name : str
    first : bytes
        The first bytes of such files.
    ending : str
        The end of their names.
    unpack, pack : callable
        Make of a file one to read from, or to write to.
    """

    name: str
    first: bytes
    ending: str
    unpack: Callable[[Any], Any]
    pack: Callable[[Any], Any]


def _by_arrow(name: str, first: bytes, ending: str) -> Packing:
    """Describe what Arrow packs and unpacks.

    Parameters
    ----------
    name : str
        Arrow's own, too.
    first : bytes
    ending : str
    """
    codec = {"bzip2": "bz2"}.get(name, name)
    return Packing(
        name, first, ending,
        lambda raw: pa.CompressedInputStream(raw, codec), lambda raw: pa.CompressedOutputStream(raw, codec),
    )  # fmt: skip


class _Unpacked(io.RawIOBase):
    """Reads by a library whose errors are of kinds of its own: they become those of the system.

    Parameters
    ----------
    file : file
    error : type
        What the library raises where a file is damaged.
    """

    def __init__(self, file: Any, error: type[Exception]) -> None:
        self._file, self._error = file, error

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes.

        Raises
        ------
        OSError
            If the file is damaged or ends too early.
        """
        try:
            return int(self._file.readinto(buffer))
        except (EOFError, self._error) as error:
            raise OSError(str(error)) from error


def _gunzip(raw: Any) -> Any:
    """Read gzip by the library that takes half the time, where it is installed."""
    try:
        from isal import igzip, isal_zlib
    except ImportError:
        return pa.CompressedInputStream(raw, "gzip")
    file: Any = igzip
    return _Unpacked(file.GzipFile(fileobj=raw), cast(type[Exception], isal_zlib.error))


def _unxz(raw: Any) -> Any:
    return _Unpacked(lzma.LZMAFile(raw), lzma.LZMAError)


PACKINGS = (
    _by_arrow("gzip", b"\x1f\x8b", ".gz")._replace(unpack=_gunzip),
    _by_arrow("bzip2", b"BZh", ".bz2"),
    _by_arrow("zstd", b"\x28\xb5\x2f\xfd", ".zst"),
    Packing("xz", b"\xfd7zXZ\0", ".xz", _unxz, partial(lzma.LZMAFile, mode="wb")),
)
_MOST = max(len(packing.first) for packing in PACKINGS)
#: Bytes that are read ahead: few, as larger blocks are read past them, and not copied.
_BUFFER = 1 << 16


@cache
def keeps_bytes(encoding: str) -> bool:
    """Tell whether every byte below 128 is an ASCII character in an encoding, whatever stands beside it."""
    if codecs.lookup(encoding).name == "utf-8":
        return True
    text = bytes(range(256)).decode(encoding, "replace")
    return len(text) == 256 and text[:128] == bytes(range(128)).decode("ascii")


def recoded(encoding: str) -> bool:
    """Tell whether files of an encoding are read as UTF-8."""
    return not keeps_bytes(encoding)


@contextmanager
def open_text(path: Place, encoding: str) -> Iterator[tuple[io.BufferedReader, pa.NativeFile]]:
    """Open a file for reading its text from the beginning, and give the file whose place tells how far that is.

    Parameters
    ----------
    path : Place
    encoding : str
    """
    with open_input(path) as file:
        start = file.read(_MOST)
    with open_input(path) as raw:
        packing = next((packing for packing in PACKINGS if start.startswith(packing.first)), None)
        stream: Any = packing.unpack(raw) if packing else raw
        if recoded(encoding):
            stream = pa.transcoding_input_stream(_as_arrow(stream), encoding, "utf8")
        with io.BufferedReader(stream, _BUFFER) as text:
            yield text, raw


def _as_arrow(stream: Any) -> pa.NativeFile:
    return stream if isinstance(stream, pa.NativeFile) else pa.PythonFile(stream, "r")
