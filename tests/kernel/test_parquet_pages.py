"""Pages of Parquet: the compiled kernel, its twin in Python, and what writers have put into real pages."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import sys
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamnorm import kernel
from streamnorm.kernel import PAGE, Run, reference

_kernel = importlib.import_module("streamnorm.kernel._kernel" if kernel.COMPILED else "streamnorm.kernel.reference")
TARGETS = [t for t in ("baseline", "avx2", "avx512", "python") if _kernel.instructions(t) == t]
_kernel.instructions("best")
_DATA, _DICTIONARY = (0, 3), 2


@pytest.fixture(params=TARGETS)
def target(request):
    """Use one instruction set; the best one is put back afterwards."""
    _kernel.instructions(request.param)
    yield request.param
    _kernel.instructions("best")


# ---- checksums ----


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 63, 64, 127, 128, 129, 191, 192, 1000, 100_003])
def test_checksums_are_those_of_zlib(size, target):
    for start in range(3):
        data = memoryview(os.urandom(size + start))[start:]
        assert kernel.crc32(data) == zlib.crc32(data)


# ---- values that stand for many rows ----


def _column(kind: str, n: int) -> np.ndarray:
    random = np.random.default_rng(n)
    values = random.normal(0, 1e3, n)
    if kind in "qQ":
        wide = (values * 1e15).astype(np.int64)
        return wide if kind == "q" else wide.view(np.uint64)
    column = values.astype(kind) if kind in "fdi" else random.integers(0, 250, n).astype(kind)
    if kind in "fd" and n > 100:
        column[[3, 4, 5, 50, 77]] = 0.0, -0.0, np.nan, np.inf, -np.inf
    return column


def _run(column: np.ndarray, kind: str, times: np.ndarray | None = None) -> Run:
    return Run(0, 1, kind, column, 0, column.itemsize, 0, len(column), times=times)


def _statistics(runs: list[Run]) -> list[object]:
    finest = np.array([64], np.int64)
    return [
        kernel.moments(1, runs),
        kernel.extremes(1, runs),
        kernel.histogram(1, runs, 16, finest),
        kernel.histogram(1, runs, 4096, finest),
    ]


@pytest.mark.parametrize("kind", "dfqQiIhB")
@pytest.mark.parametrize("n", [0, 1, 5, 511, 513, 3000])
def test_times_count_as_so_many_rows(kind, n, target):
    column, more = _column(kind, n), _column(kind, 5000)
    times = np.random.default_rng(n).choice([0, 1, 1, 2, 3, 7, 1000], n).astype(np.int64)
    counted = _statistics([_run(column, kind, times), _run(more, kind)])
    repeated = _statistics([_run(np.repeat(column, times), kind), _run(more, kind)])
    for (counts, _, *rest), (wanted, _, *wanted_rest) in zip(counted, repeated, strict=True):
        assert counts == wanted
        assert rest == wanted_rest
    assert counted[0] == reference.moments(1, [_run(column, kind, times), _run(more, kind)])


def test_times_beyond_what_could_be_repeated():
    column = np.array([1.5, -2.0, 1e300, 5e-324])
    times = np.array([2**61, 2**60 - 1, 3, 2**59], np.int64)
    counts, _, total, squares, weight = kernel.moments(1, [_run(column, "d", times)])
    assert (counts, total, squares, weight) == tuple(
        reference.moments(1, [_run(column, "d", times)])[i] for i in (0, 2, 3, 4)
    )
    assert np.frombuffer(counts, np.int64)[0] == times.sum()


def test_what_occurs_no_time_is_not_there():
    column, times = np.array([np.inf, 1.0, np.nan, -1e9]), np.array([0, 2, 0, 0], np.int64)
    for statistics in _statistics([_run(column, "d", times)]):
        assert np.frombuffer(statistics[0], np.int64).tolist() == [2, 0, 0, 0, 0]
        assert np.frombuffer(statistics[1], np.int64).tolist() == [-1]
    assert np.frombuffer(kernel.extremes(1, [_run(column, "d", times)])[2]).tolist() == [1.0]


@pytest.mark.parametrize("times", [[-1, 1], [2**62, 2**62], [1]])
def test_times_that_cannot_be_are_refused(times):
    with pytest.raises(ValueError, match="times"):
        kernel.moments(1, [_run(np.ones(2), "d", np.array(times, np.int64))])


# ---- pages that pyarrow has written ----


def _chunk(values: pa.Array, *, checksums: bool = True, **options) -> tuple[bytes, bool, int]:
    """Give the bytes of a column chunk, whether it can be null, and the bytes of a value."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": values}), sink, write_page_checksum=checksums, **options)
    chunk = pq.ParquetFile(sink).metadata.row_group(0).column(0)
    start = min(at for at in (chunk.dictionary_page_offset, chunk.data_page_offset) if at)
    width = {"INT32": 4, "FLOAT": 4}.get(chunk.physical_type, 8)
    return sink.getvalue()[start : start + chunk.total_compressed_size], True, width


