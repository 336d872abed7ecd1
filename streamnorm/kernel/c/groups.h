/* Equal rows of a column of keys are numbered as they first occur. */
#ifndef STREAMNORM_GROUPS_H
#define STREAMNORM_GROUPS_H

#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

enum { FEW_PLACES = 1024, MANY_PLACES = 1 << 20, KEYS_AT_ONCE = 128, SHORT = 16 };

/* A column of int64, or of the bytes between `offsets`; null is a value like others. */
typedef struct {
    const char *values;
    const char *offsets; /* int64, one more than rows; NULL for integers */
    const uint8_t *validity;
    int64_t rows, bytes, validity_offset;
} key_column;

/* What rows are compared by: all of an integer and of a text of up to SHORT bytes, and of a longer text where it lies. */
typedef struct {
    uint64_t hash, words[2];
    int64_t length; /* of a text; -1: an integer */
} group_key;

/* Open addressing. */
typedef struct {
    int32_t *places; /* a group and 1; 0: none */
    uint64_t size;   /* of `places`, a power of two */
    group_key *keys; /* of each group, as are `firsts`: the row that it first occurs in */
    int64_t *firsts;
    int64_t used;
    int32_t null; /* the group of null, which is in no place; -1: none yet */
} groups;

static const uint64_t STIR[3] = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu};

/* Different words have different hashes: each step can be undone (Steele, Lea, Flood 2014, section 5). */
INLINE uint64_t hash_of_word(uint64_t word)
{
    word = (word ^ word >> 30) * STIR[1];
    word = (word ^ word >> 27) * STIR[2];
    return word ^ word >> 31;
}

INLINE uint64_t stirred(uint64_t a, uint64_t b)
{
    wide product = wide_product(a, b);
    return product.high ^ product.low;
}

