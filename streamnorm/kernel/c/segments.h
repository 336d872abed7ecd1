/* Rows of one column that were sorted by their key: a slot for each key, and the sort itself. */
#ifndef STREAMNORM_SEGMENTS_H
#define STREAMNORM_SEGMENTS_H

#include "arguments.h"

/* (run, bounds): slot i has rows [bounds[i], bounds[i + 1]) of the run; `bounds` are int64. */
static int parse_segments(PyObject *segments, arguments *a)
{
    PyObject *whole, *bounds;
    const char *at;
    run all;
    int64_t ends[2] = {0, 0};
    if (!PyArg_ParseTuple(segments, "OO", &whole, &bounds))
        return -1;
    a->runs = calloc((size_t)a->slots + 1, sizeof *a->runs);
    a->buffers = calloc(5, sizeof *a->buffers);
    a->views = 5;
    if (a->runs == NULL || a->buffers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (parse_run(whole, &all, a->buffers, a->slots > 0 ? a->slots : 1) < 0 ||
        PyObject_GetBuffer(bounds, &a->buffers[4], PyBUF_SIMPLE) < 0)
        return -1;
    if (a->buffers[4].len != (a->slots + 1) * (Py_ssize_t)sizeof(int64_t) || all.slots != 1 || all.times != NULL) {
        PyErr_SetString(PyExc_ValueError, "segments are those of one column, with a bound more than slots");
        return -1;
    }
    at = a->buffers[4].buf;
    a->each = 1;
    a->weighted = all.weights != NULL;
    for (a->count = 0; a->count < a->slots; a->count++) {
        run *r = &a->runs[a->count];
        memcpy(ends, at + (size_t)a->count * sizeof(int64_t), sizeof ends);
        if (ends[0] < 0 || ends[1] < ends[0] || ends[1] > all.length) {
            PyErr_SetString(PyExc_ValueError, "bounds of segments ascend and stay in their run");
            return -1;
        }
        *r = all;
        r->slot = a->count;
        r->length = ends[1] - ends[0];
        r->values += ends[0] * all.stride;
        r->validity_offset += ends[0];
        if (all.weights != NULL)
            r->weights += ends[0] * (int64_t)sizeof(double);
    }
    return 0;
}

PyDoc_STRVAR(sort_doc, "sort(groups, of) -> (order, bounds): rows by their group, `of` an int32 a row");

static PyObject *kernel_sort(PyObject *self, PyObject *args)
{
    Py_buffer of = {0};
    long long groups;
    int64_t rows, *next;
    int outside = 0;
    PyObject *order = NULL, *bounds = NULL, *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "Ly*", &groups, &of))
        return NULL;
    rows = of.len / (int64_t)sizeof(int32_t);
    next = groups < 0 ? NULL : calloc((size_t)groups + 2, sizeof *next);
    order = PyBytes_FromStringAndSize(NULL, rows * (Py_ssize_t)sizeof(int64_t));
    bounds = groups < 0 ? NULL : PyBytes_FromStringAndSize(NULL, (groups + 1) * (Py_ssize_t)sizeof(int64_t));
    if (next == NULL || order == NULL || bounds == NULL) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        goto done;
    }
    {
        char *placed = PyBytes_AsString(order), *ends = PyBytes_AsString(bounds);
        const char *ids = of.buf;
        Py_BEGIN_ALLOW_THREADS
        for (int64_t row = 0; row < rows && !outside; row++) {
            int32_t id;
            memcpy(&id, ids + (size_t)row * sizeof id, sizeof id);
            outside = id < 0 || id >= groups;
            if (!outside)
                next[id + 1]++;
        }
        for (int64_t i = 0; i < groups; i++)
            next[i + 1] += next[i];
        memcpy(ends, next, (size_t)(groups + 1) * sizeof *next);
        for (int64_t row = 0; row < rows && !outside; row++) {
            int32_t id;
            memcpy(&id, ids + (size_t)row * sizeof id, sizeof id);
            memcpy(placed + (size_t)next[id]++ * sizeof row, &row, sizeof row);
        }
        Py_END_ALLOW_THREADS
    }
    if (outside)
        PyErr_SetString(PyExc_ValueError, "a row is of a group that is not there");
    else
        result = PyTuple_Pack(2, order, bounds);
done:
    Py_XDECREF(order);
    Py_XDECREF(bounds);
    free(next);
    PyBuffer_Release(&of);
    return result;
}

#endif
