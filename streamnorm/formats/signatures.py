"""The first bytes of files, by which their formats are told apart."""

from __future__ import annotations

__all__ = ["ARROW", "ARROW_STREAM", "GZIP", "PARQUET", "ending_of"]

PARQUET = b"PAR1"
ARROW = b"ARROW1"
#: A message begins with this mark, and a stream with a message.
ARROW_STREAM = b"\xff\xff\xff\xff"
GZIP = b"\x1f\x8b"

_ENDINGS = {PARQUET: ".parquet", ARROW: ".arrow", ARROW_STREAM: ".arrows", GZIP: ".csv.gz"}


def ending_of(first: bytes) -> str:
    """Give the ending that a file with these first bytes should have: that of CSV where they are no format's."""
    return next((ending for start, ending in _ENDINGS.items() if first.startswith(start)), ".csv")
