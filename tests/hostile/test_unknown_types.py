"""Columns of types that pyarrow has no arrays of, or that end the process when it makes some: passed on unread."""

from __future__ import annotations

import ctypes

import pyarrow as pa
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError


class _ArrowSchema(ctypes.Structure):
    """A type as libraries hand it to each other, by the Arrow C data interface."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("format", "name", "metadata")),
        *((name, ctypes.c_int64) for name in ("flags", "n_children")),
        *((name, ctypes.c_void_p) for name in ("children", "dictionary", "release", "private_data")),
    )


@ctypes.CFUNCTYPE(None, ctypes.POINTER(_ArrowSchema))
def _release(schema):
    schema.contents.release = None


def _imported(letters: bytes) -> pa.DataType:
    schema = _ArrowSchema(format=letters, name=b"", flags=2, release=ctypes.cast(_release, ctypes.c_void_p).value)
    return pa.DataType._import_from_c(ctypes.addressof(schema))


MONTHS, DAYS = _imported(b"tiM"), _imported(b"tiD")
NOTHING = pa.sparse_union([])
#: What no array can be made of, and how many rows a batch may have of it.
KINDS = {
    "months": (MONTHS, 3),
    "days and milliseconds": (DAYS, 3),
    "lists of months": (pa.list_(MONTHS), 3),
    "structs of months": (pa.struct([("m", MONTHS)]), 3),
    "a union of nothing": (NOTHING, 0),
    "lists of a union of nothing": (pa.list_(NOTHING), 0),
}


def batch_of(name: str) -> pa.RecordBatch:
    kind, rows = KINDS[name]
    numbers = pa.array([1.0, 2.0, 3.0][:rows], pa.float64())
    if rows:
        unknown = pa.RecordBatch.from_struct_array(pa.nulls(rows, pa.struct([("x", kind)])))
        return unknown.append_column("v", numbers)
    nothing = pa.UnionArray.from_sparse(pa.array([], pa.int8()), [])
    lists = pa.ListArray.from_arrays([0], nothing)
    return pa.record_batch({"x": nothing if kind == NOTHING else lists, "v": numbers})


@pytest.fixture(params=KINDS)
def batch(request):
    return batch_of(request.param)


@pytest.fixture
def normalizer():
    return sn.TableNormalizer(columns={"v": "standard"}, suffix="_z").fit(pa.table({"v": [1.0, 2.0, 3.0]}))


@pytest.mark.parametrize("kind", ["arrow", "arrows"])
@pytest.mark.parametrize("batches", [0, 1, 2])
def test_files_are_normalised_beside_it(batch, kind, batches, tmp_path, capsys):
    with (pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream)(tmp_path / f"in.{kind}", batch.schema) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    (tmp_path / "fit.csv").write_text("v\n1\n2\n3\n")
    state, output = tmp_path / "s.json", tmp_path / f"out.{kind}"
    assert not streamnorm(capsys, "fit", tmp_path / "fit.csv", "--state", state).code
    ended = streamnorm(capsys, "transform", state, tmp_path / f"in.{kind}", "--output", output)
    assert not ended.code, ended.err
    with (pa.ipc.open_file if kind == "arrow" else pa.ipc.open_stream)(output) as reader:
        table = reader.read_all()
    rows = batches * batch.num_rows
    assert table.schema.types == batch.schema.types
    assert table["v"].to_pylist() == [-(1.5**0.5), 0.0, 1.5**0.5][: batch.num_rows] * batches
    expected = pa.Table.from_batches([batch] * batches, batch.schema)
    assert table.num_rows == rows
    assert table.select(["x"]).equals(expected.select(["x"]))


def test_a_fit_of_files_leaves_it_alone(batch, tmp_path, capsys):
    with pa.ipc.new_file(tmp_path / "in.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    ended = streamnorm(capsys, "fit", tmp_path / "in.arrow", "--state", tmp_path / "s.json")
    assert not ended.code, ended.err
    assert list(sn.load(tmp_path / "s.json").learnt.types) == ["v"]


def test_tables_in_memory(batch, normalizer):
    mapped = normalizer.transform(batch)
    assert mapped.schema.names == ["x", "v", "v_z"]
    assert mapped.select(["x", "v"]).equals(batch)
    table = pa.Table.from_batches([batch, batch])
    assert normalizer.transform(table).select(["x", "v"]).equals(table)
    assert normalizer.transform(table[:0]).schema == mapped.schema
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch, batch])
    assert normalizer.transform(reader).read_all().select(["x", "v"]).equals(table)
    assert normalizer.inverse_transform(mapped).schema == batch.schema
    without = sn.TableNormalizer(columns={"x": "drop"}).fit(pa.table({"v": [1.0, 2.0], "x": ["a", "b"]}))
    assert without.transform(batch).schema.names == ["v"]


def test_a_schema_is_mapped_as_batches_are(batch, normalizer):
    assert sn.TableNormalizer().fit(batch) == sn.TableNormalizer().fit(batch.select(["v"]))
    assert normalizer.map_schema(batch.schema) == normalizer.transform(batch).schema


def test_asking_for_it_is_an_error(batch):
    with pytest.raises(DataError, match=r"'x'"):
        sn.TableNormalizer(columns={"x": "standard"}).fit(batch)


@pytest.mark.parametrize("kind", ["arrow", "arrows"])
def test_a_name_that_is_no_text(kind, tmp_path, capsys):
    path = tmp_path / f"in.{kind}"
    table = pa.table({"speed": [1.0, 2.0]})
    with (pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"speed", b"spe\xffd"))
    ended = streamnorm(capsys, "run", path, "--output", tmp_path / f"out.{kind}")
    assert ended.code == 1
    assert ended.err == (
        f"error: {path} has a column whose name is no UTF-8 text: restore the file, or write it again.\n"
    )
