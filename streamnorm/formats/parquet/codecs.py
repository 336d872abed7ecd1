"""Codecs of Parquet by their numbers: a page unpacked, and packed anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa

__all__ = ["LZ4", "LZ4_RAW", "SNAPPY", "UNCOMPRESSED", "can_unpack", "literal", "packed", "unpacked", "written_codec"]

UNCOMPRESSED, SNAPPY, LZ4, LZ4_RAW = 0, 1, 5, 7
_NAMES = {SNAPPY: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", LZ4_RAW: "lz4_raw"}
#: Bytes before each block of LZ4 in Hadoop's framing: its size unpacked and packed, most significant byte first.
_FRAME = 8


def can_unpack(codec: int) -> bool:
    """Tell whether pages of a codec can be unpacked; LZO's cannot."""
    return codec in (UNCOMPRESSED, LZ4) or (codec in _NAMES and pa.Codec.is_available(_NAMES[codec]))


def written_codec(codec: int) -> int:
    """Give the codec that pages are packed with anew: LZ4 is written in no framing but its own."""
    return LZ4_RAW if codec == LZ4 else codec


def unpacked(codec: int, data: Any, size: int) -> Any:
    """Unpack a page.

    Parameters
    ----------
    codec : int
    data : buffer
    size : int
        Bytes that the page's header says it unpacks to.

    Returns
    -------
    buffer
        Of that size.

    Raises
    ------
    ValueError
        If it is no such page.
    """
    try:
        if codec == UNCOMPRESSED:
            found = data
        elif codec == LZ4:
            found = _unpacked_lz4(data, size)
        else:
            found = _UNPACK[codec](data, size) if size else b""
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"a page cannot be unpacked ({' '.join(str(error).split())})") from None
    if len(found) != size:
        raise ValueError(f"a page unpacks to {len(found)} bytes where {size} were expected")
    return found


def _unpacked_snappy(data: Any, size: int) -> Any:
    told = 0
    for place, byte in enumerate(bytes(memoryview(data)[:5])):  # packed bytes begin with the number of the unpacked
        told |= (byte & 127) << 7 * place
        if byte < 128:
            break
    if told != size:
        raise ValueError(f"a page unpacks to {told} bytes where {size} were expected")
    return pa.decompress(data, size, "snappy")


def _unpacked_stream(name: str, data: Any, size: int) -> Any:
    """Unpack a page of a codec that is read as a stream, a byte more than is expected if there is one.

    Parameters
    ----------
    name : str
        pyarrow's, of the codec.
    data : buffer
    size : int
        Bytes that are expected.
    """
    with pa.CompressedInputStream(pa.BufferReader(data), name) as stream:
        return stream.read_buffer(size + 1)


def _unpacked_block(data: Any, size: int) -> Any:
    """Unpack a bare block of LZ4, which does not tell its size: it is this one where one less is too little."""
    found = pa.decompress(data, size, _NAMES[LZ4_RAW])
    try:
        pa.decompress(data, size - 1, _NAMES[LZ4_RAW])
    except (pa.ArrowException, OSError):
        return found
    raise ValueError(f"a page unpacks to fewer bytes than the {size} that were expected")


#: What unpacks to a size, or to something else, or raises: pyarrow's own does not say how much it has unpacked.
_UNPACK: dict[int, Callable[[Any, int], Any]] = {
    SNAPPY: _unpacked_snappy,
    2: partial(_unpacked_stream, "gzip"),
    4: partial(_unpacked_stream, "brotli"),
    6: lambda data, size: pa.decompress(data, size, "zstd"),  # which is strict
    LZ4_RAW: _unpacked_block,
}


def packed(codec: int, data: Any) -> Any:
    """Pack a page; gives a buffer."""
    return data if codec == UNCOMPRESSED else pa.compress(data, _NAMES[codec])


def literal(data: Any) -> bytes:
    r"""Pack bytes that Snappy does not make smaller as the one literal that it makes of such.

    Examples
    --------
    >>> literal(b"abc"), unpacked(SNAPPY, literal(b"x" * 99), 99).to_pybytes() == b"x" * 99
    (b'\x03\x08abc', True)
    """
    less, told, size = len(data) - 1, bytearray(), len(data)
    while size > 127:
        told.append(size & 127 | 128)
        size >>= 7
    more = 0 if less < 60 else max(1, -(-less.bit_length() // 8))
    tag, length = (59 + more, less.to_bytes(more, "little")) if more else (less, b"")
    return b"".join((told, bytes((size, tag << 2)), length, data))


def _unpacked_lz4(data: Any, size: int) -> bytes:
    """Unpack LZ4 of before its name was clear: blocks in Hadoop's framing, or, by some writers, one bare block."""
    try:
        return _unpacked_frames(data, size)
    except (pa.ArrowException, OSError, ValueError):
        return bytes(_unpacked_block(data, size))


def _unpacked_frames(data: Any, size: int) -> bytes:
    view, found, at = memoryview(data).cast("B"), bytearray(), 0
    while at < len(view) or len(found) < size:
        plain, own = (int.from_bytes(view[at + i : at + i + 4], "big") for i in (0, 4))
        at += _FRAME
        if plain > size - len(found) or own > len(view) - at:
            raise ValueError("no framing of Hadoop's")
        found += _unpacked_block(view[at : at + own], plain)
        at += own
    return bytes(found)
