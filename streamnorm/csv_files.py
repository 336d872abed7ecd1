"""CSV without guessing: text stays as it stands in the file, numbers are read exactly.

Every column is read as text. A numeric one is then cast, block by block, to int64 where all its values
are integers and to float64 otherwise. For statistics, integers that float64 would round are kept apart, so
that nothing depends on where the blocks end.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from streamnorm.errors import DataError

__all__ = ["CsvOptions", "CsvReader", "head_of", "lines_of", "text_of"]

_BLOCK = 1 << 20
_EXACT = 2.0**53  # float64 holds every integer up to here


@dataclass(frozen=True)
class CsvOptions:
    """How a CSV file is written.

    Parameters
    ----------
    delimiter : str, optional
        Between fields; by default a comma, or a tab for ``.tsv``.
    decimal : str
        The decimal point.
    null_values : tuple of str
        What stands for a missing number.
        A number among them is missing however it is written: -200 is -200,0 too.
    skip_rows : int
        Lines before the header.
    encoding : str

    Raises
    ------
    DataError
        If one of them cannot be.
    """

    delimiter: str | None = None
    decimal: str = "."
    null_values: tuple[str, ...] = tuple(pv.ConvertOptions().null_values)
    skip_rows: int = 0
    encoding: str = "utf8"

    def __post_init__(self) -> None:
        for name, value in (("delimiter", self.delimiter), ("decimal point", self.decimal)):
            if value is not None and (len(value.encode()) != 1 or value in '"\r\n'):
                raise DataError(f"the {name} of CSV files must be one ASCII character and no quote, got {value!r}.")
        if self.decimal in "+-0123456789eE ":
            raise DataError(f"the decimal point of CSV files cannot be {self.decimal!r}: use a point or a comma.")
        try:
            "".encode(self.encoding)
            codecs.lookup(self.encoding)
        except LookupError:
            raise DataError(f"there is no encoding {self.encoding!r}: use utf8, latin1, cp1252 or the like.") from None

    @cached_property
    def null_numbers(self) -> tuple[float, ...]:
        """The null values that are numbers."""
        found = []
        for value in self.null_values:
            try:
                number = float(value.replace(self.decimal, "."))
            except ValueError:
                continue
            if np.isfinite(number):
                found.append(number)
        return tuple(found)


class CsvReader:
    """Reads one CSV file.

    Parameters
    ----------
    path : Path
    options : CsvOptions
    """

    def __init__(self, path: Path, options: CsvOptions) -> None:
        self._path = path
        self._options = options
        tabs = path.name.lower().endswith((".tsv", ".tsv.gz"))
        self.delimiter = options.delimiter or ("\t" if tabs else ",")

    def _open(self, names: Sequence[str] | None) -> pv.CSVStreamingReader:
        options = self._options
        kinds = None if names is None else {name: pa.string() for name in names}
        return pv.open_csv(
            self._path,
            pv.ReadOptions(
                block_size=_BLOCK, skip_rows=options.skip_rows, encoding=options.encoding, use_threads=False
            ),
            pv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            pv.ConvertOptions(column_types=kinds, null_values=[], strings_can_be_null=False),
        )

    @cached_property
    def _head(self) -> pa.RecordBatch:
        """The first block as text."""
        with self._open(None) as reader:
            names = reader.schema.names
        for name in names:
            if name and names.count(name) > 1:
                raise DataError(f"there are {names.count(name)} columns {name!r}: rename all but one.")
        with self._open(names) as reader:
            try:
                return reader.read_next_batch()
            except StopIteration:
                return pa.RecordBatch.from_arrays([pa.nulls(0, pa.string()) for _ in names], names)

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types: a column is of numbers if all of the first block's values are, and is no code.

        A column with leading zeros (``00501``) is a code. One without any value yet counts as numbers, and
        one without a name as text.
        """
        head = self._head
        kinds = [
            self._kind(column) if name else pa.string()
            for name, column in zip(head.schema.names, head.columns, strict=True)
        ]
        return pa.schema(list(zip(head.schema.names, kinds, strict=True)))

    def _kind(self, column: pa.Array) -> pa.DataType:
        if pc.any(pc.match_substring_regex(column, r"^\s*[+-]?0[0-9]")).as_py():
            return pa.string()
        numbers = self._cast(column)
        return pa.string() if numbers is None else numbers.type

    def _cast(self, column: pa.Array) -> pa.Array | None:
        """Cast text to int64, or to float64, or give None where a value is no number."""
        options = self._options
        text = pc.utf8_trim_whitespace(column)
        missing = pc.is_in(text, value_set=_strings(options.null_values))
        text = pc.if_else(missing, pa.scalar(None, pa.string()), text)
        if options.decimal != ".":  # a point is then no part of a number
            text = pc.replace_substring(pc.replace_substring(text, ".", "?"), options.decimal, ".")
        floats = None
        try:
            numbers = floats = text.cast(pa.float64())
            numbers = text.cast(pa.int64())  # second, since it would take 0x1A
        except pa.ArrowInvalid:
            if floats is None:
                return None
        for number in options.null_numbers:
            numbers = pc.if_else(pc.equal(floats, number), pa.scalar(None, numbers.type), numbers)
        return numbers

    def text(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the batches of the file as text, each with the number of its first row, counted from 1."""
        row = 1
        with self._open(self._head.schema.names) as reader:
            for batch in reader:
                yield row, batch
                row += batch.num_rows

    def numbers(self, text: pa.RecordBatch, names: Iterable[str], row: int) -> pa.RecordBatch:
        """Cast the named columns of a batch.

        Raises
        ------
        DataError
            If a value is no number, with its row and column.
        """
        for name in names:
            column = text.column(name)
            numbers = self._cast(column)
            if numbers is None:
                raise self._no_number(name, column, row)
            text = text.set_column(text.schema.get_field_index(name), name, numbers)
        return text

    def exact(self, text: pa.RecordBatch, names: Sequence[str], row: int) -> Iterator[pa.RecordBatch]:
        """Cast the named columns of a batch, those rows apart that hold an integer float64 would round.

        It is one batch, in the order of its rows, unless a column mixes such integers with other numbers.
        """
        batch = self.numbers(text, names, row)
        for name in names:
            apart = _rounded(batch.column(name), text.column(name))
            if apart is not None:
                yield from self.exact(text.filter(apart), names, row)
                yield from self.exact(text.filter(pc.invert(apart)), names, row)
                return
        yield batch

    def _no_number(self, name: str, text: pa.Array, row: int) -> DataError:
        at, end = 0, len(text)
        while end - at > 1:  # the first half that cannot be cast holds the first such value
            middle = (at + end) // 2
            if self._cast(text.slice(at, middle - at)) is None:
                end = middle
            else:
                at = middle
        return DataError(
            f"column {name!r}, row {row + at}: expected a number, found {text[at].as_py()[:40]!r}; correct it, "
            "name it among the null values (--null-values), or leave the column out (--exclude)."
        )


def _strings(values: Iterable[str]) -> pa.Array:
    """Make an array of text; `pyarrow.array` would import pandas."""
    return pa.concat_arrays([pa.nulls(0, pa.string()), *(pa.repeat(pa.scalar(v, pa.string()), 1) for v in values)])


def _rounded(numbers: pa.Array, text: pa.Array) -> pa.BooleanArray | None:
    """Find the integers of 64 bits that are not what float64 made of them; None where there are none."""
    if not pa.types.is_floating(numbers.type) or not len(numbers):
        return None
    values = numbers.fill_null(0.0).to_numpy()
    apart = np.zeros(len(values), bool)
    for i in np.flatnonzero(np.abs(values) >= _EXACT).tolist():
        written = text[i].as_py().strip()
        apart[i] = re.fullmatch(r"-?[0-9]{1,19}", written) is not None and -(2**63) <= int(written) < 2**63
    return pa.BooleanArray.from_buffers(
        pa.bool_(), len(apart), [None, pa.py_buffer(np.packbits(apart, bitorder="little"))]
    ) if apart.any() else None  # fmt: skip


def text_of(batch: pa.RecordBatch, original: pa.RecordBatch | None = None, decimal: str = ".") -> pa.RecordBatch:
    """Write a batch's columns as text, numbers as the shortest that reads back to the same.

    What is missing is written as it was in `original`, or as nothing.

    Raises
    ------
    DataError
        If a column holds what CSV cannot, such as lists.
    """
    columns = []
    for item, column in zip(batch.schema, batch.columns, strict=True):
        try:
            text = column if pa.types.is_string(item.type) else column.cast(pa.string())
        except pa.ArrowException:
            raise DataError(
                f"column {item.name!r} holds {item.type}, which CSV cannot: end the output's name in .parquet."
            ) from None
        if decimal != "." and pa.types.is_floating(item.type):
            text = pc.replace_substring(text, ".", decimal)
        if text.null_count:
            known = original is not None and item.name in original.schema.names
            text = pc.coalesce(text, original.column(item.name) if known else pa.scalar(""))  # type: ignore[union-attr]
        columns.append(text)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def head_of(names: Iterable[str], delimiter: str) -> bytes:
    """Write the line of names."""
    columns = [_strings([name]) for name in names]
    return lines_of(pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))]), delimiter)


def _quoted(column: pa.Array, special: str, *, alone: bool) -> pa.Array:
    """Put quotes around the values that need them; the only one of a line needs them where it is empty."""
    needed = pc.match_substring_regex(column, special)
    if alone:
        needed = pc.or_(needed, pc.equal(column, ""))
    if not pc.any(needed).as_py():
        return column
    doubled = pc.replace_substring(column, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), column)


def lines_of(batch: pa.RecordBatch, delimiter: str) -> bytes:
    """Write a batch of text as CSV lines, with quotes only around what needs them."""
    if batch.num_rows == 0:
        return b""
    special = "[" + re.escape(delimiter) + '"\r\n]'
    fields = [_quoted(column, special, alone=batch.num_columns == 1) for column in batch.columns]
    lines = pc.binary_join_element_wise(*fields, delimiter)
    lines = pc.binary_join_element_wise(lines, "", "\n")  # each with its end; their bytes lie one after another
    _, offsets, data = lines.buffers()
    end = int(np.frombuffer(offsets, np.int32)[len(lines)])
    return data.slice(0, end).to_pybytes()  # type: ignore[no-any-return]
