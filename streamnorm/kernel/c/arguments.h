/* Between Python and the kernel: runs of columns as tuples, tallies as bytes. */
#ifndef STREAMNORM_ARGUMENTS_H
#define STREAMNORM_ARGUMENTS_H

#include <Python.h>
#include <fenv.h>
#include <stdlib.h>

#include "columns.h"

/* Rounding to nearest and no flushing of subnormals, whatever other libraries have set. */
#define STRICTLY(work)           \
    do {                         \
        fenv_t environment;      \
        fegetenv(&environment);  \
        fesetenv(FE_DFL_ENV);    \
        work;                    \
        fesetenv(&environment);  \
    } while (0)

/* Do what takes long without the interpreter's lock. Giving the lock away and waiting for it takes as long as some thousand
 * values do, so that less than that is done with it. */
#define UNLOCKED(takes_long, work)                                            \
    do {                                                                      \
        PyThreadState *thread = (takes_long) ? PyEval_SaveThread() : NULL;    \
        work;                                                                 \
        if (thread != NULL)                                                   \
            PyEval_RestoreThread(thread);                                     \
    } while (0)

enum { LONG_VALUES = 1 << 12, LONG_BYTES = 1 << 14 };

typedef struct chunks chunks;

typedef struct {
    run *runs;
    Py_buffer *buffers; /* four a run: values, validity, weights, times; obj is NULL where there is none */
    Py_ssize_t count, views; /* of runs and of buffers */
    int64_t slots;
    int weighted;
    int each; /* how many runs every slot has, one slot's behind the other's; 0 where that is not so */
    chunks *chunks; /* where the runs are read from a file, one slot at a time */
} arguments;

static void free_chunks(chunks *c);

static void release(arguments *a)
{
    free_chunks(a->chunks);
    for (Py_ssize_t i = 0; a->buffers != NULL && i < a->views; i++)
        PyBuffer_Release(&a->buffers[i]);
    free(a->buffers);
    free(a->runs);
}

/* Whether there are so many values that other threads should not wait for them. */
static int takes_long(const arguments *a)
{
    int64_t values = 0;
    for (Py_ssize_t i = 0; i < a->count && values < LONG_VALUES; i++)
        values += a->runs[i].length < LONG_VALUES ? a->runs[i].length * a->runs[i].slots : LONG_VALUES;
    return values >= LONG_VALUES;
}

static int outside(const char *what)
{
    PyErr_Format(PyExc_ValueError, "a run reaches outside its %s buffer", what);
    return -1;
}

/* The runs [*from, *to) hold all that there is of slots [first, last). */
static void runs_of(const arguments *a, int64_t first, int64_t last, Py_ssize_t *from, Py_ssize_t *to)
{
    *from = a->each ? (Py_ssize_t)first * a->each : 0;
    *to = a->each ? (Py_ssize_t)last * a->each : a->count;
}

/* One int64 a row, none negative, whose sum has room in one; of one column without weights. */
static int parse_times(PyObject *times, run *r, Py_buffer *view)
{
    uint64_t all = 0;
    int fine = r->slots == 1 && r->weights == NULL;
    if (PyObject_GetBuffer(times, view, PyBUF_SIMPLE) < 0)
        return -1;
    if (r->length * (int64_t)sizeof(int64_t) > view->len)
        return outside("times");
    r->times = view->buf;
    for (int64_t row = 0; row < r->length && fine; row++) {
        int64_t one;
        memcpy(&one, r->times + row * (int64_t)sizeof one, sizeof one);
        all += (uint64_t)one;
        fine = one >= 0 && all <= INT64_MAX;
    }
    if (!fine)
        PyErr_SetString(PyExc_ValueError, "times are numbers of rows of one column without weights");
    return fine ? 0 : -1;
}

/* (slot, slots, type, values, offset, stride, slot_stride, length, validity, validity_offset, weights, times):
 * `offset`, `stride` and `slot_stride` in bytes, `validity_offset` in bits, `weights` float64 a row, `times` int64. */
