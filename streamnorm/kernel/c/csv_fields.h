/* Records of CSV: of each wanted field its number, or where its text stands. Nothing else is looked at. */
#ifndef STREAMNORM_CSV_FIELDS_H
#define STREAMNORM_CSV_FIELDS_H

#include "csv_digits.h"
#include "csv_marks.h"
#include "csv_values.h"

/* What is counted of a column of numbers, and where the first value stands that is none, and the first that begins with
 * a zero as codes do: its record, start and end. FRACTIONS are numbers that are no integers of int64. */
enum {
    NUMBERS, MISSING_TEXTS, OTHERS, LOOKS, CODES, FRACTIONS,
    FIRST_OTHER, OTHER_START, OTHER_END, FIRST_CODE, CODE_START, CODE_END, CSV_TALLIES
};
enum { TEXT_FIELD, NUMBER_FIELD, WHOLE_NUMBER_FIELD }; /* the span of the last is all of the field */

/* An integer that float64 cannot hold. */
typedef struct {
    int64_t slot, row, negative;
    uint64_t magnitude;
} wide_integer;

typedef struct {
    const char *data, *end;
    char delimiter, comment;
    int32_t fields;        /* of a record, as the header has them */
    const int32_t *wanted; /* the fields that are read, ascending; `fields` is the end of the record */
    const char *kinds;     /* for each of them what it is read as */
    Py_ssize_t columns;    /* how many they are */
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
    int32_t *records;             /* the first mark of each record that is read now */
    short_numbers numbers;
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

static void add_wide(csv_reading *r, int64_t slot, int64_t row, const number *n)
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
    r->wides[r->wide_count++] = (wide_integer){slot, row, n->negative, n->magnitude};
}

static int wide_order(const void *one, const void *other)
{
    const wide_integer *a = one, *b = other;
    int64_t order = a->row != b->row ? a->row - b->row : a->slot - b->slot;
    return (order > 0) - (order < 0);
}

/* A field, as places in the data. */
typedef struct {
    int64_t slot, row;
    int32_t start, end;
} csv_place;

/* Fields in quotes are read behind others of their records. */
static void note_first(csv_place at, int64_t *tally, int which)
{
    if (tally[which] >= 0 && tally[which] < at.row)
        return;
    tally[which] = at.row;
    tally[which + 1] = at.start;
    tally[which + 2] = at.end;
}

static void add_number(csv_reading *r, csv_place at, const number *n)
{
    int64_t *tally = r->tallies + at.slot * CSV_TALLIES;
    r->values[at.slot * r->capacity + at.row] = n->value;
    tally[n->leading_zero ? CODES : NUMBERS]++;
    if (n->leading_zero)
        note_first(at, tally, FIRST_CODE);
    if (!n->integer || n->magnitude > (uint64_t)INT64_MAX + (uint64_t)n->negative)
        tally[FRACTIONS]++;
    if (n->integer && n->magnitude > (uint64_t)1 << 53 && !(n->negative && n->magnitude > (uint64_t)1 << 63) &&
        (fabs(n->value) >= 18446744073709551616.0 || (uint64_t)fabs(n->value) != n->magnitude))
        add_wide(r, at.slot, at.row, n);
}

INLINE void put_no_number(csv_reading *r, int64_t slot, int64_t row)
{
    int64_t at = slot * r->capacity + row;
    r->values[at] = 0;
    r->validity[at >> 3] &= (uint8_t)~(1 << (at & 7));
}

/* Whether quotes stand around all of a field and nowhere else, or what else. */
static int quoting_of(const char *start, const char *end)
{
    if (start == end || *start != '"')
        return PLAIN_FIELD;
    return end - start > 1 && memchr(start + 1, '"', (size_t)(end - start - 1)) == end - 1 ? QUOTED_FIELD : MIXED_FIELD;
}

