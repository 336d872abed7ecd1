/* Values as slices of 22 bits on one grid for each column, and the sums of two slices: what a matrix product multiplies
 * without rounding. The twin of slices.py, where the method is told. */
#ifndef STREAMNORM_SLICES_H
#define STREAMNORM_SLICES_H

#include "arithmetic.h"

/* Bits of a slice, and slices at most. */
enum { SLICE_BITS = 22, MOST_SLICES = 8 };

/* What may be odd about a row, the worse the greater: a value that the slices do not hold, one beyond the grid. */
enum { LEFT = 1, BEYOND = 2 };

/* ---- the loops that are compiled once per instruction set ---- */

/* The first slice of what is left, in units of 1: an addition rounds to them. */
#define CUT(rest) (((rest) + 0x1.8p52) - 0x1.8p52)

/* Cut a block of a column into three slices, `step` apart in `out`, with the sums of every two behind them: a value is read
 * once and all six are written. Sums and magnitudes are of integers, so that vectors may add them in any order. `odd` of a
 * row becomes at least LEFT where the slices do not hold its value, and BEYOND where the grid does not. Give whether one is. */
INLINE int cut_three_body(const double *x, double scale, double *out, int64_t step, double *sums, double *sizes, double *odd)
{
    const double limit = (double)(1 << (SLICE_BITS - 1)), finer = (double)(1 << SLICE_BITS);
    double some = 0, sum_a = 0, sum_b = 0, sum_c = 0, size_a = 0, size_b = 0, size_c = 0;
    double *as = out, *bs = as + step, *cs = bs + step, *ab = cs + step, *ac = ab + step, *bc = ac + step;
    SIMD(reduction(+ : some, sum_a, sum_b, sum_c, size_a, size_b, size_c))
    for (int i = 0; i < BLOCK; i++) {
        double value = x[i] * scale, rest = fabs(value) > limit ? 0.0 : value, a = CUT(rest), b, c, all, kind;
        all = rest;
        rest = (rest - a) * finer;
        b = CUT(rest);
        rest = (rest - b) * finer;
        c = CUT(rest);
        kind = (rest != c ? LEFT : 0.0) + (all == 0 ? LEFT : 0.0) - (x[i] == 0 ? LEFT : 0.0); /* or 0 by scaling */
        kind = fabs(value) > limit ? BEYOND : kind;
        odd[i] = kind > odd[i] ? kind : odd[i];
        some += kind;
        as[i] = a;
        bs[i] = b;
        cs[i] = c;
        ab[i] = a + b;
        ac[i] = a + c;
        bc[i] = b + c;
        sum_a += a;
        sum_b += b;
        sum_c += c;
        size_a += fabs(a);
        size_b += fabs(b);
        size_c += fabs(c);
    }
    sums[0] = sum_a, sums[1] = sum_b, sums[2] = sum_c;
    sizes[0] = size_a, sizes[1] = size_b, sizes[2] = size_c;
    return some != 0;
}

/* The same for any number of slices, one after the other. */
INLINE int cut_body(const double *x, double scale, int slices, double *out, int64_t step, double *sums, double *sizes,
                    double *odd)
{
    const double limit = (double)(1 << (SLICE_BITS - 1)), finer = (double)(1 << SLICE_BITS);
    double rest[BLOCK], some = 0, *pair = out + slices * step;
    SIMD()
    for (int i = 0; i < BLOCK; i++) {
        double value = x[i] * scale;
        rest[i] = fabs(value) > limit ? 0.0 : value;
    }
    for (int p = 0; p < slices; p++) {
        double *to = out + p * step, sum = 0, size = 0;
        SIMD(reduction(+ : sum, size))
        for (int i = 0; i < BLOCK; i++) {
            double slice = CUT(rest[i]);
            rest[i] = (rest[i] - slice) * finer;
            to[i] = slice;
            sum += slice;
            size += fabs(slice);
        }
        sums[p] = sum;
        sizes[p] = size;
    }
    for (int p = 0; p < slices; p++)
        for (int q = p + 1; q < slices; q++, pair += step) {
            const double *a = out + p * step, *b = out + q * step;
            SIMD() for (int i = 0; i < BLOCK; i++) pair[i] = a[i] + b[i];
        }
    SIMD(reduction(+ : some))
    for (int i = 0; i < BLOCK; i++) {
        double value = x[i] * scale, kind = rest[i] != 0 ? LEFT : 0.0;
        kind = value == 0 ? (x[i] == 0 ? 0.0 : LEFT) : kind;
        kind = fabs(value) > limit ? BEYOND : kind;
        odd[i] = kind > odd[i] ? kind : odd[i];
        some += kind;
    }
    return some != 0;
}

