"""Vectors that are divided by their lengths: scikit-learn beside it, states that count, files, what has no length."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather
from shell import streamnorm
from sklearn.preprocessing import normalize

import streamnorm as sn
from streamnorm.errors import DataError, InfiniteValueError, MergeError, StateError

KINDS = {
    "fixed": lambda t, n: pa.list_(t, n),
    "list": lambda t, n: pa.list_(t),
    "large list": lambda t, n: pa.large_list(t),
    "tensor": lambda t, n: pa.fixed_shape_tensor(t, [n]),
}


def table_of(rows: int = 50, width: int = 7, kind: str = "fixed", dtype=np.float32, seed: int = 0) -> pa.Table:
    x = np.random.default_rng(seed).normal(size=(rows, width)).astype(dtype)
    x[3 % rows] = 0
    values = [None if i == 5 else row.tolist() for i, row in enumerate(x)]
    lists = pa.array(values, KINDS["fixed" if kind == "tensor" else kind](pa.from_numpy_dtype(dtype), width))
    if kind == "tensor":
        lists = pa.ExtensionArray.from_storage(KINDS[kind](pa.from_numpy_dtype(dtype), width), lists)
    return pa.table({"id": np.arange(rows), "v": lists})


def unit(**given) -> sn.TableNormalizer:
    return sn.TableNormalizer(None, {"v": "standard"}, vectors="unit", **given)


def matrix(array) -> np.ndarray:
    rows = [[np.nan] * 7 if row is None else row for row in array.to_pylist()]
    return np.array(rows)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn(kind, dtype):
    if (kind, dtype) == ("tensor", np.float16):
        pytest.skip("no tensors of float16 are made of storage")
    table = table_of(kind=kind, dtype=dtype)
    result = unit().fit(table).transform(table)
    assert result["v"].type == table["v"].type
    assert result["id"].equals(table["id"])
    got, given = matrix(result["v"]), matrix(table["v"])
    there = ~np.isnan(given).any(axis=1)
    theirs = normalize(given[there].astype(np.float64))
    # A sum of squares in another order, a root and a quotient, and one rounding to the type.
    np.testing.assert_allclose(got[there], theirs, rtol=0, atol=np.finfo(dtype).eps / 2 + 2 * np.finfo(float).eps)
    assert np.array_equal(got[there], sn.Normalizer().transform(given[there].astype(dtype)).astype(float))
    assert not got[3].any()
    assert result["v"][5].as_py() is None


def test_lengths_beyond_float64_and_type():
    table = pa.table({"v": pa.array([[3e200, 4e200], [3e-200, 4e-200], [5e-324, 0.0]], pa.list_(pa.float64(), 2))})
    np.testing.assert_allclose(unit().fit(table).transform(table)["v"].to_pylist(), [[0.6, 0.8], [0.6, 0.8], [1, 0]])
    whole = pa.table({"v": pa.array([[3, 4], [0, 0]], pa.list_(pa.int8(), 2))})
    result = sn.TableNormalizer(vectors="unit", dtype="float32").fit(whole).transform(whole)
    assert result["v"].type == pa.list_(pa.float32(), 2)
    assert result["v"].to_pylist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]


def test_other_columns_and_other_words():
    table = table_of().append_column("x", pa.array(np.arange(50.0)))
    one = sn.TableNormalizer(vectors="unit", exclude="id").fit(table)
    assert one.fit(table).transform(table)["x"].to_numpy().mean() == pytest.approx(0)
    recipes = [
        {"columns": {"id": "none", "v": "unit"}},
        {"columns": {"id": "none", "v": {"scaler": "unit"}}},
        {"vectors": "unit", "exclude": "id"},
    ]
    for recipe in recipes:
        assert sn.TableNormalizer.from_recipe(recipe).fit(table) == one
    named = sn.TableNormalizer.from_recipe({"exclude": "id", "columns": {"v": {"vectors": "unit", "suffix": "_1"}}})
    assert named.fit(table).transform(table)["v_1"].equals(one.transform(table)["v"])


def test_states_count_vectors_and_nothing_else():
    table = table_of()
    whole, parts = unit().fit(table), [unit().fit(table[:4]), unit().fit(table[4:])]
    assert parts[0] + parts[1] == parts[1] + parts[0] == whole
    assert whole - parts[1] == parts[0]
    assert whole == unit().fit(table_of(seed=1))
    assert unit().partial_fit(table[:20]).partial_fit(table[20:]) == whole
    assert sn.loads(sn.dumps(whole)) == whole
    assert sn.loads(sn.dumps(whole)).transform(table).equals(whole.transform(table))
    (group,) = whole.learnt.groups
    assert group.summary.to_json() == [{"counts": {"values": 49, "nulls": 1}}]
    blank = pa.table({"id": [1, 2], "v": pa.array([None, None], pa.list_(pa.float32()))})
    listed = table_of(kind="list")
    assert (unit().fit(blank) + unit().fit(listed)).learnt.groups[0].summary.counts.table[0, :2].tolist() == [49, 3]
    with pytest.raises(MergeError, match="vectors of 7 numbers in one and of 3"):
        whole + unit().fit(table_of(width=3))
    with pytest.raises(MergeError, match="unit"):
        whole + sn.TableNormalizer(None, {"v": "standard"}).fit(table)
    document = sn.dumps(whole)
    for odd in ('"unit": 1', '"unit": false', '"unit": true, "more": 1'):
        with pytest.raises(StateError):
            sn.loads(document.replace('"unit": true', odd))
    shown = str(sn.report.show(whole))
    assert "unit" in shown
    assert json.loads(sn.report.show(whole).to_json())["columns"][0]["scaler"] == "unit"


@pytest.mark.parametrize("unseen", ["global", "null", "error"])
def test_keys_change_nothing(unseen):
    table = table_of().append_column("shop", pa.array(["a", "b"] * 25))
    keyed = unit(by="shop", unseen=unseen).fit(table)
    assert keyed.transform(table).equals(unit().fit(table).transform(table))
    assert keyed - unit(by="shop", unseen=unseen).fit(table[20:]) == unit(by="shop", unseen=unseen).fit(table[:20])
    assert sn.loads(sn.dumps(keyed)) == keyed


def test_what_has_no_length_is_refused():
    fixed = pa.list_(pa.float32(), 2)
    good = pa.table({"v": pa.array([[3.0, 4.0]], fixed)})
    fitted = unit().fit(good)
    digest = fitted.digest()
    for bad in ([[1.0, 2.0], None, [None, 1.0]], [[1.0, 2.0], None, [1.0, np.nan]]):
        table = pa.table({"v": pa.array(bad, fixed)})
        for learn in (fitted.partial_fit, fitted.transform, unit().fit):
            with pytest.raises(DataError, match="'v', row 2 of the batch: a number of the vector is missing"):
                learn(table)
    infinite = pa.table({"v": pa.array([[1.0, 2.0], [np.inf, 1.0]], fixed)})
    for learn in (fitted.partial_fit, fitted.transform):
        with pytest.raises(InfiniteValueError, match="row 1"):
            learn(infinite)
    assert fitted.digest() == digest
    with pytest.raises(DataError, match=r"divided by their lengths.*missing_columns='skip'"):
        fitted.inverse_transform(good)
    with pytest.raises(DataError, match="'x' holds single numbers, and only vectors have a length"):
        sn.TableNormalizer("unit").fit(pa.table({"x": [1.0]}))
    for step in ({"fill": "mean"}, {"fill": "zero"}, {"clip_result": "1%, 99%"}):
        with pytest.raises(DataError, match=r"'v'.* leave .*fill"):
            sn.TableNormalizer.from_recipe({"vectors": "unit", "default": step}).fit(good)
    with pytest.raises(DataError, match="vectors"):
        sn.export.to_sklearn(fitted)
    with pytest.raises(DataError, match="vectors must be 'element', 'whole' or 'unit', got 'row'"):
        sn.TableNormalizer(vectors="row").fit(good)


def test_a_profile_is_of_the_other_columns():
    table = table_of().append_column("x", pa.array(np.arange(50.0)))
    one = sn.TableNormalizer(vectors="unit", exclude="id", profile=True).fit(table)
    assert [group.rule.profile for group in one.learnt.groups] == [True, False]
    assert sn.loads(sn.dumps(one)) == one


def test_files_and_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = table_of()
    pq.write_table(table[:30], "0.parquet", row_group_size=9)
    pq.write_table(table[30:], "1.parquet")
    feather.write_feather(table, "all.arrow")
    words = ["--columns", "v", "--vectors", "unit"]
    assert streamnorm(capsys, "run", "0.parquet", "1.parquet", *words, "--output", "out", "--state", "s.json").code == 0
    whole = unit().fit(table)
    assert sn.load("s.json") == whole
    out = pa.concat_tables([pq.read_table("out/0.parquet"), pq.read_table("out/1.parquet")])
    assert out.equals(whole.transform(table))
    assert streamnorm(capsys, "transform", "s.json", "all.arrow", "--output", "z.arrow").code == 0
    assert feather.read_table("z.arrow").equals(out)
    assert streamnorm(capsys, "fit", "all.arrow", "--scale", "v=unit", "--exclude", "id", "--state", "t.json").code == 0
    assert sn.load("t.json") == whole
    assert streamnorm(capsys, "forget", "s.json", "0.parquet").code == 0
    assert sn.load("s.json") == unit().fit(table[30:])
    assert "49" in streamnorm(capsys, "show", "t.json").out or "50" in streamnorm(capsys, "show", "t.json").out
    assert streamnorm(capsys, "report", "t.json", "--output", "r.html").code == 0
    back = streamnorm(capsys, "transform", "t.json", "z.arrow", "--inverse", "--output", "b.arrow")
    assert (back.code, "divided by their lengths" in back.err) == (1, True)
