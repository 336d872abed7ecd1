/* Column chunks of Parquet as their bytes lie: what Python sees of pages, their levels and their values. */
#ifndef STREAMNORM_PARQUET_PAGES_H
#define STREAMNORM_PARQUET_PAGES_H

#include <Python.h>

#include "arguments.h"
#include "checksum.h"
#include "hybrid.h"
#include "page_headers.h"
#include "page_values.h"
#include "snappy.h"

static void complain(complaint wrong) { PyErr_SetString(PyExc_ValueError, wrong); }

PyDoc_STRVAR(pages_doc, "pages(data, at=0) -> (records of the pages that lie wholly in data, where the next one begins)");

static PyObject *kernel_pages(PyObject *self, PyObject *args)
{
    Py_buffer data = {0};
    long long at = 0, end;
    page_list list = {NULL, 0, 0};
    complaint wrong = NULL;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*|L", &data, &at))
        return NULL;
    end = at < 0 ? at : list_pages(data.buf, at, data.len, &list, &wrong);
    if (has_checksums(&list)) { /* headers alone are read sooner than the interpreter's lock is given away and got back */
        Py_BEGIN_ALLOW_THREADS
        compute_checksums(data.buf, &list);
        Py_END_ALLOW_THREADS
    }
    if (at < 0)
        complain("pages begin before the data");
    else if (wrong != NULL)
        complain(wrong);
    else if (end < 0)
        PyErr_NoMemory();
    else
        result = Py_BuildValue("y#L", list.used ? (char *)list.records : "",
                               (Py_ssize_t)(list.used * PAGE_FIELDS * (int64_t)sizeof(int64_t)), end);
    free(list.records);
    PyBuffer_Release(&data);
    return result;
}

typedef struct {
    long long values;
    int encoding;
    int inside; /* whether levels stand in the body */
    Py_buffer levels, body;
} data_page;

/* Where a page's values begin, and how many there are. */
static complaint find_values(const data_page *p, int nullable, int64_t *present, int64_t *start)
{
    const uint8_t *at = p->body.buf, *levels = p->levels.buf;
    int64_t size = p->levels.len;
    *start = 0;
    *present = p->values;
    if (!nullable)
        return NULL;
    if (p->inside) {
        if (p->body.len < 4)
            return "definition levels are missing";
        size = at[0] | (int64_t)at[1] << 8 | (int64_t)at[2] << 16 | (int64_t)at[3] << 24;
        if (size > p->body.len - 4)
            return "definition levels are longer than their page";
        levels = at + 4;
        *start = 4 + size;
    }
    return count_present(levels, levels + size, p->values, present);
}

static complaint count_page(const data_page *p, int nullable, int64_t width, const tallied *t, int64_t *present, int64_t *start)
{
    const uint8_t *body = p->body.buf;
    complaint wrong = find_values(p, nullable, present, start);
    if (wrong != NULL)
        return wrong;
    if (p->encoding == PLAIN && *present > (p->body.len - *start) / width)
        return "there are fewer values than the page tells of";
    if (p->encoding != PLAIN_DICTIONARY && p->encoding != RLE_DICTIONARY)
        return NULL;
    return count_indices(body + *start, body + p->body.len, *present, t);
}

