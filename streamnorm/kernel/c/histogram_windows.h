/* How the histogram of a column begins, with a window over what was counted before or over what a sample shows, and ends. */
#ifndef STREAMNORM_HISTOGRAM_WINDOWS_H
#define STREAMNORM_HISTOGRAM_WINDOWS_H

#include "histogram.h"

static int64_t rows_of(const arguments *a, int64_t slot)
{
    int64_t rows = 0;
    Py_ssize_t begin, end;
    runs_of(a, slot, slot + 1, &begin, &end);
    for (Py_ssize_t i = begin; i < end; i++)
        if (slot >= a->runs[i].slot && slot < a->runs[i].slot + a->runs[i].slots)
            rows += a->runs[i].length;
    return rows;
}

static int64_t table_size(int64_t most, int64_t rows)
{
    int64_t size = 16;
    while (size < 4 * most && size < 2 * rows)
        size *= 2;
    return size;
}

/* The fewer values, the finer a resolution has more bins than may be left. */
static uint64_t window_size(int64_t most, int64_t rows)
{
    uint64_t cells = FEW_CELLS;
    while (cells < (rows < 4 * most ? 8 : 4) * (uint64_t)most)
        cells *= 2;
    return cells;
}

/* Enough for a column of so many rows to be counted twice; tables double until they are large enough. */
static size_t memory_for(int64_t most, int64_t rows)
{
    size_t tables = 2 * (size_t)table_size(most, rows) * sizeof(entry) + 64;
    size_t windows = rows < FEW_CELLS ? 0 : 4 * (size_t)(window_size(most, 0) + 32) * sizeof(uint32_t);
    return 2 * tables + windows;
}

/* Some magnitudes from all over the column, in order. */
static const bins *sample(const histogram *h, const arguments *a, int64_t slot, int64_t rows)
{
    bins *taken = &h->room[0];
    int64_t next = 0, before = 0, step = rows / SAMPLE + 1;
    Py_ssize_t begin, end;
    taken->used = 0;
    runs_of(a, slot, slot + 1, &begin, &end);
    for (Py_ssize_t i = begin; i < end; i++) {
        const run *r = &a->runs[i];
        if (slot < r->slot || slot >= r->slot + r->slots)
            continue;
        for (; next < before + r->length; next += step) {
            double x;
            if (load(r, (int)(slot - r->slot), next - before, 1, &x) && x != 0 && isfinite(x)) {
                taken->keys[taken->used] = bits_of(fabs(x));
                taken->counts[taken->used++] = 1;
            }
        }
        before += r->length;
    }
    sort_bins(taken, &h->room[3]);
    return taken;
}

/* The bits to leave off for all magnitudes of a range to have a cell. */
static int shift_for(uint64_t least, uint64_t greatest, uint64_t cells)
{
    int shift = 0;
    while ((greatest >> shift) - (least >> shift) >= cells)
        shift++;
    return shift;
}

/* Half as many cells again as a range takes, where there may be none finer: they are sooner emptied than more. */
static uint64_t enough_cells(uint64_t least, uint64_t greatest, int shift)
{
    return 3 * ((greatest >> shift) - (least >> shift)) / 2 + FEW_ENTRIES;
}

/* Place a window of so many cells over a range of magnitudes, in its middle. */
static void place_window(histogram *h, uint64_t least, uint64_t greatest, int shift, uint64_t cells)
{
    uint64_t margin = (cells - (greatest >> shift) + (least >> shift)) / 2;
    h->bits = ALL_BITS - shift;
    h->guessed = h->bits < h->finest;
    h->cells = take_cleared(h->memory, 2 * (size_t)(cells + 1) * sizeof *h->cells);
    h->spare_cells = take(h->memory, 2 * (size_t)(cells + 1) * sizeof *h->spare_cells);
    if (h->cells == NULL || h->spare_cells == NULL)
        h->failure = NO_MEMORY;
    else
        move_window(h, least >> shift > margin ? least - (margin << shift) : 0, (int64_t)cells);
}

/* Place a window over what was counted before, at its resolution; 0, and none, where that would be mostly empty. */
static int place_over(histogram *h, uint64_t cells)
{
    const bins *b = &h->before;
    uint64_t least = INFINITE, greatest = 0, enough;
    int shift = ALL_BITS - h->finest;
    if (b->used == 0 || shift == 0)
        return 0;
    for (int64_t i = 0; i < b->used; i++) {
        uint64_t magnitude = image_magnitude(b->keys[i]);
        least = magnitude < least ? magnitude : least;
        greatest = magnitude > greatest ? magnitude : greatest;
    }
    greatest = greatest < INFINITE ? greatest : INFINITE - 1;
    enough = enough_cells(least, greatest, shift);
    if (least >= INFINITE || enough > cells || enough > 4 * (uint64_t)b->used + FEW_ENTRIES)
        return 0;
    place_window(h, least, greatest, shift, enough);
    return 1;
}

