/* Short plain numbers of CSV, digits with a decimal sign or none, without a branch for each of their digits. */
#ifndef STREAMNORM_CSV_DIGITS_H
#define STREAMNORM_CSV_DIGITS_H

#include "csv_scanner.h"
#include "decimal_text.h"

enum { BEFORE = 40, NO_SIGN = 32 }; /* bytes in front of a number's end that can be read, whatever they are */
enum { EXACT_DIGITS = 15 };         /* as many are exact in float64, whatever they are divided by */

/* Powers of ten by the places behind a decimal sign, of which there may be none. */
#define POWERS(sign) \
    sign 1, sign 1e1, sign 1e2, sign 1e3, sign 1e4, sign 1e5, sign 1e6, sign 1e7, sign 1e8, sign 1e9, sign 1e10, sign 1e11, \
    sign 1e12, sign 1e13, sign 1e14, sign 1e15, sign 1e16, sign 1e17, sign 1e18, sign 1e19, sign 1e20, sign 1e21, sign 1e22, \
    sign 1, sign 1, sign 1, sign 1, sign 1, sign 1, sign 1, sign 1, sign 1, sign 1
static const double powers_of_places[NO_SIGN + 1 + 64] = {POWERS(+), [64] = POWERS(-)};

/* Where a field of some records stands: behind the mark in front of that of its end, in each from its first mark on. */
typedef struct {
    const char *data;
    int64_t size;
    const int32_t *ends, *first_marks;
    int64_t records;
} field_of_records;

/* Digits by eight, the last ones last: no number has more than three of the second eight. */
typedef struct {
    int32_t eight[4];
} digit_parts;

/* Numbers of some records on their way: their digits, and what they are divided by. */
typedef struct {
    digit_parts *parts;
    double *divisors;
    int32_t *others; /* which of the records have something else */
    int64_t other_count, fractions;
} short_numbers;

INLINE void put_other(short_numbers *out, int64_t at)
{
    out->parts[at] = (digit_parts){{0}};
    out->divisors[at] = 1;
    out->others[out->other_count++] = (int32_t)at;
}

/* Leave those of the first records to others whose numbers cannot be read together with what stands before them; return
 * how many. */
INLINE int64_t put_first_others(const field_of_records *f, short_numbers *out)
{
    int64_t i = 0;
    for (; i < f->records && f->ends[f->first_marks[i] - 1] + 1 < BEFORE; i++)
        put_other(out, i);
    return i;
}

/* Read the fields of one to eight characters, and a minus, that are nothing but digits and at most one decimal sign and do
 * not begin with a zero and another digit. */
INLINE void read_short_baseline_body(const field_of_records *f, char decimal, short_numbers *out)
{
    int64_t i = put_first_others(f, out);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    {
        static const double powers[] = {1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1, 1}; /* by the sign's place; 8 is none */
        const uint64_t ones = 0x0101010101010101u, highest = 0x8080808080808080u;
        const uint64_t wanted = ones * (uint8_t)(decimal ^ '0');
        const char *data = f->data;
        int64_t fractions = 0;
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
            out->parts[i] = (digit_parts){{0, 0, 0, (int32_t)(((word & 0x000000FF000000FFu) * 0x000F424000000064u +
                                                              (word >> 16 & 0x000000FF000000FFu) * 0x0000271000000001u) >> 32)}};
            power = powers[place];
            out->divisors[i] = negative ? -power : power;
            fractions += place != 8;
            continue;
        other:
            put_other(out, i);
        }
        out->fractions += fractions;
    }
#else
    (void)decimal;
    for (; i < f->records; i++)
        put_other(out, i);
#endif
}

/* Divide up to eight digits. */
INLINE void divide_baseline_body(const short_numbers *n, int64_t count, double *values)
{
    const digit_parts *parts = n->parts;
    const double *divisors = n->divisors;
    SIMD()
    for (int64_t i = 0; i < count; i++)
        values[i] = parts[i].eight[3] / divisors[i];
}

