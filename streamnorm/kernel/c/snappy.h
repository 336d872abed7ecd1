/* Snappy, the codec that most Parquet files are in: pages are unpacked beside the rest, in one call for a column chunk.
 * https://github.com/google/snappy/blob/main/format_description.txt gives the layout. */
#ifndef STREAMNORM_SNAPPY_H
#define STREAMNORM_SNAPPY_H

#include <stdint.h>
#include <string.h>

#include "hybrid.h"

enum { WORD = 8, COPY_ENOUGH = 64 }; /* bytes that are copied at once, and to either side where there is room for them */

/* Copy what was written `back` bytes before, which may overlap what is written. */
static void copy_back(uint8_t *out, size_t back, size_t length, size_t room)
{
    const uint8_t *from = out - back;
    if (back >= WORD && length + WORD <= room) {
        for (size_t i = 0; i < length; i += WORD)
            memcpy(out + i, from + i, WORD);
        return;
    }
    for (size_t i = 0; i < length; i++)
        out[i] = from[i];
}

/* Unpack to exactly `size` bytes. */
static complaint unpack_snappy(const uint8_t *at, const uint8_t *end, uint8_t *out, size_t size)
{
    static const complaint WRONG = "a page does not unpack";
    uint64_t told;
    size_t done = 0;
    if (!read_varint(&at, end, &told) || told != size)
        return "a page unpacks to another number of bytes than its header says";
    while (at < end) {
        size_t tag = *at++, kind = tag & 3, length = (tag >> 2) + 1, back = 0;
        size_t more = kind == 3 ? 4 : kind == 0 && length > 60 ? length - 60 : kind == 0 ? 0 : kind;
        if (more > (size_t)(end - at))
            return WRONG;
        for (size_t i = 0; i < more; i++)
            back |= (size_t)at[i] << 8 * i;
        at += more;
        if (kind == 0) {
            length = more ? back + 1 : length;
            if (length > (size_t)(end - at) || length > size - done)
                return WRONG;
            if (length <= COPY_ENOUGH / 4 && (size_t)(end - at) >= COPY_ENOUGH && size - done >= COPY_ENOUGH)
                memcpy(out + done, at, COPY_ENOUGH / 4); /* of a size that the compiler knows */
            else
                memcpy(out + done, at, length);
            at += length;
        } else {
            if (kind == 1) {
                length = (tag >> 2 & 7) + 4;
                back |= tag >> 5 << 8;
            }
            if (back == 0 || back > done || length > size - done)
                return WRONG;
            copy_back(out + done, back, length, size - done);
        }
        done += length;
    }
    return done == size ? NULL : WRONG;
}

#endif
