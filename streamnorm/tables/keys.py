"""Keys: the distinct values of one or several columns that rows are grouped by."""

from __future__ import annotations

import bisect
import datetime
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.arrow import compute as pc
from streamnorm.arrow import integers, large_strings
from streamnorm.errors import DataError, MergeError, nearest
from streamnorm.once import once

__all__ = ["KEY_TYPES", "Keys", "_Ids", "keys_of_batch"]

_Ids = NDArray[np.int64]
#: Keys to each row from which on rows are looked up one by one (20 microseconds each), not all keys looked at (20 ns).
_FEW = 1000
#: Arrow types that keys are kept in, by the names that a state file gives them.
KEY_TYPES = {"string": pa.large_string(), "integer": pa.int64(), "date": pa.date32(), "null": pa.null()}
#: First and last date that Python and ISO 8601 can write, in days since 1970.
_DAYS = tuple(day.toordinal() - datetime.date(1970, 1, 1).toordinal() for day in (datetime.date.min, datetime.date.max))


@dataclass(frozen=True, eq=False)
class Keys:
    """Distinct rows of the key columns, in any order; null is a key like others.

    Parameters
    ----------
    names : tuple of str
        The columns.
    columns : tuple of pyarrow.Array of shape (n_keys,)
        Large strings, int64, date32; null where no column had a value.
    """

    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getstate__(self) -> dict[str, Any]:
        """Give numbers and texts alone, which may travel where classes of pyarrow may not."""
        return {"names": self.names, "columns": [_to_plain(column) for column in self.columns]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(names=state["names"], columns=tuple(_of_plain(*column) for column in state["columns"]))

    @property
    def kinds(self) -> list[str]:
        """Name the type of each column; of one without a value it is null, whatever it held before."""
        return ["null" if column.null_count == len(column) else _name_of(column.type) for column in self.columns]

    def take(self, at: _Ids) -> Keys:
        """Keep the keys at these places, in that order."""
        return Keys(self.names, tuple(column.take(integers(at)) for column in self.columns))

    @classmethod
    def of(cls, names: tuple[str, ...], rows: Sequence[pa.Array]) -> tuple[Keys, NDArray[Any]]:
        """Find the distinct keys of rows, and which of them each row has, shape (n_rows,).

        Raises
        ------
        DataError
            If one of them is text that is not UTF-8.
        """
        keys, ids = cls.distinct(names, rows)
        for name, column in zip(names, keys.columns, strict=True):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                raise DataError(f"column {name!r} cannot be grouped by: {error}; write it as UTF-8.") from None
        return keys, ids

    @classmethod
    def distinct(cls, names: tuple[str, ...], rows: Sequence[pa.Array]) -> tuple[Keys, NDArray[Any]]:
        """Give what `of` gives, of text that may be none."""
        ids, first = _group(rows)
        return cls(names, tuple(rows)).take(first), ids

    def union(self, other: Keys) -> tuple[Keys, _Ids]:
        """Add the keys of another; also tell at which places of the union those of the other are."""
        both = self._with(other.columns)
        ids, first = _group(both)
        at = ids[len(self) :].astype(np.int64)
        if len(first) == len(self):
            return self, at
        new = np.flatnonzero(at >= len(self))
        fresh = other.take(new)
        columns = (
            pa.concat_arrays([a.slice(0, len(self)), b.cast(a.type)]) for a, b in zip(both, fresh.columns, strict=True)
        )
        return Keys(self.names, tuple(columns)), at

    def find(self, rows: Sequence[pa.Array]) -> _Ids:
        """Tell which key each row has, -1 where it has none of these, shape (n_rows,)."""
        if len(rows[0]) * _FEW <= len(self):
            return self._find_few(rows)
        both = self._with(rows)
        if len(both) == 1:
            at = pc.index_in(both[0].slice(len(self)), value_set=both[0].slice(0, len(self)), skip_nulls=False)
            return np.asarray(at.fill_null(-1).to_numpy(zero_copy_only=False)).astype(np.int64)
        ids = _group(both)[0][len(self) :].astype(np.int64)
        return np.where(ids < len(self), ids, -1)

    def _find_few(self, rows: Sequence[pa.Array]) -> _Ids:
        """Give what `find` gives, by bisection: the other way looks at every key."""
        self._kinds_with(rows)
        order, mine, theirs = self.order, list(map(_comparable, self.columns)), list(map(_comparable, rows))

        def key_at(columns: Sequence[pa.Array], at: int) -> list[Any]:
            return [(value is None, value) for value in (column[at].as_py() for column in columns)]

        found = np.full(len(rows[0]), -1, np.int64)
        for row in range(len(found)):
            wanted = key_at(theirs, row)
            place = bisect.bisect_left(order, wanted, key=lambda at: key_at(mine, int(at)))
            if place < len(order) and key_at(mine, int(order[place])) == wanted:
                found[row] = order[place]
        return found

    def check_types(self, other: Keys) -> None:
        """Raise MergeError where a column of one holds other things than that of the other."""
        self._kinds_with(other.columns)

    def _kinds_with(self, rows: Sequence[pa.Array]) -> list[pa.DataType]:
        """Give the types that hold these keys and rows, column by column; MergeError where there is none."""
        found = []
        for name, mine, theirs in zip(self.names, self.columns, rows, strict=True):
            kinds = {mine.type, theirs.type} - {pa.null()}
            if len(kinds) > 1:
                raise MergeError(
                    f"the keys in column {name!r} are {_name_of(mine.type)}s there and {_name_of(theirs.type)}s here: "
                    "cast one of the two."
                )
            found.append(kinds.pop() if kinds else pa.null())
        return found

    def _with(self, rows: Sequence[pa.Array]) -> list[pa.Array]:
        """Put rows behind these keys, column by column."""
        columns = zip(self.columns, rows, self._kinds_with(rows), strict=True)
        return [pa.concat_arrays([mine.cast(kind), theirs.cast(kind)]) for mine, theirs, kind in columns]

    @once
    def order(self) -> _Ids:
        """The places of the keys in ascending order, nulls last."""
        table = pa.table(dict(zip(map(str, range(len(self.columns))), self.columns, strict=True)))
        by = [(name, "ascending") for name in table.column_names if table.column(name).type != pa.null()]
        if not by:
            return np.arange(len(self))
        return np.asarray(pc.sort_indices(table, sort_keys=by)).astype(np.int64)

    def __eq__(self, other: object) -> bool:
        """Compare names and keys, in any order."""
        if not isinstance(other, Keys):
            return NotImplemented
        mine, theirs = self.take(self.order), other.take(other.order)
        return self.names == other.names and all(map(_same, mine.columns, theirs.columns))

    __hash__ = None  # type: ignore[assignment]

    def values(self) -> list[list[Any]]:
        """Give each column of the keys, in their order, as Python's objects; dates as text."""
        columns = []
        for column in self.take(self.order).columns:
            found = column.to_pylist()
            columns.append([v.isoformat() if isinstance(v, datetime.date) else v for v in found])
        return columns

    def digest(self) -> str:
        """Give a hash of the names and keys, whatever their order."""
        digest = hashlib.sha256(repr((self.names, self.kinds, len(self))).encode())
        for column in self.take(self.order).columns:
            digest.update(np.asarray(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
            for part in _bytes_of(column.drop_null()):
                digest.update(part)
        return digest.hexdigest()

    def words(self, at: int) -> str:
        """Write one key for people."""
        return ", ".join("null" if (v := column[at].as_py()) is None else str(v) for column in self.columns)

    def parse(self, words: str | Sequence[str | None]) -> int:
        """Find the place of the key that is written so, one word a column; ``null`` or None is the missing one.

        Raises
        ------
        DataError
            If there is no such key; the message has the nearest one there is.
        """
        words = [words] if isinstance(words, str) else words
        if len(words) != len(self.names):
            raise DataError(f"a key has a word for each of {', '.join(self.names)}: got {len(words)}.")
        rows = [_parsed(word, column) for word, column in zip(words, self.columns, strict=True)]
        at = int(self.find(rows)[0])
        if at < 0:
            text = ", ".join("null" if word is None else word for word in words)
            known = nearest(text, [self.words(i) for i in range(min(len(self), 10000))], "keys")
            raise DataError(f"there is no key {text!r}: {known}")
        return at


def _comparable(column: pa.Array) -> pa.Array:
    """Give a column whose values compare in Python as Arrow sorts them, whatever bytes its text is made of."""
    return column.cast(pa.large_binary()) if column.type == KEY_TYPES["string"] else column


def _bytes_of(present: pa.Array) -> Iterator[bytes]:
    """Give what two arrays of one type without nulls have in common exactly when they are equal."""
    if len(present) and present.type == KEY_TYPES["string"]:
        offsets = np.frombuffer(present.buffers()[1], np.int64)[present.offset : present.offset + len(present) + 1]
        yield np.diff(offsets).tobytes()
        yield present.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes()
    elif len(present):
        whole = present.cast(pa.int32()) if present.type == KEY_TYPES["date"] else present
        yield whole.to_numpy().tobytes()


def _to_plain(column: pa.Array) -> tuple[str, int, list[bytes | None]]:
    """Give type, length and buffers of an array."""
    whole = pa.concat_arrays([column.slice(0, 0), column])  # without an offset
    return _name_of(whole.type), len(whole), [None if b is None else b.to_pybytes() for b in whole.buffers()]


def _of_plain(kind: str, length: int, buffers: list[bytes | None]) -> pa.Array:
    """Make an array of its buffers.

    Parameters
    ----------
    kind : str
        Arrow type.
    length : int
    buffers : list of bytes or None
    """
    column = pa.Array.from_buffers(KEY_TYPES[kind], length, [None if b is None else pa.py_buffer(b) for b in buffers])
    column.validate(full=True)
    return column


def _same(a: pa.Array, b: pa.Array) -> bool:
    return bool(a.equals(b) or (len(a) == len(b) == a.null_count == b.null_count))


def _parsed(word: str | None, column: pa.Array) -> pa.Array:
    if word is None:
        return pa.nulls(1, column.type)
    text = large_strings([word])
    present = bool(pc.any(pc.equal(column.cast(pa.large_string()), word)).as_py())
    if (word == "null" and not present) or column.type == pa.null():
        return pa.nulls(1, column.type) if word == "null" else text
    try:
        return text.cast(column.type)
    except pa.ArrowInvalid:
        raise DataError(f"{word!r} is no {_name_of(column.type)}, as the keys are.") from None


def _name_of(kind: pa.DataType) -> str:
    return next(name for name, known in KEY_TYPES.items() if known == kind)


def _group(columns: Sequence[pa.Array]) -> tuple[NDArray[np.int32], _Ids]:
    """Number distinct rows from 0 in the order in which they first occur; also give the row where each does."""
    ids, first = _group_column(columns[0])
    for column in columns[1:]:
        own, more = _group_column(column)
        ids, first = _group_values(len(ids), ids.astype(np.int64) * len(more) + own)
    return ids, first


def _group_column(column: pa.Array) -> tuple[NDArray[np.int32], _Ids]:
    rows, at = len(column), column.offset
    if pa.types.is_null(column.type):
        return np.zeros(rows, np.int32), np.arange(min(rows, 1))
    if column.type == KEY_TYPES["date"]:
        return _group_column(column.cast(pa.int32()).cast(pa.int64()))
    validity, *buffers = column.buffers()
    missing = (validity, at) if column.null_count else (None, 0)
    if column.type == KEY_TYPES["integer"]:
        values = b"" if buffers[0] is None else buffers[0].slice(8 * at)
        return _group_values(rows, values, None, *missing)
    offsets, texts = buffers
    ends = offsets.slice(8 * at) if rows and offsets is not None else bytes(8)
    return _group_values(rows, b"" if texts is None else texts, ends, *missing)


def _group_values(
    rows: int, values: Any, offsets: Any = None, validity: Any = None, validity_offset: int = 0
) -> tuple[NDArray[np.int32], _Ids]:
    """Give what the kernel's `group` gives, whose parameters these are, as arrays.

    Parameters
    ----------
    rows : int
    values : buffer
    offsets, validity : buffer, optional
    validity_offset : int
    """
    ids, first = kernel.group(rows, values, offsets, validity, validity_offset)
    return np.frombuffer(ids, np.int32), np.frombuffer(first, np.int64)


def keys_of_batch(batch: pa.RecordBatch, names: Sequence[str]) -> list[pa.Array]:
    """Give the key columns of a batch in the types that keys are kept in.

    Raises
    ------
    DataError
        If a column is missing or of a type that keys cannot have.
    """
    return [_as_key(name, column) for name, column in _columns(batch, names)]


def _columns(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[str, pa.Array]]:
    for name in names:
        times = batch.schema.names.count(name)
        if times > 1:
            raise DataError(f"there are {times} columns {name!r} to group by: rename all but one.")
        if not times:
            raise DataError(f"there is no column {name!r} to group by: {nearest(name, batch.schema.names)}")
        yield name, batch.column(name)


def _as_key(name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_key(name, column.dictionary_decode())
    if pa.types.is_integer(kind):
        wanted = pa.int64()
    elif pa.types.is_date(kind):
        wanted = pa.date32()
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        wanted = pa.large_string()
    elif pa.types.is_null(kind):
        return column
    else:
        raise DataError(f"column {name!r} holds {kind}: group by text, integers or dates, or cast it to one of these.")
    try:
        key = column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise DataError(f"column {name!r} cannot be grouped by: {error}; cast it to text.") from None
    if wanted == KEY_TYPES["date"] and not _are_days(key.cast(pa.int32())):
        raise DataError(f"column {name!r} cannot be grouped by: it has a date outside the years 1 to 9999.")
    return key


def _are_days(days: pa.Array) -> bool:
    ends = pc.min_max(days).as_py()
    return ends["min"] is None or bool(_DAYS[0] <= ends["min"] and ends["max"] <= _DAYS[1])