#if CHOICE_OF_TARGETS && defined(__x86_64__)
enum { AT_ONCE = 256, NEGATIVE = 64 }; /* fields that are looked at together; a number beside its places where a minus stands */

/* What is known of the next numbers: of their last 32 characters a bit for each, the last one's the highest. */
typedef struct {
    int32_t edges[AT_ONCE][2]; /* the mark in front of the field, and that behind it */
    uint16_t first[AT_ONCE];   /* characters, two of them */
    uint32_t digits[AT_ONCE], signs[AT_ONCE];
    int32_t places[AT_ONCE]; /* behind the sign, or NO_SIGN; and NEGATIVE */
    int32_t size[AT_ONCE];   /* digits */
    int32_t bad[AT_ONCE];    /* whether it is another number, or none */
} looked_at;

typedef struct {
    uint32_t digits, signs;
} character_bits;

typedef character_bits (*bits_finder)(const char *end, char sign);
/* The digits that end at `end`, at most 19 of them; those in front of the last `places` end one character earlier. */
typedef digit_parts (*parts_reader)(const char *end, int places, int size);

/* Tell of some fields how many digits they have, and behind their sign, by what is known of their characters. Those are
 * numbers of at most 19 digits that do not begin with a zero and another digit, and are no integers of more than 15. */
INLINE void measure_digits(looked_at *l, int count)
{
    SIMD()
    for (int i = 0; i < count; i++) {
        uint32_t first = l->first[i] & 0xFF, second = l->first[i] >> 8, sign;
        int32_t negative = first == '-', size = l->edges[i][1] - l->edges[i][0] - 1 - negative, behind, digits;
        uint32_t exponent;
        float power;
        sign = ~l->digits[i] & ~(uint32_t)0 << (-size & 31); /* for sizes from 1 to 32, the others are bad anyway */
        first = negative ? second : first;
        power = (float)(int32_t)sign; /* exact for one bit */
        memcpy(&exponent, &power, sizeof exponent);
        behind = 127 + 31 - (int32_t)(exponent >> 23 & 0xFF);
        behind = behind < NO_SIGN ? behind : NO_SIGN;
        digits = size - (sign != 0);
        l->places[i] = behind + (negative ? NEGATIVE : 0);
        l->size[i] = digits & 31;
        l->bad[i] = ((uint32_t)digits - 1 > WORD_DIGITS - 1) | ((digits > EXACT_DIGITS) & (sign == 0)) |
                    ((sign & (sign - 1)) != 0) | ((sign & ~l->signs[i]) != 0) |
                    ((first == '0') & (digits - (behind & 31) > 1));
    }
}

/* Look at the field between two marks, as the one of number `k`. */
INLINE void look_at_field(looked_at *l, int k, const char *data, int32_t before, int32_t behind, char sign, bits_finder find)
{
    character_bits b = find(data + behind, sign);
    l->edges[k][0] = before;
    l->edges[k][1] = behind;
    memcpy(&l->first[k], data + before + 1, sizeof l->first[k]);
    l->digits[k] = b.digits;
    l->signs[k] = b.signs;
}

/* Read the fields that were looked at: of these records, or from `first` on; tell whether one of the others is quoted. */
INLINE int read_looked_at(looked_at *l, int count, const char *data, const int32_t *records, int64_t first,
                          short_numbers *out, parts_reader read)
{
    int bad = 0, whole = 0, quoted = 0;
    measure_digits(l, count);
    SIMD(reduction(+ : bad, whole))
    for (int k = 0; k < count; k++) {
        bad += l->bad[k];
        whole += l->bad[k] | (l->places[k] / NO_SIGN & 1);
    }
    out->fractions += count - whole;
    for (int k = 0; k < count; k++) {
        int64_t at = records ? records[k] : first + k;
        out->parts[at] = read(data + l->edges[k][1], l->places[k] & (NEGATIVE - 1), l->size[k]);
        out->divisors[at] = powers_of_places[l->places[k]];
    }
    for (int k = 0; bad && k < count; k++) {
        out->others[out->other_count] = records ? records[k] : (int32_t)(first + k);
        out->other_count += l->bad[k];
        quoted |= l->bad[k] & ((l->first[k] & 0xFF) == '"');
    }
    return quoted;
}

