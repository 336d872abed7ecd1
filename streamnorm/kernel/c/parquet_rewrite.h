/* Pages of Parquet that are written again: their headers with other numbers, and the bounds of pages of indices. */
#ifndef STREAMNORM_PARQUET_REWRITE_H
#define STREAMNORM_PARQUET_REWRITE_H

#include <Python.h>
#include <math.h>
#include <string.h>

#include "page_headers.h"
#include "parquet_pages.h"

/* ---- headers ---- */

/* A struct that is being written: where its next byte goes, how far there is room, and the number of its last field. */
typedef struct {
    uint8_t *at, *end;
    int64_t last;
    int full; /* there was no room for a byte */
} emitted;

/* Bytes that a header can grow by beside its bounds: two sizes, a checksum, nulls, and the fields' own. One that grows by
 * more has fields twice, which no writer's has. */
enum { HEADER_ROOM = 64 };

/* What a header tells anew; -1 and NULL: what it told before. */
typedef struct {
    long long unpacked, packed, crc, encoding, compressed, nulls;
    const char *least, *greatest;
    Py_ssize_t least_size, greatest_size;
    int restated; /* there are other statistics */
} retold;

static void put_byte(emitted *out, int byte)
{
    if (out->at < out->end)
        *out->at++ = (uint8_t)byte;
    else
        out->full = 1;
}

static void put_raw(emitted *out, const void *bytes, int64_t size)
{
    if (size > out->end - out->at) {
        out->full = 1;
    } else if (size > 0) {
        memcpy(out->at, bytes, (size_t)size);
        out->at += size;
    }
}

static void put_varint(emitted *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put_byte(out, (int)(value & 127) | 128);
    put_byte(out, (int)value);
}

static void put_zigzag(emitted *out, int64_t value) { put_varint(out, (uint64_t)value << 1 ^ (0 - (uint64_t)(value < 0))); }

static void put_field(emitted *out, int64_t number, int type)
{
    if (number > out->last && number - out->last < 16) {
        put_byte(out, (int)(number - out->last) << 4 | type);
    } else {
        put_byte(out, type);
        put_zigzag(out, number);
    }
    out->last = number;
}

static void put_number(emitted *out, int64_t number, int type, int64_t value)
{
    put_field(out, number, type);
    put_zigzag(out, value);
}

static void put_bytes(emitted *out, int64_t number, const char *bytes, Py_ssize_t size)
{
    put_field(out, number, T_BINARY);
    put_varint(out, (uint64_t)size);
    put_raw(out, bytes, size);
}

/* Copy a field whose type and number were read. */
static void copy_field(thrift *t, emitted *out, int64_t number, int type)
{
    const uint8_t *from = t->at;
    thrift_skip(t, type, 0);
    put_field(out, number, type);
    put_raw(out, from, t->at - from);
}

/* Statistics: the fields that were there, told anew. How many values are distinct is not known. */
static void restate_statistics(thrift *t, emitted *out, const retold *r)
{
    int there[9] = {0}, type;
    int64_t number = 0;
    emitted own = {out->at, out->end, 0, out->full};
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        if (number > 0 && number < 9)
            there[number] = 1;
        thrift_skip(t, type, 0);
    }
    if (r->least != NULL && (there[1] || there[2])) {
        put_bytes(&own, 1, r->greatest, r->greatest_size);
        put_bytes(&own, 2, r->least, r->least_size);
    }
    if (there[3])
        put_number(&own, 3, T_LONG, r->nulls);
    if (r->least != NULL && (there[5] || there[6])) {
        put_bytes(&own, 5, r->greatest, r->greatest_size);
        put_bytes(&own, 6, r->least, r->least_size);
    }
    for (number = 7; number < 9; number++)
        if (r->least != NULL && there[number])
            put_field(&own, number, T_YES);
    put_byte(&own, 0);
    out->at = own.at;
    out->full = own.full;
}

/* The struct of a kind of page, whose fields of encoding, of whether it is compressed and of statistics are these. */
static void restate_kind(thrift *t, emitted *out, const retold *r, int64_t encoding, int64_t compressed, int64_t statistics,
                         int64_t left_out)
{
    int type, pending = compressed && r->compressed >= 0;
    int64_t number = 0;
    emitted own = {out->at, out->end, 0, out->full};
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        if (pending && number >= compressed) {
            put_field(&own, compressed, r->compressed ? T_YES : T_NO);
            pending = 0;
            if (number == compressed)
                continue;
        }
        if (number == encoding && r->encoding >= 0) {
            thrift_skip(t, type, 0);
            put_number(&own, number, T_INT, r->encoding);
        } else if (number == statistics && r->restated && type == T_STRUCT) {
            put_field(&own, number, T_STRUCT);
            restate_statistics(t, &own, r);
        } else if (number == left_out) {
            thrift_skip(t, type, 0);
        } else {
            copy_field(t, &own, number, type);
        }
    }
    if (pending)
        put_field(&own, compressed, r->compressed ? T_YES : T_NO);
    put_byte(&own, 0);
    out->at = own.at;
    out->full = own.full;
}

