"""Words for the user: one line each, safe for a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    pass


__all__ = ["one_line", "say"]


#: User and password in a URI; a word longer than any file's name: of a column's, the ends are told.
_LOGIN = re.compile(r"://[^/@:\s]*:[^/@\s]*@")
_LONG_WORD = re.compile(r"[^\s/]{300,}")


def one_line(message: object) -> str:
    r"""Write what may quote a file or a name so that it is one short line, and no codes reach the terminal.

    Examples
    --------
    >>> one_line("column 'a\x1b[2J' of\n x.csv")
    "column 'a\\x1b[2J' of x.csv"
    >>> len(one_line(f"column {'a' * 10_000!r} of x.csv"))
    137
    """
    text = " ".join(str(message).split())
    text = _LONG_WORD.sub(lambda word: f"{word[0][:100]}…{word[0][-20:]}", text)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def say(words: str) -> None:
    """Write words for the user, apart from results; who a URI logs in as is nobody's business."""
    click.echo(_LOGIN.sub("://", words), err=True)
