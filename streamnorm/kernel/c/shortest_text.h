/* Numbers as the shortest decimal text that reads back to them; of several that short, the nearest.
 *
 * Giulietti, "The Schubfach way to render doubles" (2021): the interval of numbers that round to this one, times a power
 * of ten with 128 bits, decides which digits can be left out. */
#ifndef STREAMNORM_SHORTEST_TEXT_H
#define STREAMNORM_SHORTEST_TEXT_H

#include <stdint.h>
#include <string.h>

#include "powers_of_ten.h"
#include "words.h"

/* Characters of the longest text, -0.0000012345678901234567, and the exponents of ten that are written as such. */
enum { LONGEST_TEXT = 25, LEAST_FIXED = -6, LEAST_LARGE = 10 };
/* Bytes written at a time, whatever is needed of them. */
enum { PIECE = 24 };

/* A product of three words, the lowest first. */
typedef struct {
    uint64_t word[3];
} triple;

typedef wide (*multiplier)(uint64_t, uint64_t);

INLINE triple product_of_three(wide g, uint64_t c, multiplier product)
{
    wide low = product(g.low, c), high = product(g.high, c);
    triple p = {{low.low, high.low + low.high, high.high}};
    p.word[2] += p.word[1] < low.high;
    return p;
}

/* The same and g * 2^shift, for shifts from 1 to 63, and without it. */
INLINE triple shifted_triple(wide g, int64_t shift)
{
    return (triple){{g.low << shift, g.high << shift | g.low >> (64 - shift), g.high >> (64 - shift)}};
}

INLINE triple triple_sum(triple a, triple b)
{
    triple sum = {{a.word[0] + b.word[0], a.word[1] + b.word[1], a.word[2] + b.word[2]}};
    uint64_t carry = sum.word[0] < a.word[0];
    sum.word[2] += (sum.word[1] < a.word[1]) + (sum.word[1] + carry < carry);
    sum.word[1] += carry;
    return sum;
}

INLINE triple triple_difference(triple a, triple b)
{
    uint64_t borrow = a.word[0] < b.word[0];
    triple rest = {{a.word[0] - b.word[0], a.word[1] - b.word[1], a.word[2] - b.word[2]}};
    rest.word[2] -= (a.word[1] < b.word[1]) + (rest.word[1] < borrow);
    rest.word[1] -= borrow;
    return rest;
}

/* The top word, with its last bit set where anything lies below: enough to compare exactly. */
INLINE uint64_t round_to_odd(triple p) { return p.word[2] | (p.word[1] > 1); }

/* floor(log2(10^e)), and floor(log10(2^e)) or of three quarters of it: exact for all exponents of float64. */
INLINE int log2_of_ten_to(int e) { return (e * 1741647) >> 19; }
INLINE int log10_of_two_to(int e, int closer) { return (e * 1262611 - (closer ? 524031 : 0)) >> 22; }

/* What c * 2^q is multiplied by: a power of ten to 128 bits, after a shift by some bits. */
typedef struct {
    wide power;
    int64_t shift, closer; /* whether the next number below is closer than that above, as below a power of two */
} scale;

/* The scale of numbers c * 2^q, and in *exponent that of ten of their last digit. */
INLINE scale scale_of(int q, int closer, int64_t *exponent)
{
    int k = log10_of_two_to(q, closer);
    const uint64_t *power = powers_of_five[-k - LEAST_POWER];
    uint64_t ceiled = -k < LEAST_CEILED || -k > LAST_EXACT; /* rounded up, as the proof wants it */
    *exponent = k;
    return (scale){{power[0], power[1] + ceiled}, q + log2_of_ten_to(-k) + 1, closer};
}

/* Whether a <= b, of words below 2^63: vectors know neither branches nor truths. */
INLINE uint64_t at_most(uint64_t a, uint64_t b) { return (b - a) >> 63 ^ 1; }

