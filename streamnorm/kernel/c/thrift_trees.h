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

#endif
