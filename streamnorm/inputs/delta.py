"""Delta Lake tables, by the library deltalake: which files count in a version, and what their columns are called."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from streamnorm.errors import SourceError
from streamnorm.files import Remote, Store, location_of
from streamnorm.formats import CsvOptions
from streamnorm.inputs.changing import ChangingTable, Commit, Snapshot, needing
from streamnorm.inputs.tablefile import TableColumn, TableFile

__all__ = ["DeltaLake"]

#: What a table may ask of its readers.
_UNDERSTOOD = {"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
_MAPPING = "delta.columnMapping."
#: What settings behind the question mark of an S3 address are called by deltalake.
_S3 = {"region": "AWS_REGION", "endpoint_override": "AWS_ENDPOINT_URL"}


class DeltaLake(ChangingTable):
    """A Delta table.

    Parameters
    ----------
    given : str, Path or deltalake.DeltaTable
        Its folder, here or in an object store; or the table itself, whose version then counts.
    """

    kind = "a Delta table"
    remedy = "name a version that there is, or see to the table"

    def __init__(self, given: Any) -> None:
        self._version = None
        self._options: dict[str, str] | None = None
        self._address = str(given)
        if not isinstance(given, (str, Path)):
            self._address, self._version = given.table_uri, given.version()
            self._options = getattr(given, "_storage_options", None)
            parts = urlsplit(self._address)
            if parts.scheme == "file":
                self._address = unquote(parts.path)
        self.location = location_of(self._address).rstrip("/") or self._address
        self.is_fixed = self._version is not None

    @property
    def storage_options(self) -> dict[str, str] | None:
        """What deltalake is told of the store that the table lies in, beside what it takes from the environment."""
        if self._options is None and self._address.startswith("s3://"):
            return _storage_options(self._address)
        return self._options

    def opened(self, version: int | None = None, as_of: str | None = None) -> Any:
        """Give the `deltalake.DeltaTable`.

        Raises
        ------
        SourceError
            If it cannot be opened, or there is no such version.
        """
        try:
            from deltalake import DeltaTable
        except ImportError as error:
            raise needing("deltalake", "delta", error) from None
        version = self._version if version is None and as_of is None else version
        with self._naming():
            table = DeltaTable(self.location, version=version, storage_options=self.storage_options)
            if as_of is not None:
                table.load_as_version(as_of)
        return table

    def snapshot(self, version: int | None = None, as_of: str | None = None) -> Snapshot:
        """Give the newest version, or another one."""
        table = self.opened(version, as_of)
        with self._naming():
            self._check_features(table)
            metadata = table.metadata()
            columns = _columns(table.schema(), metadata.configuration)
            partitioned = list(metadata.partition_columns)
            actions = pa.table(table.get_add_actions(flatten=True))
            gone = self._deleted(table)
        folder = self._folder()
        files = tuple(self._files(folder, actions, columns, partitioned, gone))
        return Snapshot(self.location, folder, str(metadata.id), table.version(), columns, files, tuple(partitioned))

    def _check_features(self, table: Any) -> None:
        protocol = table.protocol()
        unknown = sorted(set(protocol.reader_features or ()) - _UNDERSTOOD)
        if unknown:
            raise SourceError(
                f"{self.location} asks its readers for {', '.join(unknown)}, which streamnorm does not read: drop the "
                "feature, or write the rows as Parquet first."
            )

    def _deleted(self, table: Any) -> dict[str, NDArray[np.int64]]:
        """Give the rows that are deleted, by the decoded path of their file."""
        if "deletionVectors" not in (table.protocol().reader_features or ()):
            return {}
        found = {}
        for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()):
            for path, mask in zip(batch.column(0), batch.column(1), strict=True):
                kept = np.asarray(mask.values.to_numpy(zero_copy_only=False), bool)
                found[_plain_path(str(path))] = np.flatnonzero(~kept).astype(np.int64)
        return found

    def _folder(self) -> Path | Remote:
        if "://" not in self.location:
            return Path(self.location)
        store = Store(self._address)
        return Remote(self.location, store.key, store)

    def _files(
        self, folder: Path | Remote, actions: pa.Table, columns: tuple[TableColumn, ...], partitioned: Sequence[str],
        gone: Mapping[str, NDArray[np.int64]],
    ) -> Iterator[TableFile]:  # fmt: skip
        """Yield the data files.

        Parameters
        ----------
        folder : Path or Remote
            Of the table.
        actions : pyarrow.Table
            What the log says of each file.
        columns : tuple of TableColumn
        partitioned : sequence of str
            Columns whose values stand in the log.
        gone : mapping of str to ndarray of int64
            Rows that are deleted, by the decoded path.
        """
        actions = actions.combine_chunks()
        values = {name: _one_chunk(actions.column(f"partition.{name}")) for name in partitioned if len(actions)}
        sizes = actions.column("num_records").to_pylist() if "num_records" in actions.column_names else None
        lengths = actions.column("size_bytes").to_pylist()
        unseen = dict(gone)
        for i, path in enumerate(actions.column("path").to_pylist()):
            place, relative = _place_of(folder, path)
            deleted = unseen.pop(_plain_path(str(place)), None) if unseen else None
            mark = "" if deleted is None else f"#{xxhash.xxh3_64_hexdigest(deleted.tobytes())}"
            rows = None if sizes is None or sizes[i] is None else sizes[i] - (0 if deleted is None else len(deleted))
            yield TableFile(
                place, relative, CsvOptions(), f"{path}{mark}", columns,
                {name: array.slice(i, 1) for name, array in values.items()},
                None if deleted is None else partial(_itself, deleted), rows, lengths[i],
            )  # fmt: skip
        if unseen:
            raise SourceError(
                f"{self.location} deletes rows of {next(iter(unseen))}, which it does not list: see to it."
            )

    def commits(self, before: int, after: int) -> Sequence[Commit]:
        """Give what the commits behind one version, up to another, changed; nothing where the log of one is gone."""
        found: list[Commit] = []
        folder = self._folder()
        for version in range(before + 1, after + 1):
            place, _ = _place_of(folder, f"_delta_log/{version:020}.json")
            try:
                with place.open("rb") as file:
                    lines = file.read().splitlines()
                found += _commits_of([json.loads(line) for line in lines if line.strip()])
            except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
                return ()  # what is active is known all the same
        return found


def _commits_of(actions: Sequence[Mapping[str, Any]]) -> Iterator[Commit]:
    """Yield what a commit did, in each partition on its own where it only wrote rows anew."""
    removed = [action["remove"] for action in actions if "remove" in action]
    added = [action["add"] for action in actions if "add" in action]
    only_moved = not any(action.get("dataChange", True) for action in (*removed, *added))
    shares: dict[str, tuple[list[str], dict[str, int | None]]] = {}
    for action in removed:
        shares.setdefault(_share(action, only_moved), ([], {}))[0].append(action["path"])
    for action in added:
        shares.setdefault(_share(action, only_moved), ([], {}))[1][action["path"]] = _rows(action)
    for before, after in shares.values():
        yield Commit(tuple(before), after, only_moved)


def _share(action: Mapping[str, Any], only_moved: bool) -> str:
    """Name a partition; all are one where rows may have come from anywhere, or it is not said."""
    values = action.get("partitionValues")
    return json.dumps(values, sort_keys=True) if only_moved and values is not None else ""


def _rows(action: Mapping[str, Any]) -> int | None:
    stats = json.loads(action.get("stats") or "{}")
    rows = stats.get("numRecords")
    return None if rows is None else int(rows) - int((action.get("deletionVector") or {}).get("cardinality", 0))


def _columns(schema: Any, configuration: Mapping[str, str]) -> tuple[TableColumn, ...]:
    """Give the columns of a table, and what they are called in its files."""
    mode = configuration.get(f"{_MAPPING}mode", "none")
    fields = json.loads(schema.to_json())["fields"]
    arrow = pa.schema(schema.to_arrow())
    found = []
    for item, own in zip(arrow, fields, strict=True):
        known = own.get("metadata") or {}
        stored: str | int = item.name
        if mode == "name":
            stored = str(known[f"{_MAPPING}physicalName"])
        elif mode == "id":
            stored = int(known[f"{_MAPPING}id"])
        names = (str(known[f"{_MAPPING}physicalName"]),) if mode == "id" else ()
        found.append(TableColumn(item.remove_metadata(), str(stored), stored, names))
    return tuple(found)


def _place_of(folder: Path | Remote, path: str) -> tuple[Path | Remote, Path]:
    """Find a file by its path in the log, which is a URI, relative or not."""
    plain = unquote(path)
    if isinstance(folder, Remote):
        if "://" in path:
            key = plain.partition("://")[2]
            return Remote(location_of(path), key, folder.store), Path(plain.rpartition("/")[2])
        return folder / plain, Path(plain)
    if re.match("file:|/", path):
        absolute = Path(_plain_path(path) if path.startswith("file:") else plain)
        return absolute, Path(absolute.name)
    return folder / plain, Path(plain)


def _plain_path(path: str) -> str:
    """Give a path on this machine without links and what makes it a URI, and any other address as it is, decoded."""
    if path.startswith("file:"):
        from urllib.request import url2pathname  # imports HTTP and TLS, which takes as long as a small job

        return os.path.realpath(url2pathname(urlsplit(path).path))
    return unquote(path) if "://" in path else os.path.realpath(path)


def _itself(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _storage_options(address: str) -> dict[str, str]:
    """Give the settings of an S3 address as deltalake calls them."""
    parts = urlsplit(address)
    settings = dict(parse_qsl(parts.query))
    options = {_S3[name]: value for name, value in settings.items() if name in _S3}
    scheme = settings.get("scheme", "https")
    if "AWS_ENDPOINT_URL" in options and "://" not in options["AWS_ENDPOINT_URL"]:
        options["AWS_ENDPOINT_URL"] = f"{scheme}://{options['AWS_ENDPOINT_URL']}"
    if scheme == "http" or os.environ.get("AWS_ENDPOINT_URL", "").startswith("http:"):
        options["AWS_ALLOW_HTTP"] = "true"
    if parts.username:
        options |= {
            "AWS_ACCESS_KEY_ID": unquote(parts.username),
            "AWS_SECRET_ACCESS_KEY": unquote(parts.password or ""),
        }
    return options
