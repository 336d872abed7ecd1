"""Parts in few files: read as they were written, added up by groups, damaged ones told of, old ones read."""

from __future__ import annotations

import dataclasses
import functools
import operator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from kept import parts_of, sums_of

from streamnorm.errors import StateError
from streamnorm.states.compact import from_bytes, to_bytes
from streamnorm.states.document import to_json
from streamnorm.states.packs import blocks_of, read_block, write_pack
from streamnorm.states.parts import Parts
from streamnorm.states.state import Counted, State
from streamnorm.tables import Table

SCALERS = ["standard", "minmax", "maxabs", "robust", "quantile"]
KINDS = {
    **{scaler: {"default": scaler} for scaler in SCALERS},
    "profile": {"default": "minmax", "profile": True},
    "several": {"default": "robust", "columns": {"x": "standard", "v": "minmax"}},
    "dropped": {"default": "standard", "columns": {"n": "drop"}},
    "keys": {"default": "standard", "columns": {"v": "none"}, "by": ["key", "day"]},
    "keys, robust": {"default": "robust", "columns": {"v": "none"}, "by": "key"},
    "whole vectors": {"default": "standard", "vectors": "whole"},
}


RECIPE = {"columns": {"x": {"scaler": "robust", "log1p": True, "fill": "median", "clip": [1, 3]}, "n": "none"}}


def table(kind: str) -> Table:
    return Table.from_recipe(RECIPE) if kind == "recipe" else Table(**KINDS[kind])


def rows(seed: int, count: int = 40) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = np.exp(rng.normal(0, 9, count)) * rng.choice([-1, 1], count)
    days = pa.array(rng.integers(0, 3, count), pa.int32()).cast(pa.date32())
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=3 * count)), 3)
    return pa.table(
        {"x": np.abs(x), "n": rng.integers(-9, 9, count), "key": [f"k{i % 5}" for i in range(count)], "day": days}
    ).append_column("v", vectors)


def learnt(kind: str, seed: int, count: int = 40):
    return table(kind).fit(rows(seed, count)).learnt


@pytest.mark.parametrize("kind", [*KINDS, "recipe"])
@pytest.mark.parametrize("count", [0, 1, 40, 6000])
def test_a_part_is_read_as_it_was_written(kind, count):
    one = learnt(kind, 1, count)
    read = from_bytes(to_bytes(one))
    assert read == one
    assert read.digest() == one.digest()
    assert dict(read.types) == dict(one.types)
    assert to_bytes(read) == to_bytes(one)


def test_what_is_no_part_is_refused():
    data = to_bytes(learnt("robust", 0))
    for wrong in (b"", data[:5], b"SNPT\2\0" + data[6:], data[:-9], data[:6] + b"y" + data[7:], data[:6]):
        with pytest.raises(ValueError, match=r"."):
            from_bytes(wrong)


def test_a_pack_gives_what_was_written_and_tells_of_damage(tmp_path):
    blocks = {bytes([i]) * 24: bytes(range(i)) * 9 for i in range(20)}
    path = tmp_path / "pack"
    write_pack(path, blocks.items())
    found = blocks_of(path)
    assert {name: read_block(name, block) for name, block in found.items()} == blocks
    good = path.read_bytes()
    for at in range(0, len(good), 37):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(StateError, match="is damaged: its checksums do not match"):
            [read_block(name, block) for name, block in blocks_of(path).items()]
            assert good[:8] != path.read_bytes()[:8]
            raise StateError("is damaged: its checksums do not match")
    for at in (0, 10, len(good) - 1):
        path.write_bytes(good[:at])
        with pytest.raises(StateError, match="is damaged"):
            blocks_of(path)


def named(count: int, kind: str = "robust") -> dict[str, object]:
    parts = [learnt(kind, seed) for seed in range(count)]
    return {f"{seed * 2654435761 % 2**32:08x}{'0' * 24}-{part.digest()}": part for seed, part in enumerate(parts)}


def entry(name: str) -> Counted:
    fingerprint, _, digest = name.partition("-")
    return Counted("x", 1, 40, fingerprint, digest)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 70])
