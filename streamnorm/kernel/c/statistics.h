/* Statistics of all columns of a call: how blocks are visited, and the functions that Python sees. */
#ifndef STREAMNORM_STATISTICS_H
#define STREAMNORM_STATISTICS_H

#include <Python.h>

#include <stddef.h>
#include <stdlib.h>

#include "arguments.h"
#include "arrow.h"
#include "bins.h"
#include "counted.h"
#include "extremes.h"
#include "histogram_windows.h"
#include "lanes.h"
#include "limbs.h"
#include "moments.h"

enum { GROUP = 64 }; /* columns worked on at once, so that their wide integers stay in cache */

enum { TILE = LANES, TILE_ROW = BLOCK + 8 }; /* two cache lines of float64; rows kept apart in the cache's sets */

/* What is done with rows [row, row + n), n <= BLOCK, of one slot of a run, or of TILE neighbouring slots of a
 * row-major matrix at once: `together`, if there is one, tells for which of them it was done. `counted` is `each` where
 * every row stands for a number of them. */
typedef struct {
    void (*each)(void *state, const run *r, int slot, int64_t row, int n);
    void (*counted)(void *state, const run *r, int slot, int64_t row, int n);
    void (*together)(void *states, const run *r, int slot, int64_t row, int n, char *done);
    size_t size; /* of a slot's state */
} visitor;

static const visitor SUMS = {add_rows, add_counted, add_lanes, sizeof(moments)};
static const visitor BOUNDS = {bound_rows, bound_counted, NULL, sizeof(extremes)};
static const visitor COUNTS = {count_rows, count_counted, NULL, sizeof(histogram)};

/* Copy neighbouring columns of a row-major matrix, which share cache lines, to rows of float64. */
static void transpose(const run *r, int slot, int64_t row, int n, int columns, double tile[TILE][TILE_ROW])
{
    const char *at = r->values + row * r->stride + slot * r->slot_stride;
    for (int i = 0; i < n; i++, at += r->stride) {
        prefetch(at + columns * r->slot_stride, columns * r->slot_stride);
        for (int j = 0; j < columns; j++)
            if (r->type == 'd')
                memcpy(&tile[j][i], at + j * (int64_t)sizeof(double), sizeof(double));
            else {
                float value;
                memcpy(&value, at + j * (int64_t)sizeof(float), sizeof(float));
                tile[j][i] = value;
            }
    }
}

static void visit_tile(const run *r, int slot, int64_t row, int n, int columns, const visitor *v, char *states)
{
    double tile[TILE][TILE_ROW];
    char done[TILE] = {0};
    run view = *r;
    if (v->together != NULL && columns == TILE)
        v->together(states, r, slot, row, n, done);
    if (memchr(done, 0, (size_t)columns) == NULL)
        return;
    transpose(r, slot, row, n, columns, tile);
    view.type = 'd';
    view.values = (const char *)tile;
    view.weights = r->weights ? r->weights + row * (int64_t)sizeof(double) : NULL;
    view.stride = sizeof(double);
    view.slot_stride = TILE_ROW * sizeof(double);
    for (int j = 0; j < columns; j++)
        if (!done[j])
            v->each(states + (size_t)j * v->size, &view, j, 0, n);
}

static void walk_runs(const arguments *a, int64_t first, int64_t last, const visitor *v, void *states)
{
    Py_ssize_t begin, end;
    runs_of(a, first, last, &begin, &end);
    for (Py_ssize_t i = begin; i < end; i++) {
        const run *r = &a->runs[i];
        int64_t from = r->slot > first ? r->slot : first;
        int64_t to = r->slot + r->slots < last ? r->slot + r->slots : last;
        int tiled = is_floating(r) && r->slot_stride == (int64_t)width_of(r->type) && r->slots > 1 && r->validity == NULL;
        char *state = (char *)states + (size_t)(from - first) * v->size;
        for (int64_t row = 0; row < r->length && from < to; row += BLOCK) {
            int n = (int)(r->length - row < BLOCK ? r->length - row : BLOCK);
            int step = tiled && n >= FEW ? TILE : 1;
            for (int64_t slot = from; slot < to; slot += step) {
                int columns = (int)(to - slot < step ? to - slot : step);
                char *own = state + (size_t)(slot - from) * v->size;
                if (step > 1)
                    visit_tile(r, (int)(slot - r->slot), row, n, columns, v, own);
                else
                    (r->times ? v->counted : v->each)(own, r, (int)(slot - r->slot), row, n);
            }
        }
    }
}

