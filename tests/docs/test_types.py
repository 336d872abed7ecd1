"""The guide's table of types: every row of it, and every type in the row, does what stands there."""

from __future__ import annotations

import copy
import datetime
import decimal
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

import streamnorm as sn
from streamnorm.arrow.types import readable
from streamnorm.errors import DataError

GUIDE = (Path(__file__).parents[2] / "streamnorm" / "docs" / "guide.md").read_text(encoding="utf-8")
TWO = [decimal.Decimal(1), decimal.Decimal(3)]
DAYS = [datetime.date(2026, 1, 1), datetime.date(2026, 1, 3)]
TIMES = [datetime.time(1), datetime.time(3)]
SPANS = [datetime.timedelta(seconds=1), datetime.timedelta(seconds=3)]
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
DECIMALS = [pa.decimal32(5, 2), pa.decimal64(9, 2), pa.decimal128(20, 3), pa.decimal256(50, 30)]
FLOATS = [pa.float64(), pa.float32(), pa.float16()]


def vectors(kind):
    return pa.array([[1], [3]], kind)


def tensor(values):
    kind = pa.fixed_shape_tensor(values, [1])
    return pa.ExtensionArray.from_storage(kind, vectors(kind.storage_type))


def floats(kind):
    return pa.array(np.array([1, 3], kind.to_pandas_dtype()))


#: For each row: arrays of two values, 1 and 3 where they are numbers, each with the type of the result.
SAMPLES = {
    "integers of 8 to 64 bits": [(pa.array([1, 3], kind), pa.float64()) for kind in INTEGERS],
    "float64, float32, float16": [(floats(kind), kind) for kind in FLOATS],
    "decimals": [(pa.array(TWO, kind), pa.float64()) for kind in DECIMALS],
    "fixed-size lists and tensors of these": [
        (vectors(pa.list_(pa.float32(), 1)), pa.list_(pa.float32(), 1)),
        (vectors(pa.list_(pa.int16(), 1)), pa.list_(pa.float64(), 1)),
        (tensor(pa.float32()), pa.fixed_shape_tensor(pa.float32(), [1])),
        (tensor(pa.int64()), pa.fixed_shape_tensor(pa.float64(), [1])),
    ],
    "lists and large lists of these": [
        (vectors(pa.list_(pa.float64())), pa.list_(pa.float64())),
        (vectors(pa.large_list(pa.int8())), pa.large_list(pa.float64())),
    ],
    "bool": [(pa.array([False, True]), pa.float64())],
    "duration": [(pa.array(SPANS, pa.duration(unit)), pa.float64()) for unit in ("s", "ms", "us", "ns")],
    "dictionary of integers, floats, decimals": [
        (pa.array([1, 3], kind).dictionary_encode(), result)
        for kind, result in [(pa.int32(), pa.float64()), (pa.float32(), pa.float32()), (pa.float64(), pa.float64())]
    ] + [(pa.array(TWO, pa.decimal128(5, 2)).dictionary_encode(), pa.float64())],
    "date, time, timestamp": [
        (pa.array(DAYS), None),
        (pa.array(DAYS, pa.date64()), None),
        (pa.array(TIMES, pa.time32("s")), None),
        (pa.array(TIMES, pa.time64("ns")), None),
        (pa.array([0, 1], pa.timestamp("us")), None),
        (pa.array([0, 1], pa.timestamp("s", tz="Europe/Zurich")), None),
    ],
    "text, binary and all others": [
        (pa.array(["1", "3"]), None),
        (pa.array(["1", "3"], pa.large_string()), None),
        (pa.array([b"1", b"3"]), None),
        (pa.array(["1", "3"]).dictionary_encode(), None),
        (pa.array([{"a": 1}, {"a": 3}]), None),
        (pa.array([["a"], ["b"]]), None),
        (pa.array([[[1]], [[3]]]), None),
    ],
}  # fmt: skip
ROWS = dict(
    re.findall(
        r"^\| ([^|]+) \| ([^|]+ \| [^|]+) \|", GUIDE.split("## What becomes of each type")[1].split("\n## ")[0], re.M
    )
)


def test_every_row_is_tried():
    assert set(ROWS) - {"type", "---", "null"} == set(SAMPLES)  # `test_blank_columns` tries null


CASES = [(row, array, result) for row, arrays in SAMPLES.items() for array, result in arrays]


def at_one(value):
    """Give the number in a row of a result."""
    return value[0] if isinstance(value, list) else value.tolist()[0][0] if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(
    ("row", "array", "result"), CASES, ids=lambda v: str(v.type) if isinstance(v, pa.Array) else ""
)
class TestEachType:
    def test_unless_named(self, row, array, result):
        table = pa.table({"x": array, "y": [1.0, 3.0]})
        normalizer = sn.TableNormalizer().fit(table)
        out = normalizer.transform(table)
        chosen = ROWS[row].split(" | ")[0] == "normalised"
        assert list(normalizer.learnt.types) == (["x", "y"] if chosen else ["y"])
        if not chosen:
            assert out["x"].equals(table["x"])
        else:
            assert out["x"].type == result

    def test_where_named(self, row, array, result):
        table = pa.table({"x": array})
        normalizer = sn.TableNormalizer(None, {"x": "standard"})
        if ROWS[row].split(" | ")[1].startswith("refused"):
            assert result is None
            with pytest.raises(DataError, match=r"column 'x' holds .*, not numbers"):
                normalizer.fit(table)
            return
        out = normalizer.fit_transform(table)["x"]
        assert out.type == result
        got = out.combine_chunks()
        got = got.storage if isinstance(got, pa.ExtensionArray) else got
        assert [at_one(v) for v in got.to_pylist()] == [-1.0, 1.0]
        back = normalizer.inverse_transform(pa.table({"x": out}))["x"].combine_chunks()
        back = back.storage if isinstance(back, pa.ExtensionArray) else back
        assert [at_one(v) for v in back.to_pylist()] == ([0.0, 1.0] if row == "bool" else [1.0, 3.0])


