"""A state that knows its position: each range is counted once, and stands in the file with what it gave."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, MergeError, StateError
from streamnorm.states import Positions
from streamnorm.states.document import _checksum

RNG = np.random.default_rng(22)
TABLE = pa.table({"x": RNG.normal(size=100), "y": RNG.integers(0, 5, 100), "shop": ["a", "b"] * 50})
VECTORS = pa.table({"v": pa.array([[1.0, 2.0], None] * 50, pa.list_(pa.float32(), 2))})
KINDS = {
    "standard": sn.TableNormalizer,
    "every kind": lambda: sn.TableNormalizer("minmax", {"x": "robust"}, profile=True),
    "power": lambda: sn.TableNormalizer("power", suffix="_z"),
    "by key": lambda: sn.TableNormalizer("robust", by="shop", exclude="v"),
    "vectors": lambda: sn.TableNormalizer(columns={"v": "robust", "y": "drop"}),
}


def part(start: int, end: int, table: pa.Table = TABLE) -> pa.Table:
    return table.slice(start, end - start)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "state.json"


@pytest.mark.parametrize("kind", KINDS)
def test_streams_end_as_one_fit_does(kind, path):
    table = TABLE.append_column("v", VECTORS["v"])
    for end in (40, 100):
        with sn.following(path, KINDS[kind]()) as state:
            start = state.position("t/0")
            assert state.add(part(start, end, table), {"t/0": (start, end)})
            assert state.transform(table) == state.normalizer.transform(table)
    loaded, whole = sn.load(path), KINDS[kind]().fit(table)
    assert loaded == whole
    assert loaded.digest() == whole.digest()
    assert loaded.transform(table) == whole.transform(table)
    assert sn.loads(sn.dumps(loaded)).positions_ == loaded.positions_
    assert sn.dumps(loaded) == path.read_text()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("make", [sn.StandardScaler, sn.RobustScaler, lambda: sn.AdaptiveStandardScaler(50)])
def test_scalers_of_arrays_follow_too(make, path):
    rows = RNG.normal(size=(100, 3))
    for start, end in ((0, 30), (30, 100)):
        with sn.following(path, make()) as state:
            assert state.position("t") == start
            state.add(rows[start:end], {"t": (start, end)})
    assert sn.load(path) == make().partial_fit(rows[:30]).partial_fit(rows[30:])
    assert sn.load(path).positions_.of("t").ranges == ((0, 100),)


DELIVERED = {
    "again": [((10, 20), False), ((12, 15), False), ((0, 10), False), ((0, 20), False)],
    "half": [((10, 21), "deliver what is from 20 on alone"), ((0, 100), "deliver what is from 20 on alone")],
    "with a gap": [((21, 30), "does not begin where what was counted ends, at 20")],
    "out of order": [((30, 40), "at 20: deliver what lies between first"), ((20, 30), True), ((30, 40), True)],
    "nothing": [((20, 20), "got 't/0': \\(20, 20\\)"), ((25, 20), "two integers"), ((-1, 3), "two integers")],
    "no integers": [((20, 30.0), "two integers"), ((True, 30), "two integers"), ((20, 1 << 63), "two integers")],
}


@pytest.mark.parametrize("case", DELIVERED)
def test_ranges_that_are_delivered(case, path):
    with sn.following(path) as state:
        state.add(part(0, 20), {"t/0": (0, 20)})
        counted = 20
        for (start, end), outcome in DELIVERED[case]:
            before = state.normalizer.digest(), state.positions
            if isinstance(outcome, str):
                with pytest.raises(DataError, match=outcome):
                    state.add(part(0, 7), {"t/0": (start, end)})
            else:
                assert state.add(part(start, end), {"t/0": (start, end)}) is outcome
                counted = max(counted, end)
            if outcome is not True:
                assert (state.normalizer.digest(), state.positions) == before
        assert state.positions == {"t/0": ((0, counted),)}
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, counted))


def test_several_streams_in_one_batch(path):
    with sn.following(path) as state:
        assert state.add(part(0, 30), {"t/0": (5, 25), "t/1": (7, 17)})
        assert not state.add(part(0, 30), {"t/1": (7, 17), "t/0": (5, 25)})
        with pytest.raises(DataError, match="t/0: the range 5 to 24 was counted before, and the range 17 to 18 of t/1"):
            state.add(part(0, 30), {"t/0": (5, 25), "t/1": (17, 19)})
        with pytest.raises(DataError, match="got none"):
            state.add(part(0, 30), {})
        assert (state.position("t/0"), state.position("t/1"), state.position("t/2", 3)) == (25, 17, 3)


def test_a_batch_that_cannot_be_learnt_from_moves_nothing(path):
    with sn.following(path) as state:
        state.add(part(0, 50), {"t": (0, 50)})
        for bad in (pa.table({"x": [1.0]}), TABLE.set_column(0, "x", pa.array([np.inf] * 100))):
            with pytest.raises(DataError):
                state.add(bad, {"t": (50, 60)})
        assert state.position("t") == 50
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, 50))


def test_gaps_within_a_range_are_ordinary_and_what_was_passed_over_is_told(path, capsys):
    with sn.following(path) as state:
        state.add(part(0, 10), {"t/0": (0, 1000)}, apart={"t/0": {"tombstone": 3}})
        state.add(None, {"t/0": (1000, 1001)}, apart={"t/0": {"tombstone": 1, "unreadable message": 2}})
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, 10))
    shown = streamnorm(capsys, "show", path).out
    assert "1 stream; digest" in shown
    assert "t/0: 0 to 1,000 counted; passed over: 4 tombstones, 2 unreadable messages" in shown
    told = json.loads(streamnorm(capsys, "show", path, "--json").out)
    assert told["positions"] == {"t/0": {"ranges": [[0, 1001]], "apart": {"tombstone": 4, "unreadable message": 2}}}


def test_a_mark_is_where_the_source_goes_on(path):
    with sn.following(path) as state:
        state.add(part(0, 10), {"t": (0, 10)}, marks={"t": {"shard": 1, "row": [3]}})
        assert not state.add(part(0, 10), {"t": (0, 10)}, marks={"t": "another"})
    with sn.following(path) as state:
        assert state.mark("t") == {"shard": 1, "row": [3]}
        assert state.mark("u", 5) == 5
        for marks in ({"t": object()}, {"t": float("nan")}, {"u": 1}):
            with pytest.raises(DataError):
                state.add(part(10, 20), {"t": (10, 20)}, marks=marks)
        state.add(part(10, 20), {"t": (10, 20)})
        assert state.mark("t") is None  # it would be that of another place


# ---- saving ----


def test_saved_every_so_often_and_at_the_end(path):
    with sn.following(path) as state:
        assert not state.save()  # nothing was learnt
        state.add(part(0, 10), {"t": (0, 10)})
        assert not state.save(every=60)
        assert not path.exists()
        assert state.save()
        first = path.read_bytes()
        assert not state.save()  # nothing has changed
        state.add(part(10, 20), {"t": (10, 20)})
        time.sleep(0.02)
        assert state.save(every=0.01)
        assert path.read_bytes() != first
        state.add(part(20, 30), {"t": (20, 30)})
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, 30))


def test_an_error_leaves_what_was_saved_last(path):
    def break_off():
        with sn.following(path) as state:
            state.add(part(0, 10), {"t": (0, 10)})
            state.save()
            state.add(part(10, 20), {"t": (10, 20)})
            raise RuntimeError("the output broke")

    with pytest.raises(RuntimeError, match="broke"):
        break_off()
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, 10))
    with sn.following(path) as state:
        assert state.position("t") == 10


def test_results_by_the_statistics_that_were_saved(path):
    with sn.following(path) as state:
        state.add(part(0, 10), {"t": (0, 10)})
        with pytest.raises(DataError, match="was not saved yet"):
            state.transform(TABLE, saved=True)
        state.save()
        state.add(part(10, 20), {"t": (10, 20)})
        assert state.transform(TABLE, saved=True) == sn.TableNormalizer().fit(part(0, 10)).transform(TABLE)
        assert state.transform(TABLE) == sn.TableNormalizer().fit(part(0, 20)).transform(TABLE)


def test_what_the_state_begins_with_is_not_changed(path):
    given = sn.TableNormalizer().fit(part(0, 10))
    digest = given.digest()
    with sn.following(path, given) as state:
        state.add(part(10, 20), {"t": (10, 20)})
    assert given.digest() == digest
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, 20))


def test_other_columns_or_scalers_than_the_state_has_are_refused(path):
    with sn.following(path, sn.TableNormalizer("minmax")) as state:
        state.add(part(0, 10), {"t": (0, 10)})
    before = path.read_bytes()
    for other in (sn.TableNormalizer("robust"), sn.TableNormalizer("minmax", exclude="y"), sn.StandardScaler()):
        with pytest.raises(DataError, match="ask for none"), sn.following(path, other) as state:
            state.add(part(10, 20), {"t": (10, 20)})
    with pytest.raises(DataError, match="ask for none"), sn.following(path, sn.TableNormalizer("minmax", suffix="_z")):
        pass
    assert path.read_bytes() == before
    for same in (sn.TableNormalizer("minmax"), sn.TableNormalizer(None, {"*": "minmax"}, exclude="shop"), None):
        with sn.following(path, same) as state:
            start = state.position("t")
            state.add(part(start, start + 10), {"t": (start, start + 10)})
    assert sn.load(path) == sn.TableNormalizer("minmax").fit(part(0, 40))


def test_batches_from_several_threads(path):
    with sn.following(path) as state:
        threads = [
            threading.Thread(target=lambda i=i: [state.add(part(j, j + 1), {f"t/{i}": (j, j + 1)}) for j in range(100)])
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            state.save()
        for thread in threads:
            thread.join()
    assert sn.load(path) == sn.TableNormalizer().fit(pa.concat_tables([TABLE] * 4))


# ---- one at a time ----


@pytest.mark.skipif(sys.platform == "win32", reason="knows no such locks")
def test_the_second_follower_is_told(path, capsys):
    pq.write_table(TABLE, path.with_name("a.parquet"))
    with sn.following(path) as state:
        with pytest.raises(StateError, match="being updated by another process"), sn.following(path):
            pass  # not even where there is no state yet
        for start in (0, 10):
            state.add(part(start, start + 10), {"t": (start, start + 10)})
            state.save()  # another file takes the name, which is held too
            with pytest.raises(StateError, match="being updated by another process"), sn.following(path):
                pass
            result = streamnorm(capsys, "fit", path.with_name("a.parquet"), "--state", path, "--update")
            assert "being updated by another process" in result.err
        path.with_name("link").symlink_to(path)
        with pytest.raises(StateError, match="being updated"), sn.following(path.with_name("link")):
            pass
    with sn.following(path) as state:
        assert state.position("t") == 20


def test_a_state_that_another_process_has_replaced_stays(path):
    other = sn.TableNormalizer().fit(part(50, 60))
    with pytest.raises(StateError, match="written by another process meanwhile"), sn.following(path) as state:
        state.add(part(0, 10), {"t": (0, 10)})
        state.save()
        sn.save(other, path)
        state.add(part(10, 20), {"t": (10, 20)})
    assert sn.load(path) == other


def test_following_imports_no_scikit_learn(path):
    code = (
        "import sys, pyarrow as pa, streamnorm as sn\n"
        "for end in (2, 4):\n"
        f"    with sn.following({str(path)!r}) as state:\n"
        "        state.add(pa.table({'x': [1.0, 2.0]}), {'t': (end - 2, end)})\n"
        "        state.transform(pa.table({'x': [1.0, 2.0]}))\n"
        "print(sorted({'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


# ---- beside files and other states ----


def counted(path: Path, start: int, end: int, name: str = "t/0") -> Path:
    with sn.following(path) as state:
        state.add(part(start, end), {name: (start, end)})
    return path


def test_states_of_disjoint_ranges_merge_and_others_are_refused(tmp_path, capsys):
    first, last = counted(tmp_path / "a.json", 0, 30), counted(tmp_path / "b.json", 60, 100)
    middle, over = counted(tmp_path / "c.json", 30, 60), counted(tmp_path / "d.json", 29, 40)
    assert streamnorm(capsys, "merge", first, last, "--output", tmp_path / "m.json").code == 0
    merged = sn.load(tmp_path / "m.json")
    assert merged == sn.TableNormalizer().fit(pa.concat_tables([part(0, 30), part(60, 100)]))
    result = streamnorm(capsys, "merge", tmp_path / "m.json", over, "--output", tmp_path / "n.json")
    assert (result.code, "both states have counted the range 29 to 29 of t/0" in result.err) == (1, True)
    assert not (tmp_path / "n.json").exists()
    with sn.following(tmp_path / "m.json") as state:
        assert state.position("t/0") == 30  # the hole comes first
        assert state.uncounted("t/0", 20, 120) == [(30, 60), (100, 120)]
        with pytest.raises(DataError, match="deliver what is before 60 alone"):
            state.add(part(30, 60), {"t/0": (30, 61)})
    assert streamnorm(capsys, "merge", tmp_path / "m.json", middle, "--output", tmp_path / "w.json").code == 0
    assert sn.load(tmp_path / "w.json") == sn.TableNormalizer().fit(TABLE)
    assert sn.load(tmp_path / "w.json").positions_.of("t/0").ranges == ((0, 100),)


def test_files_and_streams_in_one_state(path, capsys, monkeypatch):
    monkeypatch.chdir(path.parent)
    counted(path, 0, 30)
    for name, start, end in (("a", 30, 60), ("b", 60, 100)):
        pq.write_table(part(start, end), f"{name}.parquet")
        assert streamnorm(capsys, "fit", f"{name}.parquet", "--state", path, "--update").code == 0
    assert sn.load(path) == sn.TableNormalizer().fit(TABLE)
    assert len(sn.load(path).sources_) == 2
    for words in (("verify", path, "a.parquet"), ("fit", "a.parquet", "--state", path, "--rebuild")):
        result = streamnorm(capsys, *words)
        assert result.code == 1
        assert "has counted streams too (t/0)" in result.err
    assert streamnorm(capsys, "forget", path, "b.parquet").code == 0
    with sn.following(path) as state:
        assert state.position("t/0") == 30
        state.add(part(60, 100), {"t/0": (30, 70)})
    assert sn.load(path) == sn.TableNormalizer().fit(TABLE)
    fitted = sn.fit("b.parquet", state=path, update=True)
    assert fitted.positions_.of("t/0").ranges == ((0, 70),)


def test_a_normalizer_that_learns_anew_or_is_added_up_has_counted_nothing(path):
    counted(path, 0, 30)
    for other in (sn.load(path).fit(TABLE), sn.load(path) + sn.load(path)):
        assert "positions" not in sn.dumps(other)
    with sn.following(path.with_name("s.json"), sn.StandardScaler()) as state:
        state.add(TABLE.select(["x"]), {"t": (0, 1)})
    scaler = sn.load(path.with_name("s.json"))
    for other in (scaler + scaler, scaler.fit(TABLE.select(["x"]))):
        assert "positions" not in sn.dumps(other)


# ---- the format ----


def test_states_without_positions_are_as_they_were(path):
    plain = sn.TableNormalizer().fit(TABLE)
    sn.save(plain, path)
    with sn.following(path.with_name("s.json"), sn.TableNormalizer()) as state:
        state.add(TABLE, {"t": (0, 100)})
    assert json.loads(path.read_text())["version"] == 1
    assert json.loads(path.with_name("s.json").read_text())["version"] == 3
    assert sn.load(path) == sn.load(path.with_name("s.json"))


def signed(document: dict) -> str:
    document.pop("checksum")
    return json.dumps({**document, "checksum": _checksum(document)})


WRONG = {
    "not ascending": {"t": {"ranges": [[5, 9], [0, 3]]}},
    "touching": {"t": {"ranges": [[0, 3], [3, 5]]}},
    "empty": {"t": {"ranges": [[3, 3]]}},
    "negative": {"t": {"ranges": [[-3, 3]]}},
    "no pair": {"t": {"ranges": [[1, 2, 3]]}},
    "no integers": {"t": {"ranges": [[0, 1.5]]}},
    "something else": {"t": {"ranges": [[0, 1]], "path": "/"}},
    "passed over a text": {"t": {"ranges": [[0, 1]], "apart": {"bad": "1"}}},
    "a list": [],
}


@pytest.mark.parametrize("case", WRONG)
def test_positions_that_cannot_be(case, path):
    document = json.loads(counted(path, 0, 10).read_text())
    path.write_text(signed(dict(document)))
    assert sn.load(path) == sn.TableNormalizer().fit(part(0, 10))
    path.write_text(signed({**document, "positions": WRONG[case]}))
    with pytest.raises(StateError, match=r"state\.json"):
        sn.load(path)


def test_positions_belong_to_version_3(path):
    document = json.loads(counted(path, 0, 10).read_text())
    without = {name: value for name, value in document.items() if name != "positions"}
    for wrong in ({**document, "version": 2}, without):
        path.write_text(signed(dict(wrong)))
        with pytest.raises(StateError, match="positions"):
            sn.load(path)


@pytest.mark.parametrize("data", [b"\xff", b"{", "", "[]", b"null"])
def test_no_state_is_loaded_from_what_is_none(data):
    with pytest.raises(StateError, match=r"what was given|this is no state"):
        sn.loads(data)


def test_bytes_are_read_as_text_is(path):
    counted(path, 0, 10)
    assert sn.loads(path.read_bytes()) == sn.loads(path.read_text()) == sn.load(path)
    scaler = sn.BatchNormalizer().partial_fit(RNG.normal(size=(10, 2)))
    assert sn.loads(sn.dumps(scaler)) == scaler


def test_positions_of_two_states_add_in_any_order():
    one, two = (Positions().counting({"t": pair}, {"t": {"bad": 1}}, {"t": pair[0]}) for pair in ((0, 5), (5, 9)))
    assert one + two == two + one
    assert (one + two).of("t").mark == 5  # that of the end of the first range
    assert one + Positions() == one
    with pytest.raises(MergeError, match="the range 0 to 4 of t"):
        one + one


def test_a_save_costs_little_beyond_the_disk(tmp_path):
    table = pa.table({f"c{i}": RNG.normal(size=50_000) for i in range(16)})
    with sn.following(tmp_path / "state.json", sn.TableNormalizer("robust")) as state:
        state.add(table, {"t": (0, 1)})
        took = []
        for start in range(1, 8):
            state.add(table.slice(start, 1), {"t": (start, start + 1)})
            began = time.thread_time()
            assert state.save()
            took.append(time.thread_time() - began)
    assert min(took) < 0.05  # of the processor; 0.008 s on a quiet machine
    assert (tmp_path / "state.json").stat().st_size < 800_000
