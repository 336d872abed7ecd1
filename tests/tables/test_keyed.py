"""Statistics per key: each key's are those of its rows alone, whatever the types of the keys."""

from __future__ import annotations

import datetime
import json

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from samples import SAMPLES, sample
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, MergeError, StateError
from streamnorm.rules.family import FAMILY

DAY = datetime.date(2024, 2, 29)
ROWS = 2000
NAMES = ("normal", "missing", "small int64")


_RNG = np.random.default_rng(7)


def _some(values: list) -> list:
    return [values[i] for i in _RNG.integers(0, len(values), ROWS)]


#: Key columns of every type, most of them with nulls.
KEYS = {
    "string": pa.array(_some(["a", "", "ä b", "null", None])),
    "large string": pa.array(_some(["a", "b"]), pa.large_string()),
    "string view": pa.array(_some(["a", "longer than twelve bytes", None]), pa.string_view()),
    "int8": pa.array(_some([-3, 0, 5, None]), pa.int8()),
    "uint64": pa.array(_some([0, 2**63 - 1]), pa.uint64()),
    "int64": pa.array(_some([-(2**63), 2**63 - 1, None])),
    "date32": pa.array(_some([DAY, datetime.date(1900, 1, 1), None])),
    "date64": pa.array(_some([DAY, datetime.date(2100, 1, 1)]), pa.date64()),
    "dictionary": pa.array(_some(["a", "b", None])).dictionary_encode(),
    "dictionary of integers": pa.array(_some([7, 8, None])).dictionary_encode(),
    "null": pa.nulls(ROWS),
    "one key": pa.array(["only"] * ROWS),
    "many keys": pa.array(range(ROWS)),
}


def table_with(**keys: pa.Array) -> pa.Table:
    columns = {name: pa.array(sample(name, ROWS, seed=1), from_pandas=True) for name in NAMES}
    return pa.table({**keys, "text": ["kept"] * ROWS, **columns})


def rows_of_key(table: pa.Table, names: list[str], key: tuple) -> pa.Table:
    for name, value in zip(names, key, strict=True):
        column = table.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string_view(column.type):  # which pyarrow cannot filter
            column = column.cast(pa.string())
            table = table.set_column(table.schema.get_field_index(name), name, column)
        table = table.filter(pc.is_null(column) if value is None else pc.equal(column, pa.scalar(value, column.type)))
    return table


def distinct(table: pa.Table, names: list[str]) -> list[tuple]:
    return sorted(set(zip(*(table.column(name).to_pylist() for name in names), strict=True)), key=str)


@pytest.mark.parametrize("kind", [kind for kind in KEYS if kind != "many keys"])
@pytest.mark.parametrize(
    "scaler", [*FAMILY, sn.QuantileTransformer(n_quantiles=900, output_distribution="normal")], ids=str
)
def test_each_key_is_as_its_rows_alone(kind, scaler, tmp_path):
    table = table_with(key=KEYS[kind])
    keyed = sn.TableNormalizer(scaler, exclude=["key"] if "int" in kind else [], by="key").fit(table)
    mapped = keyed.transform(table)
    assert mapped.schema.names == table.schema.names
    assert mapped.column("key").equals(table.column("key"))
    assert mapped.column("text").equals(table.column("text"))
    back = keyed.inverse_transform(mapped)
    for key in distinct(table, ["key"]):
        own = rows_of_key(table, ["key"], key).drop_columns(["key"])
        alone = sn.TableNormalizer(scaler).fit(own)
        assert rows_of_key(mapped, ["key"], key).drop_columns(["key"]).equals(alone.transform(own))
        assert (
            rows_of_key(back, ["key"], key).drop_columns(["key"]).equals(alone.inverse_transform(alone.transform(own)))
        )
    sn.save(keyed, tmp_path / "state.json")
    assert sn.load(tmp_path / "state.json") == keyed
    assert sn.load(tmp_path / "state.json").transform(table).equals(mapped)


