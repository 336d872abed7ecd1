/* Bins of a quantile histogram in order, and what is done with them: sort, merge, drop bits.
 *
 * A bin is what float64 values share whose order-preserving images begin with the same bits. Its key is
 * those bits on the left of 64 and zeros after them, so that a bit is dropped by a mask and keys of every
 * resolution are in one order. */
#ifndef STREAMNORM_BINS_H
#define STREAMNORM_BINS_H

#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

enum { ALL_BITS = 64 };

#define SIGN ((uint64_t)1 << 63)

typedef struct {
    uint64_t *keys;
    int64_t *counts;
    int64_t used;
} bins;

static void free_bins(const bins *b)
{
    free(b->keys);
    free(b->counts);
}

/* `kept` is 1 to 64. */
static uint64_t mask_of(int kept) { return ~(uint64_t)0 << (ALL_BITS - kept); }

/* Put a bin behind those of lower keys, or into the last where that has the same key. */
static void push(bins *b, uint64_t key, int64_t count)
{
    int64_t n = b->used;
    int same = n > 0 && b->keys[n - (n > 0)] == key;
    n -= same;
    b->keys[n] = key;
    b->counts[n] = (same ? b->counts[n] : 0) + count;
    b->used = n + 1;
}

/* Bring bins of `kept` or more bits to `kept`. */
static void keep_bits(bins *b, int kept)
{
    uint64_t mask = mask_of(kept);
    int64_t n = b->used;
    b->used = 0;
    for (int64_t i = 0; i < n; i++)
        push(b, b->keys[i] & mask, b->counts[i]);
}

/* Drop as few of `bits` as leave no more than `most` bins, at least 2; return how many are kept.
 *
 * Neighbours that first differ in bit z are told apart by every resolution of more than z bits, so the
 * number of bins at each resolution is a sum over neighbours. It only grows with bits and with values:
 * the histogram of a part never has fewer bits than that of the whole, and merging loses nothing. */
static int fit(bins *b, int bits, int64_t most)
{
    int64_t parted[ALL_BITS] = {0}, count = 1;
    int kept = 0;
    if (b->used <= most)
        return bits;
    for (int64_t i = 1; i < b->used; i++)
        parted[leading_zeros(b->keys[i] ^ b->keys[i - 1])]++;
    while (count + parted[kept] <= most)
        count += parted[kept++];
    keep_bits(b, kept);
    return kept;
}

/* Add bins to bins, or take them away with `sign` -1; `out` has room for both. */
static void merge(const bins *a, const bins *b, int bits, int64_t sign, bins *out)
{
    uint64_t mask = mask_of(bits);
    int64_t i = 0, j = 0;
    out->used = 0;
    while (i < a->used && j < b->used) {
        uint64_t x = a->keys[i] & mask, y = b->keys[j] & mask;
        int64_t left = a->counts[i], right = sign * b->counts[j];
        push(out, x < y ? x : y, (x <= y ? left : 0) + (y <= x ? right : 0));
        i += x <= y;
        j += y <= x;
    }
    for (; i < a->used; i++)
        push(out, a->keys[i] & mask, a->counts[i]);
    for (; j < b->used; j++)
        push(out, b->keys[j] & mask, sign * b->counts[j]);
}

/* Sort by key, one byte after the other from the lowest, but for the bytes that all keys share. */
static void sort_bins(bins *b, bins *spare)
{
    size_t starts[8][256];
    uint64_t varying = 0;
    int64_t n = b->used;
    for (int64_t i = 1; i < n; i++)
        varying |= b->keys[i] ^ b->keys[0];
    if (varying == 0)
        return;
    memset(starts, 0, sizeof starts);
    for (int64_t i = 0; i < n; i++)
        for (int byte = 0; byte < 8; byte++)
            starts[byte][b->keys[i] >> (8 * byte) & 255]++;
    for (int byte = 0; byte < 8; byte++) {
        size_t at = 0;
        bins sorted = *spare;
        if ((varying >> (8 * byte) & 255) == 0)
            continue;
        for (int value = 0; value < 256; value++) {
            size_t count = starts[byte][value];
            starts[byte][value] = at;
            at += count;
        }
        for (int64_t i = 0; i < n; i++) {
            size_t to = starts[byte][b->keys[i] >> (8 * byte) & 255]++;
            sorted.keys[to] = b->keys[i];
            sorted.counts[to] = b->counts[i];
        }
        sorted.used = n;
        *spare = *b;
        *b = sorted;
    }
}

/* ---- bins of many columns ---- */

/* Flat bins of `slots` columns and how many each has: what Python holds as four arrays. */
typedef struct {
    bins flat;
    int64_t *bits, *sizes;
    int64_t room;
} ragged;

static int new_ragged(ragged *r, int64_t slots)
{
    memset(r, 0, sizeof *r);
    r->bits = calloc((size_t)slots + 1, sizeof *r->bits);
    r->sizes = calloc((size_t)slots + 1, sizeof *r->sizes);
    return r->bits == NULL || r->sizes == NULL ? -1 : 0;
}

static void free_ragged(const ragged *r)
{
    free_bins(&r->flat);
    free(r->bits);
    free(r->sizes);
}

