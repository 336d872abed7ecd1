/* A wide integer that a float64, a product of two or of three can be added to without rounding.
 *
 * A value is sum(digit[i] * 2^(32 i - BIAS)). Digits are signed and may exceed 32 bits: carries are
 * put off until `settle`, so an addition touches three digits and no more (Neal 2015, section 3). */
#ifndef STREAMNORM_EXACT_H
#define STREAMNORM_EXACT_H

#include <stdint.h>
#include <string.h>

#include "words.h"

enum {
    BIAS = 3264,        /* a multiple of 64 past 3 * 1074: the lowest bit of a product of three */
    DIGITS = 204,       /* (3264 + 3 * 1024 + 64 bits of count + sign) / 32, made even */
    LIMBS = DIGITS / 2
};

typedef struct {
    int64_t digit[DIGITS];
    int32_t low, high;  /* digits outside [low, high) are zero */
    uint32_t pending;   /* additions since carries were last settled */
} exact;

static void exact_clear(exact *a)
{
    a->low = DIGITS;
    a->high = 0;
    a->pending = 0;
}

/* The digits that come into use are zeroed here, so that memory never touched is never cleared. */
static void exact_reach(exact *a, int low, int high)
{
    if (a->low >= a->high) {
        memset(a->digit + low, 0, (size_t)(high - low) * sizeof(int64_t));
        a->low = low;
        a->high = high;
        return;
    }
    if (low < a->low) {
        memset(a->digit + low, 0, (size_t)(a->low - low) * sizeof(int64_t));
        a->low = low;
    }
    if (high > a->high) {
        memset(a->digit + a->high, 0, (size_t)(high - a->high) * sizeof(int64_t));
        a->high = high;
    }
}

/* Carries move up until every digit lies in [0, 2^32), but for the highest, an int32 with the sign. */
static void exact_settle(exact *a)
{
    int64_t carry = 0;
    a->pending = 0;
    if (a->low >= a->high)
        return;
    for (int i = a->low;; i++) {
        int64_t total = a->digit[i] + carry;
        int64_t rest = (int64_t)((uint64_t)total & 0xffffffffu);
        if (i >= a->high - 1) {
            if (total >= INT32_MIN && total <= INT32_MAX) {
                a->digit[i] = total;
                return;
            }
            exact_reach(a, a->low, i + 2);
        }
        a->digit[i] = rest;
        carry = (total - rest) / ((int64_t)1 << 32);
    }
}

/* Add magnitude * 2^exponent, negated where `negative`. */
static void exact_add(exact *a, uint64_t magnitude, int exponent, int negative)
{
    int position = exponent + BIAS, at = position >> 5, shift = position & 31;
    uint64_t low = (magnitude & 0xffffffffu) << shift, high = (magnitude >> 32) << shift;
    int64_t parts[3];
    if (magnitude == 0)
        return;
    if (at < a->low || at + 3 > a->high)
        exact_reach(a, at < a->low ? at : a->low, at + 3 > a->high ? at + 3 : a->high);
    parts[0] = (int64_t)(low & 0xffffffffu);
    parts[1] = (int64_t)(low >> 32) + (int64_t)(high & 0xffffffffu);
    parts[2] = (int64_t)(high >> 32);
    for (int i = 0; i < 3; i++)
        a->digit[at + i] += negative ? -parts[i] : parts[i];
    /* A digit gains less than 2^33 at a time. */
    if (++a->pending == 1u << 29)
        exact_settle(a);
}

static void exact_add_signed(exact *a, int64_t value, int exponent)
{
    exact_add(a, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, exponent, value < 0);
}

/* Add a * b * 2^exponent. */
static void exact_add_product(exact *sum, uint64_t a, uint64_t b, int exponent, int negative)
{
    wide product = wide_product(a, b);
    exact_add(sum, product.low, exponent, negative);
    exact_add(sum, product.high, exponent + 64, negative);
}

/* Add what another holds, times 2^bits. */
static void exact_add_exact(exact *to, exact *from, int bits)
{
    exact_settle(from);
    for (int i = from->low; i < from->high; i++)
        exact_add_signed(to, from->digit[i], 32 * i - BIAS + bits);
}

/* Write limbs [first, last) of the settled value in two's complement. */
static void exact_write(const exact *a, int first, int last, uint64_t *out)
{
    int negative = a->low < a->high && a->digit[a->high - 1] < 0;
    for (int limb = first; limb < last; limb++) {
        uint64_t half[2];
        for (int i = 0; i < 2; i++) {
            int at = 2 * limb + i;
            if (at < a->low || a->low >= a->high)
                half[i] = 0;
            else if (at < a->high)
                half[i] = (uint64_t)a->digit[at] & 0xffffffffu;
            else
                half[i] = negative ? 0xffffffffu : 0;
        }
        out[limb - first] = half[0] | half[1] << 32;
    }
}

#endif
