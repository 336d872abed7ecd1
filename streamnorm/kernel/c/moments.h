/* Exact sums of x and x^2 over one column.
 *
 * A block of values below 2^grid in magnitude is cut, by adding and subtracting constants, into pieces
 * whose sums are integers below 2^53 in the pieces' units: plain float64 arithmetic is exact for them,
 * in any order, so the compiler may vectorise it. Partial sums of many blocks gather in int64 and reach
 * the wide integers when the grid changes. There are three ways in, by how far below the grid the least
 * non-zero magnitude of a block lies: `squares` for up to 18 bits, `pieces` for up to 32, and value by
 * value for the rest (Rump, Ogita, Oishi 2008; Demmel, Nguyen 2013). */
#ifndef STREAMNORM_MOMENTS_H
#define STREAMNORM_MOMENTS_H

#include <stddef.h>

#include "columns.h"
#include "exact.h"

enum {
    SQUARES_PARTS = 6,
    PIECES_PARTS = 9,
    SQUARES_SPAN = 18,
    PIECES_SPAN = 32,
    BLOCKS_PER_FLUSH = 256, /* of partial sums below 2^53: their total stays below 2^61 */
    FEW = 16,               /* fewer values than this are not worth a block */
    GRID_LOW = -420,        /* between these no product of pieces leaves the normal numbers */
    GRID_HIGH = 480,
    NO_GRID = INT32_MAX
};

/* The unit of each partial sum: 2^(grid + shift) for sums of x, 2^(2 grid + shift) for those of x^2. */
typedef struct {
    int power, shift;
    double times; /* products of two different pieces count twice */
} unit;
static const unit SQUARES_UNITS[SQUARES_PARTS] = {{1, -44, 1}, {1, -89, 1}, {2, -43, 1},
                                                  {2, -88, 1}, {2, -98, 1}, {2, -143, 1}};
static const unit PIECES_UNITS[PIECES_PARTS] = {{1, -42, 1},  {1, -84, 1},  {2, -42, 1},
                                                {2, -63, 2},  {2, -84, 1},  {2, -105, 2},
                                                {2, -126, 1}, {2, -147, 2}, {2, -168, 1}};

typedef struct {
    tally tally;
    int64_t squares_parts[SQUARES_PARTS], pieces_parts[PIECES_PARTS];
    int32_t grid, blocks;
    int32_t irregular; /* the last block had values to leave out */
    exact weight, sum, squares;
} moments;

typedef struct {
    double least, greatest; /* non-zero magnitudes; +inf and 0 where there is none. NaN is passed over */
} bounds;

/* ---- the loops that are compiled once per instruction set ---- */

INLINE void spread_body(const double *x, int n, bounds *out)
{
    double least[LANES], greatest[LANES] = {0};
    for (int i = 0; i < LANES; i++)
        least[i] = INFINITY;
    IN_LANES(double, x, n, {
        double size = fabs(value), nonzero = size == 0 ? INFINITY : size;
        least[lane] = nonzero < least[lane] ? nonzero : least[lane];
        greatest[lane] = size > greatest[lane] ? size : greatest[lane];
    });
    *out = (bounds){INFINITY, 0};
    for (int i = 0; i < LANES; i++) {
        out->least = least[i] < out->least ? least[i] : out->least;
        out->greatest = greatest[i] > out->greatest ? greatest[i] : out->greatest;
    }
}

/* x = a + b and x^2 = (q + r) + (t + u), each part on its own grid. Adding 1.5 * 2^(52 + k) rounds to a
 * multiple of 2^k. `scale` is 2^grid. `one` is 1, unknown to the compiler: as the loop is bound by
 * additions, its sums are formed by the multipliers, unless the compiler then sees no sums in them. */
