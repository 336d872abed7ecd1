"""The kernel against exact rational arithmetic, its reference and each instruction set."""

from __future__ import annotations

import importlib
import itertools
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from samples import SAMPLES, sample

from streamnorm import kernel
from streamnorm.columns import block_of_arrays, block_of_matrix
from streamnorm.kernel import reference as _reference
from streamnorm.summaries import Block, Moments
from streamnorm.summaries.exact import Exact, divide, square_root

_kernel = importlib.import_module("streamnorm.kernel._kernel" if kernel.COMPILED else "streamnorm.kernel.reference")
#: Every instruction set this machine has.
TARGETS = [t for t in ("baseline", "avx2", "avx512", "python") if _kernel.instructions(t) == t]


@pytest.fixture(params=TARGETS)
def target(request):
    """Use one instruction set; the best one is put back afterwards."""
    _kernel.instructions(request.param)
    yield request.param
    _kernel.instructions("best")


def fractions_of(column):
    return [Fraction(v) for v in column.tolist() if v == v]


def values_of(exact: Exact) -> list[Fraction]:
    return [Fraction(v) * Fraction(2) ** e for v, e in exact.fractions()]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("n", [0, 1, 15, 16, 511, 513, 2000])
def test_sums_are_those_of_rational_arithmetic(name, n, target):
    column = sample(name, n)
    exact = fractions_of(column)
    got = Moments.of(block_of_matrix(column.reshape(-1, 1)))
    assert values_of(got.total) == [sum(exact, Fraction(0))]
    assert values_of(got.squares) == [sum((v * v for v in exact), Fraction(0))]
    assert got.counts.values[0] == len(exact)
    assert got.counts.table[0, 2] == n - len(exact)


def test_sums_of_very_many_blocks():
    n, largest = 1_200_000, 2 - 2.0**-52
    got = Moments.of(block_of_matrix(np.full((n, 1), largest)))
    assert values_of(got.total) == [n * Fraction(largest)]
    assert values_of(got.squares) == [n * Fraction(largest) ** 2]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("function", ["moments", "extremes"])
@pytest.mark.parametrize("layout", ["C", "F", "column", "weights"])
def test_reference_gives_the_same_bytes(name, function, layout, target):
    rng = np.random.default_rng(1)
    matrix = np.stack([sample(name, 700, seed) for seed in range(19)], axis=1)
    weights = None
    if layout == "F":
        matrix = np.asfortranarray(matrix)
    elif layout == "column":
        matrix = np.ascontiguousarray(matrix[:, :1])
    elif layout == "weights":
        matrix = np.ascontiguousarray(matrix[:60])
        weights = np.where(rng.random(60) < 0.3, 0.0, np.ldexp(rng.random(60), rng.integers(-1074, 1000, 60)))
    block = block_of_matrix(matrix, weights)
    assert getattr(_kernel, function)(block.slots, block.runs) == getattr(_reference, function)(block.slots, block.runs)


@pytest.mark.parametrize("weighted", [False, True])
def test_segments_are_columns_of_their_own(weighted, target):
    rng = np.random.default_rng(2)
    column, bounds = rng.normal(size=90), np.array([0, 0, 17, 60, 90])
    weights = np.where(rng.random(90) < 0.3, 0.0, rng.random(90)) if weighted else None
    (run,) = block_of_matrix(column.reshape(-1, 1), weights).runs
    segments = kernel.Segments(run, bounds)
    assert _kernel.moments(4, segments) == _reference.moments(4, segments)
    whole = Moments.of(Block(4, 90, segments))
    for slot, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        own = None if weights is None else weights[start:stop]
        assert whole.take([slot]) == Moments.of(block_of_matrix(column[start:stop].reshape(-1, 1), own))


@pytest.mark.parametrize("kind", ["d", "f"])
@pytest.mark.parametrize("offset", [0, 1])
def test_neighbouring_columns_do_not_touch_each_other(kind, offset, target):
    with np.errstate(over="ignore"):
        matrix = np.stack([sample(name, 1100, 5) for name in [*SAMPLES, *SAMPLES]], axis=1).astype(kind)
    matrix[~np.isfinite(matrix)] = np.nan
    matrix[700, ::5], matrix[:, ::7] = np.nan, 0
    memory = bytearray(matrix.nbytes + offset)
    moved = np.frombuffer(memory, kind, matrix.size, offset).reshape(matrix.shape)
    moved[:] = matrix
    slots, (run,) = matrix.shape[1], block_of_matrix(moved).runs
    assert slots > 32
    assert _kernel.moments(slots, [run]) == _reference.moments(slots, block_of_matrix(matrix).runs)


