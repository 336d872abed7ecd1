"""Statistics per key at the edges: no keys, keys that cannot be written, and what tells two states apart."""

from __future__ import annotations

import base64
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.errors import DataError, MergeError, StateError
from streamnorm.formats.source import Unit
from streamnorm.jobs.work import neighbours
from streamnorm.states.document import _checksum
from streamnorm.tables import grouping

SCALERS = ["standard", "minmax", "robust"]


def fitted(keys: pa.Array, scaler: str = "standard") -> sn.TableNormalizer:
    return sn.TableNormalizer(scaler, by="key").fit(pa.table({"key": keys, "x": np.ones(len(keys))}))


def test_digests_tell_types_of_keys_apart():
    """A text is written as its length and its bytes, which are those of some number."""
    kinds = [pa.array([0]), pa.array([""]), pa.array([0], pa.date32()), pa.array([None], pa.string())]
    assert len({fitted(keys).digest() for keys in kinds}) == len(kinds)


@pytest.mark.parametrize("other", [pa.array(["q"]), pa.array([1])])
def test_what_was_forgotten_leaves_no_trace(other, tmp_path):
    """Not even the type of the keys that are gone."""
    nulls, more = fitted(pa.nulls(1)), fitted(other)
    back = (nulls + more) - more
    assert back == nulls
    assert back.digest() == nulls.digest()
    for name, normalizer in (("nulls", nulls), ("back", back)):
        sn.save(normalizer, tmp_path / name)
    assert (tmp_path / "nulls").read_text() == (tmp_path / "back").read_text()


@pytest.mark.filterwarnings("ignore:no value of column")
@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("kind", [pa.string(), pa.int8(), pa.date32(), pa.null()], ids=str)
def test_no_rows_are_the_identity(scaler, kind, tmp_path):
    rows = fitted(pa.nulls(3, kind), scaler)
    none = fitted(pa.nulls(0, kind), scaler)
    assert none + rows == rows + none == rows
    sn.save(none, tmp_path / "none.json")
    loaded = sn.load(tmp_path / "none.json")
    assert loaded == none
    assert loaded.digest() == none.digest()
    assert pickle.loads(pickle.dumps(none)) == none
    assert np.isnan(loaded.transform(pa.table({"key": pa.nulls(1, kind), "x": [1.0]}))["x"][0].as_py())
    assert loaded.partial_fit(pa.table({"key": pa.nulls(3, kind), "x": np.ones(3)})) == rows


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (pa.array([10**7], pa.int32()).cast(pa.date32()), "a date outside the years 1 to 9999"),
        (pa.array([-(10**6)], pa.int32()).cast(pa.date32()), "a date outside the years 1 to 9999"),
        (pa.array([b"a\xff"]).view(pa.string()), "UTF8"),
        (pa.array([2**63], pa.uint64()), "9223372036854775808"),
    ],
)
def test_keys_that_no_state_can_hold(keys, message):
    with pytest.raises(DataError, match=f"column 'key' cannot be grouped by: .*{message}"):
        fitted(keys)


def test_the_first_and_the_last_day(tmp_path):
    normalizer = fitted(pa.array([-719162, 2932896], pa.int32()).cast(pa.date32()))
    sn.save(normalizer, tmp_path / "state.json")
    assert sn.load(tmp_path / "state.json") == normalizer


def test_a_key_column_that_is_there_twice():
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([1]), pa.array([1.0])], names=["k", "k", "x"])
    with pytest.raises(DataError, match="there are 2 columns 'k' to group by: rename all but one"):
        sn.TableNormalizer(by="k").fit(twice)


@pytest.mark.parametrize("words", [{"unseen": "null"}, {"unseen": "drop"}, {"min_count": 2}])
def test_what_is_about_keys_needs_keys(words):
    with pytest.raises(DataError, match=r"unseen and min_count are about keys: name their columns \(by\)"):
        sn.TableNormalizer(**words).fit(pa.table({"x": [1.0, 2.0]}))


def test_a_key_that_had_fewer_rows_is_named():
    many, few = fitted(pa.array(["p", "q", "q"])), fitted(pa.array(["q", "p"]))
    with pytest.raises(MergeError, match="cannot forget 2 rows of key 'q', of which only 1 were counted"):
        few - many


def test_the_missing_key_is_the_only_one(tmp_path):
    from streamnorm.report.keys import of_key
    from streamnorm.states.file import state_of

    state = state_of(fitted(pa.nulls(2)))
    assert of_key(state, ["null"]).table.learnt.groups[0].summary.counts.values.tolist() == [2]
    with pytest.raises(DataError, match="there is no key 'x': the keys are 'null'"):
        of_key(state, ["x"])


def test_keys_of_another_type_are_told_with_their_file(tmp_path):
    for name, keys in (("a", ["p"]), ("b", [1])):
        pq.write_table(pa.table({"key": keys, "x": [1.0]}), tmp_path / f"{name}.parquet")
    with pytest.raises(MergeError, match=r"[ab]\.parquet: the keys in column 'key' are .* cast one of the two"):
        sn.fit(tmp_path, sn.TableNormalizer(by="key"))
    normalizer = sn.fit(tmp_path / "a.parquet", sn.TableNormalizer(by="key"))
    with pytest.raises(MergeError, match=r"b\.parquet: the keys in column 'key' are strings there and integers here"):
        sn.transform(normalizer, tmp_path / "b.parquet", tmp_path / "out.parquet")


