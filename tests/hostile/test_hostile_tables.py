"""Hostile Parquet files, and tables, numbers and paths: refused in one line, or read for exactly what is there."""

from __future__ import annotations

import os
import pickle
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import KINDS, Case, check, contents, failure, written
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError

NAN = float("nan")
GOOD = pa.table({"x": [1.0, 3.0], "t": ["a", "b"]})


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def refused(data: bytes, *words: str, fits: bool = False) -> Case:
    return Case(data, words or ("cannot be read", "restore"), kind="parquet", fits=fits)


def columns(*names: str) -> pa.Table:
    return pa.table([pa.array([1.0, 3.0])] * len(names), names=list(names))


def with_checksum_broken() -> bytes:
    table = pa.table({"x": np.arange(1000.0)})
    data = written(table, write_page_checksum=True, compression="none", use_dictionary=False)
    return changed(data, data.index(struct.pack("<d", 500.0)), struct.pack("<d", 501.0))


def with_text_that_is_none() -> bytes:
    data = written(pa.table({"x": [1.0, 3.0], "t": ["a", "b~"]}), compression="none", write_statistics=False)
    return data.replace(b"b~", b"b\xff")


PARQUET = {
    "zero bytes": refused(b""),
    "magic only": refused(b"PAR1"),
    "magic twice": refused(b"PAR1PAR1"),
    "cut in the middle": refused(written(GOOD)[: len(written(GOOD)) // 2]),
    "cut by a byte": refused(written(GOOD)[:-1]),
    "beginning cut off": refused(written(GOOD)[10:]),
    "huge footer": refused(changed(written(GOOD), len(written(GOOD)) - 8, b"\xff\xff\xff\x7f")),
    "negative footer": refused(changed(written(GOOD), len(written(GOOD)) - 8, b"\xff\xff\xff\xff")),
    "footer of nothing": refused(changed(written(GOOD), len(written(GOOD)) - 8, b"\0\0\0\0")),
    "footer of zeros": refused(b"PAR1" + b"\0" * 100 + struct.pack("<i", 100) + b"PAR1"),
    "bad page checksum": refused(with_checksum_broken(), "CRC", "restore"),
    "encrypted footer": refused(written(GOOD)[:-4] + b"PARE"),
    "CSV called Parquet": refused(b"x,t\n1,a\n" * 10),
    "Arrow called Parquet": refused(written(GOOD, "arrow")),
}


def named(*names: str) -> tuple[pa.Table, dict[str, list[float]]]:
    return columns(*names), {name: [1.0, 3.0] for name in names}


def beside(column: pa.Array) -> tuple[pa.Table, dict[str, list[float]]]:
    """A column that is not normalised."""
    return GOOD.append_column("n", column), {"x": [1.0, 3.0]}


def numbers(
    values: object, kind: pa.DataType, expected: list[object] | None = None
) -> tuple[pa.Table, dict[str, list[object]]]:
    array = pa.array(values, kind)
    return pa.table({"x": array}), {"x": expected or array.to_pylist()}


class Evil:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def with_pickle_inside() -> tuple[pa.Table, dict[str, list[float]]]:
    metadata = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Evil())}
    field = pa.field("x", pa.float64(), metadata=metadata)
    return pa.table([pa.array([1.0, 3.0])], schema=pa.schema([field])), {"x": [1.0, 3.0]}


#: Tables, with the columns that are normalised and their values.
READ = {
    "dots in a name": named("a.b", "a"),
    "empty name": named("", "x"),
    "path as a name": named("../x"),
    "line end in a name": named("a\nb"),
    "terminal code in a name": named("\x1b[31m"),
    "pickle in an extension type": with_pickle_inside(),
    "null type": (beside(pa.nulls(2))[0], {"x": [1.0, 3.0], "n": [None, None]}),
    "text that is all null": beside(pa.nulls(2, pa.string())),
    "nested": beside(pa.array([{"a": [1, 2]}, None])),
    "dictionary": beside(pa.array(["p", None]).dictionary_encode()),
    "large string": beside(pa.array(["p", None], pa.large_string())),
    "texts that are views": beside(pa.array(["p" * 20, None], pa.string_view())),
    "binary": beside(pa.array([b"\xff\0", None])),
    "no rows": (GOOD.slice(0, 0), {"x": []}),
    "1e308": numbers([1e308, -1e308, 1e308], pa.float64()),
    "subnormals": numbers([5e-324, 1e-310, 0.0], pa.float64()),
    "minus zero": numbers([-0.0, 0.0, 1.0], pa.float64()),
    "all null": numbers([None, None], pa.float64()),
    "all NaN": (pa.table({"x": [NAN, NAN]}), {"x": [NAN, NAN]}),
    "near constant": numbers([1e9, 1e9, np.nextafter(1e9, 2e9)], pa.float64()),
    "one row": numbers([7.0], pa.float64()),
    "int8": numbers([127] * 300 + [-128], pa.int8()),
    "int16": numbers([32767] * 300 + [-32768], pa.int16()),
    "float16": numbers(np.array([65504, -65504] * 300, np.float16), pa.float16(), [65504.0, -65504.0] * 300),
    "int64": numbers([2**63 - 1, -(2**63), 2**53 + 1], pa.int64()),
    "decimals": numbers(
        [Decimal("0.10"), Decimal("-99999999999999999.99"), None], pa.decimal128(38, 2), [0.1, -1e17, None]
    ),
    "uint64": numbers([2**64 - 1, 2**64 - 1, 0], pa.uint64()),
}
ROWS = pa.table({"x": np.arange(2000.0)})