@pytest.mark.parametrize("offset", [0, 1, 7, 13])
@pytest.mark.parametrize("kind", ["d", "f", "q", "Q", "i", "B"])
def test_validity_bitmap_and_offset(kind, offset, target):
    rng = np.random.default_rng(2)
    dtype = np.dtype(kind)
    column = rng.integers(0, 200, 1500).astype(dtype)
    missing = rng.random(1500) < 0.4
    array = pa.array(column, mask=missing)[offset : offset + 1300]
    got = Moments.of(block_of_arrays([array], ["x"]))
    kept = [Fraction(v) for v in array.to_pylist() if v is not None]
    assert values_of(got.total) == [sum(kept)]
    assert values_of(got.squares) == [sum(v * v for v in kept)]
    assert got.counts.table[0].tolist() == [len(kept), 1300 - len(kept), 0, 0, 0]


def test_what_lies_under_a_null_does_not_matter():
    values = np.array([1.0, np.inf, 2.0, np.nan])
    validity = pa.py_buffer(np.packbits([1, 0, 1, 0], bitorder="little").tobytes())
    array = pa.Array.from_buffers(pa.float64(), 4, [validity, pa.py_buffer(values)])
    got = Moments.of(block_of_arrays([array], ["x"]))
    assert got.counts.table[0].tolist() == [2, 2, 0, 0, 0]
    assert got.mean().tolist() == [1.5]


compiled = pytest.mark.skipif(not kernel.COMPILED, reason="the reference trusts its caller: it cannot read astray")


@compiled
@pytest.mark.parametrize(
    ("field", "value"),
    [("length", 3), ("offset", 17), ("slots", 2), ("slot", 1), ("type", "x"), ("stride", -8), ("stride", 16),
     ("validity_offset", 7)],
)  # fmt: skip
def test_a_run_outside_its_buffers_is_refused(field, value):
    good = kernel.Run(0, 1, "d", np.zeros(2), 0, 8, 0, 2, b"\xff", 0, None)
    kernel.moments(1, [good])
    with pytest.raises(ValueError, match="run"):
        _kernel.moments(1, [good._replace(**{field: value})])


@compiled
def test_weights_shorter_than_the_rows_are_refused():
    run = kernel.Run(0, 1, "d", np.zeros(2), 0, 8, 0, 2, None, 0, np.zeros(1))
    with pytest.raises(ValueError, match="weights"):
        _kernel.moments(1, [run])


@pytest.mark.parametrize("seed", range(20))
def test_wide_addition(seed):
    rng = np.random.default_rng(seed)

    def draw() -> list[tuple[int, int]]:
        bits = rng.integers(1, 300, 5)
        values = [int.from_bytes(rng.bytes(40), "little", signed=True) >> (320 - int(b)) for b in bits]
        return [(v, int(e)) for v, e in zip(values, rng.integers(-2000, 2000, 5), strict=True)]

    a, b = draw(), draw()
    x, y = Exact.of_fractions(a), Exact.of_fractions(b)
    plain = [
        Fraction(v) * Fraction(2) ** e + Fraction(w) * Fraction(2) ** f for (v, e), (w, f) in zip(a, b, strict=True)
    ]
    assert values_of(x + y) == plain
    assert x + y == y + x
    assert (x + y) - y == x
    assert x - x == Exact.empty(5)
    assert Exact.from_json((x + y).to_json()) == x + y


@pytest.mark.parametrize("text", ["", "1.5", "0x1", "1p", "1p99999", "nan", "1p-3265", "f" * 2000, "1p1 "])
def test_what_is_no_exact_number_is_refused(text):
    with pytest.raises(ValueError, match=r"exact number|out of range"):
        Exact.from_json([text])


def test_roots_are_correctly_rounded():
    rng = np.random.default_rng(0)
    for _ in range(500):
        a, b = (int(v) for v in rng.integers(1, 2**62, 2))
        shift = int(rng.integers(-1000, 1000))
        numerator, denominator = (a << shift, b) if shift > 0 else (a, b << -shift)
        root, square = Fraction(square_root(numerator, denominator)), Fraction(numerator, denominator)
        below, above = (Fraction(float(np.nextafter(float(root), side))) for side in (0.0, np.inf))
        assert ((below + root) / 2) ** 2 <= square <= ((above + root) / 2) ** 2


