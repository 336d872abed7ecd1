/* How long the longest of texts is that lie one behind the other, each behind its length: a Parquet dictionary. */
#ifndef STREAMNORM_TEXTS_H
#define STREAMNORM_TEXTS_H

#include <Python.h>
#include <stdint.h>

static uint32_t little_endian(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static size_t longest_text(const unsigned char *at, const unsigned char *end)
{
    size_t longest = 0;
    while (end - at >= 4) {
        size_t length = little_endian(at);
        at += 4;
        if (length > (size_t)(end - at))
            length = (size_t)(end - at); /* no text: whoever reads it finds out */
        if (length > longest)
            longest = length;
        at += length;
    }
    return longest;
}

PyDoc_STRVAR(longest_doc, "longest(data) -> bytes of the longest text");

static PyObject *kernel_longest(PyObject *self, PyObject *object)
{
    Py_buffer data;
    size_t longest;
    (void)self;
    if (PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    longest = longest_text(data.buf, (const unsigned char *)data.buf + data.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return PyLong_FromSize_t(longest);
}

#endif
