"""Whole jobs over files: batches from sources, past a normalizer, to sinks.

The room imports all below it, and neither engines nor the command line import more than its door. Begin with
`fit`, `transform` and `run`.
"""

from streamnorm.jobs.arrived import copy_missing
from streamnorm.jobs.copies import check_inputs, map_files
from streamnorm.jobs.count import How, check_new_state, count
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.fit import fit
from streamnorm.jobs.following import check_version_of_table, fit_snapshot, follow
from streamnorm.jobs.forget import forget, forget_keys
from streamnorm.jobs.ledger import Named, options_of
from streamnorm.jobs.merge import merge
from streamnorm.jobs.mirroring import check_mirror, mirror
from streamnorm.jobs.outputs import outputs_of
from streamnorm.jobs.run import run
from streamnorm.jobs.schema import check_columns, decide
from streamnorm.jobs.schema_notes import tell_of_differences, tell_of_lacking
from streamnorm.jobs.suggest import recipe_for
from streamnorm.jobs.text_columns import open_columns, settled
from streamnorm.jobs.transform import files_to_copy, transform, transform_sources
from streamnorm.jobs.verify import verify, verify_table
from streamnorm.jobs.work import (
    map_batch,
    mapped_schema,
    neighbours,
    nothing,
    summarise,
    summarise_units,
    table_of,
    worker_table,
)

__all__ = [
    "Effort",
    "How",
    "Named",
    "check_columns",
    "check_inputs",
    "check_mirror",
    "check_new_state",
    "check_version_of_table",
    "copy_missing",
    "count",
    "decide",
    "files_to_copy",
    "fit",
    "fit_snapshot",
    "follow",
    "forget",
    "forget_keys",
    "map_batch",
    "map_files",
    "mapped_schema",
    "merge",
    "mirror",
    "neighbours",
    "nothing",
    "open_columns",
    "options_of",
    "outputs_of",
    "recipe_for",
    "run",
    "settled",
    "summarise",
    "summarise_units",
    "table_of",
    "tell_of_differences",
    "tell_of_lacking",
    "transform",
    "transform_sources",
    "verify",
    "verify_table",
    "worker_table",
]
