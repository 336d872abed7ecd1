"""Ctrl-C while the command is imported: the exit code of an interruption, and no word."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
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


#: Counts the threads of the system when all else has ended: those of the libraries, beside the main one.
COUNTED = """
import atexit, os, sys, time
import pyarrow, pyarrow.compute, streamnorm.normalizers, streamnorm.kernel
before = len(os.listdir("/proc/self/task"))
def tell():
    end = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > before and time.monotonic() < end:
        time.sleep(0.01)  # a thread that Python has joined is there for a moment still
    print(len(os.listdir("/proc/self/task")) - before)
atexit.register(tell)
from streamnorm.command import main
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux")
@pytest.mark.parametrize("words", [["fit", "{}", "--state", "s.json"], ["run", "{}", "--output", "out.parquet"]])
@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_no_thread_outlives_a_job_that_fails(words, name, tmp_path, monkeypatch):
    """A thread of Arrow's that needs the interpreter while it ends would end the process by SIGABRT."""
    monkeypatch.chdir(tmp_path)
    table = pa.table({"x": [1.0, 2.0, float("inf")]})
    pq.write_table(table, name) if name == "a.parquet" else pacsv.write_csv(table, name)
    words = [word.format(name) for word in words]
    found = subprocess.run(
        [sys.executable, "-c", COUNTED, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert "infinity" in found.stderr
    assert (found.returncode, found.stdout) == (1, "0\n")
