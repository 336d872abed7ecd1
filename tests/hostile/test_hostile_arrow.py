"""Hostile Arrow files and streams: refused in one line, or read for exactly what is in them."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from hostile import Case, check, written

GOOD = pa.table({"x": [1.0, 3.0], "t": ["a", "b"]})
LONG = pa.table({"x": np.arange(12345.0), "t": ["text"] * 12345})
KINDS = ("arrow", "arrows")
MARK = b"\xff\xff\xff\xff"
END = MARK + b"\0\0\0\0"


def refused(kind: str, data: bytes, *words: str, fits: bool = False) -> Case:
    return Case(data, words or ("cannot be read", "restore"), kind=kind, fits=fits)


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def found(data: bytes, old: bytes, new: bytes, which: int = 0) -> bytes:
    """Put other bytes in the place of those."""
    at = -1
    for _ in range(which + 1):
        at = data.index(old, at + 1)
    return changed(data, at, new)


def beside(array: pa.Array) -> pa.Table:
    return pa.table({"x": [1.0, 3.0], "t": array})


def of_buffers(kind: pa.DataType, *buffers: bytes) -> pa.Table:
    """A column of what nobody would write."""
    return beside(pa.Array.from_buffers(kind, 2, [None, *map(pa.py_buffer, buffers)]))


def cases(kind: str) -> dict[str, Case]:
    good = written(GOOD, kind)
    long, packed = written(LONG, kind), written(LONG, kind, compression="zstd")
    rows, size = struct.pack("<q", 12345), struct.pack("<q", 8 * 12345)
    text = written(beside(["a" * 11, "b" * 13]), kind)
    return {
        "zero bytes": refused(kind, b""),
        "magic only": refused(kind, b"ARROW1" if kind == "arrow" else MARK),
        "cut in the middle": refused(kind, good[: len(good) // 2]),
        "cut by a byte": refused(kind, good[:-1]),
        "metadata of 2 GB": refused(kind, found(good, MARK, MARK + b"\xff\xff\xff\x7f", 1)),
        "metadata of less than nothing": refused(kind, found(good, MARK, MARK + b"\xff\xff\xff\x80", 1)),
        "Parquet": refused(kind, written(GOOD), "a Parquet file by its first bytes", "end its name in .parquet"),
        "CSV": refused(kind, b"x,t\n1,a\n" * 10),
        "garbage": refused(kind, bytes(range(256)) * 4),
        **{
            f"{what} rows {name}": refused(kind, found(long, rows, struct.pack("<q", number), which), fits=fits)
            for what, which, fits in (("a batch's", 0, False), ("a column's", 1, False), ("a text's", 2, True))
            for name, number in (("fewer", 12344), ("more", 12346), ("below nothing", -1), ("beyond all", 2**62))
        },
        "a buffer longer than the body": refused(
            kind, found(long, size, struct.pack("<q", 2**40)), "batch 0", "unpack"
        ),
        "metadata that lead nowhere": refused(
            kind, changed(good, good.index(MARK, good.index(MARK) + 1) + 8, b"\xff\xff\xff\x7f")
        ),
        "a length before compression that is not so": refused(kind, found(packed, size, struct.pack("<q", 12344))),
        "compressed bytes that are none": refused(kind, found(packed, size, size + b"\0\0\0\0")),
        "UTF-8 that is none": refused(
            kind, written(of_buffers(pa.string(), struct.pack("<3i", 0, 1, 2), b"a\xfe"), kind),
            "'t'", "row 2", "UTF-8", fits=True,
        ),
        "offsets that fall": refused(
            kind, written(of_buffers(pa.string(), struct.pack("<3i", 0, 2, 1), b"ab"), kind),
            "'t'", "damaged", "restore", fits=True,
        ),
        "offsets beyond the data": refused(
            kind, found(text, struct.pack("<3i", 0, 11, 24), struct.pack("<3i", 0, 11, 2**30)),
            "'t'", "damaged", "restore", fits=True,
        ),
        "indices beyond the dictionary": refused(
            kind, written(beside(pa.DictionaryArray.from_arrays(pa.array([0, 77]), ["a"], safe=False)), kind),
            "'t'", "damaged", "restore", fits=True,
        ),
        **{
            f"compressed by {name}": Case(
                written(LONG, kind, 5000, compression=name), numbers={"x": LONG["x"].to_pylist()}, kind=kind
            )
            for name in ("lz4", "zstd")
        },
        "as it was written in 2018": Case(
            written(LONG, kind, 5000, use_legacy_format=True, metadata_version=pa.ipc.MetadataVersion.V4),
            numbers={"x": LONG["x"].to_pylist()}, kind=kind,
        ),
    }  # fmt: skip


TABLE = {f"{name} ({kind})": case for kind in KINDS for name, case in cases(kind).items()} | {
    "huge footer": refused("arrow", changed(written(GOOD, "arrow"), -10, b"\xff\xff\xff\x7f")),
    "footer of nothing": refused("arrow", changed(written(GOOD, "arrow"), -10, b"\0\0\0\0")),
    "garbage called Feather": refused("feather", bytes(range(256)) * 4),
    "no end of a stream": refused("arrows", written(GOOD, "arrows")[: -len(END)], "end", "cut short", "restore"),
    "streams one behind the other": refused("arrows", written(GOOD, "arrows") * 2, "more follows", "restore"),
    "bytes behind the end": refused("arrows", written(GOOD, "arrows") + b"\n", "more follows", "restore"),
}


@pytest.mark.parametrize("name", TABLE)
def test_hostile_arrow(name, tmp_path, capsys):
    check(TABLE[name], tmp_path, capsys)
