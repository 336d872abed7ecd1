/* Values that each stand for a whole number of rows: the entries of a Parquet dictionary, and how often each occurs. */
#ifndef STREAMNORM_COUNTED_H
#define STREAMNORM_COUNTED_H

#include "extremes.h"
#include "histogram.h"
#include "moments.h"

static int64_t times_of(const run *r, int64_t row)
{
    int64_t times;
    memcpy(&times, r->times + row * (int64_t)sizeof times, sizeof times);
    return times;
}

/* Copy the values from `row` on whose number of times has one of these bits to `out`, as they are; return how many. */
static int pick(const run *r, int slot, int64_t row, int n, uint64_t bits, char *out)
{
    size_t width = width_of(r->type);
    const char *at = r->values + row * r->stride + slot * r->slot_stride;
    int kept = 0;
    for (int i = 0; i < n; i++, at += r->stride) {
        memcpy(out + (size_t)kept * width, at, width);
        kept += is_valid(r, row + i) && (uint64_t)times_of(r, row + i) & bits;
    }
    return kept;
}

/* Such values as a run of their own, once each. */
static run picked(const run *r, const char *values, int64_t length)
{
    run view = *r;
    view.values = values;
    view.stride = (int64_t)width_of(r->type);
    view.slot_stride = 0;
    view.length = length;
    view.validity = NULL;
    view.times = NULL;
    return view;
}

/* Count one row, which is there so many times. */
static void tally_row(const run *r, int slot, int64_t row, int64_t times, tally *t)
{
    double value;
    if (times == 0)
        return;
    if (load(r, slot, row, 1, &value) == 0) {
        t->count[NULLS] += times;
    } else if (isfinite(value)) {
        t->count[VALUES] += times;
    } else {
        t->count[NANS] += isnan(value) ? times : 0;
        t->count[POSITIVE_INFINITIES] += value == INFINITY ? times : 0;
        t->count[NEGATIVE_INFINITIES] += value == -INFINITY ? times : 0;
        if (isinf(value) && t->first_infinity < 0)
            t->first_infinity = t->rows;
    }
}

/* Count the rows [row, row + n) by what they hold; one that is there no time is passed over. */
static void tally_times(const run *r, int slot, int64_t row, int n, tally *t)
{
    double x[BLOCK];
    int64_t all = 0;
    for (int i = 0; i < n; i++)
        all += times_of(r, row + i);
    if (load(r, slot, row, n, x) == n && (!is_floating(r) || all_finite(x, n))) {
        t->count[VALUES] += all;
        t->rows += n;
        return;
    }
    for (int i = 0; i < n; i++, t->rows++)
        tally_row(r, slot, row + i, times_of(r, row + i), t);
}

/* A number of times is a sum of powers of two: the values that have the same one are added up as any others are, and their
 * sum goes in that many bits further up. */
static void add_counted(void *state, const run *r, int slot, int64_t row, int n)
{
    char values[BLOCK * sizeof(double)];
    moments *m = state, part;
    uint64_t bits = 0;
    for (int i = 0; i < n; i++)
        bits |= (uint64_t)times_of(r, row + i);
    for (int power = 0; bits >> power; power++) {
        run view = picked(r, values, pick(r, slot, row, n, (uint64_t)1 << power, values));
        if (view.length == 0)
            continue;
        empty_moments(&part);
        add_rows(&part, &view, 0, 0, (int)view.length);
        finish_moments(&part);
        exact_add_exact(&m->sum, &part.sum, power);
        exact_add_exact(&m->squares, &part.squares, power);
    }
    tally_times(r, slot, row, n, &m->tally);
}

static void bound_counted(void *state, const run *r, int slot, int64_t row, int n)
{
    char values[BLOCK * sizeof(double)];
    extremes *e = state, part = {.least = INFINITY, .greatest = -INFINITY};
    run view = picked(r, values, pick(r, slot, row, n, ~(uint64_t)0, values));
    bound_rows(&part, &view, 0, 0, (int)view.length);
    e->least = part.least < e->least ? part.least : e->least;
    e->greatest = part.greatest > e->greatest ? part.greatest : e->greatest;
    tally_times(r, slot, row, n, &e->tally);
}

static void count_counted(void *state, const run *r, int slot, int64_t row, int n)
{
    histogram *h = state;
    for (int i = 0; i < n && !h->failure; i++) {
        int64_t times = times_of(r, row + i);
        double x;
        if (times > 0 && load(r, slot, row + i, 1, &x) && isfinite(x)) {
            h->seen |= bits_of(fabs(x));
            add_key(h, image_of(x) & mask_of(h->bits), times);
        }
    }
    tally_times(r, slot, row, n, &h->tally);
}

#endif