@pytest.mark.parametrize("array", [a for _, a, result in CASES if result and not isinstance(a, pa.ExtensionArray)],
                         ids=lambda a: str(a.type))  # fmt: skip
def test_with_nulls(array):
    table = pa.table({"x": pa.concat_arrays([array, pa.nulls(1, array.type)]).take(pa.array([0, 2, 1]))})
    out = sn.TableNormalizer(None, {"x": "standard"}).fit_transform(table)["x"]
    assert [v if v is None else at_one(v) for v in out.to_pylist()] == [-1.0, None, 1.0]


def test_a_timestamp_that_is_named_says_what_to_do():
    table = pa.table({"t": pa.array([0, 1], pa.timestamp("us"))})
    with pytest.raises(DataError, match="subtract a start"):
        sn.TableNormalizer(columns={"t": "standard"}).fit(table)


def test_units_of_durations_are_one_column():
    a, b = (pa.table({"d": pa.array(SPANS, pa.duration(unit))}) for unit in ("s", "ns"))
    fit = sn.TableNormalizer(None, {"d": "standard"}).fit
    assert fit(a).digest() == fit(b).digest()


@pytest.mark.parametrize("kind", [pa.decimal128(38, 12), pa.decimal256(60, 12), pa.decimal128(38, 0)], ids=str)
def test_decimals_are_the_nearest_float64(kind):
    random.seed(0)
    numbers = [
        decimal.Decimal(random.randrange(-(10**size), 10**size)).scaleb(-(size % 12 if kind.scale else 0))
        for size in range(1, 22)
        for _ in range(50)
    ]
    for part in (numbers, numbers[:400], [None, *numbers[:400]], [None], []):
        array = pa.array(part, kind)
        assert readable(array, "x").to_pylist() == [None if v is None else float(v) for v in part]
    sliced = pa.array(numbers[:400], kind).slice(7, 100)
    assert readable(sliced, "x").to_pylist() == [float(v) for v in numbers[7:107]]


@pytest.mark.parametrize("scaler", [sn.StandardScaler, sn.MinMaxScaler, sn.MaxAbsScaler, sn.RobustScaler])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_arrow_and_ndarrays_are_rounded_alike(kind, scaler):
    x = np.random.default_rng(0).normal(3, size=(500, 1)).astype(kind)
    table, matrices = pa.table({"x": x[:, 0]}), scaler().fit(x)
    there, back = matrices.transform(x)[:, 0].tolist(), matrices.inverse_transform(x)[:, 0].tolist()
    for one in (scaler().fit(table), sn.TableNormalizer(scaler()).fit(table)):
        assert one.transform(table)["x"].to_numpy().tolist() == there
        assert one.inverse_transform(table)["x"].to_numpy().tolist() == back
    lists = pa.table({"x": pa.FixedSizeListArray.from_arrays(table["x"].combine_chunks(), 1)})
    one = sn.TableNormalizer(scaler()).fit(lists)
    assert one.transform(lists)["x"].combine_chunks().flatten().to_numpy().tolist() == there
    assert one.inverse_transform(lists)["x"].combine_chunks().flatten().to_numpy().tolist() == back


DURATIONS = pa.table(
    {"a": pa.array([1_000, None, 3_000], pa.duration("ms")), "b": pa.array([1, 3, 5], pa.duration("s"))}
)  # fmt: skip
ROADS = {
    "arrow": lambda table: table,
    "polars": pl.from_arrow,
    "pandas": lambda table: table.to_pandas(),
    "pandas of one type": lambda table: table.to_pandas().astype("timedelta64[ns]"),
    "pandas of arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "ndarray": lambda table: table.to_pandas().to_numpy("timedelta64[ns]"),
}


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("scaler", [sn.StandardScaler(), sn.AdaptiveStandardScaler(1e12)], ids=str)
def test_durations_are_of_seconds_on_every_road(scaler, road, output):
    X = ROADS[road](DURATIONS)
    before = copy.deepcopy(X)
    one = clone(scaler).set_output(transform=output).fit(X)
    assert one.mean_ == pytest.approx([2.0, 3.0], rel=1e-9)
    assert one.scale_ == pytest.approx([1.0, (8 / 3) ** 0.5], rel=1e-9)
    out = one.transform(X)
    values = pa.table(out).to_pandas(ignore_metadata=True).to_numpy() if hasattr(out, "__arrow_c_stream__") else out
    wanted = [[-1.0, -(1.5**0.5)], [np.nan, 0.0], [1.0, 1.5**0.5]]
    assert values == pytest.approx(np.array(wanted), abs=1e-9, nan_ok=True)
    assert str(X) == str(before)


def test_durations_beside_numbers():
    frame = DURATIONS.select(["b"]).to_pandas().assign(c=[1.0, 2.0, 3.0])
    assert (
        sn.StandardScaler().fit(frame).digest()
        == sn.StandardScaler().fit(pa.table({"b": [1.0, 3.0, 5.0], "c": [1.0, 2.0, 3.0]})).digest()
    )
