/* Structs of Thrift's compact protocol as trees of Python's objects, and back: the same as the reader and the writer in Python,
 * which are asked where something is out of the ordinary. */
#ifndef STREAMNORM_THRIFT_TREES_H
#define STREAMNORM_THRIFT_TREES_H

#include <Python.h>
#include <stdlib.h>

#include "page_headers.h"

enum { DEEPEST = 32, SHORT_NUMBER = 9 }; /* structs in one another; bytes of a number that surely has 64 bits */

/* The classes of structs and of lists, called with fields by their numbers and with a type and values. */
typedef struct {
    PyObject *structs, *lists;
} tree_classes;

static PyObject *read_tree(thrift *t, int depth, const tree_classes *classes);

/* Read a number of few enough bytes; -1 where it has more or is cut. */
static int tree_number(thrift *t, uint64_t *value)
{
    *value = 0;
    for (int place = 0; place < SHORT_NUMBER && t->at < t->end; place++) {
        uint64_t byte = *t->at++;
        *value |= (byte & 127) << 7 * place;
        if (byte < 128)
            return 0;
    }
    return -1;
}

static PyObject *tree_bytes(thrift *t, uint64_t size)
{
    const char *from = (const char *)t->at;
    if (size > (uint64_t)(t->end - t->at))
        return NULL;
    t->at += size;
    return PyBytes_FromStringAndSize(from, (Py_ssize_t)size);
}

static PyObject *tree_value(thrift *t, int type, int depth, const tree_classes *classes);

static PyObject *tree_list(thrift *t, int depth, const tree_classes *classes)
{
    uint64_t size;
    int head, type;
    PyObject *items, *result = NULL;
    if (t->at == t->end || depth > DEEPEST)
        return NULL;
    head = *t->at++;
    type = head & 15;
    size = (uint64_t)(head >> 4);
    if ((size == 15 && tree_number(t, &size) < 0) || size > (uint64_t)(t->end - t->at))
        return NULL;
    if (size > 0 && type == T_NO)
        type = T_YES;
    items = PyList_New((Py_ssize_t)size);
    for (uint64_t i = 0; items != NULL && i < size; i++) {
        PyObject *item = type == T_YES ? (t->at < t->end ? PyBool_FromLong(*t->at++ == T_YES) : NULL)
                                       : tree_value(t, type, depth + 1, classes);
        if (item == NULL) {
            Py_DECREF(items);
            return NULL;
        }
        PyList_SetItem(items, (Py_ssize_t)i, item);
    }
    if (items != NULL)
        result = PyObject_CallFunction(classes->lists, "iO", type, items);
    Py_XDECREF(items);
    return result;
}

/* Read a value of a type; NULL, with an error or without, where it is to be read in Python. */
static PyObject *tree_value(thrift *t, int type, int depth, const tree_classes *classes)
{
    uint64_t number;
    switch (type) {
    case T_BYTE:
        return t->at < t->end ? PyLong_FromLong(*t->at++) : NULL;
    case T_SHORT: case T_INT: case T_LONG:
        return tree_number(t, &number) < 0 ? NULL : PyLong_FromLongLong(unzigzag(number));
    case T_DOUBLE:
        return tree_bytes(t, 8);
    case T_BINARY:
        return tree_number(t, &number) < 0 ? NULL : tree_bytes(t, number);
    case T_LIST: case T_SET:
        return tree_list(t, depth, classes);
    case T_STRUCT:
        return read_tree(t, depth, classes);
    default:
        return NULL;
    }
}

static int keep_field(PyObject *fields, int64_t number, int type, PyObject *value)
{
    PyObject *key = value == NULL ? NULL : PyLong_FromLongLong(number);
    PyObject *item = key == NULL ? NULL : Py_BuildValue("iO", type, value);
    int done = item == NULL ? -1 : PyDict_SetItem(fields, key, item);
    Py_XDECREF(key);
    Py_XDECREF(item);
    Py_XDECREF(value);
    return done;
}