def test_units_are_put_together_by_their_size():
    table = sn.TableNormalizer(by="key")
    units = [Unit(i, 1 << 25) for i in range(5)]
    assert [[unit.number for unit in some] for some in neighbours(units, table)] == [[0, 1], [2, 3], [4]]
    assert [len(some) for some in neighbours(units, sn.TableNormalizer())] == [1] * 5
    assert list(neighbours([], table)) == []


@pytest.mark.parametrize("kind", [[], {}, None, 1])
def test_a_state_of_no_class_is_refused(kind, tmp_path):
    path = tmp_path / "state.json"
    sn.save(fitted(pa.array(["a"])), path)
    document = json.loads(path.read_text())
    del document["checksum"]
    document["class"] = kind
    path.write_text(json.dumps({**document, "checksum": _checksum(document)}))
    with pytest.raises(StateError):
        sn.load(path)


def test_a_result_does_not_replace_the_keys():
    table = pa.table({"x_n": ["a", "a"], "x": [1.0, 2.0]})
    with pytest.raises(DataError, match="the result of column 'x' would replace 'x_n', which rows are grouped by"):
        sn.TableNormalizer(by="x_n", suffix="_n").fit(table)
    kept = sn.TableNormalizer(by="x_n", suffix="_s").fit(table).transform(table)
    assert kept.to_pydict() == {**table.to_pydict(), "x_s": [-1.0, 1.0]}


def test_means_at_both_ends_of_the_numbers():
    """Their distance is beyond float64."""
    from streamnorm.report.keys import changes_of
    from streamnorm.states.file import state_of

    high = pa.table({"key": ["a", "a"], "x": [1e308, 1.1e308]})
    low = high.set_column(1, "x", pa.array([-1e308, -1.1e308]))
    changes = changes_of(*(state_of(sn.TableNormalizer(by="key").fit(table)) for table in (high, low)))
    assert [(moved.key, moved.shift) for moved in changes.moved] == [("a", -np.inf)]
    assert changes.to_json()["moved"] == [{"key": "a", "column": "x", "shift": None}]


def test_a_stream_may_have_columns_of_any_type():
    """Its schema is told by a batch without rows, which not all of Arrow can make of every type."""
    kinds, places = pa.array([0, 0], pa.int8()), pa.array([0, 1], pa.int32())
    union = pa.UnionArray.from_dense(kinds, places, [pa.array(["p", "q"])])
    table = pa.table({"key": ["a", "a"], "x": [1.0, 2.0], "u": union})
    normalizer = sn.TableNormalizer(by="key").fit(table)
    assert normalizer.transform(table.to_reader()).read_all().equals(normalizer.transform(table))


def test_numbers_of_rows_that_cannot_be_added_are_refused(tmp_path):
    path = tmp_path / "state.json"
    sn.save(fitted(pa.array(["a", "b"]), "maxabs"), path)
    document = json.loads(path.read_text())
    del document["checksum"]
    most = base64.b64encode(np.full(2, 2**62, "<u8").tobytes()).decode()
    document["columns"][0]["summary"]["counts"] = {"values": {"width": 8, "data": most}}
    path.write_text(json.dumps({**document, "checksum": _checksum(document)}))
    with pytest.raises(StateError, match="more rows than 63 bits can count"):
        sn.load(path)


def test_keys_in_the_names_of_folders_are_said_to_be_no_columns(tmp_path):
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        pq.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / f"year={year}" / "a.parquet")
    with pytest.raises(DataError, match="no column 'year' to group by: 'year=2023' in its path names a folder"):
        sn.fit(tmp_path, sn.TableNormalizer(by="year"))
    with pytest.raises(DataError, match="no column 'month' to group by: the columns are 'x'"):
        sn.fit(tmp_path, sn.TableNormalizer(by="month"))
    pq.write_table(pa.table({"x": [1.0, 2.0], "year": [1, 2]}), tmp_path / "year=2023" / "a.parquet")
    with pytest.raises(DataError, match=r"2024.*no column 'year' to group by: 'year=2024' in its path names a folder"):
        sn.fit(tmp_path, sn.TableNormalizer(by="year"))


@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust"])
def test_many_keys_at_once(scaler, monkeypatch):
    """They are summarised some at a time: an infinity keeps its row, and the rest is the same."""
    rng = np.random.default_rng(0)
    table = pa.table({"key": rng.integers(0, 300, 3000), "x": rng.normal(size=3000), "y": rng.integers(0, 9, 3000)})
    whole = sn.TableNormalizer(scaler, by="key").fit(table)
    monkeypatch.setattr(grouping, "_KEYS_AT_ONCE", 7)
    assert sn.TableNormalizer(scaler, by="key").fit(table) == whole
    x = table["x"].to_numpy().copy()
    x[1234] = np.inf
    with pytest.raises(DataError, match=r"'x', row 1234"):
        sn.TableNormalizer(scaler, by="key").fit(table.set_column(1, "x", pa.array(x)))
