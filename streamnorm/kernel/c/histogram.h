/* The histogram of one column: how many values have the same leading bits, whatever their order.
 *
 * Values are counted in a hash table at a resolution of `bits`, which is never below that of the whole
 * column: it starts at 64 and drops when the table holds more bins than may be left (see `fit`).
 *
 * Most columns are smooth, and then nearly all magnitudes lie in a window of a few thousand bins at a
 * resolution a little above the one the column will end with. A sample proposes window and resolution;
 * the values inside are counted in an array, without a search. A proposal is only a guess: where it turns
 * out too low, the column is counted again without one. */
#ifndef STREAMNORM_HISTOGRAM_H
#define STREAMNORM_HISTOGRAM_H

#include "arena.h"
#include "arguments.h"
#include "bins.h"
#include "columns.h"
#include "images.h"

enum {
    SAMPLE = 256,          /* values looked at to propose a window */
    FEW_CELLS = 4096,      /* of a window at least; fewer rows are not worth one */
    FEW_ENTRIES = 512,     /* of a table at first */
    WINDOWED_BINS = 16384, /* more bins may be left than this: no window, it would be out of cache */
    WINDOW_FULL = 1 << 30, /* values after which 32-bit cells are emptied */
    MOST_BINS = 65536
};

#define INFINITE ((uint64_t)0x7ff << 52)          /* every finite magnitude lies below */
#define MOST_WEIGHT ((double)((uint64_t)1 << 32)) /* of a row, so that 64 bits hold the sums */

typedef struct {
    uint64_t key;
    int64_t count; /* 0: no bin here */
} entry;

typedef struct {
    tally tally;
    int64_t most;        /* bins that may be left */
    int finest;          /* bits that are asked for at most */
    int bits;            /* resolution of the table and the window */
    int guessed;         /* whether `bits` may be too low */
    enum { FINE, NO_MEMORY, BAD_WEIGHT, UNREAD } failure;
    entry *table;        /* open addressing, at most half full */
    int64_t size, largest, used;
    arena *memory;       /* shared between columns, as is `room` */
    uint32_t *cells;     /* of positive values, and one for all outside; the same of negative ones */
    uint32_t *spare_cells;
    uint64_t low;        /* the window's least magnitude */
    int64_t width;       /* its cells of one sign; 0: no window */
    int64_t windowed;    /* values in cells */
    uint64_t seen;       /* all magnitudes counted in cells or beside them, or-ed */
    bins *room;          /* four to work in */
    bins before;         /* what was counted earlier, at `finest` bits, and is added to */
    int loaded;          /* whether that is in the cells and the table by now */
} histogram;

/* ---- the table ---- */

/* Where a key is looked for first. */
INLINE uint64_t home(uint64_t key, int64_t size)
{
    uint64_t mixed = (key ^ key >> 32) * 0x9e3779b97f4a7c15u;
    return (mixed ^ mixed >> 32) & (uint64_t)(size - 1);
}

static entry *find(entry *table, int64_t size, uint64_t key)
{
    uint64_t at = home(key, size);
    while (table[at].key != key && table[at].count != 0)
        at = (at + 1) & (uint64_t)(size - 1);
    return &table[at];
}

static void grow(histogram *h)
{
    int64_t size = 2 * h->size;
    entry *table = take_cleared(h->memory, (size_t)size * sizeof *table);
    if (table == NULL) {
        h->failure = NO_MEMORY;
        return;
    }
    for (int64_t i = 0; i < h->size; i++)
        if (h->table[i].count != 0)
            *find(table, size, h->table[i].key) = h->table[i];
    h->table = table;
    h->size = size;
}

static void shrink(histogram *h);

static void add_key(histogram *h, uint64_t key, int64_t count)
{
    entry *e = find(h->table, h->size, key);
    if (e->count != 0) {
        e->count += count;
        return;
    }
    e->key = key;
    e->count = count;
    if (2 * ++h->used > h->size) {
        if (h->size < h->largest)
            grow(h);
        else
            shrink(h);
    }
}

static void empty_table(histogram *h, bins *out)
{
    out->used = 0;
    for (int64_t i = 0; i < h->size && h->used; i++) {
        out->keys[out->used] = h->table[i].key;
        out->counts[out->used] = h->table[i].count;
        out->used += h->table[i].count != 0;
    }
    memset(h->table, 0, (size_t)h->size * sizeof *h->table);
    h->used = 0;
}

/* ---- the window ---- */

/* Let the window begin at or just below `low`, with no more than `cells`, and stay below infinity. */
static void move_window(histogram *h, uint64_t low, int64_t cells)
{
    int shift = ALL_BITS - h->bits;
    int64_t beyond = (int64_t)((INFINITE >> shift) - (low >> shift));
    h->low = low >> shift << shift;
    h->width = cells < beyond ? cells : beyond;
}

/* Halve the window until no more than `most` of its cells are occupied, and empty those. */
static void empty_window(histogram *h, bins *out)
{
    uint32_t *positive = h->cells, *negative = h->cells + h->width + 1, *spare = h->spare_cells;
    int64_t width = h->width, *counts = out->counts, n = 0, below;
    uint64_t low = h->low, *keys = out->keys;
    int shift = ALL_BITS - h->bits;
    out->used = 0;
    if (h->windowed == 0)
        return;
    while (occupied(positive, width) + occupied(negative, width) > h->most) {
        int odd = (int)(low >> shift & 1);
        int64_t half = (width + odd + 1) / 2;
        halve(positive, width, odd, spare);
        halve(negative, width, odd, spare + half + 1);
        spare[half] = spare[2 * half + 1] = 0;
        memset(positive, 0, 2 * (size_t)(width + 1) * sizeof *positive);
        low = low >> (shift + 1) << (shift + 1);
        shift++;
        width = half;
        spare = positive;
        positive = positive == h->cells ? h->spare_cells : h->cells;
        negative = positive + width + 1;
        h->guessed = 0;
    }
    below = occupied(negative, width);
    for (int64_t i = width - 1; i >= 0 && n < below; i--) {
        keys[n] = ~(SIGN | (low + ((uint64_t)i << shift))) >> shift << shift;
        counts[n] = negative[i];
        n += negative[i] != 0;
    }
    for (int64_t i = 0; i < width; i++) {
        keys[n] = SIGN | (low + ((uint64_t)i << shift));
        counts[n] = positive[i];
        n += positive[i] != 0;
    }
    out->used = n;
    memset(positive, 0, 2 * (size_t)(width + 1) * sizeof *positive);
    h->bits = ALL_BITS - shift;
    h->windowed = 0;
}

