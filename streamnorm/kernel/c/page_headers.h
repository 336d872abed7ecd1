/* Headers of Parquet pages, written in Thrift's compact protocol: one record of numbers for each page of a column chunk.
 * The number of a field is its place in `parquet.thrift`. */
#ifndef STREAMNORM_PAGE_HEADERS_H
#define STREAMNORM_PAGE_HEADERS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "hybrid.h"

enum { DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 };

/* What is told of a page, in the order that Python reads it; -1 where the header does not say. */
enum {
    KIND, START, BODY, PACKED_SIZE, UNPACKED_SIZE, CHECKSUM, COMPUTED, PAGE_VALUES, ENCODING, DEFINITION_ENCODING,
    REPETITION_ENCODING, PAGE_NULLS, PAGE_ROWS, DEFINITION_BYTES, REPETITION_BYTES, IS_COMPRESSED, PAGE_FIELDS
};

enum { MOST_FIELDS = 12, MOST_DEPTH = 16, ABSENT = -1 };

#define UNTOLD INT64_MIN /* of a field that a struct does not have: no number of 32 bits */

/* Types of the compact protocol. */
enum { T_YES = 1, T_NO = 2, T_BYTE = 3, T_SHORT = 4, T_INT = 5, T_LONG = 6, T_DOUBLE = 7, T_BINARY = 8, T_LIST = 9, T_SET = 10, T_MAP = 11, T_STRUCT = 12 };

typedef struct {
    const uint8_t *at, *end;
    int cut;     /* there were too few bytes: perhaps more follow */
    int damaged; /* what is there cannot be */
} thrift;

static uint64_t thrift_number(thrift *t)
{
    uint64_t value;
    int room = t->end - t->at >= 10;
    if (!read_varint(&t->at, t->end, &value)) {
        t->cut |= !room;
        t->damaged |= room;
        return 0;
    }
    return value;
}

static void thrift_pass(thrift *t, uint64_t size)
{
    if (size > (uint64_t)(t->end - t->at)) {
        t->cut = 1;
        t->at = t->end;
    } else {
        t->at += size;
    }
}

static int thrift_byte(thrift *t)
{
    if (t->at == t->end) {
        t->cut = 1;
        return 0;
    }
    return *t->at++;
}

/* Read what stands before a field: its type, 0 at the end of the struct, and its number. */
static int thrift_field(thrift *t, int64_t *number)
{
    int head = thrift_byte(t);
    if (t->cut || head == 0)
        return 0;
    *number = head >> 4 ? *number + (head >> 4) : unzigzag(thrift_number(t));
    return head & 15;
}

static void thrift_skip(thrift *t, int type, int depth)
{
    int64_t number = 0;
    uint64_t head;
    if (depth > MOST_DEPTH)
        t->damaged = 1;
    if (t->cut || t->damaged)
        return;
    switch (type) {
    case T_YES: case T_NO:
        break;
    case T_BYTE:
        thrift_byte(t);
        break;
    case T_SHORT: case T_INT: case T_LONG:
        thrift_number(t);
        break;
    case T_DOUBLE:
        thrift_pass(t, 8);
        break;
    case T_BINARY:
        thrift_pass(t, thrift_number(t));
        break;
    case T_LIST: case T_SET:
        head = (uint64_t)thrift_byte(t);
        type = (int)(head & 15);
        for (head = head >> 4 == 15 ? thrift_number(t) : head >> 4; head > 0 && !t->cut && !t->damaged; head--)
            thrift_skip(t, type == T_YES || type == T_NO ? T_BYTE : type, depth + 1);
        break;
    case T_STRUCT:
        while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged)
            thrift_skip(t, type, depth + 1);
        break;
    default: /* no header has a map */
        t->damaged = 1;
    }
}

/* Read the numbers and truths of a struct, and pass over all else; `nested` gets the place of structs in it. */
static void thrift_struct(thrift *t, int64_t fields[MOST_FIELDS], thrift nested[MOST_FIELDS])
{
    int64_t number = 0;
    int type;
    for (int i = 0; i < MOST_FIELDS; i++)
        fields[i] = UNTOLD;
    while ((type = thrift_field(t, &number)) != 0 && !t->cut && !t->damaged) {
        int known = number > 0 && number < MOST_FIELDS;
        if (known && (type == T_SHORT || type == T_INT || type == T_LONG)) {
            fields[number] = unzigzag(thrift_number(t));
        } else if (known && (type == T_YES || type == T_NO)) {
            fields[number] = type == T_YES;
        } else {
            if (known && type == T_STRUCT && nested != NULL)
                nested[number] = *t;
            thrift_skip(t, type, 0);
        }
    }
}

