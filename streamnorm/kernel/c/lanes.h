/* Exact sums over neighbouring columns of a row-major matrix: a lane of the vectors for each column.
 *
 * The arithmetic is that of `squares` in _moments.h. Columns whose block does not fit it are left to be
 * added one by one. */
#ifndef STREAMNORM_LANES_H
#define STREAMNORM_LANES_H

#include "moments.h"

typedef struct {
    double least[LANES], greatest[LANES]; /* as in `bounds` */
} lane_bounds;

#define LANES_BODIES(name, T)                                                                                \
    INLINE void spread_lanes_##name##_body(const T *x, int64_t stride, int n, lane_bounds *out)              \
    {                                                                                                        \
        lane_bounds b;                                                                                       \
        for (int j = 0; j < LANES; j++) {                                                                    \
            b.least[j] = INFINITY;                                                                           \
            b.greatest[j] = 0;                                                                               \
        }                                                                                                    \
        for (int i = 0; i < n; i++, x += stride) {                                                           \
            SIMD()                                                                                           \
            for (int j = 0; j < LANES; j++) {                                                                \
                double size = fabs((double)x[j]), nonzero = size == 0 ? INFINITY : size;                     \
                b.least[j] = nonzero < b.least[j] ? nonzero : b.least[j];                                    \
                b.greatest[j] = size > b.greatest[j] ? size : b.greatest[j];                                 \
            }                                                                                                \
        }                                                                                                    \
        *out = b;                                                                                            \
    }                                                                                                        \
    /* Also tells the bounds, by which it is known afterwards whether the scales were right, and asks for columns that   \
     * come later: they lie in other pages than the next rows, and are not foreseen. */                       \
    INLINE void squares_lanes_##name##_body(const T *x, int64_t stride, int n, const double *scale,          \
                                            double one, double (*out)[LANES], lane_bounds *sizes)            \
    {                                                                                                        \
        lane_bounds bound;                                                                                   \
        double step_a[LANES], step_q[LANES], step_t[LANES], sum_a[LANES] = {0}, sum_b[LANES] = {0};          \
        double sum_q[LANES] = {0}, sum_r[LANES] = {0}, sum_t[LANES] = {0}, sum_u[LANES] = {0};               \
        for (int j = 0; j < LANES; j++) {                                                                    \
            step_a[j] = 0x1.8p8 * scale[j];                                                                  \
            step_q[j] = 0x1.8p9 * scale[j] * scale[j];                                                       \
            step_t[j] = 0x1.8p-46 * scale[j] * scale[j];                                                     \
            bound.least[j] = INFINITY;                                                                       \
            bound.greatest[j] = 0;                                                                           \
        }                                                                                                    \
        for (int i = 0; i < n; i++, x += stride) {                                                           \
            prefetch(x + 4 * LANES, LANES * (int64_t)sizeof *x);                                             \
            SIMD()                                                                                           \
            for (int j = 0; j < LANES; j++) {                                                                \
                double value = x[j], a = (value + step_a[j]) - step_a[j], b = value - a;                     \
                double square = value * value, error = fma(value, value, -square);                           \
                double q = (square + step_q[j]) - step_q[j], r = square - q;                                 \
                double t = (error + step_t[j]) - step_t[j], u = error - t;                                   \
                double size = fabs(value), nonzero = size == 0 ? INFINITY : size;                            \
                bound.least[j] = nonzero < bound.least[j] ? nonzero : bound.least[j];                        \
                bound.greatest[j] = size > bound.greatest[j] ? size : bound.greatest[j];                     \
                sum_a[j] = fma(one, a, sum_a[j]);                                                            \
                sum_b[j] = fma(one, b, sum_b[j]);                                                            \
                sum_q[j] = fma(one, q, sum_q[j]);                                                            \
                sum_r[j] = fma(one, r, sum_r[j]);                                                            \
                sum_t[j] = fma(one, t, sum_t[j]);                                                            \
                sum_u[j] = fma(one, u, sum_u[j]);                                                            \
            }                                                                                                \
        }                                                                                                    \
        memcpy(out[0], sum_a, sizeof sum_a);                                                                 \
        memcpy(out[1], sum_b, sizeof sum_b);                                                                 \
        memcpy(out[2], sum_q, sizeof sum_q);                                                                 \
        memcpy(out[3], sum_r, sizeof sum_r);                                                                 \
        memcpy(out[4], sum_t, sizeof sum_t);                                                                 \
        memcpy(out[5], sum_u, sizeof sum_u);                                                                 \
        *sizes = bound;                                                                                      \
    }
