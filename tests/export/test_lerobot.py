"""Statistics for LeRobot: exact where the data tells, in its layout, and its quantiles those of all frames."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import datasets
import numpy as np
import pyarrow as pa
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError
from streamnorm.export import to_lerobot, to_lerobot_episodes

EPISODES = 12
STATISTICS = ["min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"]
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def episode(index: int) -> dict[str, np.ndarray]:
    """Frames of a robot that learns: later episodes are elsewhere, wider and longer."""
    rng = np.random.default_rng(index)
    frames = 150 + 25 * index
    return {
        "observation.state": rng.normal(0.3 * index, 1 + 0.1 * index, (frames, 3)).astype(np.float32),
        "action": rng.lognormal(0, 0.8, (frames, 2)).astype(np.float32),
        "timestamp": (np.arange(frames) / 30).astype(np.float32),
        "episode_index": np.full(frames, index),
    }


def table_of(*indices: int) -> pa.Table:
    parts = [episode(index) for index in indices]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return pa.table(
        {
            name: pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            for name, values in columns.items()
        }
    )


def matrix(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    return flat.to_numpy().reshape(len(table), -1).astype(np.float64)


def rank_error(values: np.ndarray, quantile: list[float], q: float) -> float:
    """How far a quantile's rank is from the one asked for; between equal values any rank is right."""
    below, upto = (values < quantile).mean(axis=0), (values <= quantile).mean(axis=0)
    return float(np.maximum(0, np.maximum(below - q, q - upto)).max())


TABLE = table_of(*range(EPISODES))
FITTED = sn.TableNormalizer("minmax", by="episode_index", profile=True).fit(TABLE)


def assert_statistics_of(stats: dict, table: pa.Table) -> None:
    """Compare with fractions, rounded once; quantiles are exact, since few values are distinct."""
    assert list(stats) == ["observation.state", "action", "timestamp"]
    for name, entry in stats.items():
        values = matrix(table, name)
        assert list(entry) == STATISTICS
        assert entry["count"] == [len(table)]
        assert entry["min"] == values.min(axis=0).tolist()
        assert entry["max"] == values.max(axis=0).tolist()
        for column, mean, std in zip(values.T, entry["mean"], entry["std"], strict=True):
            exact = [Fraction(value) for value in column.tolist()]
            average = sum(exact) / len(exact)
            assert mean == float(average)
            variance = sum((value - average) ** 2 for value in exact) / len(exact)
            assert std == pytest.approx(math.sqrt(variance), rel=1e-15)


def test_of_all_rows():
    assert_statistics_of(to_lerobot(FITTED), TABLE)


def test_of_each_episode():
    lines = to_lerobot_episodes(FITTED)
    assert [line["episode_index"] for line in lines] == list(range(EPISODES))
    for line in lines:
        own = table_of(line["episode_index"])
        assert_statistics_of(line["stats"], own)
        for name, entry in line["stats"].items():
            for key, q in QUANTILES.items():
                assert entry[key] == np.quantile(matrix(own, name), q, axis=0).tolist()
        alone = sn.TableNormalizer("minmax", exclude="episode_index", profile=True).fit(own)
        assert line["stats"] == to_lerobot(alone)


def test_quantiles_are_those_of_all_frames_where_averages_of_them_are_not():
    """Against LeRobot's way: an average of the episodes' quantiles, weighted by their frames (0.4, `aggregate_stats`).

    The bound is that of the histogram's 4096 bins, none of which has more than a few of the values in its middle.
    """
    stats, lines = to_lerobot(FITTED), to_lerobot_episodes(FITTED)
    ours, theirs = {}, {}
    for name in stats:
        values = matrix(TABLE, name)
        counts = np.array([line["stats"][name]["count"] for line in lines])
        for key, q in QUANTILES.items():
            own = np.array([line["stats"][name][key] for line in lines])
            ours[name, key] = rank_error(values, stats[name][key], q)
            theirs[name, key] = rank_error(values, (own * counts).sum(axis=0) / counts.sum(), q)
    assert max(ours.values()) < 0.001
    assert max(theirs.values()) > 0.03
    assert sum(theirs.values()) > 50 * sum(ours.values())


def test_a_bad_demonstration_leaves_no_trace():
    rest = table_of(*(index for index in range(EPISODES) if index != 7))
    assert to_lerobot(FITTED.without(7)) == to_lerobot(
        sn.TableNormalizer("minmax", exclude="episode_index", profile=True).fit(rest)
    )


def test_least_and_greatest_are_bounds_where_the_scaler_does_not_keep_them():
    values = np.random.default_rng(0).normal(size=20000)
    stats = to_lerobot(sn.TableNormalizer(profile=True).fit(pa.table({"x": values})))["x"]
    assert values.min() - 0.01 < stats["min"][0] <= values.min()
    assert values.max() <= stats["max"][0] < values.max() + 0.01
    few = to_lerobot(sn.TableNormalizer(profile=True).fit(pa.table({"x": values[:4000]})))["x"]
    assert (few["min"], few["max"]) == ([values[:4000].min()], [values[:4000].max()])


