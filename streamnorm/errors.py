"""What can go wrong, as one family.

Every error is one sentence for the person who has to act on it: which file, column or row, what was
expected, what was found, what to do. All derive from `StreamnormError`; the command line prints any of
them as one line and ends with exit code 1.

    StreamnormError
    ├── DataError            (ValueError)  a value or column that cannot be normalised
    │   ├── InfiniteValueError             an infinity, with its column and row
    │   ├── InfinityInFileError            the same in a file, or text of a number that is too large
    │   ├── NoWeightError                  weights that are all 0 where nothing was learnt before
    │   ├── NoNumberError        (TypeError)   a value that is no number
    │   ├── OverflowedError                a finite value whose result the output's type cannot hold
    │   └── UnseenKeyError                 a key without statistics, with its row
    ├── SparseError          (TypeError)   sparse input that would have to be filled in
    ├── MergeError           (ValueError)  states that cannot be added or taken from each other
    ├── StateError           (ValueError)  a state file that is damaged, foreign or of another version
    ├── SourceError          (OSError)     a file that is missing or cannot be read
    └── OutputError          (OSError)     an output that cannot or must not be written

Beside them `CountedTwiceWarning` tells of sources of one content.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import Any

__all__ = [
    "CountedTwiceWarning",
    "DataError",
    "InfiniteValueError",
    "InfinityInFileError",
    "MergeError",
    "NoNumberError",
    "NoWeightError",
    "OutputError",
    "OverflowedError",
    "SourceError",
    "SparseError",
    "StateError",
    "StreamnormError",
    "UnseenKeyError",
    "amount",
    "unwritable",
]


#: Characters of a value that a message shows.
_SHOWN = 40


_ASK, _ROOM = "ask for the permission, or choose another place", "make room, or choose another place"
#: What to do about what cannot be written, by the number of the system's error.
_REMEDIES = {
    errno.EACCES: _ASK,
    errno.EPERM: _ASK,
    errno.ENOSPC: _ROOM,
    getattr(errno, "EDQUOT", errno.ENOSPC): _ROOM,  # not known on Windows
    errno.EFBIG: _ROOM,
    errno.EMFILE: "close files, or allow more of them (ulimit -n)",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "see to the disk, or choose another place",
}


class StreamnormError(Exception):
    """The base of every error that streamnorm raises on purpose."""


class DataError(StreamnormError, ValueError):
    """A value, column or parameter that does not fit."""


class InfiniteValueError(DataError):
    """An infinity where only finite values and missing ones are accepted.

    Attributes
    ----------
    slot : int
        Position of the column among those that were read.
    row : int
        Row of the first infinity, counted from 0.
    name : object
        The column's name, where it has one.
    """

    def __init__(self, slot: int, row: int, name: object = None, of: str = "batch", message: str | None = None) -> None:
        super().__init__(
            message
            or f"Input X contains infinity: column {slot if name is None else name!r}, row {row} of the {of}. "
            "Replace infinities by missing values before, or pass infinite='skip' to TableNormalizer "
            "(--infinite skip)."
        )
        self.slot = slot
        self.row = row
        self.name = name
        self._of = of

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.slot, self.row, self.name, self._of, str(self))  # workers send errors home

    def after(self, rows: int, *, among_others: bool = False) -> InfiniteValueError:
        """Give the error for an input that has so many rows before the batch, or other batches."""
        return InfiniteValueError(self.slot, self.row + rows, self.name, "input") if rows or among_others else self


class InfinityInFileError(DataError):
    """An infinity in a file, or what text has in the place of one: a number that float64 cannot hold.

    Attributes
    ----------
    name : str
        The column.
    row : int
        The first such row, counted from 1.
    """

    def __init__(self, name: str, row: int, text: str | None = None) -> None:
        if text is None:
            message = (
                f"there is an infinity in column {name!r}, row {row}: make infinities missing values, or skip them "
                "(--infinite skip, infinite='skip')."
            )
        else:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"
            message = (
                f"{shown!r} in column {name!r}, row {row}, is beyond float64, whose largest number is 1.8e308: correct "
                "it, or skip it as if it were an infinity (--infinite skip, infinite='skip')."
            )
        super().__init__(message)
        self.name = name
        self.row = row

    def __reduce__(self) -> tuple[Any, ...]:
        return DataError, (str(self),)  # workers send errors home


class OverflowedError(DataError):
    """A finite value whose result is beyond what the output's type can hold.

    Attributes
    ----------
    slot : int
        Position of the column among those that were read.
    row : int
        Row of the first such value, counted from 0.
    name : object
        The column's name, where it has one.
    value : float
    kind : str
        The output's type.
    """

    def __init__(
        self, slot: int, row: int, name: object, value: float, kind: str, where: str = "row {} of the batch"
    ) -> None:
        wider = "give the column as float64, or ask for that (dtype)" if kind != "float64" else "limit the column"
        super().__init__(
            f"column {slot if name is None else name!r}, {where.format(row)}: the result of {value!r} is beyond "
            f"{kind}: {wider}."
        )
        self.slot = slot
        self.row = row
        self.name = name
        self.value = value
        self.kind = kind
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.slot, self.row, self.name, self.value, self.kind, self.where)

    def at(self, slot: int, row: int, name: object, where: str | None = None) -> OverflowedError:
        """Give the error for another place.

        Parameters
        ----------
        slot : int
        row : int
        name : object
        where : str, optional
            How a row is told, ``{}`` standing for its number.
        """
        return OverflowedError(slot, row, name, self.value, self.kind, where or self.where)

    def after(self, rows: int, *, among_others: bool = False) -> OverflowedError:
        """Give the error for an input that has so many rows before the batch, or other batches."""
        return self.at(self.slot, self.row + rows, self.name, "row {} of the input") if rows or among_others else self


class NoWeightError(DataError):
    """Weights that are all 0 where nothing was learnt before."""


class NoNumberError(DataError, TypeError):
    """A value that is no number where one was expected."""


class UnseenKeyError(DataError):
    """A key that was not seen in the fit, where that is an error.

    Attributes
    ----------
    key : str
    row : int
        Row of the first such key in the batch, counted from 0.
    where : str or None
        The row as it is told, if not so.
    """

    def __init__(self, key: str, row: int, where: str | None = None) -> None:
        super().__init__(
            f"key {key!r} in row {row if where is None else where} was not seen in the fit: fit its rows too, or "
            "choose what becomes of it (--unseen global, null or keep)."
        )
        self.key = key
        self.row = row
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.row, self.where)

    def after(self, rows: int, *, among_others: bool = False) -> UnseenKeyError:
        """Give the error for an input that has so many rows before the batch, or other batches."""
        return UnseenKeyError(self.key, self.row + rows) if rows or among_others else self


class CountedTwiceWarning(UserWarning):
    """Sources of one content that are counted each; the command line says it with ``--quiet`` too."""


class SparseError(StreamnormError, TypeError):
    """Sparse input where filling it in could not be avoided."""


class MergeError(StreamnormError, ValueError):
    """Two states that cannot be combined."""


class StateError(StreamnormError, ValueError):
    """A state file that cannot be trusted."""


class SourceError(StreamnormError, OSError):
    """An input that cannot be read."""


class OutputError(StreamnormError, OSError):
    """An output that cannot be written."""


def unwritable(path: object, error: Exception) -> OutputError:
    """Give the error for what cannot be written, with a remedy that fits the reason.

    Examples
    --------
    >>> str(unwritable("out.csv", PermissionError(errno.EACCES, "Permission denied")))
    'out.csv cannot be written: Permission denied; ask for the permission, or choose another place.'
    """
    number = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".")
    return OutputError(f"{path} cannot be written: {reason}; {_REMEDIES.get(number, 'choose another place')}.")


def listed(names: Iterable[Any], most: int = 10) -> str:
    """Write names for a message: the first so many, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(range(13), most=3)
    ('a, b, c', '0, 1, 2 and 10 more')
    """
    words = [str(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def amount(number: int, noun: str) -> str:
    """Write a number and what it counts.

    Examples
    --------
    >>> amount(1, "row"), amount(12345, "row")
    ('1 row', '12,345 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nearest(name: str, known: Iterable[str], kind: str = "columns") -> str:
    """Name what might have been meant, for the end of a message.

    Parameters
    ----------
    name : str
        What was given.
    known : iterable of str
        What there is.
    kind : str
        What these are, in the plural.

    Examples
    --------
    >>> nearest("dep_dealy", ["dep_delay", "arr_delay", "carrier"])
    "did you mean 'dep_delay'?"
    >>> nearest("x", ["dep_delay", "carrier"])
    "the columns are 'dep_delay', 'carrier'."
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(map(repr, names[:10]))
    return f"the {kind} are {shown}{', ...' if len(names) > 10 else ''}."
