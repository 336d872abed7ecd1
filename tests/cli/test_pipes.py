"""Standard input and output as a person at a shell uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

TABLE = pa.table({"x": [1.0, 3.0, None], "text": ["a", "b", None]})
COMMAND = [sys.executable, "-c", "from streamnorm.cli import main; main()"]


@pytest.fixture
def shell(tmp_path):
    """Run the command with these bytes as its standard input; no temporary file may outlive it."""
    (tmp_path / "tmp").mkdir()

    def run(*words, given=b""):
        environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
        done = subprocess.run(
            [*COMMAND, *map(str, words)], input=given, capture_output=True, cwd=tmp_path, env=environment, timeout=100
        )
        assert list((tmp_path / "tmp").iterdir()) == []
        return done

    return run


def written(path):
    if path.suffix == ".parquet":
        pq.write_table(TABLE, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, TABLE.schema) as file:
            file.write_table(TABLE)
    elif path.suffix == ".arrows":
        with pa.ipc.new_stream(path, TABLE.schema) as file:
            file.write_table(TABLE)
    else:
        with (
            pa.CompressedOutputStream(str(path), "gzip") if path.suffix == ".gz" else pa.OSFile(str(path), "wb") as out
        ):
            pa.csv.write_csv(TABLE, out)
    return path


@pytest.mark.parametrize("name", ["in.parquet", "in.arrow", "in.arrows", "in.csv", "in.csv.gz"])
def test_through_a_pipe_as_through_files(tmp_path, shell, name):
    path, out = written(tmp_path / name), tmp_path / f"out-{name}"
    assert shell("run", path, "--output", out, "--state", "a.json").returncode == 0
    done = shell("run", "-", "--output", "-", "--state", "b.json", given=path.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"-: 1 file, 1 column normalised\n")
    assert done.stdout == out.read_bytes()
    assert shell("transform", "a.json", path, "--output", "-", "--quiet").stdout == out.read_bytes()
    back = shell("transform", "b.json", "-", "--output", "-", "--inverse", given=out.read_bytes())
    assert back.returncode == 0
    assert shell("diff", "a.json", "b.json").returncode == 0


def test_nothing_is_written_when_it_fails(tmp_path, shell):
    done = shell("run", "-", "--output", "-", given=b"x\n1\ntext\n")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: standard input: ")


def test_errors_say_standard_input_and_the_record_tells_its_contents_apart(tmp_path, shell):
    for given in (b"x\n1\n", b"x\n3\n", b"x\n1\n"):
        assert shell("fit", "-", "--state", "s.json", "--update", given=given).returncode == 0
    locations = [source["location"] for source in json.loads((tmp_path / "s.json").read_text())["sources"]]
    assert [location[:8] for location in locations] == ["stdin://"] * 2
    assert b"standard input was never counted" in shell("verify", "s.json", "-", given=b"x\n5\n").stderr
    done = shell("transform", "s.json", "-", "--output", "-", given=b"y\n1\n")
    assert done.stderr.startswith(b"error: standard input: it has none of the columns that are normalised ('x')")


def test_standard_output_is_for_one_file(tmp_path, shell):
    for name in ("1.parquet", "2.parquet"):
        written(tmp_path / name)
    done = shell("run", "1.parquet", "2.parquet", "--output", "-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--output - takes one file, not 2" in done.stderr
    assert b"--resume" in shell("run", "1.parquet", "--output", "-", "--resume").stderr


def test_a_folder_of_one_file_and_a_reader_that_goes_away(tmp_path, shell):
    (tmp_path / "folder").mkdir()
    written(tmp_path / "folder" / "1.csv")
    assert shell("run", "folder", "--output", "-").stdout.startswith(b'"x","text"\n-1,"a"\n')
    pq.write_table(pa.table({"x": list(range(200_000))}), tmp_path / "long.parquet")
    with subprocess.Popen(
        [*COMMAND, "run", "long.parquet", "--output", "-"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (
        1,
        b"long.parquet: 1 file, 1 column normalised\n".replace(b"long.parquet", b"-"),
    )