INLINE void put_span(csv_reading *r, csv_place at)
{
    int32_t *span = r->spans + 2 * (at.row * r->columns + at.slot);
    span[0] = at.start;
    span[1] = at.end;
}

/* Read any field as a number; its span is that of the number's text, without quotes and spaces, or of all. */
static void read_field(csv_reading *r, csv_place at)
{
    int64_t *tally = r->tallies + at.slot * CSV_TALLIES;
    const char *start = r->data + at.start, *end = r->data + at.end, *from, *to;
    int quoting = quoting_of(start, end), what;
    number n;
    from = start + (quoting == QUOTED_FIELD);
    to = end - (quoting == QUOTED_FIELD);
    if (quoting == MIXED_FIELD) {
        char *copy = scratch_of(&r->parts, (size_t)(end - start));
        if (copy == NULL)
            return;
        from = copy;
        to = unquoted(start, end, copy);
    }
    trim_spaces(&from, &to);
    if (r->spans && quoting != MIXED_FIELD && r->kinds[at.slot] != WHOLE_NUMBER_FIELD)
        put_span(r, (csv_place){at.slot, at.row, (int32_t)(from - r->data), (int32_t)(to - r->data)});
    else if (r->spans)
        put_span(r, at);
    what = read_value(from, to, &r->missing, &r->notation, &n);
    if (what == IS_NUMBER) {
        add_number(r, at, &n);
        return;
    }
    put_no_number(r, at.slot, at.row);
    tally[what == IS_MISSING ? MISSING_TEXTS : OTHERS]++;
    if (what == IS_OTHER) {
        tally[LOOKS] += looks_like_number(from, to);
        note_first(at, tally, FIRST_OTHER);
    }
}

/* Read a field of a column of numbers that is not short and plain. */
static void read_other(csv_reading *r, csv_place at)
{
    if (at.start < at.end || !r->missing.empty) {
        read_field(r, at);
        return;
    }
    r->tallies[at.slot * CSV_TALLIES + MISSING_TEXTS]++;
    put_no_number(r, at.slot, at.row);
    if (r->spans)
        put_span(r, at);
}

/* Note where the wanted fields of some records stand; of numbers without quotes. */
static void note_spans(csv_reading *r, const int32_t *ends, int64_t records)
{
    int32_t *span = r->spans + 2 * r->rows * r->columns;
    for (int64_t i = 0; i < records; i++) {
        const int32_t *marks = ends + r->records[i];
        for (Py_ssize_t slot = 0; slot < r->columns; slot++, span += 2) {
            const int32_t *at = marks + r->wanted[slot];
            int inner = r->kinds[slot] == NUMBER_FIELD;
            int32_t start = at[-1] + 1, end;
            if (r->wanted[slot] == r->fields) {
                span[0] = span[1] = at[-1];
                continue;
            }
            end = at[0];
            if (inner && end - start > 1 && r->data[start] == '"' && r->data[end - 1] == '"') {
                start++;
                end--;
            }
            span[0] = start;
            span[1] = end;
        }
    }
}

/* Read a column of numbers of some records: first those that are short and plain, which most are. */
static void read_numbers(csv_reading *r, int64_t slot, const field_of_records *f)
{
    short_numbers *n = &r->numbers;
    n->other_count = n->fractions = 0;
    if (r->missing.numbers == 0)
        read_short_fields(f, r->notation.decimal, n);
    else
        for (int64_t i = 0; i < f->records; i++)
            put_other(n, i);
    divide_digits(n, f->records, r->values + slot * r->capacity + r->rows);
    r->tallies[slot * CSV_TALLIES + NUMBERS] += f->records - n->other_count;
    r->tallies[slot * CSV_TALLIES + FRACTIONS] += n->fractions;
    for (int64_t i = 0; i < n->other_count; i++) {
        const int32_t *at = f->ends + f->first_marks[n->others[i]];
        read_other(r, (csv_place){slot, r->rows + n->others[i], at[-1] + 1, at[0]});
    }
}

