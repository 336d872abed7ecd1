/* Pages of Parquet whose values are mapped, many at once: three calls with a map and a codec between them, where page by page
 * the interpreter would have more to do than the processor. */
#ifndef STREAMNORM_PARQUET_REMADE_H
#define STREAMNORM_PARQUET_REMADE_H

#include <Python.h>
#include <math.h>
#include <stdlib.h>

#include "arithmetic.h"
#include "extremes.h"
#include "parquet_opened.h"
#include "parquet_rewrite.h"

/* ---- mapped values to bodies ---- */

/* Find the bounds of at most BLOCK mapped values. */
static void bound_mapped(const uint8_t *values, int n, int width, remade_page *made)
{
    double room[BLOCK];
    if (width == sizeof *room)
        memcpy(room, values, (size_t)n * sizeof *room);
    else
        for (int i = 0; i < n; i++) {
            float value;
            memcpy(&value, values + (size_t)i * sizeof value, sizeof value);
            room[i] = (double)value;
        }
    bound(room, n, &made->least, &made->greatest);
}

/* Map a page's values, or copy what was mapped (`how` is NULL), and find their bounds while they are near; give 0 where an
 * infinity is among them. */
static int put_values(const char *from, int64_t count, int width, mapping *how, uint8_t *to, remade_page *made)
{
    if (how != NULL) {
        how->in.values = from;
        how->in.length = count;
        how->out = (char *)to;
    }
    for (int64_t done = 0; done < count; done += BLOCK) {
        int n = (int)(count - done < BLOCK ? count - done : BLOCK);
        if (how == NULL)
            memcpy(to + done * width, from + done * width, (size_t)n * (size_t)width);
        else if (map_block(how, done, n) >= 0)
            return 0;
        bound_mapped(to + done * width, n, width, made);
    }
    return 1;
}

/* Bytes before a body at most that make it a literal: two numbers, and a tag. */
enum { LITERAL_ROOM = 16 };

/* Whether a page is one that its codec could not make smaller. */
static int is_stubborn(const remaking *m, const int64_t *record)
{
    return m->reader.snappy && record[KIND] == DATA_PAGE && record[PACKED_SIZE] >= record[UNPACKED_SIZE] && !has_indices(record);
}

/* Write before a body what makes it all of Snappy's bytes: its size, and the tag of a literal of it; give their number. */
static int64_t put_literal(uint8_t *body, int64_t size)
{
    uint8_t bytes[LITERAL_ROOM];
    emitted out = {bytes, bytes + sizeof bytes, 0, 0};
    uint64_t less = (uint64_t)size - 1;
    int more = less < 60 ? 0 : less < 1 << 8 ? 1 : less < 1 << 16 ? 2 : less < 1 << 24 ? 3 : 4;
    put_varint(&out, (uint64_t)size);
    put_byte(&out, (int)(more ? 59 + more : (int)less) << 2);
    for (int i = 0; i < more; i++)
        put_byte(&out, (int)(less >> 8 * i & 255));
    memcpy(body - (out.at - bytes), bytes, (size_t)(out.at - bytes));
    return out.at - bytes;
}

static complaint remake_pages(remaking *m, const char *values, mapping *how, bounded *entries)
{
    complaint wrong = NULL;
    for (int64_t i = 0; i < m->pages && wrong == NULL; i++) {
        const int64_t *record = m->records + i * PAGE_FIELDS;
        remade_page *made = m->made + i;
        uint8_t *to = (uint8_t *)m->remade->held.start + made->at;
        made->least = INFINITY;
        made->greatest = -INFINITY;
        if (has_indices(record)) {
            entries->least = INFINITY;
            entries->greatest = -INFINITY;
            wrong = see_indices(made->indices, made->indices + made->indices_size, made->present, entries);
            made->least = entries->least;
            made->greatest = entries->greatest;
            continue;
        }
        if (record[KIND] == DATA_PAGE && made->levels_size > 0) {
            memcpy(to, made->levels, (size_t)made->levels_size);
            to += made->levels_size;
        }
        if (!put_values(values, made->present, m->width, how, to, made))
            return OTHER;
        if (is_stubborn(m, record) && made->least < made->greatest)
            made->before = put_literal((uint8_t *)m->remade->held.start + made->at, made->size);
        values += made->present * (how == NULL ? m->width : m->reader.width);
    }
    return wrong;
}

