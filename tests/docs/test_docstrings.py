"""A function of three parameters or more says what they are, with shapes and units."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import streamnorm

PACKAGE = Path(streamnorm.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def undocumented(text: str) -> list[str]:
    """Name functions of three parameters or more whose docstring has no section for them.

    Those of a constructor stand in its class, and those of a command in its options.
    """
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef) or node.name == "__init__":
            continue
        of_command = any(ast.unparse(item).startswith("click.command") for item in node.decorator_list)
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        parameters = [item.arg for item in given if item.arg not in ("self", "cls")]
        section = "Parameters\n----------\n" in (ast.get_docstring(node) or "")
        if len(parameters) > 2 and not (section or of_command):
            found.append(node.name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_three_parameters_are_described(path):
    assert undocumented(path.read_text()) == []


def test_one_without_a_description_is_found():
    assert undocumented('def f(a, b, c):\n    """Do it."""') == ["f"]
    assert undocumented("class C:\n    def f(self, a, b):\n        pass") == []
