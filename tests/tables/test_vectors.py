"""Columns of vectors: the same statistics as a column for each element, and the same type after."""

from __future__ import annotations

import decimal
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import sample
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, InfiniteValueError, MergeError

KINDS = ["standard", "minmax", "robust", "quantile"]
WIDTH = 3


def rows_of(n=300):
    return np.stack([sample(name, n) for name in ("normal", "missing", "lognormal")], axis=1)


def lists(rows, make=pa.list_, fixed=True, dtype=None):
    kind = pa.from_numpy_dtype(rows.dtype) if dtype is None else dtype
    return pa.array(rows.tolist(), pa.list_(kind, rows.shape[1]) if fixed else make(kind))


def tensors(rows):
    kind = pa.fixed_shape_tensor(pa.float64(), [1, rows.shape[1]], dim_names=["a", "b"])
    return pa.ExtensionArray.from_storage(kind, lists(rows))


MAKERS = {
    "fixed": lists,
    "lists": lambda rows: lists(rows, fixed=False),
    "large lists": lambda rows: lists(rows, pa.large_list, fixed=False),
    "tensors": tensors,
}


def values_of(array):
    lists = array.storage if isinstance(array, pa.ExtensionArray) else array
    return np.array(lists.to_pylist(), np.float64)


@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.parametrize("made", MAKERS)
@pytest.mark.parametrize("kind", KINDS)
class TestElements:
    def test_an_element_is_a_column(self, kind, made):
        rows = rows_of()
        array = MAKERS[made](rows)
        table, plain = pa.table({"v": array}), pa.table({f"x{i}": rows[:, i] for i in range(WIDTH)})
        ours, theirs = (sn.TableNormalizer(kind, columns) for columns in ({"v": kind}, None))
        mapped, expected = ours.fit_transform(table), theirs.fit_transform(plain)
        (group,) = ours.learnt.groups
        assert group.summary == theirs.learnt.groups[0].summary
        assert mapped.schema == table.schema
        got = values_of(mapped["v"].combine_chunks())
        np.testing.assert_array_equal(got, np.stack([c.to_numpy() for c in expected.columns], axis=1))
        assert list(ours.learnt.where()) == ["v[0]", "v[1]", "v[2]"]

    def test_whole_is_one_column(self, kind, made):
        rows = rows_of()
        table = pa.table({"v": MAKERS[made](rows)})
        ours = sn.TableNormalizer(None, {"v": kind}, vectors="whole")
        theirs = sn.TableNormalizer(kind)
        mapped, expected = ours.fit_transform(table), theirs.fit_transform(pa.table({"x": rows.reshape(-1)}))
        assert ours.learnt.groups[0].summary == theirs.learnt.groups[0].summary
        got = values_of(mapped["v"].combine_chunks())
        np.testing.assert_array_equal(got, expected["x"].to_numpy().reshape(-1, WIDTH))

    def test_there_and_back(self, kind, made):
        rows = np.random.default_rng(0).normal(3, 2, (50, WIDTH))
        table = pa.table({"v": MAKERS[made](rows)})
        normalizer = sn.TableNormalizer(None, {"v": kind}).fit(table)
        again = normalizer.inverse_transform(normalizer.transform(table))
        assert again.schema == table.schema
        np.testing.assert_allclose(values_of(again["v"].combine_chunks()), rows, rtol=1e-12)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("made", MAKERS)
