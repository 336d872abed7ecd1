"""What `streamnorm --version` says: the version, and which kernel every other command will use."""

from __future__ import annotations

import importlib.util
import os
from importlib.machinery import PathFinder
from pathlib import Path

import click

from streamnorm.version import __version__

__all__ = ["VERSION"]

_KERNEL = Path(__file__).parents[1] / "kernel"


def _instructions() -> str | None:
    """Give the instruction set of the compiled kernel, or None where the Python reference runs.

    The extension is loaded from its file: its package imports NumPy, which takes longer than all else here.
    """
    spec = PathFinder.find_spec("_kernel", [str(_KERNEL)])
    if os.environ.get("STREAMNORM_PURE", "") not in ("", "0") or spec is None or spec.loader is None:
        return None
    try:
        module = importlib.util.module_from_spec(spec)
    except ImportError:  # built for another system, or a damaged file
        return None
    spec.loader.exec_module(module)
    return str(module.instructions())


def _show(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    """Print the line and end the command, where that was asked for.

    Parameters
    ----------
    context : click.Context
        The command line being read; it ends here.
    _option : click.Parameter
        The option itself, which click passes to every callback.
    asked : bool
        Whether the option was given.
    """
    if not asked or context.resilient_parsing:
        return
    found = _instructions()
    kernel = f"kernel in C ({found})" if found else "kernel in Python (the same results, more slowly)"
    click.echo(f"streamnorm {__version__}, {kernel}")
    context.exit()


VERSION = click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show,
    help="Show the version, say which kernel runs, and exit.",
)  # fmt: skip