/* Visit every block of every column in [first, last), of which `states` holds a state each; UNREAD where a column
 * chunk of a file is not read. */
static int walk(const arguments *a, int64_t first, int64_t last, const visitor *v, void *states)
{
    if (a->chunks == NULL) {
        walk_runs(a, first, last, v, states);
        return FINE;
    }
    for (int64_t slot = first; slot < last; slot++) {
        char *state = (char *)states + (size_t)(slot - first) * v->size;
        int more = a->chunks->whole;
        if (more) /* it is there */
            walk_runs(a, slot, slot + 1, v, state);
        else
            while ((more = next_values(a, slot)) > 0)
                walk_runs(a, slot, slot + 1, v, state);
        if (more < 0)
            return UNREAD;
    }
    return FINE;
}

static void raise_failure(int failure)
{
    if (PyErr_Occurred()) /* raised by what takes the bytes of column chunks */
        return;
    if (failure == BAD_WEIGHT)
        PyErr_SetString(PyExc_ValueError, "weights of a histogram are whole numbers up to 2^32");
    else if (failure == UNREAD)
        PyErr_SetString(PyExc_NotImplementedError, "a column chunk is not read at once");
    else
        PyErr_NoMemory();
}

static int sum_group(const arguments *a, moments *m, int64_t first, int64_t last, const tallies *t, harvest *h)
{
    for (int64_t s = first; s < last; s++)
        empty_moments(&m[s - first]);
    if (walk(a, first, last, &SUMS, m) != FINE)
        return UNREAD;
    for (int64_t s = first; s < last; s++) {
        moments *one = &m[s - first];
        finish_moments(one);
        if (!a->weighted)
            exact_add_signed(&one->weight, one->tally.count[VALUES], 0);
        put_tally(t, s, &one->tally);
        if (reap(&h[0], s, &one->sum) < 0 || reap(&h[1], s, &one->squares) < 0 || reap(&h[2], s, &one->weight) < 0)
            return NO_MEMORY;
    }
    return FINE;
}

PyDoc_STRVAR(moments_doc, "moments(slots, runs) -> (counts, first_infinities, sum, squares, weight)");

