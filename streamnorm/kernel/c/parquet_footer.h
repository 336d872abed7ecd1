/* Footers of Parquet files, written in Thrift's compact protocol: one record of numbers for each column chunk. The number of a
 * field is its place in `parquet.thrift`. */
#ifndef STREAMNORM_PARQUET_FOOTER_H
#define STREAMNORM_PARQUET_FOOTER_H

#include <Python.h>

#include "page_headers.h"
#include "parquet_pages.h"

/* What is told of a column chunk, in the order that Python reads it; -1 where the footer does not say. */
enum { TOLD_GROUP, TOLD_ROWS, TOLD_TYPE, TOLD_CODEC, TOLD_VALUES, TOLD_SIZE, TOLD_DATA, TOLD_DICTIONARY, TOLD_ELSEWHERE, TOLD_FIELDS };

enum { LEAST_CHUNK_BYTES = 8 }; /* of a column chunk in a footer: fewer cannot tell of one */

typedef struct {
    int64_t *records;
    int64_t used, room, most;
} chunk_list;

static int64_t *new_chunk(chunk_list *list)
{
    if (list->used == list->room) {
        int64_t room = list->room ? 2 * list->room : 64;
        int64_t *more = realloc(list->records, (size_t)room * TOLD_FIELDS * sizeof *more);
        if (more == NULL)
            return NULL;
        list->records = more;
        list->room = room;
    }
    return list->records + list->used++ * TOLD_FIELDS;
}

/* Read what stands before the items of a list of structs: how many there are. */
static uint64_t thrift_structs(thrift *t)
{
    int head = thrift_byte(t);
    if ((head & 15) != T_STRUCT && head != 0)
        t->damaged = 1;
    return head >> 4 == 15 ? thrift_number(t) : (uint64_t)(head >> 4);
}

/* A ColumnChunk. What lies in another file or is encrypted is elsewhere. */
static void read_column(thrift *t, int64_t *record)
{
    int64_t number = 0, fields[MOST_FIELDS];
    int type;
    for (int i = 0; i < MOST_FIELDS; i++)
        fields[i] = UNTOLD;
    record[TOLD_ELSEWHERE] = 0;
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        if (number == 3 && type == T_STRUCT) {
            thrift_struct(t, fields, NULL);
        } else {
            record[TOLD_ELSEWHERE] |= number == 1 || number == 8 || number == 9;
            thrift_skip(t, type, 0);
        }
    }
    record[TOLD_TYPE] = told(fields[1]);
    record[TOLD_CODEC] = told(fields[4]);
    record[TOLD_VALUES] = told(fields[5]);
    record[TOLD_SIZE] = told(fields[7]);
    record[TOLD_DATA] = told(fields[9]);
    record[TOLD_DICTIONARY] = told(fields[11]);
}

/* A RowGroup: its columns come before the number of its rows. Gives -1 where there is no memory. */
static int read_group(thrift *t, int64_t group, chunk_list *list)
{
    int64_t number = 0, rows = ABSENT, first = list->used;
    int type;
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        if (number == 1 && type == T_LIST) {
            for (uint64_t left = thrift_structs(t); left > 0 && !t->cut && !t->damaged; left--) {
                int64_t *record = list->used < list->most ? new_chunk(list) : NULL;
                if (record == NULL)
                    return -1;
                record[TOLD_GROUP] = group;
                read_column(t, record);
            }
        } else if (number == 3 && type == T_LONG) {
            rows = unzigzag(thrift_number(t));
        } else {
            thrift_skip(t, type, 0);
        }
    }
    for (int64_t i = first; i < list->used; i++)
        list->records[i * TOLD_FIELDS + TOLD_ROWS] = rows;
    return 0;
}

/* FileMetaData. Gives -1 where there is no memory. */
static int read_footer(thrift *t, chunk_list *list)
{
    int64_t number = 0, group = 0;
    int type;
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        if (number == 4 && type == T_LIST) {
            for (uint64_t left = thrift_structs(t); left > 0 && !t->cut && !t->damaged; left--, group++)
                if (read_group(t, group, list) < 0)
                    return -1;
        } else {
            thrift_skip(t, type, 0);
        }
    }
    return 0;
}

PyDoc_STRVAR(column_chunks_doc, "column_chunks(footer) -> records of all column chunks, row group by row group");

static PyObject *kernel_column_chunks(PyObject *self, PyObject *object)
{
    Py_buffer footer;
    thrift t = {NULL, NULL, 0, 0};
    chunk_list list = {NULL, 0, 0, 0};
    PyObject *result = NULL;
    int failed;
    (void)self;
    if (PyObject_GetBuffer(object, &footer, PyBUF_SIMPLE) < 0)
        return NULL;
    t.at = footer.buf;
    t.end = t.at + footer.len;
    list.most = footer.len / LEAST_CHUNK_BYTES;
    failed = read_footer(&t, &list);
    if (t.cut || t.damaged || (failed && list.used == list.most))
        complain("the footer is damaged");
    else if (failed)
        PyErr_NoMemory();
    else
        result = PyBytes_FromStringAndSize(list.used ? (const char *)list.records : "",
                                           (Py_ssize_t)(list.used * TOLD_FIELDS * (int64_t)sizeof(int64_t)));
    free(list.records);
    PyBuffer_Release(&footer);
    return result;
}

#endif
