/* Short plain numbers of CSV, digits with a decimal sign or none, without a branch for each of their digits. */
#ifndef STREAMNORM_CSV_DIGITS_H
#define STREAMNORM_CSV_DIGITS_H

#include "csv_scanner.h"
#include "decimal_text.h"

enum { BEFORE = 40, NO_SIGN = 32 }; /* bytes in front of a number's end that can be read, whatever they are */
enum { EXACT_DIGITS = 15 }; /* as many are exact in float64, and so is what they are divided by */

/* Powers of ten by the places behind a decimal sign, of which there may be none. */
static const double powers_of_places[NO_SIGN + 1] = {
    1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, [NO_SIGN] = 1};

/* Where a field of some records stands: behind the mark in front of that of its end, in each from its first mark on. */
typedef struct {
    const char *data;
    const int32_t *ends, *first_marks;
    int64_t records;
} field_of_records;

/* Which number has more digits than can be divided plainly, and how many of them stand behind its sign. */
typedef struct {
    int32_t at, places;
} many_digits;

/* Numbers of some records on their way: their digits, and what they are divided by. */
typedef struct {
    uint64_t *digits;
    double *divisors;
    many_digits *many;
    int32_t *others; /* which of the records have something else */
    int64_t many_count, other_count, fractions;
} short_numbers;

INLINE void put_other(short_numbers *out, int64_t at)
{
    out->digits[at] = 0;
    out->divisors[at] = 1;
    out->others[out->other_count++] = (int32_t)at;
}

/* Read the fields of one to eight characters, and a minus, that are nothing but digits and at most one decimal sign and do
 * not begin with a zero and another digit. */
INLINE void read_shortest(const field_of_records *f, char decimal, short_numbers *out)
{
    int64_t i = 0;
    for (; i < f->records && f->ends[f->first_marks[i] - 1] + 1 < BEFORE; i++)
        put_other(out, i);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    {
        static const double powers[] = {1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1, 1}; /* by the sign's place; 8 is none */
        const uint64_t ones = 0x0101010101010101u, highest = 0x8080808080808080u;
        const uint64_t wanted = ones * (uint8_t)(decimal ^ '0');
        const char *data = f->data;
        uint64_t *digits = out->digits;
        double *divisors = out->divisors;
        int32_t *others = out->others;
        int64_t fractions = 0, other_count = out->other_count;
        for (; i < f->records; i++) {
            const int32_t *at = f->ends + f->first_marks[i];
            const char *start = data + at[-1] + 1, *end = data + at[0];
            int negative, size = (int)(end - start), place, bad;
            uint64_t word, other, sign, front;
            double power;
            if ((unsigned)size - 1 > 8)
                goto other;
            negative = *start == '-';
            size -= negative;
            memcpy(&word, end - sizeof word, sizeof word);
            word ^= 0x3030303030303030u;
            if ((unsigned)size - 1 > 7)
                goto other;
            bad = ((word >> (64 - 8 * size)) & 0xFF) == 0;
            word = word >> (64 - 8 * size) << (64 - 8 * size);
            other = word ^ wanted;
            sign = (other - ones) & ~other & highest;
            front = sign ? sign ^ (sign - 1) : 0; /* up to the sign */
            place = sign ? trailing_zeros(sign) >> 3 : 8;
            word = (word & ~front) | (word & front >> 8) << 8;
            bad &= place - (8 - size) > 1;      /* digits in front of the sign */
            bad |= size == 1 && place != 8; /* nothing but the sign */
            if (bad | ((((word + ones * 0x76) | word) & highest) != 0))
                goto other;
            word = word * 10 + (word >> 8);
            digits[i] = ((word & 0x000000FF000000FFu) * 0x000F424000000064u +
                         (word >> 16 & 0x000000FF000000FFu) * 0x0000271000000001u) >> 32;
            power = powers[place];
            divisors[i] = negative ? -power : power;
            fractions += place != 8;
            continue;
        other:
            others[other_count++] = (int32_t)i;
        }
        out->fractions += fractions;
        out->other_count = other_count;
    }
#else
    (void)decimal;
    for (; i < f->records; i++)
        put_other(out, i);
#endif
}

typedef void (*longer_reader)(const field_of_records *, char, short_numbers *);

/* There is nothing between the shortest and all others. */
INLINE void read_longer_baseline(const field_of_records *f, char decimal, short_numbers *out)
{
    (void)f, (void)decimal, (void)out;
}

#if CHOICE_OF_TARGETS && defined(__x86_64__)
#define EIGHT(x) x, x, x, x, x, x, x, x
#define THIRTY_TWO(x) EIGHT(x), EIGHT(x), EIGHT(x), EIGHT(x)
static const char last_bytes[64] = {THIRTY_TWO(0), THIRTY_TWO(-1)}, first_bytes[64] = {THIRTY_TWO(-1), THIRTY_TWO(0)};
#define SOME(table, at) _mm256_loadu_si256((const __m256i *)(const void *)((table) + (at)))

/* Read those of the others that have at most 19 digits, maybe in quotes, but are no integers of more than 15: the
 * characters in front of the sign are moved by one, and pairs of neighbours added. */