/* The digits of the shortest decimal number next to c, maybe with one zero at their end. */
INLINE uint64_t shortest_digits(uint64_t c, scale by, multiplier product)
{
    uint64_t odd = c & 1, low, middle, high, s, tens, round, below, above, shorter;
    triple all;
    all = product_of_three(by.power, (4 * c) << by.shift, product);
    middle = round_to_odd(all);
    low = round_to_odd(triple_difference(all, shifted_triple(by.power, by.shift + 1 - by.closer))) + odd;
    high = round_to_odd(triple_sum(all, shifted_triple(by.power, by.shift + 1))) - odd;
    s = middle / 4;
    tens = product(s, 0xCCCCCCCCCCCCCCCDu).high >> 3; /* s / 10 */
    below = at_most(low, 4 * s);
    above = at_most(4 * s + 4, high);
    round = at_most(4 * s + 3 - (s & 1), middle); /* of the middle to the even one */
    round ^= (below ^ above) & (above ^ round);
    below = at_most(low, 40 * tens);
    above = at_most(40 * tens + 40, high);
    shorter = (below ^ above) & at_most(10, s);
    return s + round + shorter * (10 * (tens + above) - (s + round));
}

/* The characters of a number below 10^8 in a word, the first in its lowest byte. */
INLINE uint64_t eight_characters(uint64_t value)
{
    uint64_t upper = value * 109951163u >> 40; /* value / 10000 */
    uint64_t fours = upper | (value - 10000 * upper) << 32;
    uint64_t twos = (fours * 10486 >> 20) & 0x0000007F0000007Fu;
    uint64_t ones;
    twos |= (fours - 100 * twos) << 16;
    ones = (twos * 103 >> 10) & 0x000F000F000F000Fu;
    return (ones | (twos - 10 * ones) << 8) + 0x3030303030303030u;
}

INLINE void put_word(char *out, uint64_t word)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(out, &word, sizeof word);
#else
    for (int i = 0; i < 8; i++)
        out[i] = (char)(word >> 8 * i);
#endif
}

static const uint64_t powers_of_ten[] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000u, 100000000000u,
    1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u, 100000000000000000u,
    1000000000000000000u, 10000000000000000000u};

INLINE int digits_in(uint64_t value)
{
    int bits = 64 - leading_zeros(value | 1), digits = bits * 1233 >> 12; /* log10(2) */
    return digits + (digits < 20 && value >= powers_of_ten[digits]);
}

static char *put_exponent(char *out, int power)
{
    int size = power < 0 ? -power : power;
    *out++ = 'e';
    *out++ = power < 0 ? '-' : '+';
    if (size >= 100)
        *out++ = (char)('0' + size / 100);
    if (size >= 10)
        *out++ = (char)('0' + size / 10 % 10);
    *out++ = (char)('0' + size % 10);
    return out;
}

enum { SHORTEST_DIGITS = 17 }; /* of a number's shortest text */

/* Seventeen digits, the first one apart and the others as characters. */
typedef struct {
    uint64_t first, word[2];
} all_digits;

INLINE all_digits digits_of(uint64_t seventeen, multiplier product)
{
    uint64_t upper = product(seventeen, 0xABCC77118461CEFDu).high >> 26; /* without the last eight digits */
    uint64_t first = upper * 0x55E63B89u >> 57;                          /* nor eight more */
    return (all_digits){first, {eight_characters(upper - 100000000u * first), eight_characters(seventeen - 100000000u * upper)}};
}

/* A number as digits, with zeros at their end, and the exponent of ten of the first one; those that have no such digits are
 * told by their texts. */
typedef struct {
    uint64_t word[2];
    int32_t top;
    char first;
    signed char negative, text; /* text: one of those below, or 0 */
} decimal_number;

enum { ZERO_TEXT = 1, AN_INFINITY, NOT_A_NUMBER };
static const char *const texts[] = {"", "0", "inf", "nan"};