static PyObject *read_tree(thrift *t, int depth, const tree_classes *classes)
{
    PyObject *fields = depth > DEEPEST ? NULL : PyDict_New(), *result = NULL;
    int64_t number = 0;
    while (fields != NULL) {
        uint64_t told;
        int head, type;
        PyObject *value;
        if (t->at == t->end)
            break;
        head = *t->at++;
        if (head == 0) {
            result = PyObject_CallFunctionObjArgs(classes->structs, fields, NULL);
            break;
        }
        if (head >> 4)
            number += head >> 4;
        else if (tree_number(t, &told) < 0)
            break;
        else
            number = unzigzag(told);
        type = head & 15;
        if (number > INT32_MAX || number < INT32_MIN)
            break;
        value = type == T_YES || type == T_NO ? PyBool_FromLong(type == T_YES) : tree_value(t, type, depth + 1, classes);
        if (keep_field(fields, number, type == T_NO ? T_YES : type, value) < 0)
            break;
    }
    Py_XDECREF(fields);
    return result;
}

PyDoc_STRVAR(read_struct_doc,
             "read_struct(data, at, structs, lists) -> (a struct, where it ends), or None if it is to be read in Python\n\n"
             "`structs` is called with a dictionary of (type, value) by number, `lists` with a type and a list.");

static PyObject *kernel_read_struct(PyObject *self, PyObject *args)
{
    Py_buffer data = {0};
    long long at;
    tree_classes classes;
    PyObject *tree, *result = NULL;
    thrift t = {0};
    (void)self;
    if (!PyArg_ParseTuple(args, "y*LOO", &data, &at, &classes.structs, &classes.lists))
        return NULL;
    if (at >= 0 && at <= data.len) {
        t.at = (const uint8_t *)data.buf + at;
        t.end = (const uint8_t *)data.buf + data.len;
        tree = read_tree(&t, 0, &classes);
        if (tree != NULL)
            result = Py_BuildValue("NL", tree, (long long)(t.at - (const uint8_t *)data.buf));
    }
    if (result == NULL && !PyErr_Occurred())
        result = Py_NewRef(Py_None);
    PyBuffer_Release(&data);
    return result;
}

/* ---- and back ---- */

/* Bytes that are being written: memory grows as it is needed. */
typedef struct {
    uint8_t *bytes;
    size_t used, room;
} grown;

static int grow_by(grown *out, const void *bytes, size_t size)
{
    if (size > out->room - out->used) {
        size_t room = 2 * (out->used + size) + 256;
        uint8_t *more = realloc(out->bytes, room);
        if (more == NULL)
            return -1;
        out->bytes = more;
        out->room = room;
    }
    if (size > 0)
        memcpy(out->bytes + out->used, bytes, size);
    out->used += size;
    return 0;
}

static int grow_byte(grown *out, int byte)
{
    uint8_t one = (uint8_t)byte;
    return grow_by(out, &one, 1);
}

static int grow_number(grown *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = 0;
    for (; value > 127; value >>= 7)
        bytes[size++] = (uint8_t)(value & 127) | 128;
    bytes[size++] = (uint8_t)value;
    return grow_by(out, bytes, size);
}

/* Give a whole number; `*fine` becomes 0 where it is none of 64 bits. */
static int64_t whole_number(PyObject *value, int *fine)
{
    int beyond = 0;
    int64_t number = PyLong_Check(value) ? PyLong_AsLongLongAndOverflow(value, &beyond) : 0;
    if (!PyLong_Check(value) || beyond != 0)
        *fine = 0;
    return number;
}

static int grow_zigzag(grown *out, int64_t value) { return grow_number(out, (uint64_t)value << 1 ^ (0 - (uint64_t)(value < 0))); }

static int write_tree(grown *out, PyObject *tree, int depth);
static int write_list(grown *out, PyObject *list, int depth);