LANES_BODIES(f64, double)
LANES_BODIES(f32, float)

#define LANES_LOOPS_OF(name, T, suffix, target)                                                                    \
    target static void spread_lanes_##name##_##suffix(const T *x, int64_t stride, int n, lane_bounds *out)         \
    {                                                                                                              \
        spread_lanes_##name##_body(x, stride, n, out);                                                             \
    }                                                                                                              \
    target static void squares_lanes_##name##_##suffix(const T *x, int64_t stride, int n, const double *scale,     \
                                                       double one, double (*out)[LANES], lane_bounds *sizes)       \
    {                                                                                                              \
        squares_lanes_##name##_body(x, stride, n, scale, one, out, sizes);                                         \
    }
#define LANES_LOOPS(suffix, target)             \
    LANES_LOOPS_OF(f64, double, suffix, target) \
    LANES_LOOPS_OF(f32, float, suffix, target)
EACH_TARGET(LANES_LOOPS)

static void (*spread_lanes_f64)(const double *, int64_t, int, lane_bounds *);
static void (*spread_lanes_f32)(const float *, int64_t, int, lane_bounds *);
static void (*squares_lanes_f64)(const double *, int64_t, int, const double *, double, double (*)[LANES], lane_bounds *);
static void (*squares_lanes_f32)(const float *, int64_t, int, const double *, double, double (*)[LANES], lane_bounds *);
#define USE_LANES_LOOPS(suffix)                                                           \
    (spread_lanes_f64 = spread_lanes_f64_##suffix, spread_lanes_f32 = spread_lanes_f32_##suffix, \
     squares_lanes_f64 = squares_lanes_f64_##suffix, squares_lanes_f32 = squares_lanes_f32_##suffix)

enum { GUESSED_FROM = 32 }; /* rows */

/* Give each column a grid that its block will most likely fit, by the rows before or by its first; `scale` is 2^grid, or 1
 * where there is none. */
static void guess_grids(moments *m, const run *r, const char *at, int64_t stride, int n, double *scale)
{
    lane_bounds sizes;
    int known = 0;
    for (int j = 0; j < LANES; j++)
        known += m[j].grid != NO_GRID;
    n = n < GUESSED_FROM ? n : GUESSED_FROM;
    if (known < LANES && r->type == 'd')
        spread_lanes_f64((const double *)(const void *)at, stride, n, &sizes);
    else if (known < LANES)
        spread_lanes_f32((const float *)(const void *)at, stride, n, &sizes);
    for (int j = 0; j < LANES; j++) {
        if (m[j].grid == NO_GRID && sizes.greatest[j] > 0)
            settle_grid(&m[j], sizes.greatest[j]);
        scale[j] = m[j].grid == NO_GRID ? 1 : power_of_two(m[j].grid);
    }
}

/* Add rows [row, row + n) of LANES columns where they can be added together; `added` tells of which they were. */
static void add_lanes(void *states, const run *r, int slot, int64_t row, int n, char *added)
{
    moments *m = states;
    const char *at = r->values + row * r->stride + slot * r->slot_stride;
    int64_t width = (int64_t)width_of(r->type), stride = r->stride / width;
    double scale[LANES], parts[SQUARES_PARTS][LANES];
    lane_bounds sizes;
    memset(added, 0, LANES);
    if (squares_span == 0 || r->weights != NULL || r->stride % width != 0 || (uintptr_t)at % (uintptr_t)width != 0)
        return;
    guess_grids(m, r, at, stride, n, scale);
    if (r->type == 'd')
        squares_lanes_f64((const double *)(const void *)at, stride, n, scale, 1.0, parts, &sizes);
    else
        squares_lanes_f32((const float *)(const void *)at, stride, n, scale, 1.0, parts, &sizes);
    for (int j = 0; j < LANES; j++) {
        double own[SQUARES_PARTS];
        if (m[j].grid == NO_GRID || sizes.greatest[j] >= scale[j] ||
            sizes.least[j] < power_of_two(m[j].grid - squares_span))
            continue; /* a column of zeros has INFINITY as its least, and sums that are 0 */
        for (int k = 0; k < SQUARES_PARTS; k++)
            own[k] = parts[k][j];
        added[j] = (char)gather(&m[j], m[j].squares_parts, own, SQUARES_UNITS, SQUARES_PARTS);
        m[j].tally.count[VALUES] += added[j] ? n : 0;
        m[j].tally.rows += added[j] ? n : 0;
    }
}

#endif
