"""Rows by their key: the kernel's numbers are those of a dictionary."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from streamnorm import kernel
from streamnorm.kernel import reference

RNG = np.random.default_rng(0)
LONG = "a text of more bytes than are kept beside its hash "
COLUMNS = {
    "none": pa.array([], pa.int64()),
    "few": pa.array(RNG.integers(-3, 3, 1000)),
    "zeros and nulls": pa.array([0, None, 0, None, 1, -1, None]),
    "multiples of 2^40": pa.array(np.arange(5000) % 1700 << 40),
    "many": pa.array(RNG.integers(-(2**62), 2**62, 30_000)),
    "texts": pa.array([str(key) for key in RNG.integers(0, 4000, 20_000)], pa.large_string()),
    "long texts": pa.array([LONG * int(k % 3) + str(k) for k in RNG.integers(0, 300, 3000)], pa.large_string()),
    "lengths": pa.array([text * n for n in range(40) for text in ("a", "\0", "é", "")], pa.large_string()),
    "empty and null": pa.array(["", None, "\0", "", None, "\0\0", "\0"], pa.large_string()),
    "no texts": pa.array([], pa.large_string()),
}


def grouped(module, column):
    """Give the numbers and first rows of a column."""
    validity, *buffers = column.buffers()
    integers = column.type == pa.int64()
    offsets = None if integers else (buffers[0] or pa.py_buffer(bytes(8))).slice(8 * column.offset)
    values = buffers[-1] or b""
    values = values[8 * column.offset :] if integers and column.offset else values
    ids, firsts = module.group(len(column), values, offsets, validity, column.offset)
    return np.frombuffer(ids, np.int32).tolist(), np.frombuffer(firsts, np.int64).tolist()


@pytest.mark.parametrize("module", [kernel, reference], ids=["kernel", "reference"])
@pytest.mark.parametrize("name", COLUMNS)
def test_rows_are_numbered_as_they_first_occur(name, module):
    for column in (COLUMNS[name], COLUMNS[name].slice(3)):
        rows = column.to_pylist()
        numbers = {key: number for number, key in enumerate(dict.fromkeys(rows))}
        ids, firsts = grouped(module, column)
        assert ids == [numbers[key] for key in rows]
        assert firsts == [rows.index(key) for key in numbers]


@pytest.mark.parametrize("module", [kernel, reference], ids=["kernel", "reference"])
def test_a_million_keys(module):
    column = pa.array(np.arange(1_200_000) % 1_000_000)
    ids, firsts = module.group(len(column), column.buffers()[1], None, None, 0)
    np.testing.assert_array_equal(np.frombuffer(ids, np.int32), column.to_numpy())
    np.testing.assert_array_equal(np.frombuffer(firsts, np.int64), np.arange(1_000_000))


@pytest.mark.parametrize("module", [kernel, reference], ids=["kernel", "reference"])
def test_what_lies_outside_its_buffers_is_refused(module):
    keys, ends = np.zeros(3, np.int64), np.array([0, 2, 4, 6], np.int64)
    for given in ((4, keys, None, None, 0), (-1, keys, None, None, 0), (4, b"abcdef", ends, None, 0),
                  (3, keys, None, b"\1", 6), (3, keys, None, b"\1", -1)):  # fmt: skip
        with pytest.raises(ValueError, match="do not lie in their buffers"):
            module.group(*given)
    for wrong in ([0, 2, 4, 7], [-1, 2, 4, 6], [0, 4, 2, 6]):
        with pytest.raises(ValueError, match="offsets of texts"):
            module.group(3, b"abcdef", np.array(wrong, np.int64), None, 0)
