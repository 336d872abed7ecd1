"""State files: a public format that is trusted only when every byte of it is as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, StateError, StreamnormError

#: Files written by a release stay here and load for ever.
OLD = Path(__file__).parent / "states"

TABLE = pa.table({"a": [0.1, -2.5, None, 1e300, 5e-324], "b": pa.array([1, 2, 3, 2**62, -7], pa.int64())})
RECIPE = {
    "default": {"scaler": "minmax", "fill": "median", "clip": [-3, 3], "log1p": False, "clip_result": [0, 0.5]},
    "columns": {"b": {"clip": [0, 1e3], "log1p": True, "type": "float32", "suffix": "_log"}, "c": "drop"},
}
VECTORS = pa.table({"v": pa.array([[1, 2], None], pa.list_(pa.int32(), 2)), "w": [[0.5], [None]], "x": [1.5, -1e-9]})
MAKERS = {
    "v1_table.json": lambda: sn.TableNormalizer(
        columns={"b": sn.RobustScaler(quantile_range=(10.0, 90.0))}, suffix="_z"
    ).fit(TABLE),
    "v1_standard.json": lambda: sn.StandardScaler(ddof=1, with_mean=False).fit(np.array([[1.0, 2.0], [3.5, 1e-9]])),
    "v1_minmax.json": lambda: sn.MinMaxScaler((-1, 1), clip=True).fit(TABLE),
    "v1_maxabs.json": lambda: sn.MaxAbsScaler().fit(TABLE),
    "v2_vectors.json": lambda: sn.TableNormalizer(columns={"w": "minmax"}).fit(VECTORS),
    "v2_recipe.json": lambda: sn.TableNormalizer.from_recipe(RECIPE).fit(TABLE.append_column("c", TABLE["b"])),
    "v1_quantile.json": lambda: sn.QuantileTransformer(n_quantiles=3, output_distribution="normal").fit(TABLE),
}


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


def signed(document) -> str:
    from streamnorm.state import _checksum

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


def test_a_state_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StreamnormError, match="cannot be written"):
        sn.save(MAKERS["v1_maxabs.json"](), tmp_path / "none" / "state.json")


def test_what_is_not_fitted_cannot_be_saved(tmp_path):
    with pytest.raises((DataError, ValueError), match="not fitted"):
        sn.save(sn.TableNormalizer(), tmp_path / "state.json")
    assert list(tmp_path.iterdir()) == []
