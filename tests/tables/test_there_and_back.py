"""What is not normalised stays as it was: index, labels, columns of any kind, blocks, sparse formats."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import streamnorm as sn
from streamnorm.errors import DataError, OverflowedError

ODD = [{"k": 1}, "free text"]


def frame_of_all() -> pd.DataFrame:
    """Give two columns of numbers among columns of every other kind."""
    return pd.DataFrame(
        {
            "text": ["a", "b"],
            "x": [1.0, 3.0],
            "odd": np.array(ODD, object),
            "when": pd.to_datetime(["2024-01-01", None]),
            "zone": pd.to_datetime(["2024-01-01", None], utc=True),
            "complex": [1 + 2j, 0j],
            "sort": pd.Categorical(["p", "q"]),
            "span": pd.period_range("2024-01", periods=2, freq="M"),
            "between": pd.interval_range(0, 2),
            "n": [10, 20],
            "yes": [True, False],
        },
        index=pd.Index([7, 3], name="key"),
    )


@pytest.mark.parametrize("suffix", ["", "_z"])
def test_pandas_keeps_all_else(suffix):
    frame = frame_of_all()
    frame.attrs["about"] = "flights"
    normalizer = sn.TableNormalizer(suffix=suffix).fit(frame)
    mapped = normalizer.transform(frame)
    wanted = frame.copy()
    wanted["x" + suffix] = [-1.0, 1.0]
    wanted["n" + suffix] = [-1.0, 1.0]
    pd.testing.assert_frame_equal(mapped, wanted)
    assert (mapped.attrs, mapped["odd"].tolist()) == (frame.attrs, ODD)
    assert mapped["odd"].iloc[0] is frame["odd"].iloc[0]
    back = normalizer.inverse_transform(mapped)
    pd.testing.assert_frame_equal(back, frame.assign(x=[1.0, 3.0], n=[10.0, 20.0])[back.columns])
    pd.testing.assert_frame_equal(frame, frame_of_all())


def test_polars_keeps_objects():
    frame = pl.DataFrame({"x": [1.0, 2.0], "note": pl.Series(ODD, dtype=pl.Object), "n": [1, 2], "when": [None, None]})
    mapped = sn.TableNormalizer().fit_transform(frame)
    assert mapped["note"].to_list() == ODD
    assert mapped.schema == frame.schema | {"n": pl.Float64}
    assert mapped["x"].to_list() == mapped["n"].to_list() == [-1.0, 1.0]
    with pytest.raises(DataError, match="column 'note' holds Object, not numbers"):
        sn.TableNormalizer(columns={"note": "standard"}).fit(frame)
    with pytest.raises(DataError, match="column 'note' holds Object, not numbers"):
        sn.StandardScaler().fit(frame)


LABELS = {
    "levels": pd.MultiIndex.from_tuples([("pay", 5), ("tax", 5)], names=["what", "year"]),
    "levels of floats": pd.MultiIndex.from_tuples([("pay", 0.5), ("tax", None)]),
    "dates": pd.to_datetime(["2024-01-01", "2024-01-02"]),
    "numbers": pd.Index([2.5, 1]),
    "range": pd.RangeIndex(2),
    "categories": pd.CategoricalIndex(["a", "b"]),
    "tuples": pd.Index([("a", 1), "b"], dtype=object, tupleize_cols=False),
    "strings": pd.Index(["a", "b"], name="names"),
}


@pytest.mark.parametrize("columns", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("suffix", ["", "_z"])
def test_labels_of_every_kind_stay(columns, suffix):
    frame = pd.DataFrame([[1.0, 10.0], [3.0, 20.0]], columns=columns, index=[4, 4])
    normalizer = sn.TableNormalizer(suffix=suffix).fit(frame)
    mapped = normalizer.transform(frame)
    assert mapped.columns[:2].equals(columns)
    assert mapped.columns.names == columns.names
    assert mapped.index.tolist() == [4, 4]
    assert mapped.iloc[:, -2:].to_numpy().tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    back = normalizer.inverse_transform(mapped)
    assert repr(back.columns.tolist()) == repr(frame.columns.tolist())
    assert back.equals(frame) or suffix  # pandas does not give the labels their type back


def test_a_pivoted_frame():
    sales = pd.DataFrame({"shop": ["a", "a", "b"], "year": [5, 6, 5], "pay": [1.0, 2.0, 3.0], "tax": [1.0, 5.0, 9.0]})
    wide = sales.pivot_table(index="shop", columns="year", values=["pay", "tax"], aggfunc="sum")
    mapped = sn.TableNormalizer().fit(wide).transform(wide)
    assert mapped.columns.equals(wide.columns)
    assert mapped.index.equals(wide.index)


@pytest.mark.parametrize("output", ["polars", "pandas"])
def test_an_index_is_no_feature(output):
    train = pd.DataFrame({"x": [1.0, 2.0, 4.0], "n": [1, 5, 2]}, index=[2, 0, 1])
    with sklearn.config_context(transform_output=output):
        model = make_pipeline(sn.TableNormalizer(), Ridge()).fit(train, [1.0, 2.0, 3.0])
        mapped = model[0].transform(train)
    assert model[-1].n_features_in_ == 2
    assert list(mapped.columns) == ["x", "n"]
    if output == "pandas":
        assert mapped.index.tolist() == [2, 0, 1]


def test_output_of_another_library_keeps_objects():
    frame = pd.DataFrame({"x": [1.0, 2.0], "note": np.array(ODD, object)}, index=[1, 0])
    polars = sn.TableNormalizer().set_output(transform="polars").fit_transform(frame)
    assert (polars.columns, polars["note"].to_list()) == (["x", "note"], ODD)
    pandas = sn.TableNormalizer().set_output(transform="pandas").fit_transform(polars)
    assert pandas["note"].tolist() == ODD
    tables = [pa.table({"x": [1.0]}), pa.table({"x": [3.0]})]
    for library, kind in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        normalizer = sn.TableNormalizer().set_output(transform=library).fit(tables)
        found = normalizer.transform(iter(tables))
        assert isinstance(found, kind)
        assert found["x"].to_list() == [-1.0, 1.0]


def test_a_wide_frame_takes_linear_time_and_one_block_a_type():
    def seconds(columns: int) -> float:
        wide = pd.DataFrame(np.random.default_rng(0).normal(size=(20, columns))).add_prefix("c")
        start = time.process_time()  # others may be busy meanwhile
        mapped = sn.TableNormalizer().fit(wide).transform(wide)
        taken = time.process_time() - start
        mapped["one_more"] = 1.0  # pandas warns where there are a hundred blocks
        assert mapped.columns.tolist() == [*wide.columns, "one_more"]
        return taken

    seconds(10)
    assert min(seconds(20_000) for _ in range(2)) < 60 * max(seconds(1000), 0.01)


def test_frames_of_several_types_have_one_block_each():
    columns = {f"{kind}{i}": np.arange(5).astype(kind) for i in range(60) for kind in ("f4", "f8", "i8")}
    frame = pd.DataFrame(columns | {f"t{i}": list("abcde") for i in range(60)})
    frame = frame[sorted(frame.columns, key=lambda name: name[::-1])]
    mapped = sn.TableNormalizer(columns={"f80": "minmax", "i81": "quantile"}).fit(frame).transform(frame)
    table = sn.TableNormalizer(columns={"f80": "minmax", "i81": "quantile"}).fit(pa.Table.from_pandas(frame))
    wanted = table.transform(pa.Table.from_pandas(frame)).to_pandas()
    pd.testing.assert_frame_equal(mapped, wanted)
    mapped["one_more"] = 1.0


def test_errors_of_frames_name_column_and_row():
    frame = pd.DataFrame({"a": [0.0, 1.0], "t": ["x", "y"], "b": [0.0, 1e-3]})
    normalizer = sn.TableNormalizer().fit(frame)
    with pytest.raises(DataError, match="infinity: column 'b', row 1 of the batch"):
        normalizer.transform(frame.assign(b=[0.0, np.inf]))
    with pytest.raises(OverflowedError, match=r"column 'b', row 0 of the batch: the result of 60000\.0 is"):
        normalizer.transform(frame.assign(b=np.array([6e4, 0], np.float16)))


# ---- sparse ----


def test_sparse_columns_of_pandas_are_numbers_and_stay_sparse():
    frame = pd.DataFrame(
        {
            "hot": pd.arrays.SparseArray([0.0, 0.0, 5.0], fill_value=0.0),
            "cold": pd.arrays.SparseArray([1, 0, 0]),
            "t": ["a", "b", "c"],
        }
    )
    normalizer = sn.TableNormalizer("maxabs").fit(frame)
    assert list(normalizer.feature_names_in_) == ["hot", "cold"]
    mapped = normalizer.transform(frame)
    assert mapped.dtypes["hot"] == pd.SparseDtype(float, 0.0)
    assert mapped["hot"].tolist() == [0.0, 0.0, 1.0]
    assert mapped["hot"].array.sp_index.npoints == 1
    centred = sn.TableNormalizer(columns={"hot": "standard"}, exclude="cold").fit_transform(frame)
    assert centred["hot"].array.sp_index.npoints == 1
    assert centred["hot"].to_numpy() == pytest.approx([-(0.5**0.5), -(0.5**0.5), 2**0.5])
    assert centred["cold"].dtype == frame["cold"].dtype


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize(
    "scaler", [sn.MaxAbsScaler(), sn.StandardScaler(with_mean=False), sn.RobustScaler(with_centering=False)], ids=str
)
def test_sparse_formats_stay(scaler, kind, copy):
    X = kind(np.array([[1.0, 0.0, 2.0], [0.0, 4.0, 1.0], [0.0, 0.0, 3.0]]))
    given = X.copy()
    scaler.fit(X)
    for way in (scaler.transform, scaler.inverse_transform):
        mapped = way(given, copy=copy)
        assert (type(mapped), mapped.nnz) == (kind, X.nnz)
        assert np.array_equal(mapped.toarray(), way(X.toarray()))
        assert (mapped is given) == (not copy)
        given = X.copy()