def test_files_of_hugging_face_become_the_files_of_lerobot(tmp_path, capsys):
    """A dataset as LeRobot keeps it: features of fixed length, written by Hugging Face's library."""
    features = datasets.Features(
        {
            "observation.state": datasets.Sequence(datasets.Value("float32"), length=3),
            "action": datasets.Sequence(datasets.Value("float32"), length=2),
            "timestamp": datasets.Value("float32"),
            "next.done": datasets.Value("bool"),
            "episode_index": datasets.Value("int64"),
        }
    )
    datasets.disable_progress_bars()
    for index in range(EPISODES):
        columns = {name: values.tolist() for name, values in episode(index).items()}
        columns["next.done"] = [False] * len(columns["timestamp"])
        path = tmp_path / "pick" / "data" / "chunk-000" / f"episode_{index:06}.parquet"
        datasets.Dataset.from_dict(columns, features).to_parquet(path)
    state, stats = tmp_path / "pick.json", tmp_path / "pick" / "meta" / "stats.json"
    words = ["--by", "episode_index", "--scaler", "minmax", "--profile"]
    assert streamnorm(capsys, "fit", tmp_path / "pick" / "data", "--state", state, *words).code == 0
    stats.parent.mkdir()
    image = {"mean": [[[0.5]], [[0.4]], [[0.3]]], "count": [100]}
    stats.write_text(json.dumps({"observation.images.top": image, "action": {"mean": [0.0, 0.0]}}))
    export = ["export", state, "--to", "lerobot", "--base", stats, "--output", stats]
    assert streamnorm(capsys, *export).code == 1  # it exists
    done = streamnorm(capsys, *export, "--overwrite")
    assert (done.code, done.err) == (0, "")
    found = json.loads(stats.read_text())
    assert list(found) == ["observation.images.top", "action", "observation.state", "timestamp"]
    assert found.pop("observation.images.top") == image
    assert found == to_lerobot(FITTED)
    lines = stats.with_name("episodes_stats.jsonl")
    assert streamnorm(capsys, "export", state, "--to", "lerobot-episodes", "--output", lines).code == 0
    assert [json.loads(line) for line in lines.read_text().splitlines()] == to_lerobot_episodes(FITTED)


def test_shapes_are_those_of_a_row():
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12, dtype=np.float32).reshape(3, 2, 2))
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(9.0)), 3)
    table = pa.table({"pose": tensor, "observation.images.top": pixels})
    stats = to_lerobot(sn.TableNormalizer("maxabs", profile=True).fit(table))
    assert stats["pose"]["mean"] == [[4.0, 5.0], [6.0, 7.0]]
    assert stats["observation.images.top"]["min"] == [[[0.0]], [[1.0]], [[2.0]]]
    assert stats["observation.images.top"]["count"] == [3]
    turned = pa.fixed_shape_tensor(pa.float32(), [2, 2], permutation=[1, 0])
    table = pa.table({"pose": pa.ExtensionArray.from_storage(turned, tensor.storage)})
    with pytest.raises(DataError, match=r"column 'pose' holds .*whose shape is not told"):
        to_lerobot(sn.TableNormalizer("maxabs", profile=True).fit(table))


def test_missing_values_do_not_count():
    table = pa.table({"x": [1.0, None, 3.0, float("nan")]})
    stats = to_lerobot(sn.TableNormalizer(profile=True).fit(table))["x"]
    assert (stats["mean"], stats["count"]) == ([2.0], [2])


def test_rows_that_age_count_as_one_each():
    table = pa.table({"t": [0, 1, 2], "x": [1.0, 2.0, 9.0]})
    aging = sn.StandardScaler(halflife=1)
    stats = to_lerobot(sn.TableNormalizer(aging, time="t", profile=True).fit(table))["x"]
    assert (stats["mean"], stats["count"]) == ([4.0], [3])
    filled = {"default": "none", "time": "t", "columns": {"x": {"scaler": "standard", "halflife": 1, "fill": "median"}}}
    with pytest.raises(DataError, match="no mean and deviation of column 'x'"):
        to_lerobot(sn.TableNormalizer.from_recipe(filled).fit(table))


