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

INLINE triple product_of_three(wide g, uint64_t c)
{
    wide low = wide_product(g.low, c), high = wide_product(g.high, c);
    triple p = {{low.low, high.low + low.high, high.high}};
    p.word[2] += p.word[1] < low.high;
    return p;
}

/* The same and g * 2^shift, for shifts from 1 to 63, and without it. */
INLINE triple shifted_triple(wide g, int shift)
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

/* The shortest decimal digits * 10^*exponent next to c * 2^q. Below a power of two the next number is `closer`. */
INLINE uint64_t shortest_digits(uint64_t c, int q, int closer, int *exponent)
{
    int k = log10_of_two_to(q, closer), shift = q + log2_of_ten_to(-k) + 1;
    const uint64_t *power = powers_of_five[-k - LEAST_POWER];
    uint64_t odd = c & 1, low, middle, high, s, tens, round;
    triple product;
    int below, above, shorter;
    wide g;
    g.high = power[0];
    g.low = power[1] + (-k < LEAST_CEILED || -k > LAST_EXACT); /* rounded up, as the proof wants it */
    product = product_of_three(g, (4 * c) << shift);
    middle = round_to_odd(product);
    low = round_to_odd(triple_difference(product, shifted_triple(g, shift + 1 - closer))) + odd;
    high = round_to_odd(triple_sum(product, shifted_triple(g, shift + 1))) - odd;
    s = middle / 4;
    tens = s / 10;
    below = low <= 4 * s;
    above = 4 * s + 4 <= high;
    round = below != above ? (uint64_t)above : middle > 4 * s + 2 - (s & 1); /* of the middle to the even one */
    below = low <= 40 * tens;
    above = 40 * tens + 40 <= high;
    shorter = (s >= 10) & (below != above);
    *exponent = k + shorter;
    return shorter ? tens + (uint64_t)above : s + round;
}

/* The characters of a number below 10^8 in a word, the first in its lowest byte. */
INLINE uint64_t eight_characters(uint64_t value)
{
    uint64_t fours = value / 10000 | (value % 10000) << 32;
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

/* Digits in words of eight, the first one apart: as many as can be, with zeros behind, and how many say something. */
typedef struct {
    uint64_t word[2];
    int first, count;
} all_digits;

INLINE all_digits digits_of(uint64_t digits, int count)
{
    const uint64_t zeros = 0x3030303030303030u;
    uint64_t whole = digits * powers_of_ten[SHORTEST_DIGITS - count], upper = whole / 100000000u;
    all_digits d = {.first = (int)(upper / 100000000u)};
    d.word[0] = eight_characters(upper % 100000000u);
    d.word[1] = eight_characters(whole % 100000000u);
    if (d.word[1] != zeros)
        d.count = SHORTEST_DIGITS - (leading_zeros(d.word[1] ^ zeros) >> 3);
    else
        d.count = d.word[0] != zeros ? 9 - (leading_zeros(d.word[0] ^ zeros) >> 3) : 1;
    return d;
}

/* Digits with an exponent, or an integer of nine digits and more. */
static char *put_large(char *out, const all_digits *d, int top, char decimal)
{
    char all[SHORTEST_DIGITS + 7];
    all[0] = (char)('0' + d->first);
    put_word(all + 1, d->word[0]);
    put_word(all + 9, d->word[1]);
    memcpy(out, all, SHORTEST_DIGITS);
    if (top < LEAST_FIXED || top >= LEAST_LARGE) {
        if (d->count > 1) {
            out[1] = decimal;
            memcpy(out + 2, all + 1, SHORTEST_DIGITS - 1);
        }
        return put_exponent(out + d->count + (d->count > 1), top);
    }
    if (d->count <= top + 1)
        return out + top + 1;
    out[top + 1] = decimal;
    memcpy(out + top + 2, all + top + 1, (size_t)(SHORTEST_DIGITS - top - 1));
    return out + d->count + 1;
}

/* Digits with a decimal sign or an exponent, without zeros that say nothing. PIECE bytes behind the text are written to,
 * too: words are written faster than what is needed of them. */
INLINE char *put_digits(char *out, uint64_t digits, int exponent, char decimal)
{
    int count = digits_in(digits), top = exponent + count - 1, small = top < 0, behind;
    all_digits d = digits_of(digits, count);
    uint64_t before; /* all bits of digits in front of the sign, but for the first digit's */
    if (top < LEAST_FIXED || top > 7)
        return put_large(out, &d, top, decimal);
    /* No branches: signs of numbers next to 1 stand at random. Of small numbers, all digits stand behind the sign. */
    put_word(out, 0x3030303030300030u | (uint64_t)(uint8_t)decimal << 8);
    out += small ? 1 - top : 0;
    behind = small ? 1 : 2;
    top = small ? 0 : top;
    before = ((uint64_t)1 << 8 * top) - 1;
    before = (d.word[0] & before) | (uint64_t)(uint8_t)decimal << 8 * top | (d.word[0] & ~before) << 8;
    *out = (char)('0' + d.first);
    put_word(out + behind, d.word[0]);
    put_word(out + behind + 8, d.word[1]);
    put_word(out + 1, small ? d.word[0] : before);
    return out + (d.count > top + 1 ? d.count + behind - 1 : top + 1);
}

/* A number as digits * 10^exponent; those that have no such digits are told by their texts. */
typedef struct {
    uint64_t digits;
    int32_t exponent;
    signed char negative, text; /* text: one of those below, or 0 */
} decimal_number;

enum { ZERO_TEXT = 1, AN_INFINITY, NOT_A_NUMBER };
static const char *const texts[] = {"", "0", "inf", "nan"};

/* The digits of a number of `mantissa_bits`, 52 or 23, given by its bits. */
INLINE decimal_number decimal_of(uint64_t bits, int mantissa_bits, int exponent_bits)
{
    uint64_t mantissa = bits & (((uint64_t)1 << mantissa_bits) - 1);
    int biased = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1), exponent = 0;
    int least = 2 - (1 << (exponent_bits - 1)) - mantissa_bits;
    decimal_number n = {0, 0, (signed char)(bits >> (mantissa_bits + exponent_bits) & 1), 0};
    if (biased == (1 << exponent_bits) - 1) {
        n.text = mantissa ? NOT_A_NUMBER : AN_INFINITY;
        n.negative &= mantissa == 0;
        return n;
    }
    if (biased == 0 && mantissa == 0)
        n.text = ZERO_TEXT;
    else if (biased == 0)
        n.digits = shortest_digits(mantissa, least, 0, &exponent);
    else
        n.digits = shortest_digits(mantissa | (uint64_t)1 << mantissa_bits, least + biased - 1, mantissa == 0 && biased > 1,
                                   &exponent);
    n.exponent = exponent;
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

/* Write a number; at most LONGEST_TEXT characters. */
INLINE char *put_decimal(char *out, const decimal_number *n, char decimal)
{
    *out = '-';
    out += n->negative;
    if (n->text) {
        memcpy(out, texts[(int)n->text], strlen(texts[(int)n->text]));
        return out + strlen(texts[(int)n->text]);
    }
    return put_digits(out, n->digits, n->exponent, decimal);
}

INLINE char *put_value(char *out, const char *at, char type, char decimal)
{
    decimal_number n = decimal_at(at, type);
    return put_decimal(out, &n, decimal);
}

#endif