#define SLICES_LOOPS(suffix, target)                                                                             \
    target static int cut_##suffix(const double *x, double scale, int slices, double *out, int64_t step,         \
                                   double *sums, double *sizes, double *odd)                                     \
    {                                                                                                            \
        return slices == 3 ? cut_three_body(x, scale, out, step, sums, sizes, odd)                               \
                           : cut_body(x, scale, slices, out, step, sums, sizes, odd);                            \
    }
EACH_TARGET(SLICES_LOOPS)

static int (*cut)(const double *, double, int, double *, int64_t, double *, double *, double *);
#define USE_SLICES_LOOPS(suffix) (cut = cut_##suffix)

/* ---- all values ---- */

typedef struct {
    const char *values; /* row r, column c at values + r * row_stride + c * column_stride */
    int64_t rows, columns, row_stride, column_stride;
    const int64_t *exponents;
    int slices;
    double *out;      /* of shape (blocks, slices + pairs, columns, BLOCK) */
    int64_t *totals;  /* of shape (slices, columns) */
    uint8_t *aside;   /* of shape (rows,) */
    int64_t beyond, left; /* rows that have such values */
    int used;
} slicing;

enum { ABREAST = 8 };

/* Copy the n values of up to ABREAST columns from `column` on, with zeros behind them. */
static void load_abreast(const slicing *s, int64_t row, int n, int64_t column, int width, double (*out)[BLOCK])
{
    const char *from = s->values + row * s->row_stride + column * s->column_stride;
    if (s->row_stride == (int64_t)sizeof(double))
        for (int c = 0; c < width; c++)
            memcpy(out[c], from + c * s->column_stride, (size_t)n * sizeof(double));
    else
        for (int i = 0; i < n; i++, from += s->row_stride)
            for (int c = 0; c < width; c++)
                memcpy(&out[c][i], from + c * s->column_stride, sizeof(double));
    for (int c = 0; c < width; c++)
        memset(out[c] + n, 0, (size_t)(BLOCK - n) * sizeof(double));
}

static void slice_block(slicing *s, int64_t block)
{
    int64_t row = block * BLOCK, step = s->columns * BLOCK, matrices = s->slices * (s->slices + 1) / 2;
    int n = (int)(s->rows - row < BLOCK ? s->rows - row : BLOCK), some = 0;
    double *out = s->out + block * matrices * step, values[ABREAST][BLOCK], odd[BLOCK] = {0};
    uint8_t *marks = s->aside + row;
    memset(marks, 0, (size_t)n);
    for (int64_t first = 0; first < s->columns; first += ABREAST) {
        int width = (int)(s->columns - first < ABREAST ? s->columns - first : ABREAST);
        load_abreast(s, row, n, first, width, values);
        for (int c = 0; c < width; c++) {
            int64_t column = first + c;
            double scale = ldexp(1.0, (int)(SLICE_BITS - 1 - s->exponents[column])), sums[MOST_SLICES], sizes[MOST_SLICES];
            some |= cut(values[c], scale, s->slices, out + column * BLOCK, step, sums, sizes, odd);
            for (int p = 0; p < s->slices; p++) {
                s->totals[p * s->columns + column] += (int64_t)sums[p];
                s->used = sizes[p] != 0 && p >= s->used ? p + 1 : s->used;
            }
        }
    }
    for (int i = 0; some && i < n; i++) {
        marks[i] = (uint8_t)odd[i];
        s->beyond += marks[i] == BEYOND;
        s->left += marks[i] == LEFT;
        for (int64_t at = 0; marks[i] != 0 && at < matrices * s->columns; at++) {
            if (at < s->slices * s->columns)
                s->totals[at] -= (int64_t)out[at * BLOCK + i];
            out[at * BLOCK + i] = 0;
        }
    }
}

