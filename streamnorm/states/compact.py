"""What was learnt of one source, or of several together, as few bytes: its part.

Layout of version 1: the bytes ``SNPT``, the version as two bytes, then, compressed by zlib, the length of a header as
four bytes, the header, which is JSON, and one after the other the arrays that stand in it as ``{"bytes": length}``.
Integers are little-endian. Nothing in a part is executed. Whoever keeps a part keeps its checksum too.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streamnorm.states.keyed import keys_from_json, keys_to_json
from streamnorm.states.tables import rule_from_json, rule_to_json, vector_from_json, vector_to_json
from streamnorm.summaries import Summary, pack_bytes, unpack
from streamnorm.tables import Group, Keyed, Keys, Learnt

__all__ = ["from_bytes", "to_bytes"]

_HEAD = struct.Struct("<4sH")
_LENGTH = struct.Struct("<I")
_MAGIC, _VERSION = b"SNPT", 1


def to_bytes(learnt: Learnt) -> bytes:
    """Write what was learnt.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from streamnorm.tables import Table
    >>> learnt = Table("robust").fit(pa.table({"x": [1.0, 5.0, None]})).learnt
    >>> from_bytes(to_bytes(learnt)) == learnt
    True
    """
    arrays: list[bytes] = []
    content = {
        "groups": [_group_to_json(group) for group in learnt.groups],
        "types": dict(learnt.types),
        "dropped": list(learnt.dropped),
        **({"keys": keys_to_json(learnt.keyed.keys)} if learnt.keyed is not None else {}),
    }
    header = json.dumps(_without_arrays(content, arrays), separators=(",", ":")).encode()
    body = b"".join([_LENGTH.pack(len(header)), header, *arrays])
    return _HEAD.pack(_MAGIC, _VERSION) + zlib.compress(body, level=6)


def from_bytes(data: bytes) -> Learnt:
    """Read what `to_bytes` wrote.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is something else, or of another version.
    """
    magic, version = _HEAD.unpack_from(data) if len(data) >= _HEAD.size else (b"", 0)
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError(f"it is no part of version {_VERSION}")
    try:
        body = zlib.decompress(memoryview(data)[_HEAD.size :])
        (length,) = _LENGTH.unpack_from(body)
        header = json.loads(body[_LENGTH.size : _LENGTH.size + length])
    except (zlib.error, struct.error, RecursionError) as error:
        raise ValueError(str(error)) from None
    arrays = _Arrays(body, _LENGTH.size + length)
    content = arrays.put_back(header)
    keys = keys_from_json(content["keys"]) if "keys" in content else None
    groups = tuple(_group_from_json(group, keys) for group in content["groups"])
    types = {str(name): str(kind) for name, kind in content["types"].items()}
    if not arrays.ended or {name for group in groups for name in group.names} != set(types):
        raise ValueError("it holds more than its columns, or less")
    return Learnt(groups, MappingProxyType(types), tuple(map(str, content["dropped"])))


def _without_arrays(content: Any, arrays: list[bytes]) -> Any:
    """Put the length of each array where it stands, and the arrays into a list."""
    if isinstance(content, dict):
        return {name: _without_arrays(value, arrays) for name, value in content.items()}
    if isinstance(content, list):
        return [_without_arrays(value, arrays) for value in content]
    if isinstance(content, bytes):
        arrays.append(content)
        return {"bytes": len(content)}
    return content


class _Arrays:
    """The arrays behind a header, which are taken one after the other.

    Parameters
    ----------
    body : bytes
    at : int
        Where the first begins.
    """

    def __init__(self, body: bytes, at: int) -> None:
        self._body, self._at = body, at

    @property
    def ended(self) -> bool:
        """Whether all were taken."""
        return self._at == len(self._body)

    def put_back(self, header: Any) -> Any:
        """Undo `_without_arrays`."""
        if isinstance(header, list):
            return [self.put_back(value) for value in header]
        if not isinstance(header, dict):
            return header
        if header.keys() == {"bytes"}:
            start, self._at = self._at, self._at + int(header["bytes"])
            if not start <= self._at <= len(self._body):
                raise ValueError("an array ends behind the last byte")
            return self._body[start : self._at]
        return {name: self.put_back(value) for name, value in header.items()}


def _group_to_json(group: Group) -> dict[str, Any]:
    summary = group.summary
    packed = (
        [pack_bytes(column.take(summary.keys.order)) for column in summary.columns]
        if isinstance(summary, Keyed)
        else pack_bytes(summary)
    )
    vector = {"vector": vector_to_json(group.vector)} if group.vector is not None else {}
    return {"rule": rule_to_json(group.rule), "names": list(group.names), "summary": packed, **vector}


def _group_from_json(data: Mapping[str, Any], keys: Keys | None) -> Group:
    rule, names = rule_from_json(data["rule"]), tuple(map(str, data["names"]))
    vector = vector_from_json(data["vector"]) if "vector" in data else None
    slots = len(names) if vector is None else vector.slots
    if keys is not None:
        columns: list[Summary] = [unpack(rule.summary.empty(len(keys)), packed) for packed in data["summary"]]
        if len(columns) != slots:
            raise ValueError("there are more statistics than columns or elements, or fewer")
        return Group(rule, names, Keyed.make(keys, columns), vector)
    return Group(rule, names, unpack(rule.summary.empty(slots), data["summary"]), vector)
