/* Record batches through Arrow's C data interface, so that no object is made for each of their columns.
 * https://arrow.apache.org/docs/format/CDataInterface.html gives the layout of the two structures. */
#ifndef STREAMNORM_ARROW_H
#define STREAMNORM_ARROW_H

#include "arguments.h"
#include "parquet_chunks.h"
#include "segments.h"

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

static char type_of(const struct ArrowSchema *column)
{
    static const char arrow[] = "cCsSiIlLfg", ours[] = "bBhHiIqQfd";
    const char *at = column->format[0] ? strchr(arrow, column->format[0]) : NULL;
    return at != NULL && column->format[1] == 0 && column->dictionary == NULL ? ours[at - arrow] : 0;
}

static int column_of(const struct ArrowSchema *schema, const struct ArrowArray *batch, int64_t slot, run *r)
{
    const struct ArrowArray *column = batch->children[slot];
    r->type = type_of(schema->children[slot]);
    if (r->type == 0 || column->n_buffers != 2) {
        PyErr_Format(PyExc_TypeError, "column %lld holds no plain numbers", (long long)slot);
        return -1;
    }
    r->stride = (int64_t)width_of(r->type);
    r->slot_stride = 0;
    r->length = batch->length;
    r->slot = slot;
    r->slots = 1;
    r->weights = NULL;
    r->validity_offset = batch->offset + column->offset;
    r->validity = column->null_count == 0 ? NULL : column->buffers[0];
    r->values = (const char *)column->buffers[1];
    if (r->length > 0)
        r->values += r->validity_offset * r->stride;
    return 0;
}

/* (schema, arrays), capsules such as `__arrow_c_array__` gives, of batches whose rows follow each other; the caller keeps
 * them. */
static int parse_batches(PyObject *capsules, arguments *a)
{
    const struct ArrowSchema *schema;
    PyObject *first, *arrays;
    Py_ssize_t batches;
    if (!PyArg_ParseTuple(capsules, "OO!", &first, &PyTuple_Type, &arrays) ||
        (schema = PyCapsule_GetPointer(first, "arrow_schema")) == NULL)
        return -1;
    batches = PyTuple_Size(arrays);
    a->runs = calloc((size_t)(batches * a->slots) + 1, sizeof *a->runs);
    if (a->runs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    a->each = batches == 1; /* where there are more, those of a slot lie apart */
    for (Py_ssize_t i = 0; i < batches; i++) {
        const struct ArrowArray *batch = PyCapsule_GetPointer(PyTuple_GetItem(arrays, i), "arrow_array");
        if (batch == NULL)
            return -1;
        if (strcmp(schema->format, "+s") != 0 || batch->n_children != a->slots || schema->n_children != a->slots) {
            PyErr_SetString(PyExc_ValueError, "expected a record batch with a column for each slot");
            return -1;
        }
        for (int64_t slot = 0; slot < a->slots; slot++, a->count++)
            if (column_of(schema, batch, slot, &a->runs[a->count]) < 0)
                return -1;
    }
    return 0;
}

PyDoc_STRVAR(plain_doc, "plain(schema) -> whether all columns of a record batch's schema are of the kernel's types");

static PyObject *kernel_plain(PyObject *self, PyObject *capsule)
{
    const struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    (void)self;
    if (schema == NULL)
        return NULL;
    for (int64_t i = 0; i < schema->n_children; i++)
        if (type_of(schema->children[i]) == 0)
            Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

/* (slots, runs): runs is a list of them, record batches, a run in segments, or column chunks of a file. */
static int parse(PyObject *args, arguments *a)
{
    PyObject *runs, *first;
    long long slots;
    memset(a, 0, sizeof *a);
    if (!PyArg_ParseTuple(args, "LO", &slots, &runs))
        return -1;
    a->slots = slots;
    if (!PyTuple_Check(runs))
        return parse_runs(runs, a);
    if (PyTuple_Size(runs) == 3)
        return parse_chunks(runs, a);
    first = PyTuple_Size(runs) == 2 ? PyTuple_GetItem(runs, 0) : NULL;
    return first != NULL && PyTuple_Check(first) ? parse_segments(runs, a) : parse_batches(runs, a);
}

#endif
