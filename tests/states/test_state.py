"""State files: a public format that is trusted only when every byte of it is as it was written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import KINDS, contents, failure, written
from shell import streamnorm

import streamnorm as sn
from streamnorm.engines.wire import from_bytes, to_bytes
from streamnorm.errors import DataError, StateError, StreamnormError
from streamnorm.jobs.work import nothing, summarise, worker_table
from streamnorm.states import Counted, State
from streamnorm.states.document import from_json, to_json

#: Files written by a release stay here and load for ever.
OLD = Path(__file__).parent / "released"

TABLE = pa.table({"a": [0.1, -2.5, None, 1e300, 5e-324], "b": pa.array([1, 2, 3, 2**62, -7], pa.int64())})
ROWS = np.array([[0.1, -2.5]] * 512 + [[np.nan, 1e300], [3.5, -0.0]])
RECIPE = {
    "default": {"scaler": "minmax", "fill": "median", "clip": [-3, 3], "log1p": False, "clip_result": [0, 0.5]},
    "columns": {"b": {"clip": [0, 1e3], "log1p": True, "type": "float32", "suffix": "_log"}, "c": "drop"},
}
VECTORS = pa.table({"v": pa.array([[1, 2], None], pa.list_(pa.int32(), 2)), "w": [[0.5], [None]], "x": [1.5, -1e-9]})
KEYED = pa.table({"shop": ["a", None, "b", "a", "a"], "day": pa.array([0, 1, 2, 0, 0], pa.int32()).cast(pa.date32())})
KEYED = KEYED.append_column("a", TABLE["a"]).append_column("b", TABLE["b"])
MAKERS = {
    "v1_table.json": lambda: sn.TableNormalizer(
        columns={"b": sn.RobustScaler(quantile_range=(10.0, 90.0))}, suffix="_z"
    ).fit(TABLE),
    "v1_profile.json": lambda: sn.TableNormalizer("minmax", {"b": "robust"}, profile=True).fit(TABLE),
    "v1_standard.json": lambda: sn.StandardScaler(ddof=1, with_mean=False).fit(np.array([[1.0, 2.0], [3.5, 1e-9]])),
    "v1_minmax.json": lambda: sn.MinMaxScaler((-1, 1), clip=True).fit(TABLE),
    "v1_maxabs.json": lambda: sn.MaxAbsScaler().fit(TABLE),
    "v2_vectors.json": lambda: sn.TableNormalizer(columns={"w": "minmax"}).fit(VECTORS),
    "v2_recipe.json": lambda: sn.TableNormalizer.from_recipe(RECIPE).fit(TABLE.append_column("c", TABLE["b"])),
    "v2_keyed.json": lambda: sn.TableNormalizer(
        columns={"a": "minmax"}, by=["shop", "day"], unseen="null", min_count=2
    ).fit(KEYED),
    "v2_keyed_vectors.json": lambda: sn.TableNormalizer(columns={"w": "robust"}, by="k", profile=True).fit(
        VECTORS.append_column("k", pa.array([7, None]))
    ),
    "v1_quantile.json": lambda: sn.QuantileTransformer(n_quantiles=3, output_distribution="normal").fit(TABLE),
    "v1_whitener.json": lambda: sn.Whitener("pca", n_components=1, regularization=0.5).fit(
        TABLE, sample_weight=[1, 2, 3, 0.5, 0.25]
    ),
    "v1_adaptive.json": lambda: sn.AdaptiveStandardScaler(1).fit(ROWS, sample_weight=np.linspace(1, 2, len(ROWS))),
    "v1_batch.json": lambda: sn.BatchNormalizer(axis=1, momentum=0.5, gamma=np.array([2.0, 0.1])).fit(
        pd.DataFrame({"a": [1.0, 2.0], "b": [4, 8]}, dtype="float32")
    ),
}
ORDERED = ("v1_adaptive.json", "v1_batch.json")


@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.parametrize("name", MAKERS)
def test_files_of_old_releases_load(name):
    again, made = sn.load(OLD / name), MAKERS[name]()
    assert again == made
    assert type(again) is type(made)
    assert again.digest() == made.digest()


@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.parametrize("name", MAKERS)
def test_the_same_state_is_the_same_bytes(name, tmp_path):
    sn.save(MAKERS[name](), tmp_path / name)
    assert (tmp_path / name).read_bytes() == (OLD / name).read_bytes()


@pytest.fixture
def state(tmp_path):
    sn.save(MAKERS["v1_table.json"](), tmp_path / "state.json")
    return tmp_path / "state.json"


def test_cut_off_anywhere(state):
    text = state.read_bytes()
    for size in range(0, len(text) - 1, 13):
        state.write_bytes(text[:size])
        with pytest.raises(StateError, match=r"state\.json"):
            sn.load(state)


WRONG_VECTORS = {
    "a width that is not so": {"width": 3, "whole": False},
    "a width below nothing": {"width": -1, "whole": False},
    "a width that is true": {"width": True, "whole": True},
    "something else": {"width": 2, "whole": False, "path": "/"},
    "neither nor": {"width": 2, "whole": "no"},
}


@pytest.mark.parametrize("name", WRONG_VECTORS)
def test_vectors_that_cannot_be(name, state):
    document = json.loads((OLD / "v2_vectors.json").read_text())
    state.write_text(signed(document))
    assert sn.load(state) == MAKERS["v2_vectors.json"]()
    document["columns"][0]["vector"] = WRONG_VECTORS[name]
    state.write_text(signed(document))
    with pytest.raises(StateError, match=r"state\.json"):
        sn.load(state)


def test_any_flipped_bit(state):
    good, text = sn.load(state), state.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(text), 400).tolist():
        data = bytearray(text)
        data[at] ^= 1 << int(rng.integers(8))
        state.write_bytes(data)
        try:
            assert sn.load(state) == good  # white space, or a digit written otherwise
        except StateError as error:
            assert "state.json" in str(error)


@pytest.mark.slow
def test_every_length_and_every_flipped_bit_of_a_small_state(tmp_path):
    path, text = tmp_path / "state.json", (OLD / "v1_standard.json").read_bytes()
    flips = (text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :] for at in range(len(text)) for bit in range(8))
    for data in [*(text[:size] for size in range(len(text) - 1)), *flips]:
        path.write_bytes(data)
        with pytest.raises(StateError, match=r"state\.json"):
            sn.load(path)


def signed(document) -> str:
    from streamnorm.states.document import _checksum

    document.pop("checksum", None)
    document["checksum"] = _checksum(document)
    return json.dumps(document)


WRONG = {
    "no format": lambda d: d.pop("format"),
    "other format": lambda d: d.update(format="zip"),
    "other version": lambda d: d.update(version=99),
    "no columns": lambda d: d.pop("columns"),
    "columns a number": lambda d: d.update(columns=3),
    "unknown scaler": lambda d: d["rules"][0].update(scaler="os.system"),
    "unknown class": lambda d: d.update({"class": "Popen"}),
    "a profile that is no bool": lambda d: d["rules"][0].update(profile=1),
    "a profile that is not there": lambda d: d["rules"][0].update(profile=True),
    "unknown parameter": lambda d: d["parameters"].update(shell=True),
    "a sum as a number": lambda d: d["columns"][0]["summary"].update(total=1.5),
    "a sum that is no number": lambda d: d["columns"][0]["summary"].update(total="__import__('os')"),
    "a huge exponent": lambda d: d["columns"][0]["summary"].update(total="1p999999999"),
    "a huge integer": lambda d: d["columns"][0]["summary"].update(total="f" * 100_000),
    "a count beyond int64": lambda d: d["columns"][0]["summary"]["counts"].update(values=2**70),
    "a negative count": lambda d: d["columns"][0]["summary"]["counts"].update(values=-1),
    "a count as text": lambda d: d["columns"][0]["summary"]["counts"].update(values="1"),
    "a rule that is not there": lambda d: d["columns"][0].update(rule=7),
    "the same column twice": lambda d: d["columns"].append(dict(d["columns"][0])),
    "a name that is no text": lambda d: d["columns"][0].update(name=3),
    "a source without a size": lambda d: d.update(sources=[{"location": "x"}]),
    "a step that is not there": lambda d: d["rules"][0].update(steps={"eval": "1"}),
    "a step that cannot be": lambda d: d["rules"][0].update(steps={"clip": [3, 1]}),
    "a dropped number": lambda d: d.update(dropped=[3]),
    "a dropped column": lambda d: d.update(dropped=["a"]),
    "a list": None,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_in_itself_though_signed(name, state):
    document = json.loads(state.read_text())
    if WRONG[name] is None:
        state.write_text("[]")
    else:
        WRONG[name](document)
        state.write_text(signed(document))
    with pytest.raises(StateError, match=r"state\.json"):
        sn.load(state)


def adaptive(change):
    return "v1_adaptive.json", change


def batch(change):
    return "v1_batch.json", change


WRONG_ORDERED = {
    "no columns": adaptive(lambda d: d.update(columns=[])),
    "a name that is no text": adaptive(lambda d: d["columns"][0].update(name=3)),
    "named a number": adaptive(lambda d: d.update(named=1)),
    "unknown parameter": adaptive(lambda d: d["parameters"].update(shell=True)),
    "a halflife that cannot be": adaptive(lambda d: d["parameters"].update(halflife=-1)),
    "a float as a number": adaptive(lambda d: d["columns"][0]["learnt"].update(mean=1.5)),
    "a float that is no number": adaptive(lambda d: d["columns"][0]["learnt"].update(mean="__import__('os')")),
    "an infinite float": adaptive(lambda d: d["columns"][0]["learnt"].update(std="inf")),
    "a negative deviation": adaptive(lambda d: d["columns"][0]["learnt"].update(std="-1.0")),
    "a negative count": adaptive(lambda d: d["columns"][0]["learnt"].update(seen=-1)),
    "a count beyond int64": adaptive(lambda d: d["columns"][0]["learnt"].update(seen=2**63)),
    "rows without weights": adaptive(lambda d: d["learnt"].update(weights=[])),
    "a weight of 0": adaptive(lambda d: d["learnt"].update(weights=["0.0", "1.0"])),
    "a decay that cannot be": adaptive(lambda d: d["learnt"].update(halflife="0.0")),
    "a row without a value": adaptive(lambda d: d["columns"][1]["learnt"].update(rows=[None, None])),
    "too many rows": adaptive(
        lambda d: (
            d["learnt"].update(weights=["1.0"] * 512),
            [column["learnt"].update(rows=["1.0"] * 512) for column in d["columns"]],
        )
    ),
    "an unknown type": batch(lambda d: d["learnt"].update(dtype="object")),
    "steps as text": batch(lambda d: d["learnt"].update(steps="1")),
    "a negative variance": batch(lambda d: d["columns"][0]["learnt"].update(variance="-1.0")),
    "a mean beyond float32": batch(lambda d: d["columns"][0]["learnt"].update(mean="1e300")),
    "a gamma for another width": batch(lambda d: d["parameters"].update(gamma=[1.0, 2.0, 3.0])),
    "a huge axis": batch(lambda d: d["parameters"].update(axis="1")),
}


@pytest.mark.parametrize("name", WRONG_ORDERED)
def test_wrong_in_itself_where_order_matters(name, tmp_path):
    file, change = WRONG_ORDERED[name]
    document = json.loads((OLD / file).read_text())
    change(document)
    state = tmp_path / "state.json"
    state.write_text(signed(document))
    with pytest.raises(StateError, match=r"state\.json cannot be read"):
        sn.load(state)


@pytest.mark.parametrize("name", [*ORDERED, "v1_whitener.json"])
def test_any_changed_byte_where_order_matters(name, tmp_path):
    good, text, state = sn.load(OLD / name), (OLD / name).read_bytes(), tmp_path / "state.json"
    for at in range(0, len(text) - 1, 7):
        state.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        try:
            assert sn.load(state) == good  # white space
        except StateError as error:
            assert "state.json" in str(error)


@pytest.mark.parametrize("name", ORDERED)
def test_commands_and_jobs_refuse_what_depends_on_the_order(name, tmp_path, capsys):
    pq.write_table(TABLE, tmp_path / "x.parquet")
    before = (OLD / name).read_bytes()
    for words in (
        ("show", OLD / name),
        ("merge", OLD / name, OLD / name, "--output", tmp_path / "both.json"),
        ("transform", OLD / name, tmp_path / "x.parquet", "--output", tmp_path / "y.parquet"),
        ("fit", tmp_path / "x.parquet", "--state", OLD / name, "--update"),
    ):
        failed = streamnorm(capsys, *words)
        assert failed.code == 1
        assert "order" in failed.err
    normalizer = sn.load(OLD / name)
    with pytest.raises(StreamnormError, match="order"):
        sn.transform(normalizer, tmp_path / "x.parquet", tmp_path / "y.parquet")
    with pytest.raises(StreamnormError, match="there is no scaler"):
        sn.fit(tmp_path / "x.parquet", normalizer)
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert (OLD / name).read_bytes() == before


WRONG_PROFILES = {
    "without moments": lambda p: p.pop("moments"),
    "something else": lambda p: p.update(sketch={}),
    "sums that no rows have": lambda p: p["moments"].update(squares="1p-1"),
    "too few values": lambda p: p["histogram"]["bins"]["counts"].pop(),
    "other bins": lambda p: p["histogram"]["bins"].update(max_bins=8),
}


@pytest.mark.parametrize("name", WRONG_PROFILES)
def test_wrong_profiles_though_signed(name, tmp_path):
    document = json.loads((OLD / "v1_profile.json").read_text())
    WRONG_PROFILES[name](document["columns"][0]["summary"]["profile"])
    (tmp_path / "state.json").write_text(signed(document))
    with pytest.raises(StateError, match=r"state\.json"):
        sn.load(tmp_path / "state.json")


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95cos\nsystem\n", b"PK\x03\x04", b"[" * 100_000, b"\xff\xfe{"])
def test_no_state_at_all(state, data):
    state.write_bytes(data)
    with pytest.raises(StateError, match=r"state\.json"):
        sn.load(state)


def test_update_counts_nothing_twice(tmp_path, capsys):
    days = [tmp_path / f"day{i}.parquet" for i in range(3)]
    for i, day in enumerate(days):
        pq.write_table(pa.table({"x": np.random.default_rng(i).normal(size=50)}), day)
    state = tmp_path / "state.json"
    for upto in (1, 2, 2, 3):
        assert streamnorm(capsys, "fit", *days[:upto], "--state", state, "--update").code == 0
    grown = state.read_bytes()
    assert streamnorm(capsys, "fit", *reversed(days), "--state", tmp_path / "one.json").code == 0
    assert (tmp_path / "one.json").read_bytes() == grown
    pq.write_table(pa.table({"x": [1.0]}), days[1])
    failed = streamnorm(capsys, "fit", *days, "--state", state, "--update")
    assert failed.code == 1
    assert "day1.parquet has changed" in failed.err
    assert state.read_bytes() == grown


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_do_not_show(tmp_path, capsys, threads):
    pq.write_table(
        pa.table({"x": np.random.default_rng(0).normal(size=5000)}), tmp_path / "x.parquet", row_group_size=99
    )
    texts = []
    for n in (1, threads):
        streamnorm(capsys, "fit", tmp_path / "x.parquet", "--state", tmp_path / f"{n}.json", "--threads", n)
        texts.append((tmp_path / f"{n}.json").read_bytes())
    assert texts[0] == texts[1]


def test_many_columns_cost_time_in_proportion(tmp_path):
    scaler = sn.StandardScaler().fit(np.arange(40_000.0).reshape(2, -1))
    started = time.process_time()
    sn.save(scaler, tmp_path / "state.json")
    assert sn.load(tmp_path / "state.json") == scaler
    assert time.process_time() - started < 20


def test_a_state_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StreamnormError, match="cannot be written"):
        sn.save(MAKERS["v1_maxabs.json"](), tmp_path / "none" / "state.json")


@pytest.mark.parametrize(
    "kind", [sn.TableNormalizer, sn.StandardScaler, sn.BatchNormalizer, lambda: sn.AdaptiveStandardScaler(1)]
)
def test_what_is_not_fitted_cannot_be_saved(kind, tmp_path):
    with pytest.raises((DataError, ValueError), match="not fitted"):
        sn.save(kind(), tmp_path / "state.json")
    assert list(tmp_path.iterdir()) == []


def test_a_profile_goes_where_the_state_goes(tmp_path, capsys):
    for i in range(3):
        pq.write_table(pa.table({"x": np.random.default_rng(i).normal(size=50)}), tmp_path / f"{i}.parquet")
    files, states = [tmp_path / f"{i}.parquet" for i in range(3)], [tmp_path / f"{i}.json" for i in range(3)]
    for file, state in zip(files, states, strict=True):
        assert streamnorm(capsys, "fit", file, "--state", state, "--profile").code == 0
    assert streamnorm(capsys, "merge", *states, "--output", tmp_path / "merged.json").code == 0
    assert (
        streamnorm(
            capsys, "run", *files, "--output", tmp_path / "out", "--state", tmp_path / "run.json", "--profile"
        ).code
        == 0
    )
    assert streamnorm(capsys, "fit", *files, "--state", states[0], "--update").code == 0
    assert sn.load(tmp_path / "merged.json") == sn.load(tmp_path / "run.json") == sn.load(states[0])
    assert sn.load(states[0]).profile is True
    plain = sn.fit(files)
    assert plain != sn.load(states[0])
    assert plain.digest() != sn.load(states[0]).digest()
    with pytest.raises(StreamnormError, match="profile"):
        plain + sn.load(states[0])
    table = pa.table({"x": [0.5, -1.0]})
    assert plain.transform(table).equals(sn.load(states[0]).transform(table))
    assert streamnorm(capsys, "forget", states[0], files[2]).code == 0
    assert sn.load(states[0]) == sn.load(states[1]) + sn.fit(files[0], sn.TableNormalizer(profile=True))


def test_a_profile_travels_to_workers_and_back():
    table = sn.TableNormalizer("minmax", profile=True)
    like = nothing(table, TABLE.schema)
    learnt, _ = summarise(worker_table(table, like), like, TABLE.to_batches())
    assert from_bytes(to_bytes(learnt), like) == learnt == table.fit(TABLE).learnt


GOOD = (OLD / "v1_standard.json").read_bytes()
DAMAGED = {
    "empty": b"",
    "cut off": GOOD[: len(GOOD) // 2],
    "a flipped bit": GOOD.replace(b'"values": 2', b'"values": 3', 1),
    "another version": GOOD.replace(b'"version": 1', b'"version": 99', 1),
    "no version": GOOD.replace(b'"version": 1', b'"version": null', 1),
    "a pickle": b"\x80\x04\x95cos\nsystem\n",
    "a zip": b"PK\x03\x04" + bytes(100),
    "Parquet": b"PAR1" + bytes(100) + b"PAR1",
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a number": b"1",
    "a number of 10,000 digits": b"[" + b"9" * 10_000 + b"]",
    "lists in lists": b"[" * 100_000,
    "terminal codes": b'{"format": "\x1b[31m\x07\n"}',
    "the same key twice": GOOD.replace(b'"version": 1', b'"version": 1, "version": 2', 1),
    "a byte behind the end": GOOD + b"x",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_commands_refuse_a_damaged_state_and_leave_it(name, tmp_path, capsys):
    state, source, out = tmp_path / "state.json", tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"x0": [1.0, 3.0], "x1": [1.0, 3.0]}), source)
    state.write_bytes(GOOD)
    sn.load(state)
    state.write_bytes(DAMAGED[name])
    before = contents(tmp_path)
    for words in (
        ("fit", source, "--state", state, "--update"),
        ("transform", state, source, "--output", out),
        ("show", state),
        ("merge", state, OLD / "v1_standard.json", "--output", out.with_suffix(".json")),
        ("forget", state, source),
        ("verify", state, source),
        ("diff", state, OLD / "v1_table.json"),
        ("export", state, "--to", "sql", "--output", tmp_path / "out.sql"),
    ):
        assert "state.json" in failure(streamnorm(capsys, *words))
        assert contents(tmp_path) == before


FOREIGN = {
    "a column is text": pa.table({"x": [1.0], "y": ["a"]}),
    "a column is a list": pa.table({"x": [1.0], "y": [[1.0]]}),
    "no column is known": pa.table({"X": [1.0], "Y": [1.0]}),
    "a column is there twice": pa.table([[1.0], [1.0], [1.0]], names=["x", "y", "y"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_state_of_other_columns(name, kind, tmp_path, capsys):
    state, source = tmp_path / "state.json", tmp_path / f"in.{kind}"
    sn.save(sn.TableNormalizer().fit(pa.table({"x": [1.0, 2.0], "y": [1, 2]})), state)
    source.write_bytes(written(FOREIGN[name], kind))
    before = contents(tmp_path)
    for words in (
        ("fit", source, "--state", state, "--update"),
        ("transform", state, source, "--output", tmp_path / f"out.{kind}"),
    ):
        line = failure(streamnorm(capsys, *words))
        assert source.name in line
        assert "'y'" in line or "'x'" in line
        assert contents(tmp_path) == before


@pytest.mark.parametrize("options", [(), (("decimal", ","),)])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_sources_are_written_as_an_encoder_with_an_indent_does(count, options):
    learnt = sn.TableNormalizer().fit(pa.table({"x": [1.0, 2.0]}))
    odd = '},\n   {\\"\u2028\n "sources": []'
    sources = tuple(Counted(f"{odd}{i}", 1, 2, "f", "d", 3, options=options) for i in range(count))
    text = to_json(State(learnt, sources))
    assert text == json.dumps(json.loads(text), indent=1) + "\n"
    assert from_json(text).sources == sources
