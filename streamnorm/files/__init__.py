"""Bytes and their places: what is read and replaced, locked and stamped.

The room imports `errors` alone; it knows no format. Begin with `places`, which says where a file can lie, and
`atomic`, by which every output takes its name.
"""

from streamnorm.files.atomic import beside, refuse_existing, replacing, sweep
from streamnorm.files.locks import claim, folder_locked, identity, identity_of, lock
from streamnorm.files.places import (
    CHUNK_BYTES,
    STDIN,
    Links,
    Place,
    Remote,
    Spooled,
    is_elsewhere,
    location_of,
    naming,
    open_input,
)
from streamnorm.files.stamps import Stamp, check_unchanged, stamp

__all__ = [
    "CHUNK_BYTES",
    "STDIN",
    "Links",
    "Place",
    "Remote",
    "Spooled",
    "Stamp",
    "beside",
    "check_unchanged",
    "claim",
    "folder_locked",
    "identity",
    "identity_of",
    "is_elsewhere",
    "location_of",
    "lock",
    "naming",
    "open_input",
    "refuse_existing",
    "replacing",
    "stamp",
    "sweep",
]
