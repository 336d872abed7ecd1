"""Which files of a table have become active since it was counted, which no longer are, and what only moved.

Files are compared by what they are called, so that nothing hangs on the log; where that is there, it tells of files
that were only written anew, which need not be read. Several files in the place of others are known together, by the
parts of those; when one of them goes, those that stay are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streamnorm.inputs import Commit, Snapshot, TableFile, log_path
from streamnorm.states import Share, Tracked

__all__ = ["Difference", "difference"]


@dataclass
class _Known:
    """Files that are known together.

    Parameters
    ----------
    files : dict of str to (str or None, int)
        What each is called, where it stands in the record, and its rows; by its path in the log.
    parts : tuple of str
    whole : bool
        Whether all of them still count as they did.
    """

    files: dict[str, tuple[str | None, int]]
    parts: tuple[str, ...]
    whole: bool = True


@dataclass
class Difference:
    """What an update has to do.

    Parameters
    ----------
    shares : list of Share
        What stays, without anything being read.
    gone : list of str
        Names of the parts that are taken out.
    read : list of TableFile
        What is read.
    added, taken_out, moved : int
        Files that are new, that no longer count, and that went since others have their rows.
    """

    shares: list[Share] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    read: list[TableFile] = field(default_factory=list)
    added: int = 0
    taken_out: int = 0
    moved: int = 0


def difference(before: Tracked, now: Snapshot, commits: Iterable[Commit]) -> Difference:
    """Compare what was counted of a table with what is active now.

    Parameters
    ----------
    before : Tracked
    now : Snapshot
    commits : iterable of Commit
        All that lie between, in order; or none.
    """
    groups = [
        _Known({log_path(name): (name, rows) for name, rows in share.files}, share.parts) for share in before.shares
    ]
    owners = {path: group for group in groups for path in group.files}
    moved: set[str] = set()
    for commit in commits:
        if _is_move(commit, owners):
            _move(commit, owners, groups)
            moved.update(commit.removed)
        else:
            for path in commit.removed:
                if path in owners:
                    owners.pop(path).whole = False
    active = {file.log_path: file for file in now.files}
    result = Difference()
    kept: set[str] = set()
    for group in groups:
        if _is_active(group, active):
            kept.update(group.files)
            result.shares.append(
                Share(tuple((active[p].key, rows) for p, (_, rows) in group.files.items()), group.parts)
            )
        else:
            result.gone += group.parts
    result.read = [file for path, file in active.items() if path not in kept]
    old = {name for share in before.shares for name, _ in share.files}
    new = {file.key for file in now.files}
    result.added = sum(file.key not in old for file in result.read)
    went = [name for name in old - new if log_path(name) not in moved]
    result.taken_out, result.moved = len(went), len(old - new) - len(went)
    return result


def _known(share: Share) -> _Known:
    return _Known({log_path(name): (name, rows) for name, rows in share.files}, share.parts)


def _is_move(commit: Commit, owners: dict[str, _Known]) -> bool:
    """Tell whether a commit only wrote rows anew, all of which are known; a table promises no more than containment."""
    rows: Sequence[int | None] = list(commit.added.values())
    known = commit.only_moved and bool(commit.removed)
    known = known and all(path in owners and owners[path].whole for path in commit.removed)
    if not known or any(number is None for number in rows):
        return False
    fresh = all(path not in owners or path in commit.removed for path in commit.added)
    before = sum(owners[path].files[path][1] for path in commit.removed)
    return fresh and before == sum(number or 0 for number in rows)


def _move(commit: Commit, owners: dict[str, _Known], groups: list[_Known]) -> None:
    """Put files in the place of others.

    Parameters
    ----------
    commit : Commit
    owners : dict of str to _Known
        By path; changed here.
    groups : list of _Known
        Changed here.
    """
    merged = list({id(owners[path]): owners[path] for path in commit.removed}.values())
    files = {path: known for group in merged for path, known in group.files.items() if path not in commit.removed}
    files |= {path: (None, rows or 0) for path, rows in commit.added.items()}
    one = _Known(files, tuple(part for group in merged for part in group.parts), all(group.whole for group in merged))
    gone = {id(group) for group in merged}
    groups[:] = [*(group for group in groups if id(group) not in gone), one]
    for path in commit.removed:
        del owners[path]
    owners.update(dict.fromkeys(files, one))


def _is_active(group: _Known, active: dict[str, TableFile]) -> bool:
    return group.whole and all(
        path in active and _is_same(active[path], name, rows) for path, (name, rows) in group.files.items()
    )


def _is_same(file: TableFile, name: str | None, rows: int) -> bool:
    """Tell whether a file is what was counted, or was put in the place of what was.

    Parameters
    ----------
    file : TableFile
    name : str or None
        What it is called in the record; None where it was put in the place of others since.
    rows : int
        That were counted.
    """
    return file.told_rows == rows if name is None else file.key == name and file.told_rows in (None, rows)
