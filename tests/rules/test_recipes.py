"""Recipes: what they say is what is done, in memory, in files and from a state; and what they cannot say."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from shell import streamnorm
from sklearn.base import clone

import streamnorm as sn
from streamnorm.errors import DataError, SourceError

RNG = np.random.default_rng(7)
NUMBERS = RNG.lognormal(0, 1, 200)
TABLE = pa.table(
    {
        "id": range(200),
        "fare": pa.array(NUMBERS, mask=RNG.random(200) < 0.2),
        "tip": pa.array(np.where(RNG.random(200) < 0.1, np.nan, RNG.normal(size=200)).astype(np.float32)),
        "n": pa.array(RNG.integers(0, 9, 200), mask=RNG.random(200) < 0.2),
        "note": ["a", "b"] * 100,
    }
)
TEXT = """
# What becomes of the trips
infinite = "skip"
[default]
scaler = "standard"
ddof = 1

[columns.id]
scaler = "none"

[columns.fare]
scaler = "robust"
quantile_range = [10, 90]
clip = [0, 5]
log1p = true
fill = "mean"
clip_result = [-2, 2]
type = "float32"
suffix = "_scaled"

[columns."t*"]
fill = "median"

[columns.n]
fill = "zero"

[columns.note]
drop = true
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.toml").write_text(TEXT)
    return tmp_path / "recipe.toml"


def column(spec, values):
    """Fit one column under a recipe and give its result and the normalizer."""
    table = pa.table({"x": values if isinstance(values, pa.Array) else pa.array(values)})
    normalizer = sn.TableNormalizer.from_recipe({"columns": {"x": spec}}).fit(table)
    return normalizer.transform(table)["x"], normalizer


def test_the_whole_of_it(recipe):
    normalizer = sn.TableNormalizer.from_recipe(recipe).fit(TABLE)
    out = normalizer.transform(TABLE)
    assert out.schema.names == ["id", "fare", "tip", "n", "fare_scaled"]
    assert out["id"].equals(TABLE["id"])
    assert out["fare"].equals(TABLE["fare"])
    assert out["fare_scaled"].type == pa.float32()
    assert out["tip"].type == pa.float32()

    logs = np.log1p(np.clip(TABLE["fare"].drop_null().to_numpy(), 0, 5))
    low, middle, high = np.percentile(logs, [10, 50, 90])
    filled = np.where(TABLE["fare"].is_null(), logs.mean(), np.log1p(np.clip(TABLE["fare"].fill_null(0), 0, 5)))
    expected = np.clip((filled - middle) / (high - low), -2, 2)
    np.testing.assert_allclose(out["fare_scaled"].to_numpy(), expected, rtol=1e-5, atol=1e-6)

    tips = TABLE["tip"].to_numpy().astype(np.float64)
    known = tips[~np.isnan(tips)]
    expected = (np.where(np.isnan(tips), np.median(known), tips) - known.mean()) / known.std(ddof=1)
    np.testing.assert_allclose(out["tip"].to_numpy(), expected, rtol=1e-5, atol=1e-6)

    counts = TABLE["n"].drop_null().to_numpy()
    expected = (TABLE["n"].fill_null(0).to_numpy() - counts.mean()) / counts.std(ddof=1)
    np.testing.assert_allclose(out["n"].to_numpy(), expected, rtol=1e-12)


def test_a_state_does_the_same(recipe, tmp_path, capsys):
    pq.write_table(TABLE, tmp_path / "in.parquet", row_group_size=30)
    state, out = tmp_path / "s.json", tmp_path / "out.parquet"
    words = ["--output", out, "--state", state, "--recipe", recipe]
    assert streamnorm(capsys, "run", tmp_path / "in.parquet", *words).code == 0
    fitted = sn.TableNormalizer.from_recipe(recipe).fit(TABLE)
    assert sn.load(state) == fitted
    assert sn.load(state).digest() == fitted.digest()
    assert pq.read_table(out).equals(fitted.transform(TABLE))
    assert pq.read_table(out).equals(sn.load(state).transform(TABLE))
    shown = streamnorm(capsys, "show", state).out
    assert "log1p, fill mean" in shown
    again = streamnorm(capsys, "fit", tmp_path / "in.parquet", "--state", state, "--update", "--recipe", recipe)
    assert again.code == 0
    recipe.write_text(TEXT.replace("[0, 5]", "[0, 6]"))
    other = streamnorm(capsys, "fit", tmp_path / "in.parquet", "--state", state, "--update", "--recipe", recipe)
    assert (other.code, "other columns, scalers or settings" in other.err) == (1, True)


