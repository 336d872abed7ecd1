"""Each source's own summary, kept beside the state, so that it can be taken out without its old bytes.

The name of a part is made of the content it was read from and of what was learnt from it, so that a part is never
replaced by another one: a state that was not replaced after a crash finds its parts as they were. Parts stand in few
files, `packs`; those that version 0.1.0 wrote are a state file of one source each, and are read too.

Beside them stand sums of groups of parts, so that those that stay can be added up by reading few. The groups are the
nodes of a tree: a node has the parts whose names begin alike, and its own name is made of those of its children. So the
sums that hold are found by what is in the record, and all others are known to be of the past.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import xxhash

from streamnorm.errors import StateError
from streamnorm.files import Target, beside, entries, folder_alone, sweep
from streamnorm.states.compact import from_bytes, to_bytes
from streamnorm.states.file import read
from streamnorm.states.packs import Block, blocks_of, read_block, write_pack
from streamnorm.states.state import Counted
from streamnorm.tables import Learnt

__all__ = ["Parts"]

_PACK = re.compile(r"[0-9a-f]{32}\.parts")
#: Parts of version 0.1.0.
_SINGLE = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}\.json")
#: What the names of sums end with.
_SUM = b"\xff" * 8
#: Most children of a node; also the number of digits that tell them apart.
_CHILDREN = 16
#: Bytes of parts that wait in memory to be written together.
_TOGETHER = 1 << 25
#: Smallest ratio of the size of a pack to that of all smaller ones together: they are put together where it is less, so
#: that there are few, and each byte is copied few times.
_RATIO = 4


class Parts:
    """The folder ``STATE.parts``.

    Parameters
    ----------
    state : Path or Remote
        The state file.
    """

    def __init__(self, state: Target) -> None:
        self.folder = beside(state, "", ".parts")
        self._new: list[Target] = []
        self._before: set[Target] = set()
        self._waiting: dict[bytes, bytes] = {}
        self._size = 0
        self._blocks: dict[bytes, Block] | None = None
        self._indexes: dict[Target, dict[bytes, Block]] = {}
        self._damaged: dict[Target, StateError] = {}

    # ---- the folder ----

    def alone(self, *, make: bool = False) -> AbstractContextManager[None]:
        """Keep the parts to this process until the block ends: what another one keeps must not be tidied away.

        Parameters
        ----------
        make : bool
            Whether parts will be kept; else there is nothing to be kept alone where there are none.

        Raises
        ------
        StateError
            If another process is at them.
        """
        return folder_alone(self.folder, make=make)

    def _known(self) -> dict[bytes, Block]:
        """Give where the blocks of all packs stand."""
        if self._blocks is None:
            self._blocks, self._indexes, self._damaged = {}, {}, {}
            for pack in self._packs():
                try:
                    self._indexes[pack] = blocks_of(pack)
                    self._blocks.update(self._indexes[pack])
                except StateError as error:  # of what it holds, nothing may be asked for
                    self._damaged[pack] = error
        return self._blocks

    def _packs(self) -> list[Target]:
        """Give the packs, the largest at the end: where a process was killed, it has what smaller ones have too."""
        sizes: dict[Target, int] = {}
        try:
            for path in entries(self.folder):
                with suppress(FileNotFoundError):  # it was tidied away meanwhile
                    sizes |= {path: path.stat().st_size} if _PACK.fullmatch(path.name) else {}
            return sorted(sizes, key=lambda path: (sizes[path], path.name))
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split())
            raise StateError(f"{self.folder} cannot be read: {reason}; see to it.") from error

    def _pack_of(self, names: Iterable[bytes]) -> Target:
        """Name a pack after what it holds; in a store none is called as another was that somebody may be removing."""
        own = b"" if isinstance(self.folder, Path) else secrets.token_bytes(16)
        return self.folder / f"{xxhash.xxh3_128_hexdigest(own + b''.join(sorted(names)))}.parts"

    # ---- parts ----

    def has(self, record: Iterable[Counted]) -> bool:
        """Tell whether a part is kept of any source in the record; a process that was killed may have left others."""
        known, singles = self._known(), self._singles()
        if not (known or singles or self._damaged):
            return False
        names = (name for entry in record for name in entry.part_names)
        return any(_is_name(name) and (_key(name) in known or bool(self._damaged) or name in singles) for name in names)

    def has_all(self, names: Iterable[str]) -> bool:
        """Tell whether all of these parts are kept."""
        known = self._known()
        return all(_is_name(name) and (_key(name) in known or self._single(name).exists()) for name in names)

    def keep(self, name: str, learnt: Learnt) -> None:
        """Keep what was learnt from one source.

        Parameters
        ----------
        name : str
            One of the entry's `part_names`.
        learnt : Learnt
        """
        self._put(_key(name), learnt, anew=not isinstance(self.folder, Path))

    def _put(self, key: bytes, learnt: Learnt, *, anew: bool = False) -> None:
        """Keep something, unless it is kept.

        Parameters
        ----------
        key : bytes
        learnt : Learnt
        anew : bool
            Whether it is kept again: in a store what no state counts may be gone at any time.
        """
        if key not in self._waiting and (anew or key not in self._known()):
            self._waiting[key] = to_bytes(learnt)
            self._size += len(self._waiting[key])
            if self._size > _TOGETHER:
                self.settle()

    def settle(self) -> None:
        """Bring all that was kept to the disk, where it must be before the state that counts it."""
        if self._waiting:
            path = self._pack_of(self._waiting)
            self._new += [] if path.exists() else [path]
            self._known().update(write_pack(path, sorted(self._waiting.items())))
            self._damaged.pop(path, None)
            self._waiting, self._size = {}, 0
        if not isinstance(self.folder, Path):
            self._before = set(entries(self.folder))

    def find(self, name: str) -> Learnt | None:
        """Give what was learnt from a source, if it was kept.

        Raises
        ------
        StateError
            If its part is damaged or is another one's.
        """
        if not _is_name(name):  # of a source whose digest is not known
            return None
        found = self._get(_key(name))
        if found is None and (path := self._single(name)).exists():
            found = read(path).table.learnt
            if found.digest() != name.partition("-")[2]:
                raise StateError(f"{path} is not the part that it is called: restore it, or count anew (--rebuild).")
        if found is None and self._damaged:
            raise next(iter(self._damaged.values()))
        return found

    def _singles(self) -> set[str]:
        """Name the parts that have a file of their own, as in version 0.1.0."""
        try:
            return {path.name.removesuffix(".json") for path in entries(self.folder) if path.suffix == ".json"}
        except OSError:
            return set()

    def _single(self, name: str) -> Target:
        return self.folder / f"{name}.json"

    def _get(self, key: bytes) -> Learnt | None:
        data = self._waiting.get(key)
        if data is None and key in self._known():
            data = read_block(key, self._known()[key])
        try:
            return None if data is None else from_bytes(data)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            where = self._known()[key].pack if key in self._known() else self.folder
            raise StateError(f"{where} cannot be read: {error!r}; restore a copy or count anew (--rebuild).") from error

    # ---- sums ----

    def sum_of(self, names: Iterable[str], groups: Sequence[int]) -> Learnt | None:
        """Add up some groups of columns of parts; None where one of the parts was not kept.

        Parameters
        ----------
        names : iterable of str
            Of the parts, at least one; one that stands there twice counts twice.
        groups : sequence of int
            Positions of the groups in what was learnt.
        """
        return self._sum(sorted(names), 0, tuple(groups))

    def _sum(self, names: list[str], depth: int, groups: tuple[int, ...]) -> Learnt | None:
        """Add up the parts of a node: the sum that is kept, or else the sums of its children.

        Parameters
        ----------
        names : list of str
            Of its parts, in order; all begin with the same `depth` digits.
        depth : int
        groups : tuple of int
        """
        if len(names) == 1:
            found = self.find(names[0])
            return None if found is None else found.of_groups(groups)
        key = _node(names)
        kept = self._get(key)
        if kept is not None:
            return kept
        total = None
        for child in _children(names, depth):
            part = self._sum(child, depth + 1, groups)
            if part is None:
                return None
            total = part if total is None else total + part
        if total is not None:
            self._put(key, total)
        return total

    # ---- the end of a job ----

    def drop_new(self) -> None:
        """Remove the parts that were kept for a state that will not be written."""
        self._waiting, self._size, self._blocks = {}, 0, None
        with suppress(OSError):
            for path in self._new:
                path.unlink(missing_ok=True)

    def tidy(self, record: Iterable[Counted], unchanged: Callable[[], bool] = lambda: True) -> None:
        """Remove the parts that the record does not have, and put small packs together.

        On a disk nobody else is at the folder. In a store somebody may be: what was there before the state was replaced
        is tidied away, since whoever put it there for another state is told to count again; what came later stays.

        Parameters
        ----------
        record : iterable of Counted
            That of the state that was written.
        unchanged : callable, optional
            Tells whether the state is still that one: else it is on who replaced it.
        """
        with suppress(OSError, StateError):
            sweep([self.folder])
            names = [name for entry in record for name in entry.part_names]
            known = set(names)
            for path in self._ours(entries(self.folder)):
                if _SINGLE.fullmatch(path.name) and path.name.removesuffix(".json") not in known and unchanged():
                    path.unlink()
            self._blocks = None
            wanted = {_key(name) for name in known if _is_name(name)} | set(_nodes(sorted(names), 0))
            self._put_together(wanted, unchanged)

    def _ours(self, paths: Iterable[Target]) -> list[Target]:
        """Give those that may be put together, or removed."""
        return [path for path in paths if isinstance(path, Path) or path in self._before]

    def _put_together(self, wanted: Collection[bytes], unchanged: Callable[[], bool]) -> None:
        """Write packs anew that hold more of what is not wanted than of what is, and those that are small.

        Parameters
        ----------
        wanted : collection of bytes
            Names of blocks.
        unchanged : callable
            As of `tidy`.
        """
        self._known()
        kept: dict[Target, list[bytes]] = {pack: [] for pack in self._ours([*self._indexes, *self._damaged])}
        sizes, others = dict.fromkeys(kept, 0), dict.fromkeys(kept, 0)
        known: dict[bytes, Block] = {}
        shared: set[Target] = set()
        for pack in (pack for pack in self._indexes if pack in kept):  # the largest at the end
            for name, block in self._indexes[pack].items():
                if name in known and name in wanted and not isinstance(pack, Path):
                    shared |= {pack, known[name].pack}  # somebody may be removing either of them
                known[name] = block
        if self._damaged and not all(name in known for name in wanted if not name.endswith(_SUM)):
            return
        for name, block in known.items():
            if name in wanted:
                kept[block.pack].append(name)
            (sizes if name in wanted else others)[block.pack] += block.size
        ascending = sorted(sizes, key=sizes.__getitem__)
        small = smaller = 0
        for i, pack in enumerate(ascending):
            small = i + 1 if i and sizes[pack] < _RATIO * smaller else small
            smaller += sizes[pack]
        rewritten = [
            pack
            for i, pack in enumerate(ascending)
            if i < small or not kept[pack] or others[pack] > sizes[pack] or pack in shared
        ]
        self._rewrite(rewritten, {name: known[name] for pack in rewritten for name in kept[pack]}, unchanged)

    def _rewrite(self, packs: Sequence[Target], blocks: Mapping[bytes, Block], unchanged: Callable[[], bool]) -> None:
        """Write one pack in the place of some.

        Parameters
        ----------
        packs : sequence of Path or Remote
        blocks : mapping of bytes to Block
            What is kept of them, by name.
        unchanged : callable
            As of `tidy`.
        """
        path = self._pack_of(blocks)
        if blocks:
            write_pack(path, ((name, read_block(name, block)) for name, block in sorted(blocks.items())))
        for pack in packs:
            if (not blocks or pack != path) and unchanged():
                pack.unlink()
        self._blocks = None


def _is_name(name: str) -> bool:
    return _SINGLE.fullmatch(f"{name}.json") is not None


def _key(name: str) -> bytes:
    return bytes.fromhex(name.replace("-", ""))


def _node(names: Sequence[str]) -> bytes:
    """Name the sum of parts, as no part is named but by chance in 2^64."""
    return xxhash.xxh3_128_digest("\n".join(names).encode()) + _SUM


def _children(names: Sequence[str], depth: int) -> list[list[str]]:
    """Share out the parts of a node among its children, by the digit behind those that all have."""
    if len(names) <= _CHILDREN or depth == 32:
        return [[name] for name in names]
    shares: dict[str, list[str]] = {}
    for name in names:
        shares.setdefault(name[depth], []).append(name)
    return list(shares.values())


def _nodes(names: list[str], depth: int) -> Iterator[bytes]:
    """Yield the names of all nodes above parts."""
    if len(names) > 1:
        yield _node(names)
        for child in _children(names, depth):
            yield from _nodes(child, depth + 1)