/* Read what is wanted of some records. */
static void read_columns(csv_reading *r, const csv_marks *m, int64_t records)
{
    if (r->spans)
        note_spans(r, m->ends, records);
    for (Py_ssize_t slot = 0; slot < r->columns; slot++)
        if (r->kinds[slot] != TEXT_FIELD)
            read_numbers(r, slot, &(field_of_records){r->data, r->end - r->data, m->ends + r->wanted[slot], r->records, records});
}

/* Room for what is known of as many records as there can be marks. */
static int make_reading_room(csv_reading *r, int64_t records)
{
    size_t many = (size_t)records;
    short_numbers *n = &r->numbers;
    r->records = malloc(many * sizeof *r->records);
    n->parts = malloc(many * sizeof *n->parts);
    n->divisors = malloc(many * sizeof *n->divisors);
    n->others = malloc(many * sizeof *n->others);
    return r->records && n->parts && n->divisors && n->others ? 0 : -1;
}

static void free_reading_room(csv_reading *r)
{
    free(r->records);
    free(r->numbers.parts);
    free(r->numbers.divisors);
    free(r->numbers.others);
}

static int is_padding(const char *at, const char *end)
{
    while (at < end && memchr(" \t,;\"", *at, 5) != NULL)
        at++;
    return at == end;
}

/* Whether one of the fields that end at these marks is not empty. */
static int holds_more(const csv_reading *r, const csv_marks *m, int64_t from, int64_t to)
{
    for (; from < to; from++)
        if (!is_padding(r->data + m->ends[from - 1] + 1, r->data + m->ends[from]))
            return 1;
    return 0;
}

/* Leave out the fields beyond the header's of a record with so many that there is no room for them. */
static void fold_record(csv_reading *r, csv_marks *m)
{
    int64_t kept = r->fields + 1;
    m->folded_more |= holds_more(r, m, m->folded ? kept + 1 : kept, m->count);
    m->folded += m->count - kept - 1;
    m->ends[kept] = m->ends[m->count - 1];
    m->count = kept + 1;
}

/* Take down the next whole records whose fields are as many as the header has, without empty lines and comments. */
static int64_t next_records(csv_reading *r, csv_marks *m)
{
    int64_t records = 0, first = 1;
    for (int64_t i = 0; i < m->line_count && r->found < 0; first = m->lines[i++] + 1, m->folded = m->folded_more = 0) {
        int64_t found = m->lines[i] - first + 1 + m->folded, kept = first + r->fields + (m->folded > 0);
        int32_t start = m->ends[first - 1] + 1;
        if ((found == 1 && m->ends[first] == start) || (r->comment && r->data[start] == r->comment))
            continue;
        if (found < r->fields || (found > r->fields && (m->folded_more || holds_more(r, m, kept, m->lines[i] + 1)))) {
            r->found = found;
            continue;
        }
        if (found > r->fields && r->padded++ == 0)
            r->first_padded = r->rows + records;
        r->records[records++] = (int32_t)first;
    }
    return records;
}

static void read_records(csv_reading *r, csv_marks *m)
{
    do {
        int64_t records;
        find_marks(m);
        records = next_records(r, m);
        read_columns(r, m, records);
        r->rows += records;
        if (m->line_count == 0 && !m->done)
            fold_record(r, m);
        forget_marks(m);
    } while (!m->done && r->found < 0 && !r->notation.out_of_memory && !r->parts.out_of_memory);
    if (r->found < 0 && m->open)
        r->open = m->open - r->data;
}

/* Room for rows: no more than there are line ends, and one, nor than the delimiters of a row leave room for. */
static int64_t rows_at_most(const char *at, const char *end, int32_t fields)
{
    int64_t most = (end - at) / (fields > 1 ? fields : 1), ends = line_ends(at, end);
    return ((ends < most ? ends : most) + 1 + 7) / 8 * 8;
}

#endif