static int64_t told(int64_t value) { return value == UNTOLD ? ABSENT : value; }

static int is_size(int64_t value) { return value >= 0 && value <= INT32_MAX; }

/* Put what the struct of a kind of page tells into the record. */
static complaint read_kind(const thrift *nested, int64_t *record)
{
    static const int WHERE[4] = {5, 6, 7, 8};
    int64_t own[MOST_FIELDS];
    thrift t = nested[WHERE[record[KIND]]];
    if (record[KIND] == INDEX_PAGE)
        return NULL;
    if (t.at == NULL)
        return "the header of a page does not say what is in it";
    thrift_struct(&t, own, NULL);
    record[PAGE_VALUES] = own[1];
    if (record[KIND] == DATA_PAGE_V2) {
        record[PAGE_NULLS] = own[2];
        record[PAGE_ROWS] = own[3];
        record[ENCODING] = told(own[4]);
        record[DEFINITION_BYTES] = own[5];
        record[REPETITION_BYTES] = own[6];
        record[IS_COMPRESSED] = own[7] != 0;
        if (!is_size(own[2]) || !is_size(own[3]) || !is_size(own[5]) || !is_size(own[6]) || own[2] > own[1] ||
            own[5] + own[6] > record[PACKED_SIZE] || own[5] + own[6] > record[UNPACKED_SIZE])
            return "the header of a page tells of levels that it has no room for";
    } else {
        record[ENCODING] = told(own[2]);
        if (record[KIND] == DATA_PAGE) {
            record[DEFINITION_ENCODING] = told(own[3]);
            record[REPETITION_ENCODING] = told(own[4]);
        }
    }
    return is_size(record[PAGE_VALUES]) ? NULL : "the header of a page tells of no number of values";
}

/* Read the header of the page at `t`; nothing is to be made of the record where `t` was cut. */
static complaint read_header(thrift *t, const uint8_t *data, int64_t *record)
{
    int64_t fields[MOST_FIELDS];
    thrift nested[MOST_FIELDS];
    memset(nested, 0, sizeof nested);
    for (int i = 0; i < PAGE_FIELDS; i++)
        record[i] = ABSENT;
    record[START] = t->at - data;
    thrift_struct(t, fields, nested);
    if (t->damaged)
        return "the header of a page is damaged";
    if (t->cut)
        return NULL;
    record[KIND] = fields[1];
    record[UNPACKED_SIZE] = fields[2];
    record[PACKED_SIZE] = fields[3];
    record[BODY] = t->at - data;
    record[IS_COMPRESSED] = 1;
    if (fields[4] != UNTOLD)
        record[CHECKSUM] = (int64_t)(uint32_t)fields[4];
    if (fields[1] < DATA_PAGE || fields[1] > DATA_PAGE_V2 || !is_size(fields[2]) || !is_size(fields[3]))
        return "the header of a page is damaged";
    return read_kind(nested, record);
}

typedef struct {
    int64_t *records;
    int64_t used, room;
} page_list;

static int64_t *new_record(page_list *list)
{
    if (list->used == list->room) {
        int64_t room = list->room ? 2 * list->room : 16;
        int64_t *more = realloc(list->records, (size_t)room * PAGE_FIELDS * sizeof *more);
        if (more == NULL)
            return NULL;
        list->records = more;
        list->room = room;
    }
    return list->records + list->used * PAGE_FIELDS;
}

/* List all pages that lie wholly in data[at, size), and tell where the first one begins that does not; -1 where there is no
 * memory. */
static int64_t list_pages(const uint8_t *data, int64_t at, int64_t size, page_list *list, complaint *wrong)
{
    while (at < size) {
        thrift t = {data + at, data + size, 0, 0};
        int64_t *record = new_record(list);
        if (record == NULL)
            return -1;
        *wrong = read_header(&t, data, record);
        if (*wrong != NULL || t.cut || record[PACKED_SIZE] > size - record[BODY])
            break;
        at = record[BODY] + record[PACKED_SIZE];
        list->used++;
    }
    return at;
}

static int has_checksums(const page_list *list)
{
    for (int64_t i = 0; i < list->used; i++)
        if (list->records[i * PAGE_FIELDS + CHECKSUM] != ABSENT)
            return 1;
    return 0;
}

static void compute_checksums(const uint8_t *data, page_list *list)
{
    for (int64_t i = 0; i < list->used; i++) {
        int64_t *record = list->records + i * PAGE_FIELDS;
        if (record[CHECKSUM] != ABSENT)
            record[COMPUTED] = checksum(data + record[BODY], (size_t)record[PACKED_SIZE]);
    }
}

#endif
