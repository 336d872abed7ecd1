/* What one field of CSV says: a number, that one is missing, or something else. */
#ifndef STREAMNORM_CSV_VALUES_H
#define STREAMNORM_CSV_VALUES_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "decimal_text.h"

/* What stands for a missing number: texts, one behind the other, and numbers however they are written. */
typedef struct {
    const char **texts;
    Py_ssize_t *sizes;
    Py_ssize_t count, numbers;
    const char *values; /* float64 */
    uint64_t lengths;   /* bit i: a text has i bytes, or 63 and more */
    int empty;          /* whether nothing stands for it too */
} missing;

enum { IS_NUMBER, IS_MISSING, IS_OTHER };

INLINE uint64_t length_bit(Py_ssize_t size) { return (uint64_t)1 << (size < 63 ? size : 63); }

static int is_missing_text(const missing *m, const char *at, Py_ssize_t size)
{
    if (!(m->lengths & length_bit(size)))
        return 0;
    for (Py_ssize_t i = 0; i < m->count; i++)
        if (m->sizes[i] == size && memcmp(m->texts[i], at, (size_t)size) == 0)
            return 1;
    return 0;
}

INLINE int is_missing_number(const missing *m, double value)
{
    for (Py_ssize_t i = 0; i < m->numbers; i++) {
        double other;
        memcpy(&other, m->values + i * (Py_ssize_t)sizeof other, sizeof other);
        if (value == other)
            return 1;
    }
    return 0;
}

INLINE int is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

INLINE void trim_spaces(const char **at, const char **end)
{
    while (*at < *end && is_space(**at))
        ++*at;
    while (*at < *end && is_space((*end)[-1]))
        --*end;
}

/* Read "inf", "infinity" and "nan" in letters of any case. */
static int read_word(const char *at, const char *end, number *out)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {{"inf", INFINITY}, {"infinity", INFINITY}, {"nan", NAN}};
    int negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = strlen(words[i].text), same = 0;
        if (size != (size_t)(end - at))
            continue;
        while (same < size && (at[same] | 0x20) == words[i].text[same])
            same++;
        if (same == size) {
            out->value = negative ? -words[i].value : words[i].value;
            out->integer = out->leading_zero = 0;
            return 1;
        }
    }
    return 0;
}

/* Tell what a text without spaces around it is. */
INLINE int read_value(const char *at, const char *end, const missing *m, notation *n, number *out)
{
    if (at == end)
        return m->empty ? IS_MISSING : IS_OTHER;
    if (read_number(at, end, n, out))
        return m->numbers && is_missing_number(m, out->value) ? IS_MISSING : IS_NUMBER;
    if (is_missing_text(m, at, end - at))
        return IS_MISSING;
    return read_word(at, end, out) ? IS_NUMBER : IS_OTHER;
}

/* Tell whether a text is a number in some country: with a point or a comma, or with groups of three digits. */
static int looks_like_number(const char *at, const char *end)
{
    int groups = 0, first = 0, last = 0, right;
    char sign = 0;
    int64_t exponent;
    at += at < end && (*at == '-' || *at == '+');
    for (;; at++) {
        const char *from = at;
        while (at < end && is_digit(*at))
            at++;
        last = at - from > 4 ? 4 : (int)(at - from);
        first = groups ? first : last;
        if (at == end || memchr("., '", *at, 4) == NULL)
            break;
        if (groups && last != 3)
            return 0;
        sign = *at;
        groups++;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at = read_exponent(at + 1, end, &exponent, &right);
        if (!right)
            return 0;
    }
    if (at != end || (groups == 0 && last == 0))
        return 0;
    if (groups == 0 || (groups == 1 && (sign == '.' || sign == ',')))
        return first + last > 0;
    return first >= 1 && first <= 3 && (last == 3 || sign == '.' || sign == ',');
}

#endif
