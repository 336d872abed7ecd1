/* Records of CSV: of each wanted field its number, or where its text stands. Nothing else is looked at. */
#ifndef STREAMNORM_CSV_FIELDS_H
#define STREAMNORM_CSV_FIELDS_H

#include "csv_scanner.h"
#include "csv_values.h"

/* What is counted of a column of numbers, and where the first value stands that is none, and the first that begins with
 * a zero as codes do: its record, start and end. FRACTIONS are numbers that are no integers of int64. */
enum {
    NUMBERS, MISSING_TEXTS, OTHERS, LOOKS, CODES, FRACTIONS,
    FIRST_OTHER, OTHER_START, OTHER_END, FIRST_CODE, CODE_START, CODE_END, CSV_TALLIES
};
enum { TEXT_FIELD, NUMBER_FIELD, WHOLE_NUMBER_FIELD }; /* the span of the last is all of the field */

enum { COUNTED_FROM = 1 << 22 }; /* bytes of data that are worth looking for line ends in */

/* An integer that float64 cannot hold. */
typedef struct {
    int64_t slot, row, negative;
    uint64_t magnitude;
} wide_integer;

typedef struct {
    const char *data, *end;
    char delimiter, comment;
    int32_t fields;       /* of a record, as the header has them */
    const int32_t *slots; /* for each field, and the end of the record, its place among those wanted, or -1 */
    const char *kinds;    /* for each wanted field what it is read as */
    Py_ssize_t wanted;
    missing missing;
    notation notation, parts; /* `parts` has scratch only, for mixed fields */
    int64_t capacity, rows;   /* room for rows, a multiple of 8, and how many there are */
    double *values;
    uint8_t *validity;
    int64_t *tallies;
    int32_t *spans; /* start and end of every wanted field, record after record; may be NULL */
    wide_integer *wides;
    int64_t wide_count, wide_capacity;
    int64_t padded, first_padded; /* records with empty fields beyond the header's */
    int64_t found, open;          /* fields of the record that has too few or too many; the quote never closed */
} csv_reading;

/* Copy a field as what it says; return the end of the copy. */
static char *unquoted(const char *at, const char *end, char *to)
{
    int inside = at < end && *at == '"';
    if (!inside) {
        memcpy(to, at, (size_t)(end - at));
        return to + (end - at);
    }
    for (at++; at < end; at++) {
        if (inside && *at == '"') {
            if (at + 1 == end || at[1] != '"') {
                inside = 0;
                continue;
            }
            at++;
        }
        *to++ = *at;
    }
    return to;
}

static void add_wide(csv_reading *r, int64_t slot, const number *n)
{
    if (r->wide_count == r->wide_capacity) {
        int64_t capacity = 2 * r->wide_capacity + 64;
        wide_integer *larger = realloc(r->wides, (size_t)capacity * sizeof *larger);
        if (larger == NULL) {
            r->notation.out_of_memory = 1;
            return;
        }
        r->wides = larger;
        r->wide_capacity = capacity;
    }
    r->wides[r->wide_count++] = (wide_integer){slot, r->rows, n->negative, n->magnitude};
}

static void note_first(csv_reading *r, int64_t *tally, int which, const char *start, const char *end)
{
    if (tally[which] >= 0)
        return;
    tally[which] = r->rows;
    tally[which + 1] = start - r->data;
    tally[which + 2] = end - r->data;
}

INLINE void add_number(csv_reading *r, int64_t slot, int64_t *tally, const number *n, const char *start, const char *end)
{
    int64_t at = slot * r->capacity + r->rows;
    r->values[at] = n->value;
    r->validity[at >> 3] |= (uint8_t)(1 << (at & 7));
    if (n->leading_zero) {
        tally[CODES]++;
        note_first(r, tally, FIRST_CODE, start, end);
    } else
        tally[NUMBERS]++;
    if (!n->integer || n->magnitude > (uint64_t)INT64_MAX + (uint64_t)n->negative)
        tally[FRACTIONS]++;
    if (n->integer && n->magnitude > (uint64_t)1 << 53 && !(n->negative && n->magnitude > (uint64_t)1 << 63) &&
        (fabs(n->value) >= 18446744073709551616.0 || (uint64_t)fabs(n->value) != n->magnitude))
        add_wide(r, slot, n);
}

/* Read a field of at most nine characters that is nothing but a number, with a word of the data behind its start. */
INLINE int read_short(csv_reading *r, int32_t slot, const char *start, const char *end)
{
    int64_t *tally = r->tallies + slot * CSV_TALLIES, at = slot * r->capacity + r->rows;
    int negative = *start == '-', places;
    uint64_t m;
    double value;
    start += negative;
    if (!read_eight(start, (int)(end - start), r->notation.decimal, &m, &places))
        return 0;
    value = (double)m / small_powers[places];
    value = negative ? -value : value;
    if (r->missing.numbers && is_missing_number(&r->missing, value))
        return 0;
    r->values[at] = value;
    r->validity[at >> 3] |= (uint8_t)(1 << (at & 7));
    tally[NUMBERS]++;
    tally[FRACTIONS] += end[-1 - places] == r->notation.decimal;
    return 1;
}

