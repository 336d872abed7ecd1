"""The parts beside a state: what the files that hold them have."""

from __future__ import annotations

from pathlib import Path

from streamnorm.states.packs import blocks_of

#: The end of the name of a sum of parts.
SUM = b"\xff" * 8


def parts_of(state: str | Path) -> list[str]:
    """Give the names of the parts beside a state."""
    names = [name for name in _names(state) if not name.endswith(SUM)]
    return [f"{name[:16].hex()}-{name[16:].hex()}" for name in names]


def sums_of(state: str | Path) -> list[bytes]:
    """Give the names of the sums of parts beside a state."""
    return [name for name in _names(state) if name.endswith(SUM)]


def _names(state: str | Path) -> list[bytes]:
    return [name for pack in Path(f"{state}.parts").glob("*.parts") for name in blocks_of(pack)]
