/* Sums of the products of every two columns, without rounding. The twin of products.py, where the method is told.
 *
 * Values are cut into slices of 22 bits, eight columns abreast in a panel of 128 rows. A tile is what two panels of slices
 * give: 64 sums, which float64 holds; it is added to integers. */
#ifndef STREAMNORM_PRODUCTS_H
#define STREAMNORM_PRODUCTS_H

#include "arithmetic.h"

/* Bits of a slice, and slices at most. */
enum { SLICE_BITS = 22, MOST_SLICES = 8 };

/* Columns, far more than whose products there is memory for. */
enum { MOST_COLUMNS = 1 << 20 };

/* What may be odd about a row, the worse the greater: a value that the slices do not hold, one beyond the grid. */
enum { LEFT = 1, BEYOND = 2 };

enum { ABREAST = 8, PANEL_ROWS = 128, TILE_SUMS = ABREAST * ABREAST };

typedef struct {
    double at[PANEL_ROWS][ABREAST];
} panel;

/* ---- the loops that are compiled once per instruction set ---- */

/* The first slice of what is left, in units of 1: an addition rounds to them. */
#define CUT(rest) (((rest) + 0x1.8p52) - 0x1.8p52)

/* Cut a panel of values into slices, which are `step` panels apart in `out`. A place of `odd` becomes at least LEFT where the
 * slices do not hold the value, and BEYOND where the grid does not. Give whether one did. */
INLINE int cut_body(const panel *x, const double *scale, int slices, panel *out, int64_t step, panel *odd)
{
    const double limit = (double)(1 << (SLICE_BITS - 1)), finer = (double)(1 << SLICE_BITS);
    double some[ABREAST] = {0}, sum = 0;
    panel rest;
    for (int i = 0; i < PANEL_ROWS; i++)
        SIMD() for (int j = 0; j < ABREAST; j++) {
            double value = x->at[i][j] * scale[j];
            rest.at[i][j] = fabs(value) > limit ? 0.0 : value;
        }
    for (int p = 0; p < slices; p++, out += step)
        for (int i = 0; i < PANEL_ROWS; i++)
            SIMD() for (int j = 0; j < ABREAST; j++) {
                double slice = CUT(rest.at[i][j]);
                rest.at[i][j] = (rest.at[i][j] - slice) * finer;
                out->at[i][j] = slice;
            }
    for (int i = 0; i < PANEL_ROWS; i++)
        SIMD() for (int j = 0; j < ABREAST; j++) {
            double value = x->at[i][j] * scale[j], kind = rest.at[i][j] != 0 ? LEFT : 0.0;
            kind = value == 0 ? (x->at[i][j] == 0 ? 0.0 : LEFT) : kind; /* 0 by scaling */
            kind = fabs(value) > limit ? BEYOND : kind;
            odd->at[i][j] = kind > odd->at[i][j] ? kind : odd->at[i][j];
            some[j] += kind;
        }
    for (int j = 0; j < ABREAST; j++)
        sum += some[j];
    return sum != 0;
}

/* Sum the slices of each column of a panel; tell whether one is not 0. */
INLINE int total_body(const panel *x, double *sums)
{
    double sum[ABREAST] = {0}, size[ABREAST] = {0}, all = 0;
    for (int i = 0; i < PANEL_ROWS; i++)
        SIMD() for (int j = 0; j < ABREAST; j++) {
            sum[j] += x->at[i][j];
            size[j] += fabs(x->at[i][j]);
        }
    for (int j = 0; j < ABREAST; j++) {
        sums[j] = sum[j];
        all += size[j];
    }
    return all != 0;
}

/* Multiply n rows of two panels: out[i * ABREAST + j] is the sum of y_i x_j. `rows` of them at a time stay in registers. */
INLINE void tile_body(const panel *x, const panel *y, int n, const int rows, const int fused, double *out)
{
    for (int first = 0; first < ABREAST; first += rows) {
        double sum[ABREAST][ABREAST];
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < ABREAST; j++)
                sum[i][j] = 0;
        for (int k = 0; k < n; k++)
            for (int i = 0; i < rows; i++)
                SIMD() for (int j = 0; j < ABREAST; j++) {
                    double one = x->at[k][j], other = y->at[k][first + i];
                    sum[i][j] = fused ? fma(one, other, sum[i][j]) : sum[i][j] + one * other;
                }
        memcpy(out + first * ABREAST, sum, (size_t)rows * sizeof *sum);
    }
}

