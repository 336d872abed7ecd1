"""Bytes of files: the twin of csv_rows.h and byte_arrays.h."""

from __future__ import annotations

from typing import Any

from streamnorm.kernel.reference.csv_fields import LINE_END, field_end, line_or_field_end

__all__ = ["last_row", "longest"]


def last_row(data: Any, delimiter: str, comment: str = "") -> tuple[int, int]:
    """Give how far the whole rows of a piece of CSV reach, and where a quote is open, or -1.

    Parameters
    ----------
    data : bytes-like
    delimiter : str
    comment : str
        What lines begin with that are none of the table, or nothing.
    """
    text = bytes(data)
    if comment:
        return _last_record(text, delimiter, comment)
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
        last = _behind_line_end(text, plain, at) or last
        plain, at = closed, text.find(b'"', closed)
    return _behind_line_end(text, plain, end) or last, at


def _last_record(text: bytes, delimiter: str, comment: str) -> tuple[int, int]:
    """Look at every field, since quotes in comments quote nothing.

    Parameters
    ----------
    text : bytes
    delimiter, comment : str
    """
    ends = line_or_field_end(delimiter.encode())
    begins, at, last = True, 0, 0
    while at < len(text):
        line = begins and text.startswith(comment.encode(), at)
        stop = field_end(text, at, LINE_END if line else ends, quoted=not line)
        if stop < 0:
            return last, at
        begins, at = text[stop : stop + 1] in (b"\n", b"\r"), stop + 1
        if begins and (text[stop : stop + 1] == b"\n" or at < len(text)):
            last = at
    return last, -1


def _behind_quoted(text: bytes, at: int) -> int:
    at = text.find(b'"', at + 1)
    while text[at + 1 : at + 2] == b'"' and at >= 0:
        at = text.find(b'"', at + 2)
    return at + 1 if at >= 0 else -1


def _behind_line_end(text: bytes, start: int, stop: int) -> int:
    """Give what lies behind the last line end, 0 if there is none; a carriage return may be half of one.

    Parameters
    ----------
    text : bytes
    start : int
        Where the search ends.
    stop : int
        Where it begins, from behind.
    """
    feed, carriage = text.rfind(b"\n", start, stop), text.rfind(b"\r", start, stop)
    if carriage > feed and carriage + 1 == len(text):
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
