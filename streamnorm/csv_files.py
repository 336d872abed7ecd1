"""CSV without guessing: text stays as it stands in the file, numbers are read exactly.

Every column is read as text. A numeric one is then cast, block by block, to int64 where all its values
are integers and to float64 otherwise, so that the statistics do not depend on where the blocks end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from streamnorm.errors import DataError

__all__ = ["CsvOptions", "CsvReader", "lines_of", "text_of"]

_BLOCK = 1 << 20


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
    skip_rows : int
        Lines before the header.
    encoding : str
    """

    delimiter: str | None = None
    decimal: str = "."
    null_values: tuple[str, ...] = tuple(pv.ConvertOptions().null_values)
    skip_rows: int = 0
    encoding: str = "utf8"


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
            if names.count(name) > 1:
                raise DataError(f"there are {names.count(name)} columns {name!r}: rename all but one.")
        with self._open(names) as reader:
            try:
                return reader.read_next_batch()
            except StopIteration:
                return pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in names], names)

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types: a column is of numbers if all of the first block's values are, and is no code.

        A column with leading zeros (``00501``) is a code. One without any value yet counts as numbers.
        """
        kinds = [self._kind(self._head.column(i)) for i in range(self._head.num_columns)]
        return pa.schema(list(zip(self._head.schema.names, kinds, strict=True)))

    def _kind(self, column: pa.Array) -> pa.DataType:
        if pc.any(pc.match_substring_regex(column, r"^\s*[+-]?0[0-9]")).as_py():
            return pa.string()
        numbers = self._cast(column)
        return pa.string() if numbers is None else numbers.type

    def _cast(self, column: pa.Array) -> pa.Array | None:
        """Cast text to int64, or to float64, or give None where a value is no number."""
        text = pc.utf8_trim_whitespace(column)
        missing = pc.is_in(text, value_set=pa.array(self._options.null_values, pa.string()))
        text = pc.if_else(missing, pa.scalar(None, pa.string()), text)
        if self._options.decimal != ".":
            text = pc.replace_substring(text, self._options.decimal, ".")
        for kind in (pa.int64(), pa.float64()):
            try:
                return text.cast(kind)
            except pa.ArrowInvalid:
                continue
        return None

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

    def _no_number(self, name: str, text: pa.Array, row: int) -> DataError:
        at = next(i for i in range(len(text)) if self._cast(text.slice(i, 1)) is None)
        return DataError(
            f"column {name!r}, row {row + at}: expected a number, found {text[at].as_py()[:40]!r}; correct it, "
            "name it among the null values (--null-values), or leave the column out (--exclude)."
        )


def text_of(batch: pa.RecordBatch, original: pa.RecordBatch | None) -> pa.RecordBatch:
    """Write a batch's columns as text, numbers as the shortest that reads back to the same.

    What is missing is written as it was in `original`, or as nothing.
    """
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        text = column if pa.types.is_string(column.type) else column.cast(pa.string())
        known = original is not None and name in original.schema.names
        missing = original.column(name) if known else pa.scalar("")  # type: ignore[union-attr]
        columns.append(pc.coalesce(text, missing))
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def lines_of(batch: pa.RecordBatch, delimiter: str) -> bytes:
    """Write a batch of text as CSV lines, with quotes only around what needs them."""
    if batch.num_rows == 0:
        return b""
    special = "[" + re.escape(delimiter) + '"\r\n]'
    fields = []
    for column in batch.columns:
        needed = pc.match_substring_regex(column, special)
        if batch.num_columns == 1:  # an empty line would be no row
            needed = pc.or_(needed, pc.equal(column, ""))
        if pc.any(needed).as_py():
            doubled = pc.replace_substring(column, '"', '""')
            column = pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), column)
        fields.append(column)
    lines = pc.binary_join_element_wise(*fields, delimiter)
    whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    return pc.binary_join(whole, "\n")[0].as_buffer().to_pybytes() + b"\n"
