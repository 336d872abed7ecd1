/* Steps of arithmetic with an operand for each column, over blocks of values that stay in the cache.
 *
 * Every step is rounded on its own, in float64, whatever is read and written; a float32 result is rounded to
 * float32 once, at the end. */
#ifndef STREAMNORM_ARITHMETIC_H
#define STREAMNORM_ARITHMETIC_H

#include "arguments.h"

/* ---- the loops that are compiled once per instruction set; `y` may be `x` ---- */

INLINE void step_body(char operation, const double *x, const double *operand, int n, double *y)
{
    switch (operation) {
    case '+': SIMD() for (int i = 0; i < n; i++) y[i] = x[i] + operand[i]; break;
    case '-': SIMD() for (int i = 0; i < n; i++) y[i] = x[i] - operand[i]; break;
    case '*': SIMD() for (int i = 0; i < n; i++) y[i] = x[i] * operand[i]; break;
    default: SIMD() for (int i = 0; i < n; i++) y[i] = x[i] / operand[i];
    }
}

INLINE void narrow_body(const double *x, int n, float *y)
{
    SIMD() for (int i = 0; i < n; i++) y[i] = (float)x[i];
}

#define ARITHMETIC_BODIES(name, T)                                                                   \
    /* The first infinity of a block, or -1; NaN is passed over. */                                  \
    INLINE int infinity_##name##_body(const T *x, int n)                                             \
    {                                                                                                \
        T greatest[LANES] = {0}, most = 0;                                                           \
        int first = 0;                                                                               \
        IN_LANES(T, x, n, {                                                                          \
            T size = value < 0 ? -value : value;                                                     \
            greatest[lane] = size > greatest[lane] ? size : greatest[lane];                          \
        });                                                                                          \
        for (int i = 0; i < LANES; i++)                                                              \
            most = greatest[i] > most ? greatest[i] : most;                                          \
        if (!isinf(most))                                                                            \
            return -1;                                                                               \
        while (!isinf(x[first]))                                                                     \
            first++;                                                                                 \
        return first;                                                                                \
    }
ARITHMETIC_BODIES(f64, double)
ARITHMETIC_BODIES(f32, float)

#define ARITHMETIC_LOOPS(suffix, target)                                                                         \
    target static void step_##suffix(char operation, const double *x, const double *operand, int n, double *y)   \
    {                                                                                                            \
        step_body(operation, x, operand, n, y);                                                                  \
    }                                                                                                            \
    target static void narrow_##suffix(const double *x, int n, float *y) { narrow_body(x, n, y); }               \
    target static int infinity_f64_##suffix(const double *x, int n) { return infinity_f64_body(x, n); }          \
    target static int infinity_f32_##suffix(const float *x, int n) { return infinity_f32_body(x, n); }
EACH_TARGET(ARITHMETIC_LOOPS)

