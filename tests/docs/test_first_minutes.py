"""The first command of the README prints what stands below it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from shell import streamnorm

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_command_prints_what_is_shown(capsys, tmp_path, monkeypatch):
    words, shown = re.search(r"```sh\n(python3 -m venv .*?)\n```\n\n```text\n(.*?)```", README, re.DOTALL).groups()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    printed = []
    for command in words.split(" && ")[3:]:
        done = streamnorm(capsys, *shlex.split(command)[1:])
        assert done.code == 0
        printed += (done.out + done.err).splitlines()
    assert [line for line in shown.splitlines() if line not in printed] == ["..."]
