"""A Pipeline of scikit-learn in ONNX: our steps by our own graph, all others by skl2onnx."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from streamnorm.errors import DataError
from streamnorm.export._maps import maps_of, warn_of_float32
from streamnorm.export._needs import need
from streamnorm.export._onnx_graph import OPSET, Graph
from streamnorm.tables import Table

__all__ = ["is_pipeline", "pipeline_to_onnx"]

#: The operators of machine learning that skl2onnx may use beside, as of opset 15.
_ML_OPSET = 3


def is_pipeline(given: Any) -> bool:
    """Tell whether this is a pipeline of steps."""
    return isinstance(getattr(given, "steps", None), list) and hasattr(given, "named_steps")


def pipeline_to_onnx(pipeline: Any, dtype: str) -> Any:
    """Give an ONNX model of a fitted pipeline; parameters and errors are those of `to_onnx`."""
    onnx = need("onnx", "pip install 'streamnorm[export]'")
    converter = need("skl2onnx", "pip install skl2onnx, which knows the other steps of a pipeline")
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from sklearn.pipeline import Pipeline

    steps = list(_steps_of(pipeline))
    if not steps:
        raise DataError("the pipeline has no step that does anything: export one that has.")
    own = _own_steps(pipeline, steps, dtype)
    width = _width(steps)
    kind = FloatTensorType if dtype == "float32" else DoubleTensorType
    last = steps[-1][1]

    def convert(model: Any) -> Any:
        return converter.convert_sklearn(
            model, "streamnorm", [("X", kind([None, getattr(model, "n_features_in_", width)]))],
            target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
            options={id(last): {"zipmap": False}} if hasattr(last, "predict_proba") else None,
            custom_conversion_functions=dict.fromkeys(own, _Converter(onnx)),
            custom_shape_calculators=dict.fromkeys(own, _shape),
        )  # fmt: skip

    try:
        model = convert(Pipeline(steps))
    except DataError:
        raise
    except Exception as error:  # it raises errors of many kinds
        raise _unknown(pipeline, steps, convert, error) from None
    _rename_output(model)
    names = getattr(pipeline, "feature_names_in_", None)
    if names is not None:
        onnx.helper.set_model_props(model, {"columns": json.dumps([str(name) for name in names])})
    onnx.checker.check_model(model, full_check=True)
    return model


def _steps_of(pipeline: Any) -> Iterator[tuple[str, Any]]:
    """Yield the steps that do something; a frozen one as what it was before."""
    for name, step in pipeline.steps:
        if type(step).__name__ == "FrozenEstimator":
            step = step.estimator  # noqa: PLW2901 (what is to be exported)
        if is_pipeline(step):
            yield from ((f"{name}__{inner}", found) for inner, found in _steps_of(step))
        elif step is not None and not (isinstance(step, str) and step == "passthrough"):
            yield name, step


def _is_own(step: Any) -> bool:
    return (
        isinstance(step, Table) or type(step).__module__.startswith("streamnorm.") or hasattr(step, "summary_by_name")
    )


def _own_steps(pipeline: Any, steps: list[tuple[str, Any]], dtype: str) -> set[type]:
    """Find out whether our own steps can be exported, and give the classes of all of ours, nested ones too.

    Parameters
    ----------
    pipeline : Pipeline
    steps : list of (str, estimator)
    dtype : str
    """
    for (name, step), (_, following) in zip(steps, [*steps[1:], ("", None)], strict=True):
        if not _is_own(step):
            continue
        try:
            columns = maps_of(step)
        except DataError as error:
            raise DataError(f"step {name!r}: {error}") from None
        if dtype == "float32":
            warn_of_float32(columns, of_centre=False)
        taken = getattr(following, "n_features_in_", len(columns))
        if taken != len(columns):
            raise DataError(
                f"step {name!r} normalises {len(columns)} columns and hands {taken} on, and ONNX has no tables: fit "
                "the pipeline to a table of those columns alone."
            )
    nested = pipeline.get_params(deep=True).values()
    return {type(step) for step in (*nested, *(step for _, step in steps)) if _is_own(step) and not is_pipeline(step)}


def _width(steps: list[tuple[str, Any]]) -> int:
    first = steps[0][1]
    width = getattr(first, "n_features_in_", None)
    if width is None:
        raise DataError(f"step {steps[0][0]!r} of the pipeline is not fitted yet: fit the pipeline first.")
    return int(width)


def _unknown(pipeline: Any, steps: list[tuple[str, Any]], convert: Callable[[Any], Any], error: Exception) -> DataError:
    """Say which step skl2onnx does not know: the first that it cannot convert alone.

    Parameters
    ----------
    pipeline : Pipeline
    steps : list of (str, estimator)
        Its steps and those of pipelines in it.
    convert : callable
        Converts an estimator.
    error : Exception
        What it says of the whole.
    """
    names = [name for name, _ in pipeline.steps]
    for name, step in steps:
        try:
            convert(step)
        except Exception as own:  # it raises errors of many kinds
            words = " ".join(str(own).split(". ")[0].split())[:200].rstrip(".")
            place = names.index(name.partition("__")[0])
            remedy = f"give the steps before it (pipeline[:{place}])" if place else "leave it out"
            return DataError(
                f"step {name!r}, a {type(step).__name__}, cannot be exported by skl2onnx ({words}): {remedy}."
            )
    return DataError(f"skl2onnx cannot export these steps together: {' '.join(str(error).split())[:200].rstrip('.')}.")


def _shape(operator: Any) -> None:
    """Tell skl2onnx what one of our steps gives: as many columns as it was learnt from, float32 for float32."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = FloatTensorType if isinstance(operator.inputs[0].type, FloatTensorType) else DoubleTensorType
    operator.outputs[0].type = kind([None, len(maps_of(operator.raw_operator))])


