"""What writers say of a table's types, in memory and in files: read again by whoever wrote it."""

import json

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.arrow import keys_for

OLD = pa.schema([("a", pa.int64()), ("b", pa.int32()), ("t", pa.string())])
NEW = pa.schema([("a", pa.float64()), ("b", pa.float32()), ("t", pa.string())])

COLUMNS = {
    "int64": np.array([1, 2, 4]),
    "bool": np.array([True, False, True]),
    "float32": np.array([1, 2, 4], np.float32),
    "nullable": pd.array([1, None, 4], "Int64"),
    "nullable bool": pd.array([True, None, False], "boolean"),
    "nullable float": pd.array([1.5, None, 4], "Float32"),
    "arrow": pd.array([1, None, 4], "int64[pyarrow]"),
    "category": pd.Categorical([1, 2, 1]),
    "timedelta": pd.to_timedelta([1, 2, 4], unit="s"),
}
LABELS = {
    "text": ["x", "t"],
    "integers": [0, 1],
    "times": pd.to_datetime(["2024-01-01", "2024-01-02"]),
    "levels": pd.MultiIndex.from_tuples([("x", 1), ("t", 2)]),
}


def frame_of(values, labels=("x", "t")):
    frame = pd.DataFrame({"x": values, "t": ["a", "b", "c"]}, index=pd.Index([5, 6, 7], name="key"))
    frame.columns = labels
    return frame