def test_several_key_columns():
    table = table_with(shop=KEYS["string"], day=KEYS["date32"], size=KEYS["int8"])
    names = ["shop", "day", "size"]
    keyed = sn.TableNormalizer(by=names).fit(table)
    mapped, keys = keyed.transform(table), distinct(table, names)
    assert len(keyed.learnt.groups[0].summary.keys) == len(keys) > 20
    for key in keys:
        own = rows_of_key(table, names, key).drop_columns(names)
        expected = sn.TableNormalizer().fit(own).transform(own)
        assert rows_of_key(mapped, names, key).drop_columns(names).equals(expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_moments_of_keys_are_exact(name):
    """Against one scaler a key, for columns that break sums; in any order and cut."""
    values, keys = sample(name, 300), np.arange(300) % 7
    table = pa.table({"key": keys, "x": values})
    keyed = sn.TableNormalizer(by="key").fit(table)
    parts = [table.take(part) for part in np.array_split(np.random.default_rng(0).permutation(300), 5)]
    assert sum(sn.TableNormalizer(by="key").fit(part) for part in parts) == keyed
    (group,) = keyed.learnt.groups
    for key in range(7):
        (alone,) = sn.TableNormalizer().fit(pa.table({"x": values[keys == key]})).learnt.groups
        assert group.summary.of_key(int(group.summary.keys.find([pa.array([key])])[0])) == alone.summary
    (overall,) = sn.TableNormalizer(exclude=["key"]).fit(table).learnt.groups
    assert group.summary.overall == overall.summary


def test_the_type_of_a_key_column_may_change_from_batch_to_batch():
    rows = {"x": [1.0, 3.0, 10.0, 30.0]}
    plain = pa.table({"key": ["a", "a", "b", "b"], **rows})
    coded = plain.set_column(0, "key", plain.column("key").combine_chunks().dictionary_encode())
    assert sn.TableNormalizer(by="key").fit(plain) == sn.TableNormalizer(by="key").fit(coded)
    narrow, wide = (pa.table({"key": pa.array([1, 1, 2, 2], kind), **rows}) for kind in (pa.int8(), pa.uint32()))
    both = sn.TableNormalizer(by="key").fit(narrow).partial_fit(wide)
    assert both == sn.TableNormalizer(by="key").fit(wide).partial_fit(narrow)
    with pytest.raises(MergeError, match="the keys in column 'key' are integers there and strings here: cast"):
        both.partial_fit(plain)


def test_a_key_whose_last_row_is_forgotten_is_gone():
    a = sn.TableNormalizer(by="key").fit(pa.table({"key": ["x", "y"], "v": [1.0, 2.0]}))
    b = sn.TableNormalizer(by="key").fit(pa.table({"key": ["y", "z"], "v": [3.0, 4.0]}))
    assert (a + b) - b == a
    with pytest.raises(MergeError, match="cannot forget 1 rows of key 'z', of which only 0 were counted"):
        a - b
    with pytest.raises(MergeError, match="cannot forget"):
        (a + a) - (a + a + a)


SEEN = pa.table({"key": ["a", "a", "b"], "x": [1.0, 3.0, 50.0]})
NEW = pa.table({"key": ["a", "c", None], "x": [3.0, 4.0, 5.0]})


def test_keys_not_seen():
    mean, std = np.mean([1, 3, 50]), np.std([1, 3, 50])
    overall = ((np.array([4.0, 5.0]) - mean) / std).tolist()
    for unseen, expected in {"global": overall, "null": [None, None], "keep": [4.0, 5.0]}.items():
        keyed = sn.TableNormalizer(by="key", unseen=unseen).fit(SEEN)
        assert keyed.transform(NEW).column("x").to_pylist() == [1.0, *expected]
    keyed = sn.TableNormalizer(by="key", unseen="error").fit(SEEN)
    with pytest.raises(DataError, match="key 'c' in row 1 was not seen in the fit"):
        keyed.transform(NEW)
    assert keyed.transform(SEEN).column("x").to_pylist() == [-1.0, 1.0, 0.0]


def test_keys_seen_too_seldom():
    table = pa.table({"key": ["a", "a", "b", "b"], "x": [1.0, 3.0, 50.0, None]})
    mean, std = np.mean([1, 3, 50]), np.std([1, 3, 50])
    keyed = sn.TableNormalizer(by="key", unseen="error", min_count=2).fit(table)
    assert keyed.transform(table).column("x").to_pylist() == [-1.0, 1.0, (50 - mean) / std, None]
    # A key of rows and no value is known, and has no statistics of its own.
    nothing = pa.table({"key": ["a", "z"], "x": [1.0, None]})
    both = sn.TableNormalizer(by="key", unseen="error").fit(table).partial_fit(nothing)
    assert both.transform(pa.table({"key": ["z"], "x": [np.mean([1, 1, 3, 50])]})).column("x").to_pylist() == [0.0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"by": []}, "by takes one or several different names"),
        ({"by": ["key", "key"]}, "by takes one or several different names"),
        ({"by": "kay"}, "there is no column 'kay'.*'key'"),
        ({"by": "x", "exclude": ["x"]}, "column 'x' holds double: group by text, integers or dates"),
        ({"by": "key", "unseen": "drop"}, "unseen takes one of global, error, null, keep, got 'drop'"),
        ({"by": "key", "min_count": 0}, "min_count takes a number of values from 1 on, got 0"),
        ({"by": "key", "columns": {"key": "standard"}}, "cannot be normalised and grouped by"),
    ],
)
def test_what_cannot_be_grouped(words, message):
    with pytest.raises(DataError, match=message):
        sn.TableNormalizer(**words).fit(pa.table({"key": [1, 2], "x": [1.0, 2.0], "y": [1.0, 2.0]}))


