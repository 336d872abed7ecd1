"""Tables that change: folders whose log says which of their files count. Read as plain files they would be wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from streamnorm.errors import SourceError

__all__ = ["SIGN_FOLDERS", "refuse_lake", "refuse_lake_above", "refuse_lake_in"]


class _Lake(NamedTuple):
    """A kind of table.

    Parameters
    ----------
    title : str
    sign : str
        Pattern of a place that only such a table has.
    files : str
        What to name instead.
    """

    title: str
    sign: str
    files: str


_FILES = "name the files of one version ({}), or write that as Parquet first"
_LAKES = (
    _Lake("a Delta table", r"(^|/)_delta_log(/|$)", "name the table's own folder, and name it alone"),
    _Lake(
        "an Iceberg table",
        r"(^|/)metadata/[^/]*\.metadata\.json$",
        "name it alone, and by its catalog (iceberg:CATALOG/NAMESPACE.TABLE)",
    ),
    _Lake("a Hudi table", r"(^|/)\.hoodie(/|$)", _FILES.format("the latest file of each file group")),
    _Lake(
        "a Lance table",
        r"\.lance(/|$)|(^|/)_versions/[^/]*\.manifest$",
        _FILES.format("none of them is a table alone"),
    ),
    _Lake(
        "a DuckLake table", r"(^|/)ducklake-[^/]*-delete\.(parquet|puffin)$", _FILES.format("ducklake_list_files(...)")
    ),
    _Lake("a Paimon table", r"(^|/)snapshot/snapshot-\d+$", _FILES.format("the manifests of its snapshot")),
)
_SIGNS = re.compile("|".join(f"(?P<lake{i}>{lake.sign})" for i, lake in enumerate(_LAKES)))
#: Names of folders that are looked into, since only what they hold is a sign.
SIGN_FOLDERS = ("_delta_log", ".hoodie", "metadata", "_versions", "snapshot")


def refuse_lake(folder: object, places: Iterable[str]) -> None:
    """Raise SourceError if a folder is a lake table's, by what lies in it.

    Parameters
    ----------
    folder : object
        What messages call it.
    places : iterable of str
        Paths of files and folders.
    """
    for place in places:
        if found := _SIGNS.search(place):
            lake = next(lake for i, lake in enumerate(_LAKES) if found[f"lake{i}"] is not None)
            raise SourceError(
                f"{folder} is {lake.title}: only its log says which of the files and rows in it count; {lake.files}."
            )


def refuse_lake_in(folder: Path, names: Iterable[str]) -> None:
    """Raise SourceError if a folder is a lake table's, by the names of what lies in it."""
    names = list(names)
    refuse_lake(folder, (f"{folder.name}/{name}" for name in names))
    for name in set(SIGN_FOLDERS).intersection(names):
        if (folder / name).is_dir():
            refuse_lake(folder, (f"{name}/{path.name}" for path in (folder / name).iterdir()))


def refuse_lake_above(path: Path) -> None:
    """Raise SourceError if a folder, or one that it lies in, is a lake table's."""
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        refuse_lake_in(folder, [name for name in SIGN_FOLDERS if (folder / name).exists()] or [""])
