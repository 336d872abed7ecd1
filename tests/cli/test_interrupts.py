"""Ctrl-C while the command is imported: the exit code of an interruption, and no word."""

import subprocess
import sys

import pytest

#: Sends the signal when a module is looked for.
INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from streamnorm.command import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("module", ["streamnorm.cli", "click", "streamnorm.cli.group", "streamnorm.cli.commands.data"])
def test_an_interruption_while_importing_is_quiet(module):
    found = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, check=False, timeout=60
    )
    assert (found.returncode, found.stdout, found.stderr) == (130, "", "")


def test_the_entry_runs_the_command():
    code = "import sys; sys.argv = ['streamnorm', '--version']; from streamnorm.command import main; main()"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.startswith("streamnorm ")
