/* Pages of Parquet whose values are to be mapped, unpacked many at once: their plain values one behind the other, and levels and
 * indices as they are. What is not of the common kinds is left to the interpreter. */
#ifndef STREAMNORM_PARQUET_OPENED_H
#define STREAMNORM_PARQUET_OPENED_H

#include <Python.h>
#include <stdlib.h>

#include "memory.h"
#include "parquet_pages.h"

/* A page: the levels before its values, its indices if it has some, and the mapped body and bounds. Before the body stand as
 * many bytes as make it a literal of Snappy's, where it is to be one. */
typedef struct {
    const uint8_t *levels, *indices;
    int64_t levels_size, indices_size, present, at, size, before;
    double least, greatest; /* infinity and its negative where no value is a number */
} remade_page;

/* Pages on their way. Values stand at the beginning of their memory, one behind the other; at its end stand indices and levels
 * of pages that were unpacked, from `end` on. */
typedef struct {
    page_reader reader;
    Py_buffer data, *views;
    Py_ssize_t bodies, pages;
    int64_t *records;
    remade_page *made;
    memory_object *values, *remade;
    uint8_t *end;
    int width; /* of a mapped value; 0 before they are mapped */
} remaking;

static const char REMAKING[] = "streamnorm.kernel.pages";

static int has_indices(const int64_t *record)
{
    return record[ENCODING] == PLAIN_DICTIONARY || record[ENCODING] == RLE_DICTIONARY;
}

static void free_remaking(remaking *m)
{
    for (Py_ssize_t i = 0; m->views != NULL && i < m->bodies; i++)
        PyBuffer_Release(&m->views[i]);
    free(m->views);
    PyBuffer_Release(&m->data);
    free(m->records);
    free(m->made);
    Py_XDECREF((PyObject *)m->values);
    Py_XDECREF((PyObject *)m->remade);
    free(m);
}

static void end_remaking(PyObject *capsule) { free_remaking(PyCapsule_GetPointer(capsule, REMAKING)); }

/* Unpack a page, and put its values behind those before it. */
static complaint open_page(remaking *m, int64_t i)
{
    const int64_t *record = m->records + i * PAGE_FIELDS;
    page_reader *r = &m->reader;
    remade_page *made = m->made + i;
    uint8_t *front = r->out + r->plain * r->width, *to;
    int64_t size, present, start;
    data_page p;
    complaint wrong = look_at(r, record);
    if (wrong != NULL)
        return wrong;
    size = record[UNPACKED_SIZE] - (record[KIND] == DATA_PAGE_V2 ? record[DEFINITION_BYTES] : 0);
    if (size > m->end - front || (!has_indices(record) && record[ENCODING] != PLAIN))
        return OTHER;
    to = has_indices(record) ? m->end - size : front;
    memset(&p, 0, sizeof p);
    p.values = record[PAGE_VALUES];
    wrong = unpack_page(r, i, record, to, size, &p);
    p.inside = record[KIND] == DATA_PAGE;
    if (wrong == NULL)
        wrong = find_values(&p, r->nullable, &present, &start);
    if (wrong != NULL)
        return wrong;
    made->present = present;
    made->levels = p.inside ? p.body.buf : p.levels.buf;
    made->levels_size = p.inside ? start : p.levels.len;
    if (has_indices(record)) {
        made->indices = (const uint8_t *)p.body.buf + start;
        made->indices_size = p.body.len - start;
        m->end = p.body.buf == to ? to : m->end;
        return NULL;
    }
    if (present > (p.body.len - start) / r->width || size + start > m->end - front)
        return OTHER;
    if (p.body.buf == to && start > 0) {
        m->end -= start;
        memcpy(m->end, to, (size_t)start);
        made->levels = m->end;
    }
    memmove(front, (const uint8_t *)p.body.buf + start, (size_t)(present * r->width));
    r->plain += present;
    return NULL;
}

static complaint open_pages(remaking *m)
{
    complaint wrong = NULL;
    for (int64_t i = 0; i < m->pages && wrong == NULL; i++)
        wrong = open_page(m, i);
    return wrong;
}

/* Bytes that the pages take at most: all that is in them, and levels once more before they are moved. -1 where the records
 * make no sense. */
static int64_t room_for_pages(const remaking *m)
{
    int64_t room = 0, largest = 0;
    for (int64_t i = 0; i < m->pages; i++) {
        int64_t size = m->records[i * PAGE_FIELDS + UNPACKED_SIZE];
        if (!is_size(size) || room > INT32_MAX)
            return -1;
        room += size;
        largest = size > largest ? size : largest;
    }
    return room + largest;
}

PyDoc_STRVAR(open_pages_doc,
             "open_pages(data, records, snappy, bodies, nullable, width) -> (pages, their plain values one behind the other, "
             "number of these), or None if they are not read so, for whatever reason\n\n"
             "Arguments are as those of `read_pages`.");

static PyObject *kernel_open_pages(PyObject *self, PyObject *args)
{
    Py_buffer records = {0};
    PyObject *bodies, *capsule = NULL, *result = NULL;
    remaking *m = calloc(1, sizeof *m);
    page_reader *r = &m->reader;
    complaint wrong = OTHER;
    int64_t room;
    (void)self;
    if (m == NULL)
        return PyErr_NoMemory();
    if (!PyArg_ParseTuple(args, "y*y*pOpi", &m->data, &records, &r->snappy, &bodies, &r->nullable, &r->width))
        goto done;
    m->pages = records.len / (PAGE_FIELDS * (Py_ssize_t)sizeof(int64_t));
    m->records = malloc((size_t)records.len + 1);
    m->made = calloc((size_t)m->pages + 1, sizeof *m->made);
    if (m->records == NULL || m->made == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(m->records, records.buf, (size_t)records.len);
    if (bodies != Py_None) {
        m->bodies = PyList_Size(bodies);
        m->views = calloc((size_t)(m->bodies > 0 ? m->bodies : 0) + 1, sizeof *m->views);
        for (Py_ssize_t i = 0; m->views != NULL && i < m->bodies; i++)
            if (PyObject_GetBuffer(PyList_GetItem(bodies, i), &m->views[i], PyBUF_SIMPLE) < 0)
                goto done;
    }
    room = room_for_pages(m);
    if ((r->width != 4 && r->width != 8) || room < 0 || (bodies != Py_None && (m->views == NULL || m->bodies < m->pages))) {
        complain("values have 4 or 8 bytes, and every page has a size and a body");
        goto done;
    }
    m->values = new_memory((Py_ssize_t)room);
    if (m->values == NULL)
        goto done;
    r->data = m->data.buf;
    r->size = m->data.len;
    r->bodies = m->views;
    r->out = (uint8_t *)m->values->held.start;
    m->end = r->out + room;
    UNLOCKED(m->data.len >= LONG_BYTES, wrong = open_pages(m));
    if (wrong != NULL) {
        result = Py_NewRef(Py_None);
        goto done;
    }
    capsule = PyCapsule_New(m, REMAKING, end_remaking);
    if (capsule != NULL) {
        result = Py_BuildValue("NOL", capsule, (PyObject *)m->values, (long long)r->plain);
        m = NULL;
    }
done:
    PyBuffer_Release(&records);
    if (m != NULL)
        free_remaking(m);
    return result;
}

#endif
