"""Packages that an export needs and an installation may lack."""

from __future__ import annotations

import importlib
from typing import Any

from streamnorm.errors import OutputError

__all__ = ["need"]


def need(module: str, how: str) -> Any:
    """Import a module, or say how to get it.

    Raises
    ------
    OutputError
        If it cannot be imported.

    Examples
    --------
    >>> need("no_such_package", "pip install 'streamnorm[export]'")
    Traceback (most recent call last):
    streamnorm.errors.OutputError: this export needs no_such_package, which cannot be imported (No module named
    'no_such_package'): pip install 'streamnorm[export]'.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise OutputError(f"this export needs {name}, which cannot be imported ({error}): {how}.") from None
