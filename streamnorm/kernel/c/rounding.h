/* Mean, variance and standard deviation of many columns from their exact sums, each rounded once.
 *
 * A candidate comes from float64 arithmetic and is right to an ulp or two; comparing integers then tells
 * which float64 is the nearest. What this does not reach (sums of too many digits, results that are not
 * normal numbers) is left to the caller, and marked. */
#ifndef STREAMNORM_ROUNDING_H
#define STREAMNORM_ROUNDING_H

#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MOST_DIGITS = 80, SUM_LIMBS = 9 };

/* A non-negative integer in digits of 32 bits, lowest first, without zeros at the top. */
typedef struct {
    uint32_t digit[MOST_DIGITS];
    int count;
} natural;

static void trim(natural *a)
{
    while (a->count > 0 && a->digit[a->count - 1] == 0)
        a->count--;
}

static void natural_of(natural *a, uint64_t value)
{
    a->digit[0] = (uint32_t)value;
    a->digit[1] = (uint32_t)(value >> 32);
    a->count = 2;
    trim(a);
}

/* The magnitude of two's complement limbs; whether it was negative. */
static int magnitude_of(natural *a, const uint64_t *limbs, int64_t width)
{
    int negative = width > 0 && limbs[width - 1] >> 63;
    uint64_t carry = (uint64_t)negative;
    a->count = 0;
    for (int64_t i = 0; i < width; i++) {
        uint64_t limb = (negative ? ~limbs[i] : limbs[i]) + carry;
        carry = carry && limb == 0;
        a->digit[a->count++] = (uint32_t)limb;
        a->digit[a->count++] = (uint32_t)(limb >> 32);
    }
    trim(a);
    return negative;
}

/* These give 0 where the result has too many digits. */

static int times(natural *out, const natural *a, const natural *b)
{
    if (a->count + b->count > MOST_DIGITS)
        return 0;
    out->count = a->count + b->count;
    memset(out->digit, 0, (size_t)out->count * sizeof *out->digit);
    for (int i = 0; i < a->count; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < b->count; j++) {
            carry += (uint64_t)a->digit[i] * b->digit[j] + out->digit[i + j];
            out->digit[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        out->digit[i + b->count] = (uint32_t)carry;
    }
    trim(out);
    return 1;
}

static int shifted(natural *a, int64_t bits)
{
    int64_t digits = bits / 32;
    int rest = (int)(bits % 32);
    uint32_t carry = 0;
    if (a->count == 0)
        return 1;
    if (a->count + digits + 1 > MOST_DIGITS)
        return 0;
    memmove(a->digit + digits, a->digit, (size_t)a->count * sizeof *a->digit);
    memset(a->digit, 0, (size_t)digits * sizeof *a->digit);
    a->count += (int)digits;
    for (int i = (int)digits; rest && i < a->count; i++) {
        uint32_t digit = a->digit[i];
        a->digit[i] = digit << rest | carry;
        carry = digit >> (32 - rest);
    }
    a->digit[a->count++] = carry;
    trim(a);
    return 1;
}

static int compare(const natural *a, const natural *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (int i = a->count - 1; i >= 0; i--)
        if (a->digit[i] != b->digit[i])
            return a->digit[i] < b->digit[i] ? -1 : 1;
    return 0;
}

/* Take b away from a, which is not smaller. */
static void take_away(natural *a, const natural *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < a->count; i++) {
        uint64_t less = (i < b->count ? b->digit[i] : 0) + borrow;
        borrow = a->digit[i] < less;
        a->digit[i] = (uint32_t)(a->digit[i] - less);
    }
    trim(a);
}

/* About a * 2^-exponent, from the highest two or three digits. */
static double leading(const natural *a, int64_t *exponent)
{
    double value = 0;
    int from = a->count > 3 ? a->count - 3 : 0;
    for (int i = a->count - 1; i >= from; i--)
        value = value * 4294967296.0 + a->digit[i];
    *exponent = 32 * (int64_t)from;
    return value;
}

/* Compare (above / below) 2^exponent with (odd 2^(unit - 1))^power. */
static int against(const natural *above, const natural *below, int64_t exponent, uint64_t odd, int64_t unit, int power, int *order)
{
    natural middle, left = *above, right, factor;
    int64_t shift = exponent - power * (unit - 1);
    natural_of(&factor, odd);
    middle = factor;
    if ((power == 2 && !times(&middle, &factor, &factor)) || !times(&right, &middle, below) ||
        !shifted(shift > 0 ? &left : &right, shift > 0 ? shift : -shift))
        return 0;
    *order = compare(&left, &right);
    return 1;
}

