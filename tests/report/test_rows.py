"""Whiteners are looked at: exact moments of their columns, components and correlations; their states merge."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import streamnorm as sn
from streamnorm.cli import cli


def table(n=60, seed=0):
    X = np.random.default_rng(seed).normal((5, 0, -2), 1, (n, 3))
    X[:, 0] += 2 * X[:, 2]
    X[3:4, 1] = np.nan
    return pa.table({name: X[:, i] for i, name in enumerate(("c", "a", "b"))})


def run(*words):
    result = CliRunner().invoke(cli, [str(word) for word in words])
    return result.exit_code, result.output or str(result.exception or "")


@pytest.mark.parametrize("kind", [sn.Whitener, lambda: sn.Whitener("pca", n_components=2)])
def test_what_is_shown_is_what_was_learnt(kind, tmp_path):
    one, path = kind().fit(table()), tmp_path / "w.json"
    sn.save(one, path)
    shown = json.loads(sn.report.show(one).to_json())
    assert json.loads(sn.report.show(path).to_json()) == shown
    assert json.loads(run("show", path, "--json")[1]) == shown
    assert (shown["class"], shown["digest"], shown["left_out"]) == ("Whitener", one.digest(), 1)
    assert shown["features"] == ["c", "a", "b"]
    for name in ("covariance", "correlation", "components", "explained_variance", "whitening"):
        assert shown[name] == getattr(one, f"{name}_").tolist()
    columns = {column["name"]: column for column in shown["columns"]}
    complete = np.delete(table().to_pandas().to_numpy(), 3, axis=0)
    alone = sn.StandardScaler(ddof=1).fit(complete)
    for i, name in enumerate(shown["features"]):
        assert columns[name]["mean"] == one.mean_[i] == alone.mean_[i]
        assert columns[name]["std"] == alone.scale_[i]
        assert columns[name]["std"] ** 2 == pytest.approx(one.covariance_[i, i], rel=1e-15)
        assert (columns[name]["rows"], columns[name]["values"]) == (60, 59)


def test_words_name_the_greatest_correlation_and_rows_left_out(tmp_path):
    one, path = sn.Whitener().fit(table()), tmp_path / "w.json"
    sn.save(one, path)
    text = str(sn.report.show(one))
    assert f"greatest correlations: c and b {one.correlation_[0, 2]:.3g}, " in text
    assert "rows left out for a missing value, the missing ones above: 1" in text
    assert "zca by 3 of 3 components" in text
    assert run("show", path) == (0, sn.report.text.show_table(sn.states.looked_at(one)) + "\n")
    assert run("report", path, "--output", tmp_path / "r.html") == (0, "")
    for html in (sn.report.show(one)._repr_html_(), (tmp_path / "r.html").read_text()):
        assert "greatest correlations: c and b" in html


def test_few_rows_and_constants_are_shown():
    for rows in (table(1), table(2), table(5).set_column(0, "c", pa.array([1.0] * 5)), table(4).select(["a"])):
        one = sn.Whitener().fit(rows)
        assert f"digest {one.digest()}" in str(sn.report.show(one))
        json.loads(sn.report.show(one).to_json())


def test_drift_of_two(tmp_path):
    sn.save(sn.Whitener().fit(table(500)), tmp_path / "a.json")
    sn.save(sn.Whitener().fit(table(500, seed=1)), tmp_path / "b.json")
    drifts = sn.report.diff(tmp_path / "a.json", tmp_path / "b.json")
    assert {drift.name: drift.verdict for drift in drifts} == dict.fromkeys("abc", "stable")
    assert run("diff", tmp_path / "a.json", tmp_path / "b.json")[0] == 0


def test_states_merge_exactly(tmp_path):
    parts = [table(40), table(50, seed=1), table(7, seed=2)]
    for i, part in enumerate(parts):
        sn.save(sn.Whitener().fit(part), tmp_path / f"{i}.json")
    words = [tmp_path / f"{i}.json" for i in (2, 0, 1)]
    assert run("merge", *words, "--output", tmp_path / "all.json") == (0, "")
    assert sn.load(tmp_path / "all.json") == sn.Whitener().fit(pa.concat_tables(parts))
    sn.save(sn.Whitener().fit(pa.concat_tables(parts)), tmp_path / "whole.json")
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "all.json").read_bytes()


def test_states_of_other_classes_do_not_merge(tmp_path):
    sn.save(sn.Whitener().fit(table()), tmp_path / "w.json")
    sn.save(sn.StandardScaler().fit(table()), tmp_path / "s.json")
    sn.save(sn.Whitener("pca").fit(table()), tmp_path / "p.json")
    code, text = run("merge", tmp_path / "w.json", tmp_path / "s.json", "--output", tmp_path / "no.json")
    assert (code, "cannot add StandardScaler and Whitener" in text) == (1, True)
    code, text = run("merge", tmp_path / "w.json", tmp_path / "p.json", "--output", tmp_path / "no.json")
    assert (code, "other parameters" in text) == (1, True)
    assert not (tmp_path / "no.json").exists()
