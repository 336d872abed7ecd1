/* Where fields and lines of CSV end, by 64 bytes at a time where quotes stand around whole fields, and field by field
 * where they do not. */
#ifndef STREAMNORM_CSV_MARKS_H
#define STREAMNORM_CSV_MARKS_H

#include "csv_scanner.h"

enum { MARKS_AT_ONCE = 2048 }; /* marks that are collected before they are used, at least */

/* The marks that were found and not yet used: ends of fields, as places in the data. Those of `lines` end a line, too.
 * The first one is no mark: it stands before the first field. */
typedef struct {
    const char *data, *end;
    char delimiter, comment;
    int32_t *ends, *lines;
    int64_t count, line_count, capacity;
    int64_t record;                    /* the first mark of the record that is not whole */
    const char *block;                 /* the bytes to be looked at next */
    uint64_t inside, may_open;         /* all bits or none: whether they begin quoted; whether the first may open a quote */
    scanner fields;                    /* looks field by field, up to `until` at least */
    const char *until;
    int by_fields, done;
    const char *open;      /* the field whose quote is never closed */
    int64_t folded;        /* fields of that record that were found and are no marks any more */
    int folded_more;       /* whether some of them are not empty */
} csv_marks;

static int make_marks(csv_marks *m, int64_t fields)
{
    int64_t size = m->end - m->data, most = 2 * (fields + 1);
    most = most > MARKS_AT_ONCE ? most : MARKS_AT_ONCE;
    m->capacity = (most < size ? most : size) + 2 + SPAN;
    m->ends = malloc((size_t)m->capacity * sizeof *m->ends);
    m->lines = malloc((size_t)m->capacity * sizeof *m->lines);
    if (m->ends == NULL || m->lines == NULL)
        return -1;
    m->ends[0] = -1;
    m->count = m->record = 1;
    m->by_fields = m->comment != 0; /* quotes in comments quote nothing */
    m->block = m->by_fields ? NULL : m->data;
    m->until = m->end;
    m->may_open = 1;
    m->done = size == 0;
    return 0;
}

static void free_marks(csv_marks *m)
{
    free(m->ends);
    free(m->lines);
}

/* The beginning of the record that is not whole. */
INLINE const char *record_start(const csv_marks *m) { return m->data + m->ends[m->record - 1] + 1; }

/* Leave out what was used, so that there is room for more marks. */
INLINE void forget_marks(csv_marks *m)
{
    int64_t kept = m->count - (m->record - 1);
    memmove(m->ends, m->ends + m->record - 1, (size_t)kept * sizeof *m->ends);
    m->count = kept;
    m->record = 1;
    m->line_count = 0;
}

INLINE void mark_line(csv_marks *m, int64_t mark)
{
    m->lines[m->line_count++] = (int32_t)mark;
    m->record = mark + 1;
}

/* Whether the bits below, or at, each bit are odd in number. */
INLINE uint64_t parities(uint64_t bits)
{
    for (int shift = 1; shift < 64; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

/* Look at the record anew, and at all up to `until`, field by field. */
static void turn_to_fields(csv_marks *m, const char *until)
{
    if (m->record == 1)
        m->folded = m->folded_more = 0;
    m->count = m->record;
    m->by_fields = 1;
    m->until = until;
    m->block = NULL;
}

/* Look on by 64 bytes from where a record begins. */
INLINE void turn_to_blocks(csv_marks *m, const char *at)
{
    m->by_fields = 0;
    m->block = at;
    m->inside = 0;
    m->may_open = 1;
}

INLINE void find_by_fields(csv_marks *m, mark_finder marks)
{
    const char *at = m->data + m->ends[m->count - 1] + 1;
    scanner s = m->block == NULL ? scan(at, m->end, m->delimiter, marks) : m->fields;
    int quoting;
    m->block = m->data;
    while (m->count < m->capacity) {
        int begins = m->count == m->record;
        const char *stop;
        if (begins && at >= m->until) {
            m->done = at == m->end;
            turn_to_blocks(m, at);
            return;
        }
        stop = begins && m->comment && *at == m->comment ? line_end(&s) : field_end(&s, at, &quoting);
        if (stop == NULL) {
            m->open = at;
            m->done = 1;
            return;
        }
        m->ends[m->count++] = (int32_t)(stop - m->data);
        if (stop == s.end || *stop != m->delimiter)
            mark_line(m, m->count - 1);
        at = stop + (stop < s.end);
        if (stop == s.end) {
            m->done = 1;
            return;
        }
    }
    m->fields = s;
}

/* Put the places of some of 64 bytes one behind the other, `from` being that of the first byte; more than there are may be
 * written, up to 64. */
typedef void (*mark_putter)(int32_t *to, int32_t from, uint64_t found);

INLINE void put_marks(int32_t *to, int32_t from, uint64_t found)
{
    while (found) {
        int more = bits_set(found);
        for (int i = 0; i < 8; i++, found &= found - 1)
            to[i] = from + trailing_zeros(found | (uint64_t)1 << 63);
        to += more < 8 ? more : 8;
    }
}

#if CHOICE_OF_TARGETS
#define COMPRESSING __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx512vbmi2,fma,bmi,bmi2,lzcnt,popcnt")))
static const uint8_t byte_numbers[SPAN] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

COMPRESSING INLINE void compress_marks(int32_t *to, int32_t from, uint64_t found)
{
    __m512i places = _mm512_maskz_compress_epi8(found, _mm512_loadu_si512((const void *)byte_numbers));
    const __m512i first = _mm512_set1_epi32(from);
    _mm512_storeu_si512((void *)to, _mm512_add_epi32(first, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(places))));
    if (bits_set(found) > 16) {
        _mm512_storeu_si512((void *)(to + 16), _mm512_add_epi32(first, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 1))));
        _mm512_storeu_si512((void *)(to + 32), _mm512_add_epi32(first, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 2))));
        _mm512_storeu_si512((void *)(to + 48), _mm512_add_epi32(first, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(places, 3))));
    }
}
#endif

