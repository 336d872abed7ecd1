"""A graph of plain arithmetic in ONNX that maps columns as their plans do, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm.export._maps import ColumnMap, Pieces
from streamnorm.plans import FAR, Affine, Monotone, Squashed

__all__ = ["OPSET", "Graph"]

#: What has all operators in both precisions; runtimes since 2021 read it.
OPSET = 15
_ARITHMETIC = {np.subtract: "Sub", np.add: "Add", np.divide: "Div", np.multiply: "Mul"}
Constant: TypeAlias = NDArray[Any]


class Graph:
    """A graph under construction: every method adds nodes and gives the name of what they compute."""

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self._onnx = onnx
        self._dtype = dtype
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def map(self, columns: Sequence[ColumnMap]) -> None:
        """Map all columns of X: alike ones together, then all back into their order.

        A column without its like is mapped twice: where a constant has one element, and is 0 or 1 as float32,
        onnxruntime leaves the step out.
        """
        alike: dict[Any, list[int]] = {}
        for i, column in enumerate(columns):
            alike.setdefault(_likeness(column), []).append(i)
        results, order, every = [], [], list(range(len(columns)))
        x = "X" if self._dtype == np.float64 else self.add("Cast", "X", to=self._onnx.TensorProto.DOUBLE)
        for positions in alike.values():
            read = positions * 2 if len(positions) == 1 else positions
            own = [columns[i] for i in read]
            part = x if read == every else self.add("Gather", x, np.array(read), axis=1)
            write = {Affine: self._affine, Monotone: self._through, Squashed: self._squashed}[type(own[0].plan)]
            results.append(write(own, part))
            order += read
        found = self.add("Concat", *results, axis=1) if len(results) > 1 else results[0]
        if order != every:
            found = self.add("Gather", found, np.array([order.index(i) for i in every]), axis=1)
        if self._dtype != np.float64:
            self.add("Cast", found, to=self._onnx.TensorProto.FLOAT)

    def finish(self, width: int) -> Any:
        """Give the graph with its input X and its output Y."""
        helper = self._onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self._dtype)
        if self._nodes:
            self._nodes[-1].output[0] = "Y"
        else:  # scalers told to do nothing
            self._nodes.append(helper.make_node("Identity", ["X"], ["Y"]))
        sides = [[helper.make_tensor_value_info(name, kind, ["rows", width])] for name in ("X", "Y")]
        return helper.make_graph(self._nodes, "streamnorm", *sides, self._constants)

    def add(self, operator: str, *inputs: str | Constant, **attributes: Any) -> str:
        """Add one node."""
        names = [given if isinstance(given, str) else self._constant(given) for given in inputs]
        output = f"v{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, names, [output], **attributes))
        return output

    def _constant(self, values: Constant) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _affine(self, columns: Sequence[ColumnMap], x: str) -> str:
        plans = [column.plan for column in columns if isinstance(column.plan, Affine)]
        for steps in zip(*(plan.steps for plan in plans), strict=True):
            operands = np.concatenate([step.operand for step in steps])
            x = self.add(_ARITHMETIC[steps[0].operation], x, operands)
        every = [plan.bounds(0) or () for plan in plans]
        for bounds, beyond in zip(zip(*every, strict=True), ("Less", "Greater"), strict=False):
            limits = np.array(bounds, np.float64)
            x = self.add("Where", self.add(beyond, x, limits), limits, x)  # NaN is neither, and stays
        return x

    def _squashed(self, columns: Sequence[ColumnMap], x: str) -> str:
        """Bend towards a bound, as `Squashed` does; of a constant column all but infinities becomes 0."""
        plans = [column.plan for column in columns if isinstance(column.plan, Squashed)]
        unit, centre, scale, constant = (
            np.concatenate([getattr(plan, name) for plan in plans]) for name in ("unit", "centre", "scale", "constant")
        )
        bound = np.array([plan.bound for plan in plans])
        z = self.add("Mul", x, unit) if (unit != 1).any() else x
        z = self.add("Div", self.add("Sub", z, centre), scale)
        part = self.add("Div", z, bound)
        root = self.add("Sqrt", self.add("Add", self.add("Mul", part, part), np.ones(len(plans))))
        end = self.add("Where", self.add("Less", z, np.zeros(len(plans))), -bound, bound)
        far = self.add("GreaterOrEqual", self.add("Abs", part), np.full(len(plans), FAR))  # NaN is not, and stays
        y = self.add("Where", far, end, self.add("Div", z, root))
        if not constant.any():
            return y
        finite = self.add("Less", self.add("Abs", x), np.full(len(plans), np.inf))
        return self.add("Where", self.add("And", finite, constant), np.zeros(len(plans)), y)

    def _through(self, columns: Sequence[ColumnMap], x: str) -> str:
        """Map through quantiles, as `Monotone` does: find the piece, then interpolate."""
        pieces = [Pieces.of(column, "ONNX") for column in columns]
        units = np.array([p.unit for p in pieces])
        x = self.add("Mul", x, units) if (units != 1).any() else x
        half = 1 << ((max(len(p.u) for p in pieces) - 1).bit_length() - 1)
        flat = {
            f: _padded([getattr(p, f) for p in pieces], 2 * half + 1) for f in ("u", "at", "slope", "left", "right")
        }
        i = self._last_knot(x, flat["u"], np.arange(len(pieces)) * (2 * half + 1), half)
        knot, following = (
            self.add("Gather", flat["u"], i),
            self.add("Gather", flat["u"], self.add("Add", i, np.array(1))),
        )
        slope = self.add("Gather", flat["slope"], i)
        rise = self.add("Mul", slope, self.add("Sub", x, knot))
        fall = self.add("Mul", slope, self.add("Sub", following, x))
        above = self.add("Add", rise, self.add("Gather", flat["left"], i))
        below = self.add("Sub", self.add("Gather", flat["right"], i), fall)
        y = self.add("Mul", self.add("Add", above, below), np.array(0.5))
        y = self.add("Where", self.add("Equal", x, knot), self.add("Gather", flat["at"], i), y)
        for operator, end, value in (("GreaterOrEqual", -1, 1.0), ("LessOrEqual", 0, 0.0)):
            beyond = self.add(operator, x, np.array([p.u[end] for p in pieces]))
            y = self.add("Where", beyond, np.array(value), y)
        return y

    def _last_knot(self, x: str, u: Constant, first: Constant, half: int) -> str:
        """Find where the last knot up to x stands, by halving; `first` is where each column's knots begin.

        Parameters
        ----------
        x : str
            Name of the node with the values.
        u : Constant
            The knots.
        first : Constant
            Where each column's knots begin.
        half : int
            The first step, a power of two.
        """
        at: str | Constant = first
        while half:
            further = self.add("Add", at, np.array(half))
            at = self.add("Where", self.add("LessOrEqual", self.add("Gather", u, further), x), further, at)
            half //= 2
        return str(at)


def _likeness(column: ColumnMap) -> Any:
    """Give what is equal for columns that the same nodes can map."""
    if isinstance(column.plan, Affine):
        return tuple(step.operation for step in column.plan.steps), column.plan.clip is None
    return type(column.plan)


def _padded(rows: Sequence[Constant], length: int) -> Constant:
    """Put rows behind each other, each filled up with infinities, which lie beyond every value."""
    return np.concatenate([np.concatenate([row, np.full(length - len(row), np.inf)]) for row in rows])
