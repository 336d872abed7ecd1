"""What is said of commands and names: it is complete, current, and what it shows can be run."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import re
import shlex
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
import reference
import stores
from shell import streamnorm

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
COMMANDS = reference.commands()

#: Examples of these need a cluster or the libraries of layers: the tests of Spark, Dask and exports are theirs.
SHOWN_ELSEWHERE = {"spark.transform", "dask.transform", "export.to_keras", "export.to_torch"}


@pytest.mark.parametrize("page", reference.PAGES)
def test_the_reference_is_current(page):
    text = (reference.FOLDER / page).read_text(encoding="utf-8")
    assert text == reference.PAGES[page](), "write it again: python tests/docs/reference.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    command = COMMANDS[name]
    text = (reference.FOLDER / "commands.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert command.help
    assert f"`streamnorm {name}`" in README or f"streamnorm {name} " in README
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.name
            assert all(f"`{word}`" in section for word in param.opts)
        else:
            assert param.make_metavar(click.Context(command)) in section


def test_the_readme_names_no_option_that_does_not_exist():
    known = {word for command in COMMANDS.values() for param in command.params for word in param.opts}
    used = {word for line in LINES if "streamnorm " in line for word in shlex.split(line, comments=True)}
    assert {word for word in used if word.startswith("--")} <= known


@pytest.mark.parametrize("page", [ROOT / "README.md", reference.FOLDER / "guide.md"], ids=lambda path: path.stem)
def test_what_is_linked_is_there(page):
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", text)]
    for file, _, heading in links:
        assert (page.parent / file).is_file(), file
        headings = (
            re.findall(r"^#+ (.*)", (page.parent / file).read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        )
        assert not heading or heading in [h.lower().replace(" ", "-") for h in headings]
    assert all((ROOT / name).is_file() for name in re.findall(r"`(?:python )?((?:pipelines|tests)/[\w/]+\.py)", text))


def test_the_readme_names_every_script():
    assert all(f"pipelines/{path.name}" in README for path in (ROOT / "pipelines").glob("*.py"))


@pytest.mark.parametrize("name", reference.names())
def test_every_name_is_documented(name):
    thing = reference.names()[name]
    assert inspect.getdoc(thing)
    examples = ">>>" in thing.__doc__ or hasattr(thing, "__dataclass_fields__")
    assert examples or name in SHOWN_ELSEWHERE
    if inspect.isclass(thing):
        for method, member in reference.methods(thing).items():
            assert member.__doc__, method


@pytest.mark.parametrize("name", reference.names())
def test_every_example_imports_what_it_uses(name, capsys):
    """pytest runs an example with the names of its module, which who copies it has not."""
    thing = reference.names()[name]
    members = {name: thing} | (reference.methods(thing) if inspect.isclass(thing) else {})
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for label, member in members.items():
        example = doctest.DocTestParser().get_doctest(inspect.getdoc(member) or "", {}, label, None, None)
        assert runner.run(example).failed == 0, capsys.readouterr().out


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder, and a bucket, with what the README's commands name."""
    flights = pq.read_table(ROOT / "data" / "flights.parquet")
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    for i, name in enumerate(["day1", "day2", "monday", "tuesday", "folder/a", "folder/deeper/b"]):
        pq.write_table(flights.slice(1000 * i, 1000), tmp_path / f"{name}.parquet")
    (tmp_path / "data").mkdir()
    pq.write_table(flights.slice(10000, 3000), tmp_path / "data" / "flights.parquet")
    head = (ROOT / "data" / "flights_january.csv").read_text().splitlines(keepends=True)[:2000]
    (tmp_path / "data" / "flights_january.csv").write_text("".join(head))
    monkeypatch.chdir(tmp_path)
    with stores.server() as bucket:
        bucket.put("in/day1.parquet", (tmp_path / "day1.parquet").read_bytes())
        for name, value in stores.environment(bucket.endpoint).items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def can_export(line: str) -> bool:
    target = re.search(r"--to (keras|torch)", line)
    return target is None or all(importlib.util.find_spec(module) for module in {"torch", target[1]})


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_every_command_of_the_readme_runs(place, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    for day in ("monday", "tuesday"):
        assert streamnorm(capsys, "fit", f"{day}.parquet", "--state", f"{day}.json").code == 0
    run = [line for line in LINES if line.startswith("streamnorm ")]
    assert len(run) >= 10
    skipped = [line for line in run if not can_export(line)]
    for line in run:
        if line not in skipped:
            done = streamnorm(capsys, *shlex.split(line, comments=True)[1:])
            assert done.code == (3 if "--fail-over" in line else 0), (line, done.err)
    if skipped:
        pytest.skip(f"all but these, which need the extra 'peers': {skipped}")
