"""The command line from outside: what it prints, writes and returns."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from fractions import Fraction

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm import cli


@pytest.fixture
def table(tmp_path):
    table = pa.table(
        {
            "shop": ["a", "b", "b", None],
            "price": [1.0, 2.5, None, 4.0],
            "count": pa.array([1, 2, 3, 2**60], pa.int64()),
            "flag": [True, False, None, True],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    return table


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != "in.parquet")


def test_fit_show_transform_and_back(tmp_path, table, capsys):
    source, state, out, back = (tmp_path / n for n in ("in.parquet", "state.json", "out.parquet", "back.parquet"))
    done = streamnorm(capsys, "fit", source, "--state", state)
    assert (done.code, done.out) == (0, "")
    assert "2 columns, 1 source, 4 rows" in done.err
    shown = json.loads(streamnorm(capsys, "show", state, "--json").out)
    price, count = shown["columns"]
    assert price["mean"] == float(Fraction(15, 2) / 3)
    assert (price["nulls"], price["values"], price["rows"]) == (1, 3, 4)
    assert count["mean"] == float(Fraction(6 + 2**60, 4))
    assert streamnorm(capsys, "transform", state, source, "--output", out, "--quiet").err == ""
    streamnorm(capsys, "transform", state, out, "--output", back, "--inverse")
    written, again = pq.read_table(out), pq.read_table(back)
    assert written.column("shop").equals(table.column("shop"))
    assert written.column("price").null_count == 1
    assert again.column("price").to_pylist() == pytest.approx([1.0, 2.5, None, 4.0], abs=1e-15)


def test_run_is_fit_and_transform(tmp_path, table, capsys):
    source = tmp_path / "in.parquet"
    streamnorm(capsys, "fit", source, "--state", tmp_path / "a.json", "--scaler", "minmax")
    streamnorm(capsys, "transform", tmp_path / "a.json", source, "--output", tmp_path / "a.parquet")
    done = streamnorm(
        capsys, "run", source, "--output", tmp_path / "b.parquet", "--state", tmp_path / "b.json", "--scaler", "minmax"
    )
    assert done.code == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_show_for_people(tmp_path, table, capsys):
    streamnorm(capsys, "fit", tmp_path / "in.parquet", "--state", tmp_path / "s.json")
    shown = streamnorm(capsys, "show", tmp_path / "s.json")
    assert [line.split()[0] for line in shown.out.splitlines()[:3]] == ["column", "price", "count"]
    assert shown.err == ""


def test_merge_is_one_fit(tmp_path, table, capsys):
    parts = []
    for i, rows in enumerate((table.slice(0, 1), table.slice(1))):
        pq.write_table(rows, tmp_path / f"part{i}.parquet")
        streamnorm(capsys, "fit", tmp_path / f"part{i}.parquet", "--state", tmp_path / f"{i}.json")
        parts.append(tmp_path / f"{i}.json")
    streamnorm(capsys, "merge", *reversed(parts), "--output", tmp_path / "both.json")
    streamnorm(capsys, "fit", tmp_path / "part0.parquet", tmp_path / "part1.parquet", "--state", tmp_path / "one.json")
    assert (tmp_path / "both.json").read_bytes() == (tmp_path / "one.json").read_bytes()
    twice = streamnorm(capsys, "merge", parts[0], parts[0], "--output", tmp_path / "twice.json")
    assert (twice.code, (tmp_path / "twice.json").exists()) == (1, False)
    assert "part0.parquet" in twice.err


def write_other_version(folder, capsys):
    streamnorm(capsys, "fit", folder / "in.parquet", "--state", folder / "old.json")
    (folder / "old.json").write_text((folder / "old.json").read_text().replace('"version": 1', '"version": 99'))


FAILURES = {
    "missing file": ("run {0}/none.parquet --output {0}/out.parquet", ["none.parquet", "check the path"]),
    "corrupt file": ("run {0}/bad.parquet --output {0}/out.parquet", ["bad.parquet"]),
    "empty file": ("run {0}/empty.parquet --output {0}/out.parquet", ["empty.parquet"]),
    "text by name": ("run {0}/in.parquet --output {0}/out.parquet --columns shop", ["in.parquet", "'shop'", "string"]),
    "unknown column": (
        "run {0}/in.parquet --output {0}/out.parquet --columns prize",
        ["'prize'", "did you mean 'price'?"],
    ),
    "other version": ("transform {0}/old.json {0}/in.parquet --output {0}/out.parquet", ["old.json", "99"]),
    "no state": ("transform {0}/none.json {0}/in.parquet --output {0}/out.parquet", ["none.json", "fit"]),
    "foreign state": ("show {0}/in.parquet", ["in.parquet"]),
    "unknown scaler": ("run {0}/in.parquet --output {0}/out.parquet --scaler nope", ["'nope'", "standard"]),
    "unknown kind": ("run {0}/in.parquet --output {0}/out.xyz", ["out.xyz", ".parquet"]),
    "output is input": ("run {0}/in.parquet --output {0}/in.parquet --overwrite", ["in.parquet", "input"]),
    "output exists": ("run {0}/in.parquet --output {0}/bad.parquet", ["bad.parquet", "--overwrite"]),
    "negative ddof": ("run {0}/in.parquet --output {0}/out.parquet --ddof -1", ["ddof", "-1"]),
    "empty folder": ("run {0}/folder --output {0}/out", ["folder"]),
    "empty glob": ("run {0}/x*.parquet --output {0}/out", ["x*.parquet"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_line(name, tmp_path, table, capsys):
    (tmp_path / "bad.parquet").write_bytes((tmp_path / "in.parquet").read_bytes()[:-20])
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "folder").mkdir()
    write_other_version(tmp_path, capsys)
    before = leftovers(tmp_path)
    words, expected = FAILURES[name]
    failed = streamnorm(capsys, *words.format(tmp_path).split())
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.startswith("error: ")
    assert failed.err.count("\n") == 1
    assert [part for part in expected if part not in failed.err] == []
    assert leftovers(tmp_path) == before


def test_resume_says_why_an_output_that_exists_is_not_its_own(tmp_path, table, capsys):
    source, state, out = (tmp_path / n for n in ("in.parquet", "state.json", "out.parquet"))
    streamnorm(capsys, "fit", source, "--state", state)
    words = ("transform", state, source, "--output", out, "--resume")
    assert streamnorm(capsys, *words).code == 0
    out.write_bytes(out.read_bytes())  # by somebody else
    before = out.read_bytes()
    failed = streamnorm(capsys, *words)
    assert (failed.code, failed.out, failed.err.count("\n")) == (1, "", 1)
    assert "out.parquet exists, and is not from a stopped run of this job" in failed.err
    assert out.read_bytes() == before


def test_verify_of_some_of_the_sources_says_to_name_all(tmp_path, table, capsys):
    source, other, state = (tmp_path / n for n in ("in.parquet", "other.parquet", "state.json"))
    pq.write_table(table.slice(1), other)
    streamnorm(capsys, "fit", source, other, "--state", state)
    failed = streamnorm(capsys, "verify", state, source)
    assert (failed.code, failed.out, failed.err.count("\n")) == (1, "", 1)
    assert "other.parquet was counted, and is not among them" in failed.err
    assert "Name all that was counted and nothing else" in failed.err


def test_usage_is_2(tmp_path, table, capsys):
    assert streamnorm(capsys, "fit").code == 2
    assert streamnorm(capsys, "nope").code == 2
    wrong = streamnorm(capsys, "fit", tmp_path / "in.parquet", "--state", tmp_path / "s.json", "--scale", "price")
    assert wrong.code == 2
    assert leftovers(tmp_path) == []


def test_interrupted_is_130(tmp_path, table, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("streamnorm.jobs.run"), "fit_state", interrupt)
    stopped = streamnorm(capsys, "run", tmp_path / "in.parquet", "--output", tmp_path / "out.parquet")
    assert (stopped.code, stopped.err.strip()) == (130, "interrupted")
    assert leftovers(tmp_path) == []


def test_every_option_is_in_the_help(capsys):
    for name, command in cli.cli.commands.items():
        text = streamnorm(capsys, name, "--help").out
        assert [o for p in command.params for o in p.opts if o.startswith("--") and o not in text] == []
        assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


def test_the_help_tells_of_each_command_by_a_whole_sentence(capsys):
    text = " ".join(streamnorm(capsys, "--help").out.split())
    for name, command in cli.cli.commands.items():
        sentence = " ".join(command.help.split()).partition(". ")[0].removesuffix(".")
        assert f" {name} {sentence}." in text


def test_a_copy_that_was_brought_back_is_told_as_that(tmp_path, table, capsys):
    state, out = tmp_path / "state.json", tmp_path / "out.parquet"
    done = streamnorm(capsys, "run", tmp_path / "in.parquet", "--state", state, "--output", out)
    assert (done.code, "columns normalised" in done.err) == (0, True)
    done = streamnorm(capsys, "transform", state, out, "--output", tmp_path / "back.parquet", "--inverse")
    assert (done.code, "columns brought back" in done.err) == (0, True)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_version_and_help_import_nothing_heavy():
    code = (
        "import sys; sys.argv = ['streamnorm', '--version']\n"
        "from streamnorm.cli import main\n"
        "try: main()\n"
        "except SystemExit: print([m for m in ('numpy', 'pyarrow', 'pandas', 'sklearn') if m in sys.modules])"
    )
    assert run_python(code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words", ["run i.parquet --output o.parquet", "run i.arrow --output o.arrow", "fit i.csv --state s.json"]
)
def test_jobs_need_neither_sklearn_nor_pandas(tmp_path, table, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = words.split()[1]
    sn.transform(sn.TableNormalizer("maxabs").fit(table), "in.parquet", source)
    code = (
        f"import sys; sys.argv = 'streamnorm {words}'.split()\n"
        "from streamnorm.cli import main\n"
        "try: main()\n"
        "except SystemExit as stopped:\n"
        "    heavy = ('pandas', 'sklearn', 'scipy', 'pyarrow.dataset')\n"
        "    print(stopped.code, [m for m in heavy if m in sys.modules])"
    )
    assert run_python(code).stdout.splitlines()[-1] == "0 []"


def test_without_the_compiled_kernel_a_note_says_so(tmp_path, table):
    code = (
        f"import sys; sys.argv = 'streamnorm fit {tmp_path}/in.parquet --state {tmp_path}/s.json'.split()\n"
        "from streamnorm.cli import main\nmain()"
    )
    done = run_python(code, STREAMNORM_PURE="1")
    assert done.returncode == 0
    assert done.stderr.startswith("note: ")


def test_a_column_without_values_is_warned_of_once(tmp_path):
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": pa.array([None, None], pa.float64())}), tmp_path / "in.parquet")
    code = (
        f"import sys; sys.argv = 'streamnorm run {tmp_path}/in.parquet --output {tmp_path}/out.parquet'.split()\n"
        "from streamnorm.cli import main\nmain()"
    )
    done = run_python(code)
    assert done.returncode == 0
    assert [line[:8] for line in done.stderr.splitlines() if "'y'" in line] == ["warning:"]