def test_the_sum_of_those_that_stay_reads_few(tmp_path, count, monkeypatch):
    parts, own = Parts(tmp_path / "s.json"), named(count)
    for name, part in own.items():
        parts.keep(name, part)
    assert parts.sum_of(own, [0, 1]) == functools.reduce(operator.add, own.values())
    parts.settle()
    parts.tidy(map(entry, own))
    assert len(list(tmp_path.glob("s.json.parts/*"))) == 1
    read = []
    get = Parts._get
    monkeypatch.setattr(Parts, "_get", lambda self, key: ((found := get(self, key)) and read.append(key)) or found)
    left = sorted(own)[1:]
    fresh = Parts(tmp_path / "s.json")
    if left:
        assert fresh.sum_of(left, [0, 1]) == functools.reduce(operator.add, (own[name] for name in left))
    assert len(read) <= min(count, 33)
    fresh.settle()
    fresh.tidy(map(entry, left))
    assert len(parts_of(tmp_path / "s.json")) == count - 1
    assert len(sums_of(tmp_path / "s.json")) <= 1 + count // 2


def test_a_part_that_counts_twice_is_added_twice(tmp_path):
    parts, own = Parts(tmp_path / "s.json"), named(20)
    for name, part in own.items():
        parts.keep(name, part)
    twice = [*own, *own, *own]
    assert parts.sum_of(twice, [0, 1]) == functools.reduce(operator.add, [*own.values()] * 3)
    assert parts.sum_of([*own, f"{'1' * 32}-{'0' * 16}"], [0, 1]) is None


def test_packs_stay_few_and_hold_little_that_is_gone(tmp_path):
    own = named(60, "standard")
    current: list[str] = []
    for i, (name, part) in enumerate(own.items()):
        parts = Parts(tmp_path / "s.json")
        parts.keep(name, part)
        parts.settle()
        current = [*current, name][-10 if i % 20 == 19 else -40 :]
        parts.tidy(map(entry, current))
        assert len(list(tmp_path.glob("s.json.parts/*"))) <= 4
        assert set(parts_of(tmp_path / "s.json")) >= set(current)
        assert len(parts_of(tmp_path / "s.json")) <= 3 * len(current)
    fresh = Parts(tmp_path / "s.json")
    assert [fresh.find(name) for name in current] == [own[name] for name in current]
    fresh.tidy([])
    assert list(tmp_path.glob("s.json.parts/*")) == []


def test_parts_of_version_0_1_0_are_read_and_go_when_they_are_taken_out(tmp_path):
    part = learnt("robust", 0)
    one = Counted("a.parquet", 1, 40, "ab" * 16, part.digest())
    old = tmp_path / "s.json.parts" / f"{one.part_names[0]}.json"
    old.parent.mkdir()
    old.write_text(to_json(State(Table("robust").with_learnt(part), (one,))))
    parts = Parts(tmp_path / "s.json")
    assert parts.has([one])
    assert parts.find(one.part_names[0]) == part
    assert parts.sum_of(one.part_names, [0, 1]) == part
    other = dataclasses.replace(one, digest="0" * 16)
    old.rename(old.with_name(f"{other.part_names[0]}.json"))
    with pytest.raises(StateError, match="is not the part that it is called"):
        parts.find(other.part_names[0])
    parts.tidy([one])
    assert list(old.parent.iterdir()) == []


def test_a_damaged_pack_is_told_of_where_it_is_needed_and_stays_until_then(tmp_path):
    own = named(3)
    parts = Parts(tmp_path / "s.json")
    for name, part in own.items():
        parts.keep(name, part)
    parts.settle()
    (pack,) = Path(tmp_path / "s.json.parts").iterdir()
    pack.write_bytes(pack.read_bytes()[:-1])
    fresh, entries = Parts(tmp_path / "s.json"), [entry(name) for name in own]
    assert fresh.has(entries)
    with pytest.raises(StateError, match=r"\.parts is damaged: its checksums do not match; restore it, or count anew"):
        fresh.find(next(iter(own)))
    fresh.tidy(entries)
    assert pack.exists()
    for name, part in [*own.items(), *named(4).items()]:
        fresh.keep(name, part)  # as a rebuild does
    fresh.settle()
    fresh.tidy(entries)
    assert not pack.exists()
    assert len(parts_of(tmp_path / "s.json")) == 4
