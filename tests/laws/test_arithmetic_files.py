"""Files of every kind, and the engines and exports: results are those of float64 arithmetic, rounded once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import streamnorm as sn

pytestmark = pytest.mark.slow
SCALERS = {
    "standard": sn.StandardScaler(),
    "sample": sn.StandardScaler(ddof=1, with_mean=False),
    "minmax": sn.MinMaxScaler((-1, 3)),
    "clip": sn.MinMaxScaler(clip=True),
    "maxabs": sn.MaxAbsScaler(),
    "robust": sn.RobustScaler(unit_variance=True),
    "quantile": sn.QuantileTransformer(n_quantiles=20),
    "normal": sn.QuantileTransformer(n_quantiles=20, output_distribution="normal"),
    "power": sn.PowerTransformer(max_bins=64),
}
SMALL = {"float16": pa.float16(), "float32": pa.float32()}


def rows(kind: pa.DataType) -> pa.Table:
    """Give far numbers that are close to each other, some of them often, one missing."""
    rng = np.random.default_rng(0)
    centre, spread = (2019.0, 3.0) if kind == pa.float16() else (101325.1, 0.02)
    far = (centre + rng.normal(0, spread, 300)).astype(kind.to_pandas_dtype())
    near = rng.normal(5, 2, 300).astype(kind.to_pandas_dtype())
    near[7] = np.nan
    missing = np.arange(300) % 50 == 3
    return pa.table({"far": pa.array(np.where(far == far[0], far[1], far), kind, mask=missing),
                     "near": pa.array(near, kind), "text": ["x"] * 300})  # fmt: skip


def stream(table: pa.Table, path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)


def arrow(table: pa.Table, path) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)


def read_stream(path) -> pa.Table:
    with pa.ipc.open_stream(path) as reader:
        return reader.read_all()


#: Ways to write a file, its ending, and a way to read it.
FILES = {
    "dictionaries": (lambda t, p: pq.write_table(t, p, use_dictionary=True), ".parquet", pq.read_table),
    "plain pages": (
        lambda t, p: pq.write_table(t, p, use_dictionary=False, data_page_size=500),
        ".parquet",
        pq.read_table,
    ),
    "split bytes": (
        lambda t, p: pq.write_table(
            t, p, use_dictionary=["text"], column_encoding={"far": "BYTE_STREAM_SPLIT", "near": "BYTE_STREAM_SPLIT"}
        ),
        ".parquet",
        pq.read_table,
    ),
    "row groups": (lambda t, p: pq.write_table(t, p, row_group_size=64, compression="zstd"), ".parquet", pq.read_table),
    "feather": (pyarrow.feather.write_feather, ".feather", pyarrow.feather.read_table),
    "arrow": (arrow, ".arrow", lambda path: pa.ipc.open_file(path).read_all()),
    "arrow stream": (stream, ".arrows", read_stream),
}


def assert_rounded_once(found: pa.Table, wide: pa.Table, kind: pa.DataType, *, nulls: bool = True) -> None:
    """Compare with the float64 result, rounded to a type; pandas tells no null from NaN."""
    for name in ("far", "near"):
        wanted = wide[name].cast(kind, safe=False).combine_chunks()
        own = found[name].combine_chunks()
        assert own.type == kind
        if nulls:
            assert own.is_null().equals(wanted.is_null())
        missing = np.asarray(np.nan, kind.to_pandas_dtype())[()]
        assert np.array_equal(*(np.asarray(array.fill_null(missing)) for array in (own, wanted)), equal_nan=True)


def widened(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([("far", pa.float64()), ("near", pa.float64()), ("text", pa.string())]))


@pytest.mark.parametrize("small", SMALL)
@pytest.mark.parametrize("way", FILES)
@pytest.mark.parametrize("scaler", SCALERS)
def test_files_are_rounded_once(scaler, way, small, tmp_path):
    write, suffix, read = FILES[way]
    kind = SMALL[small]
    table = rows(kind)
    source, out, back = (tmp_path / f"{name}{suffix}" for name in ("in", "out", "back"))
    write(table, source)
    fitted = sn.fit(source, sn.TableNormalizer(SCALERS[scaler]))
    assert fitted == sn.TableNormalizer(SCALERS[scaler]).fit(widened(table))
    sn.transform(fitted, source, out)
    found = read(out)
    assert_rounded_once(found, fitted.transform(widened(table)), kind)
    sn.transform(fitted, out, back, inverse=True)
    assert_rounded_once(read(back), fitted.inverse_transform(widened(found)), kind)


@pytest.mark.parametrize("small", SMALL)
@pytest.mark.parametrize("given", ["float64", "int32"])
@pytest.mark.parametrize("scaler", SCALERS)
def test_a_type_that_is_asked_for_is_rounded_to_once(scaler, given, small, tmp_path):
    """CSV, and Parquet of wider types."""
    wide = widened(rows(SMALL[small]))
    if given == "int32":
        whole = [pa.array(np.nan_to_num(np.asarray(wide[name])).astype(np.int32)) for name in ("far", "near")]
        wide = pa.table({"far": whole[0], "near": whole[1], "text": wide["text"]})
    plain = sn.TableNormalizer(SCALERS[scaler]).fit(wide)
    asked = sn.TableNormalizer(SCALERS[scaler], dtype=small).fit(wide)
    wanted = plain.transform(wide)
    assert_rounded_once(asked.transform(wide), wanted, SMALL[small])
    for suffix in (".parquet", ".csv"):
        source, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
        pq.write_table(wide, source) if suffix == ".parquet" else pyarrow.csv.write_csv(wide, source)
        sn.transform(asked, source, out)
        if suffix == ".parquet":
            assert_rounded_once(pq.read_table(out), wanted, SMALL[small])
            continue
        texts = pyarrow.csv.read_csv(out, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
        for name in ("far", "near"):  # text is as short as tells a number of the type from its neighbours
            right, text = (
                np.asarray(column[name].cast(pa.float64()).combine_chunks().fill_null(np.nan)).astype(small)
                for column in (wanted, texts)
            )
            assert np.array_equal(text, right, equal_nan=True)


@pytest.mark.parametrize("small", SMALL)
@pytest.mark.parametrize("scaler", [name for name in SCALERS if name != "normal"])
def test_dask_rounds_once(scaler, small):
    dask = pytest.importorskip("dask.dataframe", reason="needs the extra 'dask'")
    table = rows(SMALL[small]).drop_columns(["text"])
    fitted = sn.TableNormalizer(SCALERS[scaler]).fit(table)
    framed = dask.from_pandas(table.to_pandas(), npartitions=3)
    found = pa.Table.from_pandas(sn.dask.transform(fitted, framed).compute(scheduler="threads"), preserve_index=False)
    wide = fitted.transform(table.cast(pa.schema([("far", pa.float64()), ("near", pa.float64())])))
    assert_rounded_once(found, wide, SMALL[small], nulls=False)


@pytest.mark.parametrize("scaler", [name for name in SCALERS if name not in ("normal", "power")])
@pytest.mark.filterwarnings("ignore:float32 loses")
def test_onnx_and_sql_round_once(scaler):
    runtime, duckdb = pytest.importorskip("onnxruntime"), pytest.importorskip("duckdb")
    table = rows(pa.float32()).drop_columns(["text"])
    fitted = sn.TableNormalizer(SCALERS[scaler]).fit(table)
    wide = fitted.transform(table.cast(pa.schema([("far", pa.float64()), ("near", pa.float64())])))
    model = sn.export.to_onnx(fitted, dtype="float32")
    X = np.column_stack([column.to_numpy() for column in table.columns])
    (found,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"X": X})
    right = np.column_stack([column.to_numpy().astype(np.float32) for column in wide.columns])
    assert np.array_equal(found, right, equal_nan=True)
    assert found.dtype == np.float32
    with duckdb.connect() as connection:
        connection.register("rows", table)
        given = connection.sql(sn.export.to_sql(fitted, dialect="duckdb", table="rows")).to_arrow_table()
    assert_rounded_once(given, wide, pa.float32())
