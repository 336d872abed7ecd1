"""What a user names, as a table that changes, where it is one."""

from __future__ import annotations

from collections.abc import Sequence
from glob import has_magic
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamnorm.files import is_elsewhere
from streamnorm.formats import kind_of
from streamnorm.inputs.changing import ChangingTable
from streamnorm.inputs.delta import DeltaLake
from streamnorm.inputs.iceberg import SCHEME, IcebergLake

__all__ = ["table_named"]


def table_named(given: Any) -> ChangingTable | None:
    """Give the table that is named, alone: by its folder, by its name in a catalog, or as an object; None for all else.

    Parameters
    ----------
    given : object
        What is read: a path or a sequence of paths, or a table.
    """
    items = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if len(items) != 1:
        return None
    (item,) = items
    if not isinstance(item, (str, Path)):
        library = type(item).__module__.partition(".")[0]
        return DeltaLake(item) if library == "deltalake" else IcebergLake(item) if library == "pyiceberg" else None
    if str(item).startswith(SCHEME):
        return IcebergLake(str(item))
    return DeltaLake(item) if _is_delta(item) else None


def _is_delta(item: str | Path) -> bool:
    if not is_elsewhere(item):
        return (Path(item) / "_delta_log").is_dir()
    if "://" not in str(item) or has_magic(str(item).partition("?")[0]) or kind_of(Path(str(item).partition("?")[0])):
        return False
    from pyarrow import fs

    try:
        filesystem, key = fs.FileSystem.from_uri(str(item))
        return bool(filesystem.get_file_info(f"{key.rstrip('/')}/_delta_log").type == fs.FileType.Directory)
    except (pa.ArrowException, OSError):
        return False  # whoever lists it will say why
