"""How CSV files are written: what a job is told, and a state remembers."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, fields

from streamnorm.errors import DataError
from streamnorm.once import once

__all__ = ["CsvOptions"]

#: What stands for a missing number where nothing is said: the words that Arrow and pandas know.
_MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL",
    "NaN", "n/a", "nan", "null",
)  # fmt: skip
#: Characters that numbers are written with, and a space.
_OF_NUMBERS = "+-0123456789eE "


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
    thousands : str, optional
        What stands between groups of three digits: ``,`` in 1,234.5.
    comment : str, optional
        What lines begin with that are none of the table.
    no_header : bool
        Whether the first line is one of the rows already; columns are then called ``column_1`` and so on.

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
    null_values: tuple[str, ...] = _MISSING
    skip_rows: int = 0
    encoding: str = "utf8"
    thousands: str | None = None
    comment: str | None = None
    no_header: bool = False

    def __post_init__(self) -> None:
        signs = {
            "delimiter": self.delimiter, "decimal point": self.decimal, "sign for thousands": self.thousands,
            "sign for comments": self.comment,
        }  # fmt: skip
        for name, value in signs.items():
            if value is not None and (len(value.encode()) != 1 or value in '"\r\n\0'):
                raise DataError(f"the {name} of CSV files must be one ASCII character and no quote, got {value!r}.")
        if self.decimal in _OF_NUMBERS:
            raise DataError(f"the decimal point of CSV files cannot be {self.decimal!r}: use a point or a comma.")
        if self.thousands is not None and self.thousands in _OF_NUMBERS.strip() + self.decimal:
            raise DataError(
                f"the sign for thousands of CSV files cannot be {self.thousands!r} where the decimal point is "
                f"{self.decimal!r}: use another for one of them."
            )
        if self.comment is not None and self.comment == self.delimiter:
            raise DataError(f"lines of CSV files cannot begin with the delimiter {self.comment!r} as comments do.")
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
    def null_numbers(self) -> tuple[float, ...]:
        """The null values that are numbers."""
        point = re.escape(self.decimal)
        number = re.compile(rf"[+-]?([0-9]+({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)?")
        plain = [value.strip().replace(self.thousands or "", "") for value in self.null_values]
        return tuple(float(text.replace(self.decimal, ".")) for text in plain if number.fullmatch(text))
