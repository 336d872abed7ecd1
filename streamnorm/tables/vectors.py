"""Columns of vectors: tensors and lists of one length, normalised element by element or as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm.arrow import boolean_of, integers, vector_values
from streamnorm.arrow import compute as pc
from streamnorm.columns import float_type, map_array, run_of
from streamnorm.errors import DataError, InfiniteValueError, OverflowedError
from streamnorm.plans import Column, Plan
from streamnorm.rules import PLAIN, BoundRule, Steps
from streamnorm.summaries import Block, Summary
from streamnorm.tables.grouping import Found
from streamnorm.tables.lengths import check_lengths, counted
from streamnorm.tables.lists import as_given, elements_of, hidden, lists_of, of_one_level, storage_of, values_in

__all__ = ["Vector"]


@dataclass(frozen=True)
class Vector:
    """How a column of vectors lies in the slots of a summary.

    Parameters
    ----------
    width : int or None
        Elements of each vector; None until one was seen, where the type does not tell. Then all rows are
        nulls so far, and one slot counts them for every element there may be.
    whole : bool
        One slot for all elements, rather than one for each.
    unit : bool
        One slot that counts vectors, which are divided by their lengths.
    """

    width: int | None
    whole: bool
    unit: bool = False

    @classmethod
    def of(cls, kind: pa.DataType, whole: bool, unit: bool = False) -> Self | None:
        """Describe columns of an Arrow type; None where it holds one number a row.

        Parameters
        ----------
        kind : pyarrow.DataType
        whole, unit : bool
        """
        if vector_values(kind) is None:
            return None
        storage, width = storage_of(kind), 1
        while pa.types.is_fixed_size_list(storage):
            width, storage = width * storage.list_size, storage.value_type
        known = not (pa.types.is_list(storage) or pa.types.is_large_list(storage))
        return cls(width if known else None, whole, unit)

    @property
    def slots(self) -> int:
        """How many slots a summary has for it."""
        return 1 if self.whole or self.width is None else self.width

    def slot_names(self, column: str) -> tuple[str, ...]:
        """Name the slots: ``column[0]``, ``column[1]``, ...; the column's name where there is one for all."""
        if self.whole or self.width is None:
            return (column,)
        return tuple(f"{column}[{i}]" for i in range(self.slots))

    def seen(self, array: pa.Array, name: str) -> Vector:
        """Learn the width from the first vector there is, if it is not known."""
        if self.width is not None or len(array) == array.null_count:
            return self
        array = of_one_level(array.storage, name) if isinstance(array, pa.ExtensionArray) else array
        lengths = pc.list_value_length(array)
        first = int(pc.index(pc.is_valid(lengths), boolean_of(True)).as_py())
        if lengths[first].as_py() == 0:
            raise DataError(f"column {name!r}, row {first} of the batch: the vector is empty; make it a null.")
        return Vector(lengths[first].as_py(), self.whole, self.unit)

    def block(self, array: pa.Array, name: str, steps: Steps = PLAIN) -> Block:
        """Describe the column's values to the kernel, after the steps that come before learning.

        Parameters
        ----------
        array : pyarrow.Array of shape (n_rows,)
        name : str
            The column, for messages.
        steps : Steps

        Raises
        ------
        DataError
            If it holds no vectors of numbers, or one of another length.
        """
        lists = self._lists(array, name)
        _refuse_filling(steps, name)
        if self.width is None:
            return Block(1, len(lists), [run_of(0, pa.nulls(len(lists)), name)])
        if self.unit:
            counts = counted(steps.read(hidden(values_in(lists), lists), name), lists, name)
            return Block(1, len(lists), [run_of(0, counts, name)])
        values = steps.read(values_in(lists) if steps == PLAIN else hidden(values_in(lists), lists), name)
        if self.whole:
            return Block(1, len(values), [run_of(0, hidden(values, lists), name)])
        width = self.slots
        if values.null_count:
            elements = elements_of(hidden(values, lists), width)
            return Block(width, len(lists), [run_of(i, element, name) for i, element in enumerate(elements)])
        flat = run_of(0, values, name)
        validity = lists.buffers()[0] if lists.null_count else None
        run = flat._replace(
            slots=width, stride=width * flat.stride, slot_stride=flat.stride, length=len(lists),
            validity=validity, validity_offset=lists.offset,
        )  # fmt: skip
        return Block(width, len(lists), [run])

    def of_slots(self, array: pa.Array, name: str, steps: Steps = PLAIN) -> list[pa.Array]:
        """Give the numbers of each slot, row by row, after the steps that come before learning.

        Parameters
        ----------
        array : pyarrow.Array of shape (n_rows,)
        name : str
            The column, for messages.
        steps : Steps

        Returns
        -------
        list of pyarrow.Array
            One for each element; or one of all numbers, `in_a_row` of each row.

        Raises
        ------
        DataError
            As `block` does.
        """
        lists = self._lists(array, name)
        _refuse_filling(steps, name)
        if self.width is None:
            return [pa.nulls(len(lists))]
        if self.unit:
            return [counted(steps.read(hidden(values_in(lists), lists), name), lists, name)]
        values = steps.read(hidden(values_in(lists), lists), name)
        return [values] if self.whole else elements_of(values, self.width)

    @property
    def in_a_row(self) -> int:
        """How many numbers of each row are in one slot."""
        return (self.width or 1) if self.whole and not self.unit else 1

    def row(self, at: int) -> int:
        """Give the row of what the kernel found at a row of `block`."""
        return at // self.in_a_row

    def map(
        self, array: pa.Array, name: str, plan: Plan, steps: Steps = PLAIN, *, inverse: bool = False,
        dtype: Any = None, skip_infinite: bool = False,
    ) -> pa.Array:  # fmt: skip
        """Apply a plan, as `columns.map_array` does; the result is of the array's type, with its shape.

        Parameters
        ----------
        array : pyarrow.Array of shape (n_rows,)
        name : str
            The column, for messages.
        plan : Plan
        steps : Steps
        inverse : bool
            Whether to map back.
        dtype : numpy dtype, optional
            Of the output.
        skip_infinite : bool
            Whether infinities are counted and passed over, not an error.

        Raises
        ------
        DataError, InfiniteValueError, OverflowedError
            If the column holds no vectors of the known length, or an infinity, or gives one.
        """
        lists = self._lists(array, name)
        values = hidden(values_in(lists), lists)
        own = plan if self.whole and not self.unit else _Rows(plan, lists.type.list_size)
        dtype = float_type(values.type, dtype)
        if not inverse and steps != PLAIN:
            values = steps.read(values, name)
        if self.unit:
            check_lengths(values, lists, name, inverse=inverse)
        try:
            mapped = map_array(values, name, own, 0, dtype=dtype, inverse=inverse, skip_infinite=skip_infinite)
        except InfiniteValueError as error:
            raise InfiniteValueError(*self._place(error.row), name) from None
        except OverflowedError as error:
            raise error.at(*self._place(error.row), name) from None
        return as_given(lists_of(mapped, lists, lists.is_valid()), array.type)

    def map_by_key(
        self, array: pa.Array, name: str, found: Found, rule: BoundRule, summary: Summary, **options: Any
    ) -> pa.Array:
        """Apply to each vector the plans of its key; the result is as that of `map`, and so are the errors.

        Parameters
        ----------
        array : pyarrow.Array of shape (n_rows,)
        name : str
            The column, for messages.
        found : Found
            The keys of the rows.
        rule : BoundRule
        summary : Summary
            By key.
        **options : object
            As of `columns.map_array`.
        """
        if self.unit:  # each by itself, whatever its key
            return self.map(array, name, rule.plan(summary), rule.steps, **options)
        lists, steps = self._lists(array, name), rule.steps
        given = hidden(values_in(lists), lists)
        options["dtype"] = float_type(given.type, options["dtype"])
        values = given if options["inverse"] or steps == PLAIN else steps.read(given, name)
        width = 1 if self.whole else lists.type.list_size
        pairs = zip(elements_of(values, width), elements_of(given, width), strict=True)
        mapped = []
        for i, (own, own_given) in enumerate(pairs):
            slot = min(i, self.slots - 1)  # there is one for all as long as there were nulls alone
            try:
                result = found.map_array(own, own_given, name, rule, summary, slot, in_a_row=self.in_a_row, **options)
            except InfiniteValueError as error:
                raise InfiniteValueError(slot, self.row(error.row), name) from None
            except OverflowedError as error:
                raise error.at(slot, self.row(error.row), name) from None
            mapped.append(result)
        places = np.arange(len(values)).reshape(width, -1).T.ravel() if mapped else np.empty(0, np.int64)
        flat = pa.concat_arrays(mapped or [pa.nulls(0, pa.from_numpy_dtype(options["dtype"]))])
        valid = pc.and_(lists.is_valid(), pc.invert(found.emptied(summary)))
        return as_given(lists_of(flat.take(integers(places)), lists, valid), array.type)

    def _place(self, at: int) -> tuple[int, int]:
        """Give the slot and the row of a value among all."""
        return at % self.slots, at // (self.width or 1)

    def _lists(self, array: pa.Array, name: str) -> pa.FixedSizeListArray:
        """Give the column as lists of a fixed size."""
        if pa.types.is_null(array.type):
            return pa.nulls(len(array), pa.list_(pa.float64(), self.width or 0))
        if vector_values(array.type) is None:
            raise DataError(f"column {name!r} holds {array.type}, not vectors of numbers: leave it out.")
        lists = of_one_level(array.storage, name) if isinstance(array, pa.ExtensionArray) else array
        if pa.types.is_fixed_size_list(lists.type):
            if self.width not in (None, lists.type.list_size):
                raise DataError(
                    f"column {name!r} holds vectors of {lists.type.list_size} numbers where {self.width} were "
                    "expected: leave it out."
                )
            return lists
        width = self.width or 0
        lengths = pc.list_value_length(lists)
        odd = pc.index(pc.fill_null(pc.not_equal(lengths, width), False), boolean_of(True)).as_py()
        if odd >= 0:
            raise DataError(
                f"column {name!r}, row {odd} of the batch: expected a vector of {width} numbers, found "
                f"{lengths[odd].as_py()}: make all vectors as long, or leave the column out."
            )
        return lists.cast(pa.list_(lists.type.value_field, width))


@dataclass(frozen=True)
class _Rows:
    """A plan of several columns for values that lie row after row."""

    plan: Plan
    width: int

    def take(self, columns: NDArray[np.intp]) -> Plan:
        return _Rows(self.plan.take(columns), len(columns))

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        return self.plan.apply(self._matrix(x), self._matrix(out), None)

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values back.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        return self.plan.invert(self._matrix(x), self._matrix(out), None)

    def _matrix(self, values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(-1, self.width)


def _refuse_filling(steps: Steps, name: str) -> None:
    if steps.fill != "keep":
        raise DataError(f"column {name!r} holds vectors, whose missing values stay: leave fill = {steps.fill!r} out.")