static void (*step)(char, const double *, const double *, int, double *);
static void (*narrow)(const double *, int, float *);
static int (*infinity_f64)(const double *, int);
static int (*infinity_f32)(const float *, int);
#define USE_ARITHMETIC_LOOPS(suffix)               \
    (step = step_##suffix, narrow = narrow_##suffix, \
     infinity_f64 = infinity_f64_##suffix, infinity_f32 = infinity_f32_##suffix)

/* ---- all values ---- */

/* Value i of `in` meets operand i modulo `period` of every step: `operands` has a row of `period` for each. */
typedef struct {
    run in;
    char *out;
    char out_type;
    const char *operations;
    int steps;
    const double *operands;
    int64_t period;
    int revealing; /* every infinity of `in` gives an infinite result, so that it need not be looked for */
} mapping;

/* Map values [i, i + n); give the first of them that is infinite or becomes so, or -1. */
static int map_block(const mapping *m, int64_t i, int n)
{
    double loaded[BLOCK], room[BLOCK];
    float rounded[BLOCK];
    char *to = m->out + i * (int64_t)width_of(m->out_type);
    int direct = m->out_type == 'd' && (uintptr_t)to % sizeof(double) == 0, before, after;
    double *y = direct ? (double *)(void *)to : room;
    const double *x = in_place(&m->in, 0, i), *operand = m->operands + i % m->period;
    if (x == NULL) {
        load(&m->in, 0, i, n, loaded);
        x = loaded;
    }
    before = m->revealing ? -1 : infinity_f64(x, n);
    for (int s = 0; s < m->steps; s++, x = y)
        step(m->operations[s], x, operand + s * m->period, n, y);
    if (m->out_type == 'f') {
        narrow(y, n, rounded);
        memcpy(to, rounded, (size_t)n * sizeof *rounded);
        after = infinity_f32(rounded, n);
    } else {
        if (!direct)
            memcpy(to, y, (size_t)n * sizeof *y);
        after = infinity_f64(y, n);
    }
    return before < 0 || (after >= 0 && after < before) ? after : before;
}

static int64_t map_values(const mapping *m)
{
    int64_t first = -1;
    for (int64_t i = 0; i < m->in.length;) {
        int64_t left = m->in.length - i, behind = m->period - i % m->period;
        int n = (int)(left < behind ? (left < BLOCK ? left : BLOCK) : (behind < BLOCK ? behind : BLOCK));
        int infinity = map_block(m, i, n);
        if (infinity >= 0 && first < 0)
            first = i + infinity;
        i += n;
    }
    return first;
}

/* Tell whether an infinity stays one through all steps: no operand is 0, infinite or NaN. */
static int reveals(const double *operands, int64_t count)
{
    int plain = 1;
    for (int64_t i = 0; i < count; i++)
        plain &= operands[i] != 0 && isfinite(operands[i]);
    return plain;
}

/* Repeat the rows of operands until each has a block of them. */
static double *repeated(const double *operands, int64_t rows, int64_t period, int64_t times)
{
    double *all = malloc((size_t)(rows * period * times) * sizeof *all + 1), *to = all;
    for (int64_t row = 0; all != NULL && row < rows; row++)
        for (int64_t i = 0; i < times; i++, to += period)
            memcpy(to, operands + row * period, (size_t)period * sizeof *to);
    return all;
}

/* The letter of a native number, or 0; `l` is as wide as the platform has it. */
static char number_type(const Py_buffer *view)
{
    const char *format = view->format != NULL ? view->format : "B";
    char type;
    format += strspn(format, "@=^"); /* the last is NumPy's, of what is not aligned */
    type = strlen(format) == 1 ? format[0] : 0;
    if (type == 'l')
        type = view->itemsize == 8 ? 'q' : 'i';
    if (type == 'L')
        type = view->itemsize == 8 ? 'Q' : 'I';
    return width_of(type) == (size_t)view->itemsize ? type : 0;
}

PyDoc_STRVAR(arithmetic_doc,
             "arithmetic(x, operations, operands, out) -> index of the first value that is infinite or becomes so, or -1\n\n"
             "Each of `operations` (of '+-*/') is done in float64 with its row of operands, a float64 array of shape "
             "(steps, period); the values of x, in C order, meet its columns in turn. Results are rounded to the type "
             "of `out`, float64 or float32, once.");

static PyObject *kernel_arithmetic(PyObject *self, PyObject *args)
{
    const int contiguous = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    Py_buffer x = {0}, operands = {0}, out = {0};
    PyObject *values, *rows, *target, *result = NULL;
    Py_ssize_t steps;
    mapping m;
    double *pattern = NULL;
    int64_t times, first;
    (void)self;
    memset(&m, 0, sizeof m);
    if (!PyArg_ParseTuple(args, "Os#OO", &values, &m.operations, &steps, &rows, &target) ||
        PyObject_GetBuffer(values, &x, contiguous) < 0 || PyObject_GetBuffer(rows, &operands, contiguous) < 0 ||
        PyObject_GetBuffer(target, &out, contiguous | PyBUF_WRITABLE) < 0)
        goto done;
    m.in.type = number_type(&x);
    m.out_type = number_type(&out);
    if (m.in.type == 0 || (m.out_type != 'f' && m.out_type != 'd') || number_type(&operands) != 'd' ||
        operands.ndim != 2 || steps < 1 || operands.shape[0] != steps || strspn(m.operations, "+-*/") != (size_t)steps ||
        x.len / x.itemsize != out.len / out.itemsize ||
        (operands.shape[1] == 0 ? x.len > 0 : x.len / x.itemsize % operands.shape[1] != 0)) {
        PyErr_SetString(PyExc_ValueError, "values, operands and result do not fit each other");
        goto done;
    }
    m.in.values = x.buf;
    m.in.stride = x.itemsize;
    m.in.slots = 1;
    m.in.length = x.len / x.itemsize;
    m.out = out.buf;
    m.steps = (int)steps;
    times = operands.shape[1] && operands.shape[1] < m.in.length ? (BLOCK - 1) / operands.shape[1] + 1 : 1;
    m.period = operands.shape[1] * times;
    m.operands = operands.buf;
    m.revealing = !is_floating(&m.in) || reveals(m.operands, steps * operands.shape[1]);
    if (times > 1 && (m.operands = pattern = repeated(m.operands, steps, operands.shape[1], times)) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    UNLOCKED(m.in.length >= LONG_VALUES, STRICTLY(first = map_values(&m)));
    result = PyLong_FromLongLong(first);
done:
    free(pattern);
    PyBuffer_Release(&x);
    PyBuffer_Release(&operands);
    PyBuffer_Release(&out);
    return result;
}

#endif