__attribute__((target("avx2,bmi,bmi2,lzcnt"))) INLINE void read_longer_avx2(const field_of_records *f, char decimal, short_numbers *out)
{
    const __m256i nine = _mm256_set1_epi8(9), zero = _mm256_set1_epi8('0'), wanted = _mm256_set1_epi8(decimal);
    const char *data = f->data;
    const int32_t *others = out->others;
    int64_t left = 0, fractions = 0, many_count = out->many_count;
    for (int64_t k = 0; k < out->other_count; k++) {
        int32_t i = others[k];
        const int32_t *at = f->ends + f->first_marks[i];
        int32_t start = at[-1] + 1, end = at[0];
        int negative, size = end - start, places;
        double power;
        uint64_t lower, upper, digits;
        uint32_t signs;
        __m256i text, x;
        if ((unsigned)size - 1 > WORD_DIGITS + 3 || start < BEFORE)
            goto other;
        if (data[start] == '"' && size > 2 && data[end - 1] == '"') {
            start++;
            end--;
            size -= 2;
        }
        negative = data[start] == '-';
        size -= negative;
        if ((unsigned)size - 1 > WORD_DIGITS)
            goto other;
        text = SOME(data, end - 32);
        x = _mm256_and_si256(_mm256_cmpeq_epi8(text, wanted), SOME(last_bytes, size));
        signs = (uint32_t)_mm256_movemask_epi8(x);
        places = leading_zeros((uint64_t)signs << 32 | 1u << 31);
        x = _mm256_blendv_epi8(text, SOME(data, end - 33), SOME(first_bytes, places)); /* up to the sign, which is lost */
        size -= places != NO_SIGN;
        x = _mm256_and_si256(_mm256_sub_epi8(x, zero), SOME(last_bytes, size));
        if (_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(x, nine), nine)) != -1 || size == 0 || size > WORD_DIGITS)
            goto other;
        if ((data[start + negative] == '0') & (size - (places & (NO_SIGN - 1)) > 1))
            goto other;
        if (size > EXACT_DIGITS && places == NO_SIGN)
            goto other;
        x = _mm256_maddubs_epi16(x, _mm256_set1_epi16(1 << 8 | 10));
        x = _mm256_madd_epi16(x, _mm256_set1_epi32(1 << 16 | 100));
        x = _mm256_packus_epi32(x, x);
        x = _mm256_madd_epi16(x, _mm256_set1_epi32(1 << 16 | 10000));
        lower = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(x, 1));
        upper = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(x)) >> 32;
        digits = upper * 10000000000000000u + (lower & 0xFFFFFFFFu) * 100000000u + (lower >> 32);
        power = powers_of_places[places];
        out->digits[i] = digits;
        out->divisors[i] = negative ? -power : power;
        out->many[many_count] = (many_digits){i, places};
        many_count += size > EXACT_DIGITS;
        fractions += places != NO_SIGN;
        continue;
    other:
        out->others[left++] = i;
    }
    out->many_count = many_count;
    out->other_count = left;
    out->fractions += fractions;
}
#define read_longer_avx512 read_longer_avx2
#elif CHOICE_OF_TARGETS
#define read_longer_avx2 read_longer_baseline
#define read_longer_avx512 read_longer_baseline
#endif

/* Divide digits below 2^52, which are float64 with a few bits more. */
INLINE void divide_body(const uint64_t *digits, const double *divisors, int64_t count, double *values)
{
    SIMD()
    for (int64_t i = 0; i < count; i++) {
        uint64_t bits = digits[i] | (uint64_t)(EXPONENT_BIAS + MANTISSA_BITS) << MANTISSA_BITS;
        double value;
        memcpy(&value, &bits, sizeof value);
        values[i] = (value - 4503599627370496.0) / divisors[i];
    }
}

/* Round the quotients of more digits. */
INLINE void divide_many(const short_numbers *n, double *values)
{
    for (int64_t i = 0; i < n->many_count; i++) {
        many_digits m = n->many[i];
        uint64_t bits = bits_of_product(n->digits[m.at], -m.places);
        bits |= (uint64_t)(n->divisors[m.at] < 0) << 63;
        memcpy(values + m.at, &bits, sizeof bits);
    }
}

#define DIGITS_LOOPS(suffix, target)                                                                        \
    target static void read_short_##suffix(const field_of_records *f, char decimal, short_numbers *out)     \
    {                                                                                                       \
        read_shortest(f, decimal, out);                                                                     \
        if (out->other_count)                                                                               \
            read_longer_##suffix(f, decimal, out);                                                          \
        for (int64_t i = 0; i < out->other_count; i++) {                                                    \
            out->digits[out->others[i]] = 0;                                                                \
            out->divisors[out->others[i]] = 1;                                                              \
        }                                                                                                   \
    }                                                                                                       \
    target static void divide_##suffix(const short_numbers *n, int64_t count, double *values)               \
    {                                                                                                       \
        divide_body(n->digits, n->divisors, count, values);                                                 \
        divide_many(n, values);                                                                             \
    }
EACH_TARGET(DIGITS_LOOPS)

static void (*read_short_fields)(const field_of_records *, char, short_numbers *);
static void (*divide_digits)(const short_numbers *, int64_t, double *);
#define USE_DIGITS_LOOPS(suffix) (read_short_fields = read_short_##suffix, divide_digits = divide_##suffix)

#endif
