"""What is exported gives the same numbers where it is used: in the real library, on the sample and on hard cases."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pyarrow as pa
import pytest
import skops.io
import sqlglot
from bits import assert_same_bits
from exported import FLOAT32, beside_keras, expected, hard_table, matrix, run_duckdb, run_onnx, some_flights

import streamnorm as sn
from streamnorm.errors import DataError
from streamnorm.export import DIALECTS, to_keras, to_onnx, to_sklearn, to_sql, to_torch

MIXED = {
    "temp": "robust",
    "distance": sn.MinMaxScaler(clip=True),
    "air_time": sn.QuantileTransformer(n_quantiles=20),
    "year": "quantile",
    "wind_speed": sn.MaxAbsScaler(clip=True),
}

#: Every scaler, as it is and with its switches the other way.
TABLES = {
    "standard": {},
    "ddof": {"default": sn.StandardScaler(ddof=1)},
    "nothing": {"default": sn.StandardScaler(with_mean=False, with_std=False)},
    "minmax": {"default": sn.MinMaxScaler((-1, 3))},
    "minmax, clipped": {"default": sn.MinMaxScaler(clip=True)},
    "maxabs": {"default": "maxabs"},
    "maxabs, clipped": {"default": sn.MaxAbsScaler(clip=True)},
    "robust": {"default": "robust"},
    "robust, unit variance": {"default": sn.RobustScaler(unit_variance=True)},
    "quantile": {"default": sn.QuantileTransformer(n_quantiles=12)},
    "mixed": {"columns": MIXED},
}
#: What scikit-learn has no estimator for.
BEYOND = {
    "squashing": {"default": sn.SquashingScaler()},
    "squashing to 1": {"default": sn.SquashingScaler(1.0, (5.0, 95.0))},
    "winsor": {"default": sn.Winsorizer()},
    "winsor, both tails": {"default": sn.Winsorizer("iqr", "both")},
    "winsor of quantiles": {"default": sn.Winsorizer("quantiles", "left")},
}
EXACT_EVERYWHERE = [name for name in TABLES if "clip" not in name and name not in ("quantile", "mixed")]


@pytest.fixture(scope="module")
def flights():
    return some_flights()


@pytest.fixture(scope="module")
def fitted(flights):
    """Fitted on fewer rows than are mapped, so that there are values beyond what was seen."""
    return {
        name: sn.TableNormalizer(**choices).fit(flights.slice(0, 5000)) for name, choices in (TABLES | BEYOND).items()
    }


# ---- scikit-learn ----


@pytest.mark.parametrize("name", TABLES)
def test_sklearn_has_the_same_bits(fitted, flights, name):
    normalizer = fitted[name]
    frame = flights.to_pandas()
    plain = skops.io.loads(skops.io.dumps(to_sklearn(normalizer)), trusted=[])
    assert type(plain).__module__.startswith("sklearn.")
    columns = frame if name == "mixed" else frame[list(normalizer.feature_names_in_)]
    assert_same_bits(np.ascontiguousarray(plain.transform(columns)), expected(normalizer, flights))
    assert list(plain.get_feature_names_out()) == list(normalizer.feature_names_in_)


def test_sklearn_has_normal_variables(flights):
    normal = sn.QuantileTransformer(n_quantiles=60, output_distribution="normal")
    table = flights.select(["air_time", "temp"])
    normalizer = sn.TableNormalizer(normal).fit(table)
    assert_same_bits(to_sklearn(normalizer).transform(table.to_pandas()), expected(normalizer, table))


#: Scalers of every class.
SCALERS = [
    sn.StandardScaler(),
    sn.StandardScaler(ddof=1, with_mean=False),
    sn.MaxAbsScaler(),
    sn.QuantileTransformer(n_quantiles=50),
    sn.MinMaxScaler((-1, 3)),
    sn.MinMaxScaler(clip=True),
    sn.RobustScaler(),
    sn.QuantileTransformer(n_quantiles=50, output_distribution="normal"),
]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_sklearn_has_the_same_bits_where_the_readme_says_so(scaler, dtype):
    rng = np.random.default_rng(0)
    columns = [rng.normal(1000, 3, 5000), rng.normal(size=5000), rng.integers(0, 9, 5000), np.full(5000, 2.0)]
    X = np.column_stack(columns).astype(dtype)
    X[::17, 1] = np.nan
    plain, mapped = to_sklearn(scaler.fit(X)), scaler.transform(X)
    assert mapped.dtype == dtype
    wide, back = X.astype(np.float64), mapped.astype(np.float64)  # in smaller types scikit-learn rounds every step
    assert_same_bits(plain.transform(wide).astype(dtype), mapped)
    assert_same_bits(plain.inverse_transform(back).astype(dtype), scaler.inverse_transform(mapped))


def test_sklearn_keeps_single_scalers():
    scaler = sn.AdaptiveStandardScaler(halflife=3).fit([[1.0], [2.0], [7.0]])
    assert to_sklearn(scaler).transform([[3.0]]).tolist() == scaler.transform([[3.0]]).tolist()
    with pytest.raises(DataError, match="expected a fitted normalizer, found str"):
        to_sklearn("standard")


# ---- ONNX ----


@pytest.mark.parametrize("name", TABLES | BEYOND)
def test_onnx_has_the_same_bits(fitted, flights, name):
    normalizer = fitted[name]
    X = matrix(flights.select(list(normalizer.feature_names_in_)))
    model = to_onnx(normalizer)
    assert_same_bits(run_onnx(model, X), expected(normalizer, flights))
    assert json.loads(model.metadata_props[0].value) == list(normalizer.feature_names_in_)


@pytest.mark.parametrize("name", TABLES | BEYOND)
def test_onnx_has_the_same_bits_in_float32(fitted, flights, name):
    normalizer = fitted[name]
    names = list(normalizer.feature_names_in_)
    X = matrix(flights.select(names), np.float32)
    table = pa.table({n: pa.array(X[:, i], from_pandas=True) for i, n in enumerate(names)})
    wanted = np.column_stack([c.to_numpy() for c in normalizer.transform(table).columns])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = to_onnx(normalizer, dtype="float32")
    assert_same_bits(run_onnx(model, X), np.ascontiguousarray(wanted))


def test_float32_warns_where_it_loses_much():
    rng = np.random.default_rng(0)
    table = pa.table({"seconds": 1.7e9 + rng.normal(0, 60, 1000), "small": rng.normal(3, 1, 1000)})
    normalizer = sn.TableNormalizer().fit(table)
    with pytest.warns(UserWarning, match=r"float32 loses up to .* of column 'seconds'") as warned:
        model = to_onnx(normalizer, dtype="float32")
    assert len(warned) == 1
    wanted = expected(normalizer, table)
    loss = np.abs(run_onnx(model, matrix(table, np.float32)) - wanted).max(axis=0)
    said = float(str(warned[0].message).split("up to ")[1].split()[0])
    assert 1e-4 < loss[0] <= said * 1.1
    assert loss[1] < 1e-4
    assert_same_bits(run_onnx(to_onnx(normalizer), matrix(table)), wanted)


@pytest.mark.parametrize("scaler", ["standard", "minmax", "robust", "quantile", "squashing", "winsor"])
def test_onnx_of_hard_columns(scaler):
    columns = {
        "constant": [7.0, 7.0, 7.0, 7.0],
        "missing": [None, 1.0, None, 2.0],
        "huge": [1e300, -1e300, 1e299, 5.0],
        "tiny": [1e-310, 0.0, 5e-324, -1e-310],
        "ties": [1.0, 1.0, 2.0, 2.0],
    }
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()})
    normalizer = sn.TableNormalizer(scaler).fit(table)
    probe = {name: [*table[name].to_pylist(), -0.0, 1.5, 1e9, None] for name in columns}
    if scaler != "quantile":
        probe["tiny"] = [*columns["tiny"], -0.0, 3e-311, 1.5e-308, None]  # 1.5 would be beyond float64
    probe = pa.table(probe)
    with np.errstate(all="ignore"):
        assert_same_bits(run_onnx(to_onnx(normalizer), matrix(probe)), expected(normalizer, probe))


def infinite_table() -> pa.Table:
    """Columns of every kind that squashing tells apart, with infinities."""
    rng = np.random.default_rng(3)
    ends = [np.inf, -np.inf, np.nan, 7.0, -0.0, 5e14, 2e15]
    columns = {
        "plain": rng.normal(size=300),
        "far": 1e6 * rng.standard_t(1, 300),
        "constant": np.full(300, 7.0),
        "mostly 0": np.r_[np.zeros(299), 5.0],
        "huge": rng.choice([-1.7e308, 1.7e308, 1e308], 300),
        "missing": np.full(300, np.nan),
    }
    return pa.table({name: np.r_[values, ends] for name, values in columns.items()})


@pytest.mark.filterwarnings("ignore:.*no value")
@pytest.mark.parametrize("bound", [3.0, 1.0, 1 + 2.0**-40])
@pytest.mark.parametrize("names", [None, ["plain"], ["constant"], ["huge"]])
def test_a_soft_bound_has_the_same_bits_of_infinities_too(bound, names):
    table = infinite_table().select(names or infinite_table().column_names)
    normalizer = sn.TableNormalizer(sn.SquashingScaler(bound), infinite="skip").fit(table.slice(0, 300))
    wanted = normalizer.transform(table)
    assert_same_bits(run_onnx(to_onnx(normalizer), matrix(table)), matrix(wanted))
    assert_same_bits(matrix(run_duckdb(to_sql(normalizer), table)), matrix(wanted))


def test_what_is_no_layer_is_refused_by_name(fitted):
    for name in BEYOND:
        what = "a soft bound" if "squashing" in name else "a clip"
        for target in (to_keras, to_torch):
            with pytest.raises(DataError, match=f"column '.*' needs {what}, which .* cannot express: export to onnx"):
                target(fitted[name])
        with pytest.raises(DataError, match="scikit-learn has no"):
            to_sklearn(fitted[name])


def test_single_scalers_and_layers_become_onnx():
    rng = np.random.default_rng(0)
    X = rng.normal(5, 3, (100, 2))
    layer = sn.BatchNormalizer(gamma=[2.0, 3.0], beta=1.0).fit(X)
    for scaler in (sn.StandardScaler().fit(X), sn.AdaptiveStandardScaler(halflife=9).fit(X), layer):
        assert_same_bits(run_onnx(to_onnx(scaler), X), scaler.transform(X))
        table = pa.table({"x0": X[:, 0], "x1": X[:, 1]})
        assert_same_bits(matrix(run_duckdb(to_sql(scaler), table)), scaler.transform(X))


# ---- SQL ----


def assert_same_tables(found: pa.Table, wanted: pa.Table) -> None:
    assert found.column_names == wanted.column_names
    for name in wanted.column_names:
        ours, theirs = (table[name].combine_chunks() for table in (wanted, found))
        assert theirs.is_valid().equals(ours.is_valid()), name
        if pa.types.is_floating(ours.type):
            assert theirs.type == ours.type, name
            zero = pa.scalar(0.0, ours.type)
            assert_same_bits(theirs.fill_null(zero).to_numpy(), ours.fill_null(zero).to_numpy())
        else:
            assert theirs.cast(ours.type).equals(ours), name


@pytest.mark.parametrize("name", [*TABLES, *BEYOND, "suffix", "dtype"])
def test_sql_has_the_same_bits_in_duckdb(fitted, flights, name):
    choices = {"suffix": {"suffix": "_z"}, "dtype": {"dtype": "float32"}}
    normalizer = fitted[name] if name in fitted else sn.TableNormalizer(**choices[name]).fit(flights)
    assert_same_tables(run_duckdb(to_sql(normalizer), flights), normalizer.transform(flights))


@pytest.mark.parametrize(
    "scaler",
    ["standard", "minmax", sn.MinMaxScaler(clip=True), sn.QuantileTransformer(n_quantiles=5), "squashing", "winsor"],
    ids=str,
)
def test_sql_of_hard_columns(scaler):
    table = hard_table()
    normalizer = sn.TableNormalizer(scaler, {"flag": scaler}).fit(table.slice(5))
    assert_same_tables(run_duckdb(to_sql(normalizer), table), normalizer.transform(table))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["mixed", "suffix"])
def test_every_dialect_reads_its_query_back(fitted, flights, dialect, name):
    normalizer = fitted["mixed"] if name == "mixed" else sn.TableNormalizer(suffix="_z").fit(flights)
    query = to_sql(normalizer, dialect=dialect, table=("a b", "x y"))
    read = sqlglot.parse_one(query, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    assert (read.find(sqlglot.exp.Table).db, read.find(sqlglot.exp.Table).name) == ("a b", "x y")
    assert read.sql(dialect, pretty=True, max_text_width=100) == query
    numbers = {float(literal.this) for literal in read.find_all(sqlglot.exp.Literal)}
    scale = normalizer.learnt.where()["temp"][0].attribute("scale_")
    assert float(scale[normalizer.learnt.where()["temp"][1]]) in numbers


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_written_for_duckdb_again_have_the_same_bits(fitted, flights, dialect):
    """The query in each dialect, read by sqlglot and written for the one database at hand."""
    normalizer = fitted["mixed"]
    names = list(normalizer.feature_names_in_)
    query = sqlglot.transpile(to_sql(normalizer, dialect=dialect), read=dialect, write="duckdb")[0]
    wanted = normalizer.transform(flights)
    assert_same_tables(run_duckdb(query, flights).select(names), wanted.select(names))


def test_sql_keeps_columns():
    table = hard_table()
    normalizer = sn.TableNormalizer(None, {"small": "standard"}).fit(table)
    query = to_sql(normalizer, dialect="postgres", keep=["text"])
    found = run_duckdb(sqlglot.transpile(query, read="postgres", write="duckdb")[0], table)
    assert_same_tables(found, normalizer.transform(table).select(["text", "small"]))


def test_sql_keeps_no_column_that_is_normalised():
    table = pa.table({"x": [1.0, 3.0], "y": [1.0, 2.0], "text": ["a", "b"]})
    fitted = sn.TableNormalizer().fit(table)
    with pytest.raises(DataError, match=r"^column 'x' is in the query already, normalised: leave it out of keep"):
        to_sql(fitted, keep=["text", "x"])
    added = sn.TableNormalizer(suffix="_z").fit(table)
    assert run_duckdb(to_sql(added, keep=["x"]), table).column_names == ["x", "x_z", "y_z"]


# ---- layers ----


@pytest.mark.parametrize("name", EXACT_EVERYWHERE)
def test_torch_gives_the_same_numbers(torch, fitted, flights, name):
    normalizer = fitted[name]
    X = matrix(flights.select(list(normalizer.feature_names_in_)))
    module = torch.nn.BatchNorm1d(X.shape[1], dtype=torch.float64)
    module.load_state_dict(to_torch(normalizer))
    found = module.eval()(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(found, expected(normalizer, flights), rtol=1e-12, atol=1e-12)


@beside_keras
@pytest.mark.parametrize("name", EXACT_EVERYWHERE)
def test_keras_gives_the_same_numbers(keras, fitted, flights, name):
    normalizer = fitted[name]
    X = matrix(flights.select(list(normalizer.feature_names_in_)))
    found = keras.ops.convert_to_numpy(to_keras(normalizer)(X, training=False))
    np.testing.assert_allclose(found, expected(normalizer, flights), **FLOAT32)


def layers() -> list[sn.BatchNormalizer]:
    X = np.random.default_rng(0).normal(5, 3, (100, 2))
    made = [
        sn.BatchNormalizer(gamma=[2.0, -3.0], beta=[1.0, 0.0], epsilon=0.5),
        sn.BatchNormalizer(gamma=[0.0, 1.0], center=False),
        sn.BatchNormalizer(center=False, scale=False),
        sn.BatchNormalizer.torch(weight=[2.0, 3.0]),
    ]
    return [layer.partial_fit(X).partial_fit(X + 1) for layer in made]


@beside_keras
@pytest.mark.parametrize("layer", layers(), ids=str)
def test_layers_stay_what_they_are(torch, keras, layer):
    X = np.random.default_rng(1).normal(5, 3, (100, 2))
    state = to_torch(layer)
    assert state["running_var"].tolist() == layer.moving_variance_.tolist()
    assert int(state["num_batches_tracked"]) == 2
    module = torch.nn.BatchNorm1d(2, dtype=torch.float64)
    module.load_state_dict(state)
    np.testing.assert_allclose(module.eval()(torch.from_numpy(X)).detach().numpy(), layer.transform(X), rtol=1e-12)
    model = to_keras(layer)
    assert (model.layers[0].epsilon, model.layers[0].momentum) == (layer.epsilon, layer.momentum)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(X, training=False)), layer.transform(X), **FLOAT32)


@beside_keras
def test_layers_in_float32_warn(torch, keras):
    scaler = sn.StandardScaler().fit(1.7e9 + np.random.default_rng(0).normal(0, 60, (100, 1)))
    with pytest.warns(UserWarning, match="float32 loses up to"):
        to_torch(scaler, dtype="float32")
    with pytest.warns(UserWarning, match="float32 loses up to"):
        to_keras(scaler)


# ---- what a target cannot express ----

REFUSED = [
    (to_onnx, sn.QuantileTransformer(n_quantiles=3, output_distribution="normal"), "normal variable, which ONNX"),
    (to_sql, sn.QuantileTransformer(n_quantiles=3, output_distribution="normal"), "normal variable, which SQL"),
    (to_keras, sn.QuantileTransformer(n_quantiles=3), "a map through quantiles, which Keras"),
    (to_torch, sn.MinMaxScaler(clip=True), "a clip, which PyTorch"),
    (to_torch, sn.MaxAbsScaler(clip=True), "a clip, which PyTorch"),
]


@pytest.mark.parametrize(("convert", "scaler", "reason"), REFUSED)
def test_what_cannot_be_expressed_is_refused(convert, scaler, reason):
    with pytest.raises(DataError, match=f"column 'x0' .*{reason} cannot express|column 'x0' .*{reason} cannot"):
        convert(scaler.fit([[1.0], [2.0], [4.0]]))


def test_numbers_beyond_a_layer_are_refused(torch):
    with pytest.raises(DataError, match="column 'x1' needs numbers beyond float64"):
        to_torch(sn.StandardScaler().fit([[1.0, 1e200], [2.0, -1e200]]))


@pytest.mark.parametrize("convert", [to_onnx, to_sql, to_torch])
def test_only_normalizers_are_taken(convert):
    with pytest.raises(DataError, match="expected a fitted normalizer of streamnorm, found dict"):
        convert({})
    with pytest.raises(ValueError, match="fitted"):
        convert(sn.StandardScaler())
    with pytest.raises(DataError, match="not fitted"):
        convert(sn.TableNormalizer())
