"""The kernel's CSV functions against Python's `csv`, `fractions`, `float` and `repr`, and against their twins."""

from __future__ import annotations

import importlib
import math
import os
import random
import re
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from csv_tables import MISSING, Table, table, value

import streamnorm.kernel
from streamnorm import kernel
from streamnorm.kernel import reference

_kernel = importlib.import_module("streamnorm.kernel._kernel" if kernel.COMPILED else "streamnorm.kernel.reference")
#: Every instruction set this machine has.
TARGETS = [t for t in ("baseline", "avx2", "avx512", "python") if _kernel.instructions(t) == t]
_kernel.instructions("best")

#: Number of tables that the slow tests try; STREAMNORM_TABLES=20000 takes half an hour.
TABLES = int(os.environ.get("STREAMNORM_TABLES", "1000"))


@pytest.fixture(params=TARGETS)
def target(request):
    """Use one instruction set; the best one is put back afterwards."""
    _kernel.instructions(request.param)
    yield request.param
    _kernel.instructions("best")


def fields_of(library, data: bytes, made: Table, kinds: bytes | None = None, *, nulls: tuple[float, ...] = (-200.0,)):
    columns = np.arange(made.columns, dtype=np.int32)
    missing = [text.encode() for text in MISSING]
    kinds = b"\1" * made.columns if kinds is None else kinds
    return library.csv_fields(data, *made.options, made.columns, columns, kinds, missing, np.array(nulls), True)


def columns_of(result, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rows, capacity, values, validity, *_ = result
    valid = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little").reshape(columns, capacity)[:, :rows]
    return np.frombuffer(values).reshape(columns, capacity)[:, :rows], valid.astype(bool)


def as_float(exact: Fraction | float) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def check(seed: int, *, cuts: int) -> None:
    made = table(seed)
    result, twin = (fields_of(library, made.data, made) for library in (kernel, reference))
    columns, rows = made.columns, result[0]
    assert rows == len(made.rows) == twin[0], seed
    _check_same(seed, result, twin, columns)
    plain = (fields_of(library, made.data, made, nulls=()) for library in (kernel, reference))
    _check_same(seed, *plain, columns)  # many numbers at once, where each need not be compared with those for nulls
    values, valid = columns_of(result, columns)
    for i, row in enumerate(made.rows):
        for j, text in enumerate(row):
            said = value(text, made)
            assert valid[j, i] == isinstance(said, (Fraction, float)), (seed, text)
            if valid[j, i]:
                expected = as_float(said)
                assert values[j, i] == expected or (math.isnan(expected) and math.isnan(values[j, i])), (seed, text)
    _check_cuts(seed, made, rows, cuts)


def _check_same(seed: int, result, twin, columns: int) -> None:
    rows = result[0]
    size = 2 * rows * columns
    assert (rows, result[4], result[6:]) == (twin[0], twin[4], twin[6:]), seed
    assert np.array_equal(np.frombuffer(result[5], np.int32)[:size], np.frombuffer(twin[5], np.int32)[:size]), seed
    for one, other in zip(columns_of(result, columns), columns_of(twin, columns), strict=True):
        assert np.array_equal(one.view(f"u{one.itemsize}"), other.view(f"u{other.itemsize}")), seed


def _check_cuts(seed: int, made: Table, rows: int, cuts: int) -> None:
    places = range(len(made.data) + 1)
    for at in places if cuts < 0 else random.Random(seed).choices(places, k=cuts):
        end, quote = kernel.last_row(made.data[:at], made.delimiter, made.comment)
        assert (end, quote) == reference.last_row(made.data[:at], made.delimiter, made.comment), (seed, at)
        first, second = (fields_of(kernel, part, made) for part in (made.data[:end], made.data[end:]))
        assert (first[0] + second[0], first[9], first[10]) == (rows, -1, -1), (seed, at)


@pytest.mark.parametrize("seeds", [range(i, i + 50) for i in range(0, 200, 50)], ids=str)
def test_tables_are_read_as_csv_and_fractions_read_them(seeds, target):
    for seed in seeds:
        check(seed, cuts=4)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(i, i + 250) for i in range(0, TABLES, 250)], ids=str)
