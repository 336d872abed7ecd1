/* Numbers written as decimal text, read where they stand: correctly rounded float64, and integers of 64 bits exactly.
 *
 * Nineteen digits and a power of ten are multiplied by 128 bits (Lemire, "Number parsing at a gigabyte per second",
 * 2021; Mushtak and Lemire, "Fast number parsing without fallback", 2023). Of longer texts both neighbours of what
 * was cut off are tried; where they differ, which is rare, CPython's own conversion decides. */
#ifndef STREAMNORM_DECIMAL_TEXT_H
#define STREAMNORM_DECIMAL_TEXT_H

#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "powers_of_ten.h"
#include "words.h"

enum { WORD_DIGITS = 19, GREATEST_FINITE = 308, MANTISSA_BITS = 52, EXPONENT_BIAS = 1023, EXPONENT_LIMIT = 1 << 20 };

typedef struct {
    double value;
    uint64_t magnitude; /* of an integer */
    int negative, integer, leading_zero;
} number;

/* How numbers are written; `thousands` is 0 where there is no such sign. */
typedef struct {
    char decimal, thousands;
    char *scratch; /* text without signs for thousands, or put together from the parts of a quoted field */
    size_t capacity;
    int out_of_memory;
} notation;

static char *scratch_of(notation *n, size_t size)
{
    if (size > n->capacity) {
        char *larger = realloc(n->scratch, size);
        if (larger == NULL) {
            n->out_of_memory = 1;
            return NULL;
        }
        n->scratch = larger;
        n->capacity = size;
    }
    return n->scratch;
}

INLINE int is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* Eight characters in a word, the first in its lowest byte. */
INLINE int are_eight_digits(uint64_t word)
{
    return ((word & 0xF0F0F0F0F0F0F0F0u) | ((word + 0x0606060606060606u) & 0xF0F0F0F0F0F0F0F0u) >> 4) ==
           0x3333333333333333u;
}

INLINE uint64_t eight_digits(uint64_t word)
{
    word -= 0x3030303030303030u;
    word = word * 10 + (word >> 8);
    return ((word & 0x000000FF000000FFu) * 0x000F424000000064u +
            (word >> 16 & 0x000000FF000000FFu) * 0x0000271000000001u) >> 32;
}

/* Add the digits of [at, end) to *magnitude, which may wrap; return behind them. */
INLINE const char *read_digits(const char *at, const char *end, uint64_t *magnitude)
{
    uint64_t m = *magnitude;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t word;
    for (; end - at >= 8; at += 8) {
        memcpy(&word, at, sizeof word);
        if (!are_eight_digits(word))
            break;
        m = m * 100000000u + eight_digits(word);
    }
#endif
    for (; at < end && is_digit(*at); at++)
        m = m * 10 + (uint64_t)(*at - '0');
    *magnitude = m;
    return at;
}

/* The float64 next to m * 10^q for any word m, as bits without a sign. */
INLINE uint64_t bits_of_product(uint64_t m, int64_t q)
{
    const uint64_t infinity = (uint64_t)0x7FF << MANTISSA_BITS;
    int zeros, upper, power;
    wide product;
    uint64_t mantissa;
    if (m == 0 || q < LEAST_POWER)
        return 0;
    if (q > GREATEST_FINITE)
        return infinity;
    zeros = leading_zeros(m);
    m <<= zeros;
    product = wide_product(m, powers_of_five[q - LEAST_POWER][0]);
    if ((product.high & 0x1FF) == 0x1FF) {
        wide rest = wide_product(m, powers_of_five[q - LEAST_POWER][1]);
        product.low += rest.high;
        product.high += product.low < rest.high;
    }
    upper = (int)(product.high >> 63);
    mantissa = product.high >> (upper + 64 - MANTISSA_BITS - 3);
    power = (int)((217706 * q) >> 16) + 63 + upper - zeros + EXPONENT_BIAS;
    if (power <= 0) { /* subnormal */
        if (power <= -63)
            return 0;
        mantissa >>= 1 - power;
        mantissa = (mantissa + (mantissa & 1)) >> 1;
        return mantissa; /* rounded up to the least normal number, it has that number's bits */
    }
    if (product.low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 &&
        mantissa << (upper + 64 - MANTISSA_BITS - 3) == product.high)
        mantissa &= ~(uint64_t)1; /* exactly between two: to the even one */
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> (MANTISSA_BITS + 1)) {
        mantissa = (uint64_t)1 << MANTISSA_BITS;
        power++;
    }
    if (power >= 0x7FF)
        return infinity;
    return (mantissa & (((uint64_t)1 << MANTISSA_BITS) - 1)) | (uint64_t)power << MANTISSA_BITS;
}

/* By CPython, which is right for every text, knows no locale, and wants its lock. */
static double slow_value(const char *at, const char *end, notation *n)
{
    size_t size = (size_t)(end - at);
    char *copy = malloc(size + 1), *point;
    double value;
    PyGILState_STATE state;
    if (copy == NULL) {
        n->out_of_memory = 1;
        return 0;
    }
    memcpy(copy, at, size);
    copy[size] = 0;
    point = memchr(copy, n->decimal, size);
    if (point != NULL)
        *point = '.';
    state = PyGILState_Ensure();
    value = PyOS_string_to_double(copy, NULL, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        n->out_of_memory = 1; /* of a text that is a number nothing else can be wrong */
    }
    PyGILState_Release(state);
    free(copy);
    return fabs(value);
}

