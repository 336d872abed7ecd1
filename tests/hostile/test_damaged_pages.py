"""Parquet whose bytes are changed at random: a transform by pages writes what pyarrow reads, or says what is wrong."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.errors import StreamnormError

ROWS = 400
OPTIONS = {
    "dictionary": {"data_page_size": 400},
    "plain v2": {"use_dictionary": False, "data_page_version": "2.0", "compression": "zstd"},
    "mixed": {"dictionary_pagesize_limit": 500, "data_page_size": 600, "compression": "gzip"},
    "page index": {"write_page_index": True, "data_page_size": 500, "compression": "lz4"},
    "delta": {"use_dictionary": False, "column_encoding": {"n": "DELTA_BINARY_PACKED", "x": "BYTE_STREAM_SPLIT"}},
}


def bytes_of(**options) -> bytes:
    rng = np.random.default_rng(0)
    numbers = pa.array(rng.integers(0, 90, ROWS), mask=rng.random(ROWS) < 0.2)
    table = pa.table({"n": numbers, "x": np.round(rng.normal(size=ROWS), 1), "t": [f"t{i % 9}" for i in range(ROWS)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=250, **options)
    return sink.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPTIONS)
def test_changed_bytes(name, tmp_path):
    good = bytes_of(**OPTIONS[name])
    rng = np.random.default_rng(1)
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    source.write_bytes(good)
    normalizer = sn.fit(source)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for at in rng.integers(4, len(good), int(rng.integers(1, 4))).tolist():
            data[at] = int(rng.integers(256))
        source.write_bytes(data)
        try:
            sn.transform(normalizer, source, target, overwrite=True)
        except StreamnormError as error:
            assert "in.parquet" in str(error)
            assert "\n" not in str(error)
            assert not target.exists()
            refused += 1
        else:
            agree(source, target, normalizer)
        assert [path for path in tmp_path.iterdir() if path.suffix == ".streamnorm"] == []
        target.unlink(missing_ok=True)
    assert refused > 20


def agree(source, target, normalizer) -> None:
    """Numbers are those that pyarrow reads of the changed file, where it reads them at all."""
    try:
        table = pq.read_table(source, columns=["n", "x"])
        table.validate(full=True)
    except (pa.ArrowException, OSError):
        return
    try:
        wanted = (
            sn.TableNormalizer(None, {"n": "standard", "x": "standard"}).with_learnt(normalizer.learnt).transform(table)
        )
    except StreamnormError:
        raise AssertionError("what cannot be mapped was written") from None
    found = pq.read_table(target, columns=["n", "x"])
    for name in ("n", "x"):
        mine, theirs = found.column(name), wanted.column(name)
        assert mine.is_null().equals(theirs.is_null())
        np.testing.assert_array_equal(mine.drop_null().to_numpy(), theirs.drop_null().to_numpy())