def test_nulls_of_either_kind_stay(made, whole):
    array = MAKERS[made](np.array([[np.inf, 9.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [8.0, 8.0]]))
    storage = array.storage if made == "tensors" else array
    given = storage.to_pylist()
    given[0], given[2], given[3] = [0.0, 0.0], None, [None, 6.0]
    nulled = pa.array(given, storage.type)
    if made == "tensors":
        nulled = pa.ExtensionArray.from_storage(array.type, nulled)
    nulled = nulled.slice(1)
    normalizer = sn.TableNormalizer(None, {"v": "maxabs"}, vectors="whole" if whole else "element")
    out = normalizer.fit_transform(pa.table({"v": nulled}))["v"].combine_chunks()
    out = (out.storage if made == "tensors" else out).to_pylist()
    counts = normalizer.learnt.groups[0].summary.counts.table[:, :2].tolist()
    assert out == [[1 / 8, 2 / 8], None, [None, 6 / 8], [1, 1]]
    assert counts == ([[5, 3]] if whole else [[2, 2], [3, 1]])


def test_what_lies_under_a_null_is_nobodys():
    values = pa.array([np.inf, -np.inf, 1.0, 2.0])
    bits = pa.py_buffer(b"\x02")
    array = pa.FixedSizeListArray.from_buffers(pa.list_(pa.float64(), 2), 2, [bits], children=[values])
    for vectors in ("element", "whole"):
        normalizer = sn.TableNormalizer(vectors=vectors).fit(pa.table({"v": array}))
        assert normalizer.transform(pa.table({"v": array}))["v"].to_pylist()[0] is None


@pytest.mark.parametrize(
    ("dtype", "out"),
    [(pa.float32(), pa.float32()), (pa.float16(), pa.float16()), (pa.int8(), pa.float64()),
     (pa.decimal128(9, 2), pa.float64()), (pa.uint64(), pa.float64())],
)  # fmt: skip
def test_types_of_elements(dtype, out):
    number = decimal.Decimal if pa.types.is_decimal(dtype) else np.float16 if dtype == pa.float16() else int
    array = pa.array([[number(v) for v in row] for row in ([1, 2], [3, 6])], pa.list_(dtype, 2))
    mapped = sn.TableNormalizer().fit_transform(pa.table({"v": array}))["v"]
    assert mapped.type.value_type == out
    assert mapped.to_pylist() == [[-1, -1], [1, 1]]


def test_lists_are_normalised_only_where_they_are_named():
    table = pa.table({"v": pa.array([[1.0], [2.0, 3.0]]), "x": [1.0, 2.0]})
    normalizer = sn.TableNormalizer().fit(table)
    assert list(normalizer.learnt.types) == ["x"]
    assert normalizer.transform(table)["v"].equals(table["v"])


@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_a_list_of_another_length_is_named(vectors):
    normalizer = sn.TableNormalizer(None, {"v": "standard"}, vectors=vectors)
    with pytest.raises(DataError, match=r"'v', row 2 of the batch: expected a vector of 2 numbers, found 1"):
        normalizer.fit(pa.table({"v": pa.array([None, [1.0, 2.0], [3.0]])}))
    normalizer.fit(pa.table({"v": [[1.0, 2.0]]}))
    digest = normalizer.digest()
    wrong = pa.table({"v": [[1.0, 2.0, 3.0]]})
    fixed = pa.table({"v": pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float64(), 3))})
    for table in (wrong, fixed):
        with pytest.raises(DataError, match=r"'v'.* 2 "):
            normalizer.partial_fit(table)
        with pytest.raises(DataError, match=r"'v'.* 2 "):
            normalizer.transform(table)
    assert normalizer.digest() == digest
    with pytest.raises(MergeError, match=r"'v' holds vectors of 2 numbers in one and of 3"):
        normalizer + sn.TableNormalizer(None, {"v": "standard"}, vectors=vectors).fit(wrong)


def test_an_infinity_is_named_by_element_and_row():
    table = pa.table({"v": pa.array([[1.0, 2.0], [3.0, np.inf]], pa.list_(pa.float64(), 2))})
    with pytest.raises(InfiniteValueError, match=r"'v\[1\]', row 1"):
        sn.TableNormalizer().fit(table)
    with pytest.raises(InfiniteValueError, match="'v', row 1"):
        sn.TableNormalizer(vectors="whole").fit(table)
    normalizer = sn.TableNormalizer(infinite="skip").fit(table)
    assert normalizer.learnt.groups[0].summary.counts.values.tolist() == [2, 1]
    normalizer = sn.TableNormalizer().fit(table.slice(0, 1))
    with pytest.raises(InfiniteValueError, match="'v', row 1"):
        normalizer.transform(table)


def test_no_numbers_in_it():
    table = pa.table({"v": pa.array([["a"]]), "n": pa.array([[[1.0]]]), "x": [1.0]})
    for name in ("v", "n"):
        with pytest.raises(DataError, match=f"'{name}' holds list"):
            sn.TableNormalizer(columns={name: "standard"}).fit(table)
    with pytest.raises(DataError, match="'element', 'whole' or 'unit', got 'all'"):
        sn.TableNormalizer(vectors="all").fit(table)