def _values(kind: str, nulls: float, few: bool) -> pa.Array:
    random = np.random.default_rng(7)
    numbers = random.integers(-9 if few else -(10**9), 9 if few else 10**9, 5000)
    return pa.array(numbers.astype(kind), mask=random.random(5000) < nulls)


def _read(module, data: bytes, nullable: bool, width: int, snappy: bool) -> tuple[list[int], np.ndarray, bytes]:
    """Read a column chunk, of which the dictionary is not packed; give numbers, counts and plain values."""
    records, end = module.pages(data)
    assert end == len(data)
    table = np.frombuffer(records, np.int64).reshape(-1, len(PAGE))
    first = int(table[0][0] == _DICTIONARY)
    counts = np.zeros(table[0][PAGE.index("values")] if first else 0, np.int64)
    out = bytearray(int(table[:, 4].sum()) + width * int(table[first:, 7].sum()))
    found = module.read_pages(data, table[first:].tobytes(), snappy, None, nullable, width, counts, out)
    return list(found), counts, bytes(out[: found[2] * width])


_ENCODINGS = ("PLAIN", "dictionary", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT")


@pytest.mark.parametrize("encoding", _ENCODINGS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy"])
@pytest.mark.parametrize("kind", ["int32", "int64", "float32", "float64"])
def test_pages_are_read_as_they_were_written(encoding, version, codec, kind):
    if encoding == "DELTA_BINARY_PACKED" and kind.startswith("float"):
        return
    how = (
        {"use_dictionary": True} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": encoding}
    )
    for nulls, few in ((0, False), (0.3, False), (0.3, True), (1, True)):
        values = _values(kind, nulls, few)
        data, nullable, width = _chunk(values, data_page_version=version, compression=codec, data_page_size=2000, **how)
        found, counts, plain = _read(kernel, data, nullable, width, codec == "snappy")
        there = values.drop_null()
        assert found == [5000, len(there), 0 if encoding == "dictionary" else len(there)]
        assert counts.sum() == (len(there) if encoding == "dictionary" else 0)
        if encoding != "dictionary":
            assert plain == there.to_numpy().tobytes()
        twin = _read(reference, data, nullable, width, codec == "snappy")
        assert (twin[0], twin[1].tolist(), twin[2]) == (found, counts.tolist(), plain)


_TYPES = {"int32": "i", "int64": "q", "float32": "f", "float64": "d"}


def _at_once(path, data: bytes, nullable: bool, kind: str, snappy: bool, *, values: int = 5000):
    """Learn from a column chunk that lies in a file, behind other bytes; None if it is not read so."""
    path.write_bytes(b"before" + data)
    record = np.array([[6, len(data), values, ord(_TYPES[kind]), snappy, nullable]])
    with path.open("rb") as file:
        try:
            return _learnt_of(kernel.Chunks(file.fileno(), record))
        except NotImplementedError:
            return None


def _learnt(values: np.ndarray):
    """Learn from values in memory what `_at_once` does."""
    return _learnt_of([_run(values, _TYPES[values.dtype.name])])


def _learnt_of(runs):
    return [kernel.moments(1, runs), kernel.extremes(1, runs), kernel.histogram(1, runs, 64, np.array([64]))]


@pytest.mark.skipif(not kernel.COMPILED or sys.platform == "win32", reason="the compiled kernel alone reads at once")
@pytest.mark.parametrize("encoding", _ENCODINGS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy"])
@pytest.mark.parametrize("kind", ["int32", "int64", "float32", "float64"])
def test_a_chunk_in_a_file_is_learnt_from_as_its_values_are(tmp_path, encoding, version, codec, kind):
    if encoding == "DELTA_BINARY_PACKED" and kind.startswith("float"):
        return
    how = (
        {"use_dictionary": True} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": encoding}
    )
    for nulls, few in ((0, False), (0.3, False), (0.3, True), (1, True)):
        values = _values(kind, nulls, few)
        data, nullable, _ = _chunk(values, data_page_version=version, compression=codec, data_page_size=2000, **how)
        snappy = codec == "snappy"
        found = _at_once(tmp_path / "x", data, nullable, kind, snappy)
        assert found == _learnt(values.drop_null().to_numpy())
        assert _at_once(tmp_path / "x", data[:-1], nullable, kind, snappy) is None
        assert _at_once(tmp_path / "x", data + b"\0", nullable, kind, snappy) is None
        wrong = bytearray(data)
        wrong[-1] ^= 4  # in the body of a page
        assert _at_once(tmp_path / "x", bytes(wrong), nullable, kind, snappy) is None


@pytest.mark.skipif(not kernel.COMPILED or sys.platform == "win32", reason="the compiled kernel alone reads at once")
@pytest.mark.parametrize("page_bytes", [3_000, 70_000, 300_000, 3_000_000])
@pytest.mark.parametrize("few", [0, 1000, 100_000])
@pytest.mark.parametrize("how", [{}, {"compression": "none"}, {"data_page_version": "2.0"}])
def test_a_chunk_is_read_in_pieces(tmp_path, page_bytes, few, how):
    """Pages that are smaller and larger than a piece; a dictionary, one that is given up, or none."""
    random, rows = np.random.default_rng(page_bytes), 300_000
    values = random.normal(size=rows)
    values[: rows // 2] = values[random.integers(0, few or rows, rows // 2)]
    column = pa.array(values, mask=random.random(rows) < 0.1)
    if "max_rows_per_page" in inspect.signature(pq.ParquetWriter).parameters:
        how = how | {"max_rows_per_page": rows}
    data, *_ = _chunk(column, use_dictionary=few > 0, data_page_size=page_bytes, **how)
    assert len(data) > 1_500_000
    snappy = how.get("compression") != "none"
    found = _at_once(tmp_path / "x", data, True, "float64", snappy, values=rows)
    assert found == _learnt(column.drop_null().to_numpy())
    wrong = bytearray(data)
    wrong[-9] ^= 1
    assert _at_once(tmp_path / "x", bytes(wrong), True, "float64", snappy, values=rows) is None
    assert _at_once(tmp_path / "x", data[:-1], True, "float64", snappy, values=rows) is None
    assert _at_once(tmp_path / "x", data, True, "float64", snappy, values=rows + 1) is None


@pytest.mark.skipif(not kernel.COMPILED or sys.platform == "win32", reason="the compiled kernel alone reads at once")
@pytest.mark.parametrize("encoding", _ENCODINGS)
@pytest.mark.parametrize("codec", ["none", "snappy"])
def test_a_damaged_chunk_in_a_file_is_learnt_from_or_left(tmp_path, encoding, codec):
    how = (
        {"use_dictionary": True} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": encoding}
    )
    values = _values("int64", 0.2, few=encoding == "dictionary")
    good, nullable, _ = _chunk(values, checksums=False, compression=codec, data_page_size=900, **how)
    random, outcomes = np.random.default_rng(8), set()
    for _ in range(300):
        data = bytearray(good)
        for at in random.integers(0, min(len(data), 3000), random.integers(1, 4)):
            data[at] = random.choice([0, 255, data[at] ^ 1 << int(random.integers(8)), int(random.integers(256))])
        found = _at_once(tmp_path / "x", bytes(data), nullable, "int64", codec == "snappy")
        outcomes.add(found is None)
        if found is not None and codec == "none" and encoding != "dictionary":
            plain = _read(kernel, bytes(data), nullable, 8, False)[2]
            assert found == _learnt(np.frombuffer(plain, np.int64))
    assert outcomes == {True, False}


@pytest.mark.skipif(not kernel.COMPILED or sys.platform == "win32", reason="the compiled kernel alone reads at once")
@pytest.mark.parametrize(
    ("record", "words"),
    [
        ([-1, 10, 10, ord("d"), 0, 0], "out of range"),
        ([6, -1, 10, ord("d"), 0, 0], "out of range"),
        ([2**62, 2**62, 10, ord("d"), 0, 0], "out of range"),
        ([6, 10, -10, ord("d"), 0, 0], "out of range"),
        ([6, 10, 10, ord("b"), 0, 0], "out of range"),
        ([6, 10, 10, ord("d") + 256, 0, 0], "out of range"),
        ([6, 10, 10, ord("d"), 0], "for each slot"),
    ],
)
def test_chunks_out_of_range_are_refused(record, words):
    for call in (kernel.moments, kernel.extremes):
        with pytest.raises(ValueError, match=words):
            call(1, kernel.Chunks(0, np.array(record)))


def test_headers_are_told_as_pyarrow_wrote_them():
    data, *_ = _chunk(_values("int64", 0.5, few=True), compression="snappy", data_page_version="2.0")
    records, end = kernel.pages(data)
    table = [dict(zip(PAGE, row, strict=True)) for row in np.frombuffer(records, np.int64).reshape(-1, 16).tolist()]
    assert [page["kind"] for page in table] == [_DICTIONARY, 3]
    assert [page["crc"] for page in table] == [zlib.crc32(data[p["body"] : p["body"] + p["packed"]]) for p in table]
    assert [page["computed"] for page in table] == [page["crc"] for page in table]
    assert (table[1]["values"], table[1]["rows"], end) == (5000, 5000, len(data))


def test_a_piece_ends_before_a_page_that_is_cut():
    data, *_ = _chunk(_values("int64", 0, few=False), compression="none", use_dictionary=False, data_page_size=2000)
    ends = np.frombuffer(kernel.pages(data)[0], np.int64).reshape(-1, 16)[:, [2, 3]].sum(axis=1)
    for size in [*range(200), *np.random.default_rng(1).integers(0, len(data), 200).tolist()]:
        records, end = kernel.pages(data[:size])
        assert end == max([0, *ends[ends <= size]])
        assert (records, end) == reference.pages(data[:size])
    assert kernel.pages(data, int(ends[0]))[1] == len(data)


# ---- damage ----


def _outcome(call):
    try:
        found = call()
    except (ValueError, NotImplementedError) as error:
        return type(error).__name__, str(error)
    return found


@pytest.mark.parametrize("encoding", _ENCODINGS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy"])
def test_damaged_pages_end_alike_in_the_kernel_and_its_twin(encoding, version, codec):
    how = (
        {"use_dictionary": True} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": encoding}
    )
    values = _values("int64", 0.2, few=encoding == "dictionary")[:600]
    good, nullable, width = _chunk(values, data_page_version=version, compression=codec, data_page_size=900, **how)
    records = np.frombuffer(kernel.pages(good)[0], np.int64).reshape(-1, 16).copy()
    first = int(records[0][0] == _DICTIONARY)
    records[:, 5:7] = -1  # what checksums find is no damage to look into
    random = np.random.default_rng(5)
    seen = set()
    for _ in range(400):
        data, table = bytearray(good), records[first:].copy()
        for at in random.integers(0, len(data), random.integers(1, 4)):
            data[at] = random.choice([0, 255, data[at] ^ 1 << int(random.integers(8)), int(random.integers(256))])
        if random.random() < 0.3:
            row, field = random.integers(len(table)), random.integers(16)
            table[row, field] = random.choice([-1, 0, 1, 7, 2**31 - 1, len(data), table[row, field] - 1])
        assert _outcome(lambda data=data: kernel.pages(data)) == _outcome(lambda data=data: reference.pages(data))

        def read(module, data=data, table=table):
            counts, out = np.zeros(18, np.int64), bytearray(20_000)
            found = module.read_pages(data, table.tobytes(), codec == "snappy", None, nullable, width, counts, out)
            return found, counts.tolist(), bytes(out[: found[2] * width])

        mine, twin = _outcome(lambda read=read: read(kernel)), _outcome(lambda read=read: read(reference))
        if isinstance(mine[0], str) and isinstance(twin[0], str):
            assert mine[0] == twin[0]
        else:
            assert mine == twin
        seen.add(mine[0] if isinstance(mine[0], str) else "read")
    assert {"read", "ValueError"} <= seen


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ((3, 8, b"", b"\x02\x06\x03"), "index"),
        ((3, 8, b"", b"\x21\x06\x01\0\0\0\0"), "32"),
        ((3, 8, b"", b""), "missing"),
        ((3, 8, b"", b"\x02\x04\x01"), "end"),
        ((3, 8, b"", b"\x02\x00\x01"), "end"),
        ((3, 0, b"", b"\0" * 23), "fewer"),
        ((3, 0, None, b"\0\0"), "levels"),
        ((3, 0, None, b"\x09\0\0\0\x06\x01"), "longer"),
        ((3, 0, b"\x06\x02", b"\0" * 24), "above 1"),
        ((3, 0, b"\x04\x01", b"\0" * 24), "levels end"),
        ((-1, 0, b"", b""), "out of range"),
    ],
)
def test_what_a_page_cannot_hold_is_refused(page, wrong):
    nullable = page[2] != b""
    for module in (kernel, reference):
        with pytest.raises(ValueError, match=wrong):
            module.count_pages([page], nullable, 8, np.zeros(3, np.int64))


def _packed(indices: np.ndarray, bits: int) -> bytes:
    """Write indices as the body of a page: one run of packed bits, whose number is a multiple of eight."""
    padded = np.concatenate([indices, np.zeros(-len(indices) % 8, np.int64)])
    places = padded[:, None] >> np.arange(bits) & 1
    head, groups = bytearray(), len(padded) // 8 << 1 | 1
    while groups > 127:
        head.append(groups & 127 | 128)
        groups >>= 7
    return bytes([bits, *head, groups]) + np.packbits(places.astype(np.uint8).ravel(), bitorder="little").tobytes()


@pytest.mark.parametrize("bits", range(1, 33))
def test_indices_of_any_width_are_counted(bits, target):
    random = np.random.default_rng(bits)
    for number in (1, 7, 8, 9, 511, 512, 513, 1500):
        entries = min(2**bits, 3000)
        indices = random.integers(0, entries, number)
        body = _packed(indices, bits)
        for end in (len(body), len(body) - (-number % 8) * bits // 8):  # a last group may be left off where it ends
            counts = np.zeros(entries, np.int64)
            kernel.count_pages([(number, 8, b"", body[:end])], False, 8, counts)
            assert counts.tolist() == np.bincount(indices, minlength=entries).tolist()
        if entries < 2**bits:
            indices[random.integers(number)] = entries
            with pytest.raises(ValueError, match="index"):
                kernel.count_pages([(number, 8, b"", _packed(indices, bits))], False, 8, np.zeros(entries, np.int64))


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("bits", [0, 1, 7, 8, 31, 32, 33, 40, 57, 63, 64])
def test_deltas_of_any_width(bits, width):
    if bits > 8 * width:
        return
    random = np.random.default_rng(bits)
    kind = pa.int32() if width == 4 else pa.int64()
    raw = random.integers(0, 2**64 - 1, 700, np.uint64, endpoint=True)
    deltas = raw >> np.uint64(64 - bits) if bits else raw * np.uint64(0)
    values = np.cumsum(deltas, dtype=np.uint64).astype(f"u{width}").view(f"i{width}")
    options = {"use_dictionary": False, "compression": "none", "column_encoding": "DELTA_BINARY_PACKED"}
    data, nullable, _ = _chunk(pa.array(values, kind), **options)
    for module in (kernel, reference):
        assert _read(module, data, nullable, width, snappy=False)[2] == values.tobytes()