static void restate_page(thrift *t, emitted *out, const retold *r)
{
    int type, pending = r->crc >= 0;
    int64_t number = 0;
    int64_t crc = r->crc >= (int64_t)1 << 31 ? r->crc - ((int64_t)1 << 32) : r->crc;
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        if (pending && number >= 4) {
            put_number(out, 4, T_INT, crc);
            pending = 0;
        }
        if (number == 4 && r->crc >= 0) {
            thrift_skip(t, type, 0);
        } else if ((number == 2 && r->unpacked >= 0) || (number == 3 && r->packed >= 0)) {
            thrift_skip(t, type, 0);
            put_number(out, number, T_INT, number == 2 ? r->unpacked : r->packed);
        } else if (type == T_STRUCT && (number == 5 || number == 7 || number == 8)) {
            put_field(out, number, type);
            if (number == 5)
                restate_kind(t, out, r, 2, 0, 5, -1);
            else if (number == 7)
                restate_kind(t, out, r, 2, 0, -1, 3); /* whether the dictionary is sorted */
            else
                restate_kind(t, out, r, 4, 7, 8, -1);
        } else {
            copy_field(t, out, number, type);
        }
    }
    put_byte(out, 0);
}

/* Give the header of a page with other numbers. */
static PyObject *restated_header(const uint8_t *header, int64_t size, const retold *r)
{
    int64_t most = size + 2 * (r->least_size + r->greatest_size) + HEADER_ROOM;
    uint8_t *room = malloc((size_t)most);
    thrift t = {.at = header, .end = header + size};
    emitted out = {room, room + most, 0, 0};
    PyObject *result = NULL;
    if (room == NULL)
        return PyErr_NoMemory();
    restate_page(&t, &out, r);
    if (t.cut || t.damaged || out.full)
        PyErr_SetString(PyExc_ValueError, "the header of a page is damaged");
    else
        result = PyBytes_FromStringAndSize((const char *)room, out.at - room);
    free(room);
    return result;
}

PyDoc_STRVAR(page_header_doc,
             "page_header(header, unpacked, packed, crc, encoding, compressed, statistics) -> the header with other numbers\n\n"
             "A number of -1 stays what it is; statistics are None (they stay) or (nulls, least, greatest), bytes or None.");

static PyObject *kernel_page_header(PyObject *self, PyObject *args)
{
    Py_buffer header = {0};
    PyObject *object, *statistics, *result = NULL;
    retold r;
    (void)self;
    memset(&r, 0, sizeof r);
    if (!PyArg_ParseTuple(args, "OLLLLLO", &object, &r.unpacked, &r.packed, &r.crc, &r.encoding, &r.compressed, &statistics))
        return NULL;
    r.restated = statistics != Py_None;
    if (r.restated && !PyArg_ParseTuple(statistics, "Lz#z#", &r.nulls, &r.least, &r.least_size, &r.greatest, &r.greatest_size))
        return NULL;
    if (r.restated && (r.least == NULL) != (r.greatest == NULL)) {
        PyErr_SetString(PyExc_ValueError, "of two bounds there is one");
        return NULL;
    }
    if (PyObject_GetBuffer(object, &header, PyBUF_SIMPLE) < 0)
        return NULL;
    result = restated_header(header.buf, header.len, &r);
    PyBuffer_Release(&header);
    return result;
}

/* ---- bounds ---- */

/* The entries of a dictionary, whether each occurs, and the bounds of those that do: NaN is below and above nothing. */
typedef struct {
    const double *entries;
    uint8_t *used;
    int64_t number;
    double least, greatest;
} bounded;

/* The bounds are kept in variables of their own: for all the compiler knows, a byte that is set may be one of theirs. */
static void see_entries(bounded *b, const uint32_t *indices, int n)
{
    double least = b->least, greatest = b->greatest;
    for (int i = 0; i < n; i++) {
        double value = b->entries[indices[i]];
        b->used[indices[i]] = 1;
        least = value < least ? value : least;
        greatest = value > greatest ? value : greatest;
    }
    b->least = least;
    b->greatest = greatest;
}

/* Of a page with more values than there are entries, first mark which occur: a byte is set sooner than two numbers are
 * compared that each wait for the one before. */
static void mark_entries(uint8_t *seen, const uint32_t *indices, int n)
{
    for (int i = 0; i < n; i++)
        seen[indices[i]] = 1;
}

