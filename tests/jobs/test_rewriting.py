"""Copies by pages, and what happens where a file turns out not to be one for it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.formats import NotByPagesError
from streamnorm.formats.parquet import mapped, rewrite


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("after", [0, 3])
def test_a_file_that_turns_out_not_to_be_of_pages_that_are_mapped_is_written_anew(
    tmp_path, monkeypatch, threads, after
):
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table({"x": np.random.default_rng(0).normal(size=1000), "t": [f"{i}" for i in range(1000)]})
    pq.write_table(table, source, row_group_size=100)
    normalizer = sn.TableNormalizer().fit(table)
    pages, seen = mapped._Chunk.pages, []

    def refuse(self, *given):
        seen.append(given)
        if len(seen) > after:
            raise NotByPagesError("of a kind that is not mapped")
        return pages(self, *given)

    monkeypatch.setattr(mapped._Chunk, "pages", refuse)
    told = []
    sn.transform(normalizer, source, target, threads=threads, progress=lambda *amounts: told.append(amounts))
    assert pq.read_table(target).equals(normalizer.transform(table))
    assert [sum(amount) for amount in zip(*told, strict=True)] == [source.stat().st_size, 1000]
    assert [path for path in tmp_path.iterdir() if path.suffix == ".streamnorm"] == []


def test_large_row_groups_of_what_takes_whole_rows_are_written_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(rewrite, "_VALUES_BYTES", 1000)
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table({"x": pa.array([1.0, None, 3.0] * 100), "t": ["a"] * 300})
    pq.write_table(table, source)
    normalizer = sn.TableNormalizer.from_recipe({"columns": {"x": {"fill": "mean"}}}).fit(table)
    sn.transform(normalizer, source, target)
    assert pq.read_table(target).equals(normalizer.transform(table))
    assert "streamnorm" not in pq.read_metadata(target).created_by
