"""What belongs to one system is guarded: calls that only POSIX has, and files that are open while they are replaced."""

from __future__ import annotations

import ast
import errno
import os
import pathlib
import signal
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn

PACKAGE = Path(sn.__file__).parent
#: What Python's documentation says is not available on Windows, of modules that are there.
OF_OS = """
    WNOHANG chown chroot confstr copy_file_range fchdir fchmod fchown fork forkpty fdatasync getegid geteuid getgid
    getgroups getloadavg getpgid getpgrp getpriority getresuid getuid getxattr initgroups killpg lchown lockf
    major makedev memfd_create mkfifo mknod nice openpty pathconf pipe2 posix_fadvise posix_fallocate posix_spawn
    pread preadv pwrite pwritev readv register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile
    setegid seteuid setgid setpgid setpriority setsid setuid setxattr splice statvfs sync sysconf ttyname uname
    wait wait3 wait4 waitid writev O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_NDELAY O_NOATIME O_NOCTTY
    O_NOFOLLOW O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE
"""
OF_SIGNAL = """
    SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH alarm
    getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait
"""
POSIX = {os: set(OF_OS.split()), signal: set(OF_SIGNAL.split()), errno: {"EDQUOT", "ESTALE"}}
#: Modules that Windows lacks.
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
GUARDS = {"os.name", "sys.platform"}


def is_guard(test: ast.expr) -> bool:
    """Tell whether a condition asks for the system, or whether it has something."""
    words = {ast.unparse(node) for node in ast.walk(test) if isinstance(node, (ast.Attribute, ast.Name))}
    return bool(words & (GUARDS | {"hasattr"}))


def unguarded(code: str) -> list[str]:
    """Give the lines that need POSIX, and are under no condition that asks for it."""
    names = {f"{module.__name__}.{name}" for module, known in POSIX.items() for name in known}
    found = []

    def visit(node: ast.AST, guarded: bool) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            what = {getattr(node, "module", None) or ""} | {alias.name for alias in node.names}
        else:
            what = {ast.unparse(node)} if isinstance(node, ast.Attribute) else set()
        if what & (names | MODULES) and not guarded:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        for _, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            inside = guarded or (isinstance(node, (ast.If, ast.IfExp)) and is_guard(node.test))
            for child in children:
                if isinstance(child, ast.AST):
                    visit(child, inside)
                    ends = isinstance(child, ast.If) and isinstance(child.body[-1], (ast.Return, ast.Raise))
                    inside = inside or (ends and is_guard(child.test))  # what follows an early return

    visit(ast.parse(code), False)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_only_posix_has_is_guarded(path):
    assert unguarded(path.read_text(encoding="utf-8")) == []


def test_the_guard_is_seen():
    assert unguarded("import fcntl\nos.fork()") == ["1: import fcntl", "2: os.fork"]
    assert unguarded("def f():\n    if os.name == 'nt':\n        return\n    os.fchmod(1, 2)") == []
    assert unguarded("def f():\n    if os.name == 'nt':\n        pass\n    os.fchmod(1, 2)") == ["4: os.fchmod"]


class Windows:
    """A module as it is on Windows: without what only POSIX has, and told apart by its name."""

    def __init__(self, module, **other):
        self._module, self._other = module, other

    def __getattr__(self, name):
        if name in POSIX.get(self._module, ()):
            raise AttributeError(name)
        return self._other.get(name, getattr(self._module, name))


def is_open(path) -> bool:
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return os.path.realpath(path) in {os.path.realpath(link) for link in links}


@pytest.fixture
def windows(monkeypatch):
    """Refuse what Windows does: to open a folder, and to rename or remove a file that is open."""

    def refusing(call):
        def refuse(*places, **words):
            if any(is_open(place) for place in places[:2]):
                raise PermissionError(errno.EACCES, "the file is open in this process", str(places[0]))
            return call(*places, **words)

        return refuse

    def opened(path, *rest, **words):
        if os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(errno.EACCES, "a folder cannot be opened", str(path))
        return os.open(path, *rest, **words)

    fakes = {
        "os": Windows(os, name="nt", open=opened),
        "sys": Windows(sys, platform="win32"),
        "signal": Windows(signal),
    }
    for name, module in list(sys.modules.items()):
        if name.startswith("streamnorm."):
            for attribute, fake in fakes.items():
                if getattr(module, attribute, None) is sys.modules[attribute]:
                    monkeypatch.setattr(module, attribute, fake)
    for name in ("rename", "replace", "unlink"):
        monkeypatch.setattr(pathlib.os, name, refusing(getattr(os, name)))


JOBS = """
    fit in/a.{kind} --state s.json --keep-parts
    fit in --state s.json --update
    fit in --state s.json --rebuild
    fit in/b.{kind} --state b.json --by n
    transform s.json in --output out/
    transform s.json in --output out/ --overwrite
    transform s.json in --output out/ --resume
    run in/a.{kind} --output one.{kind} --state one.json
    run in/a.{kind} --output one.{kind} --state one.json --overwrite
    forget s.json in/a.{kind}
    verify s.json in/b.{kind}
    fit in/a.{kind} --state a.json
    merge a.json s.json --output both.json
    show both.json
    report s.json --output page.html
    export s.json --to sql --output s.sql --table t
    follow in --state followed.json --once
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux tells what is open")
@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow"])
def test_jobs_do_nothing_that_windows_refuses(kind, tmp_path, capsys, monkeypatch, request):
    rng = np.random.default_rng(0)
    commands = [line.split() for line in JOBS.format(kind=kind).strip().splitlines()]
    for system in ("here", "windows"):  # all is imported before the system seems another one
        (tmp_path / system / "in").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / system)
        for day in "ab":
            table = pa.table({"x": rng.normal(size=50), "n": rng.integers(0, 9, 50)})
            pq.write_table(table, f"{day}.parquet")
            as_it_is = sn.TableNormalizer(columns={"n": "none"}).fit(table)
            sn.transform(as_it_is, f"{day}.parquet", f"in/{day}.{kind}")
        if system == "windows":
            request.getfixturevalue("windows")
        for command in commands:
            ended = streamnorm(capsys, *command)
            assert not ended.code, (command, ended.err)
        assert sn.load("both.json") == sn.load("followed.json") == sn.fit("in")
    assert sorted(path.name for path in Path().iterdir()) == sorted(path.name for path in Path("../here").iterdir())