/* More digits than a word holds: the first nineteen that count, and whether what follows decides. */
static double value_of_many(const char *at, const char *end, const char *digits, const char *behind, int64_t exponent,
                            notation *n)
{
    uint64_t m = 0, low, high;
    int64_t dropped = 0;
    int taken = 0, fraction = 0;
    double value = 0;
    for (const char *c = digits; c < behind; c++) {
        if (*c == n->decimal) {
            fraction = 1;
            continue;
        }
        if (taken < WORD_DIGITS) {
            m = m * 10 + (uint64_t)(*c - '0');
            taken += m != 0;
            exponent -= fraction;
        } else if (!fraction)
            dropped++;
    }
    if (m == 0)
        return value;
    low = bits_of_product(m, exponent + dropped);
    high = bits_of_product(m + 1, exponent + dropped);
    if (low != high)
        return slow_value(at, end, n);
    memcpy(&value, &low, sizeof value);
    return value;
}

/* The exponent behind its letter, or 0 in *right where there are no digits. */
INLINE const char *read_exponent(const char *at, const char *end, int64_t *exponent, int *right)
{
    int negative = at < end && *at == '-';
    int64_t e = 0;
    at += at < end && (*at == '-' || *at == '+');
    *right = at < end && is_digit(*at);
    for (; at < end && is_digit(*at); at++)
        e = e < EXPONENT_LIMIT * 64 ? e * 10 + (*at - '0') : e;
    *exponent = negative ? -e : e;
    return at;
}

/* The integer that digits spell, where 64 bits hold it. */
static int read_integer(const char *digits, const char *behind, uint64_t *magnitude)
{
    uint64_t m = 0;
    while (digits < behind && *digits == '0')
        digits++;
    if (behind - digits > WORD_DIGITS + 1)
        return 0;
    for (; digits < behind; digits++) {
        uint64_t digit = (uint64_t)(*digits - '0');
        if (m > UINT64_MAX / 10 || (m == UINT64_MAX / 10 && digit > UINT64_MAX % 10))
            return 0;
        m = m * 10 + digit;
    }
    *magnitude = m;
    return 1;
}

/* Read all of [at, end), which has no sign for thousands; 0 if it is no number. One too large for float64 is infinite. */
INLINE int read_plain_number(const char *at, const char *end, notation *n, number *out)
{
    const char *first = at, *digits, *point, *behind;
    int64_t written = 0, fraction = 0;
    uint64_t m = 0;
    int right = 1;
    out->negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    digits = at;
    behind = point = read_digits(at, end, &m);
    out->leading_zero = point - digits > 1 && digits[0] == '0';
    if (behind < end && *behind == n->decimal) {
        behind = read_digits(behind + 1, end, &m);
        fraction = behind - point - 1;
    }
    if (point - digits + fraction == 0)
        return 0;
    at = behind;
    if (at < end && (*at == 'e' || *at == 'E'))
        at = read_exponent(at + 1, end, &written, &right);
    if (at != end || !right)
        return 0;
    out->integer = point == end;
    out->magnitude = m;
    if (point - digits + fraction > WORD_DIGITS) {
        out->value = value_of_many(first, end, digits, behind, written, n);
        out->integer = out->integer && read_integer(digits, behind, &out->magnitude);
    } else if (written == fraction)
        out->value = (double)m;
    else {
        uint64_t bits = bits_of_product(m, written - fraction);
        memcpy(&out->value, &bits, sizeof bits);
    }
    if (out->negative)
        out->value = -out->value;
    return 1;
}

/* Leave the signs for thousands out of a text, which stand before every three digits of the integer or nowhere; NULL
 * if they do not. */
static const char *without_thousands(const char *at, const char *end, notation *n, const char **new_end)
{
    char *start = scratch_of(n, (size_t)(end - at)), *to = start;
    const char *group;
    int groups = 0;
    if (start == NULL)
        return NULL;
    if (at < end && (*at == '-' || *at == '+'))
        *to++ = *at++;
    for (group = at; at < end && (is_digit(*at) || *at == n->thousands); at++)
        if (*at != n->thousands)
            *to++ = *at;
        else if (at - group == 3 || (groups == 0 && at > group && at - group < 3)) {
            groups++;
            group = at + 1;
        } else
            return NULL;
    if (at - group != 3)
        return NULL;
    memcpy(to, at, (size_t)(end - at));
    *new_end = to + (end - at);
    return start;
}

INLINE int read_number(const char *at, const char *end, notation *n, number *out)
{
    if (n->thousands && memchr(at, n->thousands, (size_t)(end - at)) != NULL) {
        at = without_thousands(at, end, n, &end);
        if (at == NULL)
            return 0;
    }
    return read_plain_number(at, end, n, out);
}

#endif
