"""`streamnorm init`: what it suggests for columns of each kind, and that its recipes run as they are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn

DATA = Path(__file__).parents[2] / "data"
ROWS = 10_000
RNG = np.random.default_rng(3)
LONE = np.where(np.arange(ROWS) == 7, np.inf, RNG.normal(size=ROWS))

#: Columns, and what is suggested for them: a scaler, "drop", or "log1p" beside "standard".
COLUMNS = {
    "even": (RNG.normal(50, 10, ROWS), "standard"),
    "count": (RNG.integers(0, 7, ROWS), "standard"),
    "lognormal": (RNG.lognormal(3, 2, ROWS), "log1p"),
    "sideways": (-RNG.lognormal(0, 2, ROWS), "robust"),
    "cauchy": (RNG.standard_cauchy(ROWS), "robust"),
    "mostly zero": (np.where(RNG.random(ROWS) < 0.9, 0.0, RNG.random(ROWS)), "standard"),
    "constant": (np.full(ROWS, 0.1), "drop"),
    "nothing": (pa.nulls(ROWS, pa.float64()), "drop"),
    "flag": (RNG.integers(0, 2, ROWS), "none"),
    "vendor_id": (RNG.integers(0, 50, ROWS), "none"),
    "userId": (RNG.integers(0, 5000, ROWS), "none"),
    "paid": (RNG.integers(0, 5000, ROWS), "standard"),
    "zip": (RNG.integers(501, 99950, ROWS), "none"),
    "month": (RNG.integers(1, 13, ROWS), "none"),
    "row": (RNG.permutation(np.arange(5, ROWS + 5)), "none"),
    'odd "name"\n\x7f [1]*': (LONE, "standard"),
    "vector": (pa.array(RNG.normal(size=(ROWS, 2)).tolist(), pa.list_(pa.float64(), 2)), "none"),
    "yes": (pa.array(RNG.random(ROWS) < 0.5), "none"),
}


@pytest.fixture(scope="module")
def table():
    return pa.table({**{name: values for name, (values, _) in COLUMNS.items()}, "te\nxt": ["a"] * ROWS})


@pytest.fixture(scope="module")
def recipe(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("init")
    pq.write_table(table, folder / "t.parquet", row_group_size=900)
    from streamnorm.inputs.expand import expand
    from streamnorm.jobs.suggest import recipe_for

    text = recipe_for(expand(folder / "t.parquet"), threads=2)
    assert recipe_for(expand(folder / "t.parquet"), threads=1) == text
    return text


@pytest.mark.parametrize("name", COLUMNS)
def test_what_is_suggested(name, recipe):
    found = tomllib.loads(recipe)["columns"][name]
    kind = "drop" if found.get("drop") else "log1p" if found.get("log1p") else found["scaler"]
    assert kind == COLUMNS[name][1]


def test_it_runs_as_it_is(recipe, table):
    normalizer = sn.TableNormalizer.from_recipe(tomllib.loads(recipe)).fit(table)
    out = normalizer.transform(table.slice(10))
    assert set(table.schema.names) - set(out.schema.names) == {"constant", "nothing"}
    for name in ("flag", "zip", "te\nxt", "vector"):
        assert out[name].equals(table[name].slice(10))
    assert abs(np.mean(out["lognormal"].to_numpy())) < 0.01


def test_every_table_says_what_was_seen(recipe):
    assert "# double, from 0.1 to 0.1, median 0.1, 1 different value\n" in recipe
    assert 'infinite = "skip"       # there are infinities' in recipe
    assert "Without numbers, so left alone: te xt (string)" in recipe


@pytest.mark.parametrize("name", ["flights.parquet", "flights_january.csv"])
def test_from_the_shell(tmp_path, capsys, name):
    made = streamnorm(capsys, "init", DATA / name)
    assert (made.code, made.err) == (0, "")
    (tmp_path / "recipe.toml").write_text(made.out)
    out = tmp_path / Path(name).name
    words = ["--output", out, "--recipe", tmp_path / "recipe.toml", "--quiet"]
    assert streamnorm(capsys, "run", DATA / name, *words).code == 0
    recipe = tomllib.loads(made.out)["columns"]
    assert (recipe["year"], recipe["dep_delay"]["scaler"]) == ({"drop": True}, "robust")


def test_without_numbers(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a,b\nx,y\n")
    failed = streamnorm(capsys, "init", tmp_path / "t.csv")
    assert (failed.code, failed.out, "no column to normalise" in failed.err) == (1, "", True)
