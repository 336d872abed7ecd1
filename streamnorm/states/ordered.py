"""State files of the normalizers that are no table of rules: those that depend on the order, or map whole rows.

Between the format and the checksum, which `state` writes and checks::

    {"class": "AdaptiveStandardScaler", "parameters": {...}, "named": true,
     "columns": [{"name": ..., "learnt": {...}}],
     "learnt": {...}}

What was learnt of a column stands with it, what is common to all of them at the end. Floats are text.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["HOMES", "WHY", "document_of", "normalizer_of"]

#: The classes that have such states, and where they live; imported when needed, as scikit-learn comes with them.
HOMES = MappingProxyType(
    {
        "AdaptiveStandardScaler": "streamnorm.normalizers.adaptive",
        "BatchNormalizer": "streamnorm.normalizers.batch",
        "Whitener": "streamnorm.normalizers.whitener",
    }
)

#: Why commands and jobs over files cannot use them.
WHY = MappingProxyType(
    {
        **dict.fromkeys(HOMES, "which depends on the order of the rows: commands and jobs over files"),
        "Whitener": "which maps whole rows, not their columns one by one: jobs over files",
    }
)


def document_of(normalizer: Any) -> dict[str, Any]:
    """Describe a fitted normalizer as what JSON holds."""
    slots, common = normalizer.record()
    known = getattr(normalizer, "feature_names_in_", None)
    names = [f"x{i}" for i in range(len(slots))] if known is None else list(known)
    return {
        "class": type(normalizer).__name__,
        "parameters": {name: _plain(value) for name, value in normalizer.get_params(deep=False).items()},
        "named": known is not None,
        "columns": [{"name": name, "learnt": slot} for name, slot in zip(names, slots, strict=True)],
        "learnt": common,
    }


def normalizer_of(document: Mapping[str, Any]) -> Any:
    """Make the normalizer that `document_of` described; ValueError, KeyError or TypeError where it cannot be."""
    kind = document["class"]
    made = getattr(importlib.import_module(HOMES[kind]), kind)(**document["parameters"])
    names = [column["name"] for column in document["columns"]]
    if not names or not all(isinstance(name, str) for name in names) or type(document["named"]) is not bool:
        raise ValueError("there are no columns, or their names are no texts")
    slots = [column["learnt"] for column in document["columns"]]
    return made.restore((slots, document["learnt"]), names if document["named"] else None)


def _plain(value: Any) -> Any:
    """Give a parameter as JSON has it: numbers of any library as int or float, arrays as lists of floats."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else np.asarray(value, np.float64).tolist()