static int parse_page(PyObject *item, data_page *p)
{
    PyObject *levels;
    if (!PyArg_ParseTuple(item, "LiOy*", &p->values, &p->encoding, &levels, &p->body) ||
        (levels != Py_None && PyObject_GetBuffer(levels, &p->levels, PyBUF_SIMPLE) < 0))
        return -1;
    p->inside = levels == Py_None;
    if (p->values < 0 || p->values > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a page has a number of values out of range");
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(count_pages_doc,
             "count_pages(pages, nullable, width, counts=None) -> of each page the number of values that are not null and "
             "where they begin in its body; counts: int64, one an entry of the dictionary, to be added to");

static PyObject *kernel_count_pages(PyObject *self, PyObject *args)
{
    PyObject *list, *given = Py_None, *result = NULL;
    Py_buffer counts = {0};
    data_page *pages = NULL;
    Py_ssize_t number = 0;
    long long width;
    int nullable;
    complaint wrong = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "OpL|O", &list, &nullable, &width, &given))
        return NULL;
    if (!PyList_Check(list) || width < 1 || width > 16) {
        PyErr_SetString(PyExc_ValueError, "pages are a list, and values have 1 to 16 bytes");
        return NULL;
    }
    number = PyList_Size(list);
    pages = calloc((size_t)number + 1, sizeof *pages);
    result = PyBytes_FromStringAndSize(NULL, 2 * number * (Py_ssize_t)sizeof(int64_t));
    if (pages == NULL || result == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (given != Py_None && PyObject_GetBuffer(given, &counts, PyBUF_WRITABLE) < 0)
        goto done;
    for (Py_ssize_t i = 0; i < number; i++)
        if (parse_page(PyList_GetItem(list, i), &pages[i]) < 0)
            goto done;
    {
        char *found = PyBytes_AsString(result);
        tallied t = {counts.buf, counts.len / (int64_t)sizeof(int64_t)};
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < number && wrong == NULL; i++) {
            int64_t own[2];
            wrong = count_page(&pages[i], nullable, width, &t, &own[0], &own[1]);
            memcpy(found + (size_t)i * sizeof own, own, sizeof own);
        }
        Py_END_ALLOW_THREADS
    }
    if (wrong != NULL)
        complain(wrong);
done:
    for (Py_ssize_t i = 0; pages != NULL && i < number; i++) {
        PyBuffer_Release(&pages[i].levels);
        PyBuffer_Release(&pages[i].body);
    }
    free(pages);
    PyBuffer_Release(&counts);
    if (PyErr_Occurred()) {
        Py_XDECREF(result);
        return NULL;
    }
    return result;
}

/* ---- a piece of a column chunk at once ---- */

enum { FRONT_BYTES = 64 };

/* Where pages are read to: plain values one behind the other, counts of the dictionary's entries, and numbers of both. */
typedef struct {
    const uint8_t *data;
    int64_t size;
    int snappy, nullable, width;
    int no_deltas; /* of floats, which are never written so */
    int front;     /* whether there are FRONT_BYTES of memory in front of `out` */
    const Py_buffer *bodies; /* of pages that are unpacked already, NULL where none is */
    tallied dictionary;
    uint8_t *out;
    int64_t room, values, present, plain;
} page_reader;

static const complaint OTHER = "";

/* Bring the bytes of a page, from the levels of a v2 page on, to `to`, which has room for `room`, unless they need no
 * unpacking. */
static complaint unpack_page(const page_reader *r, int64_t page, const int64_t *record, uint8_t *to, int64_t room, data_page *p)
{
    const uint8_t *body = r->data + record[BODY];
    int64_t levels = record[KIND] == DATA_PAGE_V2 ? record[DEFINITION_BYTES] : 0;
    int64_t packed = record[PACKED_SIZE] - levels, unpacked = record[UNPACKED_SIZE] - levels;
    p->levels.buf = (void *)(uintptr_t)body;
    p->levels.len = levels;
    p->body.buf = (void *)(uintptr_t)(body + levels);
    p->body.len = packed;
    if (r->bodies != NULL) {
        p->body = r->bodies[page];
        return p->body.len == unpacked ? NULL : "a page unpacks to another number of bytes than its header says";
    }
    if (!r->snappy || !record[IS_COMPRESSED] || packed + unpacked == 0)
        return packed == unpacked ? NULL : "a page has another number of bytes than its header says";
    if (unpacked > room)
        return "there is no room for a page";
    p->body.buf = to;
    p->body.len = unpacked;
    return unpack_snappy(body + levels, body + levels + packed, to, (size_t)unpacked);
}

/* Whether a page is one of values that are read here. */
static complaint look_at(const page_reader *r, const int64_t *record)
{
    int64_t encoding = record[ENCODING], levels = record[DEFINITION_BYTES];
    int known = encoding == PLAIN || encoding == BYTE_STREAM_SPLIT || encoding == DELTA_BINARY_PACKED ||
                encoding == PLAIN_DICTIONARY || encoding == RLE_DICTIONARY;
    if (record[BODY] < 0 || record[PACKED_SIZE] < 0 || record[PACKED_SIZE] > r->size - record[BODY])
        return "a page lies outside of what was read";
    if (!is_size(record[UNPACKED_SIZE]) || !is_size(record[PAGE_VALUES]) ||
        (record[KIND] == DATA_PAGE_V2 && (!is_size(levels) || levels > record[PACKED_SIZE] || levels > record[UNPACKED_SIZE])))
        return "a page has numbers out of range";
    if (record[CHECKSUM] > 0 && record[CHECKSUM] != record[COMPUTED]) /* 0 is what writers put there who compute none */
        return "a page has another CRC than its header says";
    if (!known || (r->no_deltas && encoding == DELTA_BINARY_PACKED) || (record[KIND] != DATA_PAGE && record[KIND] != DATA_PAGE_V2) || (r->nullable && record[KIND] == DATA_PAGE && record[DEFINITION_ENCODING] != RLE) ||
        (record[KIND] == DATA_PAGE_V2 && record[REPETITION_BYTES] != 0))
        return OTHER;
    return NULL;
}

