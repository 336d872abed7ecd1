"""The record of a table: read as it was written, and refused where no table is like that."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from streamnorm.errors import StateError
from streamnorm.states.document import from_json, signed, to_json
from streamnorm.states.state import Counted, State
from streamnorm.states.tracked import Share, Tracked
from streamnorm.tables import Table

ONE = Share((("a.parquet", 3),), ("0" * 32 + "-" + "1" * 16,))
TOGETHER = Share((("b.parquet#12", 0), ("c.parquet", 7)), ("2" * 32 + "-" + "3" * 16, "4" * 32 + "-" + "5" * 16))


def state(*shares: Share) -> State:
    tracked = Tracked("an id", 41, (("x", "col-1"),), shares)
    entry = Counted("sales", 100, 10, "f" * 32, table=tracked)
    return State(Table().fit(pa.table({"x": [1.0, 2.0]})), (entry,))


@pytest.mark.parametrize("shares", [(), (ONE,), (TOGETHER,), (ONE, TOGETHER)])
def test_a_record_is_read_as_it_was_written(shares):
    written = state(*shares)
    read = from_json(to_json(written))
    assert read == written
    assert json.loads(to_json(written))["version"] == 4
    assert read.sources[0].part_names == tuple(part for share in shares for part in share.parts)
    assert read.sources[0].table.files == sum(len(share.files) for share in shares)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", -1), ("version", "41"), ("id", 7), ("files", ["a", "b"]), ("files", [1]), ("rows", [-3]),
        ("rows", [True]), ("rows", None), ("parts", [None]), ("columns", {"x": 1}), ("columns", ["x"]),
        ("together", [{"files": ["a"], "rows": [], "parts": []}]), ("together", [7]),
    ],
)  # fmt: skip
def test_what_no_table_is_like_is_refused(name, value):
    document = json.loads(to_json(state(ONE)))
    document["sources"][0]["table"][name] = value
    content = {key: item for key, item in document.items() if key not in ("format", "version", "checksum")}
    with pytest.raises(StateError, match="cannot be read"):
        from_json(signed(content, version=4), "s.json")


def test_a_record_of_many_files_is_read_and_written_in_time_that_is_linear():
    """Bytes, which unlike seconds are the same on every machine: some ninety for a file."""
    few, many = (
        len(to_json(state(*(Share(((f"part-{i:08}.parquet", 1),), (f"{i:032x}-{i:016x}",)) for i in range(count)))))
        for count in (1000, 10_000)
    )
    assert (many - few) / 9000 < 130
