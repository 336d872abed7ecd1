"""Jobs in Google's and Azure's stores: all is as it is on a disk, bit for bit, and of two updates none is lost."""

from __future__ import annotations

import clouds
import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import OutputError, StateError
from streamnorm.states import holding


def numbers(seed: int, rows: int = 2000) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"x": rng.normal(size=rows), "y": rng.integers(0, 99, rows), "shop": ["a", "b"] * (rows // 2)})


@pytest.fixture(scope="module", params=list(clouds.CLOUDS))
def running(request, tmp_path_factory):
    with clouds.CLOUDS[request.param](tmp_path_factory.mktemp("clouds")) as cloud:
        yield cloud


@pytest.fixture
def cloud(running, tmp_path, monkeypatch):
    """A bucket with a folder of two files, of which `tmp_path` has a copy."""
    for name in running.tree():
        running.remove(name)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "in" / "day=1").mkdir(parents=True)
    pq.write_table(numbers(0), tmp_path / "in" / "a b.parquet", row_group_size=700)
    pv.write_csv(numbers(1), tmp_path / "in" / "day=1" / "c.csv")
    for path in (tmp_path / "in").rglob("*.*"):
        running.put(path.relative_to(tmp_path).as_posix(), path.read_bytes())
    return running


def below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_every_command_gives_the_same_there_as_here(cloud, tmp_path, monkeypatch, capsys):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(mode=0o555)
    jobs = (
        "fit {0}/in/day=1{1} --state {0}/s.json{1} --keep-parts --scaler robust --quiet",
        "fit {0}/in{1} --state {0}/s.json{1} --update --quiet",
        "verify {0}/s.json{1} {0}/in{1} --quiet",
        "transform {0}/s.json{1} {0}/in{1} --output {0}/out{1} --quiet",
        "transform {0}/s.json{1} {0}/in{1} --output {0}/out{1} --resume --quiet",
        "transform {0}/s.json{1} {0}/out{1} --output {0}/back{1} --inverse --quiet",
        "run {0}/in/day=1{1} --output {0}/one{1} --state {0}/t.json{1} --quiet",
        "forget {0}/s.json{1} {0}/in/day=1/c.csv{1} --quiet",
        "merge {0}/t.json{1} --output {0}/m.json{1}",
        "show {0}/m.json{1}",
        "report {0}/t.json{1} {0}/s.json{1} --output {0}/report.html{1}",
    )
    for words in jobs:
        here = streamnorm(capsys, *words.format(tmp_path, "").split())
        assert here.code == 0, here.err
        monkeypatch.chdir(nowhere)
        there = streamnorm(capsys, *words.format(cloud.root, cloud.settings).split())
        assert there.code == 0, there.err
    assert list(nowhere.iterdir()) == []
    nowhere.rmdir()
    local, found = below(tmp_path), cloud.tree()
    packs = [sorted(tree.pop(name) for name in list(tree) if name.endswith(".parts")) for tree in (local, found)]
    assert packs[0] == packs[1]
    assert found.keys() == {name for name in local if not name.endswith(".resume")}
    for name, data in found.items():
        if name.endswith(".json"):
            assert sn.load(tmp_path / name).digest() == sn.load(f"{cloud.root}/{name}{cloud.settings}").digest(), name
        elif name != "report.html":  # names its states
            assert data == local[name], name


def test_of_two_updates_at_once_the_second_is_told_and_both_are_counted(cloud):
    state = f"{cloud.root}/s.json{cloud.settings}"
    one, two = (f"{cloud.root}/in/{name}{cloud.settings}" for name in ("a%20b.parquet", "day=1/c.csv"))
    with holding(state) as held:
        fitted = sn.fit(one, state=state, keep_parts=True)  # by another process
        with pytest.raises(StateError, match=r"/s.json was written by another process meanwhile"):
            held.write(sn.states.state_of(sn.TableNormalizer().fit(numbers(3))))
    with holding(state) as held:
        known = held.read()
        sn.fit(two, state=state, update=True)
        with pytest.raises(StateError, match=r"/s.json was written by another process meanwhile"):
            held.write(known)
    assert len(sn.load(state).sources_) == 2
    assert sn.load(state) == fitted + sn.fit(two)
    assert sn.fit(f"{cloud.root}/in{cloud.settings}", state=state, update=True) == sn.load(state)


def test_an_output_of_many_parts_is_whole_or_not_there(cloud, tmp_path):
    table = pa.table({"x": np.random.default_rng(0).normal(size=3_000_000)})
    pq.write_table(table, tmp_path / "big.parquet")
    normalizer = sn.TableNormalizer().fit(table)
    (here,) = sn.transform(normalizer, tmp_path / "big.parquet", tmp_path / "here.parquet")
    assert here.stat().st_size > 1 << 24
    there = sn.transform(normalizer, tmp_path / "big.parquet", f"{cloud.root}/there.parquet{cloud.settings}")
    assert (there, cloud.tree()["there.parquet"]) == ([f"{_told(cloud)}/there.parquet"], here.read_bytes())
    (tmp_path / "bad.csv").write_bytes(b"x\n" + b"1.25\n" * 6_000_000 + b"oops\n")
    before = cloud.tree().keys()
    with pytest.raises(sn.errors.DataError, match="oops"):
        sn.transform(normalizer, tmp_path / "bad.csv", f"{cloud.root}/bad.csv{cloud.settings}")
    assert cloud.tree().keys() == before


def _told(cloud):
    return cloud.root.replace("anonymous@", "")


def test_what_is_not_there_is_one_line(cloud):
    nowhere = f"{cloud.root.replace('bucket', 'nowhere')}/s.json{cloud.settings}"
    with pytest.raises(OutputError, match=r"nowhere/s.json cannot be written: there is no such bucket; make it"):
        sn.save(sn.TableNormalizer().fit(numbers(0)), nowhere)
    with pytest.raises(OutputError, match=r"nowhere/s.json cannot be written: there is no such bucket; make it"):
        sn.fit(f"{cloud.root}/in{cloud.settings}", state=nowhere)
    with pytest.raises(StateError, match=r"^there is no state .*/none.json"):
        sn.load(f"{cloud.root}/none.json{cloud.settings}")