def test_csv(recipe, tmp_path, capsys):
    pv.write_csv(TABLE.select(["id", "fare", "n", "note"]), tmp_path / "in.csv")
    recipe.write_text(TEXT.replace('[columns."t*"]\nfill = "median"', ""))
    out = tmp_path / "out.csv"
    assert streamnorm(capsys, "run", tmp_path / "in.csv", "--output", out, "--recipe", recipe).code == 0
    read = pv.read_csv(out)
    expected = sn.TableNormalizer.from_recipe(recipe).fit_transform(TABLE.drop(["tip"]))
    assert read.schema.names == expected.schema.names
    np.testing.assert_allclose(read["n"].to_numpy(), expected["n"].to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(read["fare_scaled"].to_numpy(), expected["fare_scaled"].to_numpy(), rtol=1e-5)


def test_the_way_back(recipe):
    normalizer = sn.TableNormalizer.from_recipe(recipe).fit(TABLE)
    back = normalizer.inverse_transform(normalizer.transform(TABLE).drop(["fare"]))
    assert back.schema.names == ["id", "tip", "n", "fare"]
    inside = pc.and_(pc.less(TABLE["fare"], 4), pc.greater(TABLE["fare"], 0.4)).fill_null(False)
    given, got = (t["fare"].filter(inside).to_numpy() for t in (TABLE, back))
    np.testing.assert_allclose(got, given, rtol=1e-5)
    np.testing.assert_allclose(back["n"].to_numpy(), TABLE["n"].fill_null(0).to_numpy(), atol=1e-12)


@pytest.mark.parametrize("scaler", ["standard", "minmax", "maxabs", "robust", "quantile"])
@pytest.mark.parametrize(("fill", "value"), [("zero", 0.0), ("mean", 3.0), ("median", 2.0)])
@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.filterwarnings("ignore:n_quantiles")
def test_what_is_filled_is_scaled_like_the_rest(scaler, fill, value, missing):
    values = pa.array([1.0, 2.0, 6.0, missing], from_pandas=False)
    out, normalizer = column({"scaler": scaler, "fill": fill}, values)
    plain = sn.TableNormalizer(scaler).fit(pa.table({"x": values}))
    expected = plain.transform(pa.table({"x": [1.0, 2.0, 6.0, value]}))["x"]
    assert out.equals(expected)
    assert normalizer.learnt.groups[0].summary.counts == plain.learnt.groups[0].summary.counts


def test_fill_of_integers_and_of_nothing():
    out, _ = column({"fill": "mean"}, pa.array([1, None, 2]))
    assert out.to_pylist() == [-1.0, 0.0, 1.0]
    with pytest.warns(UserWarning, match="no value of column 'x'"):
        out, _ = column({"fill": "mean"}, pa.nulls(2, pa.float64()))
    assert out.to_pylist() == [None, None]


def test_log1p_of_what_has_none():
    with pytest.raises(DataError, match=r"'x', row 1 of the batch: log1p takes numbers above -1, found -1\.0"):
        column({"log1p": True}, [0.0, -1.0])
    out, _ = column({"log1p": True, "clip": [0, float("inf")]}, [0.0, -1.0, 2.0])
    assert out[0] == out[1]
    with pytest.raises(DataError, match=r"'x', row 0"):
        column({"log1p": True}, [0.0])[1].transform(pa.table({"x": [-3.0]}))
    hidden = pa.Array.from_buffers(pa.float64(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([-9.0, 1.0]))])
    assert column({"log1p": True}, hidden)[0].to_pylist() == [None, 0.0]


def test_an_infinity_is_not_clipped_away():
    table = pa.table({"x": [1.0, np.inf, 3.0]})
    for spec in ({"clip": [0, 5]}, {"log1p": True}):
        normalizer = sn.TableNormalizer.from_recipe({"columns": {"x": spec}})
        with pytest.raises(DataError, match="infinity"):
            normalizer.fit(table)
        with pytest.raises(DataError, match="infinity"):
            normalizer.fit(table.slice(2)).transform(table)


