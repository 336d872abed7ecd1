"""Arrow memory and types: containers as batches, batches put together, which types hold numbers.

The room imports `errors` alone; it knows no statistics and no files. Begin with `types`, the table of what each
Arrow type is to a normalizer.
"""

from streamnorm.arrow.arrays import boolean_of, booleans, integers, large_strings, null_of, strings
from streamnorm.arrow.batches import Column, bytes_of, in_large_batches, neighbours, no_rows, with_columns, with_fields
from streamnorm.arrow.compute import compute
from streamnorm.arrow.containers import (
    as_table,
    batch_of,
    batches_of,
    flat,
    held,
    label_name,
    numbers_of,
    schema_of,
    to_batches,
)
from streamnorm.arrow.frames import (
    arrays_of_frame,
    as_output,
    as_pandas,
    frame_of,
    naming_text,
    plain_numbers,
    refuse_no_numbers,
    table_with_nulls,
)
from streamnorm.arrow.given import is_arrow, is_at_hand, is_frame, is_sparse, is_stream, known, library_of, parts_of
from streamnorm.arrow.metadata import field_for, keys_for
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
    "Column",
    "arrays_of_frame",
    "as_output",
    "as_pandas",
    "as_table",
    "batch_of",
    "batches_of",
    "boolean_of",
    "booleans",
    "bytes_of",
    "compute",
    "field_for",
    "flat",
    "frame_of",
    "held",
    "in_large_batches",
    "index_columns",
    "integers",
    "is_arrow",
    "is_at_hand",
    "is_choosable",
    "is_chosen",
    "is_frame",
    "is_numeric",
    "is_sparse",
    "is_stream",
    "keys_for",
    "known",
    "label_name",
    "large_strings",
    "library_of",
    "naming_text",
    "neighbours",
    "no_rows",
    "null_of",
    "numbers_of",
    "parts_of",
    "plain_numbers",
    "readable",
    "refuse_no_numbers",
    "schema_of",
    "strings",
    "table_with_nulls",
    "to_batches",
    "vector_values",
    "widest",
    "with_columns",
    "with_fields",
]
