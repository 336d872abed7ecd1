"""Page headers told anew and bounds of indices: the compiled functions beside their twins, and beside trees."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamnorm import kernel
from streamnorm.formats.parquet.tree import BINARY, BOOL, I32, I64, STRUCT, Struct, read_struct, write_struct
from streamnorm.kernel import reference

BOTH = [kernel, reference] if kernel.COMPILED else [reference]
STATISTICS = Struct(
    dict.fromkeys((1, 2, 5, 6), (BINARY, b"12345678"))
    | {3: (I64, 7), 4: (I64, 3), 7: (BOOL, True), 8: (BOOL, False), 9: (I64, 5)}
)


def header(kind: int, own: Struct) -> bytes:
    """A header with fields that nobody knows, before and behind those that are told anew."""
    page = Struct().set(1, I32, kind).set(2, I32, 100).set(3, I32, 90)
    page.set({0: 5, 2: 7, 3: 8}[kind], STRUCT, own).set(40, STRUCT, Struct().set(1, BINARY, b"new"))
    return write_struct(page)


V1 = Struct().set(1, I32, 10).set(2, I32, 8).set(3, I32, 3).set(4, I32, 3).set(5, STRUCT, STATISTICS).set(9, I64, -4)
V2 = Struct().set(1, I32, 10).set(2, I32, 1).set(3, I32, 10).set(4, I32, 5).set(5, I32, 6).set(6, I32, 0)
DICTIONARY = Struct().set(1, I32, 3).set(2, I32, 2).set(3, BOOL, True)


@pytest.mark.parametrize("both", BOTH)
def test_a_header_is_told_anew(both):
    told = read_struct(both.page_header(header(0, V1), 11, 12, 2**32 - 1, 0, -1, (2, b"ab", b"cd")))[0]
    assert [told.get(number) for number in (1, 2, 3, 4)] == [0, 11, 12, -1]
    assert told.get(40).get(1) == b"new"
    own = told.get(5)
    assert [own.get(number) for number in (1, 2, 3, 4, 9)] == [10, 0, 3, 3, -4]
    found = {number: value for number, (_, value) in own.get(5).fields.items()}
    assert found == {1: b"cd", 2: b"ab", 3: 2, 5: b"cd", 6: b"ab", 7: True, 8: True}
    told = read_struct(both.page_header(header(3, V2), -1, 12, -1, -1, 0, (0, None, None)))[0]
    assert [told.get(number) for number in (2, 3, 4)] == [100, 12, None]
    assert told.get(8).get(7) is False
    told = read_struct(both.page_header(header(2, DICTIONARY), -1, -1, 5, -1, -1, None))[0]
    assert (told.get(4), told.get(7).get(3), told.get(7).get(2)) == (5, None, 2)


def told(function, *args):
    """What a function gives, or that it raises."""
    try:
        return function(*args)
    except ValueError:
        return None


@pytest.mark.skipif(not kernel.COMPILED, reason="there is no compiled kernel")
def test_damaged_headers_are_told_alike():
    rng = np.random.default_rng(0)
    good, refused = [header(0, V1), header(3, V2), header(2, DICTIONARY)], 0
    for i in range(6000):
        data = bytearray(good[i % 3])
        for at in rng.integers(0, len(data), int(rng.integers(0, 4))).tolist():
            data[at] = int(rng.integers(256))
        args = (bytes(data[: int(rng.integers(1, len(data) + 1))]), 5, 6, 7, 0, 1, (1, b"least", b"greatest"))
        mine, twin = told(kernel.page_header, *args), told(reference.page_header, *args)
        assert mine == twin, args
        refused += mine is None
    assert 1000 < refused < 5900


def index_pages(few: int) -> tuple[list[tuple[int, int, bytes | None, bytes]], np.ndarray]:
    """Pages of indices that pyarrow writes, and the dictionary."""
    rng = np.random.default_rng(few)
    values = np.append(np.repeat(rng.normal(size=few), 20), [np.nan] * 9)
    rng.shuffle(values)
    sink = io.BytesIO()
    table = pa.table({"x": pa.array(values, mask=rng.random(len(values)) < 0.1)})
    pq.write_table(table, sink, compression="none", data_page_size=300, write_batch_size=64)
    data = sink.getvalue()
    chunk = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    start = chunk.dictionary_page_offset
    records, _ = kernel.pages(data[start : start + chunk.total_compressed_size])
    rows = np.frombuffer(records, np.int64).reshape(-1, 16).tolist()
    bodies = [data[start + row[2] : start + row[2] + row[3]] for row in rows]
    entries = np.frombuffer(bodies[0], np.float64)
    return [(row[7], row[8], None, body) for row, body in zip(rows[1:], bodies[1:], strict=True)], entries


@pytest.mark.parametrize("few", [1, 2, 5, 300])
@pytest.mark.parametrize("both", BOTH)
def test_bounds_of_indices(both, few):
    pages, entries = index_pages(few)
    used = bytearray(len(entries))
    for page in pages:
        counts = np.zeros(len(entries), np.int64)
        present, _ = np.frombuffer(kernel.count_pages([page], True, 8, counts), np.int64).tolist()
        own = entries[(counts > 0) & ~np.isnan(entries)]
        wanted = (present, own.min(initial=np.inf), own.max(initial=-np.inf))
        assert both.index_bounds(page, True, entries, used) == wanted
    assert set(used) == {1}


@pytest.mark.skipif(not kernel.COMPILED, reason="there is no compiled kernel")
def test_damaged_indices_are_refused_alike():
    pages, entries = index_pages(300)
    rng = np.random.default_rng(1)
    refused = 0
    for i in range(400):
        values, encoding, levels, body = pages[i % len(pages)]
        data = bytearray(body)
        for at in rng.integers(0, len(data), 2).tolist():
            data[at] = int(rng.integers(256))
        page = (values, encoding, levels, bytes(data[: int(rng.integers(len(data) // 2, len(data) + 1))]))
        found = []
        for both in BOTH:
            used = bytearray(len(entries))
            result = told(both.index_bounds, page, True, entries, used)
            found.append((result, bytes(used) if result else None))
        assert found[0] == found[1]
        refused += found[0][0] is None
    assert 100 < refused < 400
