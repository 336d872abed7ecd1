"""Packs: files that hold many named blocks of bytes, which are written once and never changed.

Layout of version 1: the bytes ``SNPACK01``; the blocks one after the other; an index with, for each block, its name
(24 bytes), where it begins and its length (8 bytes each) and its checksum (16 bytes: xxh3-128 of name and block); and
at the end where the index begins, how many blocks there are, the checksum of the index, and ``SNPACK01`` again.
Integers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import xxhash

from streamnorm.errors import StateError
from streamnorm.files import Target, replacing

__all__ = ["NAME_BYTES", "Block", "blocks_of", "read_block", "write_pack"]

NAME_BYTES = 24
_MAGIC = b"SNPACK01"
_ENTRY = struct.Struct(f"<{NAME_BYTES}sQQ16s")
_END = struct.Struct("<QQ16s8s")


class Block(NamedTuple):
    """Where a block stands.

    Parameters
    ----------
    pack : Path or Remote
    at, size : int
        Its first byte, and how many there are.
    checksum : bytes
    """

    pack: Target
    at: int
    size: int
    checksum: bytes


def write_pack(path: Target, blocks: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Block]:
    """Write named blocks as a file, in one step, and say where each stands.

    Parameters
    ----------
    path : Path or Remote
    blocks : iterable of (bytes, bytes)
        Names of 24 bytes, and the blocks.
    """
    found: dict[bytes, Block] = {}
    with replacing(path, parents=True) as draft, draft.open("wb") as file:
        file.write(_MAGIC)
        at = len(_MAGIC)
        for name, data in blocks:
            file.write(data)
            found[name] = Block(path, at, len(data), _checksum(name, data))
            at += len(data)
        index = b"".join(_ENTRY.pack(name, *block[1:]) for name, block in found.items())
        file.write(index + _END.pack(at, len(found), xxhash.xxh3_128_digest(index), _MAGIC))
    return found


def blocks_of(path: Target) -> dict[bytes, Block]:
    """Find out what a pack holds.

    Raises
    ------
    StateError
        If it is damaged, or no pack.
    """
    with _opened(path) as file:
        size = file.seek(0, 2)
        end = (0, 0, b"", b"")
        if size >= len(_MAGIC) + _END.size:
            file.seek(size - _END.size)
            end = _END.unpack(file.read(_END.size))
        start, count, checksum, magic = end
        if magic != _MAGIC or start + count * _ENTRY.size + _END.size != size:
            raise _damaged(path)
        file.seek(start)
        index = file.read(count * _ENTRY.size)
    if xxhash.xxh3_128_digest(index) != checksum:
        raise _damaged(path)
    return {name: Block(path, at, size, own) for name, at, size, own in _ENTRY.iter_unpack(index)}


def read_block(name: bytes, block: Block) -> bytes:
    """Read a block; raises StateError if it is damaged."""
    with _opened(block.pack) as file:
        file.seek(block.at)
        data: bytes = file.read(block.size)
    if _checksum(name, data) != block.checksum:
        raise _damaged(block.pack)
    return data


@contextmanager
def _opened(path: Target) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise StateError(f"{path} cannot be read: {reason}; see to it, or count anew (--rebuild).") from error


def _checksum(name: bytes, data: bytes) -> bytes:
    digest = xxhash.xxh3_128(name)
    digest.update(data)
    return digest.digest()


def _damaged(path: Target) -> StateError:
    return StateError(f"{path} is damaged: its checksums do not match; restore it, or count anew (--rebuild).")