/* The bytes of the levels in front of the plain values of a page that is packed by snappy, where its first bytes tell them and
 * they are few; else 0. */
static int64_t levels_in_front(const page_reader *r, const int64_t *record)
{
    const uint8_t *at = r->data + record[BODY], *end = at + record[PACKED_SIZE];
    uint64_t size;
    if (!r->front || !r->nullable || r->bodies != NULL || !r->snappy || record[KIND] != DATA_PAGE || record[ENCODING] != PLAIN)
        return 0;
    if (!read_varint(&at, end, &size) || end - at < 8 || (*at & 3) != 0 || *at >> 2 < 3 || *at >> 2 > 61)
        return 0;
    at += *at >> 2 < 60 ? 1 : (*at >> 2) - 58; /* a literal of at least four bytes */
    size = 4 + (at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24);
    return size <= FRONT_BYTES && (int64_t)size <= record[UNPACKED_SIZE] ? (int64_t)size : 0;
}

/* Read one page. Plain values are unpacked to where they are to stand, or moved there from behind their levels. */
static complaint read_page(page_reader *r, int64_t page, const int64_t *record)
{
    uint8_t *to = r->out + r->plain * r->width;
    uint8_t before[FRONT_BYTES]; /* what stands where levels are unpacked to */
    int64_t room = r->room - r->plain * r->width, present, start, taken, front;
    data_page p;
    complaint wrong = look_at(r, record);
    if (wrong != NULL)
        return wrong;
    memset(&p, 0, sizeof p);
    p.values = record[PAGE_VALUES];
    p.encoding = (int)record[ENCODING];
    taken = p.encoding == BYTE_STREAM_SPLIT || p.encoding == DELTA_BINARY_PACKED ? p.values * r->width : 0;
    if (taken > room)
        return "there is no room for a page";
    front = levels_in_front(r, record);
    memcpy(before, to - front, (size_t)front);
    wrong = unpack_page(r, page, record, to + taken - front, room - taken + front, &p);
    p.inside = record[KIND] == DATA_PAGE;
    if (wrong == NULL)
        wrong = count_page(&p, r->nullable, r->width, &r->dictionary, &present, &start);
    memcpy(to - front, before, (size_t)front);
    if (wrong != NULL)
        return wrong;
    r->values += p.values;
    r->present += present;
    if (p.encoding == PLAIN_DICTIONARY || p.encoding == RLE_DICTIONARY)
        return NULL;
    if (p.encoding == PLAIN) {
        if (present * r->width > room)
            return "there is no room for a page";
        if ((const uint8_t *)p.body.buf + start != to)
            memmove(to, (const uint8_t *)p.body.buf + start, (size_t)(present * r->width));
    } else {
        const uint8_t *at = (const uint8_t *)p.body.buf + start, *end = (const uint8_t *)p.body.buf + p.body.len;
        wrong = (p.encoding == BYTE_STREAM_SPLIT ? join_streams : undo_deltas)(at, end, present, r->width, to);
    }
    r->plain += present;
    return wrong;
}

static complaint read_all(page_reader *r, const Py_buffer *records)
{
    complaint wrong = NULL;
    int64_t number = records->len / (PAGE_FIELDS * (int64_t)sizeof(int64_t));
    for (int64_t i = 0; i < number && wrong == NULL; i++) {
        int64_t record[PAGE_FIELDS];
        memcpy(record, (const char *)records->buf + (size_t)i * sizeof record, sizeof record);
        wrong = record[KIND] == INDEX_PAGE ? NULL : read_page(r, i, record);
    }
    return wrong;
}

