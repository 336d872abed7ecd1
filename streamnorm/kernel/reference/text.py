"""Bytes of files: the twin of csv_rows.h and byte_arrays.h."""

from __future__ import annotations

from typing import Any

__all__ = ["last_row", "longest"]


def last_row(data: Any, delimiter: str) -> tuple[int, int]:
    """Give how far the whole rows of a piece of CSV reach, and where a quote is open, or -1."""
    text = bytes(data)
    last, plain, end = 0, 0, len(text)
    before_quotes = (b"\n", b"\r", delimiter.encode())
    at = text.find(b'"')
    while at >= 0:
        if at and text[at - 1 : at] not in before_quotes:
            at = text.find(b'"', at + 1)
            continue
        closed = _behind_quoted(text, at)
        if closed < 0:
            end = at
            break
        last = _behind_line_end(text, plain, at, end) or last
        plain, at = closed, text.find(b'"', closed)
    return _behind_line_end(text, plain, end, end) or last, at


def _behind_quoted(text: bytes, at: int) -> int:
    at = text.find(b'"', at + 1)
    while text[at + 1 : at + 2] == b'"' and at >= 0:
        at = text.find(b'"', at + 2)
    return at + 1 if at >= 0 else -1


def _behind_line_end(text: bytes, start: int, stop: int, end: int) -> int:
    """Give what lies behind the last line end, 0 if there is none; a carriage return may be half of one.

    Parameters
    ----------
    text : bytes
    start : int
        Where the search ends.
    stop : int
        Where it begins, from behind.
    end : int
        The end of the piece.
    """
    feed, carriage = text.rfind(b"\n", start, stop), text.rfind(b"\r", start, stop)
    if carriage > feed and carriage + 1 == end:
        carriage = text.rfind(b"\r", start, carriage)
    return max(feed, carriage) + 1


def longest(data: Any) -> int:
    """Give the bytes of the longest of texts that lie one behind the other, each behind its length."""
    text, at, most = memoryview(data).cast("B"), 0, 0
    while len(text) - at >= 4:
        length = min(int.from_bytes(text[at : at + 4], "little"), len(text) - at - 4)
        most = max(most, length)
        at += 4 + length
    return most
