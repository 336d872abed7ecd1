/* Column chunks of Parquet that are small and written in the common ways, as runs of columns: from the disk to what is learnt
 * of them in one call. Threads that take the interpreter's lock in turns for every chunk wait for each other longer than they
 * work. */
#ifndef STREAMNORM_PARQUET_CHUNKS_H
#define STREAMNORM_PARQUET_CHUNKS_H

#include <Python.h>
#include <stdlib.h>

#include "arguments.h"
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

/* What is told of a column chunk, in the order that Python gives it; the type is one of those of runs. */
enum { CHUNK_START, CHUNK_SIZE, CHUNK_VALUES, CHUNK_TYPE, CHUNK_SNAPPY, CHUNK_NULLABLE, CHUNK_FIELDS };

enum {
    PIECE_BYTES = 1 << 18,  /* about what is read at a time: with what it unpacks to it stays in the second cache */
    FIRST_BYTES = 1 << 16,  /* of a chunk, which tell how large its pages are */
    WHOLE_BYTES = 5 << 19,  /* of a chunk that is read as a whole, at most */
    MOST_BYTES = 1 << 25    /* of what is read or unpacked at a time, at most */
};

/* Column chunks of a file, one a slot, which are read one after the other and in pieces. */
struct chunks {
    Py_buffer records;
    int file;
    PyObject *taker; /* what gets all bytes that are read, or NULL */
    int whole;       /* whether a chunk is read as a whole */
    int64_t slot;    /* that which is being read, or -1 */
    int64_t record[CHUNK_FIELDS];
    int64_t at;      /* how much of it has been dealt with, in bytes */
    int64_t held;    /* bytes from there on that are in `data` */
    int64_t wanted;  /* how much is to be there */
    block data, values, dictionary;
    int64_t *counts; /* of the dictionary's entries */
    page_list pages;
    page_reader reader;
};

static void free_chunks(chunks *c)
{
    block blocks[3];
    if (c == NULL)
        return;
    PyBuffer_Release(&c->records);
    Py_XDECREF(c->taker);
    blocks[0] = c->data;
    blocks[1] = c->values;
    blocks[2] = c->dictionary;
    for (int i = 0; i < 3; i++)
        if (blocks[i].start != NULL)
            put_block(blocks[i]);
    free(c->counts);
    free(c->pages.records);
    free(c);
}

static void record_of(const chunks *c, int64_t slot, int64_t record[CHUNK_FIELDS])
{
    memcpy(record, (const char *)c->records.buf + (size_t)slot * CHUNK_FIELDS * sizeof *record, CHUNK_FIELDS * sizeof *record);
}

/* Make room for `size` bytes, of which what is there stays. */
static int grow_block(block *b, int64_t size)
{
    char *more;
    if (size <= b->size)
        return 0;
    more = size > 2 * (int64_t)MOST_BYTES ? NULL : realloc(b->start, (size_t)size + 1);
    if (more == NULL)
        return -1;
    *b = (block){more, (Py_ssize_t)size};
    return 0;
}

/* Unpack the dictionary, and count its entries from 0. */
static complaint take_dictionary(chunks *c, const int64_t *record)
{
    page_reader *r = &c->reader;
    data_page page = {0};
    complaint wrong;
    int64_t entries = record[PAGE_VALUES];
    if ((record[ENCODING] != PLAIN && record[ENCODING] != PLAIN_DICTIONARY) || (record[CHECKSUM] > 0 && record[CHECKSUM] != record[COMPUTED]) ||
        grow_block(&c->dictionary, record[UNPACKED_SIZE]) < 0)
        return OTHER;
    wrong = unpack_page(r, 0, record, (uint8_t *)c->dictionary.start, c->dictionary.size, &page);
    if (wrong != NULL)
        return wrong;
    if (entries > page.body.len / r->width)
        return OTHER;
    if (page.body.buf != c->dictionary.start)
        memcpy(c->dictionary.start, page.body.buf, (size_t)page.body.len);
    free(c->counts);
    c->counts = calloc((size_t)entries + 1, sizeof *c->counts);
    r->dictionary.counts = c->counts;
    r->dictionary.entries = entries;
    return c->counts == NULL ? OTHER : NULL;
}

