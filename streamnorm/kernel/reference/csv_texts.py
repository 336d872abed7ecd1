"""Text between fields of CSV and columns: the twin of csv_texts.h and shortest_text.h."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from streamnorm.kernel.reference.csv_fields import unquoted

__all__ = ["csv_splice", "csv_texts", "shortest"]

REPLACE, APPEND, REMOVE = range(3)
#: Exponents of ten that are written without one.
_LEAST, _MOST = -6, 9


def _text_of(value: Any, decimal: str) -> bytes:
    """Write a float64 or float32 as the shortest text that reads back to it."""
    if not math.isfinite(value):
        return str(float(value)).encode()
    sign, digits, exponent = re.match(r"(-?)([0-9.]+)(?:e(.*))?", str(value)).groups()  # type: ignore[union-attr]
    whole, _, fraction = digits.partition(".")
    power = int(exponent or 0) - len(fraction)
    kept = (whole + fraction).lstrip("0")
    power += len(kept) - len(kept.rstrip("0"))
    kept = kept.rstrip("0") or "0"
    top = power + len(kept) - 1
    if kept == "0":
        text = "0"
    elif not _LEAST <= top <= _MOST:
        text = f"{kept[0]}{decimal * (len(kept) > 1)}{kept[1:]}e{top:+d}"
    elif power >= 0:
        text = kept + "0" * power
    else:
        padded = kept.rjust(1 - power, "0")
        text = f"{padded[:power]}{decimal}{padded[power:]}"
    return (sign + text).encode()


def _as_arrow(texts: Iterable[bytes]) -> tuple[bytes, bytes]:
    found = list(texts)
    return np.array([0, *itertools.accumulate(map(len, found))], np.int32).tobytes(), b"".join(found)


def shortest(values: Any, kind: str, decimal: str) -> tuple[bytes, bytes]:
    """Write numbers; give offsets and texts of an Arrow column.

    Parameters
    ----------
    values : bytes-like
    kind : str
        d for float64, f for float32.
    decimal : str
    """
    return _as_arrow(_text_of(value, decimal) for value in np.frombuffer(values, {"d": "f8", "f": "f4"}[kind]))


def csv_texts(data: Any, spans: Any, slot: int, wanted: int, rows: int) -> tuple[bytes, bytes]:
    """Give a wanted field of every record as text; offsets and texts of an Arrow column.

    Parameters
    ----------
    data : bytes-like
    spans : int32 array
        Start and end of the wanted fields, record after record.
    slot : int
        The place of the field among those.
    wanted, rows : int
        Numbers of wanted fields and of records.
    """
    text = bytes(data)
    pairs = np.frombuffer(spans, np.int32, 2 * rows * wanted).reshape(rows, wanted, 2)[:, slot]
    return _as_arrow(unquoted(text[start:end]) for start, end in pairs.tolist())


def _bit(bits: Any, at: int) -> bool:
    return bits is None or bool(memoryview(bits).cast("B")[at >> 3] >> (at & 7) & 1)


def csv_splice(
    data: Any, spans: Any, rows: int, edits: Sequence[tuple[Any, ...]], delimiter: str, decimal: str
) -> tuple[bytes, int]:
    """Edit fields of every record, and copy every other byte.

    Parameters
    ----------
    data : bytes-like
    spans : int32 array
        Start and end of the edited fields, record after record.
    rows : int
        Records.
    edits : sequence of tuple
        (action, type, values, validity, validity_offset, missing, missing_offset) for each field: REPLACE its number,
        APPEND another behind it, or REMOVE it.
    delimiter, decimal : str

    Returns
    -------
    tuple
        (memory, size): the first bytes of the memory are the result.
    """
    text, out, at = bytes(data), bytearray(), 0
    pairs = np.frombuffer(spans, np.int32, 2 * rows * len(edits)).reshape(rows, len(edits), 2).tolist()
    columns = [
        None if edit[0] == REMOVE else np.frombuffer(edit[2], {"d": "f8", "f": "f4"}[edit[1]], rows) for edit in edits
    ]
    for row, fields in enumerate(pairs):
        for (start, end), column, (action, _, _, validity, offset, missing, other) in zip(
            fields, columns, edits, strict=True
        ):
            valid = column is not None and _bit(validity, offset + row)
            same = math.isnan(column[row]) if valid else not _bit(missing, other + row)  # type: ignore[index]
            if action == REPLACE and same:
                continue
            out += text[at:start] + (delimiter.encode() if action == APPEND else b"")
            at = end
            if valid:
                number = _text_of(column[row], decimal)  # type: ignore[index]
                quoted = text[start - 1 : start] == b'"' == text[end : end + 1]
                out += (
                    b'"%b"' % number if decimal == delimiter and not quoted and decimal.encode() in number else number
                )
    out += text[at:]
    return bytes(out), len(out)
