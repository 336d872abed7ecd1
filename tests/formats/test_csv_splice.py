"""CSV to CSV: only the numbers change, and every other byte is the one that came."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest
from csv_tables import MISSING, Template, template

from streamnorm.formats.csv import pieces
from streamnorm.formats.csv.pieces import CsvUnit
from streamnorm.formats.csv.reader import CsvReader
from streamnorm.formats.csv.splice import Splicer, spliced_start
from streamnorm.formats.options import CsvOptions
from streamnorm.kernel import reference

#: Number of tables that the slow tests try; STREAMNORM_TABLES=20000 takes half an hour.
TABLES = int(os.environ.get("STREAMNORM_TABLES", "1000"))


def options_of(made: Template) -> CsvOptions:
    return CsvOptions(
        delimiter=made.delimiter, decimal=made.decimal, thousands=made.thousands or None, comment=made.comment or None,
        encoding=made.encoding, null_values=MISSING,
    )  # fmt: skip


def halved(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [pa.array(column.to_numpy(zero_copy_only=False) / 2, from_pandas=True) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def spliced(path, made: Template) -> bytes:
    """Halve all columns of numbers of a file."""
    reader = CsvReader(path, options_of(made))
    numbers = [name for name in reader.names if name.startswith("n")]
    splicer = Splicer(reader, {name: name for name in numbers}, (), (), made.decimal)
    parts = [spliced_start(reader, reader.names, made.encoding)]
    for piece in reader.rows():
        batch, found = splicer.read(CsvUnit(piece.number, 0, piece))
        parts.append(splicer.write(halved(batch), found))
    return b"".join(parts)


def half(made: Template):
    """Give what writes half of a number; quotes stand around all that needs them."""

    def write(_: int, text: str) -> bytes:
        value = float(text.replace(made.thousands or "\0", "").replace(made.decimal, ".")) / 2
        _, written = reference.shortest(np.array([value]), "d", made.decimal)
        return written

    return write


def check(seed: int, tmp_path, monkeypatch) -> None:
    made = template(seed)
    path = tmp_path / "in.csv"
    path.write_bytes(made.data)
    expected = made.with_numbers(half(made))
    if made.delimiter == made.decimal:  # a number that was not quoted gets quotes where it needs them
        quoted = [
            s if isinstance(s, bytes) else _with_quotes(made, i, half(made)(*s)) for i, s in enumerate(made.segments)
        ]
        expected = b"".join(quoted)
    monkeypatch.undo()
    assert spliced(path, made) == expected, seed
    start = CsvReader(path, options_of(made)).start
    monkeypatch.setattr(pieces, "_FIRST", len(start.before + start.header) + 1 + seed % 20)
    monkeypatch.setattr(pieces, "_SIZE", 1 + seed % 40)
    assert spliced(path, made) == expected, seed


def _with_quotes(made: Template, at: int, written: bytes) -> bytes:
    before, behind = made.segments[at - 1], made.segments[at + 1]
    assert isinstance(before, bytes) and isinstance(behind, bytes)
    bare = not (before.endswith(b'"') and behind.startswith(b'"'))
    return b'"' + written + b'"' if bare and made.decimal.encode() in written else written


@pytest.mark.parametrize("seeds", [range(i, i + 50) for i in range(0, 300, 50)], ids=str)
def test_every_other_byte_stays(seeds, tmp_path, monkeypatch):
    for seed in seeds:
        check(seed, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(i, i + 250) for i in range(0, TABLES, 250)], ids=str)
def test_every_other_byte_of_many_files_stays(seeds, tmp_path, monkeypatch):
    for seed in seeds:
        check(seed, tmp_path, monkeypatch)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("dropped", [(), ("a",), ("c",), ("a", "b"), ("b", "c")])
def test_columns_left_out_and_added(tmp_path, dropped, added):
    path = tmp_path / "in.csv"
    path.write_bytes(b'"a",b,c\r\n1,"x, y", 2 \r\n\r\n"3",,NA,\r\n')
    reader = CsvReader(path, CsvOptions())
    kept = next(name for name in ("a", "c") if name not in dropped)
    target = kept + "_z" if added else kept
    splicer = Splicer(reader, {kept: target}, dropped, (), ".")
    names = [name for name in reader.names if name not in dropped] + [target] * added
    (piece,) = reader.rows()
    batch, found = splicer.read(CsvUnit(1, 0, piece))
    mapped = halved(batch).rename_columns([target])
    out = spliced_start(reader, names, "utf8") + splicer.write(mapped, found)
    half_of = {"a": ("0.5", "1.5"), "c": ("1", "")}[kept]
    rows = []
    for row, texts in enumerate([{"a": "1", "b": '"x, y"', "c": " 2 "}, {"a": '"3"', "b": "", "c": "NA"}]):
        if not added:
            texts[kept] = {"a": ["0.5", '"1.5"'], "c": [" 1 ", "NA"]}[kept][row]
        rows.append(",".join([texts[name] for name in reader.names if name not in dropped] + [half_of[row]] * added))
    head = ",".join(['"a"' if name == "a" else name for name in names])
    assert out.decode() == f"{head}\r\n{rows[0]}\r\n\r\n{rows[1]},\r\n"