#: Tables, and what is said of them.
REFUSED = {
    "duplicate names": (columns("x", "x"), ["'x'"]),
    "no column": (pa.table({}), ["no column"]),
    "text alone": (pa.table({"t": ["a"]}), ["no column"]),
    "infinity": (pa.table({"x": [1.0, float("inf")]}), ["infinity", "'x'", "row 2"]),
    "minus infinity late": (pa.table({"x": [1.0] * 100_000 + [-float("inf")]}), ["infinity", "'x'", "row 100001"]),
}


@pytest.mark.parametrize("name", PARQUET)
def test_hostile_parquet(name, tmp_path, capsys):
    check(PARQUET[name], tmp_path, capsys)


def test_text_that_is_none_is_copied_and_not_made_text_of(tmp_path):
    source = tmp_path / "in.parquet"
    source.write_bytes(with_text_that_is_none())
    normalizer = sn.fit(source)
    with pytest.raises(DataError, match=r"in\.parquet: column 't', row 2: the text is no UTF-8"):
        sn.transform(normalizer, source, tmp_path / "out.csv")
    sn.transform(normalizer, source, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").column("t").cast(pa.binary()).to_pylist() == [b"a", b"b\xff"]


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READ)
def test_tables(name, kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, expected = READ[name]
    check(Case(written(table, kind), numbers=expected, kind=kind), tmp_path, capsys)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_are_refused(name, kind, tmp_path, capsys):
    table, words = REFUSED[name]
    check(Case(written(table, kind, 777), words, kind=kind), tmp_path, capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_one_row(kind, tmp_path, capsys):
    check(Case(written(ROWS, kind, 1), numbers={"x": ROWS["x"].to_pylist()}, kind=kind), tmp_path, capsys)


@pytest.fixture(params=["run", "transform"])
def job(request, tmp_path):
    """The words of a command that writes an output."""
    if request.param == "run":
        return ("run",)
    sn.save(sn.TableNormalizer().fit(GOOD), tmp_path / "state.json")
    return ("transform", tmp_path / "state.json")


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_output_that_is_the_input(link, job, tmp_path, capsys):
    source = tmp_path / "in.parquet"
    source.write_bytes(written(GOOD))
    out = source if link == "itself" else tmp_path / "out.parquet"
    if link == "symbolic":
        out.symlink_to(source)
    elif link == "hard":
        out.hardlink_to(source)
    before = contents(tmp_path)
    assert f"{out} is an input" in failure(streamnorm(capsys, *job, source, "--output", out, "--overwrite"))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("link", ["itself", "symbolic"])
def test_a_state_that_is_the_input(link, tmp_path, capsys):
    source = tmp_path / "in.parquet"
    source.write_bytes(written(GOOD))
    state = source if link == "itself" else tmp_path / "state.json"
    if link == "symbolic":
        state.symlink_to(source)
    before = contents(tmp_path)
    fits = [("fit", word) for word in ("--update", "--rebuild", "--overwrite")]
    for words in (*fits, ("run", "--overwrite", "--output", tmp_path / "out.parquet")):
        assert state.name in failure(streamnorm(capsys, *words, source, "--state", state))
        assert contents(tmp_path) == before


def test_output_where_a_file_is_no_folder(job, tmp_path, capsys):
    (tmp_path / "in.parquet").write_bytes(written(GOOD))
    (tmp_path / "file").write_text("precious")
    before = contents(tmp_path)
    failure(streamnorm(capsys, *job, tmp_path / "in.parquet", "--output", tmp_path / "file" / "out.parquet"))
    assert contents(tmp_path) == before
