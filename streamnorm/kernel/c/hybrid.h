/* Parquet's hybrid of runs and packed bits, which definition levels and the indices of a dictionary are written in.
 * https://parquet.apache.org/docs/file-format/data-pages/encodings/ gives the layout. */
#ifndef STREAMNORM_HYBRID_H
#define STREAMNORM_HYBRID_H

#include <stdint.h>
#include <string.h>

#include "columns.h"

#if CHOICE_OF_TARGETS && defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    INDEX_BITS = 32,
    UNPACKED = 512,   /* indices that are unpacked at once */
    FEW_COUNTS = 512, /* counts that are kept four times, so that equal neighbours do not wait for each other */
    COPIES = 4
};

/* What is wrong with bytes; NULL: nothing. */
typedef const char *complaint;

/* A part of the values: `count` times `value`, or so many packed at `at`. */
typedef struct {
    const uint8_t *at, *end;
    int64_t left; /* values that are still to come */
    int bits;
    int packed;
    int64_t count;
    uint32_t value;
    const uint8_t *bytes;
} hybrid;

/* A number of up to ten bytes, seven bits in each; 0 where it does not end before `end`. */
static int read_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (int place = 0; place < 70 && *at < end; place += 7) {
        uint8_t byte = *(*at)++;
        *value |= (uint64_t)(byte & 127) << place;
        if (byte < 128)
            return 1;
    }
    return 0;
}

/* Signed numbers are written as 0, -1, 1, -2, ... */
static int64_t unzigzag(uint64_t value) { return (int64_t)(value >> 1 ^ (0 - (value & 1))); }

/* Find the next part. */
static complaint next_part(hybrid *h)
{
    uint64_t head;
    int64_t room, size;
    if (!read_varint(&h->at, h->end, &head) || head >> 1 == 0 || head >> 1 > INT32_MAX)
        return "runs end before the page's values";
    h->packed = (int)(head & 1);
    h->count = (int64_t)(head >> 1) * (h->packed ? 8 : 1);
    h->count = h->count < h->left ? h->count : h->left;
    room = h->end - h->at;
    size = h->packed ? (h->count * h->bits + 7) / 8 : (h->bits + 7) / 8;
    if (size > room)
        return "runs end before the page's values";
    h->bytes = h->at;
    h->value = 0;
    for (int64_t i = 0; !h->packed && i < size; i++)
        h->value |= (uint32_t)h->at[i] << 8 * i;
    size = h->packed ? (int64_t)(head >> 1) * h->bits : size;
    h->at += size < room ? size : room; /* writers leave out what a last group does not need */
    h->left -= h->count;
    return NULL;
}

/* ---- definition levels of a column that is not nested ---- */

