"""Whole tables, statistics by key and vectors, without scikit-learn.

The room imports `rules` and what those import. Begin with `table`, whose `summarise` and `map_batch` are the two
halves of every job.
"""

from streamnorm.tables.batch import summarise_chunks, summarise_portions
from streamnorm.tables.by_value import by_value
from streamnorm.tables.grouping import KEYED_BYTES, By
from streamnorm.tables.keyed import Keyed
from streamnorm.tables.keys import KEY_TYPES, Keys
from streamnorm.tables.learning import learning_lock
from streamnorm.tables.statistics import Group, Learnt
from streamnorm.tables.table import Table
from streamnorm.tables.vectors import Vector

__all__ = [
    "KEYED_BYTES",
    "KEY_TYPES",
    "By",
    "Group",
    "Keyed",
    "Keys",
    "Learnt",
    "Table",
    "Vector",
    "by_value",
    "learning_lock",
    "summarise_chunks",
    "summarise_portions",
]