def test_quotients_beyond_float64():
    assert divide(1, 1, 2000) == np.inf
    assert divide(-1, 1, 2000) == -np.inf
    assert divide(1, 1, -2000) == 0.0
    assert square_root(1, 1 << 4000) == 0.0


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.skipif(not kernel.COMPILED, reason="the reference reads arrays, not capsules")
def test_a_record_batch_is_read_like_its_arrays(offset, nulls):
    """Through Arrow's C interface, with a slice's offset and a count of nulls that is not known yet."""
    kinds = [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]
    rows = [None if nulls and i % 7 == 2 else i % 100 for i in range(1100)]
    whole = pa.record_batch([pa.array(rows, kind) for kind in kinds], [str(kind) for kind in kinds])
    batch = whole.slice(offset, 1003)
    schema, array = batch.__arrow_c_array__()
    exported = kernel.Exported(schema, (array,))
    assert kernel.plain(exported.schema)
    runs = block_of_arrays(batch.columns, batch.schema.names).runs
    for function in (kernel.moments, kernel.extremes):
        assert function(len(kinds), exported) == function(len(kinds), runs)
    finest = np.full(len(kinds), 64, np.int64)
    assert kernel.histogram(len(kinds), exported, 64, finest) == kernel.histogram(len(kinds), runs, 64, finest)


@pytest.mark.parametrize("rows", [(0,), (1, 0, 700), (3000, 5, 513)])
@pytest.mark.skipif(not kernel.COMPILED, reason="the reference reads arrays, not capsules")
def test_batches_are_read_like_one(rows):
    x = np.random.default_rng(0).normal(size=(sum(rows), 3))
    x[-1:, 1] = np.inf
    whole = pa.record_batch(dict(zip("abc", map(pa.array, x.T), strict=True)))
    ends = np.cumsum((0, *rows))
    parts = [whole.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]
    schemas, arrays = zip(*(part.__arrow_c_array__() for part in parts), strict=True)
    runs, exported = block_of_arrays(whole.columns, whole.schema.names).runs, kernel.Exported(schemas[0], arrays)
    for function in (kernel.moments, kernel.extremes):
        assert function(3, exported) == function(3, runs)
    finest = np.full(3, 64, np.int64)
    assert kernel.histogram(3, exported, 64, finest) == kernel.histogram(3, runs, 64, finest)


@pytest.mark.skipif(not kernel.COMPILED, reason="the reference reads arrays, not capsules")
def test_a_batch_of_other_columns_is_refused():
    batch = pa.record_batch({"a": [1.0], "b": ["x"]})
    schema, array = batch.__arrow_c_array__()
    exported = kernel.Exported(schema, (array,))
    assert not kernel.plain(exported.schema)
    with pytest.raises(TypeError, match="column 1"):
        kernel.moments(2, exported)
    with pytest.raises(ValueError, match="column for each slot"):
        kernel.moments(1, exported)


@pytest.mark.parametrize("given", "bBhHiIlLqQfd")
@pytest.mark.parametrize("wanted", ["d", "f"])
@pytest.mark.parametrize("period", [1, 3, 15, 700, 2100])
@pytest.mark.parametrize("operations", ["-/", "*+", "+-*/"])
def test_arithmetic_is_that_of_numpy(given, wanted, period, operations, target):
    rng = np.random.default_rng(3)
    values = rng.normal(size=2100) * 100
    if np.dtype(given).kind == "u":  # what becomes of negative ones differs between processors
        values = abs(values)
    x = values.astype(given).reshape(-1, period)
    operands = rng.normal(size=(len(operations), period))
    expected = x.astype(np.float64)
    for operation, operand in zip(operations, operands, strict=True):
        expected = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[operation](expected, operand)
    for arithmetic in (_kernel.arithmetic, _reference.arithmetic):
        out = np.empty(x.shape, wanted)
        assert arithmetic(x, operations, operands, out) == -1
        assert out.tobytes() == expected.astype(wanted).tobytes()


