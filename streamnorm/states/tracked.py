"""What a state has counted of a table that changes: its files, and by which parts they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Share", "Tracked"]


@dataclass(frozen=True)
class Share:
    """Files of a table whose statistics are known together: one file by its part, or several in the place of others.

    Parameters
    ----------
    files : tuple of (str, int)
        What each file is called, and its rows.
    parts : tuple of str
        Names of parts, which added up are the statistics of all the files.
    """

    files: tuple[tuple[str, int], ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Tracked:
    """A version of a table, as it was counted.

    Parameters
    ----------
    identity : str
        Tells the table from another one at the same place.
    version : int
    columns : tuple of (str, str)
        The columns that were learnt from or grouped by, and what stays of each when it is renamed.
    shares : tuple of Share
        All its files.
    """

    identity: str
    version: int
    columns: tuple[tuple[str, str], ...]
    shares: tuple[Share, ...]

    @property
    def files(self) -> int:
        """How many there are."""
        return sum(len(share.files) for share in self.shares)

    def to_json(self) -> dict[str, Any]:
        """Give lists of names, rows and parts of the files; those that are known together stand apart."""
        single = [share for share in self.shares if len(share.files) == len(share.parts) == 1]
        others = [share for share in self.shares if not len(share.files) == len(share.parts) == 1]
        return {
            "id": self.identity,
            "version": self.version,
            "columns": dict(self.columns),
            "files": [share.files[0][0] for share in single],
            "rows": [share.files[0][1] for share in single],
            "parts": [share.parts[0] for share in single],
            **({"together": [_to_json(share) for share in others]} if others else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tracked:
        """Read what `to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        single = [
            Share(((name, rows),), (part,))
            for name, rows, part in zip(data["files"], data["rows"], data["parts"], strict=True)
        ]
        together = [
            Share(tuple(zip(share["files"], share["rows"], strict=True)), tuple(share["parts"]))
            for share in data.get("together", ())
        ]
        shares = (*single, *together)
        columns = tuple((name, identity) for name, identity in data["columns"].items())
        texts = [text for share in shares for text in (*(name for name, _ in share.files), *share.parts)]
        numbers = [data["version"], *(rows for share in shares for _, rows in share.files)]
        if not all(isinstance(text, str) for text in (data["id"], *texts, *(own for pair in columns for own in pair))):
            raise ValueError("a table, a file or a part has a name that is no text")
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
            raise ValueError("a version or a number of rows is no integer of 63 bits")
        return cls(data["id"], data["version"], columns, shares)


def _to_json(share: Share) -> dict[str, Any]:
    names, rows = zip(*share.files, strict=True) if share.files else ((), ())
    return {"files": list(names), "rows": list(rows), "parts": list(share.parts)}