PyDoc_STRVAR(read_pages_doc,
             "read_pages(data, records, snappy, bodies, nullable, width, counts, out) -> (values, those that are not null, "
             "those in out)");

static PyObject *kernel_read_pages(PyObject *self, PyObject *args)
{
    Py_buffer data = {0}, records = {0}, counts = {0}, out = {0};
    PyObject *bodies, *given, *result = NULL;
    Py_buffer *views = NULL;
    Py_ssize_t number = 0;
    page_reader r;
    complaint wrong = NULL;
    (void)self;
    memset(&r, 0, sizeof r);
    if (!PyArg_ParseTuple(args, "y*y*pOpiOw*", &data, &records, &r.snappy, &bodies, &r.nullable, &r.width, &given, &out))
        return NULL;
    if (given != Py_None && PyObject_GetBuffer(given, &counts, PyBUF_WRITABLE) < 0)
        goto done;
    if (bodies != Py_None) {
        number = PyList_Size(bodies);
        views = calloc((size_t)number + 1, sizeof *views);
        for (Py_ssize_t i = 0; views != NULL && i < number; i++)
            if (PyObject_GetBuffer(PyList_GetItem(bodies, i), &views[i], PyBUF_SIMPLE) < 0)
                goto done;
    }
    if ((r.width != 4 && r.width != 8) || (bodies != Py_None && (views == NULL || number < records.len / (PAGE_FIELDS * (Py_ssize_t)sizeof(int64_t))))) {
        complain("values have 4 or 8 bytes, and every page has a body");
        goto done;
    }
    r.data = data.buf;
    r.size = data.len;
    r.bodies = views;
    r.dictionary = (tallied){counts.buf, counts.len / (int64_t)sizeof(int64_t)};
    r.out = out.buf;
    r.room = out.len;
    UNLOCKED(data.len >= LONG_BYTES || out.len >= LONG_BYTES, wrong = read_all(&r, &records));
    if (wrong == OTHER)
        PyErr_SetString(PyExc_NotImplementedError, "pages of this kind are not read here");
    else if (wrong != NULL)
        complain(wrong);
    else
        result = Py_BuildValue("LLL", (long long)r.values, (long long)r.present, (long long)r.plain);
done:
    for (Py_ssize_t i = 0; views != NULL && i < number; i++)
        PyBuffer_Release(&views[i]);
    free(views);
    PyBuffer_Release(&data);
    PyBuffer_Release(&records);
    PyBuffer_Release(&counts);
    PyBuffer_Release(&out);
    return result;
}

PyDoc_STRVAR(unpack_doc,
             "unpack(encoding, body, start, count, width) -> values of DELTA_BINARY_PACKED (5) or BYTE_STREAM_SPLIT (9), plain");

static PyObject *kernel_unpack(PyObject *self, PyObject *args)
{
    Py_buffer body = {0};
    int encoding, width;
    long long start, count;
    complaint wrong = NULL;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "iy*LLi", &encoding, &body, &start, &count, &width))
        return NULL;
    if ((encoding != DELTA_BINARY_PACKED && encoding != BYTE_STREAM_SPLIT) || (width != 4 && width != 8) || start < 0 ||
        start > body.len || count < 0 || count > INT32_MAX)
        complain("values of 4 or 8 bytes are unpacked, of two encodings, from within their page");
    else
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * width));
    if (result != NULL) {
        const uint8_t *at = (const uint8_t *)body.buf + start, *end = (const uint8_t *)body.buf + body.len;
        uint8_t *out = (uint8_t *)PyBytes_AsString(result);
        Py_BEGIN_ALLOW_THREADS
        wrong = (encoding == BYTE_STREAM_SPLIT ? join_streams : undo_deltas)(at, end, count, width, out);
        Py_END_ALLOW_THREADS
        if (wrong != NULL) {
            complain(wrong);
            Py_DECREF(result);
            result = NULL;
        }
    }
    PyBuffer_Release(&body);
    return result;
}

PyDoc_STRVAR(crc32_doc, "crc32(data) -> the checksum that Parquet's pages have, zlib's");

static PyObject *kernel_crc32(PyObject *self, PyObject *object)
{
    Py_buffer data;
    uint32_t sum;
    (void)self;
    if (PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    UNLOCKED(data.len >= LONG_BYTES, sum = checksum(data.buf, (size_t)data.len));
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(sum);
}

#endif
