"""A normalizer on disk, and the record of what it has counted.

The room imports `tables`, `normalizers` and `files`. Begin with `document`, whose docstring is the format,
and `streams`, for states that follow them.
"""

from streamnorm.states.file import dumps, load, loads, read, record_of, save, state_of, write
from streamnorm.states.holding import Held, holding, name_held
from streamnorm.states.parts import Parts
from streamnorm.states.positions import Positions
from streamnorm.states.rows import looked_at
from streamnorm.states.state import Counted, State
from streamnorm.states.streams import Following, following
from streamnorm.states.tracked import Share, Tracked

__all__ = [
    "Counted",
    "Following",
    "Held",
    "Parts",
    "Positions",
    "Share",
    "State",
    "Tracked",
    "dumps",
    "following",
    "holding",
    "load",
    "loads",
    "looked_at",
    "name_held",
    "read",
    "record_of",
    "save",
    "state_of",
    "write",
]
