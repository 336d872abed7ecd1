"""How CSV files are written: what a job is told, and a state remembers."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from streamnorm.arrow import strings
from streamnorm.errors import DataError
from streamnorm.once import once

__all__ = ["CsvOptions"]


@dataclass(frozen=True)
class CsvOptions:
    r"""How a CSV file is written.

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

    Examples
    --------
    >>> import tempfile, pyarrow as pa, streamnorm as sn
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.csv")
    ...     _ = path.write_text("x;y\n1,5;-200\n2,5;4\n")
    ...     normalizer = sn.fit(path, options=sn.CsvOptions(delimiter=";", decimal=",", null_values=("-200",)))
    >>> normalizer.transform(pa.table({"x": [2.0], "y": [4.0]})).to_pydict()
    {'x': [0.0], 'y': [0.0]}
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

    def uncommon(self) -> tuple[tuple[str, object], ...]:
        """Give names and values of the options that are not those by default, by name."""
        return tuple(
            sorted((f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default)
        )

    @once
    def null_texts(self) -> pa.Array:
        """The null values as an array."""
        return strings(self.null_values)

    @once
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
