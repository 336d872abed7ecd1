"""Run the command in this process, as a shell would see it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from streamnorm import cli


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def streamnorm(capsys: pytest.CaptureFixture[str], *words: object) -> Result:
    """Call the command with these words; anything but SystemExit is a traceback, and a failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["streamnorm", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    out, err = capsys.readouterr()
    return Result(int(stopped.value.code or 0), out, err)
