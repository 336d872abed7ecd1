/* The least and the greatest value of one column. */
#ifndef STREAMNORM_EXTREMES_H
#define STREAMNORM_EXTREMES_H

#include "columns.h"

typedef struct {
    tally tally;
    double least, greatest; /* +inf and -inf while there is no value */
} extremes;

INLINE void bound_body(const double *x, int n, double *least_out, double *greatest_out)
{
    double least[LANES], greatest[LANES];
    for (int i = 0; i < LANES; i++) {
        least[i] = *least_out;
        greatest[i] = *greatest_out;
    }
    IN_LANES(double, x, n, {
        least[lane] = value < least[lane] ? value : least[lane];
        greatest[lane] = value > greatest[lane] ? value : greatest[lane];
    });
    for (int i = 0; i < LANES; i++) {
        *least_out = least[i] < *least_out ? least[i] : *least_out;
        *greatest_out = greatest[i] > *greatest_out ? greatest[i] : *greatest_out;
    }
}

#define EXTREMES_LOOPS(suffix, target)                                                       \
    target static void bound_##suffix(const double *x, int n, double *least, double *greatest) \
    {                                                                                        \
        bound_body(x, n, least, greatest);                                                   \
    }
EACH_TARGET(EXTREMES_LOOPS)

static void (*bound)(const double *, int, double *, double *);
#define USE_EXTREMES_LOOPS(suffix) (bound = bound_##suffix)

/* A value of weight 0 is not there; other weights do not matter to an extreme. */
static int load_weighted(const run *r, int slot, int64_t row, int n, double *out, tally *t)
{
    int kept = 0;
    int64_t first = t->rows;
    for (int i = 0; i < n; i++) {
        double weight;
        memcpy(&weight, r->weights + (row + i) * (int64_t)sizeof weight, sizeof weight);
        t->rows = first + i;
        if (weight != 0)
            kept += load_finite(r, slot, row + i, 1, out + kept, t);
    }
    t->rows = first;
    return kept;
}

static void bound_rows(void *state, const run *r, int slot, int64_t row, int n)
{
    extremes *e = state;
    const double *direct = in_place(r, slot, row);
    if (direct != NULL && r->weights == NULL && all_finite(direct, n)) {
        bound(direct, n, &e->least, &e->greatest);
        e->tally.count[VALUES] += n;
    } else {
        double x[BLOCK];
        int kept = r->weights ? load_weighted(r, slot, row, n, x, &e->tally)
                              : load_finite(r, slot, row, n, x, &e->tally);
        bound(x, kept, &e->least, &e->greatest);
    }
    e->tally.rows += n;
}

#endif
