"""Vectors by key: each key's statistics are those of its rows alone, element by element."""

from __future__ import annotations

import json
import pickle

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, InfiniteValueError, MergeError, StateError, UnseenKeyError
from streamnorm.rules.family import FAMILY
from streamnorm.states.document import signed

ROWS, KEYS, WIDTH = 600, 7, 3
STATE = pa.list_(pa.float32(), WIDTH)


def episodes(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Robots' steps: a state of fixed size with null vectors and missing elements, an action in lists of one length."""
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 1, (rows, WIDTH)).astype(np.float32)
    values[rng.random((rows, WIDTH)) < 0.05] = np.nan
    flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH, mask=pa.array(rng.random(rows) < 0.1))
    actions = pa.array(rng.normal(1e6, 1, (rows, 2)).tolist(), pa.list_(pa.float64()))
    keys = rng.integers(0, KEYS, rows)
    return pa.table({"episode_index": keys, "state": flat, "action": actions, "note": ["kept"] * rows})


TABLE = episodes()


def normalizer(scaler="standard", **options):
    return sn.TableNormalizer(scaler, {"action": scaler}, by="episode_index", **options)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Compare to the bit; NaN is NaN, which Arrow's `equals` denies."""
    return one.schema == other.schema and repr(one.to_pydict()) == repr(other.to_pydict())


def of_key(table: pa.Table, key: int) -> pa.Table:
    return table.filter(pc.equal(table["episode_index"], key))


@pytest.mark.parametrize("vectors", ["element", "whole"])
@pytest.mark.parametrize("scaler", sorted(FAMILY))
def test_each_key_is_mapped_as_its_rows_alone_would_be(scaler, vectors):
    fitted = normalizer(scaler, vectors=vectors).fit(TABLE)
    mapped = fitted.transform(TABLE)
    assert mapped.schema == TABLE.schema
    for key in range(KEYS):
        own = of_key(TABLE, key)
        alone = sn.TableNormalizer(scaler, {"action": scaler}, exclude="episode_index", vectors=vectors).fit(own)
        expected = alone.transform(own)
        assert same(of_key(mapped, key), expected)
        assert same(fitted.inverse_transform(expected), alone.inverse_transform(expected))


def test_the_statistics_are_those_of_plain_columns():
    flat = {f"state[{i}]": pc.list_element(TABLE["state"], i) for i in range(WIDTH)}
    plain = sn.TableNormalizer("robust", by="episode_index").fit(
        pa.table({"episode_index": TABLE["episode_index"], **flat})
    )
    fitted = sn.TableNormalizer("robust", by="episode_index").fit(TABLE.select(["episode_index", "state"]))
    group, _ = fitted.learnt.columns()["state"]
    assert group.slot_names == tuple(plain.learnt.types)
    for mine, theirs in zip(group.summary.columns, plain.learnt.keyed.columns, strict=True):
        assert mine.take(group.summary.keys.order) == theirs.take(plain.learnt.keyed.keys.order)


@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_any_cut_and_order_give_one_state_that_is_written_and_read(vectors):
    whole = normalizer("robust", vectors=vectors, profile=True).fit(TABLE)
    parts = [normalizer("robust", vectors=vectors, profile=True).fit(part) for part in TABLE.to_batches(83)]
    assert sum(parts[::-1]) == whole == sum(parts)
    assert sum(parts).digest() == whole.digest()
    assert sum(parts) - sum(parts[3:]) == sum(parts[:3])
    assert sn.loads(sn.dumps(whole)) == whole == pickle.loads(pickle.dumps(whole))
    assert same(sn.loads(sn.dumps(whole)).transform(TABLE), whole.transform(TABLE))


def test_the_state_of_vectors_with_other_widths_is_refused():
    document = json.loads(sn.dumps(normalizer().fit(TABLE)))
    document.pop("checksum")
    document["columns"][0]["vector"]["width"] = 4
    with pytest.raises(StateError, match=r"'state' has 3 statistics for 4 elements"):
        sn.loads(
            signed({name: value for name, value in document.items() if name not in ("format", "version")}, None, 2)
        )


