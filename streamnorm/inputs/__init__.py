"""What a user names, as sources: paths, folders, globs, object stores, standard input.

The room imports `errors`, `once`, `arrow`, `files` and `formats`. Begin with `expand`; for tables that
change, whose log says which of their files count, with `changing`.
"""

from streamnorm.inputs.changing import ChangingTable, Commit, Snapshot
from streamnorm.inputs.delta import DeltaLake
from streamnorm.inputs.expand import data_below, expand, is_data, is_one_file
from streamnorm.inputs.tablefile import TableFile, log_path
from streamnorm.inputs.tables import table_named

__all__ = [
    "ChangingTable",
    "Commit",
    "DeltaLake",
    "Snapshot",
    "TableFile",
    "data_below",
    "expand",
    "is_data",
    "is_one_file",
    "log_path",
    "table_named",
]
