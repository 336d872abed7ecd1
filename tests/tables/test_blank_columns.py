"""Columns of which nothing but nulls was seen: numbers may follow, and until then they become NaN, with a warning."""

from __future__ import annotations

import pickle
from contextlib import nullcontext

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.errors import DataError

FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}
BLANK, NUMBERS, TEXT = [None, None], [700.0, 702.0], ["x", "y"]
WARNING = "no value of column 'b' was seen: its statistics are NaN"


def table_of(make, values):
    return make({"a": [1.0, 3.0], "b": values})


def column(result) -> list:
    return [None if value is None else float(value) for value in result["b"].to_numpy()]


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
class TestInMemory:
    def test_numbers_become_nan_and_it_is_told_as_of_a_column_of_floats(self, make):
        blank = sn.TableNormalizer().fit(table_of(make, BLANK))
        typed = sn.TableNormalizer().fit(pa.table({"a": [1.0, 3.0], "b": pa.nulls(2, pa.float64())}))
        assert blank == typed
        for normalizer in (blank, typed, pickle.loads(pickle.dumps(blank))):
            for way in (normalizer.transform, normalizer.inverse_transform):
                normalizer.__dict__.pop("_warned", None)
                with pytest.warns(UserWarning, match=WARNING):
                    assert np.isnan(column(way(table_of(make, NUMBERS)))).all()

    def test_what_is_null_or_text_stays_as_it_is(self, make):
        normalizer = sn.TableNormalizer().fit(table_of(make, BLANK))
        for values in (BLANK, TEXT):
            given = table_of(make, values)
            for way in (normalizer.transform, normalizer.inverse_transform):
                mapped = way(given)
                assert list(mapped["b"]) == list(given["b"])
                assert list(mapped["a"]) != list(given["a"])

    @pytest.mark.parametrize("by", [None, "k"])
    def test_it_learns_as_soon_as_numbers_come_in_any_order(self, make, by):
        blank, numbers = (make({"k": ["p", "q"], "b": values}) for values in (BLANK, NUMBERS))
        kind = {"by": by}
        one = sn.TableNormalizer(**kind).fit(blank).partial_fit(numbers)
        other = sn.TableNormalizer(**kind).fit(numbers).partial_fit(blank)
        both = sn.TableNormalizer(**kind).fit(blank) + sn.TableNormalizer(**kind).fit(numbers)
        streamed = sn.TableNormalizer(**kind).fit(iter([blank, numbers]))
        assert one == other == both == streamed
        assert dict(one.learnt.types)["b"] == "double"
        if not by:
            assert column(one.transform(numbers)) == [-1.0, 1.0]

    def test_text_is_passed_over_until_numbers_came(self, make):
        blank, text, numbers = (table_of(make, values) for values in (BLANK, TEXT, NUMBERS))
        normalizer = sn.TableNormalizer().fit([blank, text])
        assert dict(normalizer.learnt.types) == {"a": "double", "b": "null"}
        assert normalizer == sn.TableNormalizer().fit([blank, blank])
        with pytest.raises(DataError, match=r"column 'b' holds \w+, not numbers"):
            normalizer.partial_fit(numbers).partial_fit(text)
        added = sn.TableNormalizer().fit(blank) + sn.TableNormalizer().fit(text)
        assert added == sn.TableNormalizer().fit(text) + sn.TableNormalizer().fit(blank)
        assert list(added.learnt.types) == ["a"]

    def test_a_column_that_is_named_holds_numbers(self, make):
        normalizer = sn.TableNormalizer(columns={"b*": "minmax"}).fit(table_of(make, BLANK))
        with (
            pytest.warns(UserWarning, match=WARNING),
            pytest.raises(DataError, match=r"column 'b' holds \w+, not numbers"),
        ):
            normalizer.transform(table_of(make, TEXT))
        normalizer.__dict__.pop("_warned")  # it is told once
        with pytest.warns(UserWarning, match=WARNING):
            assert np.isnan(column(normalizer.transform(table_of(make, NUMBERS)))).all()

    def test_with_a_suffix(self, make):
        normalizer = sn.TableNormalizer(suffix="_z").fit(table_of(make, BLANK))
        for values in (BLANK, TEXT):
            given = table_of(make, values)
            assert list(normalizer.inverse_transform(normalizer.transform(given))["b"]) == list(given["b"])


def test_objects_that_arrow_has_no_type_for_are_passed_over():
    odd = pd.DataFrame({"a": [1.0, 3.0], "b": [{"k": 1}, "text"]})
    normalizer = sn.TableNormalizer().fit(odd.assign(b=None)).partial_fit(odd)
    assert normalizer.transform(odd)["b"].tolist() == odd["b"].tolist()


def test_vectors_that_follow_are_an_error():
    normalizer = sn.TableNormalizer().fit(table_of(pa.table, BLANK))
    vectors = table_of(pa.table, pa.array([[1.0], [2.0]], pa.list_(pa.float64(), 1)))
    for way in (normalizer.transform, normalizer.partial_fit):
        told = pytest.warns(UserWarning, match="column 'b'") if way == normalizer.transform else nullcontext()
        with told, pytest.raises(DataError, match=r"column 'b' holds fixed_size_list.*, not numbers"):
            way(vectors)


WRITE = {
    ".parquet": pq.write_table,
    ".feather": pa.feather.write_feather,
    ".csv": lambda table, path: table.to_pandas().to_csv(path, index=False),
}


@pytest.mark.parametrize("suffix", WRITE)
@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust"])
def test_files_and_states_do_the_same(suffix, scaler, tmp_path):
    paths = {name: tmp_path / f"{name}{suffix}" for name in ("blank", "numbers")}
    for name, values in (("blank", pa.nulls(2)), ("numbers", NUMBERS)):
        WRITE[suffix](table_of(pa.table, values), paths[name])
    state = tmp_path / "state.json"
    fitted = sn.fit(paths["blank"], sn.TableNormalizer(scaler), state=state)
    assert fitted == sn.load(state) == sn.TableNormalizer(scaler).fit(table_of(pa.table, BLANK))
    for known in (fitted, sn.load(state)):
        with pytest.warns(UserWarning, match=WARNING):
            (out,) = sn.transform(known, paths["numbers"], tmp_path / "out.parquet", overwrite=True)
        assert np.isnan(column(pq.read_table(out))).all()
    with pytest.warns(UserWarning, match=WARNING):
        assert np.isnan(column(sn.load(state).transform(table_of(pa.table, NUMBERS)))).all()
    updated = sn.fit(list(paths.values()), state=state, update=True)
    assert updated == sn.fit(list(paths.values()), sn.TableNormalizer(scaler))
    assert updated.learnt.types["b"] in ("double", "int64")