@pytest.mark.parametrize("kind", ["d", "f"])
@pytest.mark.parametrize("at", [0, 511, 512, 1299])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_arithmetic_tells_the_first_infinity(kind, at, value, target):
    x = np.full(1300, np.nan, kind)
    x[::3] = np.finfo(kind).max
    x[at] = value
    x[1299] = np.inf
    operands = np.array([[1.0], [2.0]])
    assert _kernel.arithmetic(x, "-/", operands, np.empty_like(x)) == at
    assert _reference.arithmetic(x, "-/", operands, np.empty_like(x)) == at
    assert _kernel.arithmetic(x, "-/", operands, x) == at  # also where x is written over


@pytest.mark.parametrize("kind", ["b", "d", "f"])
@pytest.mark.parametrize("at", [0, 511, 512, 1299])
def test_arithmetic_tells_the_first_result_beyond_the_output(kind, at, target):
    x = np.zeros(1300, kind)
    x[at], x[1299] = -100, 100
    operands = np.array([[2.0], [1e37]])
    for arithmetic in (_kernel.arithmetic, _reference.arithmetic):
        assert arithmetic(x, "/*", operands, np.empty(1300)) == -1
        assert arithmetic(x, "/*", operands, np.empty(1300, "f")) == at
        assert arithmetic(x, "/*", np.array([[2.0], [1e307]]), np.empty(1300)) == at
    if kind == "d":
        assert _kernel.arithmetic(x, "/*", np.array([[2.0], [1e307]]), x) == at


@pytest.mark.parametrize("operand", [0.0, np.inf, np.nan])
def test_an_infinity_is_told_though_its_result_is_none(operand, target):
    x = np.array([1.0, -np.inf, 1.0])
    for arithmetic in (_kernel.arithmetic, _reference.arithmetic):
        assert arithmetic(x, "*-", np.array([[operand], [np.inf]]), np.empty(3, "f")) in (0, 1)
        assert arithmetic(x, "*", np.array([[operand]]), np.empty(3)) == (0 if operand == np.inf else 1)


@pytest.mark.parametrize("kind", ["d", "f"])
def test_arithmetic_at_addresses_that_are_not_aligned(kind, target):
    width = np.dtype(kind).itemsize
    raw, room = (bytearray(1000 * width + 1) for _ in range(2))
    x, out = (np.frombuffer(memory, kind, 1000, offset=1) for memory in (raw, room))
    x[:] = np.arange(1000)
    assert _kernel.arithmetic(x, "*", np.array([[0.1]]), out) == -1
    assert out.tolist() == (np.arange(1000) * 0.1).astype(kind).tolist()


@pytest.mark.skipif(not kernel.COMPILED, reason="the reference leaves it to numpy")
@pytest.mark.parametrize(
    ("x", "operations", "operands", "out"),
    [
        (np.zeros(4), "-", np.zeros((1, 1)), np.zeros(5)),
        (np.zeros(4), "-", np.zeros((2, 1)), np.zeros(4)),
        (np.zeros(4), "%", np.zeros((1, 1)), np.zeros(4)),
        (np.zeros(4), "-", np.zeros((1, 0)), np.zeros(4)),
        (np.zeros(4), "-", np.zeros((1, 3)), np.zeros(4)),
        (np.zeros(4), "", np.zeros((0, 1)), np.zeros(4)),
        (np.zeros(4), "-", np.zeros((1, 1), "f"), np.zeros(4)),
        (np.zeros(4), "-", np.zeros(1), np.zeros(4)),
        (np.zeros(4), "-", np.zeros((1, 1)), np.zeros(4, "q")),
        (np.zeros(4, "e"), "-", np.zeros((1, 1)), np.zeros(4)),
        (np.zeros(4, ">f8"), "-", np.zeros((1, 1)), np.zeros(4)),
    ],
)
def test_arithmetic_refuses_what_does_not_fit(x, operations, operands, out):
    with pytest.raises(ValueError, match="do not fit"):
        _kernel.arithmetic(x, operations, operands, out)


@pytest.mark.parametrize("longest", [kernel.longest, _reference.longest], ids=["kernel", "reference"])
def test_the_longest_text(longest):
    texts = [b"", b"a", b"longest of all", b"bc", bytes(range(256)) * 300]
    for upto in range(len(texts) + 1):
        data = b"".join(len(text).to_bytes(4, "little") + text for text in texts[:upto])
        assert longest(data) == max(map(len, texts[:upto]), default=0)
        assert longest(memoryview(data + b"\1\0\0")) == longest(data)  # the beginning of a length
        assert longest(pa.py_buffer(data + b"\xff\xff\xff\xff" + bytes(100_000))) == 100_000  # more than there is
