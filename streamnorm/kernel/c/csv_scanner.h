/* Delimiters, quotes and line ends of CSV, found 64 bytes at a time. */
#ifndef STREAMNORM_CSV_SCANNER_H
#define STREAMNORM_CSV_SCANNER_H

#include <stdint.h>
#include <string.h>

#include "words.h"

#if defined(__SSE2__) || CHOICE_OF_TARGETS
#include <immintrin.h>
#endif

enum { SPAN = 64 }; /* bytes looked at together, a bit of a word for each */

/* Find the marks of 64 bytes: the delimiter, quotes, line feeds and carriage returns. */
#if defined(__SSE2__)
INLINE uint64_t marks_baseline(const char *at, char delimiter)
{
    const __m128i d = _mm_set1_epi8(delimiter), q = _mm_set1_epi8('"'), n = _mm_set1_epi8('\n'), r = _mm_set1_epi8('\r');
    uint64_t found = 0;
    for (int i = 0; i < SPAN; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i y = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, d), _mm_cmpeq_epi8(x, q)),
                                 _mm_or_si128(_mm_cmpeq_epi8(x, n), _mm_cmpeq_epi8(x, r)));
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(y) << i;
    }
    return found;
}
#else
INLINE uint64_t marks_baseline(const char *at, char delimiter)
{
    uint64_t found = 0;
    for (int i = 0; i < SPAN; i++)
        found |= (uint64_t)(at[i] == delimiter || at[i] == '"' || at[i] == '\n' || at[i] == '\r') << i;
    return found;
}
#endif

#if CHOICE_OF_TARGETS
__attribute__((target("avx2"))) INLINE uint64_t marks_avx2(const char *at, char delimiter)
{
    const __m256i d = _mm256_set1_epi8(delimiter), q = _mm256_set1_epi8('"');
    const __m256i n = _mm256_set1_epi8('\n'), r = _mm256_set1_epi8('\r');
    uint64_t found = 0;
    for (int i = 0; i < SPAN; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(at + i));
        __m256i y = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(x, d), _mm256_cmpeq_epi8(x, q)),
                                    _mm256_or_si256(_mm256_cmpeq_epi8(x, n), _mm256_cmpeq_epi8(x, r)));
        found |= (uint64_t)(uint32_t)_mm256_movemask_epi8(y) << i;
    }
    return found;
}

__attribute__((target("avx512f,avx512bw"))) INLINE uint64_t marks_avx512(const char *at, char delimiter)
{
    __m512i x = _mm512_loadu_si512((const void *)at);
    return _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8(delimiter)) | _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('"')) |
           _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\n')) | _mm512_cmpeq_epi8_mask(x, _mm512_set1_epi8('\r'));
}
#endif

/* Find one character among 64 bytes. */
#if defined(__SSE2__)
INLINE uint64_t places_baseline(const char *at, char wanted)
{
    const __m128i w = _mm_set1_epi8(wanted);
    uint64_t found = 0;
    for (int i = 0; i < SPAN; i += 16)
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(
                     _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + i)), w)) << i;
    return found;
}
#else
INLINE uint64_t places_baseline(const char *at, char wanted)
{
    uint64_t found = 0;
    for (int i = 0; i < SPAN; i++)
        found |= (uint64_t)(at[i] == wanted) << i;
    return found;
}
#endif

#if CHOICE_OF_TARGETS
__attribute__((target("avx2"))) INLINE uint64_t places_avx2(const char *at, char wanted)
{
    const __m256i w = _mm256_set1_epi8(wanted);
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)at);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, w)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, w)) << 32;
}

__attribute__((target("avx512f,avx512bw"))) INLINE uint64_t places_avx512(const char *at, char wanted)
{
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512((const void *)at), _mm512_set1_epi8(wanted));
}
#endif

typedef uint64_t (*mark_finder)(const char *, char);

/* The marks of [block, end), one after the other. It is a local variable of loops made for one instruction set, so that
 * it stays in registers. */
typedef struct {
    const char *block, *end; /* of the 64 bytes that `found` tells of, and of all */
    uint64_t found;
    char delimiter;
    mark_finder marks;
} scanner;

static uint64_t last_marks(const char *at, size_t rest, char delimiter)
{
    char last[SPAN] = {0};
    memcpy(last, at, rest);
    return marks_baseline(last, delimiter) & (((uint64_t)1 << rest) - 1);
}

INLINE uint64_t marks_in(const scanner *s)
{
    size_t rest = (size_t)(s->end - s->block);
    return rest >= SPAN ? s->marks(s->block, s->delimiter) : last_marks(s->block, rest, s->delimiter);
}

INLINE scanner scan(const char *start, const char *end, char delimiter, mark_finder marks)
{
    scanner s = {start, end, 0, delimiter, marks};
    if (start < end)
        s.found = marks_in(&s);
    return s;
}

/* The next mark, or the end. */
INLINE const char *next_mark(scanner *s)
{
    const char *at;
    while (s->found == 0) {
        if (s->end - s->block <= SPAN)
            return s->end;
        s->block += SPAN;
        s->found = marks_in(s);
    }
    at = s->block + trailing_zeros(s->found);
    s->found &= s->found - 1;
    return at;
}

INLINE int ends_line(char c) { return c == '\n' || c == '\r'; }

/* Behind the quote that closes the one just given by `next_mark`, or NULL; two quotes in a row are one character, and
 * *doubled tells whether there are some. */
INLINE const char *behind_quotes(scanner *s, int *doubled)
{
    for (;;) {
        const char *at = next_mark(s);
        if (at == s->end)
            return NULL;
        if (*at != '"')
            continue;
        if (at + 1 == s->end || at[1] != '"')
            return at + 1;
        next_mark(s);
        *doubled = 1;
    }
}

/* The end of the line that nothing is quoted in. */
INLINE const char *line_end(scanner *s)
{
    const char *at = next_mark(s);
    while (at < s->end && !ends_line(*at))
        at = next_mark(s);
    return at;
}

enum { PLAIN_FIELD, QUOTED_FIELD, MIXED_FIELD }; /* mixed: with doubled quotes, or text behind the quotes */

/* The end of the field that begins at `start`, or NULL where its quote is never closed. */
INLINE const char *field_end(scanner *s, const char *start, int *quoting)
{
    const char *mark = next_mark(s);
    int doubled = 0;
    *quoting = PLAIN_FIELD;
    if (mark == start && mark < s->end && *mark == '"') {
        const char *closed = behind_quotes(s, &doubled);
        if (closed == NULL)
            return NULL;
        mark = next_mark(s);
        *quoting = doubled || mark != closed ? MIXED_FIELD : QUOTED_FIELD;
    }
    while (mark < s->end && *mark == '"')
        mark = next_mark(s);
    return mark;
}

#endif