static int64_t ones_in(const uint8_t *at, int64_t bits)
{
    int64_t ones = 0;
    for (; bits >= 64; bits -= 64, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        word -= word >> 1 & 0x5555555555555555u;
        word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
        ones += (int64_t)(((word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
    }
    for (int64_t i = 0; i < bits; i++)
        ones += at[i >> 3] >> (i & 7) & 1;
    return ones;
}

/* How many of `values` levels are 1: values that are there. */
static complaint count_present(const uint8_t *at, const uint8_t *end, int64_t values, int64_t *present)
{
    hybrid h = {.at = at, .end = end, .left = values, .bits = 1};
    *present = 0;
    while (h.left > 0) {
        complaint wrong = next_part(&h);
        if (wrong != NULL)
            return "definition levels end before the page's values";
        if (!h.packed && h.value > 1)
            return "a definition level is above 1";
        *present += h.packed ? ones_in(h.bytes, h.count) : h.count * h.value;
    }
    return NULL;
}

/* ---- indices ---- */

/* Unpack n <= UNPACKED values from bit `first` on; no byte behind `end` is read. */
INLINE void unpack_body(const uint8_t *at, const uint8_t *end, int64_t first, int n, int bits, uint32_t *out)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    int whole = 0;
    if (end - at >= 8 && bits > 0) { /* those whose eight bytes lie before the end */
        int64_t room = (end - at - 8) * 8 + 7 - first;
        whole = room < 0 ? 0 : room / bits < n ? (int)(room / bits) + 1 : n;
    }
    for (int i = 0; i < whole; i++) {
        int64_t bit = first + (int64_t)i * bits;
        uint64_t word;
        memcpy(&word, at + (bit >> 3), sizeof word);
        out[i] = (uint32_t)(word >> (bit & 7) & mask);
    }
    for (int i = whole; i < n; i++) {
        int64_t bit = first + (int64_t)i * bits;
        uint64_t word = 0;
        for (int64_t byte = bit >> 3; byte < (bit + bits + 7) >> 3; byte++)
            word |= (uint64_t)at[byte] << 8 * (byte - (bit >> 3));
        out[i] = (uint32_t)(word >> (bit & 7) & mask);
    }
}

INLINE uint32_t greatest_body(const uint32_t *x, int n)
{
    uint32_t greatest = 0;
    SIMD(reduction(max : greatest))
    for (int i = 0; i < n; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    return greatest;
}

/* Unpack eight values at a time, as many as there are bytes for; tell how many. */
INLINE int unpack_eights_baseline(const uint8_t *at, const uint8_t *end, int n, int bits, uint32_t *out, uint32_t *greatest)
{
    (void)at, (void)end, (void)n, (void)bits, (void)out, (void)greatest;
    return 0;
}

#if CHOICE_OF_TARGETS && defined(__x86_64__)
/* The first four of eight values lie in the 16 bytes from where they begin, the others in those from `second` on; four bytes
 * hold a value of up to 25 bits wherever it begins in the first. */
__attribute__((target("avx2"))) INLINE int unpack_eights_avx2(const uint8_t *at, const uint8_t *end, int n, int bits,
                                                              uint32_t *out, uint32_t *greatest)
{
    int8_t bytes[32];
    int32_t bit[8], second = 4 * bits >> 3, done = 0;
    uint32_t most[8];
    __m256i order, shift, mask, top = _mm256_setzero_si256();
    if (bits < 1 || bits > 25)
        return 0;
    for (int i = 0; i < 8; i++) {
        int first = i * bits - (i < 4 ? 0 : 8 * second);
        bit[i] = first & 7;
        for (int byte = 0; byte < 4; byte++)
            bytes[4 * i + byte] = (int8_t)((first >> 3) + byte);
    }
    order = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
    shift = _mm256_loadu_si256((const __m256i *)(const void *)bit);
    mask = _mm256_set1_epi32((1 << bits) - 1);
    for (; done + 8 <= n && end - at >= second + 16; done += 8, at += bits) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(at + second));
        __m256i x = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        x = _mm256_and_si256(_mm256_srlv_epi32(_mm256_shuffle_epi8(x, order), shift), mask);
        _mm256_storeu_si256((__m256i *)(void *)(out + done), x);
        top = _mm256_max_epu32(top, x);
    }
    _mm256_storeu_si256((__m256i *)(void *)most, top);
    *greatest = greatest_body(most, 8);
    return done;
}
#define unpack_eights_avx512 unpack_eights_avx2
#elif CHOICE_OF_TARGETS
#define unpack_eights_avx2 unpack_eights_baseline
#define unpack_eights_avx512 unpack_eights_baseline
#endif

#define HYBRID_LOOPS(suffix, target)                                                                                    \
    target static uint32_t unpack_indices_##suffix(const uint8_t *at, const uint8_t *end, int64_t first, int n, int bits, \
                                                   uint32_t *out)                                                       \
    {                                                                                                                   \
        uint32_t most = 0, rest;                                                                                        \
        int done = first & 7 ? 0 : unpack_eights_##suffix(at + (first >> 3), end, n, bits, out, &most);                 \
        unpack_body(at, end, first + (int64_t)done * bits, n - done, bits, out + done);                                 \
        rest = greatest_body(out + done, n - done);                                                                     \
        return rest > most ? rest : most;                                                                               \
    }
EACH_TARGET(HYBRID_LOOPS)

/* Unpack as `unpack_body` does; return the greatest. */
static uint32_t (*unpack_indices)(const uint8_t *, const uint8_t *, int64_t, int, int, uint32_t *);
#define USE_HYBRID_LOOPS(suffix) (unpack_indices = unpack_indices_##suffix)

typedef struct {
    int64_t *counts; /* one an entry of the dictionary */
    int64_t entries;
} tallied;

static complaint count_packed(const hybrid *h, uint32_t few[COPIES][FEW_COUNTS], const tallied *t)
{
    for (int64_t done = 0; done < h->count; done += UNPACKED) {
        uint32_t indices[UNPACKED];
        int n = (int)(h->count - done < UNPACKED ? h->count - done : UNPACKED), i = 0;
        if (unpack_indices(h->bytes, h->end, done * h->bits, n, h->bits, indices) >= (uint64_t)t->entries)
            return "an index lies beyond the dictionary";
        if (t->entries <= FEW_COUNTS)
            for (; i + COPIES <= n; i += COPIES)
                for (int copy = 0; copy < COPIES; copy++)
                    few[copy][indices[i + copy]]++;
        for (; i < n; i++)
            t->counts[indices[i]]++;
    }
    return NULL;
}

/* Count the indices of a page's `present` values, which begin with the byte that tells their bits. */
static complaint count_indices(const uint8_t *at, const uint8_t *end, int64_t present, const tallied *t)
{
    uint32_t few[COPIES][FEW_COUNTS];
    hybrid h = {.at = at + 1, .end = end, .left = present};
    complaint wrong = NULL;
    if (present == 0)
        return NULL;
    if (at >= end || *at > INDEX_BITS)
        return "the bits of its indices are missing or more than 32";
    h.bits = *at;
    if (t->entries <= FEW_COUNTS)
        memset(few, 0, sizeof few);
    while (h.left > 0 && wrong == NULL) {
        wrong = next_part(&h);
        if (wrong == NULL && h.packed)
            wrong = count_packed(&h, few, t);
        else if (wrong == NULL && h.value >= (uint64_t)t->entries)
            wrong = "an index lies beyond the dictionary";
        else if (wrong == NULL)
            t->counts[h.value] += h.count;
    }
    for (int64_t i = 0; t->entries <= FEW_COUNTS && i < t->entries; i++)
        for (int copy = 0; copy < COPIES; copy++)
            t->counts[i] += few[copy][i];
    return wrong;
}

#endif