/* Write a value of a type; -1 where it is to be written in Python. */
static int write_value(grown *out, int type, PyObject *value, int depth)
{
    int fine = 1, done = -1;
    int64_t number;
    Py_buffer view = {0};
    switch (type) {
    case T_YES:
        return PyBool_Check(value) ? grow_byte(out, value == Py_True ? T_YES : T_NO) : -1;
    case T_BYTE:
        number = whole_number(value, &fine);
        return fine ? grow_byte(out, (int)(number & 255)) : -1;
    case T_SHORT: case T_INT: case T_LONG:
        number = whole_number(value, &fine);
        return fine ? grow_zigzag(out, number) : -1;
    case T_DOUBLE: case T_BINARY:
        if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
            return -1;
        if (type == T_DOUBLE || grow_number(out, (uint64_t)view.len) == 0)
            done = grow_by(out, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
        return done;
    case T_LIST: case T_SET:
        return write_list(out, value, depth);
    case T_STRUCT:
        return write_tree(out, value, depth);
    default:
        return -1;
    }
}

static int write_list(grown *out, PyObject *list, int depth)
{
    PyObject *items = PyObject_GetAttrString(list, "items"), *kind = PyObject_GetAttrString(list, "kind");
    int fine = items != NULL && kind != NULL && PyList_Check(items) && depth <= DEEPEST, done = -1;
    int64_t type = fine ? whole_number(kind, &fine) : 0;
    if (fine && type >= 0 && type < 16) {
        Py_ssize_t size = PyList_Size(items);
        done = size < 15 ? grow_byte(out, (int)size << 4 | (int)type) : grow_byte(out, 15 << 4 | (int)type);
        if (size >= 15 && done == 0)
            done = grow_number(out, (uint64_t)size);
        for (Py_ssize_t i = 0; i < size && done == 0; i++)
            done = write_value(out, (int)type, PyList_GetItem(items, i), depth + 1);
    }
    Py_XDECREF(items);
    Py_XDECREF(kind);
    return done;
}

static int write_field(grown *out, PyObject *key, PyObject *item, int64_t *last, int depth)
{
    int fine = item != NULL && PyTuple_Check(item) && PyTuple_Size(item) == 2, tag;
    int64_t number = fine ? whole_number(key, &fine) : 0, type = fine ? whole_number(PyTuple_GetItem(item, 0), &fine) : 0;
    PyObject *value;
    if (!fine || type < 0 || type > 15 || number > INT32_MAX || number < INT32_MIN)
        return -1;
    value = PyTuple_GetItem(item, 1);
    if (type == T_YES && !PyBool_Check(value))
        return -1;
    tag = type == T_YES && value != Py_True ? T_NO : (int)type;
    if (number > *last && number - *last < 16) {
        if (grow_byte(out, (int)(number - *last) << 4 | tag) < 0)
            return -1;
    } else if (grow_byte(out, tag) < 0 || grow_zigzag(out, number) < 0) {
        return -1;
    }
    *last = number;
    return type == T_YES ? 0 : write_value(out, (int)type, value, depth + 1);
}

static int write_tree(grown *out, PyObject *tree, int depth)
{
    PyObject *fields = depth > DEEPEST ? NULL : PyObject_GetAttrString(tree, "fields");
    PyObject *keys = fields == NULL || !PyDict_Check(fields) ? NULL : PyDict_Keys(fields);
    int done = keys == NULL ? -1 : PyList_Sort(keys);
    int64_t last = 0;
    for (Py_ssize_t i = 0; done == 0 && i < PyList_Size(keys); i++) {
        PyObject *key = PyList_GetItem(keys, i);
        done = write_field(out, key, PyDict_GetItemWithError(fields, key), &last, depth);
    }
    if (done == 0)
        done = grow_byte(out, 0);
    Py_XDECREF(keys);
    Py_XDECREF(fields);
    return done;
}

PyDoc_STRVAR(write_struct_doc, "write_struct(struct) -> its bytes, or None if it is to be written in Python");

static PyObject *kernel_write_struct(PyObject *self, PyObject *tree)
{
    grown out = {NULL, 0, 0};
    PyObject *result = NULL;
    (void)self;
    if (write_tree(&out, tree, 0) == 0)
        result = PyBytes_FromStringAndSize((const char *)out.bytes, (Py_ssize_t)out.used);
    free(out.bytes);
    if (result == NULL) {
        PyErr_Clear(); /* of what is wrong the writer in Python says what it is */
        result = Py_NewRef(Py_None);
    }
    return result;
}

#endif
