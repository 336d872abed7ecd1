"""`pyarrow.compute`, imported when a function of it is first used: it takes a tenth of a small job's time."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["compute"]


class _Compute:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("pyarrow.compute"), name)


compute = _Compute()
