"""The scripts people copy: short, with help, and run as they would be."""

from __future__ import annotations

import json
import re
import runpy
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

import streamnorm as sn

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "pipelines").glob("*.py"))
SAMPLE = ROOT / "data" / "flights.parquet"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys, monkeypatch) -> Callable[..., Done]:
    """Run a script in this process, as ``python pipelines/NAME WORDS`` would."""

    def run(name: str, *words: object) -> Done:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        try:
            runpy.run_path(str(ROOT / "pipelines" / name), run_name="__main__")
            code = 0
        except SystemExit as stopped:
            code, message = stopped.code or 0, ""
            if isinstance(code, str):
                code, message = 1, code + "\n"  # as the interpreter does
            out, err = capsys.readouterr()
            return Done(code, out, err + message)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture(scope="module")
def january() -> list[pa.Table]:
    """Its first ten days."""
    table = pq.read_table(SAMPLE, filters=pc.field("month") == 1)
    return [table.filter(pc.equal(table["day"], day)) for day in range(1, 11)]


def write_days(folder: Path, days: list[pa.Table], first: int = 1) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"2013-01-{day:02}.parquet" for day in range(first, first + len(days))]
    for path, table in zip(paths, days, strict=True):
        pq.write_table(table, path)
    return paths


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_short(script):
    assert len(script.read_text().splitlines()) < 100


