/* Memory for one call of the kernel, taken in order and given back all at once. */
#ifndef STREAMNORM_ARENA_H
#define STREAMNORM_ARENA_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *start;
    size_t size, used;
} arena;

/* What the last calls worked in is kept for the next: fresh pages cost more than the counting. Claimed and
 * given back under the interpreter's lock. */
static arena kept[4];
enum { KEPT = sizeof kept / sizeof *kept, KEPT_BYTES = 1 << 25 };

static arena claim(void)
{
    arena claimed = {NULL, 0, 0};
    for (int i = 0; i < KEPT && claimed.start == NULL; i++) {
        claimed = kept[i];
        kept[i].start = NULL;
    }
    return claimed;
}

static void give_back(arena memory)
{
    for (int i = 0; i < KEPT && memory.start != NULL && memory.size <= KEPT_BYTES; i++)
        if (kept[i].start == NULL) {
            kept[i] = memory;
            return;
        }
    free(memory.start);
}

static int ensure(arena *memory, size_t size)
{
    if (memory->start == NULL || memory->size < size) {
        free(memory->start);
        memory->start = malloc(size);
        memory->size = size;
    }
    return memory->start == NULL ? -1 : 0;
}

static void *take(arena *memory, size_t size)
{
    char *taken = memory->start + memory->used;
    size = (size + 63) / 64 * 64;
    if (size > memory->size - memory->used)
        return NULL;
    memory->used += size;
    return taken;
}

static void *take_cleared(arena *memory, size_t size)
{
    void *taken = take(memory, size);
    return taken == NULL ? NULL : memset(taken, 0, size);
}

#endif
