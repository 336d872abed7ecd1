"""Summaries as bytes: exact, small, and nothing but numbers."""

from __future__ import annotations

import math
import os
import pickle
import random
import zlib

import pyarrow as pa
import pytest
from clusters import SCALERS, rows

import streamnorm as sn
from streamnorm.engines.wire import from_bytes, merge, to_bytes
from streamnorm.errors import DataError, InfiniteValueError, SourceError, StateError, UnseenKeyError
from streamnorm.jobs.work import map_batch, nothing, summarise, table_of


def states(scaler: str, parts: int = 5):
    table = table_of(scaler)
    like = nothing(table, rows(0, 0).schema)
    tables = [rows(60 * part, part) for part in range(parts)]
    learnt = [summarise(table, like, part.to_batches())[0] or like for part in tables]
    return like, learnt, table.fit(iter(tables)).learnt


@pytest.mark.parametrize("scaler", [*SCALERS, "maxabs"])
def test_bytes_give_back_what_was_learnt_and_add_in_any_order(scaler):
    like, learnt, total = states(scaler)
    data = [to_bytes(part) for part in learnt]
    assert [from_bytes(part, like) for part in data] == learnt
    random.Random(0).shuffle(data)
    assert merge(data, like) == total
    assert merge([], like) == like


def test_names_and_rules_are_not_sent():
    _, (_, learnt, *_), _ = states("standard")
    assert b"far" not in zlib.decompress(to_bytes(learnt))


class Command:
    def __reduce__(self):
        return os.getcwd, ()


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", zlib.compress(b"junk"), zlib.compress(pickle.dumps([Command()])), zlib.compress(pickle.dumps([]))],
    ids=["nothing", "no zlib", "no pickle", "a command", "too few groups"],
)
def test_what_is_no_summary_is_refused(data):
    like, _, _ = states("standard")
    with pytest.raises(StateError, match="a worker's summary cannot be read"):
        from_bytes(data, like)


def test_a_function_of_the_package_is_refused():
    like, _, _ = states("standard")
    with pytest.raises(StateError, match="no part of a summary"):
        from_bytes(zlib.compress(pickle.dumps([sn.transform])), like)


ENDLESS = pa.array([1.0, 3.0, math.inf])


@pytest.mark.parametrize(
    "values", [ENDLESS, ENDLESS.cast(pa.float16()), ENDLESS.dictionary_encode()], ids=lambda a: str(a.type)
)
def test_an_infinity_is_told_by_its_row_in_the_file(values):
    table, batch = sn.TableNormalizer(None, {"x": "standard"}), pa.record_batch({"x": values})
    fitted = sn.TableNormalizer(None, {"x": "standard"}).fit(batch.slice(0, 2))
    for work in (
        lambda: summarise(table, nothing(table, batch.schema), [batch.slice(0, 1), batch.slice(1)], lambda: 10),
        lambda: map_batch(fitted, batch, rows=3, rows_before=lambda: 7),
    ):
        with pytest.raises(DataError, match=r"infinity in column 'x', row 13:"):
            work()


@pytest.mark.parametrize(
    "error",
    [
        DataError("wrong"),
        SourceError("gone"),
        InfiniteValueError(1, 2),
        UnseenKeyError("a", 3, "4"),
        UnseenKeyError("a", 3),
    ],
    ids=repr,
)
def test_errors_come_home_whole(error):
    home = pickle.loads(pickle.dumps(error))
    assert (type(home), str(home), home.__dict__) == (type(error), str(error), error.__dict__)