/* Everything counted so far, in order, at as high a resolution as leaves `most` bins. */
static bins *assemble(histogram *h)
{
    bins *hashed = &h->room[0], *cells = &h->room[1], *all = &h->room[2];
    int bits;
    empty_table(h, hashed);
    sort_bins(hashed, &h->room[3]);
    empty_window(h, cells);
    if (hashed->used == 0)
        all = cells;
    else
        merge(hashed, cells, h->bits, 1, all);
    bits = fit(all, h->bits, h->most);
    h->guessed &= bits == h->bits;
    h->bits = bits;
    return all;
}

/* Go on at a lower resolution. */
static void shrink(histogram *h)
{
    const bins *all = assemble(h);
    move_window(h, h->low, h->width);
    for (int64_t i = 0; i < all->used; i++)
        add_key(h, all->keys[i], all->counts[i]);
}

/* ---- a block ---- */

/* Most values of a column that has few distinct ones are found where they are looked for first. */
static void add_hashed(histogram *h, const double *x, int n)
{
    uint64_t images[BLOCK], mask = mask_of(h->bits);
    entry *table = h->table;
    int64_t size = h->size;
    image(x, n, images);
    for (int i = 0; i < n; i++) {
        entry *e = &table[home(images[i] & mask, size)];
        if (e->key == (images[i] & mask) && e->count != 0) {
            e->count++;
            continue;
        }
        add_key(h, images[i] & mask, 1);
        if (h->failure)
            return;
        table = h->table;
        size = h->size;
        mask = mask_of(h->bits);
    }
}

/* Count zeros and what is in the window; tell how many of the values are neither, and which. */
static int add_windowed(histogram *h, const double *x, int n, int *outside)
{
    uint32_t at[BLOCK], width = (uint32_t)h->width, *cells = h->cells;
    int count = 0, others = 0;
    h->seen |= locate(x, n, h->low, ALL_BITS - h->bits, width, at);
    for (int i = 0; i < n; i++)
        cells[at[i]]++;
    if (cells[width] | cells[2 * width + 1]) {
        cells[width] = cells[2 * width + 1] = 0;
        count = strays(at, n, width, outside);
    }
    h->windowed += n - count;
    for (int i = 0; i < count; i++) {
        outside[others] = outside[i];
        others += x[outside[i]] != 0;
    }
    if (others < count)
        add_key(h, SIGN, count - others);
    return others;
}

/* A row of weight w counts as w rows. */
static void count_weighted(histogram *h, const run *r, int slot, int64_t row, int n)
{
    int64_t first = h->tally.rows;
    for (int i = 0; i < n && !h->failure; i++) {
        double weight, x;
        memcpy(&weight, r->weights + (row + i) * (int64_t)sizeof weight, sizeof weight);
        h->tally.rows = first + i;
        if (!(weight >= 0 && weight <= MOST_WEIGHT && weight == floor(weight)))
            h->failure = BAD_WEIGHT;
        else if (weight > 0 && load_finite(r, slot, row + i, 1, &x, &h->tally))
            add_key(h, image_of(x) & mask_of(h->bits), (int64_t)weight);
    }
    h->tally.rows = first;
}

/* Whether they are finite need not be asked of the values in the window: read them where they lie. */
static void count_in_place(histogram *h, const run *r, int slot, int64_t row, int n, const double *values)
{
    int outside[BLOCK], count = add_windowed(h, values, n, outside);
    int64_t first = h->tally.rows;
    h->tally.count[VALUES] += n - count;
    for (int i = 0; i < count && !h->failure; i++) {
        double x = values[outside[i]];
        h->tally.rows = first + outside[i];
        h->tally.count[NANS] += isnan(x) != 0;
        if (!isnan(x) && load_finite(r, slot, row + outside[i], 1, &x, &h->tally))
            add_key(h, image_of(x) & mask_of(h->bits), 1);
    }
    h->tally.rows = first;
}

static void count_copy(histogram *h, const run *r, int slot, int64_t row, int n)
{
    double x[BLOCK];
    int outside[BLOCK], kept = load_finite(r, slot, row, n, x, &h->tally), count;
    if (h->width == 0) {
        add_hashed(h, x, kept);
        return;
    }
    count = add_windowed(h, x, kept, outside);
    for (int i = 0; i < count && !h->failure; i++)
        add_key(h, image_of(x[outside[i]]) & mask_of(h->bits), 1);
}

static void count_rows(void *state, const run *r, int slot, int64_t row, int n)
{
    histogram *h = state;
    const double *values = in_place(r, slot, row);
    if (r->weights != NULL)
        count_weighted(h, r, slot, row, n);
    else if (values != NULL && h->width)
        count_in_place(h, r, slot, row, n, values);
    else
        count_copy(h, r, slot, row, n);
    h->tally.rows += n;
    if (h->windowed > WINDOW_FULL)
        shrink(h);
}

#endif
