"""What we wrote is read back as it was written or refused, and is the same bytes for any number of threads."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import contents
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import SourceError, StreamnormError
from streamnorm.formats.parquet.layout import Layout
from streamnorm.formats.parquet.tree import I64, read_struct, write_struct


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    numbers = [None if i % 7 == 0 else i for i in range(300)]
    return pa.table({"x": rng.normal(size=300), "n": numbers, "t": [f"t{i % 9}" for i in range(300)]})


def test_a_flipped_bit_in_the_pages_is_no_other_value(table, tmp_path):
    source, written, back = (tmp_path / f"{name}.parquet" for name in ("source", "written", "back"))
    pq.write_table(table, source, write_page_checksum=True)  # those of columns that are copied stay
    normalizer = sn.fit(source)
    sn.transform(normalizer, source, written)
    data, good, values = written.read_bytes(), sn.fit(written), pq.read_table(written)
    (footer,) = struct.unpack("<i", data[-8:-4])
    rng, refused = np.random.default_rng(1), 0
    for at in rng.integers(0, len(data) - 8 - footer, 150).tolist():
        written.write_bytes(data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :])
        try:
            sn.transform(normalizer, written, back, inverse=True, overwrite=True)
        except StreamnormError as error:
            assert str(written) in str(error)
            refused += 1
        else:  # statistics in a page's header, which nothing is read from
            assert sn.fit(written) == good
            assert pq.read_table(written).equals(values)
    assert refused > 130


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_do_not_show_in_states_and_files(threads, table, tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    for day in range(3):
        pq.write_table(table.slice(day), source / f"{day}.parquet", row_group_size=19)
    made = []
    for number in (1, threads):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        words = ["--output", folder / "out", "--state", folder / "state.json", "--threads", number]
        assert streamnorm(capsys, "run", source, *words, "--quiet").code == 0
        (folder / "out" / ".streamnorm.resume").unlink()  # tells when each output was written
        made.append(contents(folder))
    assert len(made[0]) == 4
    assert made[0] == made[1]


def with_footer(data: bytes, change) -> bytes:
    """Change the footer of a Parquet file by its tree."""
    (size,) = struct.unpack("<i", data[-8:-4])
    meta, _ = read_struct(memoryview(data[-8 - size : -8]))
    change(meta)
    footer = write_struct(meta)
    return data[: -8 - size] + footer + struct.pack("<i", len(footer)) + data[-4:]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("state", [None, "s.json"])
def test_a_row_group_of_less_than_no_bytes_takes_none_of_those_behind_it_away(table, tmp_path, threads, state):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=50)
    path.write_bytes(with_footer(path.read_bytes(), lambda meta: meta.get(4).items[0].set(2, I64, -10_000)))
    assert pq.read_table(path).equals(table)
    fitted = sn.fit(path, state=state and tmp_path / state, threads=threads)
    assert fitted == sn.TableNormalizer().fit(table)


@pytest.mark.parametrize("number", [2, 3])
def test_a_row_group_without_its_numbers_is_damage(table, tmp_path, number):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    data = with_footer(path.read_bytes(), lambda meta: meta.get(4).items[0].set(number, I64, None))
    with pytest.raises(ValueError, match="the footer is damaged"):
        Layout.read(pa.BufferReader(data))


def test_checksums_count_behind_a_row_group_without_rows(tmp_path):
    path, half = tmp_path / "a.parquet", pa.array(np.arange(40).astype(np.float16))
    schema = pa.schema({"x": pa.float16()})
    with pq.ParquetWriter(path, schema, write_page_checksum=True, compression="none") as writer:
        writer.write_table(pa.table({"x": half[:0]}))  # a dictionary without entries
        writer.write_table(pa.table({"x": half}))
    data = path.read_bytes()
    at = data.index(half.to_numpy().tobytes())
    path.write_bytes(data[: at + 20] + bytes([data[at + 20] ^ 1]) + data[at + 21 :])
    with pytest.raises(SourceError, match="CRC"):
        sn.fit(path)
