"""Structs of Thrift as trees: the kernel's reader gives what the one in Python gives, or leaves it to that."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamnorm import kernel
from streamnorm.formats.parquet import tree
from streamnorm.formats.parquet.tree import (
    BINARY,
    BOOL,
    BYTE,
    DOUBLE,
    I16,
    I32,
    I64,
    LIST,
    SET,
    STRUCT,
    List,
    Struct,
    read_struct,
    write_struct,
)


def plain(value: object) -> object:
    """A tree as what can be compared."""
    if isinstance(value, Struct):
        return {number: (kind, plain(own)) for number, (kind, own) in value.fields.items()}
    return (value.kind, [plain(item) for item in value.items]) if isinstance(value, List) else value


def in_python(data: bytes, at: int = 0) -> tuple[object, int] | str:
    reader = tree._Reader(data, at)
    try:
        return plain(reader.struct(0)), reader.at
    except (ValueError, IndexError, RecursionError) as error:
        return type(error).__name__


def put_in_python(struct: Struct) -> bytes:
    out = bytearray()
    tree._put_struct(out, struct)
    return bytes(out)


def outcome(data: bytes, at: int = 0) -> tuple[object, int] | str:
    try:
        found, end = read_struct(data, at)
    except (ValueError, IndexError, RecursionError) as error:
        return type(error).__name__
    return plain(found), end


def every_type() -> Struct:
    inner = Struct().set(-3, I32, -(2**31)).set(2**20, I64, 2**61).set(1, BOOL, False).set(2, BOOL, True)
    lists = [
        List(BOOL, [True, False]),
        List(I64, list(range(-20, 20))),
        List(BINARY, [b"", b"x" * 300]),
        List(STRUCT, [inner]),
    ]
    made = (
        Struct()
        .set(1, BYTE, 200)
        .set(2, I16, -7)
        .set(3, DOUBLE, b"12345678")
        .set(4, BINARY, b"text")
        .set(5, STRUCT, inner)
    )
    for number, item in enumerate([*lists, List(LIST, lists), List(I32, [])], 20):
        made.set(number, LIST if number % 2 else SET, item)
    return made


def footer() -> bytes:
    sink = io.BytesIO()
    table = pa.table({"x": [1.5, None], "text": ["a", "b"], "list": [[1], []]})
    pq.write_table(table, sink, row_group_size=1, write_page_index=True)
    data = sink.getvalue()
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


@pytest.mark.parametrize("data", [write_struct(every_type()), footer(), b"\0"], ids=["types", "footer", "empty"])
def test_both_readers_agree(data):
    whole = in_python(data)
    assert outcome(data) == whole != "ValueError"
    assert write_struct(read_struct(data)[0]) == data == put_in_python(read_struct(data)[0])
    assert outcome(b"behind" + data + b"before", 6) == in_python(b"behind" + data, 6)
    if kernel.COMPILED:
        assert kernel.write_struct(kernel.read_struct(data, 0, Struct, List)[0]) == data
    for size in range(len(data)):
        assert outcome(data[:size]) == in_python(data[:size])
    rng = np.random.default_rng(4)
    for _ in range(2000):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), 3).tolist():
            changed[at] = int(rng.integers(256))
        assert outcome(bytes(changed)) == in_python(bytes(changed))
        with contextlib.suppress(ValueError, IndexError):
            found, _ = read_struct(bytes(changed))
            assert write_struct(found) == put_in_python(found)


def test_both_readers_refuse_structs_that_lie_too_deep():
    for depth in (30, 31, 32, 33, 40, 5000):
        data = b"\x1c" * depth + b"\0" * (depth + 1)
        assert outcome(data) == in_python(data)
        assert (outcome(data) == "ValueError") == (depth > 32)
        lists = b"\x19" + b"\x19" * depth + b"\x03" + b"\0" * 9
        assert outcome(lists) == in_python(lists)


@pytest.mark.parametrize("number", [2**61, 2**62, 2**63 - 1, -(2**63), 2**64, -(2**69)])
def test_numbers_of_any_length(number):
    made = Struct().set(1, I64, number).set(7, BOOL, True)
    data = write_struct(made)
    assert data == put_in_python(made)
    assert outcome(data) == in_python(data)


def test_what_cannot_be_written_is_the_same_error():
    wrong = [("text", I32), (1.5, I64), (b"", STRUCT), (3, BINARY), (None, LIST), (b"x", 11), (List(13, [1]), LIST)]
    for value, kind in wrong:
        made = Struct({1: (kind, value)})
        with pytest.raises((TypeError, AttributeError, KeyError)):
            put_in_python(made)
        with pytest.raises((TypeError, AttributeError, KeyError)):
            write_struct(made)
        assert write_struct(Struct({1: (BOOL, value), 2**40: (I32, 1)})) == put_in_python(
            Struct({1: (BOOL, value), 2**40: (I32, 1)})
        )


def test_a_place_outside_of_the_bytes_is_refused():
    for at in (2, 99):
        assert outcome(b"\0\0", at) == "IndexError"
