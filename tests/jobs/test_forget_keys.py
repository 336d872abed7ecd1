"""A key that is taken out of a state is gone as if its rows had never been, in whatever sources they stood."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, StateError
from streamnorm.rules.family import FAMILY

RNG = np.random.default_rng(3)
ROWS = 400
TABLE = pa.table(
    {
        "episode": RNG.integers(15, 20, ROWS),
        "x": RNG.lognormal(0, 2, ROWS),
        "v": pa.FixedSizeListArray.from_arrays(pa.array(RNG.normal(size=2 * ROWS)), 2),
    }
)


def rows_of(table: pa.Table, *keys: int) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["episode"], pa.array(keys, pa.int64()))))


def normalizer(scaler="standard", **options):
    return sn.TableNormalizer(scaler, by="episode", **options)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    for i, path in enumerate(paths):
        pq.write_table(TABLE.slice(100 * i, 100), path)
    return paths


@pytest.mark.parametrize("vectors", ["element", "whole"])
@pytest.mark.parametrize("scaler", sorted(FAMILY))
def test_every_scaler_forgets_a_key(scaler, vectors):
    fitted = normalizer(scaler, vectors=vectors, profile=True).fit(TABLE)
    before = fitted.digest()
    less = fitted.without(17)
    alone = normalizer(scaler, vectors=vectors, profile=True).fit(rows_of(TABLE, 17))
    assert less == alone
    assert less.digest() == alone.digest() != before == fitted.digest()
    assert less.transform(TABLE).equals(alone.transform(TABLE))  # rows of 17 by those of all others
    assert less.without(15, 19, 19) == normalizer(scaler, vectors=vectors, profile=True).fit(rows_of(TABLE, 15, 17, 19))
    assert fitted.without() == fitted
    assert type(less) is sn.TableNormalizer
    assert less.get_params() == fitted.get_params()


def test_keys_are_named_as_they_are():
    day = datetime.date(2026, 12, 1)
    table = pa.table({"day": [day, None, day], "shop": ["a", "null", None], "x": [1.0, 2.0, 3.0]})
    fitted = sn.TableNormalizer(by=["day", "shop"]).fit(table)
    assert fitted.without((day, "a"), [None, "null"]) == sn.TableNormalizer(by=["day", "shop"]).fit(table.slice(2))
    assert fitted.without((day, None)) == sn.TableNormalizer(by=["day", "shop"]).fit(table.slice(0, 2))
    with pytest.raises(DataError, match="a word for each of day, shop: got 1"):
        fitted.without(day)
    with pytest.raises(DataError, match="there is no key 'null, b'"):
        fitted.without((None, "b"))
    with pytest.raises(DataError, match=r"there is no key '21'"):
        normalizer().fit(TABLE).without(21)
    with pytest.raises(DataError, match=r"'17\.5' is no integer"):
        normalizer().fit(TABLE).without(17.5)
    with pytest.raises(DataError, match=r"no keys here: fit with by"):
        sn.TableNormalizer(exclude="day").fit(table).without("a")
    with pytest.raises(DataError, match="not fitted"):
        normalizer().without(17)


@pytest.mark.parametrize("keep", [(), ("--keep-parts",)])
@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust"])
def test_a_key_is_gone_from_a_state_and_files_are_forgotten_after(tmp_path, capsys, files, scaler, keep):
    state = tmp_path / "state.json"
    words = ["--by", "episode", "--scaler", scaler, *keep]
    assert streamnorm(capsys, "fit", *files[:2], "--state", state, *words).code == 0
    done = streamnorm(capsys, "forget", state, "--key", 17, "--key", 15)
    assert (done.code, done.out, done.err) == (0, "", f"{state}: forgot 2 keys\n")
    whole = pq.read_table(files[:2])
    assert sn.load(state) == normalizer(scaler).fit(rows_of(whole, 15, 17))
    assert "2 keys taken out since" in streamnorm(capsys, "show", state).out
    verified = streamnorm(capsys, "verify", state, *files[:2])
    assert (verified.code, verified.err) == (0, "")
    # A file that is counted later has rows of them again.
    assert streamnorm(capsys, "fit", files[2], "--state", state, "--update").code == 0
    both = pa.concat_tables([rows_of(whole, 15, 17), pq.read_table(files[2])])
    assert sn.load(state) == normalizer(scaler).fit(both)
    assert streamnorm(capsys, "verify", state, *files).code == 0
    gone = streamnorm(capsys, "forget", state, files[0])
    if scaler == "minmax" and not keep:
        assert gone.code == 1
        assert "cannot" in gone.err
        return
    assert gone.code == 0, gone.err
    rest = pa.concat_tables([rows_of(pq.read_table(files[1]), 15, 17), pq.read_table(files[2])])
    assert sn.load(state) == normalizer(scaler).fit(rest)
    assert streamnorm(capsys, "forget", state, "--key", 17, "--quiet").err == ""
    assert streamnorm(capsys, "verify", state, *files[1:]).code == 0
    assert sn.load(state) == normalizer(scaler).fit(rows_of(rest, 17))


def test_states_with_keys_taken_out_are_merged(tmp_path, capsys, files):
    one, other, both = (tmp_path / f"{name}.json" for name in ("one", "other", "both"))
    assert streamnorm(capsys, "fit", files[0], "--state", one, "--by", "episode").code == 0
    assert streamnorm(capsys, "fit", files[1], "--state", other, "--by", "episode").code == 0
    assert streamnorm(capsys, "forget", one, "--key", 17).code == 0
    assert streamnorm(capsys, "merge", one, other, "--output", both).code == 0
    rest = pa.concat_tables([rows_of(pq.read_table(files[0]), 17), pq.read_table(files[1])])
    assert sn.load(both) == normalizer().fit(rest)
    assert streamnorm(capsys, "verify", both, *files[:2]).code == 0
    sources = json.loads(both.read_text())["sources"]
    assert sources[0]["without"]["columns"] == [{"name": "episode", "type": "integer", "values": [17]}]
    assert "without" not in sources[1]


def test_the_last_key_leaves_an_empty_state(tmp_path, capsys):
    pq.write_table(pa.table({"episode": [1, 1], "x": [1.0, 2.0]}), tmp_path / "a.parquet")
    state = tmp_path / "state.json"
    assert streamnorm(capsys, "fit", tmp_path / "a.parquet", "--state", state, "--by", "episode").code == 0
    assert streamnorm(capsys, "forget", state, "--key", 1).code == 0
    assert "no key" in streamnorm(capsys, "show", state).out
    assert streamnorm(capsys, "verify", state, tmp_path / "a.parquet").code == 0


def test_what_cannot_be_forgotten_is_told_and_changes_nothing(tmp_path, capsys, files):
    plain, keyed = tmp_path / "plain.json", tmp_path / "keyed.json"
    assert streamnorm(capsys, "fit", files[0], "--state", plain).code == 0
    assert streamnorm(capsys, "fit", files[0], "--state", keyed, "--by", "episode").code == 0
    before = keyed.read_bytes()
    told = streamnorm(capsys, "forget", plain, "--key", 17)
    assert (told.code, "has no keys: it was fitted without --by" in told.err) == (1, True)
    told = streamnorm(capsys, "forget", keyed, "--key", 99)
    assert (told.code, "there is no key '99'" in told.err) == (1, True)
    told = streamnorm(capsys, "forget", keyed, "--key", 17, "--key", "x")
    assert (told.code, "'x' is no integer" in told.err) == (1, True)
    for words in ([keyed], [keyed, files[0], "--key", 17]):
        told = streamnorm(capsys, "forget", *words)
        assert (told.code, "one of the two" in told.err) == (2, True)
    assert keyed.read_bytes() == before
    damaged = json.loads(keyed.read_text())
    damaged["sources"][0]["without"] = {"count": 1, "columns": []}
    keyed.write_text(json.dumps(damaged))
    with pytest.raises(StateError):
        sn.load(keyed)


def test_a_stream_forgets_a_key_and_goes_on(tmp_path):
    state = tmp_path / "state.json"
    with sn.following(state, normalizer()) as following:
        following.add(TABLE.slice(0, 100), {"topic/0": (0, 100)})
    from streamnorm.jobs import forget_keys

    assert forget_keys(state, ["17"]) == 1
    with sn.following(state, normalizer()) as following:
        assert following.position("topic/0") == 100
        following.add(TABLE.slice(100, 100), {"topic/0": (100, 200)})
    rest = pa.concat_tables([rows_of(TABLE.slice(0, 100), 17), TABLE.slice(100, 100)])
    assert sn.load(state) == normalizer().fit(rest)


def test_a_state_that_follows_a_table_says_where_rows_are_deleted(tmp_path, capsys):
    deltalake = pytest.importorskip("deltalake", reason="needs the extra 'delta'")
    deltalake.write_deltalake(tmp_path / "lake", TABLE.drop_columns("v"))
    state = tmp_path / "state.json"
    assert streamnorm(capsys, "fit", tmp_path / "lake", "--state", state, "--by", "episode").code == 0
    told = streamnorm(capsys, "forget", state, "--key", 17)
    assert (told.code, "delete the rows there" in told.err) == (1, True)


def test_a_file_that_was_touched_or_moved_keeps_what_was_taken_out(tmp_path, capsys, files):
    state = tmp_path / "state.json"
    assert streamnorm(capsys, "fit", files[0], "--state", state, "--by", "episode").code == 0
    assert streamnorm(capsys, "forget", state, "--key", 17).code == 0
    files[0] = files[0].rename(tmp_path / "moved.parquet")
    assert streamnorm(capsys, "fit", *files[:2], "--state", state, "--update").code == 0
    assert streamnorm(capsys, "verify", state, *files[:2]).code == 0
    rest = pa.concat_tables([rows_of(pq.read_table(files[0]), 17), pq.read_table(files[1])])
    assert sn.load(state) == normalizer().fit(rest)
    assert streamnorm(capsys, "fit", *files[:2], "--state", state, "--rebuild").code == 0
    assert sn.load(state) == normalizer().fit(pq.read_table(files[:2]))
