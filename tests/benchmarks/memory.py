"""Run a `streamnorm` command and print the peak of its resident memory in bytes: `python memory.py fit ...`."""

from __future__ import annotations

import sys
from pathlib import Path


def peak() -> int:
    """Give this process' peak of resident memory, mapped files included, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's maximum is the parent's where that was greater
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Run the command."""
    from streamnorm.cli import main as streamnorm

    try:
        streamnorm()
    except SystemExit as end:
        if end.code:
            raise
    print(peak())


if __name__ == "__main__":
    main()
