"""Rows of a few keys among many: exactly what all at once give, and at the cost of their own keys."""

import datetime
import itertools
import pickle

import numpy as np
import pyarrow as pa
import pytest

import streamnorm as sn
from streamnorm.errors import MergeError, UnseenKeyError
from streamnorm.tables import Keys

MANY = 3_000
SCALERS = ["standard", "minmax", "maxabs", "robust", "quantile"]


def text(numbers):
    return pa.array([None if i % 1000 == 17 else f"schlüssel {i}" for i in numbers], pa.string())


def integer(numbers):
    return pa.array([None if i == 17 else int(i) - 7 for i in numbers], pa.int64())


def date(numbers):
    first = datetime.date(1500, 1, 1)
    return pa.array([first + datetime.timedelta(int(i)) for i in numbers], pa.date32())


KINDS = {"text": text, "integer": integer, "date": date}


def table_of(kind, numbers, seed=0):
    """Rows of the keys with these numbers, and of a second key column that repeats."""
    rng = np.random.default_rng(seed)
    keys = KINDS[kind](numbers)
    other = pa.array([None if i % 7 == 3 else "abc"[i % 3] for i in numbers], pa.string())
    x = pa.array(rng.integers(-9, 9, len(numbers)) / 4, mask=rng.random(len(numbers)) < 0.1)
    return pa.table({"key": keys, "other": other, "x": x, "y": pa.array(rng.normal(size=len(numbers)))})


def batches_of(kind):
    """One batch of many keys, then small ones: of known keys, of new ones, of both, of none."""
    rng = np.random.default_rng(5)
    small = [rng.integers(0, MANY + 500, size) for size in (1, 3, 1, 0, 40, 2, 1, 1, 9)]
    return [table_of(kind, numbers, seed) for seed, numbers in enumerate([np.arange(MANY), *small, [0], [17]])]


@pytest.mark.parametrize("by", ["key", ["key", "other"], ["other", "key"]], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_small_batches_give_what_all_rows_give(kind, by):
    batches = batches_of(kind)
    one = sn.TableNormalizer(by=by).fit(pa.concat_tables(batches))
    small = sn.TableNormalizer(by=by)
    for batch in batches:
        small.partial_fit(batch)
        small.transform(batch.slice(0, 1))  # of what was learnt so far, whatever layers it lies in
    mapped, at = one.transform(pa.concat_tables(batches)), 0
    for batch in batches:
        assert small.transform(batch) == mapped.slice(at, batch.num_rows)
        at += batch.num_rows
    back = sn.TableNormalizer(by=by)
    for batch in reversed(batches):
        back.partial_fit(batch)
    assert small == one == back
    assert small.digest() == one.digest() == back.digest()
    assert pickle.loads(pickle.dumps(small)) == one


@pytest.mark.parametrize("scaler", SCALERS)
def test_every_scaler(scaler):
    batches = batches_of("text")
    one = sn.TableNormalizer(scaler, by="key").fit(pa.concat_tables(batches))
    small = sn.TableNormalizer(scaler, by="key")
    for batch in batches:
        small.partial_fit(batch)
    few = batches[-1]
    assert small.transform(few) == one.transform(pa.concat_tables([few, *batches])).slice(0, few.num_rows)
    assert small.inverse_transform(few) == one.inverse_transform(pa.concat_tables([few, *batches])).slice(0, 1)
    assert small == one


@pytest.mark.parametrize("unseen", ["global", "error", "null", "keep"])
@pytest.mark.parametrize("min_count", [1, 3])
def test_unseen_keys_and_rare_ones(unseen, min_count):
    known, few = table_of("integer", np.arange(MANY)), table_of("integer", [5, MANY + 1, 17])
    known = pa.concat_tables([known, table_of("integer", [5, 5, 5], 1)])
    normalizer = sn.TableNormalizer(by="key", unseen=unseen, min_count=min_count).fit(known)
    if unseen == "error":
        with pytest.raises(UnseenKeyError, match=rf"{MANY + 1 - 7}"):
            normalizer.transform(few)
        return
    assert normalizer.transform(few) == normalizer.transform(pa.concat_tables([few, known])).slice(0, 3)


def test_taking_away_again():
    batches = batches_of("text")
    whole = sn.TableNormalizer(by="key").fit(batches[0])
    small = sn.TableNormalizer(by="key").fit(batches[0])
    for batch in batches[1:]:
        small.partial_fit(batch)
    for batch in batches[1:]:
        if batch.num_rows:
            small = small - sn.TableNormalizer(by="key").fit(batch)
    assert small == whole


@pytest.mark.parametrize(("many", "few"), list(itertools.permutations(KINDS, 2)))
def test_keys_of_another_type(many, few):
    normalizer = sn.TableNormalizer(by="key").fit(table_of(many, np.arange(MANY)))
    before = normalizer.digest()
    for call in (normalizer.partial_fit, normalizer.transform):
        with pytest.raises(MergeError, match=r"the keys in column 'key' are .* cast one of the two"):
            call(table_of(few, [1]))
    assert normalizer.digest() == before


def test_text_that_is_none_is_unseen():
    normalizer = sn.TableNormalizer(by="key", columns={"x": "standard"}, default=None)
    normalizer.fit(table_of("text", np.arange(MANY)))
    bad = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.py_buffer(np.array([0, 1])), pa.py_buffer(b"\xff")])
    found = normalizer.transform(pa.table({"key": bad, "x": [0.25]}))
    overall = sn.TableNormalizer(columns={"x": "standard"}, default=None).fit(table_of("text", np.arange(MANY)))
    assert found.column("x") == overall.transform(pa.table({"x": [0.25]})).column("x")


def test_a_few_rows_look_at_few_keys(monkeypatch):
    """Counted, not timed: nothing of a call goes over all keys."""
    kinds = [sn.TableNormalizer(by="key").fit(table_of("integer", np.arange(n))) for n in (2_000, 20_000)]
    row = table_of("integer", [5])
    for normalizer in kinds:
        normalizer.partial_fit(row)
        normalizer.transform(row)
    touched = []
    concat, take = pa.concat_arrays, Keys.take
    monkeypatch.setattr(
        "streamnorm.tables.keys.pa.concat_arrays", lambda a: touched.append(sum(map(len, a))) or concat(a)
    )
    monkeypatch.setattr(Keys, "take", lambda self, at: touched.append(len(at)) or take(self, at))
    for normalizer in kinds:
        for _ in range(50):
            normalizer.partial_fit(row)
            normalizer.transform(row)
    assert touched
    assert max(touched) < 100