/* The float64 nearest to ((above / below) 2^exponent)^(1 / power); 0 where it is not found. */
static int nearest_float(const natural *above, const natural *below, int64_t exponent, int power, double *out)
{
    const uint64_t least = (uint64_t)1 << 52;
    int64_t e_above, e_below, unit;
    double value;
    int binary, order;
    uint64_t mantissa;
    if (above->count == 0) {
        *out = 0;
        return 1;
    }
    value = leading(above, &e_above) / leading(below, &e_below);
    unit = exponent + e_above - e_below;
    if (power == 2) {
        value = sqrt(unit & 1 ? 2 * value : value);
        unit = (unit - (unit & 1)) / 2;
    }
    mantissa = (uint64_t)ldexp(frexp(value, &binary), 53);
    unit += binary - 53;
    for (int attempt = 0; attempt < 8; attempt++) {
        if (!against(above, below, exponent, 2 * mantissa + 1, unit, power, &order))
            return 0;
        if (order > 0 || (order == 0 && mantissa & 1)) {
            if (++mantissa == 2 * least) {
                mantissa = least;
                unit++;
            }
            continue;
        }
        if (mantissa == least) { /* below a power of two the float64 are closer */
            mantissa *= 2;
            unit--;
        }
        if (!against(above, below, exponent, 2 * mantissa - 1, unit, power, &order))
            return 0;
        if (order < 0 || (order == 0 && mantissa & 1)) {
            mantissa--;
            continue;
        }
        if (unit < -1000 || unit > 900)
            return 0;
        *out = ldexp((double)mantissa, (int)unit);
        return 1;
    }
    return 0;
}

/* One column: `ddof` values are taken off the divisor of the variance. */
static int round_column(int64_t values, const uint64_t *total, int64_t total_width, int64_t total_exponent,
                        const uint64_t *squares, int64_t squares_width, int64_t squares_exponent, int64_t ddof, double *out)
{
    natural n, sum, of_squares, product, square, freedom, below;
    int64_t unit = squares_exponent < 2 * total_exponent ? squares_exponent : 2 * total_exponent;
    int negative;
    if (values < 0 || total_width > SUM_LIMBS || squares_width > SUM_LIMBS)
        return 0;
    natural_of(&n, (uint64_t)values);
    negative = magnitude_of(&sum, total, total_width);
    if (magnitude_of(&of_squares, squares, squares_width))
        return 0;
    if (values == 0)
        return sum.count == 0 && of_squares.count == 0;
    if (!nearest_float(&sum, &n, total_exponent, 1, &out[0]))
        return 0;
    out[0] = negative ? -out[0] : out[0];
    out[1] = out[2] = NAN;
    if (!times(&product, &n, &of_squares) || !shifted(&product, squares_exponent - unit) || !times(&square, &sum, &sum) ||
        !shifted(&square, 2 * total_exponent - unit) || compare(&product, &square) < 0)
        return 0;
    if (values <= ddof)
        return 1;
    take_away(&product, &square);
    natural_of(&freedom, (uint64_t)(values - ddof));
    return times(&below, &n, &freedom) && nearest_float(&product, &below, unit, 1, &out[1]) &&
           nearest_float(&product, &below, unit, 2, &out[2]);
}

PyDoc_STRVAR(round_moments_doc,
             "round_moments(values, total, width, exponent, squares, width, exponent, ddof) -> (statistics, found)\n\n"
             "Mean, variance and standard deviation of each column as float64, and a byte that tells whether they\n"
             "were found and the sums can be those of rows.");

static PyObject *kernel_round_moments(PyObject *self, PyObject *args)
{
    Py_buffer values = {0}, total = {0}, squares = {0};
    long long width, exponent, squares_width, squares_exponent, ddof;
    PyObject *statistics = NULL, *found = NULL, *result = NULL;
    int64_t slots;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*LLy*LLL", &values, &total, &width, &exponent, &squares, &squares_width,
                          &squares_exponent, &ddof))
        return NULL;
    slots = values.len / (int64_t)sizeof(int64_t);
    if (ddof < 0 || total.len != slots * width * 8 || squares.len != slots * squares_width * 8) {
        PyErr_SetString(PyExc_ValueError, "the sums do not have the shape that was given");
    } else {
        statistics = PyBytes_FromStringAndSize(NULL, 3 * slots * (Py_ssize_t)sizeof(double));
        found = PyBytes_FromStringAndSize(NULL, slots);
    }
    if (statistics != NULL && found != NULL) {
        char *out = PyBytes_AsString(statistics), *marks = PyBytes_AsString(found);
        Py_BEGIN_ALLOW_THREADS
        for (int64_t slot = 0; slot < slots; slot++) {
            double own[3] = {NAN, NAN, NAN};
            int64_t count;
            memcpy(&count, (const char *)values.buf + slot * (int64_t)sizeof count, sizeof count);
            marks[slot] = (char)round_column(count, (const uint64_t *)total.buf + slot * width, width, exponent,
                                             (const uint64_t *)squares.buf + slot * squares_width, squares_width,
                                             squares_exponent, ddof, own);
            memcpy(out + slot * (int64_t)sizeof own, own, sizeof own);
        }
        Py_END_ALLOW_THREADS
        result = PyTuple_Pack(2, statistics, found);
    }
    Py_XDECREF(statistics);
    Py_XDECREF(found);
    PyBuffer_Release(&values);
    PyBuffer_Release(&total);
    PyBuffer_Release(&squares);
    return result;
}

#endif