static int parse_run(PyObject *item, run *r, Py_buffer *views, int64_t slots)
{
    PyObject *values, *validity, *weights, *times = Py_None;
    const char *type;
    long long slot, count, offset, stride, slot_stride, length, validity_offset;
    int64_t extent, width;
    if (!PyArg_ParseTuple(item, "LLsOLLLLOLO|O", &slot, &count, &type, &values, &offset, &stride, &slot_stride,
                          &length, &validity, &validity_offset, &weights, &times))
        return -1;
    width = (int64_t)width_of(type[0]);
    if (width == 0 || slot < 0 || count < 1 || slot + count > slots || offset < 0 || stride < 0 ||
        slot_stride < 0 || length < 0 || validity_offset < 0) {
        PyErr_SetString(PyExc_ValueError, "a run has a field out of range");
        return -1;
    }
    if (PyObject_GetBuffer(values, &views[0], PyBUF_ANY_CONTIGUOUS) < 0)
        return -1;
    extent = offset + (length - 1) * stride + (count - 1) * slot_stride + width;
    if (length > 0 && extent > views[0].len)
        return outside("values");
    if (validity != Py_None) {
        if (PyObject_GetBuffer(validity, &views[1], PyBUF_SIMPLE) < 0)
            return -1;
        if ((validity_offset + length + 7) / 8 > views[1].len)
            return outside("validity");
    }
    if (weights != Py_None) {
        if (PyObject_GetBuffer(weights, &views[2], PyBUF_SIMPLE) < 0)
            return -1;
        if (length * (int64_t)sizeof(double) > views[2].len)
            return outside("weights");
    }
    r->values = (const char *)views[0].buf + offset;
    r->validity = views[1].obj ? views[1].buf : NULL;
    r->weights = views[2].obj ? views[2].buf : NULL;
    r->validity_offset = validity_offset;
    r->length = length;
    r->stride = stride;
    r->slot_stride = slot_stride;
    r->slot = slot;
    r->slots = count;
    r->type = type[0];
    r->times = NULL;
    return times == Py_None ? 0 : parse_times(times, r, &views[3]);
}

static int parse_runs(PyObject *list, arguments *a)
{
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "runs must be a list");
        return -1;
    }
    a->count = PyList_Size(list);
    a->runs = calloc((size_t)a->count + 1, sizeof *a->runs);
    a->views = 4 * a->count;
    a->buffers = calloc((size_t)a->views + 1, sizeof *a->buffers);
    if (a->runs == NULL || a->buffers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < a->count; i++) {
        if (parse_run(PyList_GetItem(list, i), &a->runs[i], &a->buffers[4 * i], a->slots) < 0)
            return -1;
        a->weighted |= a->runs[i].weights != NULL;
    }
    return 0;
}

/* The tallies of all columns in bytes objects, which are written to without the interpreter's lock. */
typedef struct {
    PyObject *counts_object, *infinities_object;
    char *counts, *infinities;
} tallies;

static int new_tallies(tallies *t, int64_t slots)
{
    t->counts_object = PyBytes_FromStringAndSize(NULL, slots * TALLIES * (Py_ssize_t)sizeof(int64_t));
    t->infinities_object = PyBytes_FromStringAndSize(NULL, slots * (Py_ssize_t)sizeof(int64_t));
    if (t->counts_object == NULL || t->infinities_object == NULL)
        return -1;
    t->counts = PyBytes_AsString(t->counts_object);
    t->infinities = PyBytes_AsString(t->infinities_object);
    return 0;
}

static void free_tallies(const tallies *t)
{
    Py_XDECREF(t->counts_object);
    Py_XDECREF(t->infinities_object);
}

static void put_tally(const tallies *t, int64_t slot, const tally *from)
{
    memcpy(t->counts + (size_t)slot * sizeof from->count, from->count, sizeof from->count);
    memcpy(t->infinities + (size_t)slot * sizeof(int64_t), &from->first_infinity, sizeof(int64_t));
}

#endif