/* Let the bytes be taken that were read last; -1 where that raises an exception, which is kept. */
static int give_away(chunks *c, int64_t at, int64_t size)
{
    PyGILState_STATE lock;
    PyObject *view, *result, *released = NULL;
    if (c->taker == NULL || size == 0)
        return 0;
    lock = PyGILState_Ensure();
    view = PyMemoryView_FromMemory(c->data.start + at, (Py_ssize_t)size, PyBUF_READ);
    result = view == NULL ? NULL : PyObject_CallFunction(c->taker, "LO", (long long)(c->record[CHUNK_START] + c->at + at), view);
    if (result != NULL)
        released = PyObject_CallMethod(view, "release", NULL); /* the memory is used again */
    Py_XDECREF(view);
    Py_XDECREF(result);
    Py_XDECREF(released);
    PyGILState_Release(lock);
    return released == NULL ? -1 : 0;
}

/* Read on until a page is there as a whole; gives where the last one ends, or -1. */
static int64_t read_piece(chunks *c)
{
    const int64_t left = c->record[CHUNK_SIZE] - c->at;
    for (;;) {
        complaint wrong = NULL;
        const int64_t *next;
        int64_t wanted = c->whole || c->wanted > left || left <= PIECE_BYTES ? left : c->wanted, end;
        if (wanted > MOST_BYTES || grow_block(&c->data, wanted) < 0 ||
            read_file(c->file, c->data.start + c->held, wanted - c->held, c->record[CHUNK_START] + c->at + c->held) < 0 ||
            give_away(c, c->held, wanted - c->held) < 0)
            return -1;
        c->held = wanted;
        c->pages.used = 0;
        end = list_pages((const uint8_t *)c->data.start, 0, wanted, &c->pages, &wrong);
        if (wrong != NULL || end < 0 || (wanted == left && end != left))
            return -1;
        if (end > 0)
            return end;
        next = c->pages.records; /* of the page that is there in part */
        c->wanted = next[BODY] > 0 && next[PACKED_SIZE] > 0 ? next[BODY] + next[PACKED_SIZE] + FRONT_BYTES : 4 * wanted;
    }
}

/* Pages of a chunk mostly have the same size: read as many more as make up a piece, and little of the one behind them. */
static void foresee(chunks *c)
{
    const int64_t *last = c->pages.records + (c->pages.used - 1) * PAGE_FIELDS;
    int64_t size = last[BODY] - last[START] + last[PACKED_SIZE] + 1;
    c->wanted = (PIECE_BYTES / size > 1 ? PIECE_BYTES / size * size : size) + size / 64 + FRONT_BYTES;
}

static complaint read_pages_of(chunks *c)
{
    page_reader *r = &c->reader;
    complaint wrong = NULL;
    int64_t room = 0;
    for (int64_t i = 0; i < c->pages.used && room <= MOST_BYTES; i++) {
        const int64_t *record = c->pages.records + i * PAGE_FIELDS;
        int unfolds = record[ENCODING] == DELTA_BINARY_PACKED || record[ENCODING] == BYTE_STREAM_SPLIT;
        if (record[KIND] != DICTIONARY_PAGE)
            room += record[UNPACKED_SIZE] + (unfolds ? record[PAGE_VALUES] * r->width : 0);
    }
    if (room > MOST_BYTES || grow_block(&c->values, room + 2 * FRONT_BYTES) < 0)
        return OTHER;
    r->out = (uint8_t *)c->values.start + FRONT_BYTES;
    r->room = c->values.size - FRONT_BYTES;
    r->plain = 0;
    compute_checksums(r->data, &c->pages);
    for (int64_t i = 0; i < c->pages.used && wrong == NULL; i++) {
        const int64_t *record = c->pages.records + i * PAGE_FIELDS;
        if (c->at == 0 && i == 0 && record[KIND] == DICTIONARY_PAGE)
            wrong = take_dictionary(c, record);
        else if (record[KIND] != INDEX_PAGE)
            wrong = read_page(r, i, record);
    }
    return wrong;
}

static void begin_chunk(const arguments *a, int64_t slot)
{
    chunks *c = a->chunks;
    page_reader *r = &c->reader;
    c->slot = slot;
    c->at = c->held = 0;
    c->wanted = FIRST_BYTES;
    record_of(c, slot, c->record);
    memset(r, 0, sizeof *r);
    r->snappy = c->record[CHUNK_SNAPPY] != 0;
    r->nullable = c->record[CHUNK_NULLABLE] != 0;
    r->width = (int)a->runs[2 * slot].stride;
    r->no_deltas = is_floating(&a->runs[2 * slot]);
    r->front = 1;
    a->runs[2 * slot + 1].length = 0;
}

