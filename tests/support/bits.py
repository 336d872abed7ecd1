"""Comparing numbers as bits."""

from __future__ import annotations

import numpy as np


def assert_same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    """Compare as bits, so that zeros have signs; NaN is NaN whatever its bits."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    differ = (found.view(f"u{found.itemsize}") != wanted.view(f"u{found.itemsize}")) & ~(
        np.isnan(found) & np.isnan(wanted)
    )
    assert not differ.any(), (np.argwhere(differ)[:3], found[differ][:3], wanted[differ][:3])
