"""Whole jobs over files: batches from sources, past a normalizer, to sinks.

The room imports all below it, and neither engines nor the command line import more than its door. Begin with
`fit`, `transform` and `run`.
"""

from streamnorm.jobs.count import count
from streamnorm.jobs.fit import fit
from streamnorm.jobs.forget import forget
from streamnorm.jobs.journal import Journal
from streamnorm.jobs.ledger import covered, options_of, record_of
from streamnorm.jobs.outputs import check_state_path, outputs_of
from streamnorm.jobs.reading import fit_state
from streamnorm.jobs.schema import check_columns, nothing_of
from streamnorm.jobs.suggest import recipe_for
from streamnorm.jobs.transform import check_inputs, map_files, transform, write_outputs
from streamnorm.jobs.verify import verify
from streamnorm.jobs.work import (
    map_batch,
    mapped_schema,
    nothing,
    summarise,
    summarise_units,
    table_of,
    together,
    worker_table,
)

__all__ = [
    "Journal",
    "check_columns",
    "check_inputs",
    "check_state_path",
    "count",
    "covered",
    "fit",
    "fit_state",
    "forget",
    "map_batch",
    "map_files",
    "mapped_schema",
    "nothing",
    "nothing_of",
    "options_of",
    "outputs_of",
    "recipe_for",
    "record_of",
    "summarise",
    "summarise_units",
    "table_of",
    "together",
    "transform",
    "verify",
    "worker_table",
    "write_outputs",
]
