"""The targets, a row each, and the file that any of them becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamnorm.errors import DataError, OutputError
from streamnorm.export._keras import dump_keras, to_keras
from streamnorm.export._lerobot import dump_lerobot, dump_lerobot_episodes, to_lerobot, to_lerobot_episodes
from streamnorm.export._onnx import dump_onnx, to_onnx
from streamnorm.export._sklearn import dump_joblib, dump_skops, to_sklearn
from streamnorm.export._sql import dump_sql, to_sql
from streamnorm.export._torch import dump_torch, to_torch
from streamnorm.files import place_of, refuse_existing, replacing

__all__ = ["EXPORTERS", "Exporter", "write"]


@dataclass(frozen=True)
class Exporter:
    """One target.

    Parameters
    ----------
    name : str
    convert : callable
        Gives what the target's library knows.
    dumps : mapping of str to callable
        By the ending of the file's name: what gives its content.
    options : tuple of str
        What `convert` can be told.
    """

    name: str
    convert: Callable[..., Any]
    dumps: Mapping[str, Callable[[Any], bytes]]
    options: tuple[str, ...] = ()


_ROWS = [
    Exporter("sklearn", to_sklearn, {".skops": dump_skops, ".joblib": dump_joblib}),
    Exporter("onnx", to_onnx, {".onnx": dump_onnx}, ("dtype",)),
    Exporter("sql", to_sql, {".sql": dump_sql}, ("dialect", "table", "keep")),
    Exporter("keras", to_keras, {".keras": dump_keras}),
    Exporter("torch", to_torch, {".pt": dump_torch}, ("dtype",)),
    Exporter("lerobot", to_lerobot, {".json": dump_lerobot}, ("base",)),
    Exporter("lerobot-episodes", to_lerobot_episodes, {".jsonl": dump_lerobot_episodes}, ("base",)),
]

#: Every exporter by its name.
EXPORTERS: Mapping[str, Exporter] = MappingProxyType({row.name: row for row in _ROWS})


def write(normalizer: Any, to: str, output: str | Path, *, overwrite: bool = False, **options: Any) -> None:
    """Write a fitted normalizer as a file of another library.

    Parameters
    ----------
    normalizer : normalizer, str or Path
        Fitted, or its state file.
    to : {"sklearn", "onnx", "sql", "keras", "torch", "lerobot", "lerobot-episodes"}
    output : str or Path
        Ends in .skops or .joblib, .onnx, .sql, .keras, .pt, .json, .jsonl.
    overwrite : bool, default=False
        Whether it may replace one that exists.
    **options
        Of `to_sklearn`, `to_onnx`, ...

    Raises
    ------
    DataError
        If the target cannot express the normalizer, or does not know an option.
    StateError
        If the state cannot be read.
    OutputError
        If the file exists and may not be replaced, or cannot be written, or the library is not installed.

    Examples
    --------
    >>> import tempfile, skops.io, streamnorm as sn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sn.export.write(sn.StandardScaler().fit([[1.0], [3.0]]), "sklearn", folder + "/scaler.skops")
    ...     skops.io.load(folder + "/scaler.skops").transform([[5.0]])
    array([[3.]])
    """
    if to not in EXPORTERS:
        raise DataError(f"there is no export to {to!r}; there are {', '.join(EXPORTERS)}.")
    exporter, path = EXPORTERS[to], place_of(output)
    for name in options:
        if name not in exporter.options:
            known = ", ".join(exporter.options) or "none"
            raise DataError(f"an export to {to} does not know the option {name!r}: leave it out (known: {known}).")
    if path.suffix not in exporter.dumps:
        raise OutputError(f"{path}: an export to {to} needs a name that ends in {' or '.join(exporter.dumps)}.")
    if isinstance(normalizer, (str, Path)) and path.resolve() == place_of(normalizer).resolve():
        raise OutputError(f"{path} is the state: choose another name for the export.")
    if not overwrite:
        refuse_existing(path, "choose another name, or overwrite it (--overwrite)")
    content = exporter.dumps[path.suffix](exporter.convert(_loaded(normalizer), **options))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _loaded(normalizer: Any) -> Any:
    from streamnorm.states import load

    return load(normalizer) if isinstance(normalizer, (str, Path)) else normalizer