PyDoc_STRVAR(slices_doc,
             "slices(x, exponents, slices, out, totals, aside) -> (beyond, left, used)\n\n"
             "Cut x, a float64 array of shape (rows, columns), into slices on grids of 2**(exponent - 21) for each "
             "column and 2**22 finer each. `out`, float64 of shape (blocks, slices (slices + 1) / 2, columns, 512), gets "
             "the slices as integers, then the sums of every two; the sums of slices are added to `totals`, int64 of "
             "shape (slices, columns). Rows with a value beyond the grid, or one that the slices do not hold, are left out "
             "and marked in `aside`, uint8 of shape (rows,): they are counted.");

/* A C-contiguous buffer of so many items of a type, none negative; 0 where it is something else. */
static int get_items(PyObject *from, Py_buffer *view, char type, int64_t items, int flags)
{
    if (PyObject_GetBuffer(from, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0)
        return 0;
    if (number_type(view) == type && view->len / view->itemsize == items)
        return 1;
    PyErr_SetString(PyExc_ValueError, "values, exponents and results do not fit each other");
    return 0;
}

static PyObject *kernel_slices(PyObject *self, PyObject *args)
{
    Py_buffer x = {0}, exponents = {0}, out = {0}, totals = {0}, aside = {0};
    PyObject *values, *grids, *target, *sums, *marks, *result = NULL;
    slicing s;
    int64_t blocks;
    (void)self;
    memset(&s, 0, sizeof s);
    if (!PyArg_ParseTuple(args, "OOiOOO", &values, &grids, &s.slices, &target, &sums, &marks) ||
        PyObject_GetBuffer(values, &x, PyBUF_STRIDES | PyBUF_FORMAT) < 0)
        goto done;
    if (x.ndim != 2 || number_type(&x) != 'd' || s.slices < 1 || s.slices > MOST_SLICES) {
        PyErr_SetString(PyExc_ValueError, "values are a matrix of float64, cut into 1 to 8 slices");
        goto done;
    }
    s.rows = x.shape[0];
    s.columns = x.shape[1];
    blocks = (s.rows + BLOCK - 1) / BLOCK;
    if (!get_items(grids, &exponents, 'q', s.columns, 0) ||
        !get_items(target, &out, 'd', blocks * (s.slices * (s.slices + 1) / 2) * s.columns * BLOCK, PyBUF_WRITABLE) ||
        !get_items(sums, &totals, 'q', s.slices * s.columns, PyBUF_WRITABLE) ||
        !get_items(marks, &aside, 'B', s.rows, PyBUF_WRITABLE))
        goto done;
    s.values = x.buf;
    s.row_stride = x.strides[0];
    s.column_stride = x.strides[1];
    s.exponents = exponents.buf;
    s.out = out.buf;
    s.totals = totals.buf;
    s.aside = aside.buf;
    for (int64_t i = 0; i < s.columns; i++)
        if (s.exponents[i] < -900 || s.exponents[i] > 900) {
            PyErr_SetString(PyExc_ValueError, "an exponent is out of range");
            goto done;
        }
    Py_BEGIN_ALLOW_THREADS
    STRICTLY(for (int64_t block = 0; block < blocks; block++) slice_block(&s, block));
    Py_END_ALLOW_THREADS
    result = Py_BuildValue("LLi", (long long)s.beyond, (long long)s.left, s.used);
done:
    PyBuffer_Release(&x);
    PyBuffer_Release(&exponents);
    PyBuffer_Release(&out);
    PyBuffer_Release(&totals);
    PyBuffer_Release(&aside);
    return result;
}

#endif
