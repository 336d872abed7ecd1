/* Where the last row of a piece of CSV ends: line ends inside of quotes end no row. */
#ifndef STREAMNORM_ROWS_H
#define STREAMNORM_ROWS_H

#include <Python.h>
#include <string.h>

/* Behind the last line end in [from, to), or `from`; a carriage return at the very end may be half of one. */
static const char *behind_line_end(const char *from, const char *to, const char *end)
{
    for (const char *at = to; at > from; at--)
        if (at[-1] == '\n' || (at[-1] == '\r' && at < end && at[0] != '\n'))
            return at;
    return from;
}

/* Behind the quote that closes the one at `open`, or NULL; two quotes in a row are one character. */
static const char *behind_quoted(const char *open, const char *end)
{
    const char *at = open + 1;
    while ((at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        if (at + 1 == end || at[1] != '"')
            return at + 1;
        at += 2;
    }
    return NULL;
}

static const char *later(const char *last, const char *from, const char *found)
{
    return found > from ? found : last;
}

/* A quote opens at the beginning of a field only; elsewhere it is a character like others. */
static const char *behind_last_row(const char *start, const char *end, char delimiter, const char **open)
{
    const char *last = start, *plain = start, *at = start;
    *open = NULL;
    while ((at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        const char *closed;
        if (at > start && at[-1] != delimiter && at[-1] != '\n' && at[-1] != '\r') {
            at++;
            continue;
        }
        closed = behind_quoted(at, end);
        if (closed == NULL) {
            *open = at;
            end = at;
            break;
        }
        last = later(last, plain, behind_line_end(plain, at, end));
        at = plain = closed;
    }
    return later(last, plain, behind_line_end(plain, end, end));
}

PyDoc_STRVAR(last_row_doc, "last_row(data, delimiter) -> (bytes to the end of the last row, where a quote is open or -1)");

static PyObject *kernel_last_row(PyObject *self, PyObject *args)
{
    PyObject *object;
    Py_buffer data;
    const char *delimiter, *start, *behind, *open;
    (void)self;
    if (!PyArg_ParseTuple(args, "Os", &object, &delimiter) || PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    start = data.buf;
    Py_BEGIN_ALLOW_THREADS
    behind = behind_last_row(start, start + data.len, delimiter[0], &open);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return Py_BuildValue("nn", (Py_ssize_t)(behind - start), open ? (Py_ssize_t)(open - start) : -1);
}

#endif
