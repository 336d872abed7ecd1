"""What stands in Parquet pages: the twin of hybrid.h, page_values.h and snappy.h."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.kernel.reference.page_headers import Bytes, CutError, is_size

__all__ = [
    "DELTA",
    "PLAIN",
    "PLAIN_DICTIONARY",
    "RLE_DICTIONARY",
    "SPLIT",
    "count_indices",
    "present_in",
    "unpack",
    "unpack_snappy",
]

#: Parquet's numbers of encodings.
PLAIN, PLAIN_DICTIONARY, DELTA, RLE_DICTIONARY, SPLIT = 0, 2, 5, 8, 9

_INT32 = 2**31 - 1
_MOST_PARTS, _MOST_PART_VALUES = 1 << 12, 1 << 20


def _parts(data: memoryview, values: int, bits: int) -> Iterator[NDArray[np.uint32] | tuple[int, int]]:
    """Yield the values of a hybrid: packed ones, or one and how often it stands there.

    Parameters
    ----------
    data : memoryview
    values : int
        How many are wanted.
    bits : int
        Of each.
    """
    reader = Bytes(data)
    while values > 0:
        try:
            head = reader.unsigned()
        except (CutError, ValueError):
            head = 0
        if not 0 < head >> 1 <= _INT32:
            raise ValueError("runs end before the page's values")
        packed, room = head & 1, len(data) - reader.at
        count = min((head >> 1) * (8 if packed else 1), values)
        size = (count * bits + 7) // 8 if packed else (bits + 7) // 8
        if size > room:
            raise ValueError("runs end before the page's values")
        own = data[reader.at : reader.at + size]
        yield _packed(own, count, bits).astype(np.uint32) if packed else (int.from_bytes(own, "little"), count)
        reader.at += min((head >> 1) * bits, room) if packed else size
        values -= count


def _packed(data: memoryview, count: int, bits: int) -> NDArray[np.uint64]:
    """Unpack values, the lowest bits first.

    Parameters
    ----------
    data : memoryview
    count : int
    bits : int
        Of each.
    """
    if bits == 0:
        return np.zeros(count, np.uint64)
    ones = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    values: NDArray[np.uint64] = (ones.astype(np.uint64) << np.arange(bits, dtype=np.uint64)).sum(
        axis=1, dtype=np.uint64
    )
    return values


def present_in(levels: memoryview, values: int) -> int:
    """Count the definition levels that are 1."""
    present = above = 0
    try:
        for part in _parts(levels, values, 1):
            value, times = part if isinstance(part, tuple) else (0, 0)
            present += value * times if times else int(np.sum(part))
            above += value > 1
            if above:
                break
    except ValueError:
        raise ValueError("definition levels end before the page's values") from None
    if above:
        raise ValueError("a definition level is above 1")
    return present


def count_indices(data: memoryview, present: int, counts: NDArray[np.int64]) -> None:
    """Add up how often each entry of the dictionary occurs.

    Parameters
    ----------
    data : memoryview
        The byte that tells the bits of an index, then indices.
    present : int
        How many.
    counts : ndarray of shape (n_entries,)
    """
    if present == 0:
        return
    if not len(data) or data[0] > 32:
        raise ValueError("the bits of its indices are missing or more than 32")
    for part in _parts(data[1:], present, data[0]):
        indices, times = ([part[0]], part[1]) if isinstance(part, tuple) else (part, 1)
        if max(indices) >= len(counts):
            raise ValueError("an index lies beyond the dictionary")
        np.add.at(counts, indices, times)


def unpack_snappy(data: memoryview, size: int) -> bytearray:
    """Unpack to exactly so many bytes."""
    reader, out = Bytes(data), bytearray()
    try:
        told = reader.unsigned()
    except (CutError, ValueError):
        told = -1
    if told != size:
        raise ValueError("a page unpacks to another number of bytes than its header says")
    while reader.at < len(data):
        tag = reader.byte()
        kind, length = tag & 3, (tag >> 2) + 1
        more = (max(0, length - 60), 1, 2, 4)[kind]
        number = int.from_bytes(data[reader.at : reader.at + more], "little")
        short, reader.at = more > len(data) - reader.at, reader.at + more
        if kind == 0:
            length = number + 1 if more else length
            own = data[reader.at : reader.at + length]
            reader.at += length
        else:
            length, back = ((tag >> 2 & 7) + 4, number | tag >> 5 << 8) if kind == 1 else (length, number)
            if short or not 0 < back <= len(out):
                raise ValueError("a page does not unpack")
            own = memoryview((bytes(out[-back:]) * (length // back + 1))[:length])
        if short or len(own) != length or length > size - len(out):
            raise ValueError("a page does not unpack")
        out += own
    if len(out) != size:
        raise ValueError("a page does not unpack")
    return out


def unpack(encoding: int, body: Any, start: int, count: int, width: int) -> bytes:
    """Give values of DELTA_BINARY_PACKED or BYTE_STREAM_SPLIT, plain.

    Parameters
    ----------
    encoding : int
        Parquet's number.
    body : buffer
        A page, unpacked.
    start : int
        Where in it the values begin.
    count : int
    width : int
        Bytes of a value, 4 or 8.
    """
    data = memoryview(body).cast("B")
    fine = encoding in (DELTA, SPLIT) and width in (4, 8) and 0 <= start <= len(data) and is_size(count)
    if not fine:
        raise ValueError("values of 4 or 8 bytes are unpacked, of two encodings, from within their page")
    return (_split if encoding == SPLIT else _deltas)(data[start:], count, width)


def _split(data: memoryview, count: int, width: int) -> bytes:
    """Put the bytes of each value together.

    Parameters
    ----------
    data : memoryview
    count, width : int
    """
    stream = len(data) // width
    if stream < count:
        raise ValueError("byte streams end before the page's values")
    streams = np.frombuffer(data, np.uint8, stream * width).reshape(width, stream)
    return streams[:, :count].T.tobytes()


def _deltas(data: memoryview, count: int, width: int) -> bytes:
    """Add up the differences, which wrap around.

    Parameters
    ----------
    data : memoryview
    count, width : int
    """
    reader = Bytes(data)
    deltas = [np.zeros(0, np.uint64)]
    try:
        block, parts, total = (reader.unsigned() for _ in range(3))
        first = reader.signed()
        _check_blocks(block, parts)
        done = 1 if total >= count else 0
        while 0 < done < count:
            deltas += _block(reader, parts, block // parts, count - done, width)
            done = 1 + sum(map(len, deltas))
    except CutError:
        done = 0
    if done == 0:
        raise ValueError("deltas end before the page's values")
    values = np.cumsum(np.concatenate([[np.uint64(first & (2**64 - 1))], *deltas]), dtype=np.uint64)
    return values[:count].astype(np.dtype(f"u{width}")).tobytes()


def _check_blocks(block: int, parts: int) -> None:
    fine = 0 < parts <= _MOST_PARTS and block and not block % 128 and not block % parts
    if not fine or block // parts > _MOST_PART_VALUES or block // parts % 32:
        raise ValueError("blocks of deltas have no size that can be")


def _block(reader: Bytes, parts: int, each: int, wanted: int, width: int) -> list[NDArray[np.uint64]]:
    """Give the differences of a block, as far as they are wanted.

    Parameters
    ----------
    reader : Bytes
    parts, each : int
        Parts of the block, and values of a part.
    wanted, width : int
    """
    least = np.uint64(reader.signed() & (2**64 - 1))
    at = reader.at
    reader.skip(parts)
    found: list[NDArray[np.uint64]] = []
    for bits in reader.data[at : at + parts]:
        n = min(each, wanted)
        if n == 0:
            break
        if bits > 8 * width:
            raise ValueError("deltas have more bits than the column's values")
        size = (n * bits + 7) // 8
        if size > len(reader.data) - reader.at:
            raise CutError
        found.append(_packed(reader.data[reader.at : reader.at + size], n, bits) + least)
        reader.at += min(each * bits // 8, len(reader.data) - reader.at)
        wanted -= n
    return found