class _Converter:
    """Puts the graph of one of our steps into the model that skl2onnx makes.

    Parameters
    ----------
    onnx : module
    """

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx

    def __call__(self, scope: Any, operator: Any, container: Any) -> None:
        """Add the nodes of a step.

        Parameters
        ----------
        scope, operator, container : object
            What skl2onnx calls a converter with.
        """
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

        small = isinstance(operator.inputs[0].type, FloatTensorType)
        columns = maps_of(operator.raw_operator)
        graph = Graph(self._onnx, np.dtype(np.float32 if small else np.float64))
        graph.map(columns)
        made = graph.finish(len(columns))
        names = {"X": self._joined(scope, operator, container), "Y": operator.outputs[0].full_name}
        if not small and not isinstance(operator.inputs[0].type, DoubleTensorType):
            wide = scope.get_unique_variable_name("wide")
            container.add_node("Cast", [names["X"]], [wide], op_version=13, to=self._onnx.TensorProto.DOUBLE)
            names["X"] = wide
        for constant in made.initializer:
            names[constant.name] = scope.get_unique_variable_name(constant.name)
            container.add_initializer(names[constant.name], constant.data_type, None, constant)
        for node in made.node:
            for name in node.output:
                names.setdefault(name, scope.get_unique_variable_name(name))
            attributes = {item.name: self._onnx.helper.get_attribute_value(item) for item in node.attribute}
            container.add_node(
                node.op_type, [names[name] for name in node.input], [names[name] for name in node.output],
                op_version=OPSET, name=scope.get_unique_operator_name(node.op_type), **attributes,
            )  # fmt: skip

    def _joined(self, scope: Any, operator: Any, container: Any) -> str:
        """Give the name of the input, put together where it comes in several parts.

        Parameters
        ----------
        scope, operator, container : object
            What skl2onnx calls a converter with.
        """
        parts = [part.full_name for part in operator.inputs]
        if len(parts) == 1:
            return str(parts[0])
        joined: str = scope.get_unique_variable_name("joined")
        container.add_node("Concat", parts, [joined], op_version=13, axis=1)
        return joined


def _rename_output(model: Any) -> None:
    """Call the only output Y, as that of a normalizer is called."""
    if len(model.graph.output) != 1:
        return
    old = model.graph.output[0].name
    model.graph.output[0].name = "Y"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["Y" if name == old else name for name in names]