def test_other_keys_and_settings_cannot_be_merged():
    table = table_with(a=KEYS["string"], b=KEYS["string"])
    by_a, plain = sn.TableNormalizer(by="a").fit(table), sn.TableNormalizer().fit(table)
    for other in (
        sn.TableNormalizer(by="b"),
        sn.TableNormalizer(by=["a", "b"]),
        sn.TableNormalizer(by="a", min_count=2),
    ):
        with pytest.raises(MergeError, match="other settings"):
            by_a + other.fit(table)
    with pytest.raises(MergeError, match="other settings"):
        by_a + plain
    assert by_a != plain
    assert by_a.digest() != plain.digest()


def test_an_infinity_is_told_with_its_row():
    table = pa.table({"key": ["b", "a", "b"], "x": [1.0, 2.0, np.inf]})
    with pytest.raises(DataError, match=r"column 'x'.*row 2"):
        sn.TableNormalizer(by="key").fit(table)
    skipping = sn.TableNormalizer(by="key", infinite="skip").fit(table)
    assert skipping.transform(table).column("x").to_pylist() == [0.0, 0.0, np.inf]


def test_frames_of_pandas_and_polars():
    table = table_with(key=KEYS["string"])
    keyed = sn.TableNormalizer(by="key").fit(table)
    expected = keyed.transform(table)
    frame = keyed.transform(table.to_pandas())
    for name in NAMES:
        assert np.array_equal(frame[name], expected.column(name).to_numpy(), equal_nan=True)
    assert frame["key"].equals(table.to_pandas()["key"])
    assert keyed.transform(pl.from_arrow(table)).equals(pl.from_arrow(expected))
    assert sn.TableNormalizer(by="key").fit(pl.from_arrow(table)) == keyed


STEPS = pa.table(
    {
        "key": ["a", "a", "a", "b", "b", "c", None],
        "x": [1.0, 3.0, None, 5.0, np.nan, None, 4.0],
        "n": pa.array([0, 7, None, 1, 3, None, 2], pa.int32()),
    }
)


@pytest.mark.parametrize("fill", ["keep", "zero", "mean", "median"])
def test_what_a_recipe_does_beside_is_done_key_by_key(fill, tmp_path):
    recipe = {"by": "key", "default": {"fill": fill, "clip": [0.5, 4.5]}, "columns": {"n": {"log1p": True}}}
    keyed = sn.TableNormalizer.from_recipe(recipe).fit(STEPS)
    mapped = keyed.transform(STEPS)
    plain = {name: value for name, value in recipe.items() if name != "by"}
    overall = sn.TableNormalizer.from_recipe(plain).fit(STEPS.drop_columns(["key"]))
    for key in ("a", "b", "c", None):
        own = rows_of_key(STEPS, ["key"], (key,)).drop_columns(["key"])
        alone = overall if key == "c" else sn.TableNormalizer.from_recipe(plain).fit(own)  # c has no value of its own
        assert (
            rows_of_key(mapped, ["key"], (key,))
            .drop_columns(["key"])
            .to_pandas()
            .equals(alone.transform(own).to_pandas())
        )
    sn.save(keyed, tmp_path / "state.json")
    assert sn.load(tmp_path / "state.json").transform(STEPS).to_pandas().equals(mapped.to_pandas())


def test_unseen_values_are_kept_as_they_were_given():
    recipe = {"by": "key", "unseen": "keep", "columns": {"n": {"log1p": True, "fill": "zero"}}}
    keyed = sn.TableNormalizer.from_recipe(recipe).fit(STEPS)
    new = pa.table({"key": ["z", "z"], "x": [2.5, None], "n": pa.array([6, None], pa.int32())})
    assert keyed.transform(new).to_pydict() == {"key": ["z", "z"], "x": [2.5, None], "n": [6.0, None]}