/* Say where each page's body stands in the memory of all; give its bytes. */
static int64_t lay_pages(remaking *m)
{
    int64_t at = 0;
    for (int64_t i = 0; i < m->pages; i++) {
        const int64_t *record = m->records + i * PAGE_FIELDS;
        remade_page *made = m->made + i;
        at += is_stubborn(m, record) ? LITERAL_ROOM : 0;
        made->at = at;
        made->size = has_indices(record) ? 0 : made->present * m->width + (record[KIND] == DATA_PAGE ? made->levels_size : 0);
        at += made->size;
    }
    return at;
}

static PyObject *list_of_pages(const remaking *m)
{
    PyObject *list = PyList_New(m->pages);
    for (Py_ssize_t i = 0; list != NULL && i < m->pages; i++) {
        const remade_page *made = m->made + i;
        PyObject *item = Py_BuildValue("LLLLdd", (long long)made->before, (long long)made->at, (long long)made->size,
                                       (long long)made->present, made->least, made->greatest);
        if (item == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SetItem(list, i, item);
    }
    return list;
}

/* Read how values are mapped: (their type, operations, an operand each); `operands` becomes what they meet. */
static int parse_how(PyObject *given, const remaking *m, int width, mapping *how, double **operands)
{
    const char *type;
    Py_buffer own = {0};
    Py_ssize_t steps;
    int known = PyArg_ParseTuple(given, "ss#y*", &type, &how->operations, &steps, &own);
    if (known && (strlen(type) != 1 || width_of(type[0]) != (size_t)m->reader.width || steps < 1 || steps > BLOCK ||
                  strspn(how->operations, "+-*/") != (size_t)steps || own.len != steps * (Py_ssize_t)sizeof(double))) {
        complain("there is an operand for each operation, and values have the pages' width");
        known = 0;
    }
    if (known) {
        how->in.type = type[0];
        how->in.stride = m->reader.width;
        how->in.slots = 1;
        how->out_type = width == sizeof(float) ? 'f' : 'd';
        how->steps = (int)steps;
        how->period = BLOCK;
        how->revealing = !is_floating(&how->in) || reveals(own.buf, steps);
        how->operands = *operands = repeated(own.buf, steps, 1, BLOCK);
        if (*operands == NULL)
            PyErr_NoMemory();
    }
    PyBuffer_Release(&own);
    return *operands != NULL ? 0 : -1;
}

PyDoc_STRVAR(remake_pages_doc,
             "remake_pages(pages, values, width, entries, used) -> (bodies, of each page: bytes before its body that make it a "
             "literal of Snappy's or 0, where its body is in them, its bytes, values that are not null, least, greatest), or None if an index is wrong or a value is or becomes infinite\n\n"
             "Of pages that `open_pages` gave, with the mapped plain values (float64 or float32 by their width), or with how they "
             "are mapped: (type, operations, operands), as of `arithmetic`, an operand each. Of pages of indices there is no body, "
             "and `entries` and `used` are as those of `index_bounds`.");

static PyObject *kernel_remake_pages(PyObject *self, PyObject *args)
{
    Py_buffer values = {0}, entries = {0}, used = {0};
    PyObject *capsule, *given, *result = NULL, *list;
    remaking *m;
    complaint wrong;
    int width, arithmetic;
    mapping how;
    double *operands = NULL;
    (void)self;
    memset(&how, 0, sizeof how);
    if (!PyArg_ParseTuple(args, "OOiy*w*", &capsule, &given, &width, &entries, &used))
        return NULL;
    m = PyCapsule_GetPointer(capsule, REMAKING);
    arithmetic = PyTuple_Check(given);
    if (m == NULL || (arithmetic ? parse_how(given, m, width, &how, &operands) : PyObject_GetBuffer(given, &values, PyBUF_SIMPLE)) < 0)
        goto done;
    if ((width != sizeof(float) && width != sizeof(double)) || m->width != 0 ||
        (!arithmetic && values.len != m->reader.plain * width) || entries.len != used.len * (Py_ssize_t)sizeof(double)) {
        complain("mapped values have 4 or 8 bytes, and are as many as there were; entries are as many as used");
        goto done;
    }
    m->width = width;
    m->remade = new_memory((Py_ssize_t)lay_pages(m));
    if (m->remade == NULL)
        goto done;
    {
        bounded b = {entries.buf, used.buf, used.len, INFINITY, -INFINITY};
        const char *from = arithmetic ? m->values->held.start : values.buf;
        UNLOCKED(m->data.len >= LONG_BYTES, STRICTLY(wrong = remake_pages(m, from, arithmetic ? &how : NULL, &b)));
    }
    list = wrong == NULL ? list_of_pages(m) : NULL;
    if (wrong != NULL)
        result = Py_NewRef(Py_None);
    else if (list != NULL)
        result = Py_BuildValue("ON", (PyObject *)m->remade, list);
done:
    free(operands);
    PyBuffer_Release(&values);
    PyBuffer_Release(&entries);
    PyBuffer_Release(&used);
    return result;
}

/* ---- headers ---- */

/* Write a bound as the file has it, of the mapped values' width: of zeros the least is the negative one. */
static void put_bound(double value, int sign, int width, char *to)
{
    double exact = value == 0 ? copysign(0.0, sign) : value;
    float narrow_ = (float)exact;
    if (width == sizeof(float))
        memcpy(to, &narrow_, sizeof narrow_);
    else
        memcpy(to, &exact, sizeof exact);
}

/* A body as it is packed, and its checksum with the levels beside it; of a page of indices there is none. */
typedef struct {
    Py_buffer view;
    uint32_t checksum;
} packed_body;

static int64_t levels_beside(const remaking *m, int64_t i)
{
    return m->records[i * PAGE_FIELDS + KIND] == DATA_PAGE_V2 ? m->made[i].levels_size : 0;
}

static void check_bodies(const remaking *m, packed_body *bodies)
{
    for (int64_t i = 0; i < m->pages; i++)
        if (bodies[i].view.obj != NULL) {
            uint32_t rest = checksum_of_rest(~0u, m->made[i].levels, (size_t)levels_beside(m, i));
            bodies[i].checksum = ~checksum_of_rest(rest, bodies[i].view.buf, (size_t)bodies[i].view.len);
        }
}

/* Write the header of a page anew. */
static PyObject *seal_page(const remaking *m, int64_t i, const packed_body *body)
{
    const int64_t *record = m->records + i * PAGE_FIELDS;
    const remade_page *made = m->made + i;
    char least[sizeof(double)], greatest[sizeof(double)];
    retold r = {.unpacked = -1, .packed = -1, .crc = -1, .encoding = -1, .compressed = -1, .restated = 1};
    r.nulls = record[PAGE_VALUES] - made->present;
    if (made->least <= made->greatest) {
        put_bound(made->least, -1, m->width, least);
        put_bound(made->greatest, 1, m->width, greatest);
        r.least = least;
        r.greatest = greatest;
        r.least_size = r.greatest_size = m->width;
    }
    if (body->view.obj != NULL) {
        r.unpacked = levels_beside(m, i) + made->size;
        r.packed = levels_beside(m, i) + body->view.len;
        r.crc = body->checksum;
        r.encoding = PLAIN;
        r.compressed = record[KIND] == DATA_PAGE_V2 ? body->view.len < made->size : -1;
    }
    return restated_header(m->reader.data + record[START], record[BODY] - record[START], &r);
}

PyDoc_STRVAR(seal_pages_doc,
             "seal_pages(pages, bodies) -> their headers\n\n"
             "Of pages that were remade, with the body of each as it is packed, without the levels of one of version 2; None for "
             "pages of indices, whose body stays.");

static PyObject *kernel_seal_pages(PyObject *self, PyObject *args)
{
    PyObject *capsule, *given, *result = NULL;
    const remaking *m;
    packed_body *bodies;
    int fine = 1;
    (void)self;
    if (!PyArg_ParseTuple(args, "OO", &capsule, &given))
        return NULL;
    m = PyCapsule_GetPointer(capsule, REMAKING);
    if (m == NULL)
        return NULL;
    if (m->remade == NULL || !PyList_Check(given) || PyList_Size(given) != m->pages) {
        complain("pages are sealed once they were remade, each with a body or None");
        return NULL;
    }
    bodies = calloc((size_t)m->pages + 1, sizeof *bodies);
    if (bodies == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < m->pages && fine; i++)
        fine = PyList_GetItem(given, i) == Py_None || PyObject_GetBuffer(PyList_GetItem(given, i), &bodies[i].view, PyBUF_SIMPLE) == 0;
    if (fine) {
        UNLOCKED(m->remade->size >= LONG_BYTES, check_bodies(m, bodies));
        result = PyList_New(m->pages);
    }
    for (Py_ssize_t i = 0; result != NULL && i < m->pages; i++) {
        PyObject *header = seal_page(m, i, &bodies[i]);
        if (header == NULL) {
            Py_DECREF(result);
            result = NULL;
        } else {
            PyList_SetItem(result, i, header);
        }
    }
    for (Py_ssize_t i = 0; i < m->pages; i++)
        PyBuffer_Release(&bodies[i].view);
    free(bodies);
    return result;
}

#endif
