"""Small files that stand for gigabytes: read in bounded memory, or refused before they are unpacked."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import Case, check, written

import streamnorm as sn
from streamnorm.errors import SourceError
from streamnorm.formats import limits as batches

#: The peak is the process' own: getrusage's would be that of the tests, which started it, where theirs is greater.
CODE = """
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
#: What stands at the end of an Arrow stream.
END = b"\xff\xff\xff\xff\0\0\0\0"


def run(*words: object, given: Path | None = None) -> tuple[int, list[str], int]:
    """Run a command in a process of its own; give its exit code, its words and its peak of memory in MiB."""
    with open(given or os.devnull, "rb") as file:  # noqa: PTH123 (or the null device)
        done = subprocess.run(
            [sys.executable, "-c", CODE, *map(str, words), "--quiet", "--threads", "2"],
            stdin=file, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1],
        )  # fmt: skip
    *said, peak = done.stderr.splitlines()
    return done.returncode, said, int(peak)


def same(bytes_: int) -> pa.Table:
    """Two columns of zeros, which take no memory until they are written to."""
    return pa.table({"x": np.zeros(bytes_ // 16), "y": np.zeros(bytes_ // 16)})


def long_texts(bytes_: int) -> pa.Table:
    """A dictionary of two long texts."""
    offsets = np.array([0, bytes_ // 2, bytes_ // 2 * 2], np.int32)
    texts = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(np.zeros(bytes_, "b"))])
    return pa.table({"x": [1.0, 3.0], "t": pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), texts)})


BOMBS = {"batch": (same, "record batch 0"), "dictionary": (long_texts, "its dictionaries")}


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("kind", ["arrow", "arrows"])
@pytest.mark.parametrize("what", BOMBS)
def test_a_batch_that_would_unpack_to_much_is_refused(what, kind, compression, tmp_path, capsys):
    make, words = BOMBS[what]
    data = written(make(150 << 20), kind, compression=compression)
    check(Case(data, [words, "unpack", "smaller batches"], kind=kind), tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrow", "arrows"])
@pytest.mark.parametrize("what", BOMBS)
def test_an_arrow_bomb_costs_no_memory(what, kind, tmp_path):
    bomb, out = tmp_path / f"bomb.{kind}", tmp_path / f"out.{kind}"
    make, words = BOMBS[what]
    bomb.write_bytes(written(make(800 << 20), kind, compression="zstd"))
    assert bomb.stat().st_size < 100_000
    sn.save(sn.TableNormalizer().fit(pa.table({"x": [1.0, 2.0]})), tmp_path / "state.json")
    before = sorted(tmp_path.iterdir())
    for command in (
        ("fit", bomb, "--state", tmp_path / "s.json"),
        ("transform", tmp_path / "state.json", bomb, "--output", out),
        ("run", bomb, "--output", out),
        ("run", "-", "--output", out),
    ):
        code, said, peak = run(*command, given=bomb)
        assert (code, len(said)) == (1, 1)
        assert words in said[0]
        assert peak < 200  # MiB; 80 where this was written
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("out", ["out.arrow", "out.parquet", "out.csv"])
def test_batches_just_small_enough_cost_bounded_memory(out, tmp_path):
    source = tmp_path / "in.arrow"
    table = pa.table({"x": np.zeros(15 << 20)})  # 120 MiB
    with pa.ipc.new_file(source, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for _ in range(4):
            writer.write_table(table)
    code, said, peak = run("run", source, "--output", tmp_path / out)
    assert (code, said) == (0, [])
    assert peak < 800  # MiB; 450 to 600 where this was written


def test_what_a_batch_may_unpack_to_depends_on_its_bytes_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST", 100_000)
    path, rows = tmp_path / "in.arrow", 1_000_000
    sparse = np.where(np.arange(rows) % 101, 0, np.random.default_rng(0).integers(0, 1 << 40, rows))
    for values, is_read in ((np.zeros(10_000), True), (sparse, True), (np.zeros(rows), False)):
        path.write_bytes(written(pa.table({"x": values}), "arrow", compression="zstd"))
        if is_read:
            assert sn.fit(path) == sn.TableNormalizer().fit(pa.table({"x": values}))
        else:
            with pytest.raises(SourceError, match=r"record batch 0 would unpack from [0-9]+ bytes to 8000000;"):
                sn.fit(path)


def test_columns_that_lie_at_one_place_are_no_way_round(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST", 100_000)
    columns = 250
    data = written(pa.table({f"x{i}": np.arange(1000.0) for i in range(columns)}), "arrows")
    for i in range(columns):  # the places of which nulls there are and of the values
        data = data.replace(struct.pack("<4q", 8000 * i, 0, 8000 * i, 8000), struct.pack("<4q", 0, 0, 0, 8000))
    body = struct.pack("<q", 8000 * columns), struct.pack("<q", 8000)
    data = data.replace(*body)[: -len(END) - 8000 * (columns - 1)] + END
    with pa.ipc.open_stream(data) as stream:
        assert stream.read_all().column("x249").to_pylist() == list(range(1000))
    (tmp_path / "in.arrows").write_bytes(data)
    with pytest.raises(SourceError, match="record batch 0 would unpack from 8000 bytes to 2000000;"):
        sn.fit(tmp_path / "in.arrows")


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["rows", "one line"])
def test_a_gzip_bomb_costs_bounded_memory(inside, tmp_path):
    source = tmp_path / "bomb.csv.gz"
    with gzip.open(source, "wb", compresslevel=1) as file:
        file.write(b"x,t\n")
        for _ in range(500):
            file.write((b"1," + b"a" * 997 + b"\n") * 1000 if inside == "rows" else b"a" * 1_000_000)
    for command in (
        ("fit", source, "--state", tmp_path / "s.json"),
        ("run", source, "--output", tmp_path / "o.csv.gz"),
    ):
        code, said, peak = run(*command)
        assert code == (0 if inside == "rows" else 1), said
        assert [line.startswith(f"error: {source}") for line in said] == ([] if inside == "rows" else [True])
        assert peak < 400  # MiB; 150 and 250 where this was written


@pytest.mark.slow
def test_texts_that_lie_at_one_place_cost_bounded_memory(tmp_path):
    """Eight gigabytes of text, in ten megabytes."""
    long, short = struct.pack("<i4sii", 10_000_000, b"long", 0, 0), struct.pack("<i12s", 5, b"short")
    texts = pa.Array.from_buffers(
        pa.string_view(), 1600, [None, pa.py_buffer((long + short) * 800), pa.py_buffer(b"long" * 2_500_000)]
    )
    (tmp_path / "in.arrow").write_bytes(written(pa.table({"x": np.arange(1600.0), "t": texts}), "arrow"))
    code, said, peak = run("run", tmp_path / "in.arrow", "--output", tmp_path / "out.parquet")
    assert (code, said) == (0, [])
    assert peak < 900  # MiB; 290 where this was written, and 5,700 before the batch was cut


#: Writing all values of a column into one page.
ONE_PAGE = {"use_dictionary": False, "compression": "zstd", "data_page_size": 1 << 30, "max_rows_per_page": 1 << 30}


def test_a_page_that_would_unpack_to_much_is_refused(tmp_path, capsys):
    data = written(same(300 << 20), batch=1 << 30, write_batch_size=1 << 30, **ONE_PAGE)
    check(Case(data, ["pages of row group 0", "unpack", "smaller pages"], kind="parquet"), tmp_path, capsys)


def test_only_the_pages_of_columns_that_are_read_count(tmp_path):
    table = same(150 << 20).append_column("z", pa.nulls(75 << 17, pa.int32()))
    source = tmp_path / "in.parquet"
    source.write_bytes(written(table, batch=1 << 30, write_batch_size=1 << 30, **ONE_PAGE))
    with pytest.warns(UserWarning, match="no value"):
        fitted = sn.fit(source, sn.TableNormalizer(columns={"z": "standard"}, default=None))
        fitted.transform(table.slice(0, 1))
    assert fitted.learnt.groups[0].summary.counts.table[0, 1] == table.num_rows


def test_a_dictionary_that_would_unpack_to_much_is_refused(tmp_path):
    source = tmp_path / "in.parquet"
    texts = pa.table({"x": [1.0, 3.0], "t": pa.array(["a" * (75 << 20), "b" * (75 << 20)])})
    source.write_bytes(written(texts, compression="zstd", dictionary_pagesize_limit=1 << 30, write_statistics=False))
    with pytest.raises(SourceError, match="row group 0 would unpack"):
        sn.transform(sn.fit(source), source, tmp_path / "out.arrow")
    sn.transform(sn.fit(source), source, tmp_path / "out.parquet")  # what is not normalised is not unpacked
    assert (tmp_path / "out.parquet").stat().st_size < 2 * source.stat().st_size


def test_many_small_pages_may_unpack_to_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "LARGEST", 1_000_000)
    table = pa.table({"x": np.zeros(1_000_000), "t": pa.array(["text"] * 1_000_000)})
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    source.write_bytes(written(table, use_dictionary=False, compression="zstd", data_page_size=1 << 17))
    assert pq.read_metadata(source).row_group(0).total_byte_size > 2 * batches.MOST * source.stat().st_size
    sn.transform(sn.fit(source), source, out)
    assert pq.read_table(out).column("t").combine_chunks() == table.column("t").combine_chunks()


@pytest.mark.slow
@pytest.mark.parametrize(("compression", "out"), [("none", "o.parquet"), ("snappy", "o.arrow"), ("zstd", "o.csv"),
                                                  ("lz4", "o.parquet")])  # fmt: skip
def test_a_long_text_that_is_repeated_costs_bounded_memory(compression, out, tmp_path):
    """Two gigabytes of text, in whatever a dictionary has of it."""
    texts = pa.array(["short", "long" * 2_500_000])
    table = pa.table({"x": np.arange(400.0), "t": pa.DictionaryArray.from_arrays(pa.array([0, 1] * 200), texts)})
    pq.write_table(table, tmp_path / "in.parquet", store_schema=False, compression=compression)
    code, said, peak = run("run", tmp_path / "in.parquet", "--output", tmp_path / out)
    assert (code, said) == (0, [])
    assert peak < 900  # MiB; 5,000 where a batch had as many rows as always


@pytest.mark.slow
def test_texts_that_begin_alike_cost_bounded_memory(tmp_path):
    """Two gigabytes of text, of which a page has only what is new."""
    table = pa.table({"x": np.arange(2000.0), "t": pa.array(["long" * 250_000] * 2000, pa.large_string())})
    how = {"use_dictionary": False, "column_encoding": {"t": "DELTA_BYTE_ARRAY"}, "store_schema": False}
    pq.write_table(table, tmp_path / "in.parquet", compression="zstd", **how)
    assert (tmp_path / "in.parquet").stat().st_size < 100_000
    code, said, peak = run("run", tmp_path / "in.parquet", "--output", tmp_path / "out.parquet")
    assert (code, said) == (0, [])
    assert peak < 1500  # MiB; 1,100 where this was written, and 4,000 where a batch had as many rows as always


@pytest.mark.slow
def test_a_parquet_bomb_costs_bounded_memory(tmp_path):
    """Three gigabytes of text, which a dictionary makes some kilobytes, pass through."""
    texts = pa.array([letter * 10_000 for letter in "abcdefg"])
    places = pa.array([row % 7 for row in range(300_000)], pa.int32())
    table = pa.table({"x": [1.0] * 300_000, "t": pa.DictionaryArray.from_arrays(places, texts)})
    pq.write_table(table, tmp_path / "bomb.parquet", store_schema=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 20_000
    code, said, peak = run("run", tmp_path / "bomb.parquet", "--output", tmp_path / "out.parquet")
    assert (code, said) == (0, [])
    assert peak < 900  # MiB; 580 where this was written
    assert pq.read_table(tmp_path / "out.parquet", columns=["x"]).num_rows == 300_000
