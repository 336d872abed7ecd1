/* The order-preserving images of float64, and the loops of the histogram's window over magnitudes. */
#ifndef STREAMNORM_IMAGES_H
#define STREAMNORM_IMAGES_H

#include "bins.h"
#include "columns.h"

INLINE uint64_t bits_of(double x)
{
    uint64_t bits;
    x += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Images are in the order of the values: all bits of a negative value are flipped, of others the sign. */
INLINE uint64_t image_of(double x)
{
    uint64_t bits = bits_of(x);
    return bits ^ ((0 - (bits >> 63)) | SIGN);
}

/* The magnitude that an image has, or the least of those that a bin's key stands for with ones after it. */
INLINE uint64_t image_magnitude(uint64_t image) { return (image & SIGN ? image : ~image) & ~SIGN; }

INLINE void image_body(const double *x, int n, uint64_t *out)
{
    for (int i = 0; i < n; i++)
        out[i] = image_of(x[i]);
}

/* Find the cell of each value; magnitudes from `low` on have their own, those outside share the last. */
INLINE uint64_t locate_body(const double *x, int n, uint64_t low, int shift, uint64_t width, uint32_t *at)
{
    uint64_t seen = 0;
    SIMD(reduction(| : seen))
    for (int i = 0; i < n; i++) {
        uint64_t bits = bits_of(x[i]), magnitude = bits << 1 >> 1, cell = (magnitude - low) >> shift;
        seen |= magnitude;
        cell = cell < width ? cell : width;
        at[i] = (uint32_t)(cell + (bits >> 63) * (width + 1));
    }
    return seen;
}

INLINE int64_t occupied_body(const uint32_t *cells, int64_t n)
{
    int64_t count = 0;
    SIMD(reduction(+ : count))
    for (int64_t i = 0; i < n; i++)
        count += cells[i] != 0;
    return count;
}

/* Add up pairs of n cells, the first with one that is not there where `odd`; cells[n] is 0. */
INLINE void halve_body(const uint32_t *cells, int64_t n, int odd, uint32_t *out)
{
    int64_t half = (n + odd + 1) / 2;
    out[0] = (odd ? 0 : cells[0]) + cells[1 - odd];
    SIMD()
    for (int64_t i = 1; i < half; i++)
        out[i] = cells[2 * i - odd] + cells[2 * i + 1 - odd];
}

/* The positions of values outside the window, which are few: look for them in groups. */
INLINE int strays_body(const uint32_t *at, int n, uint32_t width, int *out)
{
    int count = 0;
    for (int from = 0; from < n; from += 64) {
        int to = from + 64 < n ? from + 64 : n, any = 0;
        SIMD(reduction(| : any))
        for (int i = from; i < to; i++)
            any |= (at[i] == width) | (at[i] == 2 * width + 1);
        for (int i = from; i < to && any; i++) {
            out[count] = i;
            count += (at[i] == width) | (at[i] == 2 * width + 1);
        }
    }
    return count;
}

#define HISTOGRAM_LOOPS(suffix, target)                                                                     \
    target static uint64_t locate_##suffix(const double *x, int n, uint64_t low, int shift, uint64_t width, \
                                           uint32_t *at)                                                    \
    {                                                                                                       \
        return locate_body(x, n, low, shift, width, at);                                                    \
    }                                                                                                       \
    target static void image_##suffix(const double *x, int n, uint64_t *out) { image_body(x, n, out); }     \
    target static int strays_##suffix(const uint32_t *at, int n, uint32_t width, int *out)                  \
    {                                                                                                       \
        return strays_body(at, n, width, out);                                                              \
    }                                                                                                       \
    target static int64_t occupied_##suffix(const uint32_t *cells, int64_t n)                               \
    {                                                                                                       \
        return occupied_body(cells, n);                                                                     \
    }                                                                                                       \
    target static void halve_##suffix(const uint32_t *cells, int64_t n, int odd, uint32_t *out)             \
    {                                                                                                       \
        halve_body(cells, n, odd, out);                                                                     \
    }
EACH_TARGET(HISTOGRAM_LOOPS)

static uint64_t (*locate)(const double *, int, uint64_t, int, uint64_t, uint32_t *);
static void (*image)(const double *, int, uint64_t *);
static int (*strays)(const uint32_t *, int, uint32_t, int *);
static int64_t (*occupied)(const uint32_t *, int64_t);
static void (*halve)(const uint32_t *, int64_t, int, uint32_t *);
#define USE_HISTOGRAM_LOOPS(suffix) \
    (locate = locate_##suffix, image = image_##suffix, strays = strays_##suffix, \
     occupied = occupied_##suffix, halve = halve_##suffix)

#endif