def test_vectors():
    vectors = pa.array([[0.0, 3.0], None, [2.0, 9.0]], pa.list_(pa.float32(), 2))
    out, normalizer = column({"clip": [0, 5], "log1p": True, "type": "float64", "vectors": "whole"}, vectors)
    logs = np.log1p([0, 3, 2, 5])
    np.testing.assert_allclose(np.concatenate(out.drop_null().to_pylist()), (logs - logs.mean()) / logs.std())
    assert out.type == pa.list_(pa.float64(), 2)
    back = normalizer.inverse_transform(pa.table({"x": out}))["x"]
    np.testing.assert_allclose(np.concatenate(back.drop_null().to_pylist()), [0, 3, 2, 5], atol=1e-12)
    with pytest.raises(DataError, match="'x' holds vectors"):
        column({"fill": "mean"}, vectors)


def test_names_before_patterns_before_the_default():
    table = pa.table({"a1": [1.0], "a2": [1.0], "b": [1.0], "a[3]": [1.0], "text": ["x"]})
    columns = {"a*": "minmax", "?1": "robust", "a2": "maxabs", "b": "none", "a[3]": "quantile", "*": "standard"}
    normalizer = sn.TableNormalizer(None, columns)
    chosen = {name: rule.rule.name for name, rule in normalizer.choose(table.schema)[0].items()}
    assert chosen == {"a1": "minmax", "a2": "maxabs", "a[3]": "quantile"}
    assert list(sn.TableNormalizer(exclude=["a?"]).fit(table).learnt.types) == ["b", "a[3]"]


def test_clip_of_minmax_is_either():
    table = pa.table({"x": [0.0, 10.0]})
    limited = sn.TableNormalizer.from_recipe({"columns": {"x": {"scaler": "minmax", "clip": True}}}).fit(table)
    assert limited.transform(pa.table({"x": [20.0]}))["x"].to_pylist() == [1.0]
    cut = sn.TableNormalizer.from_recipe({"columns": {"x": {"scaler": "minmax", "clip": [0, 5]}}}).fit(table)
    assert cut.transform(table)["x"].to_pylist() == [0.0, 1.0]


def test_clone_and_pickle(recipe):
    normalizer = sn.TableNormalizer.from_recipe(recipe)
    copied = pickle.loads(pickle.dumps(clone(normalizer)))
    assert copied.fit(TABLE) == normalizer.fit(TABLE)
    assert "rule_of('robust', quantile_range=(10, 90), clip=(0.0, 5.0)" in repr(normalizer.columns["fare"])


