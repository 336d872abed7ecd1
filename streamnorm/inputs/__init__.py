"""What a user names, as sources: paths, folders, globs, object stores, standard input.

The room imports `errors`, `files` and `formats`. Begin with `expand`.
"""

from streamnorm.inputs.expand import data_below, expand, is_data, is_one_file

__all__ = ["data_below", "expand", "is_data", "is_one_file"]