/* Go on from what was counted before, in the window and the table. */
static void load_before(histogram *h)
{
    const uint64_t *keys = h->before.keys, low = h->low, width = (uint64_t)h->width, mask = mask_of(h->bits);
    const int64_t *counts = h->before.counts;
    int64_t windowed = 0;
    uint64_t seen = 0;
    uint32_t *cells = h->cells;
    int shift = ALL_BITS - h->bits;
    for (int64_t i = 0; i < h->before.used && !h->failure; i++) {
        uint64_t magnitude = image_magnitude(keys[i]), cell = (magnitude - low) >> shift;
        seen |= magnitude;
        if (cell < width && counts[i] > 0 && counts[i] <= WINDOW_FULL / 2 - windowed) {
            cells[cell + (keys[i] & SIGN ? 0 : width + 1)] += (uint32_t)counts[i];
            windowed += counts[i];
        } else {
            add_key(h, keys[i] & mask, counts[i]);
        }
    }
    h->seen |= seen;
    h->windowed += windowed;
    h->loaded = 1;
}

/* Place a window over the magnitudes of a sample, at as high a resolution as has it fit and is asked for. */
static void propose(histogram *h, const bins *taken, uint64_t cells)
{
    int64_t n = taken->used, repeated = 0;
    uint64_t least, greatest;
    int shift;
    for (int64_t i = 1; i < n; i++)
        repeated += taken->keys[i] == taken->keys[i - 1];
    /* So many pairs of equals mean that the column has about n^2 / 2 / repeated distinct values. */
    if (n < SAMPLE / 8 || repeated * 4 * h->most >= n * n)
        return;
    least = taken->keys[0];
    greatest = taken->keys[n - 1];
    shift = shift_for(least, greatest, cells);
    /* A few strays must not stretch the window. */
    if (shift > shift_for(taken->keys[n / 64], taken->keys[n - 1 - n / 64], cells) + 2) {
        least = taken->keys[n / 64];
        greatest = taken->keys[n - 1 - n / 64];
        shift = shift_for(least, greatest, cells);
    }
    if (shift <= ALL_BITS - h->finest) {
        uint64_t enough;
        shift = ALL_BITS - h->finest;
        enough = enough_cells(least, greatest, shift);
        cells = enough < cells ? enough : cells;
    }
    place_window(h, least, greatest, shift, cells);
}

/* `before` is what the column's rows are added to, at `finest` bits. */
static void begin_histogram(histogram *h, const arguments *a, int64_t slot, int64_t most, int finest, int may_guess,
                            arena *memory, bins *room, bins before)
{
    int64_t rows = rows_of(a, slot);
    memset(h, 0, sizeof *h);
    h->tally.first_infinity = -1;
    h->most = most;
    h->bits = h->finest = finest;
    h->memory = memory;
    h->room = room;
    h->before = before;
    h->largest = table_size(most, rows + before.used);
    h->size = h->largest < FEW_ENTRIES ? h->largest : FEW_ENTRIES;
    h->table = take_cleared(memory, (size_t)h->size * sizeof *h->table);
    if (h->table == NULL) {
        h->failure = NO_MEMORY;
    } else if (may_guess && !a->weighted && rows >= FEW_CELLS && 2 * rows > 3 * most && most <= WINDOWED_BINS) {
        if (!place_over(h, window_size(most, rows)))
            propose(h, sample(h, a, slot, rows), window_size(most, rows));
        if (h->width > 0 && !h->failure)
            load_before(h);
    }
}

/* The column's bins once all its rows are counted; NULL where it has to be counted again without a guess.
 *
 * A guess was too low unless it had more bins than may be left, or all values have zeros in the bits after it. */
static const bins *settled(histogram *h)
{
    bins *all = assemble(h), *both = &h->room[0];
    uint64_t rest = mask_of(h->finest) & ~mask_of(h->bits);
    if (h->guessed) {
        if (h->seen & rest)
            return NULL;
        for (int64_t i = 0; i < all->used && !(all->keys[i] & SIGN); i++)
            all->keys[i] |= rest; /* of negative values all bits are flipped */
        h->bits = h->finest;
    }
    if (h->loaded || h->before.used == 0)
        return all;
    merge(&h->before, all, h->bits, 1, both);
    h->bits = fit(both, h->bits, h->most);
    return both;
}

#endif
