/* A column chunk of Parquet that is small and written in the common ways, from the disk to its numbers in one call: threads
 * that take the interpreter's lock in turns for every page wait for each other longer than they work. */
#ifndef STREAMNORM_PARQUET_CHUNK_H
#define STREAMNORM_PARQUET_CHUNK_H

#include <Python.h>
#include <stdlib.h>

#include "memory.h"
#include "parquet_pages.h"

#if defined(_WIN32)
static int read_file(int file, char *to, int64_t size, int64_t at)
{
    (void)file, (void)to, (void)size, (void)at;
    return -1; /* there is no pread */
}
#else
#include <errno.h>
#include <unistd.h>

/* Read bytes of a file, all of them. */
static int read_file(int file, char *to, int64_t size, int64_t at)
{
    while (size > 0) {
        ssize_t got = pread(file, to, (size_t)size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        to += got;
        size -= got;
        at += got;
    }
    return 0;
}
#endif

typedef struct {
    page_reader reader;
    page_list pages;
    int64_t dictionary_bytes; /* at the beginning of what is read to */
    int integers;             /* which alone are written as deltas */
} chunk_reader;

/* Unpack the dictionary to where values are read to, in front of them, and count its entries from 0. */
static complaint take_dictionary(chunk_reader *c, const int64_t *record)
{
    page_reader *r = &c->reader;
    data_page page = {0};
    complaint wrong;
    int64_t entries = record[PAGE_VALUES];
    if (record[ENCODING] != PLAIN && record[ENCODING] != PLAIN_DICTIONARY)
        return OTHER;
    if (record[CHECKSUM] > 0 && record[CHECKSUM] != record[COMPUTED])
        return OTHER;
    wrong = unpack_page(r, 0, record, r->out, r->room, &page);
    if (wrong != NULL)
        return wrong;
    if (entries > page.body.len / r->width || page.body.len > r->room)
        return OTHER;
    if (page.body.buf != r->out)
        memcpy(r->out, page.body.buf, (size_t)page.body.len);
    c->dictionary_bytes = (page.body.len + 63) / 64 * 64;
    if (c->dictionary_bytes > r->room)
        return OTHER;
    r->out += c->dictionary_bytes;
    r->room -= c->dictionary_bytes;
    r->dictionary.counts = calloc((size_t)entries + 1, sizeof(int64_t));
    r->dictionary.entries = entries;
    return r->dictionary.counts == NULL ? OTHER : NULL;
}

static complaint read_chunk(chunk_reader *c, int file, int64_t start, char *data)
{
    page_reader *r = &c->reader;
    complaint wrong = NULL;
    if (read_file(file, data, r->size, start) < 0)
        return OTHER;
    if (list_pages(r->data, 0, r->size, &c->pages, &wrong) != r->size || wrong != NULL)
        return OTHER;
    compute_checksums(r->data, &c->pages);
    for (int64_t i = 0; i < c->pages.used && wrong == NULL; i++) {
        const int64_t *record = c->pages.records + i * PAGE_FIELDS;
        if (i == 0 && record[KIND] == DICTIONARY_PAGE)
            wrong = take_dictionary(c, record);
        else if (record[KIND] != INDEX_PAGE)
            wrong = record[ENCODING] == DELTA_BINARY_PACKED && !c->integers ? OTHER : read_page(r, i, record);
    }
    return wrong;
}

PyDoc_STRVAR(read_chunk_doc,
             "read_chunk(file, start, size, values, unpacked, snappy, nullable, width, integers) -> (memory, entries of the dictionary at "
             "its beginning, counts of them or None, where plain values begin, their number, how many values are not null), or "
             "None if it is not read so, for whatever reason");

static PyObject *kernel_read_chunk(PyObject *self, PyObject *args)
{
    chunk_reader c;
    page_reader *r = &c.reader;
    memory_object *out = NULL;
    block data = {NULL, 0};
    complaint wrong = OTHER;
    PyObject *counts = NULL, *result = NULL;
    int file;
    long long start, size, values, unpacked;
    (void)self;
    memset(&c, 0, sizeof c);
    if (!PyArg_ParseTuple(args, "iLLLLppip", &file, &start, &size, &values, &unpacked, &r->snappy, &r->nullable, &r->width, &c.integers))
        return NULL;
    if (start < 0 || !is_size(size) || !is_size(unpacked) || (r->width != 4 && r->width != 8)) {
        complain("a column chunk has numbers out of range");
        return NULL;
    }
    r->room = unpacked + 64;
    data = take_block((Py_ssize_t)size);
    out = data.start == NULL ? (memory_object *)PyErr_NoMemory() : new_memory((Py_ssize_t)r->room);
    if (out == NULL)
        goto done;
    r->data = (const uint8_t *)data.start;
    r->size = size;
    r->out = (uint8_t *)out->held.start;
    UNLOCKED(1, wrong = read_chunk(&c, file, start, data.start));
    if (wrong != NULL || r->values != values) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    counts = r->dictionary.counts == NULL
                 ? Py_NewRef(Py_None)
                 : PyBytes_FromStringAndSize((const char *)r->dictionary.counts, (Py_ssize_t)(r->dictionary.entries * (int64_t)sizeof(int64_t)));
    if (counts != NULL)
        result = Py_BuildValue("OLNLLL", (PyObject *)out, (long long)r->dictionary.entries, counts, (long long)c.dictionary_bytes,
                               (long long)r->plain, (long long)r->present);
done:
    Py_XDECREF((PyObject *)out);
    free(c.pages.records);
    free(r->dictionary.counts);
    if (data.start != NULL)
        put_block(data);
    return result;
}

#endif
