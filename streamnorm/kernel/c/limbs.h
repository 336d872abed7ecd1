/* Wide integers of many columns as one array: two's complement limbs of 64 bits, lowest first, `width` of
 * them a row, times 2^exponent. The array is as narrow as its rows allow, so equal numbers are equal bytes. */
#ifndef STREAMNORM_LIMBS_H
#define STREAMNORM_LIMBS_H

#include <Python.h>
#include <stdlib.h>

#include "exact.h"

/* Settled wide integers of many columns, each only as wide as it needs. */
typedef struct {
    uint64_t *limbs;
    struct { int32_t first, last; size_t at; } *slot;
    size_t used, room;
} harvest;

static int reap(harvest *h, int64_t slot, exact *a)
{
    int first, last;
    exact_settle(a);
    first = a->low < a->high ? a->low / 2 : 0;
    last = a->low < a->high ? a->high / 2 + 1 : 0; /* one limb for the sign */
    if (h->used + (size_t)(last - first) > h->room) {
        size_t room = 2 * h->room + LIMBS;
        uint64_t *limbs = realloc(h->limbs, room * sizeof *limbs);
        if (limbs == NULL)
            return -1;
        h->limbs = limbs;
        h->room = room;
    }
    exact_write(a, first, last, h->limbs + h->used);
    h->slot[slot].first = first;
    h->slot[slot].last = last;
    h->slot[slot].at = h->used;
    h->used += (size_t)(last - first);
    return 0;
}

static uint64_t sign_of(uint64_t limb) { return limb >> 63 ? ~(uint64_t)0 : 0; }

/* Take away the limbs that every row can do without; (limbs, width, exponent of the lowest bit). */
static PyObject *trimmed(uint64_t *limbs, int64_t rows, int64_t width, int64_t exponent)
{
    int64_t low = width, high = 0, kept;
    PyObject *bytes;
    uint64_t *out;
    for (int64_t row = 0; row < rows; row++) {
        const uint64_t *at = limbs + row * width;
        int64_t first = 0, last = width;
        while (first < low && first < width && at[first] == 0)
            first++;
        low = first < low ? first : low;
        if (first == width)
            continue;
        while (last > high && last > 1 && at[last - 1] == sign_of(at[last - 2]))
            last--;
        high = last > high ? last : high;
    }
    kept = high > low ? high - low : 0;
    bytes = PyBytes_FromStringAndSize(NULL, rows * kept * (Py_ssize_t)sizeof(uint64_t));
    if (bytes == NULL)
        return NULL;
    out = (uint64_t *)(void *)PyBytes_AsString(bytes);
    for (int64_t row = 0; row < rows && kept; row++)
        memcpy(out + row * kept, limbs + row * width + low, (size_t)kept * sizeof *out);
    return Py_BuildValue("NLL", bytes, (long long)kept, kept ? (long long)(exponent + 64 * low) : 0LL);
}

static PyObject *harvested(const harvest *h, int64_t slots)
{
    int32_t first = LIMBS, last = 0;
    uint64_t *limbs;
    int64_t width;
    PyObject *result;
    for (int64_t s = 0; s < slots; s++)
        if (h->slot[s].first < h->slot[s].last) {
            first = h->slot[s].first < first ? h->slot[s].first : first;
            last = h->slot[s].last > last ? h->slot[s].last : last;
        }
    width = last > first ? last - first : 0;
    limbs = calloc((size_t)(slots * width) + 1, sizeof *limbs);
    if (limbs == NULL)
        return PyErr_NoMemory();
    for (int64_t s = 0; s < slots; s++) {
        int32_t own = h->slot[s].last - h->slot[s].first;
        uint64_t *row = limbs + s * width;
        if (own == 0)
            continue;
        memcpy(row + (h->slot[s].first - first), h->limbs + h->slot[s].at, (size_t)own * sizeof *row);
        for (int64_t i = h->slot[s].last - first; i < width; i++)
            row[i] = sign_of(row[i - 1]);
    }
    result = trimmed(limbs, slots, width, 64 * (int64_t)first - BIAS);
    free(limbs);
    return result;
}

/* Limb i of a row whose limbs start at `first`, 0 below and the sign above. */
static uint64_t limb_at(const uint64_t *row, int64_t width, int64_t i)
{
    if (i < 0 || width == 0)
        return 0;
    return i < width ? row[i] : sign_of(row[width - 1]);
}

PyDoc_STRVAR(add_doc, "add(rows, a, a_width, a_exponent, b, b_width, b_exponent, subtract) -> (limbs, width, exponent)");

static PyObject *kernel_add(PyObject *self, PyObject *args)
{
    Py_buffer a = {0}, b = {0};
    PyObject *result = NULL;
    long long rows, a_width, a_exponent, b_width, b_exponent;
    int subtract;
    (void)self;
    if (!PyArg_ParseTuple(args, "Ly*LLy*LLp", &rows, &a, &a_width, &a_exponent, &b, &b_width, &b_exponent, &subtract))
        return NULL;
    if (rows < 0 || rows * a_width * 8 != a.len || rows * b_width * 8 != b.len || a_exponent % 64 || b_exponent % 64) {
        PyErr_SetString(PyExc_ValueError, "the limbs do not have the shape that was given");
    } else {
        int64_t a_low = a_exponent / 64, b_low = b_exponent / 64, low, high, width;
        uint64_t *limbs;
        if (a_width == 0)
            a_low = b_low;
        if (b_width == 0)
            b_low = a_low;
        low = a_low < b_low ? a_low : b_low;
        high = a_low + a_width > b_low + b_width ? a_low + a_width : b_low + b_width;
        width = high - low + 1; /* one for the carry */
        limbs = malloc(((size_t)(rows * width) + 1) * sizeof *limbs);
        if (limbs == NULL) {
            PyErr_NoMemory();
        } else {
            for (int64_t row = 0; row < rows; row++) {
                const uint64_t *left = (const uint64_t *)a.buf + row * a_width;
                const uint64_t *right = (const uint64_t *)b.buf + row * b_width;
                uint64_t carry = subtract != 0, *out = limbs + row * width;
                for (int64_t i = 0; i < width; i++) {
                    uint64_t x = limb_at(left, a_width, low + i - a_low);
                    uint64_t y = limb_at(right, b_width, low + i - b_low), sum;
                    y = subtract ? ~y : y;
                    sum = x + y;
                    out[i] = sum + carry;
                    carry = (sum < x) | (out[i] < sum);
                }
            }
            result = trimmed(limbs, rows, width, 64 * low);
            free(limbs);
        }
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return result;
}

#endif
