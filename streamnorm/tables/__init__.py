"""Whole tables, statistics by key and vectors, without scikit-learn.

The room imports `rules` and what those import. Begin with `table`, whose `summarise` and `map_batch` are the two
halves of every job.
"""

from streamnorm.tables.grouping import By
from streamnorm.tables.keyed import Keyed
from streamnorm.tables.keys import KEY_TYPES, Keys
from streamnorm.tables.statistics import Group, Learnt
from streamnorm.tables.table import Table
from streamnorm.tables.vectors import Vector

__all__ = ["KEY_TYPES", "By", "Group", "Keyed", "Keys", "Learnt", "Table", "Vector"]
