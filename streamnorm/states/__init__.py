"""A normalizer on disk, and the record of what it has counted.

The room imports `tables`, `normalizers` and `files`. Begin with `document`, whose docstring is the format.
"""

from streamnorm.states.file import load, read, save, state_of, write
from streamnorm.states.holding import Held, holding
from streamnorm.states.parts import Parts
from streamnorm.states.state import Counted, State

__all__ = ["Counted", "Held", "Parts", "State", "holding", "load", "read", "save", "state_of", "write"]