#if defined(__clang__)
#define PLUS(sum, part, one) ((void)(one), (sum) + (part))
#else
#define PLUS(sum, part, one) fma(one, part, sum)
#endif
INLINE void squares_body(const double *x, int n, double scale, double one, double *out)
{
    const double step_a = 0x1.8p8 * scale, step_q = 0x1.8p9 * scale * scale, step_t = 0x1.8p-46 * scale * scale;
    double sum_a = 0, sum_b = 0, sum_q = 0, sum_r = 0, sum_t = 0, sum_u = 0;
    SIMD(reduction(+ : sum_a, sum_b, sum_q, sum_r, sum_t, sum_u))
    for (int i = 0; i < n; i++) {
        double a = (x[i] + step_a) - step_a, b = x[i] - a;
        double square = x[i] * x[i], error = fma(x[i], x[i], -square);
        double q = (square + step_q) - step_q, r = square - q;
        double t = (error + step_t) - step_t, u = error - t;
        sum_a = PLUS(sum_a, a, one);
        sum_b = PLUS(sum_b, b, one);
        sum_q = PLUS(sum_q, q, one);
        sum_r = PLUS(sum_r, r, one);
        sum_t = PLUS(sum_t, t, one);
        sum_u = PLUS(sum_u, u, one);
    }
    out[0] = sum_a;
    out[1] = sum_b;
    out[2] = sum_q;
    out[3] = sum_r;
    out[4] = sum_t;
    out[5] = sum_u;
}

/* x = p0 + p1 + p2 + p3 of 21 bits each, and the products of pieces by weight 2^(-21 k). */
INLINE void pieces_body(const double *x, int n, double scale, double *out)
{
    const double step0 = 0x1.8p31 * scale, step01 = 0x1.8p10 * scale, step2 = 0x1.8p-11 * scale;
    double high = 0, low = 0, k0 = 0, k1 = 0, k2 = 0, k3 = 0, k4 = 0, k5 = 0, k6 = 0;
    SIMD(reduction(+ : high, low, k0, k1, k2, k3, k4, k5, k6))
    for (int i = 0; i < n; i++) {
        double a = (x[i] + step01) - step01, b = x[i] - a;
        double p0 = (a + step0) - step0, p1 = a - p0;
        double p2 = (b + step2) - step2, p3 = b - p2;
        high += a;
        low += b;
        k0 += p0 * p0;
        k1 += p0 * p1; /* PIECES_UNITS doubles k1, k3 and k5 */
        k2 += p0 * (p2 + p2) + p1 * p1;
        k3 += p0 * p3 + p1 * p2;
        k4 += p1 * (p3 + p3) + p2 * p2;
        k5 += p2 * p3;
        k6 += p3 * p3;
    }
    out[0] = high;
    out[1] = low;
    out[2] = k0;
    out[3] = k1;
    out[4] = k2;
    out[5] = k3;
    out[6] = k4;
    out[7] = k5;
    out[8] = k6;
}

typedef struct {
    uint64_t high, low;                            /* sums of the upper and lower 32 bits */
    uint64_t high_high[2], high_low[2], low_low[2]; /* and of their products, by lower and upper 32 bits */
} integer_sums;

INLINE void sum_integers_body(const uint64_t *raw, int n, uint64_t bias, integer_sums *out)
{
    const uint64_t mask = 0xffffffffu;
    uint64_t high = 0, low = 0, hh0 = 0, hh1 = 0, hl0 = 0, hl1 = 0, ll0 = 0, ll1 = 0;
    SIMD(reduction(+ : high, low, hh0, hh1, hl0, hl1, ll0, ll1))
    for (int i = 0; i < n; i++) {
        uint64_t u = raw[i] ^ bias, h = u >> 32, l = u & mask, hh = h * h, hl = h * l, ll = l * l;
        high += h;
        low += l;
        hh0 += hh & mask;
        hh1 += hh >> 32;
        hl0 += hl & mask;
        hl1 += hl >> 32;
        ll0 += ll & mask;
        ll1 += ll >> 32;
    }
    *out = (integer_sums){high, low, {hh0, hh1}, {hl0, hl1}, {ll0, ll1}};
}

