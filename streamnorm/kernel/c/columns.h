/* What a kernel function reads: runs of values of one C type, and the blocks of float64 made of them. */
#ifndef STREAMNORM_COLUMNS_H
#define STREAMNORM_COLUMNS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define PRAGMA(text) _Pragma(#text)
#define SIMD(clauses) PRAGMA(omp simd clauses)
#define INLINE static inline __attribute__((always_inline))
#else
#define SIMD(clauses)
#define INLINE static __forceinline
#endif

/* EACH_TARGET(M) expands M(suffix, attribute) once per instruction set that can be chosen at run time.
 * FUSED(suffix) is 1 where `fma` is one instruction; without it `fma` is a call, and too slow. */
#if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
#define CHOICE_OF_TARGETS 1
#define EACH_TARGET(M)                        \
    M(baseline, )                             \
    M(avx2, __attribute__((target("avx2,fma,bmi,bmi2,lzcnt")))) \
    M(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,bmi,bmi2,lzcnt"))))
#define FUSED_baseline 0
#else
#define CHOICE_OF_TARGETS 0
#define EACH_TARGET(M) M(baseline, )
#if defined(__aarch64__) || defined(_M_ARM64)
#define FUSED_baseline 1
#else
#define FUSED_baseline 0
#endif
#endif
#define FUSED_avx2 1
#define FUSED_avx512 1

enum { BLOCK = 512, LANES = 16 };

/* Do something with every `value` of x[0..n), which may change element `lane` of arrays of LANES only. Strict
 * arithmetic forbids compilers to reorder minima and maxima, so that vectors of them are spelt out. */
#define IN_LANES(T, x, n, ...)                           \
    do {                                                 \
        int start = 0;                                   \
        for (; start + LANES <= (n); start += LANES) {   \
            const T *from = (x) + start;                 \
            SIMD()                                       \
            for (int lane = 0; lane < LANES; lane++) {   \
                const T value = from[lane];              \
                __VA_ARGS__                              \
            }                                            \
        }                                                \
        for (; start < (n); start++) {                   \
            const T value = (x)[start];                  \
            const int lane = 0;                          \
            __VA_ARGS__                                  \
        }                                                \
    } while (0)

enum { VALUES, NULLS, NANS, POSITIVE_INFINITIES, NEGATIVE_INFINITIES, TALLIES };

/* A run of `length` rows of `slots` columns. Value (row, slot) is at values + row * stride + slot *
 * slot_stride; it is null where its bit of `validity` is 0; `weights` has one float64 a row, `times` one int64: how many rows it stands for. */
typedef struct {
    const char *values;
    const uint8_t *validity;
    const char *weights;
    const char *times;
    int64_t validity_offset, length, stride, slot_stride, slot, slots;
    char type; /* as in Python's struct module */
} run;

/* How many values of each kind a column has had, and the row of its first infinity (-1: none). */
typedef struct {
    int64_t count[TALLIES];
    int64_t rows, first_infinity;
} tally;

INLINE int is_valid(const run *r, int64_t row)
{
    int64_t bit = r->validity_offset + row;
    return r->validity == NULL || (r->validity[bit >> 3] >> (bit & 7) & 1);
}

/* Copy the n values from `row` on that are not null to `out` as T; return how many. */
#define LOAD_AS(name, type, T)                                                                 \
    INLINE int load_##name(const run *r, int slot, int64_t row, int n, T *out)                 \
    {                                                                                          \
        const char *at = r->values + row * r->stride + slot * r->slot_stride;                  \
        type value;                                                                            \
        int kept = 0;                                                                          \
        if (r->validity == NULL && r->stride == (int64_t)sizeof(type)) {                       \
            for (int i = 0; i < n; i++) {                                                      \
                memcpy(&value, at + (size_t)i * sizeof(type), sizeof(type));                   \
                out[i] = (T)value;                                                             \
            }                                                                                  \
            return n;                                                                          \
        }                                                                                      \
        for (int i = 0; i < n; i++) {                                                          \
            memcpy(&value, at + i * r->stride, sizeof(type));                                  \
            out[kept] = (T)value;                                                              \
            kept += is_valid(r, row + i);                                                      \
        }                                                                                      \
        return kept;                                                                           \
    }
LOAD_AS(f64, double, double)
LOAD_AS(f32, float, double)
LOAD_AS(i8, int8_t, double)
LOAD_AS(u8, uint8_t, double)
LOAD_AS(i16, int16_t, double)
LOAD_AS(u16, uint16_t, double)
LOAD_AS(i32, int32_t, double)
LOAD_AS(u32, uint32_t, double)
LOAD_AS(i64, int64_t, double)
LOAD_AS(u64, uint64_t, double)
LOAD_AS(integers, uint64_t, uint64_t) /* the bits of int64 as well */

INLINE int load_body(const run *r, int slot, int64_t row, int n, double *out)
{
    switch (r->type) {
    case 'd': return load_f64(r, slot, row, n, out);
    case 'f': return load_f32(r, slot, row, n, out);
    case 'b': return load_i8(r, slot, row, n, out);
    case 'B': return load_u8(r, slot, row, n, out);
    case 'h': return load_i16(r, slot, row, n, out);
    case 'H': return load_u16(r, slot, row, n, out);
    case 'i': return load_i32(r, slot, row, n, out);
    case 'I': return load_u32(r, slot, row, n, out);
    case 'q': return load_i64(r, slot, row, n, out);
    default: return load_u64(r, slot, row, n, out);
    }
}

static size_t width_of(char type)
{
    switch (type) {
    case 'b': case 'B': return 1;
    case 'h': case 'H': return 2;
    case 'i': case 'I': case 'f': return 4;
    case 'q': case 'Q': case 'd': return 8;
    default: return 0;
    }
}

INLINE int is_floating(const run *r) { return r->type == 'd' || r->type == 'f'; }

/* x - x is 0 for every finite x and NaN for the rest. */
INLINE int all_finite_body(const double *x, int n)
{
    double odd = 0;
    SIMD(reduction(+ : odd))
    for (int i = 0; i < n; i++)
        odd += x[i] - x[i];
    return odd == 0;
}

#define COLUMNS_LOOPS(suffix, target)                                                              \
    target static int load_##suffix(const run *r, int slot, int64_t row, int n, double *out)       \
    {                                                                                              \
        return load_body(r, slot, row, n, out);                                                    \
    }                                                                                              \
    target static int all_finite_##suffix(const double *x, int n) { return all_finite_body(x, n); }
EACH_TARGET(COLUMNS_LOOPS)

/* The loops of the instruction set in use; `choose_target` sets these in every header that has some. */
static int (*load)(const run *, int, int64_t, int, double *);
static int (*all_finite)(const double *, int);
#define USE_COLUMNS_LOOPS(suffix) (load = load_##suffix, all_finite = all_finite_##suffix)

/* Load a block's finite values to `out`, count the others, return how many were kept. */
static int load_finite(const run *r, int slot, int64_t row, int n, double *out, tally *t)
{
    int loaded = load(r, slot, row, n, out), kept = loaded;
    t->count[NULLS] += n - loaded;
    if (is_floating(r) && !all_finite(out, loaded)) {
        kept = 0;
        for (int i = 0; i < loaded; i++) {
            double value = out[i];
            t->count[NANS] += isnan(value) != 0;
            t->count[POSITIVE_INFINITIES] += value == INFINITY;
            t->count[NEGATIVE_INFINITIES] += value == -INFINITY;
            out[kept] = value;
            kept += isfinite(value) != 0;
        }
        for (int i = 0; i < n && t->first_infinity < 0; i++) {
            double value;
            if (load(r, slot, row + i, 1, &value) && isinf(value))
                t->first_infinity = t->rows + i;
        }
    }
    t->count[VALUES] += kept;
    return kept;
}

/* Ask for memory that is read soon, into the second cache: the first has no room for as many requests at once. */
INLINE void prefetch(const void *from, int64_t bytes)
{
#if defined(__GNUC__) || defined(__clang__)
    for (int64_t line = 0; line < bytes; line += 64)
        __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)line), 0, 2);
#else
    (void)from;
    (void)bytes;
#endif
}

/* The values themselves, where a block of them can be read in place. */
static const double *in_place(const run *r, int slot, int64_t row)
{
    const char *at = r->values + row * r->stride + slot * r->slot_stride;
    int direct = r->type == 'd' && r->validity == NULL && r->stride == (int64_t)sizeof(double) &&
                 (uintptr_t)at % sizeof(double) == 0;
    return direct ? (const double *)(const void *)at : NULL;
}

#endif