/* Read a field as a number; its span is that of the number's text, without quotes and spaces, or of all. */
INLINE void read_field(csv_reading *r, int32_t slot, const char *start, const char *end, int quoting)
{
    int64_t *tally = r->tallies + slot * CSV_TALLIES;
    const char *from = start + (quoting == QUOTED_FIELD), *to = end - (quoting == QUOTED_FIELD);
    int32_t *span = r->spans ? r->spans + 2 * (r->rows * r->wanted + slot) : NULL;
    number n;
    int what;
    if (quoting == PLAIN_FIELD && end - start <= 9 && r->end - start > 9 && read_short(r, slot, start, end)) {
        if (span) {
            span[0] = (int32_t)(start - r->data);
            span[1] = (int32_t)(end - r->data);
        }
        return;
    }
    if (quoting == MIXED_FIELD) {
        char *copy = scratch_of(&r->parts, (size_t)(end - start));
        if (copy == NULL)
            return;
        from = copy;
        to = unquoted(start, end, copy);
    }
    trim_spaces(&from, &to);
    if (span) {
        int whole = quoting == MIXED_FIELD || r->kinds[slot] == WHOLE_NUMBER_FIELD;
        span[0] = (int32_t)((whole ? start : from) - r->data);
        span[1] = (int32_t)((whole ? end : to) - r->data);
    }
    what = read_value(from, to, &r->missing, &r->notation, &n);
    if (what == IS_NUMBER) {
        add_number(r, slot, tally, &n, start, end);
        return;
    }
    r->values[slot * r->capacity + r->rows] = 0;
    tally[what == IS_MISSING ? MISSING_TEXTS : OTHERS]++;
    if (what == IS_OTHER) {
        tally[LOOKS] += looks_like_number(from, to);
        note_first(r, tally, FIRST_OTHER, start, end);
    }
}

static int is_padding(const char *at, const char *end)
{
    while (at < end && memchr(" \t,;\"", *at, 5) != NULL)
        at++;
    return at == end;
}

/* Count a record whose fields were read, or find that it has too few, or more than empty ones beyond the header's. */
static int end_record(csv_reading *r, int32_t found, int surplus)
{
    if (found < r->fields || surplus) {
        r->found = found;
        return 0;
    }
    if (found > r->fields && r->padded++ == 0)
        r->first_padded = r->rows;
    r->rows++;
    return 1;
}

INLINE void put_span(csv_reading *r, int32_t slot, const char *start, const char *end)
{
    int32_t *span = r->spans + 2 * (r->rows * r->wanted + slot);
    span[0] = (int32_t)(start - r->data);
    span[1] = (int32_t)(end - r->data);
}

/* Read what begins at `at`, a record, an empty line or a comment; return behind it, or NULL where it is wrong. */
INLINE const char *read_record(csv_reading *r, scanner *s, const char *at)
{
    int32_t field = 0;
    int surplus = 0, quoting;
    if (ends_line(*at)) {
        next_mark(s);
        return at + 1;
    }
    if (r->comment && *at == r->comment) {
        at = line_end(s);
        return at + (at < s->end);
    }
    for (;; field++) {
        const char *end = field_end(s, at, &quoting);
        if (end == NULL) {
            r->open = at - r->data;
            return NULL;
        }
        if (field >= r->fields)
            surplus |= !is_padding(at, end);
        else if (r->slots[field] >= 0 && r->kinds[r->slots[field]] != TEXT_FIELD)
            read_field(r, r->slots[field], at, end, quoting);
        else if (r->slots[field] >= 0)
            put_span(r, r->slots[field], at, end);
        if (field + 1 == r->fields && r->slots[r->fields] >= 0)
            put_span(r, r->slots[r->fields], end, end);
        at = end + (end < s->end);
        if (end == s->end || *end != r->delimiter)
            return end_record(r, field + 1, surplus) ? at : NULL;
    }
}

INLINE void read_records_body(csv_reading *r, mark_finder marks)
{
    scanner s = scan(r->data, r->end, r->delimiter, marks);
    const char *at = r->data;
    while (at != NULL && at < r->end && !r->notation.out_of_memory && !r->parts.out_of_memory)
        at = read_record(r, &s, at);
}

#define CSV_LOOPS(suffix, target) \
    target static void read_records_##suffix(csv_reading *r) { read_records_body(r, marks_##suffix); }
EACH_TARGET(CSV_LOOPS)

static void (*read_records)(csv_reading *);
#define USE_CSV_LOOPS(suffix) (read_records = read_records_##suffix)

/* Room for rows: no more than the delimiters of a row leave room for, and of many also no more than there are line ends,
 * and one. Memory that is not written to costs nothing. */
static int64_t rows_at_most(const char *at, const char *end, int32_t fields)
{
    int64_t most = (end - at) / (fields > 1 ? fields : 1), ends = 0;
    if (end - at > COUNTED_FROM) {
        for (; at < end; at++)
            ends += *at == '\n' || *at == '\r';
        most = ends < most ? ends : most;
    }
    return (most + 1 + 7) / 8 * 8;
}

#endif
