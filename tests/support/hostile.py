"""What a hostile file must lead to: a refusal that leaves no trace, or exactly the values that are in it."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn

#: The kinds of files that hold tables.
KINDS = ("parquet", "arrow", "arrows")
#: Seconds of processors that no case may take: hostile input costs bounded time, however busy the machine is.
LONGEST = 60


@dataclass(frozen=True)
class Case:
    """A file and what is to come of it.

    Parameters
    ----------
    make : bytes, str or callable
        The content, or what writes the file to a path.
    refused : sequence of str
        What the one line of the error says, beside the name of the file; empty for a file that is read.
    numbers : mapping of str to list
        The columns that are normalised, with the values that are to be found in them.
    kind : str
        The ending of the file's name.
    words : sequence of str
        Options.
    fits : bool
        Whether a fit reads nothing of what a transform is to refuse.
    transforms : bool
        Whether a state that has the column reads it all the same.
    """

    make: bytes | str | Callable[[Path], Any]
    refused: Sequence[str] = ()
    numbers: Mapping[str, Sequence[Any]] | None = None
    kind: str = "csv"
    words: Sequence[str] = ()
    fits: bool = False
    transforms: bool = False

    def write(self, folder: Path) -> Path:
        path = folder / f"in.{self.kind}"
        if callable(self.make):
            self.make(path)
        else:
            path.write_bytes(self.make.encode() if isinstance(self.make, str) else self.make)
        return path


def check(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = case.write(folder)
    started = time.process_time()
    if case.numbers is None:
        _check_refused(case, source, capsys)
    else:
        _check_values(case, source, capsys)
    assert time.process_time() - started < LONGEST


def written(table: pa.Table, kind: str = "parquet", batch: int | None = None, **options: Any) -> bytes:
    """Give the bytes of a file of a table, with so many rows in a batch or row group."""
    sink = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, sink, row_group_size=batch, **options)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table, batch)
    return sink.getvalue()


# ---- refused ----


def _check_refused(case: Case, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.refused, "a refusal has words to be found"
    state, out = source.parent / "state.json", source.parent / f"out.{case.kind}"
    known = source.parent / "known.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0]}), known)
    sn.fit(known, state=state)
    out.write_text("precious")
    before = contents(source.parent)
    into = ["--output", out, "--overwrite"]
    line = failure(streamnorm(capsys, "run", source, "--state", state, *into, *case.words))
    assert [part for part in (source.name, *case.refused) if part not in line] == []
    assert contents(source.parent) == before
    if not case.transforms:
        assert source.name in failure(streamnorm(capsys, "transform", state, source, *into, *_reading(case.words)))
        assert contents(source.parent) == before
    if not case.fits:
        assert source.name in failure(streamnorm(capsys, "fit", source, "--state", state, "--update", *case.words))
        assert contents(source.parent) == before


def _reading(words: Sequence[str]) -> list[str]:
    """Give the options that say how a file is written, and none of those that choose columns."""
    pairs = zip(words[::2], words[1::2], strict=True)
    return [word for pair in pairs if pair[0] != "--columns" for word in pair]


def failure(done: Any) -> str:
    """Give the one line of a command that failed as commands fail; notes may stand before it."""
    assert (done.code, done.out) == (1, "")
    *notes, line = str(done.err).splitlines(keepends=True)
    assert all(note.startswith("note: ") for note in notes)
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert len(line) < 1000
    assert line.rstrip().endswith((".", ")"))
    return line


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder, hidden ones too, that are not locks."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.name.endswith(".lock")
    }


# ---- read ----


def _check_values(case: Case, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.numbers is not None
    state, out = source.parent / "state.json", source.parent / f"out.{case.kind}"
    words = [*case.words, "--quiet"]
    done = streamnorm(capsys, "run", source, "--output", out, "--state", state, *words)
    assert (done.code, done.out, done.err) == (0, "", "")
    learnt = sn.load(state).learnt
    assert list(learnt.types) == list(case.numbers)
    for name, (group, slot) in learnt.where().items():
        values = [Fraction(v) for v in case.numbers[name] if v is not None and v == v]
        summary = group.summary.take([slot])
        for found, power in ((summary.total, 1), (summary.squares, 2)):
            ((integer, exponent),) = found.fractions()
            assert Fraction(integer) * Fraction(2) ** exponent == sum(v**power for v in values)
        expected = [len(values), case.numbers[name].count(None), sum(v != v for v in case.numbers[name])]
        assert summary.counts.table[0].tolist() == [*expected, 0, 0]
    _check_other_jobs(case, source, capsys)
    before, after = _table(source, case), _table(out, case)
    assert list(after) == list(before)
    for name, column in before.items():
        if name in case.numbers:
            _check_column(column, case.numbers[name], after[name])
        else:
            assert after[name] == column


def _check_other_jobs(case: Case, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Adding the file to a state of no rows gives what fitting it gave, and a transform by it the same bytes."""
    state, none, out = (source.parent / name for name in ("state.json", "none.json", f"out.{case.kind}"))
    fitted, again = sn.load(state), out.with_name(f"again.{case.kind}")
    sn.save(fitted - fitted, none)
    assert streamnorm(capsys, "fit", source, "--state", none, "--update", *case.words).code == 0
    assert sn.load(none) == fitted
    words = [*_reading(case.words), "--quiet"]
    done = streamnorm(capsys, "transform", none, source, "--output", again, *words)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert again.read_bytes() == out.read_bytes()


