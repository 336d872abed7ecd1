/* The values of a Parquet page that are written neither plain nor by a dictionary: DELTA_BINARY_PACKED and BYTE_STREAM_SPLIT. */
#ifndef STREAMNORM_PAGE_VALUES_H
#define STREAMNORM_PAGE_VALUES_H

#include <stdint.h>
#include <string.h>

#include "hybrid.h"

enum { PLAIN = 0, PLAIN_DICTIONARY = 2, RLE = 3, DELTA_BINARY_PACKED = 5, RLE_DICTIONARY = 8, BYTE_STREAM_SPLIT = 9 };

/* Parts of a block of deltas, and values of a part, at most: their number times 8 stays far below 2^31. */
enum { MOST_PARTS = 1 << 12, MOST_PART_VALUES = 1 << 20 };

static void put_integer(uint8_t *out, int64_t at, int width, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    if (width == 4)
        memcpy(out + 4 * at, &narrow, sizeof narrow);
    else
        memcpy(out + 8 * at, &value, sizeof value);
}

/* Up to 64 bits from bit `first` on, of bytes that are known to be there. */
static uint64_t bits_at(const uint8_t *at, int64_t first, int bits)
{
    uint64_t value = 0;
    for (int got = 0; got < bits;) {
        int64_t bit = first + got;
        int shift = (int)(bit & 7), taken = 8 - shift < bits - got ? 8 - shift : bits - got;
        value |= (uint64_t)(at[bit >> 3] >> shift & ((1 << taken) - 1)) << got;
        got += taken;
    }
    return value;
}

/* A part of a block: n deltas of `bits` each are wanted of it. Sums wrap around, as the format says. */
static uint64_t add_deltas(const uint8_t *at, int64_t n, int bits, uint64_t least, uint64_t value, int width, uint8_t *out)
{
    uint32_t deltas[UNPACKED];
    for (int64_t done = 0; done < n; done += UNPACKED) {
        int some = (int)(n - done < UNPACKED ? n - done : UNPACKED);
        if (bits <= INDEX_BITS)
            unpack_indices(at, at + (n * bits + 7) / 8, done * bits, some, bits, deltas);
        for (int i = 0; i < some; i++) {
            value += least + (bits <= INDEX_BITS ? deltas[i] : bits_at(at, (done + i) * bits, bits));
            put_integer(out, done + i, width, value);
        }
    }
    return value;
}

static complaint undo_deltas(const uint8_t *at, const uint8_t *end, int64_t count, int width, uint8_t *out)
{
    static const complaint CUT = "deltas end before the page's values", SIZES = "blocks of deltas have no size that can be";
    uint64_t block, parts, total, number, value;
    int64_t done = 1, each;
    if (!read_varint(&at, end, &block) || !read_varint(&at, end, &parts) || !read_varint(&at, end, &total) ||
        !read_varint(&at, end, &number))
        return CUT;
    if (parts == 0 || parts > MOST_PARTS || block % 128 != 0 || block == 0 || block % parts != 0 ||
        block / parts > MOST_PART_VALUES || block / parts % 32 != 0)
        return SIZES;
    if (total < (uint64_t)count)
        return CUT;
    value = (uint64_t)unzigzag(number);
    if (count > 0)
        put_integer(out, 0, width, value);
    for (each = (int64_t)(block / parts); done < count;) {
        const uint8_t *widths;
        if (!read_varint(&at, end, &number) || (uint64_t)(end - at) < parts)
            return CUT;
        widths = at;
        at += parts;
        for (uint64_t part = 0; part < parts && done < count; part++) {
            int64_t n = count - done < each ? count - done : each, size = each * widths[part] / 8;
            if (widths[part] > 8 * width)
                return "deltas have more bits than the column's values";
            if ((n * widths[part] + 7) / 8 > end - at)
                return CUT;
            value = add_deltas(at, n, widths[part], (uint64_t)unzigzag(number), value, width, out + done * width);
            at += size < end - at ? size : end - at; /* writers leave out what a last part does not need */
            done += n;
        }
    }
    return NULL;
}

static complaint join_streams(const uint8_t *at, const uint8_t *end, int64_t count, int width, uint8_t *out)
{
    int64_t stream = (end - at) / width;
    if (stream < count)
        return "byte streams end before the page's values";
    for (int64_t i = 0; i < count; i++)
        for (int byte = 0; byte < width; byte++)
            out[i * width + byte] = at[byte * stream + i];
    return NULL;
}

#endif