@pytest.mark.filterwarnings("ignore:The 'fastparquet' engine")
@pytest.mark.parametrize("suffix", ["", "_z"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_frame_by_way_of_arrow(kind, suffix, tmp_path):
    frame = frame_of(COLUMNS[kind])
    table = pa.Table.from_pandas(frame)
    normalizer = sn.TableNormalizer(None, {"x": "standard"}, suffix=suffix).fit(table)
    back = normalizer.transform(table).to_pandas()
    wanted = normalizer.transform(frame)
    column = f"x{suffix}"
    assert list(back.columns) == list(wanted.columns)
    assert back.index.equals(frame.index)
    assert back.index.name == "key"
    assert back[column].isna().tolist() == frame["x"].isna().tolist()
    assert back[column].dropna().tolist() == wanted[column].dropna().tolist()
    if not suffix and (kind == "arrow" or kind.startswith("nullable")):
        assert back[column].dtype == wanted[column].dtype
    pq.write_table(table, tmp_path / "in.parquet")
    if kind == "category":
        return  # comes from a file as numbers
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    for engine in [
        "pyarrow",
        *(["fastparquet"] if kind != "arrow" else []),
    ]:  # which cannot read nulls of Arrow's types
        found = pd.read_parquet(tmp_path / "out.parquet", engine=engine)
        assert found[column].dropna().astype(float).tolist() == wanted[column].dropna().tolist()
        assert found.index.tolist() == [5, 6, 7]
    numbers = duckdb.sql(f"select \"{column}\" from '{tmp_path / 'out.parquet'}'").fetchall()
    assert [value for (value,) in numbers if value is not None] == wanted[column].dropna().tolist()
    assert pl.read_parquet(tmp_path / "out.parquet")[column].drop_nulls().to_list() == wanted[column].dropna().tolist()


@pytest.mark.parametrize("suffix", ["", "_z"])
@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_other_kinds(labels, suffix):
    table = pa.Table.from_pandas(frame_of([1, 2, 4], LABELS[labels]))
    normalizer = sn.TableNormalizer(suffix=suffix).fit(table)
    back = normalizer.transform(table).to_pandas()
    if suffix:
        assert list(map(str, back.columns)) == [*table.column_names[:2], f"{table.column_names[0]}_z"]
    else:
        assert list(back.columns) == list(LABELS[labels])
    assert normalizer.inverse_transform(normalizer.transform(table)).to_pandas().iloc[:, 0].tolist() == [1, 2, 4]


def test_a_column_dropped_and_an_index_normalised():
    table = pa.Table.from_pandas(frame_of([1, 2, 4]))
    found = sn.TableNormalizer(columns={"t": "drop", "key": "standard"}).fit_transform(table).to_pandas()
    assert list(found.columns) == ["x"]
    assert found.index.tolist() == [-np.sqrt(1.5), 0, np.sqrt(1.5)]
    found = sn.TableNormalizer(columns={"key": "drop"}).fit_transform(table).to_pandas()
    assert (list(found.columns), found.index.tolist()) == (["x", "t"], [0, 1, 2])


def test_datasets_of_hugging_face(tmp_path):
    rows = {"x": [1, 2, 4], "v": [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]], "t": ["a", "b", "c"]}
    kinds = {"x": datasets.Value("int64"), "v": datasets.List(datasets.Value("float64")), "t": datasets.Value("string")}
    datasets.Dataset.from_dict(rows, features=datasets.Features(kinds)).save_to_disk(tmp_path / "in")
    (path,) = (tmp_path / "in").glob("*.arrow")
    normalizer = sn.fit(path, sn.TableNormalizer(dtype="float32", columns={"v": "standard"}))
    sn.transform(normalizer, path, tmp_path / "out.arrow")
    found = datasets.Dataset.from_file(str(tmp_path / "out.arrow"))
    assert found.features["x"] == datasets.Value("float32")
    assert found.features["v"] == datasets.List(datasets.Value("float32"))
    table = pa.ipc.open_stream(tmp_path / "out.arrow").read_all()
    assert found["x"][:] == table["x"].to_pylist()


AVRO = {"type": "record", "name": "r", "fields": [
    {"name": "a", "type": ["null", "long"], "default": None}, {"name": "b", "type": ["int", "null"], "default": 7},
    {"name": "t", "type": "string"},
]}  # fmt: skip
AVRO_AFTER = {"type": "record", "name": "r", "fields": [
    {"name": "a", "type": ["null", "double"], "default": None}, {"name": "b", "type": ["null", "float"]},
    {"name": "t", "type": "string"},
]}  # fmt: skip


@pytest.mark.parametrize("key", [b"parquet.avro.schema", b"avro.schema"])
def test_the_schema_of_avro(key):
    found = keys_for({key: json.dumps(AVRO).encode()}, OLD, NEW)
    assert json.loads(found[key]) == AVRO_AFTER


KEYS = [
    b"ARROW:schema", b"pandas", b"org.apache.spark.sql.parquet.row.metadata", b"iceberg.schema", b"parquet.avro.schema",
    b"avro.schema", b"huggingface",
]  # fmt: skip
HOSTILE = [
    b"", b"\xff", b"null", b"[]", b"{}", b"3", b'"x"', b"[" * 100_000, b"9" * 10_000, b'{"fields": 3}',
    b'{"fields": [3]}',
    b'{"columns": [{}], "index_columns": 3}', b'{"columns": [{"field_name": "a"}], "index_columns": []}',
    b'{"columns": [{"field_name": ["a"]}], "index_columns": []}', b'{"info": {"features": [3]}}',
    b'{"fields": [{"name": {}}]}', b'{"fields": [{"name": "a", "type": "long", "x": "\\ud800"}]}',
    b'{"fields": [{"name": "a"}]}',
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: str(value[:24]))
def test_hostile_descriptions_stay(key, value):
    found = keys_for({key: value, b"mine": b"1"}, OLD, NEW)
    assert list(found) == [key, b"mine"]
    assert isinstance(found[key], bytes)
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({key: value})
    assert sn.TableNormalizer().fit_transform(table)["a"].to_pylist() == [-1.0, 1.0]


def test_a_type_of_somebody_elses_is_not_said_of_numbers():
    field = pa.field(
        "a", pa.int64(), metadata={"ARROW:extension:name": "my.money", "PARQUET:field_id": "4", "own": "1"}
    )
    table = pa.table([pa.array([1, 2])], schema=pa.schema([field]))
    same = sn.TableNormalizer().fit_transform(table).schema.field("a")
    assert same.metadata == {b"PARQUET:field_id": b"4", b"own": b"1"}
    added = sn.TableNormalizer(suffix="_z").fit_transform(table).schema
    assert added.field("a").metadata == field.metadata
    assert added.field("a_z").metadata == {b"own": b"1"}
