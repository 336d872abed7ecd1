"""Write the reference of commands and of Python names: ``python tests/docs/reference.py``.

It holds what stands in docstrings and options, and nothing else; a test fails when it is out of date.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import click

import streamnorm as sn
from streamnorm.cli import cli

FOLDER = Path(sn.__file__).parent / "docs"
#: Modules whose names are used through them.
PARTS = ("report", "export", "spark", "dask")
_NOTE = "<!-- Written by `python tests/docs/reference.py`: change docstrings and options instead. -->\n"


# ---- commands ----


def commands() -> dict[str, click.Command]:
    return dict(cli.commands)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    kind = option.metavar or ("|".join(option.type.choices) if isinstance(option.type, click.Choice) else "")
    words = names if option.is_flag else f"{names} `{kind or option.type.name.upper()}`"
    notes = [note for note, holds in (("required", option.required), ("repeatable", option.multiple)) if holds]
    if isinstance(option.default, (str, int, float)) and not isinstance(option.default, bool) and option.default != "":
        notes.append(f"by default `{option.default}`")
    noted = f" ({', '.join(notes)})" if notes else ""
    return f"| {_cell(words)} | {_cell((option.help or '') + noted)} |"


def command_page() -> str:
    """Give the reference of commands as Markdown."""
    lines = [_NOTE, "# The commands\n", f"{inspect.cleandoc(cli.help or '')}\n"]
    for name, command in sorted(commands().items()):
        context = click.Context(command, info_name=f"streamnorm {name}")
        usage = " ".join([f"streamnorm {name}", *command.collect_usage_pieces(context)])
        lines += [f"## {name}\n", f"```\n{usage}\n```\n", f"{inspect.cleandoc(command.help or '')}\n"]
        options = [param for param in command.params if isinstance(param, click.Option)]
        if options:
            lines += ["| option | meaning |", "|---|---|", *map(_option, options), ""]
    return "\n".join(lines)


# ---- Python ----


def names() -> dict[str, Any]:
    """Give every public name and what it stands for."""
    own = {name: getattr(sn, name) for name in sn.__all__ if name not in ("__version__", *PARTS)}
    for part in PARTS:
        module = getattr(sn, part)
        own |= {f"{part}.{name}": getattr(module, name) for name in module.__all__ if name != name.upper()}
    return own


def methods(kind: type) -> dict[str, Any]:
    """Give the public methods that streamnorm itself defines; attributes stand in the class's own docstring."""
    found = {}
    for name, member in inspect.getmembers(kind):
        target = inspect.unwrap(getattr(member, "__func__", member))
        if not name.startswith("_") and inspect.isfunction(target) and target.__module__.startswith("streamnorm"):
            found[name] = member
    return found


def _signature(name: str, thing: Any) -> str:
    shown = []
    parameters = [p for p in inspect.signature(thing).parameters.values() if p.name not in ("self", "cls")]
    kinds = [p.kind for p in parameters]
    for i, p in enumerate(parameters):
        if p.kind is p.KEYWORD_ONLY and p.KEYWORD_ONLY not in kinds[:i] and p.VAR_POSITIONAL not in kinds:
            shown.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        shown.append(f"{star}{p.name}" + ("" if p.default is p.empty else f"={p.default!r}"))
    text = f"{name}({', '.join(shown)})"
    return re.sub(r"<class '(\w+)'>", r"\1", text)  # a default that is a type


def _markdown(docstring: str) -> str:
    """Turn numpydoc into Markdown: sections into bold words, entries into lists, examples into code."""
    text = inspect.cleandoc(docstring).replace("::\n", ":\n")
    first, *rest = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    parts = [first.strip()]
    for heading, body in zip(rest[::2], rest[1::2], strict=True):
        parts += [f"**{heading}**", _section(heading, body.strip("\n"))]
    return "\n\n".join(parts)


def _section(heading: str, body: str) -> str:
    if heading == "Examples":
        blocks = re.split(r"\n\n(?=\S)", body)
        return "\n\n".join(f"```python\n{b}\n```" if b.startswith(">>>") else b for b in blocks)
    if heading in ("Notes", "References"):
        return body
    return re.sub(r"^(\S[^\n]*)$", lambda found: f"- {_entry(found[1])}", body, flags=re.MULTILINE)


def _entry(line: str) -> str:
    name, colon, kind = line.partition(" : ")
    return f"`{name}` : {kind}" if colon else line


def _anchor(heading: str) -> str:
    return heading.lower().replace(".", "")


def python_page() -> str:
    """Give the reference of Python names as Markdown."""
    lines = [_NOTE, "# From Python\n", "`import streamnorm as sn`; every name below is `sn.` something.\n"]
    told: dict[Any, str] = {}
    for name, thing in names().items():
        lines += [f"## {name}\n", f"```python\n{_signature(name, thing)}\n```\n", f"{_markdown(thing.__doc__)}\n"]
        again = []
        for method, member in (methods(thing) if inspect.isclass(thing) else {}).items():
            function = getattr(member, "__func__", member)
            if function in told:
                again.append(f"[{method}](#{_anchor(told[function])})")
                continue
            told[function] = f"{name}.{method}"
            lines += [f"### {name}.{method}\n", f"```python\n{_signature(method, member)}\n```\n"]
            lines.append(f"{_markdown(member.__doc__)}\n")
        if again:
            lines.append(f"Methods shared with others: {', '.join(again)}.\n")
    return "\n".join(lines)


PAGES = {"commands.md": command_page, "python.md": python_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (FOLDER / file).write_text(page(), encoding="utf-8")
