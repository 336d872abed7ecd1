"""Footers of Parquet as the kernel reads them: against pyarrow's, and its twin in Python."""

from __future__ import annotations

import importlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamnorm import kernel
from streamnorm.kernel import TOLD, reference

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_CODECS = {"UNCOMPRESSED": 0, "SNAPPY": 1, "GZIP": 2, "BROTLI": 4, "ZSTD": 6, "LZ4": 7}
_kernel = importlib.import_module("streamnorm.kernel._kernel" if kernel.COMPILED else "streamnorm.kernel.reference")


def _file(**how) -> bytes:
    table = pa.table(
        {
            "a": pa.array([1, None, 3, 4, 5], pa.int32()),
            "b": [0.5, 1.5, -2.0, 1e300, 0.0],
            "c": ["x", "y", None, "x", "z"],
            "d": [[1, 2], [], None, [3], [4]],
            "e": [{"f": 1.0, "g": True}, None, {"f": None, "g": False}, {"f": 2.0, "g": None}, {"f": 3.0, "g": True}],
            "h": pa.array([1.5, 2.5, None, 3.5, 4.5], pa.float32()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


def _footer(data: bytes) -> bytes:
    length = int.from_bytes(data[-8:-4], "little")
    return data[-8 - length : -8]


def _told(data: bytes) -> list[dict[str, int]]:
    records = np.frombuffer(kernel.column_chunks(_footer(data)), np.int64).reshape(-1, len(TOLD))
    return [dict(zip(TOLD, row, strict=True)) for row in records.tolist()]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_column_chunks_are_told_of_as_pyarrow_tells(codec, dictionary):
    data = _file(compression=codec, use_dictionary=dictionary, row_group_size=2, write_page_index=dictionary)
    metadata, told = pq.read_metadata(io.BytesIO(data)), iter(_told(data))
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        for column in range(rows.num_columns):
            chunk = rows.column(column)
            assert next(told) == {
                "group": group,
                "rows": rows.num_rows,
                "type": _TYPES.index(chunk.physical_type),
                "codec": _CODECS[chunk.compression],
                "values": chunk.num_values,
                "size": chunk.total_compressed_size,
                "data": chunk.data_page_offset,
                "dictionary": -1 if chunk.dictionary_page_offset is None else chunk.dictionary_page_offset,
                "elsewhere": 0,
            }
    assert next(told, None) is None


def test_a_footer_without_row_groups_has_no_column_chunks():
    out = io.BytesIO()
    with pq.ParquetWriter(out, pa.schema([("a", pa.int64())])):
        pass
    assert _told(out.getvalue()) == []


def _outcome(module, footer: bytes):
    try:
        return module.column_chunks(footer)
    except ValueError as error:
        return str(error)


def test_damaged_footers_are_told_of_by_both_alike():
    good, random = _footer(_file(row_group_size=2)), np.random.default_rng(3)
    outcomes = set()
    for cut in range(0, len(good), 7):
        assert _outcome(_kernel, good[:cut]) == _outcome(reference, good[:cut])
    for _ in range(3000):
        data = bytearray(good)
        for at in random.integers(0, len(data), random.integers(1, 4)):
            data[at] = random.choice([0, 255, 0x1C, 0x19, data[at] ^ 1 << int(random.integers(8))])
        found = _outcome(_kernel, bytes(data))
        assert found == _outcome(reference, bytes(data))
        outcomes.add(isinstance(found, str))
    assert outcomes == {True, False}


def test_a_footer_of_more_column_chunks_than_it_has_room_for_is_damaged():
    """A list of a million column chunks, each an empty struct of one byte."""
    footer = b"\x49\x1c\x19\xfc\xc0\x84\x3d" + bytes(1_000_000) + b"\x00\x00"
    with pytest.raises(ValueError, match="the footer is damaged"):
        kernel.column_chunks(footer)