@pytest.mark.parametrize("name", [path.name for path in SCRIPTS])
def test_scripts_have_help(run, name):
    done = run(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: {name}")


def test_nightly_job(run, tmp_path, january):
    inbox, copies, state = tmp_path / "in", tmp_path / "out", tmp_path / "state.json"
    words = (inbox, copies, "--state", state, "--columns", "dep_delay,distance,temp")
    paths = write_days(inbox, january[:5])
    first = run("nightly_etl.py", *words, "--max-drift", 5)
    assert (first.code, first.err) == (0, "")
    assert run("nightly_etl.py", *words).out == "nothing new\n"
    paths += write_days(inbox, january[5:7], first=6)
    copy = copies / paths[0].name
    written = copy.stat().st_mtime_ns
    second = run("nightly_etl.py", *words, "--max-drift", 5)
    assert second.out.startswith("2 new files added and written, 7 in all")
    assert copy.stat().st_mtime_ns == written
    chosen = dict.fromkeys(("dep_delay", "distance", "temp"), "standard")
    assert sn.load(state) == sn.fit(paths, sn.TableNormalizer(None, chosen, profile=True))
    assert pq.read_table(copies / paths[6].name).equals(sn.load(state).transform(january[6]))

    hot = january[7].set_column(january[7].column_names.index("temp"), "temp", pc.add(january[7]["temp"], 100.0))
    (bad,) = write_days(inbox, [hot], first=8)
    before = state.read_bytes()
    refused = run("nightly_etl.py", *words)
    assert refused.code == 3
    assert re.match(r"refused: columns of 1 new file have drifted: temp: PSI", refused.err)
    assert (state.read_bytes(), (copies / bad.name).exists()) == (before, False)
    assert run("nightly_etl.py", *words, "--accept-drift").code == 0
    assert (copies / bad.name).exists()


def test_nightly_job_finishes_what_was_stopped(run, tmp_path, january):
    inbox, copies, state = tmp_path / "in", tmp_path / "out", tmp_path / "state.json"
    words = (inbox, copies, "--state", state, "--columns", "temp")
    paths = write_days(inbox, january[:1])  # a first night of one file
    assert run("nightly_etl.py", *words).out.startswith("1 new file added and written, 1 in all")
    paths += write_days(inbox, january[1:2], first=2)
    assert run("nightly_etl.py", *words, "--accept-drift").code == 0
    before = state.read_bytes()
    (copies / paths[1].name).unlink()  # as if killed after the state was written
    again = run("nightly_etl.py", *words, "--max-drift", 5)
    assert (again.code, again.err) == (0, "")
    assert (
        sn.load(state).learnt.digest()
        == sn.fit(paths, sn.TableNormalizer(None, {"temp": "standard"}, profile=True)).learnt.digest()
    )
    assert (state.read_bytes() == before, (copies / paths[1].name).exists()) == (True, True)


def test_csv_becomes_normalised_parquet(run, tmp_path):
    source = ROOT / "data" / "flights_january.csv"
    words = (source, "--output", tmp_path / "out", "--state", tmp_path / "s.json", "--exclude", "flight,year")
    done = run("csv_to_parquet.py", *words)
    assert (done.code, done.err) == (0, "")
    written = pq.read_table(tmp_path / "out" / "flights_january.parquet")
    given = pv.read_csv(source)
    assert written.column_names == given.column_names
    delay = given["dep_delay"].cast(pa.float64())
    wanted = pc.divide(pc.subtract(delay, pc.mean(delay)), pc.stddev(delay))
    np.testing.assert_allclose(written["dep_delay"].to_numpy(), wanted.to_numpy(), rtol=1e-9, atol=1e-12)
    assert written["carrier"].equals(given["carrier"].cast(pa.string()))
    assert written["flight"].cast(pa.int64()).equals(given["flight"])
    refused = run("csv_to_parquet.py", *words)
    assert refused.code == 1
    assert refused.err.startswith("error: ")
    assert run("csv_to_parquet.py", *words, "--overwrite").code == 0


def test_training_is_better_than_guessing(run):
    columns = "dep_delay,distance,hour,temp,wind_speed"
    done = run("train_out_of_core.py", SAMPLE, "--target", "arr_delay", "--above", 15, "--columns", columns)
    assert (done.code, done.err) == (0, "")
    rows, accuracy, commonest = re.match(
        r"held out: ([\d,]+) rows, accuracy (0\.\d+), of the commonest class (0\.\d+)\n$", done.out
    ).groups()
    assert int(rows.replace(",", "")) > 20000
    assert float(accuracy) > 0.87 > float(commonest) + 0.1
    tiny = run("train_out_of_core.py", SAMPLE, "--target", "arr_delay", "--columns", columns, "--batch-size", 10**6)
    assert tiny.code == 1


def test_a_window_is_what_a_fit_of_it_is(run, tmp_path, january):
    inbox, state = tmp_path / "in", tmp_path / "state.json"
    paths = write_days(inbox, january[:7])
    first = run("rolling_window.py", inbox, "--state", state)
    assert (first.code, first.err) == (0, "")
    for day in (8, 9, 10):
        paths += write_days(inbox, [january[day - 1]], first=day)
        if day == 10:
            paths[2].unlink()  # the day to be forgotten is gone already
        done = run("rolling_window.py", inbox, "--state", state)
        assert (done.code, done.err) == (0, ""), done.err
        assert "1 forgotten" in done.out
        window = sn.fit(paths[-7:])
        assert sn.load(state) == window
        assert done.out.endswith(f"state {window.digest()}\n")
    again = run("rolling_window.py", inbox, "--state", state)
    assert "0 forgotten" in again.out
    assert sn.load(state) == window


def test_a_topic_is_followed(run, tmp_path):
    import brokers as support

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    values = [{"price": i / 7, "count": i, "shop": str(i % 3)} for i in range(200)]
    with support.brokers() as cluster:
        words = [cluster.names, "prices", "results", "--state", tmp_path / "s.json", "--columns", "price,count"]
        for end in (120, 200):
            start = 120 if end == 200 else 0
            cluster.send("prices", [*values[start:end:2], None], 0)
            cluster.send("prices", values[start + 1 : end : 2], 1)
            done = run("kafka_follow.py", *words, "--messages", end - start + 1, "--every", 0)
            whole = sn.TableNormalizer().fit(pa.Table.from_pylist(values[:end]).select(["price", "count"]))
            assert (done.code, done.err) == (0, ""), done.err
            assert done.out == f"{end - start + 1} messages, state {whole.digest()}\n"
        found = [json.loads(message.value()) for message in cluster.read("results")]
    for number, handler in before.items():
        signal.signal(number, handler)
    assert sorted(value["shop"] for value in found) == sorted(value["shop"] for value in values)
    assert sn.load(tmp_path / "s.json").positions_.to_json() == {
        "prices/0": {"ranges": [[0, 102]]},
        "prices/1": {"ranges": [[0, 100]]},
    }