/* Integers from -2^51 to 2^51 - 1 as float64, by the bits of 1.5 * 2^52 + v; 0 where one lies beyond. */
INLINE int integers_to_float64_body(const uint64_t *raw, int n, int is_signed, double *out)
{
    const uint64_t reach = (uint64_t)1 << 51, offset = is_signed ? reach : 0, within = reach + offset - 1;
    uint64_t beyond = 0;
    SIMD(reduction(| : beyond))
    for (int i = 0; i < n; i++) {
        uint64_t bits = raw[i] + 0x4338000000000000u;
        double shifted;
        memcpy(&shifted, &bits, sizeof shifted);
        out[i] = shifted - 0x1.8p52;
        beyond |= (raw[i] + offset) & ~within;
    }
    return beyond == 0;
}

#define MOMENTS_LOOPS(suffix, target)                                                                     \
    target static void spread_##suffix(const double *x, int n, bounds *out) { spread_body(x, n, out); }   \
    target static void pieces_##suffix(const double *x, int n, double scale, double *out)                 \
    {                                                                                                      \
        pieces_body(x, n, scale, out);                                                                     \
    }                                                                                                      \
    target static void squares_##suffix(const double *x, int n, double scale, double one, double *out)    \
    {                                                                                                      \
        squares_body(x, n, scale, one, out);                                                               \
    }                                                                                                      \
    target static void sum_integers_##suffix(const uint64_t *raw, int n, uint64_t bias, integer_sums *out) \
    {                                                                                                      \
        sum_integers_body(raw, n, bias, out);                                                              \
    }                                                                                                      \
    target static int integers_to_float64_##suffix(const uint64_t *raw, int n, int is_signed, double *out) \
    {                                                                                                      \
        return integers_to_float64_body(raw, n, is_signed, out);                                           \
    }
EACH_TARGET(MOMENTS_LOOPS)

