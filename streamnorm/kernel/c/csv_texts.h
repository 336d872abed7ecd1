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

/* Write the number of a row; with quotes where the decimal sign would end the field. */
INLINE char *put_csv_number(char *out, const csv_edit *e, int64_t row, csv_signs signs, int quoted)
{
    const char *at = e->values + row * (e->type == 'd' ? 8 : 4);
    char *end;
    if (signs.decimal != signs.delimiter || quoted)
        return put_value(out, at, e->type, signs.decimal);
    end = put_value(out + 1, at, e->type, signs.decimal);
    if (memchr(out + 1, signs.decimal, (size_t)(end - out - 1)) == NULL)
        return put_value(out, at, e->type, signs.decimal);
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

INLINE int is_nan_at(const csv_edit *e, int64_t row)
{
    double value;
    float narrow;
    if (e->type == 'd')
        memcpy(&value, e->values + row * 8, sizeof value);
    else {
        memcpy(&narrow, e->values + row * 4, sizeof narrow);
        value = narrow;
    }
    return isnan(value);
}

/* Copy the data with every record's fields edited, in the order in which they stand; return the end of the copy. */
INLINE char *splice_body(const char *data, const char *end, const int32_t *spans, const csv_edit *edits, Py_ssize_t count,
                         int64_t rows, csv_signs signs, char *out)
{
    const char *at = data;
    for (int64_t row = 0; row < rows; row++)
        for (Py_ssize_t i = 0; i < count; i++, spans += 2) {
            const csv_edit *e = &edits[i];
            const char *start = data + spans[0], *stop = data + spans[1];
            int valid = e->action != REMOVE && bit_of(e->validity, e->validity_offset + row);
            if (e->action == REPLACE && (valid ? is_nan_at(e, row) : !bit_of(e->missing, e->missing_offset + row)))
                continue; /* what is missing stays as it is written */
            out = put_copy(out, at, start, end);
            at = stop;
            if (e->action == APPEND)
                *out++ = signs.delimiter;
            if (valid)
                out = put_csv_number(out, e, row, signs, start > data && stop < end && start[-1] == '"' && *stop == '"');
        }
    memcpy(out, at, (size_t)(end - at));
    return out + (end - at);
}

#define TEXTS_LOOPS(suffix, target)                                                                                       \
    target static char *splice_##suffix(const char *data, const char *end, const int32_t *spans, const csv_edit *edits,   \
                                        Py_ssize_t count, int64_t rows, csv_signs signs, char *out)                       \
    {                                                                                                                     \
        return splice_body(data, end, spans, edits, count, rows, signs, out);                                             \
    }
EACH_TARGET(TEXTS_LOOPS)

static char *(*splice)(const char *, const char *, const int32_t *, const csv_edit *, Py_ssize_t, int64_t, csv_signs, char *);
#define USE_TEXTS_LOOPS(suffix) (splice = splice_##suffix)

#endif
