/* Where the last row of a piece of CSV ends: line ends inside of quotes end no row. */
#ifndef STREAMNORM_ROWS_H
#define STREAMNORM_ROWS_H

#include <Python.h>
#include <string.h>

#include "csv_marks.h"

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
    const char *last = start, *plain = start, *at = start, *all = end;
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
        last = later(last, plain, behind_line_end(plain, at, all));
        at = plain = closed;
    }
    return later(last, plain, behind_line_end(plain, end, all));
}

/* The same by 64 bytes at a time, from the first quote on: what is quoted follows from the number of quotes before it.
 * NULL where a quote stands inside of a field that does not begin with one, and that is not so. */
INLINE const char *behind_last_row_of_pairs_body(const char *start, const char *end, char delimiter, const char **open,
                                                 mark_finder places)
{
    const char *last = NULL, *opened = NULL;
    uint64_t inside = 0;          /* all bits or none: whether the block begins quoted */
    uint64_t may_open = 1, closed = 0; /* whether its first byte may open a quote, and follows one that closed */
    for (const char *block = start; block < end; block += SPAN) {
        size_t rest = (size_t)(end - block);
        char copy[SPAN] = {0};
        const char *at = block;
        uint64_t quotes, ends, quoted, opening, allowed;
        if (rest < SPAN)
            at = memcpy(copy, block, rest);
        quotes = places(at, '"');
        ends = places(at, '\n') | places(at, '\r');
        quoted = parities(quotes) ^ inside;
        opening = quotes & quoted;
        allowed = ends | places(at, delimiter) | (quotes & ~quoted);
        if (opening & ~(allowed << 1 | may_open))
            return NULL;
        opening &= ~((quotes & ~quoted) << 1 | closed); /* two in a row close nothing */
        if (opening)
            opened = block + 63 - leading_zeros(opening);
        may_open = allowed >> 63;
        closed = (quotes & ~quoted) >> 63;
        ends &= ~quoted;
        if (rest <= SPAN && ends >> (rest - 1) == 1 && end[-1] == '\r')
            ends ^= (uint64_t)1 << (rest - 1); /* it may be half of a line end */
        if (ends)
            last = block + 64 - leading_zeros(ends);
        inside = (uint64_t)((int64_t)quoted >> 63);
    }
    *open = inside ? opened : NULL;
    return last ? last : start;
}

#define ROWS_LOOPS(suffix, target)                                                                          \
    target static const char *behind_last_row_of_pairs_##suffix(const char *start, const char *end, char delimiter, \
                                                                const char **open)                           \
    {                                                                                                       \
        return behind_last_row_of_pairs_body(start, end, delimiter, open, places_##suffix);                 \
    }
EACH_TARGET(ROWS_LOOPS)

static const char *(*behind_last_row_of_pairs)(const char *, const char *, char, const char **);
#define USE_ROWS_LOOPS(suffix) (behind_last_row_of_pairs = behind_last_row_of_pairs_##suffix)

/* Like behind_last_row, but faster where most quotes stand around fields. */
static const char *behind_last_row_fast(const char *start, const char *end, char delimiter, const char **open)
{
    const char *first = memchr(start, '"', (size_t)(end - start)), *from, *last;
    if (first == NULL || first == start)
        from = start;
    else
        from = first - 1; /* which tells whether the quote may open */
    if (first == NULL || (last = behind_last_row_of_pairs(from, end, delimiter, open)) == NULL)
        return behind_last_row(start, end, delimiter, open);
    return last > from ? last : behind_line_end(start, from, end);
}

/* The same where lines that begin with `comment` are none of the table: quotes in them quote nothing. */
static const char *behind_last_record(const char *start, const char *end, char delimiter, char comment, const char **open)
{
    scanner s = scan(start, end, delimiter, marks_baseline);
    const char *last = start, *at = start;
    int begins = 1, quoting;
    *open = NULL;
    while (at < end) {
        const char *stop = begins && *at == comment ? line_end(&s) : field_end(&s, at, &quoting);
        if (stop == NULL) {
            *open = at;
            break;
        }
        begins = stop < end && ends_line(*stop);
        at = stop + (stop < end);
        if (begins && (*stop == '\n' || at < end))
            last = at;
    }
    return last;
}

PyDoc_STRVAR(last_row_doc,
             "last_row(data, delimiter, comment=\"\") -> (bytes to the end of the last row, where a quote is open or -1)");

static PyObject *kernel_last_row(PyObject *self, PyObject *args)
{
    PyObject *object;
    Py_buffer data;
    const char *delimiter, *comment = "", *start, *end, *behind, *open;
    (void)self;
    if (!PyArg_ParseTuple(args, "Os|s", &object, &delimiter, &comment) || PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    start = data.buf;
    end = start + data.len;
    Py_BEGIN_ALLOW_THREADS
    if (comment[0])
        behind = behind_last_record(start, end, delimiter[0], comment[0], &open);
    else
        behind = behind_last_row_fast(start, end, delimiter[0], &open);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return Py_BuildValue("nn", (Py_ssize_t)(behind - start), open ? (Py_ssize_t)(open - start) : -1);
}

#endif
