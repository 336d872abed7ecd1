"""Keys beside a table that describe its types, when columns change."""

from __future__ import annotations

import base64
import json

import pandas as pd
import pyarrow as pa
import pytest

import streamnorm as sn
from streamnorm.arrow import keys_for

OLD = pa.schema([("id", pa.int64()), ("x", pa.int32()), ("v", pa.list_(pa.float32())), ("t", pa.string())])
NEW = pa.schema([("id", pa.int64()), ("x", pa.float64()), ("v", pa.list_(pa.float64())), ("x_z", pa.float32())])


def spark(name: str, kind: object) -> dict:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}


def spark_list(kind: str) -> dict:
    return {"type": "array", "elementType": kind, "containsNull": True}


def iceberg(number: int, name: str, kind: object) -> dict:
    return {"id": number, "name": name, "required": False, "type": kind}


def iceberg_list(kind: str) -> dict:
    return {"type": "list", "element-id": 9, "element": kind, "element-required": False}


T = iceberg(4, "t", "string")
JSON = {
    "org.apache.spark.sql.parquet.row.metadata": (
        [spark("id", "long"), spark("x", "integer"), spark("v", spark_list("float")), spark("t", "string")],
        [spark("id", "long"), spark("x", "double"), spark("v", spark_list("double")), spark("x_z", "float")],
    ),
    "iceberg.schema": (
        [iceberg(1, "id", "long"), iceberg(2, "x", "int"), iceberg(3, "v", iceberg_list("float")), T],
        [iceberg(1, "id", "long"), iceberg(2, "x", "double"), iceberg(3, "v", iceberg_list("double"))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", JSON)
def test_schemas_in_json(key):
    before, after = JSON[key]
    given = {key.encode(): json.dumps({"type": "struct", "fields": before}).encode()}
    found = keys_for(given, OLD, NEW)
    assert json.loads(found[key.encode()]) == {"type": "struct", "fields": after}


def test_what_is_not_understood_stays():
    keys = ["ARROW:schema", "pandas", *JSON]
    given = {b"geo": b"{}", **{key.encode(): value for key in keys for value in (b"\xff", b"[]", b"{}", b"null")}}
    assert keys_for(given, OLD, NEW) == given
    assert keys_for(given, OLD, OLD) == given


def test_the_schema_of_arrow_keeps_what_has_not_changed():
    stored = pa.schema([OLD.field("id").with_metadata({b"a": b"b"}), *list(OLD)[1:]], {b"mine": b"1"})
    found = keys_for({b"ARROW:schema": base64.b64encode(stored.serialize())}, OLD, NEW)
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found[b"ARROW:schema"])))
    assert schema.equals(NEW)
    assert (schema.field("id").metadata, schema.metadata) == ({b"a": b"b"}, {b"mine": b"1"})


@pytest.mark.parametrize("suffix", ["", "_z"])
def test_pandas_reads_what_it_wrote(suffix, tmp_path):
    frame = pd.DataFrame(
        {
            "own": pd.array([1, None, 3], "Int64"), "arrow": pd.array([1, 2, 3], "int64[pyarrow]"), "plain": [1, 2, 4],
            "small": pd.array([1.5, 2.5, None], "Float32"), "t": ["a", "b", "c"],
        },
        index=pd.Index([5, 6, 7], name="key"),
    )  # fmt: skip
    frame.to_parquet(tmp_path / "in.parquet")
    normalizer = sn.TableNormalizer(suffix=suffix).fit(frame)
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found.index.equals(frame.index)
    kinds = {name + suffix: str(found.dtypes[name + suffix]) for name in ("own", "arrow", "plain", "small")}
    new = ("Float64", "double[pyarrow]", "float64", "Float32") if not suffix else ("float64",) * 3 + ("float32",)
    assert tuple(kinds.values()) == new
    assert found["plain" + suffix].tolist() == normalizer.transform(frame)["plain" + suffix].tolist()
