"""Arrow memory and types: containers as batches, batches put together, which types hold numbers.

The room imports `errors` alone; it knows no statistics and no files. Begin with `types`, the table of what each
Arrow type is to a normalizer.
"""

from streamnorm.arrow.arrays import boolean_of, booleans, integers, large_strings, null_of, strings
from streamnorm.arrow.batches import bytes_of, in_large_batches, no_rows
from streamnorm.arrow.compute import compute
from streamnorm.arrow.containers import batches_of, check_container, is_arrow, is_stream, parts_of, to_batches
from streamnorm.arrow.frames import arrays_of_frame, as_output, as_pandas, in_seconds, naming_text, table_with_nulls
from streamnorm.arrow.metadata import keys_for
from streamnorm.arrow.types import (
    EXACT,
    index_columns,
    is_choosable,
    is_chosen,
    is_numeric,
    readable,
    vector_values,
    widest,
)

__all__ = [
    "EXACT",
    "arrays_of_frame",
    "as_output",
    "as_pandas",
    "batches_of",
    "boolean_of",
    "booleans",
    "bytes_of",
    "check_container",
    "compute",
    "in_large_batches",
    "in_seconds",
    "index_columns",
    "integers",
    "is_arrow",
    "is_choosable",
    "is_chosen",
    "is_numeric",
    "is_stream",
    "keys_for",
    "large_strings",
    "naming_text",
    "no_rows",
    "null_of",
    "parts_of",
    "readable",
    "strings",
    "table_with_nulls",
    "to_batches",
    "vector_values",
    "widest",
]