def test_steps_come_before_and_after():
    recipe = {"by": "episode_index", "columns": {"state": {"log1p": True, "clip_result": [-1, 1]}}, "default": "none"}
    mapped = sn.TableNormalizer.from_recipe(recipe).fit(TABLE).transform(TABLE)
    del recipe["by"]
    for key in range(KEYS):
        own = of_key(TABLE, key)
        assert same(of_key(mapped, key), sn.TableNormalizer.from_recipe(recipe).fit(own).transform(own))


@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_keys_that_are_new(vectors):
    new = TABLE.slice(0, 4).set_column(0, "episode_index", pa.array([0, 99, None, 1]))
    given = new["action"].to_pylist()
    everywhere = sn.TableNormalizer(None, {"action": "standard"}, vectors=vectors).fit(TABLE)
    for_all = everywhere.transform(new)["action"].to_pylist()

    def mapped(unseen):
        return normalizer(vectors=vectors, unseen=unseen).fit(TABLE).transform(new)

    assert mapped("global")["action"].to_pylist()[1:3] == for_all[1:3]
    assert mapped("null")["action"].to_pylist()[1:3] == [None, None]
    assert mapped("null")["state"].is_null().to_pylist()[1:3] == [True, True]
    assert mapped("keep")["action"].to_pylist()[1:3] == given[1:3]
    assert mapped("null")["action"].to_pylist()[::3] == mapped("global")["action"].to_pylist()[::3]
    with pytest.raises(UnseenKeyError, match="99"):
        mapped("error")


def test_keys_of_few_values_use_those_of_all_rows_element_by_element():
    values = [[1.0, float("nan")], [3.0, 5.0], [5.0, 9.0]]
    table = pa.table({"k": ["a", "a", "b"], "v": pa.array(values, pa.list_(pa.float64(), 2))})
    mapped = sn.TableNormalizer(by="k", min_count=2).fit(table).transform(table)["v"].to_pylist()
    assert mapped[0][0] == -1.0
    assert mapped[1] == [1.0, -1.0]  # the second element of a has one value, and uses the mean 7 and deviation 2 of all
    assert mapped[2][1] == 1.0


def test_vectors_whose_length_the_first_rows_do_not_tell():
    unknown = pa.table({"k": ["a"], "v": pa.nulls(1, pa.list_(pa.float64()))})
    known = pa.table({"k": ["a", "b"], "v": [[1.0, 2.0], [3.0, 4.0]]})
    for vectors in ("element", "whole"):
        make = lambda v=vectors: sn.TableNormalizer(None, {"v": "standard"}, by="k", vectors=v)  # noqa: E731
        one, other = make().fit(unknown).partial_fit(known), make().fit(known).partial_fit(unknown)
        assert one == other == make().fit(pa.concat_tables([known, unknown]))
        assert list(make().fit(unknown).learnt.rows_of_keys) == [1]
        assert sorted(one.learnt.rows_of_keys) == [1, 2]
        assert make().fit(known).transform(unknown)["v"].to_pylist() == [None]


def test_errors_name_element_and_row():
    rows = [[1.0, 2.0], [3.0, float("inf")], [float("inf"), 1.0]]
    table = pa.table({"k": ["b", "a", "b"], "v": pa.array(rows, pa.list_(pa.float64(), 2))})
    with pytest.raises(InfiniteValueError, match=r"'v\[0\]'.*row 2"):
        sn.TableNormalizer(by="k").fit(table)
    with pytest.raises(InfiniteValueError, match=r"'v'.*row [12]"):
        sn.TableNormalizer(by="k", vectors="whole").fit(table)
    fitted = sn.TableNormalizer(by="k").fit(table.slice(0, 1))
    with pytest.raises(InfiniteValueError, match=r"row [12]"):
        fitted.transform(table)
    with pytest.raises(InfiniteValueError, match=r"row 1"):
        sn.TableNormalizer(by="k", vectors="whole").fit(table.slice(0, 1)).transform(table)
    assert sn.TableNormalizer(by="k", infinite="skip").fit(table).transform(table).num_rows == 3
    longer = pa.table({"k": ["a"], "v": pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float64(), 3))})
    for other in (fitted.partial_fit, fitted.transform):
        with pytest.raises(DataError, match=r"vectors of 3 numbers where 2 were expected"):
            other(longer)
    with pytest.raises(MergeError, match="2 numbers in one and of 3"):
        fitted + sn.TableNormalizer(by="k").fit(longer)


