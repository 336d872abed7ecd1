/* Words of 64 bits: their products in two words, and the zeros at their ends. */
#ifndef STREAMNORM_WORDS_H
#define STREAMNORM_WORDS_H

#include <stdint.h>

#include "columns.h"

#if defined(_MSC_VER) && defined(_WIN64)
#include <intrin.h>
#endif

typedef struct {
    uint64_t high, low;
} wide;

/* The product of two words, exactly; by their halves, as vectors have it. */
INLINE wide product_by_halves(uint64_t a, uint64_t b)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t low0 = a0 * b0, mid = a1 * b0 + (low0 >> 32), mid1 = a0 * b1 + (mid & 0xffffffffu);
    wide product = {a1 * b1 + (mid >> 32) + (mid1 >> 32), (mid1 << 32) | (low0 & 0xffffffffu)};
    return product;
}

INLINE wide wide_product(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 both;
    both whole = (both)a * b;
    wide product = {(uint64_t)(whole >> 64), (uint64_t)whole};
    return product;
#else
    return product_by_halves(a, b);
#endif
}

INLINE int leading_zeros(uint64_t nonzero)
{
#if defined(__GNUC__) || defined(__clang__)
    return __builtin_clzll(nonzero);
#elif defined(_MSC_VER) && defined(_WIN64)
    unsigned long at;
    _BitScanReverse64(&at, nonzero);
    return 63 - (int)at;
#else
    int zeros = 0;
    for (; !(nonzero >> 63); nonzero <<= 1)
        zeros++;
    return zeros;
#endif
}

INLINE int trailing_zeros(uint64_t nonzero)
{
#if defined(__GNUC__) || defined(__clang__)
    return __builtin_ctzll(nonzero);
#elif defined(_MSC_VER) && defined(_WIN64)
    unsigned long at;
    _BitScanForward64(&at, nonzero);
    return (int)at;
#else
    int zeros = 0;
    for (; !(nonzero & 1); nonzero >>= 1)
        zeros++;
    return zeros;
#endif
}

INLINE int bits_set(uint64_t word)
{
#if defined(__GNUC__) || defined(__clang__)
    return __builtin_popcountll(word);
#else
    int ones = 0;
    for (; word; word &= word - 1)
        ones++;
    return ones;
#endif
}

#endif