WRONG = {
    "no TOML": ("= 3", "is no recipe"),
    "a key": ('sufix = "_z"', "no key 'sufix': did you mean 'suffix'?"),
    "a column's key": ("[columns.x]\nlogp = true", r"\[columns.x\] has no key 'logp': did you mean 'log1p'"),
    "a scaler": ('[columns.x]\nscaler = "robusst"', "no scaler 'robusst': did you mean 'robust'?"),
    "the default": ('default = "z"', r"\[default\] has no scaler 'z': the scalers are"),
    "another scaler's parameter": ('[columns.x]\nscaler = "minmax"\nddof = 1', "no key 'ddof'"),
    "a parameter's type": ('[columns.x]\nwith_mean = "no"', "with_mean must be like True, got 'no'"),
    "a range": ('[columns.x]\nscaler = "robust"\nquantile_range = 3', "quantile_range must be like"),
    "a clip": ("[columns.x]\nclip = [5, 0]", "clip must be two numbers, the smaller one first"),
    "a fill": ('[columns.x]\nfill = "average"', "fill must be one of keep, zero, mean, median, got 'average'"),
    "a type": ('[columns.x]\ntype = "int8"', "type must be one of float16, float32, float64"),
    "a flag": ("[columns.x]\nlog1p = 1", "log1p must be true or false"),
    "a drop": ('[columns.x]\ndrop = "yes"', "write true or false"),
    "a drop and more": ("[columns.x]\ndrop = true\nlog1p = true", "not scaled, so 'log1p' means nothing"),
    "columns": ("columns = 3", "columns must be tables"),
    "a number for text": ("suffix = 3", "suffix must be text"),
    "a column that is not there": ("[columns.fair]", "there is no column 'fair': did you mean 'fare'?"),
    "a pattern for none": ('[columns."q*"]', r"there is no column 'q\*'"),
    "a name that holds text": ('[columns.note]\nscaler = "standard"', "'note' holds string, not numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_it_cannot_say(name, recipe, tmp_path, capsys):
    text, message = WRONG[name]
    recipe.write_text(text)
    with pytest.raises(DataError, match=message):
        sn.TableNormalizer.from_recipe(recipe).fit(TABLE)
    pq.write_table(TABLE, tmp_path / "in.parquet")
    state = tmp_path / "s.json"
    failed = streamnorm(capsys, "fit", tmp_path / "in.parquet", "--state", state, "--recipe", recipe)
    assert (failed.code, failed.err.startswith("error: "), state.exists()) == (1, True, False)


def test_a_recipe_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SourceError, match="there is no recipe"):
        sn.TableNormalizer.from_recipe(tmp_path / "none.toml")
    both = streamnorm(capsys, "fit", "x.parquet", "--state", "s", "--recipe", "r", "--scaler", "robust")
    assert both.code in (1, 2)


def test_none_and_drop_on_the_command_line(tmp_path, capsys):
    pq.write_table(TABLE, tmp_path / "in.parquet")
    words = ["--scale", "id=none", "--scale", "no*=drop", "--scale", "t*=minmax"]
    out = tmp_path / "out.parquet"
    assert streamnorm(capsys, "run", tmp_path / "in.parquet", "--output", out, *words).code == 0
    read = pq.read_table(out)
    assert read.schema.names == ["id", "fare", "tip", "n"]
    assert read["id"].equals(TABLE["id"])


def test_a_suffix_that_is_taken(tmp_path, capsys):
    pq.write_table(TABLE.append_column("n_z", TABLE["n"]), tmp_path / "in.parquet")
    (tmp_path / "r.toml").write_text('[columns.n]\nsuffix = "_z"')
    out = tmp_path / "out.parquet"
    failed = streamnorm(capsys, "run", tmp_path / "in.parquet", "--output", out, "--recipe", tmp_path / "r.toml")
    assert (failed.code, "'n_z' already" in failed.err, out.exists()) == (1, True, False)


def test_the_job_writes_a_recipe_and_does_as_it_says(tmp_path):
    source, recipe, out = tmp_path / "in", tmp_path / "recipe.toml", tmp_path / "out"
    source.mkdir()
    flights = pq.read_table(Path(__file__).parents[2] / "data" / "flights.parquet").slice(0, 9000)
    pq.write_table(flights.slice(0, 6000), source / "1.parquet")

    def job(*words):
        command = [sys.executable, Path(__file__).parents[2] / "pipelines" / "recipe_etl.py", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "written where it does not exist" in job("--help").stdout
    assert "edit it" in job(source, out, "--recipe", recipe).stdout
    assert not out.exists()
    recipe.write_text(recipe.read_text().replace('# fill = "median"', 'fill = "median"'))
    assert "1 files written, 1 counted" in job(source, out, "--recipe", recipe).stdout
    pq.write_table(flights.slice(6000), source / "2.parquet")
    done = job(source, out, "--recipe", recipe)
    wanted = sn.TableNormalizer.from_recipe(recipe).fit(flights)
    assert f"2 files written, 2 counted, state {wanted.digest()}" in done.stdout, done.stderr
    assert pq.read_table(out).equals(wanted.transform(flights))
    assert pq.read_table(out)["dep_delay"].null_count == 0
    recipe.write_text("defalt = 1")
    done = job(source, out, "--recipe", recipe)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {recipe}: the recipe has no key 'defalt': did you mean 'default'?")


def test_the_recipe_of_the_guide():
    root = Path(__file__).parents[2]
    (text,) = re.findall(
        r"```toml\n(.*?)```", (root / "streamnorm" / "docs" / "guide.md").read_text(encoding="utf-8"), re.DOTALL
    )
    flights = pq.read_table(root / "data" / "flights.parquet").slice(0, 3000)
    result = sn.TableNormalizer.from_recipe(tomllib.loads(text)).fit(flights).transform(flights)
    assert result.column_names == [name for name in flights.column_names if name != "year"] + ["distance_z"]
    assert (result["dep_delay"].type, result["dep_delay"].null_count) == (pa.float32(), 0)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_limits_of_the_greatest_numbers(kind):
    """Whose sum is none, and which are learnt from as the limits."""
    most = np.finfo(kind.to_pandas_dtype()).max
    recipe = {"columns": {"x": {"scaler": "minmax", "clip": [-1, 3]}}}
    table = pa.table({"x": pa.array([most, most, -most, -most, 1.0], kind)})
    mapped = sn.TableNormalizer.from_recipe(recipe).fit(table).transform(table)
    assert mapped["x"].to_pylist() == [1.0, 1.0, 0.0, 0.0, 0.5]
