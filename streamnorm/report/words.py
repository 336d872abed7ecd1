"""Numbers and names, written so that they can be read and cannot do harm."""

from __future__ import annotations

import math
import unicodedata

__all__ = ["cut", "number", "percent", "printable", "wide"]


#: Beyond these numbers have exponents; epoch seconds and milliseconds do not.
_SMALL, _LARGE = 1e-4, 1e13


def number(value: float | None, digits: int = 5) -> str:
    """Write a number with so many significant digits, without an exponent where it has a usual size.

    Examples
    --------
    >>> [number(v) for v in (0.0, 1700000000.25, 1234.5678, 0.00123456, 1e-9, 2.5e15, None)]
    ['0', '1,700,000,000', '1234.6', '0.0012346', '1e-09', '2.5e+15', '-']
    """
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < _LARGE:
        return f"{int(value):,}" if abs(value) >= 1e4 else str(int(value))
    if not _SMALL <= abs(value) < _LARGE:
        return f"{value:.{digits - 1}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}" if abs(value) >= 1e4 else f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float | None) -> str:
    """Write a share of 1 in percent; what is neither nothing nor all is not rounded to it.

    Examples
    --------
    >>> [percent(v) for v in (0, 0.00001, 0.0523, 0.5, 0.99999, 1, None)]
    ['0', '<0.01', '5.23', '50', '>99.99', '100', '-']
    """
    if share is None:
        return "-"
    if 0 < share < 0.0001:
        return "<0.01"
    if 0.9999 < share < 1:
        return ">99.99"
    return f"{100 * share:.2f}".rstrip("0").rstrip(".")


def printable(text: str) -> str:
    r"""Write what would move a cursor, change a colour or turn the direction of a text as an escape.

    Examples
    --------
    >>> printable("caf\u00e9 \x1b[31m\n\u202e")
    'café \\x1b[31m\\n\\u202e'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def wide(text: str) -> int:
    """Count the cells that a text takes on a terminal.

    Examples
    --------
    >>> wide("abc"), wide("温度"), wide("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Shorten a text to so many cells, with an ellipsis where something is missing.

    Examples
    --------
    >>> cut("temperature", 6)
    'tempe…'
    """
    if wide(text) <= width:
        return text
    kept = ""
    for c in text:
        if wide(kept + c) > width - 1:
            break
        kept += c
    return kept + "…"
