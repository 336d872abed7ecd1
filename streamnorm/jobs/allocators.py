"""Memory that allocators keep: what one thread freed is of no use to another, and many keys leave much of it."""

from __future__ import annotations

import pyarrow as pa

from streamnorm import kernel
from streamnorm.tables import Learnt

__all__ = ["give_back"]

#: Keys from which on memory is given back, 5 MB a column: the system then clears pages anew, for a tenth of the time.
_MANY_KEYS = 100_000


def give_back(learnt: Learnt | None) -> None:
    """Give memory back to the system after work on statistics of many keys."""
    keyed = None if learnt is None else learnt.keyed
    if keyed is not None and keyed.size >= _MANY_KEYS:
        kernel.trim()
        pa.default_memory_pool().release_unused()