static void (*spread)(const double *, int, bounds *);
static void (*pieces)(const double *, int, double, double *);
static void (*squares)(const double *, int, double, double, double *);
static void (*sum_integers)(const uint64_t *, int, uint64_t, integer_sums *);
static int (*integers_to_float64)(const uint64_t *, int, int, double *);
static int squares_span; /* 0 where `squares` would be slow, and is not used */
#define USE_MOMENTS_LOOPS(suffix)                                                    \
    (spread = spread_##suffix, pieces = pieces_##suffix, squares = squares_##suffix, \
     sum_integers = sum_integers_##suffix,                                           \
     integers_to_float64 = integers_to_float64_##suffix,                             \
     squares_span = FUSED_##suffix ? SQUARES_SPAN : 0)

/* ---- the state ---- */

static void empty_moments(moments *m)
{
    memset(m, 0, offsetof(moments, weight));
    m->tally.first_infinity = -1;
    m->grid = NO_GRID;
    exact_clear(&m->weight);
    exact_clear(&m->sum);
    exact_clear(&m->squares);
}

/* ---- one value ---- */

static uint64_t mantissa_of(double x, int *exponent)
{
    uint64_t bits, mantissa;
    int biased;
    memcpy(&bits, &x, sizeof bits);
    biased = (int)(bits >> 52 & 0x7ff);
    mantissa = bits & 0xfffffffffffffu;
    *exponent = (biased ? biased : 1) - 1075;
    return biased ? mantissa | (uint64_t)1 << 52 : mantissa;
}

static void add_value(moments *m, double x)
{
    int e;
    uint64_t size = mantissa_of(x, &e);
    exact_add(&m->sum, size, e, x < 0);
    exact_add_product(&m->squares, size, size, 2 * e, 0);
}

/* w x^2 is formed in three words: (high 2^64 + low) w. */
static void add_weighted(moments *m, uint64_t size, int e, int negative, double weight)
{
    int e_w;
    uint64_t w = mantissa_of(weight, &e_w);
    wide square = wide_product(size, size);
    exact_add(&m->weight, w, e_w, 0);
    exact_add_product(&m->sum, size, w, e + e_w, negative);
    exact_add_product(&m->squares, square.low, w, 2 * e + e_w, 0);
    exact_add_product(&m->squares, square.high, w, 2 * e + e_w + 64, 0);
}

/* ---- a block ---- */

static void flush(moments *m)
{
    for (int i = 0; i < SQUARES_PARTS; i++) {
        exact_add_signed(SQUARES_UNITS[i].power == 1 ? &m->sum : &m->squares, m->squares_parts[i],
                         SQUARES_UNITS[i].power * m->grid + SQUARES_UNITS[i].shift);
        m->squares_parts[i] = 0;
    }
    for (int i = 0; i < PIECES_PARTS; i++) {
        exact_add_signed(PIECES_UNITS[i].power == 1 ? &m->sum : &m->squares, m->pieces_parts[i],
                         PIECES_UNITS[i].power * m->grid + PIECES_UNITS[i].shift);
        m->pieces_parts[i] = 0;
    }
    m->blocks = 0;
}

/* Bring what is gathered into the wide integers, once there are no more values. */
static void finish_moments(moments *m)
{
    if (m->grid != NO_GRID)
        flush(m);
}

static double power_of_two(int exponent)
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A partial sum in its unit, 2^exponent: between GRID_LOW and GRID_HIGH neither that nor its inverse is out of range. */
static int64_t in_units(double part, int exponent)
{
    return (int64_t)(part * power_of_two(-exponent));
}

/* Gather a block's partial sums; 0, and nothing gathered, where a NaN was among its values. */
static int gather(moments *m, int64_t *gathered, const double *parts, const unit *units, int count)
{
    if (isnan(parts[0]))
        return 0;
    for (int i = 0; i < count; i++)
        gathered[i] += in_units(parts[i] * units[i].times, units[i].power * m->grid + units[i].shift);
    if (++m->blocks == BLOCKS_PER_FLUSH)
        flush(m);
    return 1;
}

static int add_squares(moments *m, const double *x, int n)
{
    double parts[SQUARES_PARTS];
    squares(x, n, power_of_two(m->grid), 1.0, parts);
    return gather(m, m->squares_parts, parts, SQUARES_UNITS, SQUARES_PARTS);
}

static int add_pieces(moments *m, const double *x, int n)
{
    double parts[PIECES_PARTS];
    pieces(x, n, power_of_two(m->grid), parts);
    return gather(m, m->pieces_parts, parts, PIECES_UNITS, PIECES_PARTS);
}

/* Bring the grid to just above `greatest`, with one bit to spare so that it does not change at every
 * new maximum; 0 where no grid may lie there. */
static int settle_grid(moments *m, double greatest)
{
    int top;
    frexp(greatest, &top);
    if (top < GRID_LOW || top >= GRID_HIGH || isinf(greatest))
        return 0;
    if (m->grid == NO_GRID || top > m->grid || top < m->grid - 4) {
        if (m->grid != NO_GRID)
            flush(m);
        m->grid = top + 1;
    }
    return 1;
}

/* Add a block as it lies, if it can be; 0, and nothing added, where it holds what must be taken apart. */
static int try_block(moments *m, const double *x, int n)
{
    bounds sizes;
    if (n < FEW)
        return 0;
    spread(x, n, &sizes);
    if (sizes.greatest == 0 || !settle_grid(m, sizes.greatest))
        return 0;
    prefetch(x + n, BLOCK * (int64_t)sizeof *x); /* what follows works in the cache alone, and leaves memory idle */
    if (sizes.least >= power_of_two(m->grid - squares_span))
        return add_squares(m, x, n);
    if (sizes.least >= power_of_two(m->grid - PIECES_SPAN))
        return add_pieces(m, x, n);
    return 0;
}

/* Add finite values; `x` is the caller's to spoil. */
static void add_block(moments *m, double *x, int n)
{
    bounds sizes;
    double limit = INFINITY;
    if (try_block(m, x, n))
        return;
    spread(x, n, &sizes);
    if (n >= FEW && sizes.greatest > 0 && settle_grid(m, sizes.greatest))
        limit = power_of_two(m->grid - PIECES_SPAN);
    for (int i = 0; i < n; i++)
        if (fabs(x[i]) < limit) {
            add_value(m, x[i]);
            x[i] = 0;
        }
    if (limit < INFINITY)
        add_pieces(m, x, n);
}

/* ---- a run ---- */

/* Add 64-bit integers by their halves. A signed v is taken as u - 2^63, so that all halves are unsigned. */
static void add_wide_integers(moments *m, const uint64_t *raw, int n, int is_signed)
{
    integer_sums s;
    sum_integers(raw, n, is_signed ? (uint64_t)1 << 63 : 0, &s);
    exact_add(&m->sum, s.high, 32, 0);
    exact_add(&m->sum, s.low, 0, 0);
    for (int half = 0; half < 2; half++) {
        exact_add(&m->squares, s.high_high[half], 64 + 32 * half, 0);
        exact_add(&m->squares, s.high_low[half], 33 + 32 * half, 0);
        exact_add(&m->squares, s.low_low[half], 32 * half, 0);
    }
    if (is_signed) {
        exact_add(&m->sum, (uint64_t)n, 63, 1);
        exact_add(&m->squares, s.high, 96, 1);
        exact_add(&m->squares, s.low, 64, 1);
        exact_add(&m->squares, (uint64_t)n, 126, 0);
    }
}

static void add_integers(moments *m, const run *r, int slot, int64_t row, int n)
{
    uint64_t raw[BLOCK];
    double x[BLOCK];
    int kept = load_integers(r, slot, row, n, raw);
    m->tally.count[NULLS] += n - kept;
    m->tally.count[VALUES] += kept;
    if (integers_to_float64(raw, kept, r->type == 'q', x))
        add_block(m, x, kept);
    else
        add_wide_integers(m, raw, kept, r->type == 'q');
}

static void add_weighted_rows(moments *m, const run *r, int slot, int64_t row, int n)
{
    for (int i = 0; i < n; i++, m->tally.rows++) {
        double weight, x;
        uint64_t size;
        int e = 0, negative;
        memcpy(&weight, r->weights + (row + i) * (int64_t)sizeof weight, sizeof weight);
        if (weight == 0 || load_finite(r, slot, row + i, 1, &x, &m->tally) == 0)
            continue;
        if (r->type == 'q' || r->type == 'Q') {
            load_integers(r, slot, row + i, 1, &size);
            negative = r->type == 'q' && (int64_t)size < 0;
            size = negative ? 0 - size : size;
        } else {
            size = mantissa_of(x, &e);
            negative = x < 0;
        }
        add_weighted(m, size, e, negative, weight);
    }
}

/* Add rows [row, row + n) of one slot, n <= BLOCK. */
static void add_rows(void *state, const run *r, int slot, int64_t row, int n)
{
    moments *m = state;
    const double *direct = in_place(r, slot, row);
    if (r->weights != NULL) {
        add_weighted_rows(m, r, slot, row, n);
        return;
    }
    if (r->type == 'q' || r->type == 'Q') {
        add_integers(m, r, slot, row, n);
    } else if (direct != NULL && !m->irregular && try_block(m, direct, n)) {
        m->tally.count[VALUES] += n;
    } else {
        double x[BLOCK];
        int kept = load_finite(r, slot, row, n, x, &m->tally);
        m->irregular = kept < n;
        add_block(m, x, kept);
    }
    m->tally.rows += n;
}

#endif