def test_many_tables_in_every_cut(seeds):
    for seed in seeds:
        check(seed, cuts=-1)


def halfway(random_: random.Random, places: int, apart: int) -> str:
    """Give a number of at most 19 digits halfway between two of float64, or next to that, as near as can be."""
    five = 5**places
    shift = max(0, (five * 2**54 // 10**19).bit_length()) + random_.randint(apart != 0, 3 * (apart != 0))
    if apart:  # digits * 2**shift == odd * 5**places + apart
        digits = apart * pow(2, -shift, five) % five
        digits += five * random_.randint(2**53 // 2**shift + 1, 2**54 // 2**shift - 1)
    else:
        digits = (2 * random_.getrandbits(52) + 2**53 + 1) * five
    return f"{digits // 10**places}.{digits % 10**places:0{places}}"


def decimal_texts(random_: random.Random, count: int):
    """Yield numbers of every length, and many that lie halfway between two of float64 or next to it."""
    for _ in range(count):
        kind = random_.randrange(8)
        if kind == 0:
            number = struct.unpack("d", random_.randbytes(8))[0]
            text = repr(number) if math.isfinite(number) else "1"
        elif kind == 1:
            text = "".join(random_.choices("0123456789", k=random_.randint(1, 40)))
        elif kind == 2:
            text = f"{random_.randint(0, 1000)}.{''.join(random_.choices('0123456789', k=random_.randint(0, 40)))}"
        elif kind == 3:
            text = f"{random_.randint(0, 10 ** random_.randint(1, 25))}e{random_.randint(-400, 400)}"
        elif kind == 4:
            exact = Fraction(2 * random_.getrandbits(53) + 1) * Fraction(2) ** random_.randint(-120, 120)
            digits = exact.numerator * 10**200 // exact.denominator
            text = f"{digits // 10**200}.{digits % 10**200:0200}{random_.choice(['', '0', '1'])}"
        elif kind == 5:
            text = halfway(random_, random_.randint(1, 19), random_.choice([-1, 1]))
        elif kind == 6:
            text = halfway(random_, random_.randint(1, 3), 0)
        else:
            text = f"{random_.randint(-(10**6), 10**6) / 100}"
        yield random_.choice(["", "-", "+"]) * (text[0] != "-") + text


def check_decimals(count: int, seed: int) -> None:
    texts = list(decimal_texts(random.Random(seed), count))
    expected = np.array([float(text) for text in texts])
    for target in TARGETS:
        _kernel.instructions(target)
        for lines in ("\n".join(texts), '"' + '"\n"'.join(texts) + '"'):
            made = Table(lines.encode(), ",", ".", "", "", 1)
            found, valid = columns_of(fields_of(kernel, made.data, made, nulls=()), 1)
            assert valid.all(), (target, np.array(texts)[~valid[0]])
            assert np.array_equal(found[0].view(np.uint64), expected.view(np.uint64)), target
    _kernel.instructions("best")


def test_decimal_texts_are_rounded_once():
    check_decimals(20_000, 1)


@pytest.mark.slow
def test_a_million_decimal_texts_are_rounded_once():
    for seed in range(10):
        check_decimals(100_000, seed)


def numbers(count: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2**64, count, np.uint64).view(np.float64)
    whole = rng.integers(-(10**6), 10**6, count).astype(float)
    rounded = np.round(rng.normal(0, 1000, count), 3)
    powers = np.concatenate([2.0 ** np.arange(-1074, 1024), 10.0 ** np.arange(-323, 309)])
    longest = np.full(count, -1.2345678901234567e-06)
    tens = np.nextafter(10.0 ** np.arange(-300, 300), np.resize([0, np.inf], 600))
    some = np.concatenate(
        [longest, bits, whole, rounded, rng.normal(size=count), powers, tens, [0.0, -0.0, 5e-324, np.inf, -np.inf]]
    )
    return some[~np.isnan(some)]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_numbers_are_written_as_short_as_can_be(dtype, target):
    with np.errstate(over="ignore"):
        values = numbers(10_000).astype(dtype)
    kind = "d" if dtype == "f8" else "f"
    (offsets, texts), twin = kernel.shortest(values, kind, "."), reference.shortest(values, kind, ".")
    assert (offsets, texts) == twin
    places = np.frombuffer(offsets, np.int32).tolist()
    for i, number in enumerate(values):
        text = texts[places[i] : places[i + 1]].decode()
        np.testing.assert_equal(np.dtype(dtype).type(text), number)
        assert len(re.sub(r"e.*|\D", "", text).strip("0")) == len(re.sub(r"e.*|\D", "", str(number)).strip("0"))


POWERS = Path(streamnorm.kernel.__file__).with_name("c") / "powers_of_ten.h"


@pytest.mark.skipif(not POWERS.exists(), reason="an installed package holds no C")
def test_the_table_of_powers():
    entries = re.findall(r"\{0x([0-9a-f]{16}), 0x([0-9a-f]{16})\}", POWERS.read_text())
    assert len(entries) == 342 + 324 + 1
    for power, (high, low) in enumerate(entries, -342):
        exact = Fraction(5) ** power
        exact *= Fraction(2) ** (128 - _log2(exact) - 1)
        assert int(high + low, 16) == (math.ceil(exact) if -27 <= power < 0 else math.floor(exact))


def _log2(value: Fraction) -> int:
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if Fraction(2) ** guess <= value else guess - 1


def test_where_rows_end_for_any_bytes(target):
    random_ = random.Random(5)
    for _ in range(3000):
        weights = random_.choice([[8, 1, 2, 1, 0.3], [1, 1, 1, 1, 1], [3, 0.2, 1, 1, 0]])
        text = "".join(random_.choices('a",\n\r', weights, k=random_.choice([3, 10, 70, 130, 300]))).encode()
        assert kernel.last_row(text, ",") == reference.last_row(text, ",")


@pytest.mark.parametrize(
    ("text", "found", "open_at"),
    [
        (b"1,2\n3\n", 1, -1),
        (b"1,2\n3,4,5\n", 3, -1),
        (b'1,"2\n3', -1, 2),
        (b"1,2\n3,4,,\n", -1, -1),
        (b"1,2\n3" + b"," * 9000 + b"\n4,5\n", -1, -1),
        (b"1,2\n3" + b"," * 9000 + b"4" + b"," * 9000 + b"\n4,5\n", 18001, -1),
        (b'1,2\n"3"' + b"," * 9000 + b'""' + b"," * 9000 + b'a"\n4,5\n', 18001, -1),
        (b'1,2\n3,a"b\n4,"5\n', -1, 12),
    ],
    ids=range(8),
)
def test_what_is_no_record(text, found, open_at, target):
    for comment in "", "#":
        result, twin = (fields_of(lib, text, Table(text, ",", ".", "", comment, 2)) for lib in (kernel, reference))
        assert result[9:] == (found, open_at)
        assert (result[0], result[4], result[6:]) == (twin[0], twin[4], twin[6:])


@pytest.mark.skipif(not kernel.COMPILED, reason="the twin trusts its caller")
@pytest.mark.parametrize(("wanted", "kinds"), [([1, 0], b"\1\1"), ([3], b"\1"), ([-1], b"\1"), ([0], b"\1\1")])
def test_fields_that_are_none(wanted, kinds):
    with pytest.raises(ValueError, match="fields"):
        _kernel.csv_fields(b"1,2\n", ",", "", ".", "", 2, np.array(wanted, np.int32), kinds, [b""], np.zeros(0), True)


@pytest.mark.skipif(not kernel.COMPILED, reason="the twin trusts its caller")
def test_edits_that_reach_outside_are_refused():
    data, none = b"1,2\n", (None, 0, None, 0)
    for spans, rows in (([0, 9], 1), ([2, 1], 1), ([-1, 1], 1), ([0, 1], 2)):
        with pytest.raises(ValueError, match="spans"):
            _kernel.csv_splice(data, np.array(spans, np.int32), rows, [(0, "d", np.zeros(2), *none)], ",", ".")
    with pytest.raises(ValueError, match="edit"):
        _kernel.csv_splice(data, np.array([0, 1], np.int32), 1, [(0, "d", np.zeros(0), *none)], ",", ".")
    with pytest.raises(ValueError, match="span"):
        _kernel.csv_texts(data, np.array([0, 9], np.int32), 0, 1, 1)