/* Add a tile to integers, or take it from them. An addition to 2^52 + 2^51 leaves an integer of up to 2^51 in the last bits. */
INLINE void add_tile_body(const double *tile, int taken, uint64_t *to)
{
    SIMD() for (int i = 0; i < TILE_SUMS; i++) {
        double shifted = tile[i] + 0x1.8p52;
        uint64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        bits -= UINT64_C(0x4338000000000000);
        to[i] += taken ? 0 - bits : bits;
    }
}

INLINE void add_panels_body(const panel *x, const panel *y, panel *out)
{
    for (int i = 0; i < PANEL_ROWS; i++)
        SIMD() for (int j = 0; j < ABREAST; j++) out->at[i][j] = x->at[i][j] + y->at[i][j];
}

/* Rows of a tile that registers have room for. */
enum { ROWS_baseline = FUSED_baseline ? 4 : 2, ROWS_avx2 = 4, ROWS_avx512 = 8 };

#define PRODUCTS_LOOPS(suffix, target)                                                                                     \
    target static int cut_##suffix(const panel *x, const double *scale, int slices, panel *out, int64_t step, panel *odd) \
    {                                                                                                                     \
        return cut_body(x, scale, slices, out, step, odd);                                                                \
    }                                                                                                                     \
    target static int total_##suffix(const panel *x, double *sums) { return total_body(x, sums); }                        \
    target static void tile_##suffix(const panel *x, const panel *y, int n, double *out)                                  \
    {                                                                                                                     \
        tile_body(x, y, n, ROWS_##suffix, FUSED_##suffix, out);                                                           \
    }                                                                                                                     \
    target static void add_panels_##suffix(const panel *x, const panel *y, panel *out) { add_panels_body(x, y, out); }    \
    target static void add_tile_##suffix(const double *tile, int taken, uint64_t *to) { add_tile_body(tile, taken, to); }
EACH_TARGET(PRODUCTS_LOOPS)

static int (*cut)(const panel *, const double *, int, panel *, int64_t, panel *);
static int (*total)(const panel *, double *);
static void (*add_panels)(const panel *, const panel *, panel *);
static void (*tile)(const panel *, const panel *, int, double *);
static void (*add_tile)(const double *, int, uint64_t *);
#define USE_PRODUCTS_LOOPS(suffix) \
    (cut = cut_##suffix, total = total_##suffix, add_panels = add_panels_##suffix, \
     tile = tile_##suffix, add_tile = add_tile_##suffix)

/* ---- all values ---- */

typedef struct {
    const char *values; /* row r, column c at values + r * row_stride + c * column_stride */
    int64_t rows, columns, row_stride, column_stride;
    const int64_t *exponents;
    int slices;
    int64_t most;         /* rows that may be put aside for one reason */
    int64_t *digits;      /* of shape (2 * slices - 1, columns, columns) */
    int64_t *totals;      /* of shape (slices, columns) */
    uint8_t *aside;       /* of shape (rows,) */
    int64_t beyond, left; /* rows that were put aside */
    int64_t panels;
    panel *cut;      /* of shape (slices, panels) */
    panel *sums;     /* of shape (panels,): of two slices */
    uint64_t *tiles; /* of shape (pairs of panels, 2 * slices - 1, TILE_SUMS) */
} multiplying;

/* Copy up to ABREAST columns of n rows to a panel, with zeros beside and behind them. */
static void load_panel(const multiplying *m, int64_t row, int n, int64_t column, panel *out)
{
    const char *from = m->values + row * m->row_stride + column * m->column_stride;
    int width = (int)(m->columns - column < ABREAST ? m->columns - column : ABREAST);
    if (width < ABREAST || n < PANEL_ROWS)
        memset(out, 0, sizeof *out);
    if (width == ABREAST && m->column_stride == (int64_t)sizeof(double))
        for (int i = 0; i < n; i++)
            memcpy(out->at[i], from + i * m->row_stride, sizeof out->at[i]);
    else
        for (int i = 0; i < n; i++)
            for (int j = 0; j < width; j++)
                memcpy(&out->at[i][j], from + i * m->row_stride + j * m->column_stride, sizeof(double));
}

/* Cut n rows into slices, but for those that are put aside; tell whether so many may be. */
static int cut_rows(multiplying *m, int64_t row, int n)
{
    uint8_t *marks = m->aside + row;
    double scale[ABREAST];
    panel values, odd;
    int some = 0;
    memset(&odd, 0, sizeof odd);
    memset(marks, 0, (size_t)n);
    for (int64_t i = 0; i < m->panels; i++) {
        for (int j = 0; j < ABREAST; j++) {
            int64_t column = i * ABREAST + j;
            scale[j] = column < m->columns ? ldexp(1.0, (int)(SLICE_BITS - 1 - m->exponents[column])) : 1;
        }
        load_panel(m, row, n, i * ABREAST, &values);
        some |= cut(&values, scale, m->slices, m->cut + i, m->panels, &odd);
    }
    for (int i = 0; some && i < n; i++) {
        for (int j = 0; j < ABREAST; j++)
            marks[i] = (uint8_t)(odd.at[i][j] > marks[i] ? odd.at[i][j] : marks[i]);
        m->beyond += marks[i] == BEYOND;
        m->left += marks[i] == LEFT;
        for (int64_t at = 0; marks[i] != 0 && at < m->slices * m->panels; at++)
            memset(m->cut[at].at[i], 0, sizeof m->cut[at].at[i]);
    }
    return m->beyond <= m->most && m->left <= m->most;
}

/* Add the slices of each column to its totals; give how many slices are not all zeros. */
static int add_totals(multiplying *m)
{
    int used = 0;
    for (int p = 0; p < m->slices; p++)
        for (int64_t i = 0; i < m->panels; i++) {
            double sums[ABREAST];
            if (total(m->cut + p * m->panels + i, sums))
                used = p + 1;
            for (int64_t j = 0; j < ABREAST && i * ABREAST + j < m->columns; j++)
                m->totals[p * m->columns + i * ABREAST + j] += (int64_t)sums[j];
        }
    return used;
}

/* Multiply n rows of the panels of slice p with themselves, or those of sums of slices p and q. The sum of a_i b_j + b_i a_j
 * is that of (a + b)_i (a + b)_j, less those of a_i a_j and b_i b_j: these are taken from every digit that p has a part in. */
static void multiply(multiplying *m, const panel *panels, int n, int p, int q, int used)
{
    double products[TILE_SUMS];
    int digits = 2 * m->slices - 1;
    uint64_t *to = m->tiles;
    for (int64_t i = 0; i < m->panels; i++)
        for (int64_t j = i; j < m->panels; j++, to += digits * TILE_SUMS) {
            tile(panels + j, panels + i, n, products);
            add_tile(products, 0, to + (p + q) * TILE_SUMS);
            for (int other = 0; p == q && other < used; other++)
                if (other != p)
                    add_tile(products, 1, to + (p + other) * TILE_SUMS);
        }
}

/* Add the tiles to the upper triangles of the digits. */
static void add_digits(multiplying *m)
{
    int digits = 2 * m->slices - 1;
    const uint64_t *from = m->tiles;
    for (int64_t i = 0; i < m->columns; i += ABREAST)
        for (int64_t j = i; j < m->columns; j += ABREAST)
            for (int digit = 0; digit < digits; digit++, from += TILE_SUMS)
                for (int at = 0; at < TILE_SUMS; at++) {
                    int64_t row = i + at / ABREAST, column = j + at % ABREAST;
                    if (row <= column && column < m->columns) {
                        int64_t *to = m->digits + (digit * m->columns + row) * m->columns + column;
                        *to = (int64_t)((uint64_t)*to + from[at]);
                    }
                }
}

/* Give the rows that were multiplied or put aside. */
static int64_t multiply_rows(multiplying *m)
{
    int64_t row = 0;
    while (row < m->rows) {
        int n = (int)(m->rows - row < PANEL_ROWS ? m->rows - row : PANEL_ROWS), used;
        if (!cut_rows(m, row, n))
            break;
        used = add_totals(m);
        for (int p = 0; p < used; p++) {
            const panel *own = m->cut + p * m->panels;
            multiply(m, own, n, p, p, used);
            for (int q = p + 1; q < used; q++) {
                for (int64_t i = 0; i < m->panels; i++)
                    add_panels(own + i, m->cut + q * m->panels + i, m->sums + i);
                multiply(m, m->sums, n, p, q, used);
            }
        }
        row += n;
    }
    add_digits(m);
    return row;
}

PyDoc_STRVAR(products_doc,
             "products(x, exponents, slices, most, digits, totals, aside) -> (rows, left)\n\n"
             "Cut x, a float64 array of shape (rows, columns), into slices on grids of 2**(exponent - 21) for each "
             "column and 2**22 finer each. The products of slices p and q of every two columns are added to the upper triangle "
             "of `digits[p + q]`, int64 of shape (2 slices - 1, columns, columns), and the slices to `totals`, int64 of shape "
             "(slices, columns). Rows with a value beyond the grid, or one that the slices do not hold, are left out and "
             "marked in `aside`, uint8 of shape (rows,); before more than `most` of either the call ends. Give the rows that "
             "were gone through, and those that the slices do not hold, of these and of those that the call ended before.");

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

static int get_room(multiplying *m)
{
    size_t tiles = (size_t)(m->panels * (m->panels + 1) / 2 * (2 * m->slices - 1)) * TILE_SUMS;
    m->cut = malloc(((size_t)m->slices + 1) * (size_t)m->panels * sizeof *m->cut + 1);
    m->sums = m->cut == NULL ? NULL : m->cut + m->slices * m->panels;
    m->tiles = calloc(tiles + 1, sizeof *m->tiles);
    if (m->cut != NULL && m->tiles != NULL)
        return 1;
    PyErr_NoMemory();
    return 0;
}

static PyObject *kernel_products(PyObject *self, PyObject *args)
{
    Py_buffer x = {0}, exponents = {0}, digits = {0}, totals = {0}, aside = {0};
    PyObject *values, *grids, *target, *sums, *marks, *result = NULL;
    multiplying m;
    long long most;
    int64_t rows;
    (void)self;
    memset(&m, 0, sizeof m);
    if (!PyArg_ParseTuple(args, "OOiLOOO", &values, &grids, &m.slices, &most, &target, &sums, &marks) ||
        PyObject_GetBuffer(values, &x, PyBUF_STRIDES | PyBUF_FORMAT) < 0)
        goto done;
    if (x.ndim != 2 || number_type(&x) != 'd' || x.shape[1] > MOST_COLUMNS || m.slices < 1 || m.slices > MOST_SLICES) {
        PyErr_SetString(PyExc_ValueError, "values are a matrix of float64, cut into 1 to 8 slices");
        goto done;
    }
    m.rows = x.shape[0];
    m.columns = x.shape[1];
    m.panels = (m.columns + ABREAST - 1) / ABREAST;
    if (!get_items(grids, &exponents, 'q', m.columns, 0) ||
        !get_items(target, &digits, 'q', (2 * m.slices - 1) * m.columns * m.columns, PyBUF_WRITABLE) ||
        !get_items(sums, &totals, 'q', m.slices * m.columns, PyBUF_WRITABLE) ||
        !get_items(marks, &aside, 'B', m.rows, PyBUF_WRITABLE))
        goto done;
    m.most = most;
    m.values = x.buf;
    m.row_stride = x.strides[0];
    m.column_stride = x.strides[1];
    m.exponents = exponents.buf;
    m.digits = digits.buf;
    m.totals = totals.buf;
    m.aside = aside.buf;
    for (int64_t i = 0; i < m.columns; i++)
        if (m.exponents[i] < -900 || m.exponents[i] > 900) {
            PyErr_SetString(PyExc_ValueError, "an exponent is out of range");
            goto done;
        }
    if (!get_room(&m))
        goto done;
    Py_BEGIN_ALLOW_THREADS
    STRICTLY(rows = multiply_rows(&m));
    Py_END_ALLOW_THREADS
    result = Py_BuildValue("LL", (long long)rows, (long long)m.left);
done:
    free(m.cut);
    free(m.tiles);
    PyBuffer_Release(&x);
    PyBuffer_Release(&exponents);
    PyBuffer_Release(&digits);
    PyBuffer_Release(&totals);
    PyBuffer_Release(&aside);
    return result;
}

#endif
