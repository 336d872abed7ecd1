"""Real processes of the command, stopped or failed by strace at one system call of their own.

strace numbers the calls of one name within a thread, so that a job that runs alone, on one thread and with
a fixed hash seed makes the same calls each time: the first run lists them, each later one fails at one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Why there is nothing to be injected, or nothing.
MISSING = "" if sys.platform == "linux" and shutil.which("strace") else "needs strace (apt-get install strace)"

_CHANGING = {
    "write", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "mkdir", "mkdirat", "rmdir", "ftruncate", "truncate", "fallocate", "link", "symlink", "copy_file_range",
}  # fmt: skip
_READING = {"open", "openat", "read", "pread64", "stat", "lstat", "newfstatat", "statx", "getdents64", "flock"}
#: The signals as a terminal gives them, whatever who runs the tests ignores (a shell's background, nohup).
_COMMAND = [
    sys.executable,
    "-P",
    "-c",
    "import signal\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "if hasattr(signal, 'SIGHUP'): signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    "from streamnorm.cli import main; main()",
]
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_RANDOM = re.compile(r"\.[0-9a-f]{8}\.streamnorm")
_TIMEOUT = 60
_STRACE = ["strace", "-f", "-qq", "-y", "-s", "0"]
_FASTER = ["--seccomp-bpf"]  # stops at the calls asked for alone; no signal can be sent so


@dataclass(frozen=True)
class Call:
    """A system call of a job on a file of its own.

    Parameters
    ----------
    name : str
    nth : int
        Which of its name, in the thread that makes it, from 1.
    path : str
        The file or folder, below the job's folder.
    changes : bool
        Whether it may leave something else on the disk.
    """

    name: str
    nth: int
    path: str
    changes: bool

    def __str__(self) -> str:
        return f"{self.name} {self.nth} of {self.path}"


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (or signal, negative), what it said, and whether it was hit before."""

    code: int
    err: str
    hit: bool = True


def environment() -> dict[str, str]:
    """Give the environment of jobs that make the same calls each time."""
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def start(folder: Path, words: str, before: Sequence[str] = (), **choices: object) -> subprocess.Popen[str]:
    """Start the command in a folder, in a process of its own, and behind another command if there is one."""
    return subprocess.Popen(
        [*before, *_COMMAND, *words.split()], cwd=folder, env=environment(), text=True, stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **choices},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process."""
    try:
        _, err = process.communicate(timeout=_TIMEOUT)
    finally:
        process.kill()
    return Ended(process.returncode, err or "")


def run(folder: Path, words: str) -> Ended:
    """Run the command in a folder, undisturbed."""
    return finish(start(folder, words))


def calls(folder: Path, words: str) -> list[Call]:
    """Run the command and list its calls on files below the folder, in their order."""
    log = folder.with_name(f"{folder.name}.calls")
    names = ",".join(f"?{name}" for name in sorted(_CHANGING | _READING))
    ended = finish(start(folder, words, [*_STRACE, *_FASTER, "-o", str(log), "-e", f"trace={names}"]))
    assert ended.code == 0, ended.err
    found, seen, main = [], Counter(), None
    for thread, name, rest in _lines(log):
        main = main or thread
        path = _path(rest, folder)
        seen[thread, name] += 1
        if path is not None:
            assert thread == main, f"{name} of {path} in another thread: it cannot be counted"
            found.append(Call(name, seen[thread, name], path, name in _CHANGING or "O_CREAT" in rest))
    return found


def hit(folder: Path, words: str, call: Call, what: str) -> Ended:
    """Run the command, and let strace do something (``error=EIO``, ``signal=KILL``) at one of its calls."""
    log = folder.with_name(f"{folder.name}.calls")
    faster = _FASTER if what.startswith("error=") else []
    injected = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{what}:when={call.nth}"]
    ended = finish(start(folder, words, [*_STRACE, *faster, "-o", str(log), *injected]))
    lines = [rest for _, name, rest in _lines(log) if name == call.name]
    there = [rest for rest in lines if _path(rest, folder) == call.path]
    if what.startswith("error="):
        there = [rest for rest in there if "(INJECTED)" in rest]
    elif ended.code == -signal.SIGKILL:
        there = there if lines[-1:] == there[-1:] else []
    return Ended(ended.code, ended.err, bool(there))


def _lines(log: Path) -> list[tuple[str, str, str]]:
    found = map(_LINE.match, log.read_text(encoding="utf-8", errors="replace").splitlines())
    return [(match[1], match[2], match[3]) for match in found if match]


def _path(rest: str, folder: Path) -> str | None:
    """Give the first file that a call is about, if it is the folder or below it; random names are made one."""
    named = [path for path in re.findall(r'"([^"]+)"', rest) if not path.startswith("/")]
    opened = re.findall(r"\b\d+<(/[^>]*)>", rest.partition(" = ")[0])
    for path in [*named, *opened]:
        relative = os.path.relpath(folder / path, folder)
        if not relative.startswith(".."):
            return _RANDOM.sub(".XXXXXXXX.streamnorm", relative)
    return None


def tree(folder: Path) -> dict[str, bytes | None]:
    """Give all that is below a folder but for journals, which hold times: the bytes of files, None for folders."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.name != ".streamnorm.resume"
    }
