"""Rows of unit norm: right for all magnitudes, in every container, in the type that came."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.preprocessing import Normalizer as SklearnNormalizer

import streamnorm as sn
from streamnorm.errors import DataError, InfiniteValueError

NORMS = ["l1", "l2", "max"]
ROWS = np.random.default_rng(0).normal(size=(500, 7)) * 10.0 ** np.arange(-3, 4)
ROWS[3] = 0


def unit(row, norm):
    """Compute in exact arithmetic, to far more digits than float64 has."""
    exact = [Fraction(value) for value in row]
    if norm == "l2":
        square = sum(value * value for value in exact)
        root = Fraction(math.isqrt(int(square * 2**5000)), 2**2500)
    else:
        root = (sum if norm == "l1" else max)(map(abs, exact))
    return [float(value / (root or 1)) for value in exact]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1.0, 5e-324, 1e-310, 1e-200, 1e200, 1.7e308])
def test_rows_of_every_magnitude(norm, scale):
    rows = np.array([[1.0, -1.0, 0.5], [0.25, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]) * scale
    found = sn.Normalizer(norm).fit_transform(rows)
    wanted = np.array([unit(row, norm) for row in rows])
    assert np.abs(found - wanted).max() <= 2.0**-52


@pytest.mark.parametrize("norm", NORMS)
def test_as_scikit_learn_to_rounding(norm):
    theirs, found = SklearnNormalizer(norm).fit_transform(ROWS), sn.Normalizer(norm).fit_transform(ROWS)
    assert np.abs(found - theirs).max() <= 4 * np.finfo(float).eps
    wanted = np.array([unit(row, norm) for row in ROWS[:40]])
    assert np.abs(found[:40] - wanted).max() <= 2 * np.finfo(float).eps


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_type_stays_and_is_rounded_to_once(norm, dtype):
    rows = np.clip(ROWS, -1e3, 1e3).astype(dtype)
    one = sn.Normalizer(norm)
    found = one.fit_transform(rows)
    assert found.dtype == dtype
    assert (found == one.transform(rows.astype(float)).astype(dtype)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_layout_and_container_do_not_matter(norm):
    one = sn.Normalizer(norm)
    whole = one.transform(ROWS)
    assert (one.transform(np.asfortranarray(ROWS)) == whole).all()
    assert (one.transform(ROWS[::-1])[::-1] == whole).all()
    parts = [one.transform(part) for part in np.split(ROWS, [1, 300])]
    assert (np.concatenate(parts) == whole).all()
    names = [f"x{i}" for i in range(7)]
    frame = pd.DataFrame(ROWS, columns=names)
    table = pa.Table.from_pandas(frame)
    assert (one.fit(table).transform(table).to_pandas().to_numpy() == whole).all()
    assert (one.transform(table.to_reader(max_chunksize=7)).read_all().to_pandas().to_numpy() == whole).all()
    assert (one.set_output(transform="polars").transform(pl.from_arrow(table)).to_numpy() == whole).all()
    assert (one.set_output(transform="pandas").transform(frame).to_numpy() == whole).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_rows_are_divided_by_the_same(norm, kind):
    rows = np.where(np.abs(ROWS) > 1, ROWS, 0)
    X = kind(rows)
    found = sn.Normalizer(norm).fit_transform(X)
    assert sparse.issparse(found)
    assert np.abs(found.toarray() - sn.Normalizer(norm).transform(rows)).max() <= 2 * np.finfo(float).eps
    assert (X.toarray() == rows).all()


def test_without_a_copy_the_array_is_written_over():
    rows = ROWS.copy()
    assert sn.Normalizer(copy=False).fit(rows).transform(rows) is rows
    assert (rows == sn.Normalizer().transform(ROWS)).all()


def test_what_has_no_norm_is_named():
    table = pa.table({"a": [1.0, 2.0], "b": [3.0, None]})
    for call in (sn.Normalizer().fit, sn.Normalizer().transform):
        with pytest.raises(DataError, match=r"NaN: column ('b'|1), row 1"):
            call(table)
    with pytest.raises(InfiniteValueError, match="column 1, row 0"):
        sn.Normalizer().transform([[1.0, np.inf]])
    with pytest.raises(DataError, match="column 0, row 1"):
        sn.Normalizer().transform(sparse.csr_array([[1.0, 2.0], [np.nan, 0.0]]))
    with pytest.raises(ValueError, match=r"'norm'.*'l3'"):
        sn.Normalizer("l3").transform([[1.0]])


def test_there_is_nothing_to_save_and_nothing_to_export(tmp_path):
    one = sn.Normalizer().fit(ROWS)
    for call in (lambda: sn.save(one, tmp_path / "s.json"), lambda: sn.export.to_sql(one)):
        with pytest.raises(DataError, match="learns nothing"):
            call()
    assert not list(tmp_path.iterdir())
    theirs = sn.export.to_sklearn(sn.Normalizer("l1").fit(ROWS))
    assert type(theirs) is SklearnNormalizer
    assert np.abs(theirs.transform(ROWS) - sn.Normalizer("l1").transform(ROWS)).max() <= 1e-15