def test_frames_give_what_tables_give():
    fitted = normalizer().fit(TABLE)
    expected = fitted.transform(TABLE)
    frame = TABLE.to_pandas(types_mapper=lambda kind: __import__("pandas").ArrowDtype(kind))
    assert normalizer().fit(frame) == fitted
    assert same(pa.Table.from_pandas(fitted.transform(frame), TABLE.schema, preserve_index=False), expected)
    polars = pl.from_arrow(TABLE.drop_columns("state"))
    rest = normalizer().fit(polars)
    assert rest.transform(polars)["action"].to_list() == expected["action"].to_pylist()


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_files_give_the_state_of_memory(tmp_path, capsys, ending):
    (tmp_path / "in").mkdir()
    for i, part in enumerate((TABLE.slice(0, 200), TABLE.slice(200, 150), TABLE.slice(350))):
        if ending == ".parquet":
            pq.write_table(part, tmp_path / "in" / f"{i}{ending}", row_group_size=64)
        else:
            with pa.ipc.new_file(tmp_path / "in" / f"{i}{ending}", part.schema) as sink:
                sink.write_table(part, max_chunksize=50)
    whole, state = normalizer().fit(TABLE), tmp_path / "state.json"
    assert sn.fit(tmp_path / "in", normalizer(), state=state, threads=2) == whole == sn.load(state)
    assert streamnorm(capsys, "verify", state, tmp_path / "in").code == 0
    written = sn.transform(state, tmp_path / "in", tmp_path / "out")
    read = pq.read_table if ending == ".parquet" else lambda path: pa.ipc.open_file(path).read_all()
    assert same(pa.concat_tables(map(read, written)), whole.transform(TABLE))
    back = sn.transform(state, tmp_path / "out", tmp_path / "back", inverse=True)
    assert same(pa.concat_tables(map(read, back)), whole.inverse_transform(whole.transform(TABLE)))


def test_the_commands_take_vectors_by_key(tmp_path, capsys):
    days = [tmp_path / f"{day}.parquet" for day in ("monday", "tuesday")]
    for path, part in zip(days, (TABLE.slice(0, 300), TABLE.slice(300)), strict=True):
        pq.write_table(part, path)
    both, one, other = (tmp_path / f"{name}.json" for name in ("both", "one", "other"))
    words = ["--by", "episode_index", "--scale", "action=standard", "--profile"]
    assert streamnorm(capsys, "fit", days[0], "--state", both, *words, "--keep-parts").code == 0
    assert streamnorm(capsys, "fit", days[1], "--state", both, "--update").code == 0
    assert sn.load(both) == normalizer(profile=True).fit(TABLE)
    for day, state in zip(days, (one, other), strict=True):
        assert streamnorm(capsys, "fit", day, "--state", state, *words).code == 0
    assert streamnorm(capsys, "merge", one, other, "--output", tmp_path / "merged.json").code == 0
    assert sn.load(tmp_path / "merged.json") == sn.load(both)
    shown = streamnorm(capsys, "show", both, "--key", 3)
    assert (shown.code, "state[2]" in shown.out, "action[1]" in shown.out) == (0, True, True)
    assert "7 keys" in streamnorm(capsys, "show", both).out
    assert streamnorm(capsys, "diff", one, other).code == 0
    assert streamnorm(capsys, "report", both, "--output", tmp_path / "page.html", "--key", 3).code == 0
    assert "state[0]" in (tmp_path / "page.html").read_text()
    assert streamnorm(capsys, "run", days[0], "--output", tmp_path / "z.parquet", *words).code == 0
    assert same(pq.read_table(tmp_path / "z.parquet"), sn.load(one).transform(TABLE.slice(0, 300)))
    assert streamnorm(capsys, "forget", both, days[0]).code == 0
    assert sn.load(both) == sn.load(other)


def test_a_stream_of_episodes_is_one_fit(tmp_path):
    state = tmp_path / "state.json"
    for start in range(0, ROWS, 100):
        with sn.following(state, normalizer()) as following:
            assert following.position("robot") == start
            following.add(TABLE.slice(start, 100), {"robot": (start, start + 100)})
            assert same(following.transform(TABLE), normalizer().fit(TABLE.slice(0, start + 100)).transform(TABLE))
    assert sn.load(state) == normalizer().fit(TABLE)