def test_polars_finds_the_same_means():
    """Against another implementation, for many keys."""
    rng = np.random.default_rng(0)
    table = pa.table({"key": rng.integers(0, 500, 20000), "x": rng.normal(1e6, 1, 20000)})
    mapped = sn.TableNormalizer(by="key").fit(table).transform(table)
    by_key = (
        pl.from_arrow(mapped).group_by("key").agg(pl.col("x").mean().alias("m"), pl.col("x").std(ddof=0).alias("s"))
    )
    assert len(by_key) == 500
    # A mean of n values of magnitude 1e6 / sd is off by at most 1e6 eps, a deviation by as much.
    assert by_key["m"].abs().max() < 1e-9
    assert (by_key["s"] - 1).abs().max() < 1e-9


# ---- files ----


def write_parts(table: pa.Table, folder, parts: int, group: int) -> None:
    folder.mkdir()
    for i, part in enumerate(np.array_split(np.arange(len(table)), parts)):
        pq.write_table(table.take(part), folder / f"{i}.parquet", row_group_size=group)


@pytest.mark.parametrize(("threads", "parts", "group"), [(1, 1, 5000), (3, 4, 100), (2, 7, 33)])
def test_files_threads_and_row_groups_do_not_matter(tmp_path, threads, parts, group):
    table = table_with(shop=KEYS["string"], day=KEYS["date32"])
    whole = sn.TableNormalizer(by=["shop", "day"]).fit(table)
    write_parts(table, tmp_path / "in", parts, group)
    fitted = sn.fit(tmp_path / "in", sn.TableNormalizer(by=["shop", "day"]), threads=threads)
    assert fitted == whole
    sn.transform(fitted, tmp_path / "in", tmp_path / "out", threads=threads)
    written = pa.concat_tables([pq.read_table(tmp_path / "out" / f"{i}.parquet") for i in range(parts)])
    assert written.equals(whole.transform(table))