/* Read those of the others that stand in quotes. */
INLINE void read_quoted_numbers(const field_of_records *f, char decimal, short_numbers *out, bits_finder find,
                                parts_reader read)
{
    looked_at l;
    int32_t records[AT_ONCE];
    int64_t count = out->other_count;
    int some = 0;
    out->other_count = 0;
    for (int64_t k = 0; k < count; k++) {
        int32_t record = out->others[k];
        const int32_t *at = f->ends + f->first_marks[record];
        if (at[-1] >= BEFORE && at[0] - at[-1] > 3 && f->data[at[-1] + 1] == '"' && f->data[at[0] - 1] == '"') {
            look_at_field(&l, some, f->data, at[-1] + 1, at[0] - 1, decimal, find);
            records[some++] = record;
        } else
            out->others[out->other_count++] = record;
        if (some == AT_ONCE || (some && k + 1 == count)) {
            read_looked_at(&l, some, f->data, records, 0, out, read);
            some = 0;
        }
    }
}

INLINE void read_short_numbers(const field_of_records *f, char decimal, short_numbers *out, bits_finder find,
                               parts_reader read)
{
    looked_at l;
    int64_t first = put_first_others(f, out), last = f->records;
    int quoted = 0;
    while (last > first && f->ends[f->first_marks[last - 1] - 1] + 3 > f->size) /* two characters are not there */
        last--;
    while (first < last) {
        int count = last - first < AT_ONCE ? (int)(last - first) : AT_ONCE;
        for (int k = 0; k < count; k++) {
            const int32_t *at = f->ends + f->first_marks[first + k];
            look_at_field(&l, k, f->data, at[-1], at[0], decimal, find);
        }
        quoted |= read_looked_at(&l, count, f->data, NULL, first, out, read);
        first += count;
    }
    for (; first < f->records; first++)
        put_other(out, first);
    if (quoted)
        read_quoted_numbers(f, decimal, out, find, read);
}

/* Divide up to 19 digits and round once: to the quotient of what float64 holds of them comes that of all that is left.
 *
 * The sum of both quotients differs from the exact one by less than 2^-49 of a unit in the last place, since only the second
 * is rounded, twice. And digits / 10^p, of at most 19 each, is no nearer to the middle of two neighbours than 1 / (2 * 5^19) of
 * a unit, which is more than 2^-46: times the denominators, of which twos cancel, the distance is a whole number. But it may
 * lie in the middle; then what is left is a few halves of a unit, which times 10^p fits float64, so that nothing is rounded
 * but the sum, to even. */
INLINE void divide_long_body(const short_numbers *n, int64_t count, double *values)
{
    const digit_parts *parts = n->parts;
    const double *divisors = n->divisors;
    SIMD()
    for (int64_t i = 0; i < count; i++) {
        const int32_t *eight = parts[i].eight;
        double upper = eight[1] * 1e16, middle = eight[2] * 1e8, lower = eight[3]; /* exact, as are these: */
        double most = upper + middle, all = most + lower, rest = (lower - (all - most)) + (middle - (most - upper));
        double quotient = all / divisors[i], left = fma(-quotient, divisors[i], all);
        values[i] = quotient + (left + rest) / divisors[i];
    }
}

#define AVX2 __attribute__((target("avx2,fma,bmi,bmi2,lzcnt")))
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,bmi,bmi2,lzcnt")))
#define SOME(at) _mm256_loadu_si256((const __m256i *)(const void *)(at))
#define EIGHT(x) x, x, x, x, x, x, x, x
#define THIRTY_TWO(x) EIGHT(x), EIGHT(x), EIGHT(x), EIGHT(x)
static const char last_bytes[64] = {THIRTY_TWO(0), THIRTY_TWO(-1)}, first_bytes[64] = {THIRTY_TWO(-1), THIRTY_TWO(0)};

