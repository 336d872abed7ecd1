"""The classes whose states add, by their names."""

from __future__ import annotations

from typing import Any

from streamnorm.normalizers import binning, estimators, power, squashing, table_normalizer, winsorizing

__all__ = ["named"]


def named(name: str) -> Any:
    """Give the class of a name, None where there is none."""
    homes = (binning, estimators, power, squashing, table_normalizer, winsorizing)
    return next((getattr(home, name) for home in homes if name in home.__all__), None)
