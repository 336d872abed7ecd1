"""Pages that are mapped together become, byte for byte, what they become one by one, and fail as they do."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm import kernel
from streamnorm.errors import StreamnormError
from streamnorm.formats.parquet import mapped, together
from streamnorm.formats.parquet.codecs import literal, packed

ROWS = 2500
OPTIONS = {
    "indices": {"data_page_size": 900},
    "plain": {"use_dictionary": False, "data_page_size": 2000},
    "both": {"dictionary_pagesize_limit": 900, "data_page_size": 1000},
    "indexed": {"write_page_index": True, "data_page_size": 1500, "write_page_checksum": True},
    "large": {"use_dictionary": False, "data_page_size": 1 << 20},
}
CODECS = ["none", "snappy", "zstd", "lz4"]


def table() -> pa.Table:
    rng = np.random.default_rng(5)
    values = {
        "f8": rng.normal(size=ROWS), "few": rng.integers(-9, 9, ROWS) / 4, "f4": rng.normal(size=ROWS).astype("f4"),
        "i8": rng.integers(-(10**12), 10**12, ROWS), "i4": rng.integers(0, 50, ROWS, np.int32),
        "zero": rng.choice([0.0, -0.0], ROWS), "nan": np.where(rng.random(ROWS) < 0.9, np.nan, 1.5),
    }  # fmt: skip
    arrays = {name: pa.array(x, mask=rng.random(ROWS) < 0.3) for name, x in values.items()}
    arrays |= {"null": pa.array([1.0] + [None] * (ROWS - 1)), "half": pa.array(rng.normal(size=ROWS).astype("f2"))}
    full = {"all nan": np.full(ROWS, np.nan), "full": rng.normal(size=ROWS)}
    fields = [pa.field(name, pa.float64(), nullable=False) for name in full]
    return pa.table(arrays).append_column(fields[0], full["all nan"][None]).append_column(fields[1], full["full"][None])


def one_by_one(monkeypatch, source: Path, target: Path, normalizer) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "open_pages", lambda *given: None)
        sn.transform(normalizer, source, target, overwrite=True)
    return target.read_bytes()


@pytest.mark.skipif(not kernel.COMPILED, reason="the twin maps pages one by one")
@pytest.mark.filterwarnings("ignore:.*no value")
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", OPTIONS)
def test_bytes_are_those_of_pages_one_by_one(name, codec, version, tmp_path, monkeypatch):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    options = {"compression": codec, "data_page_version": version, "row_group_size": 1100, **OPTIONS[name]}
    pq.write_table(table(), source, **options)
    normalizer = sn.fit(source)
    seen, opened = [], kernel.open_pages

    def watched(*given):
        found = opened(*given)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(together.kernel, "open_pages", watched)
    sn.transform(normalizer, source, target)
    assert len(seen) > 20
    assert all(seen)
    monkeypatch.undo()
    assert target.read_bytes() == one_by_one(monkeypatch, source, target, normalizer)


@pytest.mark.skipif(not kernel.COMPILED, reason="the twin maps pages one by one")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("name", ["indices", "plain", "both"])
def test_changed_bytes_fail_as_one_by_one(name, version, tmp_path, monkeypatch):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(table().select(["f8", "few", "i4"]), source, data_page_version=version, **OPTIONS[name])
    normalizer, good = sn.fit(source), source.read_bytes()
    rng, failed = np.random.default_rng(2), 0
    for _ in range(60):
        data = bytearray(good)
        for at in rng.integers(4, len(good) - 2000, 12).tolist():
            data[at] ^= 1 << int(rng.integers(8))
        source.write_bytes(data)
        outcomes = []
        for work in (
            lambda: sn.transform(normalizer, source, target, overwrite=True) and target.read_bytes(),
            lambda: one_by_one(monkeypatch, source, target, normalizer),
        ):
            try:
                outcomes.append(work())
            except StreamnormError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
        failed += isinstance(outcomes[0], str)
    assert failed > 5


@pytest.mark.parametrize("together_", [True, False])
def test_a_page_that_snappy_could_not_make_smaller_is_written_without_asking_it(together_, tmp_path, monkeypatch):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    rng = np.random.default_rng(3)
    data = pa.table({"x": rng.normal(size=ROWS), "wide": np.where(rng.random(ROWS) < 0.5, -1e300, 1e300)})
    noise = rng.integers(1, 2**52, ROWS).view(np.float64)  # subnormal: beside 1e300 all of them become one number
    pq.write_table(data.set_column(1, "wide", [noise]), source, use_dictionary=False, data_page_size=2000)
    normalizer = sn.TableNormalizer().fit(data)
    asked = []
    for module in (mapped, together):
        monkeypatch.setattr(module, "packed", lambda codec, values: asked.append(len(values)) or packed(codec, values))
    if not together_:
        monkeypatch.setattr(kernel, "open_pages", lambda *given: None)
    sn.transform(normalizer, source, target)
    found = pq.read_table(target, page_checksum_verification=True)
    assert found.equals(normalizer.transform(pq.read_table(source)))
    chunks = [pq.read_metadata(target).row_group(0).column(i) for i in range(2)]
    assert sum(asked) < 9 * ROWS  # those of one column: of the other no number was to be asked about
    assert chunks[0].total_compressed_size >= 8 * ROWS
    assert chunks[1].total_compressed_size < 2 * ROWS


@pytest.mark.parametrize("size", [1, 59, 60, 61, 127, 128, 256, 257, 16384, 65536, 65537, 1 << 24, (1 << 24) + 1])
def test_a_literal_is_what_snappy_reads(size):
    data = np.random.default_rng(0).bytes(size)
    packed = literal(data)
    assert pa.decompress(packed, size, "snappy").to_pybytes() == data
    assert len(packed) <= size + 10


@pytest.mark.skipif(not kernel.COMPILED, reason="the twin maps pages one by one")
@pytest.mark.filterwarnings("ignore")
def test_infinities_and_results_beyond_the_type_fail_as_one_by_one(tmp_path, monkeypatch):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    data = np.random.default_rng(1).normal(size=ROWS)
    scalers = [sn.TableNormalizer().fit(pa.table({"x": data * size})) for size in (1.0, 1e-300)]
    for value in (np.inf, -np.inf, 1e300):
        data[-5] = value
        for options in ({"use_dictionary": False}, {"use_dictionary": True}):
            pq.write_table(pa.table({"x": data}), source, row_group_size=1000, data_page_size=3000, **options)
            for normalizer in scalers:
                failed = []
                for work in (
                    lambda given: sn.transform(given, source, target),
                    lambda given: one_by_one(monkeypatch, source, target, given),
                ):
                    with contextlib.suppress(StreamnormError):
                        work(normalizer)
                        failed.append(target.read_bytes())
                        target.unlink()
                        continue
                    assert not target.exists()
                assert len(failed) in (0, 2)
                assert failed[1:] == failed[:1]
                assert bool(failed) == (value == 1e300 and normalizer is scalers[0])


@pytest.mark.skipif(not kernel.COMPILED, reason="the twin has no state")
def test_the_kernel_refuses_what_does_not_fit(monkeypatch):
    record = np.full((1, 16), -1, np.int64)
    record[0, [0, 1, 2, 3, 4, 7, 8, 15]] = [0, 0, 0, 8, 8, 1, 0, 1]
    data = np.array([1.5]).tobytes()
    assert kernel.open_pages(data, record, False, None, False, 8)[2] == 1
    for field, value in ((2, 1), (2, -1), (3, 9), (3, -1), (4, 7), (4, 16), (7, 2), (7, 2**40), (8, 5), (0, 1), (0, 2)):
        wrong = record.copy()
        wrong[0, field] = value
        assert kernel.open_pages(data, wrong, False, None, False, 8) is None, (field, value)
    for field, value, width in ((4, -1, 8), (4, 2**40, 8), (1, 0, 2)):
        wrong = record.copy()
        wrong[0, field] = value
        with pytest.raises(ValueError, match="every page has a size"):
            kernel.open_pages(data, wrong, False, None, False, width)
    with pytest.raises(ValueError, match="every page"):
        kernel.open_pages(data, record, False, [], False, 8)
    state = kernel.open_pages(data, record, False, None, False, 8)[0]
    with pytest.raises(ValueError, match="sealed once"):
        kernel.seal_pages(state, [data])
    for values, width, entries, used in ((b"", 8, b"", 0), (data, 2, b"", 0), (data, 8, b"12345678", 0)):
        with pytest.raises(ValueError, match="as many"):
            kernel.remake_pages(state, values, width, entries, bytearray(used))
    assert kernel.remake_pages(state, data, 8, b"", bytearray())[1] == [(0, 0, 8, 1, 1.5, 1.5)]
    with pytest.raises(ValueError, match="as many"):
        kernel.remake_pages(state, data, 8, b"", bytearray())
    for how in (("d", "", data), ("d", "-", b""), ("d", "-?", data * 2), ("i", "-", data), ("dd", "-", data)):
        with pytest.raises(ValueError, match="an operand for each"):
            kernel.remake_pages(state, how, 8, b"", bytearray())
    with pytest.raises(ValueError, match="sealed once"):
        kernel.seal_pages(state, [])
    with pytest.raises(ValueError, match="damaged"):
        kernel.seal_pages(state, [data])  # there is no header
    with pytest.raises(ValueError, match="Capsule"):
        kernel.seal_pages(object(), [])
