"""Hostile Parquet and Arrow files, numbers and paths: refused in one line, or read for exactly what is there."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import Case, check, contents, failure
from shell import streamnorm

NAN = float("nan")
GOOD = pa.table({"x": [1.0, 3.0], "t": ["a", "b"]})


def parquet(table: pa.Table = GOOD, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def arrow(table: pa.Table = GOOD, **options: object) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def found(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def columns(*names: str) -> pa.Table:
    return pa.table([pa.array([1.0, 3.0])] * len(names), names=list(names))


def numbers(values: object, kind: pa.DataType, expected: list[object] | None = None) -> Case:
    array = pa.array(values, kind)
    return Case(parquet(pa.table({"x": array})), numbers={"x": expected or array.to_pylist()}, kind="parquet")


def read(table: pa.Table, *names: str, **options: object) -> Case:
    return Case(parquet(table, **options), numbers={name: [1.0, 3.0] for name in names}, kind="parquet")


def refused(data: bytes, *words: str, kind: str = "parquet") -> Case:
    return Case(data, words or ("cannot be read", "restore"), kind=kind)


def with_checksum_broken() -> bytes:
    data = parquet(
        pa.table({"x": np.arange(1000.0)}), write_page_checksum=True, compression="none", use_dictionary=False
    )
    return changed(data, data.index(struct.pack("<d", 500.0)), struct.pack("<d", 501.0))


def encrypted() -> bytes:
    return parquet()[:-4] + b"PARE"


class Evil:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def with_pickle_inside() -> pa.Table:
    import pickle

    metadata = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Evil())}
    field = pa.field("x", pa.float64(), metadata=metadata)
    return pa.table([pa.array([1.0, 3.0])], schema=pa.schema([field]))


def ipc_bytes_behind(buffers: list[bytes | None], kind: pa.DataType, length: int = 2) -> bytes:
    """A column whose buffers are what nobody would write."""
    array = pa.Array.from_buffers(kind, length, [b if b is None else pa.py_buffer(b) for b in buffers])
    return arrow(pa.table({"x": [1.0, 3.0], "t": array}))


def dictionary_out_of_range() -> bytes:
    indices = pa.array([0, 77], pa.int32())
    array = pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False)
    return arrow(pa.table({"x": [1.0, 3.0], "t": array}))


PARQUET = {
    "zero bytes": refused(b""),
    "magic only": refused(b"PAR1"),
    "magic twice": refused(b"PAR1PAR1"),
    "cut in the middle": refused(parquet()[: len(parquet()) // 2]),
    "cut by a byte": refused(parquet()[:-1]),
    "beginning cut off": refused(parquet()[10:]),
    "huge footer": refused(changed(parquet(), len(parquet()) - 8, b"\xff\xff\xff\x7f")),
    "negative footer": refused(changed(parquet(), len(parquet()) - 8, b"\xff\xff\xff\xff")),
    "footer of nothing": refused(changed(parquet(), len(parquet()) - 8, b"\0\0\0\0")),
    "footer of zeros": refused(b"PAR1" + b"\0" * 100 + struct.pack("<i", 100) + b"PAR1"),
    "bad page checksum": refused(with_checksum_broken(), "CRC", "restore"),
    "encrypted footer": refused(encrypted()),
    "CSV called Parquet": refused(b"x,t\n1,a\n" * 10),
    "Arrow called Parquet": refused(arrow()),
    "duplicate names": refused(parquet(columns("x", "x")), "'x'"),
    "no column": refused(parquet(pa.table({})), "no column"),
    "text alone": refused(parquet(pa.table({"t": ["a"]})), "no column"),
    "infinity": refused(parquet(pa.table({"x": [1.0, float("inf")]})), "infinity", "'x'", "row 2"),
    "minus infinity late": refused(
        parquet(pa.table({"x": [1.0] * 100_000 + [-float("inf")]})), "infinity", "'x'", "row 100001"
    ),
    "dots in a name": read(columns("a.b", "a"), "a.b", "a"),
    "empty name": read(columns("", "x"), "", "x"),
    "path as a name": read(columns("../x"), "../x"),
    "line end in a name": read(columns("a\nb"), "a\nb"),
    "terminal code in a name": read(columns("\x1b[31m"), "\x1b[31m"),
    "pickle in an extension type": read(with_pickle_inside(), "x"),
    "null type": read(GOOD.append_column("n", pa.nulls(2)), "x"),
    "nested": read(GOOD.append_column("n", pa.array([{"a": [1, 2]}, None])), "x"),
    "dictionary": read(GOOD.append_column("n", pa.array(["p", None]).dictionary_encode()), "x"),
    "large string": read(GOOD.append_column("n", pa.array(["p", None], pa.large_string())), "x"),
    "no rows": Case(parquet(GOOD.slice(0, 0)), numbers={"x": []}, kind="parquet"),
    "row groups of one row": Case(
        parquet(pa.table({"x": np.arange(2000.0)}), row_group_size=1), numbers={"x": list(range(2000))}, kind="parquet"
    ),
}

ARROW = {
    "zero bytes": refused(b"", kind="arrow"),
    "magic only": refused(b"ARROW1", kind="arrow"),
    "cut in the middle": refused(arrow()[: len(arrow()) // 2], kind="arrow"),
    "cut by a byte": refused(arrow()[:-1], kind="arrow"),
    "huge footer": refused(changed(arrow(), len(arrow()) - 10, b"\xff\xff\xff\x7f"), kind="arrow"),
    "Parquet called Arrow": refused(parquet(), kind="arrow"),
    "garbage called Feather": refused(bytes(range(256)) * 4, kind="feather"),
    "UTF-8 that is none": refused(
        ipc_bytes_behind([None, struct.pack("<3i", 0, 1, 2), b"\xff\xfe"], pa.string()), kind="arrow"
    ),
    "offsets that fall": refused(
        ipc_bytes_behind([None, struct.pack("<3i", 0, 2, 1), b"ab"], pa.string()), kind="arrow"
    ),
    "offsets beyond the data": refused(
        found(arrow(pa.table({"x": [1.0, 3.0], "t": ["a" * 11, "b" * 13]})), struct.pack("<3i", 0, 11, 24),
              struct.pack("<3i", 0, 11, 2**30)), kind="arrow"
    ),
    "indices beyond the dictionary": refused(dictionary_out_of_range(), kind="arrow"),
    "duplicate names": refused(arrow(columns("x", "x")), "'x'", kind="arrow"),
    "compressed": Case(arrow(compression="zstd"), numbers={"x": [1.0, 3.0]}, kind="arrow"),
    "pickle in an extension type": Case(arrow(with_pickle_inside()), numbers={"x": [1.0, 3.0]}, kind="arrow"),
}  # fmt: skip

NUMBERS = {
    "1e308": numbers([1e308, -1e308, 1e308], pa.float64()),
    "subnormals": numbers([5e-324, 1e-310, 0.0], pa.float64()),
    "minus zero": numbers([-0.0, 0.0, 1.0], pa.float64()),
    "all null": numbers([None, None], pa.float64()),
    "all NaN": Case(parquet(pa.table({"x": [NAN, NAN]})), numbers={"x": [NAN, NAN]}, kind="parquet"),
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


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("name", PARQUET)
def test_hostile_parquet(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(PARQUET[name], tmp_path, capsys)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ARROW)
def test_hostile_arrow(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(ARROW[name], tmp_path, capsys)
    assert not (tmp_path / "executed").exists()


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("name", NUMBERS)
def test_hostile_numbers(name, tmp_path, capsys):
    check(NUMBERS[name], tmp_path, capsys)


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_output_that_is_the_input(link, tmp_path, capsys):
    source = tmp_path / "in.parquet"
    source.write_bytes(parquet())
    out = source if link == "itself" else tmp_path / "out.parquet"
    if link == "symbolic":
        out.symlink_to(source)
    elif link == "hard":
        out.hardlink_to(source)
    before = contents(tmp_path)
    assert f"{out} is an input" in failure(streamnorm(capsys, "run", source, "--output", out, "--overwrite"))
    assert contents(tmp_path) == before


def test_output_where_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "in.parquet").write_bytes(parquet())
    (tmp_path / "file").write_text("precious")
    before = contents(tmp_path)
    failure(streamnorm(capsys, "run", tmp_path / "in.parquet", "--output", tmp_path / "file" / "out.parquet"))
    assert contents(tmp_path) == before


#: The peak is the process' own: getrusage's would be that of the tests, which started it, where theirs is greater.
BOMB = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path("benchmarks").resolve()))
from memory import peak
from streamnorm.cli import main
try:
    main()
finally:
    print(peak() >> 20, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["rows", "one line"])
def test_a_gzip_bomb_costs_bounded_memory(inside, tmp_path):
    import gzip

    source = tmp_path / "bomb.csv.gz"
    with gzip.open(source, "wb", compresslevel=1) as file:
        file.write(b"x,t\n")
        for _ in range(500):
            file.write((b"1," + b"a" * 997 + b"\n") * 1000 if inside == "rows" else b"a" * 1_000_000)
    words = [
        sys.executable,
        "-c",
        BOMB,
        "fit",
        str(source),
        "--state",
        str(tmp_path / "s.json"),
        "--quiet",
        "--threads",
        "2",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parent)
    *said, peak = done.stderr.splitlines()
    assert done.returncode == (0 if inside == "rows" else 1), done.stderr
    assert [line.startswith(f"error: {source}") for line in said] == ([] if inside == "rows" else [True])
    assert int(peak) < 400  # MiB; 150 and 250 where this was written


@pytest.mark.slow
def test_a_parquet_bomb_costs_bounded_memory(tmp_path):
    """Three gigabytes of text, which a dictionary makes some kilobytes, pass through."""
    texts = pa.array([letter * 10_000 for letter in "abcdefg"])
    places = pa.array([row % 7 for row in range(300_000)], pa.int32())
    table = pa.table({"x": [1.0] * 300_000, "t": pa.DictionaryArray.from_arrays(places, texts)})
    pq.write_table(table, tmp_path / "bomb.parquet", store_schema=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 20_000
    words = f"run {tmp_path}/bomb.parquet --output {tmp_path}/out.parquet --quiet --threads 2".split()
    done = subprocess.run(
        [sys.executable, "-c", BOMB, *words], capture_output=True, text=True, timeout=120, cwd=Path(__file__).parent
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) < 900  # MiB; 580 where this was written
    assert pq.read_table(tmp_path / "out.parquet", columns=["x"]).num_rows == 300_000
