"""To ONNX: a graph of plain arithmetic, which any runtime computes to the same bits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from streamnorm.errors import DataError
from streamnorm.export._maps import maps_of, warn_of_float32
from streamnorm.export._needs import need
from streamnorm.export._onnx_graph import OPSET, Graph
from streamnorm.export._onnx_pipeline import is_pipeline, pipeline_to_onnx

__all__ = ["dump_onnx", "to_onnx"]

_IR = 8


def to_onnx(normalizer: Any, *, dtype: str = "float64") -> Any:
    """Give an ONNX model that maps as `transform` does, bit for bit.

    Its input ``X`` and output ``Y`` are matrices of shape (n_rows, n_columns), the columns in the order of
    ``feature_names_in_``, which the model's metadata holds as JSON under ``columns``. ONNX knows no null: a
    missing value is NaN, and stays so.

    Parameters
    ----------
    normalizer : TableNormalizer, StandardScaler, ..., or a Pipeline of scikit-learn
        Fitted. The model is what it does to a matrix of type `dtype`. The other steps of a Pipeline are those that
        skl2onnx knows, nested ones too; of a classifier the outputs are ``label`` and
        ``probabilities``, of a regressor and a transformer ``Y``.
    dtype : {"float64", "float32"}, default="float64"
        Of input and output; the arithmetic is in float64. A warning names the columns whose values float32 holds
        to no more than 1e-4 of a standard deviation.

    Returns
    -------
    onnx.ModelProto
        Of opset 15.

    Raises
    ------
    DataError
        If a column becomes a normal variable, which ONNX has no operator for, or a step of a pipeline is known to
        neither; the message names it.
    OutputError
        If onnx is not installed, or skl2onnx, which a Pipeline needs.

    Examples
    --------
    >>> import streamnorm as sn
    >>> from streamnorm import export
    >>> model = export.to_onnx(sn.StandardScaler().fit([[1.0, 2.0], [3.0, 8.0]]))
    >>> [node.op_type for node in model.graph.node]
    ['Sub', 'Div']
    """
    onnx = need("onnx", "pip install 'streamnorm[export]'")
    if dtype not in ("float64", "float32"):
        raise DataError(f"an ONNX model takes float64 or float32, got {dtype!r}: choose one of them.")
    if is_pipeline(normalizer):
        return pipeline_to_onnx(normalizer, dtype)
    columns = maps_of(normalizer)
    if dtype == "float32":
        warn_of_float32(columns, of_centre=False)
    graph = Graph(onnx, np.dtype(dtype))
    graph.map(columns)
    model = onnx.helper.make_model(
        graph.finish(len(columns)), opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=_IR,
        producer_name="streamnorm",
    )  # fmt: skip
    onnx.helper.set_model_props(model, {"columns": json.dumps([column.target for column in columns])})
    onnx.checker.check_model(model, full_check=True)
    return model


def dump_onnx(model: Any) -> bytes:
    """Give what `to_onnx` gave as the content of a file."""
    return bytes(model.SerializeToString())