@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_files_and_state(tmp_path, capsys, vectors):
    rows = rows_of(1000).astype(np.float32)
    table = pa.table({"id": range(1000), "v": lists(rows), "w": lists(rows, fixed=False)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    words = ["--columns", "v,w", "--vectors", vectors]
    state, out = tmp_path / "s.json", tmp_path / "out.parquet"
    assert streamnorm(capsys, "run", tmp_path / "a.parquet", "--output", out, "--state", state, *words).code == 0
    mapped = pq.read_table(out)
    assert mapped.schema == table.schema
    normalizer = sn.load(state)
    assert normalizer == sn.TableNormalizer(None, dict.fromkeys("vw", "standard"), vectors=vectors).fit(table)
    assert mapped.equals(normalizer.transform(table)) or str(mapped.to_pylist()) == str(
        normalizer.transform(table).to_pylist()
    )
    shown = streamnorm(capsys, "show", state)
    assert shown.code == 0
    assert ("v[2]" in shown.out) == (vectors == "element")
    assert "fixed_size_list" in shown.out
    assert (normalizer + normalizer) - normalizer == normalizer


class TestLaws:
    """A table of vectors, some of whose parts have shown no list yet."""

    def table(self):
        rows = rows_of()
        ragged = [None if i < 60 or i % 7 == 0 else row for i, row in enumerate(rows.tolist())]
        return pa.table({"v": lists(rows), "w": pa.array(ragged, pa.list_(pa.float64())), "x": rows[:, 0]})

    def normalizer(self, vectors):
        return sn.TableNormalizer("standard", {"w": "robust"}, vectors=vectors)

    @pytest.mark.parametrize("vectors", ["element", "whole"])
    def test_any_cut_any_order_and_back(self, vectors):
        table = self.table()
        whole = self.normalizer(vectors).fit(table)
        for seed, cuts in enumerate([[], [1], [0, 0, 100], [59, 60, 61], list(range(0, 300, 7)), [300]]):
            bounds = [0, *cuts, 300]
            parts = [table.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
            parts = [parts[i] for i in np.random.default_rng(seed).permutation(len(parts))]
            one = self.normalizer(vectors)
            for part in parts:
                one.partial_fit(part)
            assert one == whole == sum(self.normalizer(vectors).fit(part) for part in parts)
            assert one.digest() == whole.digest()
        first, rest = (self.normalizer(vectors).fit(part) for part in (table.slice(0, 50), table.slice(50)))
        assert (rest + first) - first == rest
        assert rest + self.normalizer(vectors).fit(table.slice(0, 0)) == rest

    @pytest.mark.parametrize("vectors", ["element", "whole"])
    def test_saved_at_any_time(self, tmp_path, vectors):
        for rows in (0, 50, 300):
            normalizer = self.normalizer(vectors).fit(self.table().slice(0, rows))
            sn.save(normalizer, tmp_path / "s.json")
            assert sn.load(tmp_path / "s.json") == normalizer
            assert sn.load(tmp_path / "s.json").partial_fit(self.table()) == normalizer.partial_fit(self.table())


@pytest.mark.parametrize("words", [[], ["--vectors", "whole"], ["--scale", "v=minmax"]])
@pytest.mark.parametrize("kind", ["fixed", "list"])
def test_an_infinity_is_named_with_its_row_in_the_file(tmp_path, capsys, words, kind):
    rows = np.arange(200.0).reshape(100, 2)
    rows[77, 1] = -np.inf
    lists = [None if i % 10 == 3 else row for i, row in enumerate(rows.tolist())]
    table = pa.table({"v": pa.array(lists, pa.list_(pa.float64(), 2) if kind == "fixed" else pa.list_(pa.float64()))})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=30)
    words = words if kind == "fixed" or "--scale" in words else [*words, "--columns", "v"]
    done = streamnorm(capsys, "fit", tmp_path / "v.parquet", "--state", tmp_path / "s.json", *words)
    assert done.code == 1
    assert "there is an infinity in column 'v', row 78: " in done.err


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 0), pa.fixed_shape_tensor(pa.float32(), [2, 0])], ids=str)
def test_vectors_without_elements_pass(kind):
    lists = pa.array([[], None], pa.list_(pa.float32(), 0))
    empty = lists if kind == lists.type else pa.ExtensionArray.from_storage(kind, lists)
    table = pa.table({"v": empty, "x": [1.0, 3.0]})
    assert sn.TableNormalizer().fit_transform(table).equals(pa.table({"v": empty, "x": [-1.0, 1.0]}))
    with pytest.raises(DataError, match="column 'v' holds"):
        sn.TableNormalizer(columns={"v": "standard"}).fit(table)