static PyObject *kernel_moments(PyObject *self, PyObject *args)
{
    arguments a;
    tallies t = {NULL, NULL, NULL, NULL};
    harvest h[3];
    moments *group = NULL;
    PyObject *result = NULL;
    int failure = FINE;
    (void)self;
    memset(h, 0, sizeof h);
    if (parse(args, &a) < 0 || new_tallies(&t, a.slots) < 0)
        goto done;
    group = malloc(GROUP * sizeof *group);
    for (int i = 0; i < 3; i++)
        h[i].slot = calloc((size_t)a.slots + 1, sizeof *h[i].slot);
    if (group == NULL || h[0].slot == NULL || h[1].slot == NULL || h[2].slot == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    UNLOCKED(takes_long(&a), STRICTLY(for (int64_t s = 0; s < a.slots && !failure; s += GROUP) failure =
                                          sum_group(&a, group, s, s + GROUP < a.slots ? s + GROUP : a.slots, &t, h)));
    if (failure) {
        raise_failure(failure);
        goto done;
    }
    result = Py_BuildValue("OONNN", t.counts_object, t.infinities_object, harvested(&h[0], a.slots), harvested(&h[1], a.slots),
                           harvested(&h[2], a.slots));
done:
    for (int i = 0; i < 3; i++) {
        free(h[i].limbs);
        free(h[i].slot);
    }
    free(group);
    free_tallies(&t);
    release(&a);
    return result;
}

PyDoc_STRVAR(extremes_doc, "extremes(slots, runs) -> (counts, first_infinities, least, greatest)");

static PyObject *kernel_extremes(PyObject *self, PyObject *args)
{
    arguments a;
    tallies t = {NULL, NULL, NULL, NULL};
    extremes *all = NULL;
    PyObject *least = NULL, *greatest = NULL, *result = NULL;
    int failure = FINE;
    (void)self;
    if (parse(args, &a) < 0 || new_tallies(&t, a.slots) < 0)
        goto done;
    all = calloc((size_t)a.slots + 1, sizeof *all);
    if (all == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    least = PyBytes_FromStringAndSize(NULL, a.slots * (Py_ssize_t)sizeof(double));
    greatest = PyBytes_FromStringAndSize(NULL, a.slots * (Py_ssize_t)sizeof(double));
    if (least == NULL || greatest == NULL)
        goto done;
    for (int64_t s = 0; s < a.slots; s++) {
        all[s].tally.first_infinity = -1;
        all[s].least = INFINITY;
        all[s].greatest = -INFINITY;
    }
    UNLOCKED(takes_long(&a), STRICTLY(failure = walk(&a, 0, a.slots, &BOUNDS, all)));
    if (failure) {
        raise_failure(failure);
        goto done;
    }
    for (int64_t s = 0; s < a.slots; s++) {
        /* -0.0 + 0.0 is +0.0: which of two zeros came first must not show. */
        double low = all[s].least + 0.0, high = all[s].greatest + 0.0;
        put_tally(&t, s, &all[s].tally);
        memcpy(PyBytes_AsString(least) + (size_t)s * sizeof low, &low, sizeof low);
        memcpy(PyBytes_AsString(greatest) + (size_t)s * sizeof high, &high, sizeof high);
    }
    result = Py_BuildValue("OOOO", t.counts_object, t.infinities_object, least, greatest);
done:
    free(all);
    Py_XDECREF(least);
    Py_XDECREF(greatest);
    free_tallies(&t);
    release(&a);
    return result;
}

static int count_group(const arguments *a, histogram *h, int64_t first, int64_t last, int64_t most,
                       const side *before, int64_t *at, arena *memory, bins *room, const tallies *t, ragged *out)
{
    const int64_t *finest = before->bits.buf;
    int failure = a->chunks == NULL || bring_chunk(a, first) == 0 ? FINE : UNREAD; /* of which there is one then */
    for (int64_t s = first; s < last && !failure; s++) {
        bins own = before->sizes.obj == NULL ? (bins){NULL, NULL, 0} : next_bins(before, s, at);
        begin_histogram(&h[s - first], a, s, most, (int)finest[s], 1, memory, room, own);
        failure = h[s - first].failure;
    }
    if (!failure)
        failure = walk(a, first, last, &COUNTS, h);
    for (int64_t s = first; s < last && !failure; s++) {
        histogram *one = &h[s - first];
        const bins *all = one->failure ? NULL : settled(one);
        if (all == NULL && !one->failure) {
            begin_histogram(one, a, s, most, (int)finest[s], 0, memory, room, one->before);
            if (!one->failure)
                walk(a, s, s + 1, &COUNTS, one);
            all = one->failure ? NULL : settled(one);
        }
        failure = one->failure;
        if (!failure && append(out, s, all, one->bits) < 0)
            failure = NO_MEMORY;
        put_tally(t, s, &one->tally);
    }
    return failure;
}

/* One column after the other, unless their values lie between each other's and would be fetched again. */
static int64_t columns_at_once(const arguments *a)
{
    for (Py_ssize_t i = 0; i < a->count; i++)
        if (a->runs[i].slots > 1 && a->runs[i].slot_stride < a->runs[i].stride)
            return TILE;
    return 1;
}

static int count_columns(const arguments *a, int64_t most, const side *before, arena *memory, const tallies *t,
                         ragged *out)
{
    histogram group[TILE];
    bins room[4];
    int64_t rows = 0, bins_held, at = 0, step = columns_at_once(a);
    size_t needed;
    int failure = FINE;
    for (int64_t s = 0; s < a->slots; s++) {
        int64_t own = rows_of(a, s) + (before->sizes.obj == NULL ? 0 : ((const int64_t *)before->sizes.buf)[s]);
        rows = own > rows ? own : rows; /* and bins, each of which may be as many rows */
    }
    bins_held = (rows < 6 * most ? rows : 6 * most) + SAMPLE + 8; /* a table half full and a window */
    needed = (size_t)step * memory_for(most, rows) + 8 * ((size_t)bins_held * sizeof(uint64_t) + 64);
    if (ensure(memory, needed) < 0)
        return NO_MEMORY;
    for (int64_t s = 0; s < a->slots && !failure; s += step) {
        memory->used = 0;
        for (int i = 0; i < 4; i++) {
            room[i].keys = take(memory, (size_t)bins_held * sizeof(uint64_t));
            room[i].counts = take(memory, (size_t)bins_held * sizeof(int64_t));
            if (room[i].keys == NULL || room[i].counts == NULL)
                return NO_MEMORY;
        }
        failure = count_group(a, group, s, s + step < a->slots ? s + step : a->slots, most, before, &at, memory, room,
                              t, out);
    }
    return failure;
}

/* Whether there are the bits of each slot, and bins of all slots or none of any: no more of one than may be left. */
static int check_before(const side *before, int64_t slots, int64_t most)
{
    const int64_t *finest = before->bits.buf, *sizes = before->sizes.buf;
    int fine = before->bits.len == (Py_ssize_t)(slots * sizeof(int64_t));
    for (int64_t s = 0; s < slots && fine; s++)
        fine = finest[s] >= 1 && finest[s] <= ALL_BITS;
    if (!fine) {
        PyErr_SetString(PyExc_ValueError, "finest is a number of bits for each slot, from 1 to 64");
        return -1;
    }
    if (before->sizes.obj == NULL)
        return 0;
    if (before->keys.obj == NULL || before->counts.obj == NULL) {
        PyErr_SetString(PyExc_ValueError, "bins have sizes, keys and counts");
        return -1;
    }
    if (checked(before, slots) < 0)
        return -1;
    for (int64_t s = 0; s < slots && fine; s++)
        fine = sizes[s] <= most;
    if (!fine)
        PyErr_SetString(PyExc_ValueError, "there are more bins than may be left");
    return fine ? 0 : -1;
}

PyDoc_STRVAR(histogram_doc,
             "histogram(slots, runs, max_bins, finest[, sizes, keys, counts]) -> (counts, first_infinities, (bits, sizes, "
             "keys, counts of bins)); finest: int64, the most bits to keep of each slot; the rest are bins of so many "
             "bits, which are added to");

static PyObject *kernel_histogram(PyObject *self, PyObject *args)
{
    arguments a;
    tallies t = {NULL, NULL, NULL, NULL};
    ragged out;
    PyObject *slots, *runs, *both = NULL, *result = NULL;
    side before;
    long long most;
    int failure = FINE;
    (void)self;
    memset(&a, 0, sizeof a);
    memset(&out, 0, sizeof out);
    memset(&before, 0, sizeof before);
    if (!PyArg_ParseTuple(args, "OOLy*|y*y*y*", &slots, &runs, &most, &before.bits, &before.sizes, &before.keys,
                          &before.counts) ||
        (both = PyTuple_Pack(2, slots, runs)) == NULL || parse(both, &a) < 0 || new_tallies(&t, a.slots) < 0)
        goto done;
    if (most < 2 || most > MOST_BINS) {
        PyErr_Format(PyExc_ValueError, "max_bins is from 2 to %d", MOST_BINS);
        goto done;
    }
    if (check_before(&before, a.slots, most) < 0)
        goto done;
    if (a.chunks != NULL)
        a.chunks->whole = 1;
    failure = new_ragged(&out, a.slots) < 0 ? NO_MEMORY : FINE;
    if (!failure) {
        arena memory = claim();
        UNLOCKED(takes_long(&a), STRICTLY(failure = count_columns(&a, most, &before, &memory, &t, &out)));
        give_back(memory);
    }
    if (failure)
        raise_failure(failure);
    else
        result = Py_BuildValue("OON", t.counts_object, t.infinities_object, exported(&out, a.slots));
done:
    release_side(&before);
    Py_XDECREF(both);
    free_ragged(&out);
    free_tallies(&t);
    release(&a);
    return result;
}

#endif
