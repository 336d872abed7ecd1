"""Record batches: how large they are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from streamnorm.arrow import bytes_of

LONG = ["a text too long to stand in its view"] * 100


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view(), pa.list_(pa.string_view())], ids=str)
def test_views_count_with_their_texts(kind):
    """Not by `nbytes`, which some versions of pyarrow cannot give, and one ends the process over."""
    texts = pa.array([[text] for text in LONG] if pa.types.is_list(kind) else LONG, kind)
    batch = pa.record_batch({"n": pa.array(range(100)), "text": texts})
    assert bytes_of(batch) == 100 * 8 + texts.get_total_buffer_size()
    assert bytes_of(batch) > 100 * len(LONG[0])


def test_of_a_slice_only_its_rows_count():
    assert bytes_of(pa.record_batch({"n": pa.array(range(100))}).slice(10, 20)) == 20 * 8
