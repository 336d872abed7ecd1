"""Bytes and their places: what is read and replaced, locked and stamped.

The room imports `errors` and `once`; it knows no format. Begin with `places`, which says where a file can lie, and
`atomic`, by which every output takes its name.
"""

from streamnorm.files.answers import patiently, said_of
from streamnorm.files.atomic import (
    beside,
    entries,
    mark_of,
    refuse_existing,
    replace,
    replace_version,
    replacing,
    sweep,
)
from streamnorm.files.locks import Identity, claim, folder_alone, identity, identity_of, lock, time_of
from streamnorm.files.places import (
    CHUNK_BYTES,
    STDIN,
    Draft,
    Links,
    Place,
    Spooled,
    Target,
    is_elsewhere,
    location_of,
    naming,
    open_input,
    open_output,
    place_of,
)
from streamnorm.files.stamps import Stamp, check_unchanged, stamp
from streamnorm.files.stores import Remote, Store, as_uri

__all__ = [
    "CHUNK_BYTES",
    "STDIN",
    "Draft",
    "Identity",
    "Links",
    "Place",
    "Remote",
    "Spooled",
    "Stamp",
    "Store",
    "Target",
    "as_uri",
    "beside",
    "check_unchanged",
    "claim",
    "entries",
    "folder_alone",
    "identity",
    "identity_of",
    "is_elsewhere",
    "location_of",
    "lock",
    "mark_of",
    "naming",
    "open_input",
    "open_output",
    "patiently",
    "place_of",
    "refuse_existing",
    "replace",
    "replace_version",
    "replacing",
    "said_of",
    "stamp",
    "sweep",
    "time_of",
]