/* Digits with an exponent, or an integer of nine digits and more. */
static char *put_large(char *out, const decimal_number *n, int count, char decimal)
{
    char all[SHORTEST_DIGITS + 7];
    int top = n->top;
    all[0] = n->first;
    put_word(all + 1, n->word[0]);
    put_word(all + 9, n->word[1]);
    memcpy(out, all, SHORTEST_DIGITS);
    if (top < LEAST_FIXED || top >= LEAST_LARGE) {
        if (count > 1) {
            out[1] = decimal;
            memcpy(out + 2, all + 1, SHORTEST_DIGITS - 1);
        }
        return put_exponent(out + count + (count > 1), top);
    }
    if (count <= top + 1)
        return out + top + 1;
    out[top + 1] = decimal;
    memcpy(out + top + 2, all + top + 1, (size_t)(SHORTEST_DIGITS - top - 1));
    return out + count + 1;
}

/* Digits with a decimal sign or an exponent, without zeros that say nothing. PIECE bytes behind the text are written to,
 * too: words are written faster than what is needed of them. */
INLINE char *put_digits(char *out, const decimal_number *n, char decimal)
{
    const uint64_t zeros = 0x3030303030303030u;
    int top = n->top, small = top < 0, behind, count;
    uint64_t before; /* all bits of digits in front of the sign, but for the first digit's */
    if (n->word[1] != zeros)
        count = SHORTEST_DIGITS - (leading_zeros(n->word[1] ^ zeros) >> 3);
    else
        count = n->word[0] != zeros ? 9 - (leading_zeros(n->word[0] ^ zeros) >> 3) : 1;
    if (top < LEAST_FIXED || top > 7)
        return put_large(out, n, count, decimal);
    /* No branches: signs of numbers next to 1 stand at random. Of small numbers, all digits stand behind the sign. */
    put_word(out, 0x3030303030300030u | (uint64_t)(uint8_t)decimal << 8);
    out += small ? 1 - top : 0;
    behind = small ? 1 : 2;
    top = small ? 0 : top;
    before = ((uint64_t)1 << 8 * top) - 1;
    before = (n->word[0] & before) | (uint64_t)(uint8_t)decimal << 8 * top | (n->word[0] & ~before) << 8;
    *out = n->first;
    put_word(out + behind, n->word[0]);
    put_word(out + behind + 8, n->word[1]);
    put_word(out + 1, small ? n->word[0] : before);
    return out + (count > top + 1 ? count + behind - 1 : top + 1);
}

/* The digits of a number of `mantissa_bits`, 52 or 23, given by its bits. */
INLINE decimal_number decimal_of(uint64_t bits, int mantissa_bits, int exponent_bits)
{
    uint64_t mantissa = bits & (((uint64_t)1 << mantissa_bits) - 1);
    int biased = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1), count;
    int least = 2 - (1 << (exponent_bits - 1)) - mantissa_bits;
    decimal_number n = {.negative = (signed char)(bits >> (mantissa_bits + exponent_bits) & 1)};
    uint64_t shortest;
    int64_t exponent;
    all_digits digits;
    if (biased == (1 << exponent_bits) - 1) {
        n.text = mantissa ? NOT_A_NUMBER : AN_INFINITY;
        n.negative &= mantissa == 0;
        return n;
    }
    if (biased == 0 && mantissa == 0) {
        n.text = ZERO_TEXT;
        return n;
    }
    if (biased == 0)
        shortest = shortest_digits(mantissa, scale_of(least, 0, &exponent), wide_product);
    else
        shortest = shortest_digits(mantissa | (uint64_t)1 << mantissa_bits,
                                   scale_of(least + biased - 1, mantissa == 0 && biased > 1, &exponent), wide_product);
    count = digits_in(shortest);
    digits = digits_of(shortest * powers_of_ten[SHORTEST_DIGITS - count], wide_product);
    n.word[0] = digits.word[0];
    n.word[1] = digits.word[1];
    n.first = (char)('0' + digits.first);
    n.top = (int32_t)exponent + count - 1;
    return n;
}

INLINE decimal_number decimal_at(const char *at, char type)
{
    uint64_t bits;
    uint32_t narrow;
    if (type == 'd') {
        memcpy(&bits, at, sizeof bits);
        return decimal_of(bits, 52, 11);
    }
    memcpy(&narrow, at, sizeof narrow);
    return decimal_of(narrow, 23, 8);
}