def _check_column(before: list[Any], numbers: Sequence[Any], after: list[Any]) -> None:
    expected = standardised(numbers)
    assert len(after) == len(expected)
    for was, value, found in zip(before, expected, after, strict=True):
        if value is None or (value != value and isinstance(was, str)):
            assert found == was
        elif value != value:
            assert math.isnan(found)
        else:
            assert float(found) == value


def standardised(values: Sequence[Any]) -> list[float | None]:
    """Standardise with statistics that are rounded once, by integers alone."""
    present = [Fraction(v) for v in values if v is not None and v == v]
    if not present:
        return list(values)
    mean = sum(present) / len(present)
    std = root(sum(v * v for v in present) / len(present) - mean * mean)
    scale = 1.0 if std <= 2.0**-50 * abs(float(mean)) else std
    return [None if v is None else (float(v) - float(mean)) / scale for v in values]


def root(value: Fraction) -> float:
    """Round a square root once: the odd last bit of what is divided says that more follows."""
    unit = Fraction(2) ** (2 * (value.denominator.bit_length() + 200))
    scaled = value * unit
    whole = isqrt(int(scaled))
    exact = whole * whole == scaled
    return float(Fraction(2 * whole + (not exact), 2) / Fraction(2) ** (value.denominator.bit_length() + 200))


def _table(path: Path, case: Case) -> dict[str, list[Any]]:
    """Read a file by other means than ours, column after column."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            return _columns(file.read())
    if path.suffix in (".arrow", ".arrows"):
        with (pa.ipc.open_file if path.suffix == ".arrow" else pa.ipc.open_stream)(path.read_bytes()) as file:
            return _columns(file.read_all())
    return _csv(path, case)


def _columns(table: pa.Table) -> dict[str, list[Any]]:
    return {f"{name}": column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}


def _csv(path: Path, case: Case) -> dict[str, list[Any]]:
    options = dict(zip(case.words[::2], case.words[1::2], strict=True))
    data = path.read_bytes()
    if path.suffix == ".gz":
        import gzip

        data = gzip.decompress(data)
    text = data.decode(options.get("--encoding", "utf-8-sig"))
    delimiter = options.get("--delimiter", "\t" if ".tsv" in path.name else ",")
    csv.field_size_limit(1 << 30)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if options.get("--decimal") and path.name.startswith("out"):
        rows = [[value.replace(",", ".") for value in row] for row in rows]
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
