/* Steps of arithmetic with an operand for each column, over blocks of values that stay in the cache.
 *
 * Every step is rounded on its own, in the precision of the values that are worked on: `f` where both what
 * is read and what is written are float32, else `d`. */
#ifndef STREAMNORM_ARITHMETIC_H
#define STREAMNORM_ARITHMETIC_H

#include "arguments.h"

/* ---- the loops that are compiled once per instruction set; `y` may be `x` ---- */

#define ARITHMETIC_BODIES(name, T)                                                                   \
    INLINE void step_##name##_body(char operation, const T *x, const T *operand, int n, T *y)        \
    {                                                                                                \
        switch (operation) {                                                                         \
        case '+': SIMD() for (int i = 0; i < n; i++) y[i] = x[i] + operand[i]; break;                \
        case '-': SIMD() for (int i = 0; i < n; i++) y[i] = x[i] - operand[i]; break;                \
        case '*': SIMD() for (int i = 0; i < n; i++) y[i] = x[i] * operand[i]; break;                \
        default: SIMD() for (int i = 0; i < n; i++) y[i] = x[i] / operand[i];                        \
        }                                                                                            \
    }                                                                                                \
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

#define ARITHMETIC_LOOPS_OF(name, T, suffix, target)                                                             \
    target static void step_##name##_##suffix(char operation, const T *x, const T *operand, int n, T *y)         \
    {                                                                                                            \
        step_##name##_body(operation, x, operand, n, y);                                                         \
    }                                                                                                            \
    target static int infinity_##name##_##suffix(const T *x, int n) { return infinity_##name##_body(x, n); }
#define ARITHMETIC_LOOPS(suffix, target)               \
    ARITHMETIC_LOOPS_OF(f64, double, suffix, target)   \
    ARITHMETIC_LOOPS_OF(f32, float, suffix, target)
EACH_TARGET(ARITHMETIC_LOOPS)

static void (*step_f64)(char, const double *, const double *, int, double *);
static void (*step_f32)(char, const float *, const float *, int, float *);
static int (*infinity_f64)(const double *, int);
static int (*infinity_f32)(const float *, int);
#define USE_ARITHMETIC_LOOPS(suffix)                             \
    (step_f64 = step_f64_##suffix, step_f32 = step_f32_##suffix, \
     infinity_f64 = infinity_f64_##suffix, infinity_f32 = infinity_f32_##suffix)

/* ---- all values ---- */

/* Value i of `in` meets operand i modulo `period` of every step: `operands` has a row of `period` for each. */
typedef struct {
    run in;
    char *out;
    char out_type;
    const char *operations;
    int steps;
    const char *operands;
    int64_t period;
} mapping;

/* Map values [i, i + n) in float64; give the first of them that is infinite, or -1. */
static int map_f64(const mapping *m, int64_t i, int n)
{
    double loaded[BLOCK], room[BLOCK];
    char *to = m->out + i * (int64_t)width_of(m->out_type);
    int direct = m->out_type == 'd' && (uintptr_t)to % sizeof(double) == 0, infinity;
    double *y = direct ? (double *)(void *)to : room;
    const double *x = in_place(&m->in, 0, i), *operand = (const double *)(const void *)m->operands + i % m->period;
    if (x == NULL) {
        load(&m->in, 0, i, n, loaded);
        x = loaded;
    }
    infinity = is_floating(&m->in) ? infinity_f64(x, n) : -1;
    for (int s = 0; s < m->steps; s++, x = y)
        step_f64(m->operations[s], x, operand + s * m->period, n, y);
    if (m->out_type == 'd' && !direct)
        memcpy(to, y, (size_t)n * sizeof *y);
    for (int k = 0; k < n && m->out_type == 'f'; k++) {
        float value = (float)y[k];
        memcpy(to + (size_t)k * sizeof value, &value, sizeof value);
    }
    return infinity;
}

static int map_f32(const mapping *m, int64_t i, int n)
{
    float y[BLOCK];
    const float *operand = (const float *)(const void *)m->operands + i % m->period;
    int infinity;
    memcpy(y, m->in.values + i * (int64_t)sizeof *y, (size_t)n * sizeof *y);
    infinity = infinity_f32(y, n);
    for (int s = 0; s < m->steps; s++)
        step_f32(m->operations[s], y, operand + s * m->period, n, y);
    memcpy(m->out + i * (int64_t)sizeof *y, y, (size_t)n * sizeof *y);
    return infinity;
}

static int64_t map_values(const mapping *m)
{
    int64_t first = -1;
    for (int64_t i = 0; i < m->in.length;) {
        int64_t left = m->in.length - i, behind = m->period - i % m->period;
        int n = (int)(left < behind ? (left < BLOCK ? left : BLOCK) : (behind < BLOCK ? behind : BLOCK));
        int infinity = m->in.type == 'f' && m->out_type == 'f' ? map_f32(m, i, n) : map_f64(m, i, n);
        if (infinity >= 0 && first < 0)
            first = i + infinity;
        i += n;
    }
    return first;
}

/* Repeat the rows of operands until each has a block of them. */
static char *repeated(const Py_buffer *operands, int64_t period, int64_t times)
{
    size_t row = (size_t)(period * operands->itemsize);
    char *all = malloc((size_t)operands->len * (size_t)times + 1), *to = all;
    for (Py_ssize_t at = 0; all != NULL && at < operands->len; at += (Py_ssize_t)row)
        for (int64_t i = 0; i < times; i++, to += row)
            memcpy(to, (const char *)operands->buf + at, row);
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
             "arithmetic(x, operations, operands, out) -> index of the first infinity of x, or -1\n\n"
             "Each of `operations` (of '+-*/') is done with its row of operands, an array of shape (steps, period) in "
             "the precision of the work; the values of x, in C order, meet its columns in turn.");

static PyObject *kernel_arithmetic(PyObject *self, PyObject *args)
{
    const int contiguous = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    Py_buffer x = {0}, operands = {0}, out = {0};
    PyObject *values, *rows, *target, *result = NULL;
    Py_ssize_t steps;
    mapping m;
    char work, *pattern = NULL;
    int64_t times, first;
    (void)self;
    memset(&m, 0, sizeof m);
    if (!PyArg_ParseTuple(args, "Os#OO", &values, &m.operations, &steps, &rows, &target) ||
        PyObject_GetBuffer(values, &x, contiguous) < 0 || PyObject_GetBuffer(rows, &operands, contiguous) < 0 ||
        PyObject_GetBuffer(target, &out, contiguous | PyBUF_WRITABLE) < 0)
        goto done;
    m.in.type = number_type(&x);
    m.out_type = number_type(&out);
    work = m.in.type == 'f' && m.out_type == 'f' ? 'f' : 'd';
    if (m.in.type == 0 || (m.out_type != 'f' && m.out_type != 'd') || number_type(&operands) != work ||
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
    if (times > 1 && (m.operands = pattern = repeated(&operands, operands.shape[1], times)) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    STRICTLY(first = map_values(&m));
    Py_END_ALLOW_THREADS
    result = PyLong_FromLongLong(first);
done:
    free(pattern);
    PyBuffer_Release(&x);
    PyBuffer_Release(&operands);
    PyBuffer_Release(&out);
    return result;
}

#endif
