"""The arrows of the design run one way, and no file is two."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import streamnorm

PACKAGE = Path(streamnorm.__file__).parent

#: What each part may import of the package, beside itself.
MAY = {
    "errors": set(),
    "_build": set(),
    "kernel": set(),
    "exact": {"kernel"},
    "summaries": {"errors", "kernel", "exact"},
    "plans": {"kernel"},
    "numbers": {"errors"},
    "logarithm": set(),
    "columns": {"errors", "kernel", "summaries", "plans", "numbers"},
    "normalizers": {
        "errors",
        "kernel",
        "exact",
        "summaries",
        "plans",
        "numbers",
        "logarithm",
        "columns",
        "joining",
    },
    "locks": set(),
    "files": {"errors", "locks"},
    "threads": {"errors"},
    "places": {"errors"},
    "csv_checks": {"errors", "places"},
    "csv_pieces": {"errors", "kernel", "places", "csv_checks"},
    "csv_files": {"errors", "places", "csv_checks", "csv_pieces"},
    "csv_lines": {"errors", "csv_checks"},
    "joining": set(),
    "batches": {"errors", "joining", "places"},
    "row_groups": {"batches", "errors"},
    "ipc_files": {"batches", "errors", "places"},
    "parquet_pages": {"batches", "kernel", "places"},
    "listing": {"places"},
    "sources": {
        "batches",
        "csv_files",
        "csv_pieces",
        "errors",
        "ipc_files",
        "listing",
        "parquet_pages",
        "places",
        "row_groups",
    },
    "sinks": {"errors", "csv_lines", "files", "places", "sources"},
    "outputs": {"errors", "places", "sources"},
    "ordered_states": {"normalizers"},
    "keyed_state": {"normalizers", "summaries"},
    "learnt_json": {"normalizers", "keyed_state"},
    "state": {"errors", "files", "normalizers", "learnt_json", "ordered_states"},
    "report": {"errors", "files", "kernel", "normalizers", "plans", "state", "summaries"},
    "export": {"errors", "files", "normalizers", "plans", "state"},
    "holding": {"errors", "locks", "state"},
    "ledger": {"errors", "csv_files", "places", "sources", "normalizers", "state"},
    "parts": {"errors", "files", "holding", "normalizers", "state"},
    "resume": {"errors", "files", "sources", "normalizers", "ledger"},
    "footers": {"kernel", "sources", "normalizers", "summaries"},
    "differences": {"normalizers", "sources"},
    "choices": {"errors", "normalizers", "places", "sources", "state", "tasks"},
    "fitting": {
        "choices",
        "places",
        "differences",
        "threads",
        "sources",
        "footers",
        "normalizers",
        "state",
        "ledger",
        "parts",
        "tasks",
    },
    "counting": {
        "choices",
        "errors",
        "csv_files",
        "sources",
        "outputs",
        "summaries",
        "normalizers",
        "state",
        "holding",
        "ledger",
        "parts",
        "fitting",
    },
    "suggest": {"choices", "errors", "fitting", "normalizers", "numbers", "sources", "summaries"},
    "jobs": {
        "csv_lines",
        "places",
        "errors",
        "ledger",
        "files",
        "threads",
        "csv_files",
        "sources",
        "sinks",
        "outputs",
        "normalizers",
        "state",
        "resume",
        "fitting",
        "counting",
        "tasks",
    },
    "tasks": {"columns", "errors", "normalizers", "numbers"},
    "spark": {"errors", "normalizers", "state", "tasks"},
    "dask": {
        "choices",
        "errors",
        "csv_files",
        "fitting",
        "jobs",
        "ledger",
        "normalizers",
        "outputs",
        "sources",
        "state",
        "tasks",
    },
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Give the parts of the package that a file imports, outside of `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "streamnorm":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamnorm."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("streamnorm.")}
    return found


@pytest.mark.parametrize(
    "path", [f for f in FILES if f.stem != "__init__" and f.parent.name != "cli"], ids=lambda p: p.stem
)
def test_arrows_run_one_way(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert imports(path) - MAY[part] - {part} == set()


def test_every_part_has_its_arrows():
    parts = {f.relative_to(PACKAGE).parts[0].removesuffix(".py") for f in FILES} - {"__init__", "cli"}
    assert parts - set(MAY) == set()


@pytest.mark.parametrize("path", [*FILES, *PACKAGE.rglob("*.[ch]")], ids=lambda p: p.name)
def test_no_file_is_too_long(path):
    assert len(path.read_text().splitlines()) <= 450