/* Room for `more` bins after those in use. */
static int reserve(ragged *r, int64_t more)
{
    int64_t room = r->flat.used + more;
    uint64_t *keys;
    int64_t *counts;
    if (room <= r->room)
        return 0;
    room = room > 2 * r->room ? room : 2 * r->room;
    keys = realloc(r->flat.keys, (size_t)room * sizeof *keys);
    r->flat.keys = keys ? keys : r->flat.keys;
    counts = realloc(r->flat.counts, (size_t)room * sizeof *counts);
    r->flat.counts = counts ? counts : r->flat.counts;
    if (keys == NULL || counts == NULL)
        return -1;
    r->room = room;
    return 0;
}

/* Take a column's bins in; a column without any has all 64 bits. */
static int append(ragged *r, int64_t slot, const bins *b, int bits)
{
    if (reserve(r, b->used) < 0)
        return -1;
    r->bits[slot] = b->used ? bits : ALL_BITS;
    r->sizes[slot] = b->used;
    if (b->used) {
        memcpy(r->flat.keys + r->flat.used, b->keys, (size_t)b->used * sizeof *b->keys);
        memcpy(r->flat.counts + r->flat.used, b->counts, (size_t)b->used * sizeof *b->counts);
    }
    r->flat.used += b->used;
    return 0;
}

/* (bits, sizes, keys, counts) */
static PyObject *exported(const ragged *r, int64_t slots)
{
    Py_ssize_t wide = slots * (Py_ssize_t)sizeof(int64_t), flat = r->flat.used * (Py_ssize_t)sizeof(int64_t);
    return Py_BuildValue("y#y#y#y#", r->bits, wide, r->sizes, wide, flat ? (void *)r->flat.keys : "", flat,
                         flat ? (void *)r->flat.counts : "", flat);
}

/* One side of a merge, as it lies in Python's arrays. */
typedef struct {
    Py_buffer bits, sizes, keys, counts;
} side;

static void release_side(side *s)
{
    PyBuffer_Release(&s->bits);
    PyBuffer_Release(&s->sizes);
    PyBuffer_Release(&s->keys);
    PyBuffer_Release(&s->counts);
}

static bins next_bins(const side *s, int64_t slot, int64_t *at)
{
    bins b;
    b.keys = (uint64_t *)s->keys.buf + *at;
    b.counts = (int64_t *)s->counts.buf + *at;
    b.used = ((const int64_t *)s->sizes.buf)[slot];
    *at += b.used;
    return b;
}

static int checked(const side *s, int64_t slots)
{
    int64_t total = 0;
    int fine = s->bits.len == slots * 8 && s->sizes.len == slots * 8;
    for (int64_t i = 0; i < slots && fine; i++) {
        int64_t size = ((const int64_t *)s->sizes.buf)[i], bits = ((const int64_t *)s->bits.buf)[i];
        fine = size >= 0 && size <= s->keys.len && bits >= 1 && bits <= ALL_BITS;
        total += size;
    }
    if (fine && total * 8 == s->keys.len && total * 8 == s->counts.len)
        return 0;
    PyErr_SetString(PyExc_ValueError, "the bins do not have the shape that was given");
    return -1;
}

/* Bins that were emptied vanish. */
static void drop_empty(bins *b)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < b->used; i++) {
        b->keys[kept] = b->keys[i];
        b->counts[kept] = b->counts[i];
        kept += b->counts[i] != 0;
    }
    b->used = kept;
}

/* An empty side has nothing to lose bits for, but its bits still bound the result: that is how to coarsen. */
static int merge_slots(const side *a, const side *b, int64_t slots, int64_t most, int subtract, ragged *out)
{
    int64_t at_a = 0, at_b = 0;
    for (int64_t slot = 0; slot < slots; slot++) {
        bins left = next_bins(a, slot, &at_a), right = next_bins(b, slot, &at_b), merged;
        int bits = (int)((const int64_t *)a->bits.buf)[slot];
        int other = (int)((const int64_t *)b->bits.buf)[slot];
        if (reserve(out, left.used + right.used) < 0)
            return -1;
        bits = bits < other ? bits : other;
        merged.keys = out->flat.keys + out->flat.used;
        merged.counts = out->flat.counts + out->flat.used;
        merge(&left, &right, bits, subtract ? -1 : 1, &merged);
        if (subtract)
            drop_empty(&merged);
        else
            bits = fit(&merged, bits, most);
        out->bits[slot] = merged.used ? bits : ALL_BITS;
        out->sizes[slot] = merged.used;
        out->flat.used += merged.used;
    }
    return 0;
}

PyDoc_STRVAR(merge_bins_doc,
             "merge_bins(slots, max_bins, bits, sizes, keys, counts, bits, sizes, keys, counts, subtract) -> "
             "(bits, sizes, keys, counts)");

static PyObject *kernel_merge_bins(PyObject *self, PyObject *args)
{
    side a, b;
    ragged out;
    long long slots, most;
    int subtract, failed;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "LLy*y*y*y*y*y*y*y*p", &slots, &most, &a.bits, &a.sizes, &a.keys, &a.counts,
                          &b.bits, &b.sizes, &b.keys, &b.counts, &subtract))
        return NULL;
    if (most < 2)
        PyErr_SetString(PyExc_ValueError, "max_bins is at least 2");
    else if (checked(&a, slots) == 0 && checked(&b, slots) == 0) {
        failed = new_ragged(&out, slots);
        if (!failed) {
            Py_BEGIN_ALLOW_THREADS
            failed = merge_slots(&a, &b, slots, most, subtract, &out);
            Py_END_ALLOW_THREADS
        }
        result = failed ? PyErr_NoMemory() : exported(&out, slots);
        free_ragged(&out);
    }
    release_side(&a);
    release_side(&b);
    return result;
}

#endif
