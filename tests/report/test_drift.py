"""The drift between two states: against the definition on the values, its laws, and the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from samples import SAMPLES, sample
from shell import streamnorm

import streamnorm as sn


def fitted(values, scaler="standard", profile=True, **options) -> sn.TableNormalizer:
    return sn.TableNormalizer(scaler, profile=profile, **options).fit(pa.table({"x": values}))


def drift_of(a, b, **options):
    (drift,) = sn.report.diff(fitted(a, **options), fitted(b, **options))
    return drift


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """The index in a few lines, on the values themselves; NaN is missing."""
    values = np.sort(a[~np.isnan(a)])
    edges = sorted({values[math.ceil(len(values) * j / 10) - 1] for j in range(1, 11)})
    groups = []
    for x in (a, b):
        there = x[~np.isnan(x)]
        at = np.where(there < values[0], 0, np.searchsorted(edges, there) + 1)
        groups.append([*np.bincount(at, minlength=len(edges) + 2), np.isnan(x).sum()])
    counts = np.array(groups)[:, np.sum(groups, axis=0) > 0] + 0.5
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sum((q - p) * np.log(q / p)))


PAIRS = {
    "moved": lambda r: (r.normal(size=1000), r.normal(0.5, 1, 700)),
    "wider": lambda r: (r.normal(size=1000), r.normal(0, 3, 2000)),
    "few values": lambda r: (r.integers(0, 4, 500) * 1.0, r.integers(-1, 6, 300) * 1.0),
    "missing": lambda r: (r.normal(size=500), np.where(r.random(500) < 0.4, np.nan, r.normal(size=500))),
    "constant": lambda r: (np.full(100, 2.0), np.full(50, 3.0)),
    "elsewhere": lambda r: (r.uniform(size=300), r.uniform(5, 6, 300)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_index_is_the_one_defined(name):
    a, b = PAIRS[name](np.random.default_rng(0))
    drift = drift_of(a, b)
    assert drift.basis == "histograms"
    assert drift.psi == pytest.approx(by_definition(a, b), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_coarse_histograms_come_near(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=30000), rng.normal(0.3, 1.2, 30000)
    assert drift_of(a, b).psi == pytest.approx(by_definition(a, b), rel=0.03)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_drifts_from_itself(name):
    x = sample(name, 300)
    drift = drift_of(x, x[::-1])
    assert drift.psi == 0
    assert drift.verdict == "stable"
    assert drift.shift in (0, None)


def test_the_index_depends_on_the_rows_alone():
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(size=9000), rng.lognormal(0.1, 1, 9000)
    whole = drift_of(a, b)
    pieces = sum((fitted(part) for part in reversed(np.split(b, [10, 5000]))), 0)
    (again,) = sn.report.diff(fitted(a), pieces)
    assert (again.psi, again.shift, again.ratio) == (whole.psi, whole.shift, whole.ratio)


def test_chance_is_what_it_is_said_to_be():
    rng = np.random.default_rng(0)
    drifts = [drift_of(rng.normal(size=400), rng.normal(size=300)) for _ in range(300)]
    share = np.mean([drift.psi > drift.noise for drift in drifts])
    assert 0.01 < share < 0.1  # one in twenty


def normal_index(m0, s0, m1, s1) -> float:
    """The same integral over two normal distributions, by quadrature."""
    x = np.linspace(-60, 60, 400_001)
    log_p, log_q = (-0.5 * ((x - m) / s) ** 2 - math.log(s * math.sqrt(2 * math.pi)) for m, s in ((m0, s0), (m1, s1)))
    return float(np.trapezoid((np.exp(log_q) - np.exp(log_p)) * (log_q - log_p), x))


def test_moments_alone_give_that_of_normal_distributions():
    a, b = np.array([-1.0, 1.0] * 5000), np.array([-0.5, 3.5] * 5000)
    drift = drift_of(a, b, profile=False)
    assert (drift.basis, drift.shift, drift.ratio) == ("moments", 1.5, 2.0)
    assert drift.psi == pytest.approx(normal_index(0, 1, 1.5, 2), rel=1e-9)


def test_extremes_alone_give_that_of_their_ranges():
    drift = drift_of([0.0, 1.0], [0.0, 2.0], scaler="minmax", profile=False)
    assert (drift.basis, drift.ratio) == ("extremes", 2.0)
    assert drift.shift == pytest.approx(math.sqrt(3), rel=1e-15)  # half a range, of which sd is 1 / sqrt(3)
    assert drift.psi == pytest.approx(normal_index(0.5, 0.5 / math.sqrt(3), 1, 1 / math.sqrt(3)), rel=1e-6)


def test_a_profile_compares_with_a_scaler_of_quantiles():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=500), rng.normal(1, 1, 500)
    (drift,) = sn.report.diff(fitted(a), fitted(b, "robust", profile=False))
    assert drift.basis == "histograms"
    assert drift.psi == pytest.approx(by_definition(a, b), rel=1e-12)


def test_what_has_nothing_in_common_is_not_compared():
    (drift,) = sn.report.diff(fitted([1.0, 2.0], profile=False), fitted([1.0, 2.0], "minmax", profile=False))
    assert (drift.psi, drift.verdict) == (None, "not comparable")


def test_columns_of_one_state_only_come_first():
    a = sn.TableNormalizer().fit(pa.table({"x": [1.0, 2.0], "old": [1.0, 2.0]}))
    b = sn.TableNormalizer().fit(pa.table({"new": [1.0, 2.0], "x": [1.0, 2.0]}))
    assert [(d.name, d.verdict) for d in sn.report.diff(a, b)] == [
        ("old", "column is gone"), ("new", "new column"), ("x", "stable"),
    ]  # fmt: skip


@pytest.fixture
def states(tmp_path):
    rng = np.random.default_rng(0)
    for name, move in (("a", 0), ("b", 1)):
        table = pa.table({"moves": rng.normal(move, 1, 2000), "stays": rng.normal(size=2000)})
        sn.save(sn.TableNormalizer(profile=True).fit(table), tmp_path / f"{name}.json")
    return tmp_path / "a.json", tmp_path / "b.json"


def test_diff_and_its_exit_codes(states, capsys):
    shown = streamnorm(capsys, "diff", *states)
    assert (shown.code, shown.err) == (0, "")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["column", "moves", "stays"]
    assert streamnorm(capsys, "diff", *states, "--fail-over", 2).code == 0
    failed = streamnorm(capsys, "diff", *states, "--fail-over", 0.25)
    assert (failed.code, failed.out) == (3, shown.out)
    assert failed.err == "drift: 1 column above 0.25: 'moves'\n"
    assert streamnorm(capsys, "diff", states[0], states[0], "--fail-over", 0).code == 0
    assert streamnorm(capsys, "diff", *states, "--fail-over", "nan").code == 2
    assert streamnorm(capsys, "diff", states[0], "none.json", "--fail-over", 1).code == 1


@pytest.mark.parametrize(("columns", "end"), [(10, "'c09'\n"), (11, "'c09' and 1 more\n"), (13, "'c09' and 3 more\n")])
def test_columns_that_are_not_named_are_counted(tmp_path, capsys, columns, end):
    for name, move in (("a", 0), ("b", 5)):
        table = pa.table({f"c{i:02}": np.arange(100.0) / 50 + move for i in range(columns)})
        sn.save(sn.TableNormalizer(profile=True).fit(table), tmp_path / f"{name}.json")
    failed = streamnorm(capsys, "diff", tmp_path / "a.json", tmp_path / "b.json", "--fail-over", 0.25)
    assert failed.code == 3
    assert failed.err.startswith(f"drift: {columns} columns above 0.25: 'c00', ")
    assert failed.err.endswith(end)


def test_diff_as_json(states, capsys):
    moves, stays = json.loads(streamnorm(capsys, "diff", *states, "--json").out, parse_constant=pytest.fail)["columns"]
    assert (moves["name"], moves["verdict"], moves["basis"]) == ("moves", "major", "histograms")
    assert moves["shift"] == pytest.approx(1, abs=0.1)
    assert stays["psi"] <= stays["noise"]
    assert moves["after"]["mean"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["no rows", "nothing in common", "only in one"])
def test_what_cannot_be_judged_does_not_pass(kind, tmp_path, capsys):
    table = pa.table({"x": [1.0, 2.0]})
    others = {
        "no rows": sn.TableNormalizer().fit(table.slice(2)),
        "nothing in common": sn.TableNormalizer("minmax").fit(table),
        "only in one": sn.TableNormalizer().fit(pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]})),
    }
    sn.save(sn.TableNormalizer().fit(table), tmp_path / "a.json")
    sn.save(others[kind], tmp_path / "b.json")
    failed = streamnorm(capsys, "diff", tmp_path / "a.json", tmp_path / "b.json", "--fail-over", 9)
    assert failed.code == (3 if kind == "only in one" else 1)
    assert streamnorm(capsys, "diff", tmp_path / "a.json", tmp_path / "b.json").code == 0
