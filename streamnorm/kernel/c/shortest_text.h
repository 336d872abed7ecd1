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

/* Characters of the longest text, -2.2250738585072014e-308, and the exponents of ten that are written as such. */
enum { LONGEST_TEXT = 24, LEAST_FIXED = -6, LEAST_LARGE = 10 };
/* Bytes copied at a time, at least the digits of a number. */
enum { PIECE = 20 };

/* The top word of g * c, with its last bit set where anything lies below: enough to compare exactly. */
INLINE uint64_t round_to_odd(wide g, uint64_t c)
{
    wide low = wide_product(g.low, c), high = wide_product(g.high, c);
    high.low += low.high;
    high.high += high.low < low.high;
    return high.high | (high.low > 1);
}

/* floor(log2(10^e)), and floor(log10(2^e)) or of three quarters of it: exact for all exponents of float64. */
INLINE int log2_of_ten_to(int e) { return (e * 1741647) >> 19; }
INLINE int log10_of_two_to(int e, int closer) { return (e * 1262611 - (closer ? 524031 : 0)) >> 22; }

/* The shortest decimal digits * 10^*exponent next to c * 2^q. Below a power of two the next number is `closer`. */
INLINE uint64_t shortest_digits(uint64_t c, int q, int closer, int *exponent)
{
    int k = log10_of_two_to(q, closer), shift = q + log2_of_ten_to(-k) + 1;
    const uint64_t *power = powers_of_five[-k - LEAST_POWER];
    uint64_t odd = c & 1, low, middle, high, s;
    wide g;
    g.high = power[0];
    g.low = power[1] + (-k < LEAST_CEILED || -k > LAST_EXACT); /* rounded up, as the proof wants it */
    low = round_to_odd(g, (4 * c - 2 + (uint64_t)closer) << shift) + odd;
    middle = round_to_odd(g, (4 * c) << shift);
    high = round_to_odd(g, (4 * c + 2) << shift) - odd;
    s = middle / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        int below = low <= 40 * tens, above = 40 * tens + 40 <= high;
        if (below != above) {
            *exponent = k + 1;
            return tens + (uint64_t)above;
        }
    }
    *exponent = k;
    {
        int below = low <= 4 * s, above = 4 * s + 4 <= high;
        if (below != above)
            return s + (uint64_t)above;
        return s + (middle > 4 * s + 2 || (middle == 4 * s + 2 && (s & 1)));
    }
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

/* Write 24 digits of a number with zeros in front. */
INLINE void put_all_digits(char out[24], uint64_t value)
{
    uint64_t upper = value / 100000000u;
    put_word(out, eight_characters(upper / 100000000u));
    put_word(out + 8, eight_characters(upper % 100000000u));
    put_word(out + 16, eight_characters(value % 100000000u));
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
    char digits[24];
    int size = power < 0 ? -power : power, count = size >= 100 ? 3 : size >= 10 ? 2 : 1;
    put_all_digits(digits, (uint64_t)size);
    *out++ = 'e';
    *out++ = power < 0 ? '-' : '+';
    memcpy(out, digits + 24 - count, (size_t)count);
    return out + count;
}

/* Digits with a decimal sign or an exponent, without zeros that say nothing. PIECE bytes behind the text are written to,
 * too: pieces of one size are copied faster than what is needed. */
INLINE char *put_digits(char *out, uint64_t digits, int exponent, char decimal)
{
    char all[24 + PIECE] = {0}, *first;
    int count, top;
    put_all_digits(all, digits);
    count = digits_in(digits);
    first = all + 24 - count;
    top = exponent + count - 1;
    while (count > 1 && first[count - 1] == '0')
        count--;
    if (top < LEAST_FIXED || top >= LEAST_LARGE) {
        *out++ = *first;
        if (count > 1) {
            *out = decimal;
            memcpy(out + 1, first + 1, PIECE);
            out += count;
        }
        return put_exponent(out, top);
    }
    if (top < 0) {
        memcpy(out, "0.0000000", 9);
        out[1] = decimal;
        memcpy(out + 1 - top, first, PIECE);
        return out + 1 - top + count;
    }
    memcpy(out, first, PIECE);
    if (count <= top + 1) { /* an integer */
        memset(out + count, '0', (size_t)(top + 1 - count));
        return out + top + 1;
    }
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