/* Add the marks among 64 bytes; 0 where quotes stand otherwise than around whole fields. */
INLINE int mark_block(csv_marks *m, const char *at, uint64_t there, mark_finder places, mark_putter put)
{
    uint64_t quotes = places(at, '"') & there, lines = (places(at, '\n') | places(at, '\r')) & there;
    uint64_t found = (places(at, m->delimiter) & there) | lines, quoted = m->inside;
    int64_t first = m->count;
    int32_t from = (int32_t)(m->block - m->data);
    if (quotes) {
        uint64_t closing, allowed;
        quoted = parities(quotes) ^ m->inside;
        closing = quotes & ~quoted;
        allowed = found | closing;
        if (quotes & quoted & ~(allowed << 1 | m->may_open))
            return 0;
    }
    m->inside = (uint64_t)((int64_t)quoted >> 63);
    m->may_open = (found | (quotes & ~quoted)) >> 63;
    found &= ~quoted;
    lines &= ~quoted;
    for (uint64_t rest = lines; rest; rest &= rest - 1)
        mark_line(m, first + bits_set(found & (rest - 1) & ~rest));
    put(m->ends + first, from, found);
    m->count = first + bits_set(found);
    return 1;
}

/* Find marks until there is no room for more, or nothing to be looked at. */
INLINE void find_marks_body(csv_marks *m, mark_finder marks, mark_finder places, mark_putter put)
{
    while (!m->done && m->count + SPAN <= m->capacity) {
        size_t rest;
        char last[SPAN] = {0};
        if (m->by_fields) {
            find_by_fields(m, marks);
            continue;
        }
        rest = (size_t)(m->end - m->block);
        if (rest >= SPAN) {
            if (!mark_block(m, m->block, ~(uint64_t)0, places, put))
                turn_to_fields(m, m->block + SPAN < m->end ? m->block + SPAN : m->end);
            else
                m->block += SPAN;
            continue;
        }
        memcpy(last, m->block, rest);
        if (!mark_block(m, last, ((uint64_t)1 << rest) - 1, places, put) || m->inside)
            turn_to_fields(m, m->end);
        else if (record_start(m) < m->end) {
            m->ends[m->count++] = (int32_t)(m->end - m->data);
            mark_line(m, m->count - 1);
            m->done = 1;
        } else
            m->done = 1;
    }
}

/* How many bytes end lines. */
INLINE int64_t line_ends_body(const char *at, const char *end, mark_finder places)
{
    int64_t ends = 0;
    for (; end - at >= SPAN; at += SPAN)
        ends += bits_set(places(at, '\n') | places(at, '\r'));
    for (; at < end; at++)
        ends += ends_line(*at);
    return ends;
}

#define MARKS_LOOPS(suffix, target)                                                                               \
    target static void find_marks_##suffix(csv_marks *m)                                                          \
    {                                                                                                             \
        find_marks_body(m, marks_##suffix, places_##suffix, put_marks);                                           \
    }                                                                                                             \
    target static int64_t line_ends_##suffix(const char *at, const char *end)                                     \
    {                                                                                                             \
        return line_ends_body(at, end, places_##suffix);                                                          \
    }
EACH_TARGET(MARKS_LOOPS)

#if CHOICE_OF_TARGETS
COMPRESSING static void find_marks_compressing(csv_marks *m)
{
    find_marks_body(m, marks_avx512, places_avx512, compress_marks);
}
#endif

static void (*find_marks)(csv_marks *);
static int64_t (*line_ends)(const char *, const char *);
#define USE_MARKS_LOOPS(suffix) (find_marks = find_marks_##suffix, line_ends = line_ends_##suffix)

#endif
