"""Counts of many slots, which are kept as narrow as they can be, and are the same numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from streamnorm.errors import MergeError
from streamnorm.summaries import Counts


def wide(table):
    """Give counts that are not narrow, as those of few slots."""
    return Counts(table.astype(np.int64))


@pytest.mark.parametrize("most", [0, 200, 255, 256, 40_000, 2**20, 2**33, 2**62])
def test_many_counts_are_the_same_numbers(most):
    rng = np.random.default_rng(0)
    tables = [rng.integers(0, most + 1, (5000, 5)) for _ in range(2)]
    a, b = map(Counts.of_table, tables)
    assert a.table.tolist() == tables[0].tolist()
    assert (a == wide(tables[0])) and (a + b == wide(tables[0] + tables[1])) and ((a + b) - b == a)
    assert a.values.tolist() == tables[0][:, 0].tolist()
    assert a.rows.tolist() == tables[0].sum(axis=1).tolist()
    assert a.values.dtype == a.rows.dtype == np.int64
    assert a.take([4999, 0]) == wide(tables[0][[4999, 0]])
    assert a.place(6000, np.arange(5000)[::-1]).take(np.arange(5000)[::-1]) == a
    assert a.joined(b).table.tolist() == [*tables[0].tolist(), *tables[1].tolist()]
    assert Counts.from_json(a.to_json()) == a == pickle.loads(pickle.dumps(a))


def test_sums_do_not_wrap():
    full = Counts.of_table(np.full((5000, 5), 255))
    assert full.stored.dtype == np.uint8
    assert set((full + full).table.ravel().tolist()) == {510}


def test_more_than_was_counted_is_not_forgotten():
    a, b = (Counts.of_table(np.full((5000, 5), n)) for n in (1, 2))
    with pytest.raises(MergeError, match="cannot forget 2 values of column 0, of which only 1 were counted"):
        a - b


def test_few_counts_stay_as_they_are():
    table = np.ones((100, 5), np.int64)
    assert Counts.of_table(table).stored is table