/* See the entries that are marked; one that is not counts as NaN, which bounds nothing. */
static void see_marked(bounded *b, const uint8_t *seen)
{
    double least[LANES], greatest[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        least[lane] = b->least;
        greatest[lane] = b->greatest;
    }
    for (int64_t first = 0; first < b->number; first += LANES) {
        int n = (int)(b->number - first < LANES ? b->number - first : LANES);
        for (int lane = 0; lane < n; lane++) {
            double value = seen[first + lane] ? b->entries[first + lane] : (double)NAN;
            b->used[first + lane] |= seen[first + lane];
            least[lane] = value < least[lane] ? value : least[lane];
            greatest[lane] = value > greatest[lane] ? value : greatest[lane];
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        b->least = least[lane] < b->least ? least[lane] : b->least;
        b->greatest = greatest[lane] > b->greatest ? greatest[lane] : b->greatest;
    }
}

static complaint read_indices(const uint8_t *at, const uint8_t *end, int64_t present, bounded *b, uint8_t *seen)
{
    static const complaint BEYOND = "an index lies beyond the dictionary";
    uint32_t indices[UNPACKED];
    hybrid h = {.at = at + 1, .end = end, .left = present};
    if (present == 0)
        return NULL;
    if (at >= end || *at > INDEX_BITS)
        return "the bits of its indices are missing or more than 32";
    h.bits = *at;
    while (h.left > 0) {
        complaint wrong = next_part(&h);
        if (wrong != NULL)
            return wrong;
        if (!h.packed) {
            if (h.value >= (uint64_t)b->number)
                return BEYOND;
            if (seen != NULL)
                mark_entries(seen, &h.value, 1);
            else
                see_entries(b, &h.value, 1);
        }
        for (int64_t done = 0; h.packed && done < h.count; done += UNPACKED) {
            int n = (int)(h.count - done < UNPACKED ? h.count - done : UNPACKED);
            if (unpack_indices(h.bytes, h.end, done * h.bits, n, h.bits, indices) >= (uint64_t)b->number)
                return BEYOND;
            if (seen != NULL)
                mark_entries(seen, indices, n);
            else
                see_entries(b, indices, n);
        }
    }
    return NULL;
}

static complaint see_indices(const uint8_t *at, const uint8_t *end, int64_t present, bounded *b)
{
    uint8_t *seen = b->number <= present ? calloc((size_t)b->number + 1, 1) : NULL;
    complaint wrong = read_indices(at, end, present, b, seen);
    if (seen != NULL)
        see_marked(b, seen);
    free(seen);
    return wrong;
}

PyDoc_STRVAR(index_bounds_doc,
             "index_bounds(page, nullable, entries, used) -> (present, least, greatest)\n\n"
             "The values that are not null of a page of `count_pages`, and the bounds of the entries (float64) that it has:\n"
             "infinity and its negative where all are NaN; `used` (a byte an entry) becomes 1 for each that occurs.");

static PyObject *kernel_index_bounds(PyObject *self, PyObject *args)
{
    PyObject *page, *entries_object, *used_object, *result = NULL;
    Py_buffer entries = {0}, used = {0};
    data_page own;
    int nullable;
    complaint wrong;
    (void)self;
    memset(&own, 0, sizeof own);
    if (!PyArg_ParseTuple(args, "OpOO", &page, &nullable, &entries_object, &used_object) || parse_page(page, &own) < 0 ||
        PyObject_GetBuffer(entries_object, &entries, PyBUF_SIMPLE) < 0 ||
        PyObject_GetBuffer(used_object, &used, PyBUF_WRITABLE) < 0)
        goto done;
    if (entries.len != used.len * (Py_ssize_t)sizeof(double)) {
        PyErr_SetString(PyExc_ValueError, "entries and what is used are of other lengths");
        goto done;
    }
    {
        bounded b = {entries.buf, used.buf, used.len, INFINITY, -INFINITY};
        int64_t present = 0, start = 0;
        Py_BEGIN_ALLOW_THREADS
        wrong = find_values(&own, nullable, &present, &start);
        if (wrong == NULL)
            wrong = see_indices((const uint8_t *)own.body.buf + start, (const uint8_t *)own.body.buf + own.body.len, present, &b);
        Py_END_ALLOW_THREADS
        if (wrong != NULL)
            complain(wrong);
        else
            result = Py_BuildValue("Ldd", (long long)present, b.least, b.greatest);
    }
done:
    PyBuffer_Release(&own.levels);
    PyBuffer_Release(&own.body);
    PyBuffer_Release(&entries);
    PyBuffer_Release(&used);
    return result;
}

#endif