/* Read a part of the column chunk of a slot: plain values are the slot's first run, and with the last part come the entries of
 * its dictionary, the second. Gives 0 when there is no more, -1 where it is written in another way, or damaged. */
static int next_values(const arguments *a, int64_t slot)
{
    chunks *c = a->chunks;
    page_reader *r = &c->reader;
    run *plain = &a->runs[2 * slot], *entries = plain + 1;
    int64_t end;
    if (c->slot != slot)
        begin_chunk(a, slot);
    if (c->at == c->record[CHUNK_SIZE])
        return r->values == c->record[CHUNK_VALUES] ? 0 : -1;
    end = read_piece(c);
    if (end < 0)
        return -1;
    r->data = (const uint8_t *)c->data.start;
    r->size = end;
    if (read_pages_of(c) != NULL)
        return -1;
    foresee(c);
    c->at += end;
    c->held -= end;
    memmove(c->data.start, c->data.start + end, (size_t)c->held);
    plain->values = (const char *)r->out;
    plain->length = r->plain;
    if (c->at == c->record[CHUNK_SIZE]) {
        entries->values = c->dictionary.start;
        entries->times = (const char *)c->counts;
        entries->length = r->dictionary.entries;
    }
    return 1;
}

/* Have all of the column chunk of a slot in its runs. Gives -1 where it is too large, and where `next_values` does. */
static int bring_chunk(const arguments *a, int64_t slot)
{
    chunks *c = a->chunks;
    int64_t values = a->runs[2 * slot].length;
    if (c->slot == slot)
        return 0;
    begin_chunk(a, slot);
    if (c->record[CHUNK_SIZE] > WHOLE_BYTES || (c->record[CHUNK_SIZE] > 0 && next_values(a, slot) < 0) || c->reader.values != values)
        return -1;
    return a->runs[2 * slot].length + a->runs[2 * slot + 1].length <= values ? 0 : -1;
}

static int is_fit(const int64_t *record)
{
    size_t width = width_of((char)record[CHUNK_TYPE]);
    return record[CHUNK_START] >= 0 && record[CHUNK_SIZE] >= 0 && record[CHUNK_SIZE] < INT64_MAX - record[CHUNK_START] &&
           record[CHUNK_VALUES] >= 0 && record[CHUNK_TYPE] > 0 && record[CHUNK_TYPE] < 128 && (width == 4 || width == 8);
}

/* (file, records, taker): the system's number of a file, int64 of column chunks, one a slot, and what gets the bytes. */
static int parse_chunks(PyObject *given, arguments *a)
{
    PyObject *records, *taker;
    chunks *c = a->chunks = calloc(1, sizeof *c);
    if (c == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    c->slot = -1;
    if (!PyArg_ParseTuple(given, "iOO", &c->file, &records, &taker) || PyObject_GetBuffer(records, &c->records, PyBUF_SIMPLE) < 0)
        return -1;
    c->taker = taker == Py_None ? NULL : Py_NewRef(taker);
    if (c->records.len != a->slots * CHUNK_FIELDS * (Py_ssize_t)sizeof(int64_t)) {
        complain("a column chunk is told of for each slot");
        return -1;
    }
    a->runs = calloc(2 * (size_t)a->slots + 1, sizeof *a->runs);
    c->data = take_block(2 * PIECE_BYTES);
    c->values = take_block(2 * PIECE_BYTES);
    c->dictionary = take_block(PIECE_BYTES);
    if (a->runs == NULL || c->data.start == NULL || c->values.start == NULL || c->dictionary.start == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    a->each = 2;
    a->count = 2 * (Py_ssize_t)a->slots;
    for (int64_t slot = 0; slot < a->slots; slot++) {
        int64_t record[CHUNK_FIELDS];
        run one = {0};
        record_of(c, slot, record);
        if (!is_fit(record)) {
            complain("a column chunk has numbers out of range");
            return -1;
        }
        one.slot = slot;
        one.slots = 1;
        one.type = (char)record[CHUNK_TYPE];
        one.stride = (int64_t)width_of(one.type);
        a->runs[2 * slot] = a->runs[2 * slot + 1] = one;
        a->runs[2 * slot].length = record[CHUNK_VALUES]; /* at most, until it is read */
    }
    return 0;
}

#endif