INLINE uint64_t word_at(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

INLINE uint64_t half_word_at(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The words of up to SHORT bytes, which together with their number tell them; some may be in both. */
INLINE void words_of(const char *at, int64_t n, uint64_t words[2])
{
    words[0] = words[1] = 0;
    if (n >= 8) {
        words[0] = word_at(at);
        words[1] = word_at(at + n - 8);
    } else if (n >= 4) {
        words[0] = half_word_at(at);
        words[1] = half_word_at(at + n - 4);
    } else if (n > 0) {
        words[0] = (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[n >> 1] << 8 | (uint8_t)at[n - 1];
    }
}

INLINE group_key key_of_word(uint64_t word)
{
    return (group_key){hash_of_word(word), {word, 0}, -1};
}

/* Products of words folded in two, as wyhash has them. */
INLINE group_key key_of_text(const char *at, int64_t n)
{
    group_key key = {0, {0, 0}, n};
    uint64_t seed = STIR[0];
    int64_t left = n;
    for (; left > SHORT; left -= SHORT, at += SHORT)
        seed = stirred(word_at(at) ^ STIR[1], word_at(at + 8) ^ seed);
    words_of(at, left, key.words);
    key.hash = stirred(STIR[2] ^ (uint64_t)n, stirred(key.words[0] ^ STIR[1], key.words[1] ^ seed));
    return key;
}

/* Bytes [*from, *to) of a row; 0 where they do not lie in the values. */
INLINE int bytes_of_row(const key_column *c, int64_t row, int64_t *from, int64_t *to)
{
    memcpy(from, c->offsets + row * (int64_t)sizeof *from, sizeof *from);
    memcpy(to, c->offsets + (row + 1) * (int64_t)sizeof *to, sizeof *to);
    return *from >= 0 && *from <= *to && *to <= c->bytes;
}

INLINE int is_null(const key_column *c, int64_t row)
{
    int64_t bit = c->validity_offset + row;
    return c->validity != NULL && !(c->validity[bit >> 3] >> (bit & 7) & 1);
}

static int same_text(const key_column *c, int64_t one, int64_t other)
{
    int64_t from[2], to[2];
    bytes_of_row(c, one, &from[0], &to[0]);
    bytes_of_row(c, other, &from[1], &to[1]);
    return memcmp(c->values + from[0], c->values + from[1], (size_t)(to[0] - from[0])) == 0;
}

/* Groups that have a place: an eighth of the places while these fit a cache, so that what is looked for is found at once,
 * which processors foresee; half of more, which cost memory. */
static uint64_t groups_in(uint64_t size) { return size < MANY_PLACES ? size / 8 : size / 2; }

static int grow_groups(groups *g)
{
    uint64_t size = g->size ? 2 * g->size : FEW_PLACES;
    size_t room = (size_t)groups_in(size) + 1;
    int32_t *places = calloc(size, sizeof *places);
    group_key *keys = realloc(g->keys, room * sizeof *keys);
    int64_t *firsts;
    g->keys = keys ? keys : g->keys;
    firsts = realloc(g->firsts, room * sizeof *firsts);
    g->firsts = firsts ? firsts : g->firsts;
    if (places == NULL || keys == NULL || firsts == NULL) {
        free(places);
        return -1;
    }
    for (int64_t i = 0; i < g->used; i++) {
        uint64_t at = keys[i].hash & (size - 1);
        while (places[at])
            at = (at + 1) & (size - 1);
        if (i != g->null)
            places[at] = (int32_t)i + 1;
    }
    free(g->places);
    g->places = places;
    g->size = size;
    return 0;
}

/* Begin a group with a row; give its number, -1 where there is no memory for the next. */
INLINE int32_t new_group(groups *g, int64_t row, const group_key *key)
{
    int32_t group = (int32_t)g->used++;
    g->keys[group] = *key;
    g->firsts[group] = row;
    return (uint64_t)g->used > groups_in(g->size) && grow_groups(g) < 0 ? -1 : group;
}

INLINE int32_t group_of(groups *g, const key_column *c, int64_t row, const group_key *key)
{
    uint64_t at = key->hash & (g->size - 1);
    for (; g->places[at]; at = (at + 1) & (g->size - 1)) {
        int32_t group = g->places[at] - 1;
        const group_key *other = &g->keys[group];
        if (other->hash == key->hash && other->words[0] == key->words[0] && other->words[1] == key->words[1] &&
            other->length == key->length && (key->length <= SHORT || same_text(c, row, g->firsts[group])))
            return group;
    }
    g->places[at] = (int32_t)g->used + 1;
    return new_group(g, row, key);
}

INLINE int32_t group_of_null(groups *g, int64_t row)
{
    const group_key none = {0};
    if (g->null >= 0)
        return g->null;
    g->null = (int32_t)g->used;
    return new_group(g, row, &none);
}

enum { GROUPED, NO_ROOM, BAD_OFFSETS };

/* Hash some rows, so that the places of all of them are on their way before the first is looked at. */
INLINE int hash_rows(const key_column *c, int64_t row, int n, const groups *g, group_key *keys)
{
    for (int i = 0; i < n; i++) {
        if (c->offsets == NULL) {
            keys[i] = key_of_word(word_at(c->values + (row + i) * (int64_t)sizeof(uint64_t)));
        } else {
            int64_t from, to;
            if (!bytes_of_row(c, row + i, &from, &to))
                return -1;
            keys[i] = key_of_text(c->values + from, to - from);
        }
        prefetch(&g->places[keys[i].hash & (g->size - 1)], 1);
    }
    return 0;
}

static int group_rows(const key_column *c, groups *g, char *ids)
{
    for (int64_t row = 0; row < c->rows; row += KEYS_AT_ONCE) {
        group_key keys[KEYS_AT_ONCE];
        int n = (int)(c->rows - row < KEYS_AT_ONCE ? c->rows - row : KEYS_AT_ONCE);
        if (hash_rows(c, row, n, g, keys) < 0)
            return BAD_OFFSETS;
        for (int i = 0; i < n; i++) {
            int32_t group = is_null(c, row + i) ? group_of_null(g, row + i) : group_of(g, c, row + i, &keys[i]);
            if (group < 0)
                return NO_ROOM;
            memcpy(ids + (row + i) * (int64_t)sizeof group, &group, sizeof group);
        }
    }
    return GROUPED;
}

PyDoc_STRVAR(group_doc,
             "group(rows, values, offsets, validity, validity_offset) -> (ids, firsts): int32 and int64; equal rows are "
             "numbered as they first occur. `values` are int64, or the bytes that `offsets` part; null is a value");

static PyObject *kernel_group(PyObject *self, PyObject *args)
{
    Py_buffer values = {0}, offsets = {0}, validity = {0};
    PyObject *with_offsets, *with_validity, *ids = NULL, *result = NULL;
    long long rows, validity_offset;
    int failure = GROUPED;
    groups g = {.null = -1};
    (void)self;
    if (!PyArg_ParseTuple(args, "Ly*OOL", &rows, &values, &with_offsets, &with_validity, &validity_offset))
        return NULL;
    if ((with_offsets != Py_None && PyObject_GetBuffer(with_offsets, &offsets, PyBUF_SIMPLE) < 0) ||
        (with_validity != Py_None && PyObject_GetBuffer(with_validity, &validity, PyBUF_SIMPLE) < 0))
        goto done;
    if (rows < 0 || rows >= INT32_MAX || validity_offset < 0 ||
        (offsets.obj ? (rows + 1) * (long long)sizeof(int64_t) > offsets.len
                     : rows * (long long)sizeof(int64_t) > values.len) ||
        (validity.obj && (validity_offset + rows + 7) / 8 > validity.len)) {
        PyErr_SetString(PyExc_ValueError, "the keys do not lie in their buffers, or are more than 2^31");
        goto done;
    }
    ids = PyBytes_FromStringAndSize(NULL, rows * (Py_ssize_t)sizeof(int32_t));
    if (ids == NULL)
        goto done;
    {
        key_column c = {values.buf, offsets.obj ? offsets.buf : NULL, validity.obj ? validity.buf : NULL, rows, values.len,
                        validity_offset};
        char *out = PyBytes_AsString(ids);
        Py_BEGIN_ALLOW_THREADS
        failure = grow_groups(&g) < 0 ? NO_ROOM : group_rows(&c, &g, out);
        Py_END_ALLOW_THREADS
    }
    if (failure == NO_ROOM)
        PyErr_NoMemory();
    else if (failure == BAD_OFFSETS)
        PyErr_SetString(PyExc_ValueError, "offsets of texts ascend and stay in their bytes");
    else
        result = Py_BuildValue("Oy#", ids, g.firsts, (Py_ssize_t)(g.used * (int64_t)sizeof *g.firsts));
done:
    Py_XDECREF(ids);
    free(g.places);
    free(g.keys);
    free(g.firsts);
    PyBuffer_Release(&values);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&validity);
    return result;
}

#endif