enum { NUMBERS_AT_ONCE = 32 };

/* Up to NUMBERS_AT_ONCE numbers of a type, one by one. */
INLINE void find_decimals_one_by_one(const char *values, char type, int count, decimal_number *out)
{
    for (int i = 0; i < count; i++)
        out[i] = decimal_at(values + i * (type == 'd' ? 8 : 4), type);
}

/* The same in vectors: float64 of 53 bits has sixteen or seventeen digits, before zeros at their end are left out. */
INLINE void find_decimals_together(const char *values, char type, int count, decimal_number *out)
{
    const uint64_t one = (uint64_t)1 << 52;
    uint64_t bits[NUMBERS_AT_ONCE] = {0}, first[NUMBERS_AT_ONCE], upper[NUMBERS_AT_ONCE], lower[NUMBERS_AT_ONCE];
    uint64_t power[2][NUMBERS_AT_ONCE];
    int64_t top[NUMBERS_AT_ONCE], shift[NUMBERS_AT_ONCE], closer[NUMBERS_AT_ONCE];
    if (type != 'd') {
        find_decimals_one_by_one(values, type, count, out);
        return;
    }
    memcpy(bits, values, (size_t)count * sizeof *bits);
    for (int i = 0; i < NUMBERS_AT_ONCE; i++) {
        int biased = (int)(bits[i] >> 52 & 0x7FF);
        scale by;
        if (biased == 0 || biased == 0x7FF)
            biased = 1; /* zeros, subnormal numbers and those that are none are looked at again */
        by = scale_of(biased - 1075, (bits[i] & (one - 1)) == 0 && biased > 1, &top[i]);
        power[0][i] = by.power.high;
        power[1][i] = by.power.low;
        shift[i] = by.shift;
        closer[i] = by.closer;
    }
    SIMD()
    for (int i = 0; i < NUMBERS_AT_ONCE; i++) {
        scale by = {{power[0][i], power[1][i]}, shift[i], closer[i]};
        uint64_t shortest = shortest_digits((bits[i] & (one - 1)) | one, by, product_by_halves);
        uint64_t less = at_most(shortest, 9999999999999999u);
        all_digits digits = digits_of(shortest + 9 * less * shortest, product_by_halves);
        first[i] = digits.first;
        upper[i] = digits.word[0];
        lower[i] = digits.word[1];
        top[i] += 16 - (int64_t)less;
    }
    for (int i = 0; i < count; i++) {
        out[i] = (decimal_number){{upper[i], lower[i]}, (int32_t)top[i], (char)('0' + first[i]), (signed char)(bits[i] >> 63), 0};
        if ((bits[i] >> 52 & 0x7FF) - 1 >= 0x7FE)
            out[i] = decimal_of(bits[i], 52, 11);
    }
}

#define find_decimals_baseline_body find_decimals_one_by_one
#define find_decimals_avx2_body find_decimals_together
#define find_decimals_avx512_body find_decimals_together
#define SHORTEST_LOOPS(suffix, target)                                                                       \
    target static void find_decimals_##suffix(const char *values, char type, int count, decimal_number *out) \
    {                                                                                                        \
        find_decimals_##suffix##_body(values, type, count, out);                                             \
    }
EACH_TARGET(SHORTEST_LOOPS)

static void (*find_decimals)(const char *, char, int, decimal_number *);
#define USE_SHORTEST_LOOPS(suffix) (find_decimals = find_decimals_##suffix)

/* Write a number; at most LONGEST_TEXT characters. */
INLINE char *put_decimal(char *out, const decimal_number *n, char decimal)
{
    *out = '-';
    out += n->negative;
    if (n->text) {
        memcpy(out, texts[(int)n->text], strlen(texts[(int)n->text]));
        return out + strlen(texts[(int)n->text]);
    }
    return put_digits(out, n, decimal);
}

#endif