def test_csv_keys_are_text(tmp_path):
    table = pa.table({"code": ["007", "7", "007", None], "x": [1, 2, 5, 4]})
    pa.csv.write_csv(table, tmp_path / "in.csv")
    fitted = sn.fit(tmp_path / "in.csv", sn.TableNormalizer(by="code"))
    sn.transform(fitted, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ['"007",-1', '"7",0', '"007",1', ",0"]
    assert len(fitted.learnt.groups[0].summary.keys) == 3


def test_jobs_from_the_shell(tmp_path, capsys):
    table = table_with(shop=KEYS["string"])
    write_parts(table, tmp_path / "in", 3, 200)
    state = tmp_path / "state.json"
    first, rest = tmp_path / "in/0.parquet", [tmp_path / "in/1.parquet", tmp_path / "in/2.parquet"]
    assert streamnorm(capsys, "fit", first, "--by", "shop", "--state", state).code == 0
    once = state.read_text()
    assert streamnorm(capsys, "fit", *rest, "--state", state, "--update").code == 0
    assert sn.load(state) == sn.TableNormalizer(by=["shop"]).fit(table)
    other = tmp_path / "other.json"
    assert streamnorm(capsys, "fit", *rest, "--by", "shop", "--state", other).code == 0
    merged = tmp_path / "merged.json"
    (tmp_path / "first.json").write_text(once)
    assert streamnorm(capsys, "merge", tmp_path / "first.json", other, "--output", merged).code == 0
    assert merged.read_text() == state.read_text()
    assert streamnorm(capsys, "forget", merged, *rest).code == 0
    assert sn.load(merged) == sn.load(tmp_path / "first.json")
    ran = streamnorm(capsys, "run", first, "--by", "shop", "--output", tmp_path / "out.parquet")
    assert ran.code == 0
    assert pq.read_table(tmp_path / "out.parquet").equals(sn.load(merged).transform(pq.read_table(first)))


def test_an_unseen_key_is_told_with_its_file_and_row(tmp_path, capsys):
    pq.write_table(SEEN, tmp_path / "a.parquet")
    many = pa.concat_tables([SEEN] * 10 + [NEW])
    pq.write_table(many, tmp_path / "b.parquet", row_group_size=4)
    state = tmp_path / "state.json"
    streamnorm(capsys, "fit", tmp_path / "a.parquet", "--by", "key", "--unseen", "error", "--state", state)
    failed = streamnorm(capsys, "transform", state, tmp_path / "b.parquet", "--output", tmp_path / "out.parquet")
    assert failed.code == 1
    assert "b.parquet: key 'c' in row 32 was not seen in the fit" in failed.err
    assert not (tmp_path / "out.parquet").exists()
    assert (
        streamnorm(capsys, "fit", tmp_path / "a.parquet", "--unseen", "null", "--state", state, "--overwrite").code == 2
    )


def test_show_and_diff(tmp_path, capsys):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    rng = np.random.default_rng(0)
    shops = [f"shop {i}" for i in range(50) for _ in range(40)]
    old = pa.table({"shop": shops, "x": rng.normal(size=2000)})
    moved = np.where(np.array(shops) == "shop 7", 3.0, 0.0)
    new = pa.table({"shop": [s.replace("shop 9", "nine") for s in shops], "x": old["x"].to_numpy() + moved})
    for table, path in ((old, before), (new, after)):
        sn.save(sn.TableNormalizer(by="shop").fit(table), path)
    shown = streamnorm(capsys, "show", before).out
    assert "by shop: 50 keys of 40 to 40 rows, median 40; most in shop 0" in shown
    document = json.loads(streamnorm(capsys, "show", before, "--json").out)
    assert document["keys"] == {
        "columns": ["shop"], "count": 50, "rows": {"least": 40, "median": 40.0, "most": 40},
    }  # fmt: skip
    one = json.loads(streamnorm(capsys, "show", before, "--key", "shop 7", "--json").out)
    assert one["columns"][0]["rows"] == 40
    assert one["columns"][0]["mean"] == pytest.approx(np.mean(old["x"].to_numpy()[280:320]), rel=1e-12)
    compared = streamnorm(capsys, "diff", before, after)
    assert "49 keys in both, 1 gone, 1 new" in compared.out
    std = np.std(old["x"].to_numpy()[280:320])
    assert f"moved most: x of shop 7 by {3 / std:.3g} sd" in compared.out
    changes = json.loads(streamnorm(capsys, "diff", before, after, "--json").out)["keys"]
    assert (changes["common"], changes["gone"], changes["new"]) == (49, 1, 1)
    assert [m["key"] for m in changes["moved"]] == ["shop 7"]
    assert changes["moved"][0]["shift"] == pytest.approx(3 / std, rel=1e-12)
    of_one = streamnorm(capsys, "diff", before, after, "--key", "shop 7")
    assert "major" in of_one.out
    assert "keys" not in of_one.out
    unknown = streamnorm(capsys, "show", before, "--key", "shop 77")
    assert (unknown.code, "there is no key 'shop 77': did you mean 'shop 7'" in unknown.err) == (1, True)
    sn.save(sn.TableNormalizer().fit(old), after)
    assert "it was fitted without --by" in streamnorm(capsys, "show", after, "--key", "x").err


@pytest.mark.parametrize("to", ["sklearn", "onnx", "sql", "keras", "torch"])
def test_keys_are_not_exported_as_if_they_were_none(to, tmp_path):
    keyed = sn.TableNormalizer(by="key").fit(SEEN)
    ending = {"sklearn": "skops", "onnx": "onnx", "sql": "sql", "keras": "keras", "torch": "pt"}[to]
    with pytest.raises(DataError, match="statistics per key cannot be exported"):
        sn.export.write(keyed, to, tmp_path / f"out.{ending}")


# ---- state files ----


def test_a_damaged_state_is_refused(tmp_path):
    from streamnorm.states.document import _checksum

    path = tmp_path / "state.json"
    sn.save(sn.TableNormalizer(by="key").fit(SEEN), path)
    document = json.loads(path.read_text())
    assert document["version"] == 2

    def refused(change):
        broken = json.loads(path.read_text())
        change(broken)
        del broken["checksum"]
        broken["checksum"] = _checksum(broken)
        (tmp_path / "broken.json").write_text(json.dumps(broken))
        with pytest.raises(StateError, match="cannot be read"):
            sn.load(tmp_path / "broken.json")

    refused(lambda d: d["keys"]["columns"][0].update(values=["a", "a"]))
    refused(lambda d: d["keys"]["columns"][0].update(values=["b", "a"]))
    refused(lambda d: d["keys"]["columns"][0].update(values=["a"]))
    refused(lambda d: d["keys"]["columns"][0].update(values=["a", 7]))
    refused(lambda d: d["keys"]["columns"][0].update(type="integer"))
    refused(lambda d: d["keys"]["columns"][0].update(name="other"))
    refused(lambda d: d["keys"].update(count=3))
    refused(lambda d: d.pop("keys"))
    refused(lambda d: d["parameters"].update(min_count=0))
    refused(lambda d: d["parameters"].update(unseen="drop"))
    for name in ("counts", "total", "squares"):
        refused(lambda d, name=name: d["columns"][0]["summary"].pop(name))
    refused(lambda d: d["columns"][0]["summary"].update(other={}))
