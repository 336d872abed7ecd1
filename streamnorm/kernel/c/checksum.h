/* CRC-32 of zlib and of Parquet's pages, polynomial 0x04c11db7 with reflected bits. By carry-less multiplication where the
 * processor has it (Gopal et al., *Fast CRC computation for generic polynomials using PCLMULQDQ*, Intel, 2009), else by
 * eight tables, eight bytes at a time. */
#ifndef STREAMNORM_CHECKSUM_H
#define STREAMNORM_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "columns.h"

#if CHOICE_OF_TARGETS
#include <immintrin.h>
#endif

static uint32_t checksum_table[8][256];

static void prepare_checksums(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++)
            rest = rest >> 1 ^ (rest & 1 ? 0xedb88320u : 0);
        checksum_table[0][byte] = rest;
    }
    for (int table = 1; table < 8; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = checksum_table[table - 1][byte];
            checksum_table[table][byte] = before >> 8 ^ checksum_table[0][before & 255];
        }
}

/* The remainder goes in and comes out as it is, without the ones that begin and end a checksum. */
static uint32_t checksum_by_tables(uint32_t rest, const uint8_t *at, size_t size)
{
    for (; size >= 8; at += 8, size -= 8) {
        uint32_t low = rest ^ (at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        rest = checksum_table[3][at[4]] ^ checksum_table[2][at[5]] ^ checksum_table[1][at[6]] ^ checksum_table[0][at[7]];
        for (int i = 0; i < 4; i++)
            rest ^= checksum_table[7 - i][low >> 8 * i & 255];
    }
    for (; size > 0; at++, size--)
        rest = rest >> 8 ^ checksum_table[0][(rest ^ *at) & 255];
    return rest;
}

static uint32_t (*checksum_of_rest)(uint32_t, const uint8_t *, size_t) = checksum_by_tables;

#if CHOICE_OF_TARGETS
enum { LANE = 16, STRIPE = 64 };

/* `low` and `high` are x^n modulo the polynomial: what stands n bits further on is moved under `next`. */
#define FOLD(lane, power, next)                                                        \
    _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(lane, power, 0x00),                \
                                _mm_clmulepi64_si128(lane, power, 0x11)), next)

__attribute__((target("pclmul,sse4.1"))) static uint32_t checksum_by_products(uint32_t rest, const uint8_t *at,
                                                                               size_t size)
{
    const __m128i by_stripe = _mm_set_epi64x(0x1c6e41596, 0x154442bd4), by_lane = _mm_set_epi64x(0xccaa009e, 0x1751997d0);
    __m128i lanes[STRIPE / LANE];
    uint8_t last[LANE];
    if (size < 2 * STRIPE)
        return checksum_by_tables(rest, at, size);
    for (int i = 0; i < STRIPE / LANE; i++)
        lanes[i] = _mm_loadu_si128((const __m128i *)(const void *)(at + LANE * i));
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)rest));
    for (at += STRIPE, size -= STRIPE; size >= STRIPE; at += STRIPE, size -= STRIPE)
        for (int i = 0; i < STRIPE / LANE; i++)
            lanes[i] = FOLD(lanes[i], by_stripe, _mm_loadu_si128((const __m128i *)(const void *)(at + LANE * i)));
    for (int i = 1; i < STRIPE / LANE; i++)
        lanes[i] = FOLD(lanes[i - 1], by_lane, lanes[i]);
    for (lanes[0] = lanes[STRIPE / LANE - 1]; size >= LANE; at += LANE, size -= LANE)
        lanes[0] = FOLD(lanes[0], by_lane, _mm_loadu_si128((const __m128i *)(const void *)at));
    _mm_storeu_si128((__m128i *)(void *)last, lanes[0]);
    return checksum_by_tables(checksum_by_tables(0, last, LANE), at, size);
}
#endif

static uint32_t checksum(const uint8_t *at, size_t size) { return ~checksum_of_rest(~0u, at, size); }

#endif
