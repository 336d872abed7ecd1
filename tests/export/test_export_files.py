"""Files of exports: what the command writes is what their libraries read."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import onnx
import pyarrow as pa
import pytest
import skops.io
from bits import assert_same_bits
from exported import FLOAT32, beside_keras, expected, hard_table, matrix, run_duckdb, run_onnx, some_flights
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, OutputError
from streamnorm.export import EXPORTERS, to_onnx, to_sklearn, to_sql


@pytest.fixture(scope="module")
def flights():
    return some_flights()


def read_torch(path: Path, X: np.ndarray) -> np.ndarray:
    import torch

    module = torch.nn.BatchNorm1d(X.shape[1], dtype=torch.float64)
    module.load_state_dict(torch.load(path, weights_only=True))
    return module.eval()(torch.from_numpy(X)).detach().numpy()


def read_keras(path: Path, X: np.ndarray) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(keras.saving.load_model(path)(X, training=False))


def read_sql(path: Path, X: np.ndarray) -> np.ndarray:
    names = sn.load(path.with_name("state.json")).feature_names_in_
    table = pa.table({name: pa.array(X[:, i], from_pandas=True) for i, name in enumerate(names)})
    return matrix(run_duckdb(path.read_text(), table))


READERS = {
    ("sklearn", "s.skops"): lambda path, X: skops.io.load(path).transform(X),
    ("sklearn", "s.joblib"): lambda path, X: joblib.load(path).transform(X),
    ("onnx", "s.onnx"): lambda path, X: run_onnx(onnx.load(path), X),
    ("sql", "s.sql"): read_sql,
    ("keras", "s.keras"): read_keras,
    ("torch", "s.pt"): read_torch,
}


#: What says statistics and not a map; `test_lerobot.py` reads them.
STATISTICS = {"lerobot", "lerobot-episodes"}
MAPS = {to: row for to, row in EXPORTERS.items() if to not in STATISTICS}


def test_every_kind_of_file_is_read():
    assert {to for to, _ in READERS} | STATISTICS == set(EXPORTERS)
    assert {Path(name).suffix for _, name in READERS} == {end for row in MAPS.values() for end in row.dumps}


@beside_keras
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.parametrize(("to", "name"), READERS)
def test_files_are_what_their_libraries_read(tmp_path, capsys, request, flights, to, name):
    if to in ("keras", "torch"):
        request.getfixturevalue(to)  # skips where there is none
    normalizer, path = sn.TableNormalizer().fit(flights), tmp_path / name
    sn.save(normalizer, tmp_path / "state.json")
    done = streamnorm(capsys, "export", tmp_path / "state.json", "--to", to, "--output", path)
    assert (done.code, done.out, done.err) == (0, "", "")
    X, wanted = matrix(flights.select(list(normalizer.feature_names_in_))), expected(normalizer, flights)
    found = np.ascontiguousarray(READERS[to, name](path, X))
    if to in ("keras", "torch"):
        close = FLOAT32 if to == "keras" else {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(found, wanted, **close)
    else:
        assert_same_bits(found, wanted)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["state.json", name])


def test_options_from_the_shell(tmp_path, capsys):
    state, query, model = (tmp_path / name for name in ("s.json", "q.sql", "m.onnx"))
    sn.save(sn.TableNormalizer(None, {"small": "standard"}).fit(hard_table()), state)
    words = ["--dialect", "bigquery", "--table", "sales.orders", "--keep", "text, flag"]
    assert streamnorm(capsys, "export", state, "--to", "sql", "--output", query, *words).code == 0
    assert query.read_text().startswith("SELECT\n  `text`,\n  `flag`,")
    assert query.read_text().endswith("FROM `sales`.`orders`;\n")
    assert streamnorm(capsys, "export", state, "--to", "onnx", "--output", model, "--dtype", "float32").code == 0
    assert onnx.load(model).graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_wrong_words_are_one_line_and_write_nothing(tmp_path, capsys):
    state, clash = tmp_path / "s.json", tmp_path / "there.onnx"
    sn.save(sn.TableNormalizer(sn.QuantileTransformer(output_distribution="normal")).fit(hard_table()), state)
    clash.write_text("mine")
    wrong = [
        (["--to", "pmml", "--output", tmp_path / "x.pmml"], "no export to 'pmml'; there are sklearn, onnx"),
        (["--to", "onnx", "--output", tmp_path / "x.onnx"], "column 'we\"i`r"),
        (["--to", "onnx", "--output", tmp_path / "x.pt"], "needs a name that ends in .onnx"),
        (["--to", "onnx", "--output", clash], "there.onnx exists"),
        (["--to", "sql", "--output", tmp_path / "x.sql", "--dtype", "float32"], "does not know the option 'dtype'"),
        (["--to", "sql", "--output", tmp_path / "x.sql", "--dialect", "oracle"], "there is no dialect 'oracle'"),
    ]
    for words, message in wrong:
        done = streamnorm(capsys, "export", state, *words)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert done.err.startswith("error: ")
        assert message in done.err
    assert clash.read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.json", "there.onnx"]
    assert streamnorm(capsys, "export", state, "--to", "sklearn", "--output", state, "--overwrite").code == 1
    assert sn.load(state) is not None


def test_a_state_is_not_written_over(tmp_path):
    state = tmp_path / "state.onnx"
    sn.save(sn.TableNormalizer().fit(hard_table()), state)
    with pytest.raises(OutputError, match="is the state"):
        sn.export.write(state, "onnx", state, overwrite=True)


@pytest.mark.parametrize("scaler", ["standard", "minmax", sn.QuantileTransformer(n_quantiles=9)], ids=str)
def test_a_profile_is_not_exported(flights, scaler):
    table = flights.select(["temp", "air_time"]).slice(0, 1000)
    plain, profiled = (sn.TableNormalizer(scaler, profile=given).fit(table) for given in (False, True))
    assert to_sql(profiled) == to_sql(plain)
    assert to_onnx(profiled) == to_onnx(plain)
    wanted = to_sklearn(plain).transform(table.to_pandas())
    assert (to_sklearn(profiled).transform(table.to_pandas()) == wanted).sum() == np.isfinite(wanted).sum()


@pytest.mark.parametrize("to", MAPS)
def test_more_than_scaling_numbers_is_refused(to, flights):
    table = flights.select(["temp", "air_time"])
    for step in ({"log1p": True}, {"fill": "mean"}, {"clip": [0, 300]}, {"clip_result": [-3, 3]}):
        done = sn.TableNormalizer.from_recipe({"columns": {"air_time": step}}).fit(table)
        with pytest.raises(DataError, match=f"'air_time' has {next(iter(step))} beside its scaler"):
            EXPORTERS[to].convert(done)
    vectors = pa.table({"v": pa.array([[1.0, 2.0], [3.0, 5.0]], pa.list_(pa.float64(), 2))})
    with pytest.raises(DataError, match="'v' holds vectors"):
        EXPORTERS[to].convert(sn.TableNormalizer().fit(vectors))


def test_sql_with_a_type_and_a_suffix_of_single_columns(flights):
    table = flights.select(["temp", "air_time", "year", "month"])
    columns = {"temp": {"suffix": "_z"}, "air_time": {"type": "float32"}, "year": {"drop": True}, "month": "none"}
    done = sn.TableNormalizer.from_recipe({"columns": columns}).fit(table)
    with pytest.raises(DataError, match="'year' is dropped"):
        to_sql(done)
    wanted = done.transform(table).select(["month", "temp_z", "air_time"])
    found = run_duckdb(to_sql(done, keep=["month"]), table).select(wanted.column_names)
    assert found.schema.types == wanted.schema.types
    assert_same_bits(matrix(found), matrix(wanted))
    kept = sn.TableNormalizer.from_recipe({"columns": columns | {"year": "none"}}).fit(table)
    found = run_duckdb(to_sql(kept), table)
    assert sorted(found.column_names) == sorted(kept.transform(table).column_names)
    assert_same_bits(matrix(found.select(wanted.column_names)), matrix(wanted))
