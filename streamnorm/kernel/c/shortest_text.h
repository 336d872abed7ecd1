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
/* Bytes copied at a time, at least the digits of a number and the zeros in front of them. */
enum { PIECE = 32 };

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

/* The digits of a number below 10^17, with zeros in front, in words of eight. */
typedef struct {
    uint64_t word[3];
} seventeen_digits;

INLINE seventeen_digits digits_of(uint64_t value)
{
    uint64_t upper = value / 100000000u;
    return (seventeen_digits){{0x3030303030303030u + ((upper / 100000000u) << 56), eight_characters(upper % 100000000u),
                               eight_characters(value % 100000000u)}};
}

/* How many of the last digits are zeros, of a number that is none. */
INLINE int last_zeros(const seventeen_digits *d)
{
    for (int i = 2; i > 0; i--) {
        uint64_t digits = d->word[i] ^ 0x3030303030303030u;
        if (digits)
            return 8 * (2 - i) + (leading_zeros(digits) >> 3);
    }
    return 16;
}

INLINE int digits_in(uint64_t value)
{
    int bits = 64 - leading_zeros(value | 1), digits = bits * 1233 >> 12; /* log10(2) */
    static const uint64_t powers[] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000u, 100000000000u,
        1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u, 100000000000000000u,
        1000000000000000000u, 10000000000000000000u};
    return digits + (digits < 20 && value >= powers[digits]);
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

/* Digits with a decimal sign or an exponent, without zeros that say nothing. PIECE bytes behind the text are written to,
 * too: pieces of one size are copied faster than what is needed. */
INLINE char *put_digits(char *out, uint64_t digits, int exponent, char decimal)
{
    enum { FRONT = 8, END = FRONT + 24 };
    char all[END + 16 + PIECE], *first;
    seventeen_digits d = digits_of(digits);
    int count = digits_in(digits), top = exponent + count - 1, lead;
    memset(all, '0', sizeof all);
    for (int i = 0; i < 3; i++)
        put_word(all + FRONT + 8 * i, d.word[i]);
    first = all + END - count;
    count -= last_zeros(&d);
    if (top < LEAST_FIXED || top >= LEAST_LARGE) {
        *out++ = *first;
        if (count > 1) {
            *out = decimal;
            memcpy(out + 1, first + 1, PIECE);
            out += count;
        }
        return put_exponent(out, top);
    }
    lead = top < 0 ? -top : 0; /* zeros in front that are written */
    first -= lead;
    count += lead;
    top += lead;
    memcpy(out, first, PIECE); /* with zeros behind */
    if (count <= top + 1) /* an integer */
        return out + top + 1;
    memcpy(out + top + 2, first + top + 1, PIECE);
    out[top + 1] = decimal;
    return out + count + 1;
}

/* Write a number of `mantissa_bits`, 52 or 23, given by its bits; at most LONGEST_TEXT characters. */
INLINE char *put_shortest(char *out, uint64_t bits, int mantissa_bits, int exponent_bits, char decimal)
{
    uint64_t mantissa = bits & (((uint64_t)1 << mantissa_bits) - 1), digits;
    int biased = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1), exponent;
    int least = 2 - (1 << (exponent_bits - 1)) - mantissa_bits;
    int negative = (int)(bits >> (mantissa_bits + exponent_bits) & 1);
    if (biased == (1 << exponent_bits) - 1) {
        const char *word = mantissa ? "nan" : negative ? "-inf" : "inf";
        size_t size = strlen(word);
        memcpy(out, word, size);
        return out + size;
    }
    if (negative)
        *out++ = '-';
    if (biased == 0 && mantissa == 0) {
        *out++ = '0';
        return out;
    }
    if (biased == 0)
        digits = shortest_digits(mantissa, least, 0, &exponent);
    else
        digits = shortest_digits(mantissa | (uint64_t)1 << mantissa_bits, least + biased - 1, mantissa == 0 && biased > 1,
                                 &exponent);
    return put_digits(out, digits, exponent, decimal);
}

INLINE char *put_value(char *out, const char *at, char type, char decimal)
{
    if (type == 'd') {
        uint64_t bits;
        memcpy(&bits, at, sizeof bits);
        return put_shortest(out, bits, 52, 11, decimal);
    } else {
        uint32_t bits;
        memcpy(&bits, at, sizeof bits);
        return put_shortest(out, bits, 23, 8, decimal);
    }
}

#endif
