/* Text between fields of CSV and columns: fields as Arrow texts, numbers as texts, and records with other fields. */
#ifndef STREAMNORM_CSV_TEXTS_H
#define STREAMNORM_CSV_TEXTS_H

#include "csv_fields.h"
#include "shortest_text.h"

enum { REPLACE, APPEND, REMOVE };

/* What becomes of one field of every record: REPLACE its number, APPEND another behind it, or REMOVE it. */
typedef struct {
    const char *values;
    const uint8_t *validity, *missing; /* bitmaps; `missing` has a 1 where the field has a value */
    int64_t validity_offset, missing_offset;
    int action;
    char type; /* d or f */
} csv_edit;

typedef struct {
    char delimiter, decimal;
} csv_signs;

INLINE int bit_of(const uint8_t *bits, int64_t at) { return bits == NULL || (bits[at >> 3] >> (at & 7) & 1); }

/* Write a number; with quotes where the decimal sign would end the field. */
INLINE char *put_csv_number(char *out, const decimal_number *n, csv_signs signs, int quoted)
{
    char *end;
    if (signs.decimal != signs.delimiter || quoted)
        return put_decimal(out, n, signs.decimal);
    end = put_decimal(out + 1, n, signs.decimal);
    if (memchr(out + 1, signs.decimal, (size_t)(end - out - 1)) == NULL)
        return put_decimal(out, n, signs.decimal);
    *out = '"';
    *end = '"';
    return end + 1;
}

/* Copy [from, to), which is short most of the time; PIECE bytes behind the copy may be written to. */
INLINE char *put_copy(char *out, const char *from, const char *to, const char *end)
{
    if (to - from <= PIECE && end - from >= PIECE)
        memcpy(out, from, PIECE);
    else
        memcpy(out, from, (size_t)(to - from));
    return out + (to - from);
}

enum { NOT_WRITTEN = -1 };

/* The numbers of an edit that some rows get; what is missing stays as it is written, or is left out. */
INLINE void find_numbers(const csv_edit *e, int64_t row, int rows, decimal_number *out)
{
    find_decimals(e->values + row * (e->type == 'd' ? 8 : 4), e->type, rows, out);
    for (int i = 0; e->validity && i < rows; i++, row++)
        if (!bit_of(e->validity, e->validity_offset + row))
            out[i].text = NOT_WRITTEN;
}

/* Whether a field stays as it is: NaN, and no value where there was none. */
INLINE int stays(const csv_edit *e, int64_t row, const decimal_number *n)
{
    return e->action == REPLACE &&
           (n->text == NOT_A_NUMBER || (n->text == NOT_WRITTEN && !bit_of(e->missing, e->missing_offset + row)));
}

/* Copy the data with every record's fields edited, in the order in which they stand; return the end of the copy. `room`
 * is for NUMBERS_AT_ONCE numbers of each edit. */
INLINE char *splice_body(const char *data, const char *end, const int32_t *spans, const csv_edit *edits, Py_ssize_t count,
                         int64_t rows, csv_signs signs, decimal_number *room, char *out)
{
    const char *at = data;
    for (int64_t first = 0; first < rows; first += NUMBERS_AT_ONCE) {
        int some = rows - first < NUMBERS_AT_ONCE ? (int)(rows - first) : NUMBERS_AT_ONCE;
        for (Py_ssize_t i = 0; i < count; i++)
            if (edits[i].action != REMOVE)
                find_numbers(&edits[i], first, some, room + i * NUMBERS_AT_ONCE);
        for (int row = 0; row < some; row++)
            for (Py_ssize_t i = 0; i < count; i++, spans += 2) {
                const csv_edit *e = &edits[i];
                const decimal_number *n = &room[i * NUMBERS_AT_ONCE + row];
                const char *start = data + spans[0], *stop = data + spans[1];
                if (e->action != REMOVE && stays(e, first + row, n))
                    continue;
                out = put_copy(out, at, start, end);
                at = stop;
                if (e->action == APPEND)
                    *out++ = signs.delimiter;
                if (e->action != REMOVE && n->text != NOT_WRITTEN)
                    out = put_csv_number(out, n, signs, start > data && stop < end && start[-1] == '"' && *stop == '"');
            }
    }
    memcpy(out, at, (size_t)(end - at));
    return out + (end - at);
}

#define TEXTS_LOOPS(suffix, target)                                                                                       \
    target static char *splice_##suffix(const char *data, const char *end, const int32_t *spans, const csv_edit *edits,   \
                                        Py_ssize_t count, int64_t rows, csv_signs signs, decimal_number *room, char *out) \
    {                                                                                                                     \
        return splice_body(data, end, spans, edits, count, rows, signs, room, out);                                       \
    }
EACH_TARGET(TEXTS_LOOPS)

static char *(*splice_fields)(const char *, const char *, const int32_t *, const csv_edit *, Py_ssize_t, int64_t, csv_signs,
                       decimal_number *, char *);
#define USE_TEXTS_LOOPS(suffix) (splice_fields = splice_##suffix)

#endif