/* The sums of neighbours, again and again. */
AVX2 INLINE digit_parts added_digits(__m256i x)
{
    digit_parts parts;
    x = _mm256_maddubs_epi16(x, _mm256_set1_epi16(1 << 8 | 10));
    x = _mm256_madd_epi16(x, _mm256_set1_epi32(1 << 16 | 100));
    x = _mm256_permute4x64_epi64(_mm256_packus_epi32(x, x), 2 << 2);
    _mm_storeu_si128((__m128i *)(void *)parts.eight,
                     _mm_madd_epi16(_mm256_castsi256_si128(x), _mm_set1_epi32(1 << 16 | 10000)));
    return parts;
}

AVX2 INLINE character_bits find_bits_avx2(const char *end, char sign)
{
    const __m256i nine = _mm256_set1_epi8(9);
    __m256i text = SOME(end - 32), x = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
    return (character_bits){(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(x, nine), nine)),
                            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, _mm256_set1_epi8(sign)))};
}

AVX2 INLINE digit_parts read_parts_avx2(const char *end, int places, int size)
{
    __m256i x = _mm256_blendv_epi8(SOME(end - 32), SOME(end - 33), SOME(first_bytes + places));
    return added_digits(_mm256_and_si256(_mm256_sub_epi8(x, _mm256_set1_epi8('0')), SOME(last_bytes + size)));
}

AVX512 INLINE character_bits find_bits_avx512(const char *end, char sign)
{
    __m256i text = SOME(end - 32);
    return (character_bits){_mm256_cmplt_epu8_mask(_mm256_sub_epi8(text, _mm256_set1_epi8('0')), _mm256_set1_epi8(10)),
                            _mm256_cmpeq_epi8_mask(text, _mm256_set1_epi8(sign))};
}

AVX512 INLINE digit_parts read_parts_avx512(const char *end, int places, int size)
{
    uint32_t front = (uint32_t)((uint64_t)0xFFFFFFFFu >> places), kept = (uint32_t)(((uint64_t)0xFFFFFFFFu << 32) >> size);
    __m256i x = _mm256_mask_loadu_epi8(SOME(end - 32), front, end - 33);
    return added_digits(_mm256_maskz_sub_epi8(kept, x, _mm256_set1_epi8('0')));
}

INLINE AVX2 void read_short_avx2_body(const field_of_records *f, char decimal, short_numbers *out)
{
    read_short_numbers(f, decimal, out, find_bits_avx2, read_parts_avx2);
}
INLINE AVX512 void read_short_avx512_body(const field_of_records *f, char decimal, short_numbers *out)
{
    read_short_numbers(f, decimal, out, find_bits_avx512, read_parts_avx512);
}
#define divide_avx2_body divide_long_body
#define divide_avx512_body divide_long_body
#elif CHOICE_OF_TARGETS
#define read_short_avx2_body read_short_baseline_body
#define read_short_avx512_body read_short_baseline_body
#define divide_avx2_body divide_baseline_body
#define divide_avx512_body divide_baseline_body
#endif

#define DIGITS_LOOPS(suffix, target)                                                                    \
    target static void read_short_##suffix(const field_of_records *f, char decimal, short_numbers *out) \
    {                                                                                                   \
        read_short_##suffix##_body(f, decimal, out);                                                    \
    }                                                                                                   \
    target static void divide_##suffix(const short_numbers *n, int64_t count, double *values)           \
    {                                                                                                   \
        divide_##suffix##_body(n, count, values);                                                       \
    }
EACH_TARGET(DIGITS_LOOPS)

static void (*read_short_fields)(const field_of_records *, char, short_numbers *);
static void (*divide_digits)(const short_numbers *, int64_t, double *);
#define USE_DIGITS_LOOPS(suffix) (read_short_fields = read_short_##suffix, divide_digits = divide_##suffix)

#endif
