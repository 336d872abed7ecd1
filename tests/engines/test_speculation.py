"""A partition that Spark works on twice at once counts once: a cluster of two hosts, and a slow task on one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from clusters import free_port, rows, run_script, without_sessions, write_folder

import streamnorm as sn

pyspark = pytest.importorskip("pyspark", reason="needs the extra 'spark'")

#: Spark starts the copy of a task on another host than the original's, or not at all.
HOSTS = ("127.0.0.1", "127.0.0.2")


def missing() -> str:
    """Say what is not there for a cluster of two hosts on this machine."""
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        return "Spark needs Java"
    try:
        with socket.socket() as probe:
            probe.bind((HOSTS[1], 0))
    except OSError:
        return f"needs {HOSTS[1]}, a second address of this machine"
    return "needs a POSIX system" if os.name != "posix" else ""


@pytest.fixture
def master(tmp_path):
    """A standalone cluster, with a worker of one core on each host; gives its address."""
    home, port = Path(pyspark.__file__).parent, free_port()

    def start(role: str, host: str, *words: object) -> None:
        process = subprocess.Popen(
            [home / "bin" / "spark-class", f"org.apache.spark.deploy.{role}", "--host", host, *map(str, words)],
            env={
                **without_sessions(), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": host,
                "SPARK_LOCAL_DIRS": str(tmp_path), "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            },
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        stack.callback(process.wait, 30)
        stack.callback(os.killpg, process.pid, signal.SIGTERM)

    with (tmp_path / "cluster.log").open("w") as log, ExitStack() as stack:
        start("master.Master", HOSTS[0], "--port", port, "--webui-port", 0)
        end = time.monotonic() + 60
        while True:  # who comes before the master is there tries again only much later
            try:
                socket.create_connection((HOSTS[0], port)).close()
                break
            except OSError:
                assert time.monotonic() < end, (tmp_path / "cluster.log").read_text()
                time.sleep(0.1)
        address = f"spark://{HOSTS[0]}:{port}"
        for host in HOSTS:
            words = ("--cores", 1, "--memory", "700m", "--webui-port", 0, "--work-dir", tmp_path / host, address)
            start("worker.Worker", host, *words)
        yield address


@pytest.mark.slow
@pytest.mark.skipif(missing() != "", reason=missing())
def test_a_task_that_runs_twice_at_once_counts_once(master, tmp_path):
    folder, marks, log = (tmp_path / name for name in ("in", "marks", "log"))
    for path in (folder, marks, log):
        path.mkdir()
    write_folder(folder, [rows(700, 0), rows(500, 2)])
    done = run_script(Path(__file__).parents[1] / "support" / "speculation.py", master, folder, marks, log)
    assert done.returncode == 0, done.stderr

    assert sorted(path.name for path in marks.iterdir()) == ["0", "1"]  # both gave their summary
    events = map(json.loads, next(log.iterdir()).read_text().splitlines())
    tasks = {e["Task Info"]["Task ID"]: e["Task Info"] for e in events if e["Event"] == "SparkListenerTaskEnd"}
    original, copy = (tasks[int((marks / name).read_text())] for name in ("0", "1"))
    assert (original["Speculative"], copy["Speculative"]) == (False, True)
    assert {original["Host"], copy["Host"]} == set(HOSTS)
    assert max(original["Launch Time"], copy["Launch Time"]) < min(original["Finish Time"], copy["Finish Time"])
    assert not (original["Failed"] or copy["Failed"])

    assert done.stdout.split() == [sn.fit(folder).digest()]