VECTORS = pa.table({"k": ["a", "b"], "v": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2))})
PROFILED = {"profile": True, "exclude": "k"}
REFUSED = [
    (lambda: sn.StandardScaler().fit([[1.0]]), "not of a StandardScaler: fit a TableNormalizer"),
    (lambda: sn.TableNormalizer(exclude="k").fit(VECTORS), "no quantiles of column 'v': fit it with a profile"),
    (lambda: sn.TableNormalizer("quantile", exclude="k").fit(VECTORS), "no mean and deviation of column 'v'"),
    (lambda: sn.TableNormalizer("minmax", exclude="k").fit(VECTORS), "no mean and deviation and no quantiles of"),
    (lambda: sn.TableNormalizer(vectors="whole", **PROFILED).fit(VECTORS), "one mean for all its elements"),
    (
        lambda: sn.TableNormalizer.from_recipe({"profile": True, "columns": {"x": {"log1p": True}}}).fit(
            pa.table({"x": [1.0]})
        ),
        "column 'x' was learnt after log1p",
    ),
    (lambda: sn.TableNormalizer(profile=True).fit(pa.table({"x": pa.nulls(2, pa.float64())})), "'x' has no value"),
    (
        lambda: sn.TableNormalizer(profile=True).fit(
            pa.table({"x": pa.array([[1.0, None]], pa.list_(pa.float64(), 2))})
        ),
        "'x', element 1 has no value",
    ),
    (lambda: sn.TableNormalizer(**PROFILED).fit(VECTORS.rename_columns(["k", "images"])), "three of images"),
]


@pytest.mark.parametrize(("fitted", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_lacks_is_named(fitted, words):
    with pytest.raises(DataError, match=words):
        to_lerobot(fitted())


def test_episodes_need_whole_numbers_as_keys():
    numbered = VECTORS.append_column("n", [[1, 2]])
    for by, table in (("k", VECTORS), (None, VECTORS.drop_columns("k")), (["k", "n"], numbered)):
        with pytest.raises(DataError, match="episode_index"):
            to_lerobot_episodes(sn.TableNormalizer(by=by, profile=True).fit(table))
    nulls = pa.table({"e": [0, None], "x": [1.0, 2.0]})
    with pytest.raises(DataError, match="episode_index"):
        to_lerobot_episodes(sn.TableNormalizer(by="e", profile=True).fit(nulls))
    missing = pa.table({"e": [0, 5], "x": [1.0, None]})
    with pytest.raises(DataError, match="column 'x' in episode 5 has no value"):
        to_lerobot_episodes(sn.TableNormalizer(by="e", profile=True).fit(missing))


def test_episodes_keep_other_features(tmp_path, capsys):
    image = {"mean": [[[0.5]], [[float("nan")]], [[0.3]]]}
    known = [{"episode_index": i, "stats": {"observation.images.top": image, "action": {}}} for i in (0, 7, 11)]
    path, out = tmp_path / "episodes_stats.jsonl", tmp_path / "new.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in known) + "\n\n")
    sn.save(FITTED.without(7), tmp_path / "state.json")
    export = ["export", tmp_path / "state.json", "--to", "lerobot-episodes", "--base", path]
    assert streamnorm(capsys, *export, "--output", out).code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["episode_index"] for line in lines] == [i for i in range(EPISODES) if i != 7]
    assert list(lines[0]["stats"]) == ["observation.images.top", "action", "observation.state", "timestamp"]
    assert list(lines[1]["stats"]) == ["observation.state", "action", "timestamp"]
    for line, own in zip(lines, to_lerobot_episodes(FITTED.without(7)), strict=True):
        assert repr(line["stats"].pop("observation.images.top", image)) == repr(image)
        assert line == own
    for bad in ('{"episode_index": 0}', "[1]", "{", '{"episode_index": 0, "stats": [1]}'):
        path.write_text(bad)
        done = streamnorm(capsys, *export, "--output", tmp_path / "none.jsonl")
        assert (done.code, "name a" in done.err, done.err.count("\n")) == (1, True, 1)
    for base in (5, {"episode_index": 0}, "none.jsonl"):
        with pytest.raises(DataError, match="name a"):
            to_lerobot_episodes(FITTED, base=base)
    with pytest.raises(DataError, match=r"'action' is of shape \(1,\) in the base"):
        to_lerobot_episodes(FITTED, base=[{"episode_index": 0, "stats": {"action": {"mean": [0.0]}}}])


def test_another_datasets_statistics_are_refused(tmp_path):
    fitted = sn.TableNormalizer(**PROFILED).fit(VECTORS)
    with pytest.raises(DataError, match=r"feature 'v' is of shape \(3,\) in the base and \(2,\) here"):
        to_lerobot(fitted, base={"v": {"mean": [0.0, 0.0, 0.0]}})
    (tmp_path / "stats.json").write_text("[1]")
    for path in (tmp_path / "stats.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match=r"name a file of LeRobot's meta|name a file of its meta"):
            to_lerobot(fitted, base=path)
    assert list(to_lerobot(fitted, base={"other": {"mean": [1.0]}, "v": {"std": []}})) == ["other", "v"]
    (tmp_path / "stats.json").write_text('{"other": {"mean": [NaN, [[]]]}}')
    sn.export.write(fitted, "lerobot", tmp_path / "new.json", base=tmp_path / "stats.json")
    assert '"other": {\n        "mean": [\n            NaN,' in (tmp_path / "new.json").read_text()
    for text in ("{]", "\xff", "null", '{"v": 1}'):
        (tmp_path / "stats.json").write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=r"name a file of LeRobot's meta|name a file of its meta"):
            to_lerobot(fitted, base=str(tmp_path / "stats.json"))
