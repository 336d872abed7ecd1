"""Where results go: what must not be written over is found out before anything is read."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from streamnorm.errors import OutputError, amount, listed, unwritable
from streamnorm.files import Links, Place, Remote, Spooled, Target, is_elsewhere, location_of, place_of, refuse_existing
from streamnorm.formats import Source, format_for
from streamnorm.inputs import data_below, is_data, is_one_file

__all__ = ["check_state_path", "outputs_of", "refuse_existing_output"]

_LOG = logging.getLogger("streamnorm")


def outputs_of(
    sources: Sequence[Source], given: Any, output: str | Path, overwrite: bool
) -> list[tuple[Source, Target]]:
    """Find where each source's copy goes: one file for one file, a folder that mirrors the input's else.

    Parameters
    ----------
    sources : sequence of Source
    given : sequence of str or Path
        Files, globs and folders, as the user named them.
    output : str or Path
        As the user named it.
    overwrite : bool
        Whether outputs may be there.

    Raises
    ------
    OutputError
        If an output exists and may not be overwritten, is an input, lies in an input folder or would lie outside
        the folder of the outputs.
    """
    target = place_of(output)
    items = [given] if isinstance(given, (str, Path)) else list(given)
    one_file = len(items) == 1 and len(sources) == 1 and is_one_file(items[0], sources[0])
    if one_file and not target.is_dir() and not location_of(output).endswith(("/", os.sep)):
        pairs = [(sources[0], target)]
    else:
        for source in sources:
            if ".." in source.relative.parts:
                raise OutputError(
                    f"{source.path} would be written outside {target}: name sources without '..' behind a wildcard."
                )
        pairs = [(source, target / source.relative) for source in sources]
    inputs = {_identity(source.path) for source in sources if not isinstance(source.path, Spooled)}
    folders = set(_folders(items))
    seen, links = set[Target](), Links()
    for source, path in pairs:
        if _identity(path) in inputs:
            raise OutputError(f"{path} is an input: choose another output.")
        if path in seen:
            raise OutputError(f"two sources would be written to {path}: transform them one after the other.")
        if not overwrite:
            refuse_existing_output(path)
        real = Path(str(links.followed(path))) if isinstance(path, Path) else path
        for folder in real.parents:
            if str(folder) in folders and is_data(_below(real, folder)):
                raise OutputError(f"{path} lies in the input {folder}, and would be read next time: write elsewhere.")
        format_for(path, source)
        seen.add(path)
    if target.is_dir():
        _tell_of_others(target, seen)
    return pairs


def _folders(items: Iterable[Any]) -> Iterator[str]:
    """Yield the folders among what a user named; in a store a file's name is as good as one."""
    for item in items:
        if is_elsewhere(item):
            yield location_of(item).rstrip("/")
        elif Path(item).is_dir():
            yield str(Path(item).resolve())


def _below(path: Target, folder: Target) -> Path:
    return Path(str(path).removeprefix(str(folder)).lstrip(f"/{os.sep}"))


def _tell_of_others(folder: Target, outputs: Collection[Target]) -> None:
    """Name, where a folder is written again, the data in it that is of none of the inputs there are now."""
    if not any(path.exists() for path in outputs):
        return
    others = [str(_below(path, folder)) for path in data_below(folder) if path not in outputs]
    if others:
        _LOG.info(
            "%s holds %s that none of these inputs gives, as one that is gone may have: %s; remove what is not wanted",
            folder, amount(len(others), "file"), listed(others),
        )  # fmt: skip


def _identity(path: Target) -> object:
    """Tell files apart, whatever links lead to them."""
    if not isinstance(path, Path):
        return str(path)
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino


def refuse_existing_output(path: Target, *, resume: bool = False) -> None:
    """Raise OutputError where there is something already; `resume` says that it is no output to go on from."""
    if path.exists() and resume:
        raise OutputError(
            f"{path} exists, and is not from a stopped run of this job (its state, options and inputs as they "
            f"are now): choose another output, or overwrite it (--overwrite)."
        )
    refuse_existing(path, "choose another output, or overwrite it (--overwrite)")


def check_state_path(state: str | Target, taken: Iterable[Place]) -> None:
    """Find out before anything is read whether a state can be written there, over no input or output."""
    path, taken = place_of(state), list(taken)
    links = Links()
    real = links.followed(path)
    name = path.resolve().name
    may_be = (place for place in taken if place.name == name or os.path.islink(str(place)))  # noqa: PTH114 (faster)
    if real in map(links.followed, may_be):
        raise OutputError(f"{path} is an input or an output: choose another name for the state.")
    if not isinstance(path, Path):
        path.check_name()
        if any(path in place.parents for place in taken if isinstance(place, Remote)):
            raise OutputError(f"{path} is the folder of an input or an output: choose another name for the state.")
        return
    try:
        there = path.parent.is_dir()
    except OSError as error:
        raise unwritable(path, error) from error
    if not there:
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it first.")
