/* Between Python and CSV: the arguments and results of csv_fields, csv_texts, csv_splice and shortest. */
#ifndef STREAMNORM_CSV_CALLS_H
#define STREAMNORM_CSV_CALLS_H

#include "arguments.h"
#include "csv_texts.h"
#include "memory.h"

/* The texts of a list of bytes; they live as long as the list. */
static int parse_missing(PyObject *list, const Py_buffer *values, missing *m)
{
    m->count = PyList_Check(list) ? PyList_Size(list) : -1;
    if (m->count < 0) {
        PyErr_SetString(PyExc_TypeError, "what is missing must be a list of bytes");
        return -1;
    }
    m->texts = calloc((size_t)m->count + 1, sizeof *m->texts);
    m->sizes = calloc((size_t)m->count + 1, sizeof *m->sizes);
    if (m->texts == NULL || m->sizes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < m->count; i++) {
        char *text;
        if (PyBytes_AsStringAndSize(PyList_GetItem(list, i), &text, &m->sizes[i]) < 0)
            return -1;
        m->texts[i] = text;
        m->lengths |= length_bit(m->sizes[i]);
        m->empty |= m->sizes[i] == 0;
    }
    m->values = values->buf;
    m->numbers = values->len / (Py_ssize_t)sizeof(double);
    return 0;
}

/* The numbers of the wanted fields, which ascend. */
static int32_t *parse_wanted(const Py_buffer *numbers, int32_t fields)
{
    int32_t *wanted = malloc((size_t)numbers->len + sizeof *wanted), last = -1;
    if (wanted == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(wanted, numbers->buf, (size_t)numbers->len);
    for (Py_ssize_t i = 0; i < numbers->len / (Py_ssize_t)sizeof last; last = wanted[i++])
        if (wanted[i] <= last || wanted[i] > fields) {
            PyErr_SetString(PyExc_ValueError, "wanted fields must ascend and be fields of the header, or the end of the record");
            free(wanted);
            return NULL;
        }
    return wanted;
}

/* Memory for the results: values, validity, tallies and, if asked for, spans. */
static int make_room(csv_reading *r, int with_spans, PyObject *made[4])
{
    Py_ssize_t cells = r->columns * (Py_ssize_t)r->capacity, bits = cells / 8, tallies = r->columns * CSV_TALLIES * 8;
    memory_object *values = new_memory(8 * cells), *validity = new_memory(bits), *spans = new_memory(with_spans ? 8 * cells : 0);
    made[0] = (PyObject *)values;
    made[1] = (PyObject *)validity;
    made[2] = PyBytes_FromStringAndSize(NULL, tallies);
    made[3] = (PyObject *)spans;
    if (values == NULL || validity == NULL || made[2] == NULL || spans == NULL)
        return -1;
    r->values = (double *)(void *)values->held.start;
    r->validity = (uint8_t *)validity->held.start;
    r->tallies = (int64_t *)(void *)PyBytes_AsString(made[2]);
    r->spans = with_spans ? (int32_t *)(void *)spans->held.start : NULL;
    memset(r->validity, 0xFF, (size_t)bits); /* what is no number is taken out */
    memset(r->tallies, 0, (size_t)tallies);
    for (Py_ssize_t i = 0; i < r->columns; i++)
        r->tallies[i * CSV_TALLIES + FIRST_OTHER] = r->tallies[i * CSV_TALLIES + FIRST_CODE] = -1;
    return 0;
}

static PyObject *result_of(const csv_reading *r, PyObject *made[4])
{
    return Py_BuildValue("LLOOOOy#LLLL", (long long)r->rows, (long long)r->capacity, made[0], made[1], made[2], made[3],
                         r->wides ? (const char *)r->wides : "", (Py_ssize_t)(r->wide_count * (int64_t)sizeof *r->wides),
                         (long long)r->padded, (long long)r->first_padded, (long long)r->found, (long long)r->open);
}

PyDoc_STRVAR(csv_fields_doc,
             "csv_fields(data, delimiter, comment, decimal, thousands, fields, wanted, kinds, missing, missing_values, "
             "with_spans) -> (rows, capacity, values, validity, tallies, spans, wides, padded, first_padded, found, open)\n\n"
             "Kind 0 is text, 1 a number whose span is that of its text, 2 one whose span is the whole field; field number "
             "`fields` is the end of the record. Values, validity bits and tallies lie column after column, `capacity` rows "
             "each. `found` is the number of fields of record `rows` where that is wrong, and `open` where its quote stands "
             "that is never closed, else -1.");

static PyObject *read_all_records(csv_reading *r, const Py_buffer *views, PyObject *texts, int with_spans)
{
    PyObject *made[4] = {NULL, NULL, NULL, NULL}, *result = NULL;
    csv_marks marks = {.data = r->data, .end = r->end, .delimiter = r->delimiter, .comment = r->comment};
    int32_t *wanted = parse_wanted(&views[1], r->fields);
    r->wanted = wanted;
    r->capacity = rows_at_most(r->data, r->end, r->fields);
    if (wanted != NULL && parse_missing(texts, &views[3], &r->missing) == 0 && make_room(r, with_spans, made) == 0) {
        if (make_marks(&marks, r->fields) < 0 || make_reading_room(r, marks.capacity) < 0)
            PyErr_NoMemory();
        else {
            Py_BEGIN_ALLOW_THREADS
            STRICTLY(read_records(r, &marks));
            if (r->wide_count)
                qsort(r->wides, (size_t)r->wide_count, sizeof *r->wides, wide_order);
            Py_END_ALLOW_THREADS
            result = r->notation.out_of_memory || r->parts.out_of_memory ? PyErr_NoMemory() : result_of(r, made);
        }
    }
    for (int i = 0; i < 4; i++)
        Py_XDECREF(made[i]);
    free_marks(&marks);
    free_reading_room(r);
    free(wanted);
    free((void *)r->missing.texts);
    free(r->missing.sizes);
    free(r->notation.scratch);
    free(r->parts.scratch);
    free(r->wides);
    return result;
}

static PyObject *kernel_csv_fields(PyObject *self, PyObject *args)
{
    PyObject *objects[4], *texts, *result = NULL;
    Py_buffer views[4];
    const char *delimiter, *comment, *decimal, *thousands;
    int fields, with_spans, taken = 0;
    csv_reading r = {0};
    (void)self;
    if (!PyArg_ParseTuple(args, "OssssiOOOOp", &objects[0], &delimiter, &comment, &decimal, &thousands, &fields,
                          &objects[1], &objects[2], &texts, &objects[3], &with_spans))
        return NULL;
    while (taken < 4 && PyObject_GetBuffer(objects[taken], &views[taken], PyBUF_SIMPLE) == 0)
        taken++;
    if (taken == 4 && (fields < 0 || views[0].len > INT32_MAX - SPAN || views[2].len * 4 != views[1].len ||
                       (!with_spans && memchr(views[2].buf, 0, (size_t)views[2].len) != NULL)))
        PyErr_SetString(PyExc_ValueError, "fields of text need spans, of less than 2^31 bytes of data");
    else if (taken == 4) {
        r.data = views[0].buf;
        r.end = r.data + views[0].len;
        r.delimiter = delimiter[0];
        r.comment = comment[0];
        r.notation.decimal = decimal[0];
        r.notation.thousands = thousands[0];
        r.fields = fields;
        r.kinds = views[2].buf;
        r.columns = views[2].len;
        r.first_padded = r.found = r.open = -1;
        result = read_all_records(&r, views, texts, with_spans);
    }
    while (taken-- > 0)
        PyBuffer_Release(&views[taken]);
    return result;
}

/* Whether the spans of `rows` records lie in the data, one behind the other where they are to be edited. */
static int spans_fit(const Py_buffer *spans, int64_t rows, int64_t wanted, int64_t size, int ordered)
{
    const int32_t *at = spans->buf;
    int32_t last = 0;
    if (rows < 0 || wanted < 1 || rows > INT64_MAX / 8 / wanted || rows * wanted * 8 > spans->len)
        return 0;
    for (int64_t i = 0; i < rows * wanted; i++, at += 2) {
        if (at[0] < last || at[1] < at[0] || at[1] > size)
            return 0;
        last = ordered ? at[1] : 0;
    }
    return 1;
}

PyDoc_STRVAR(csv_texts_doc, "csv_texts(data, spans, slot, wanted, rows) -> (offsets, texts) of an Arrow column of text");

/* Put a wanted field of every record into `to`, and where each begins into `offset`; return the end. */
static char *put_texts(const char *data, const int32_t *span, int64_t wanted, int64_t rows, int32_t *offset, char *to)
{
    char *start = to;
    *offset = 0;
    for (int64_t i = 0; i < rows; i++, span += 2 * wanted) {
        to = unquoted(data + span[0], data + span[1], to);
        offset[i + 1] = (int32_t)(to - start);
    }
    return to;
}

static PyObject *texts_of(const Py_buffer *data, const int32_t *span, int64_t wanted, int64_t rows)
{
    PyObject *offsets = PyBytes_FromStringAndSize(NULL, ((Py_ssize_t)rows + 1) * 4), *result = NULL;
    size_t size = 1;
    char *texts, *end;
    for (int64_t i = 0; i < rows; i++)
        size += (size_t)(span[2 * i * wanted + 1] - span[2 * i * wanted]);
    texts = malloc(size);
    if (texts == NULL)
        PyErr_NoMemory();
    else if (size > INT32_MAX)
        PyErr_SetString(PyExc_ValueError, "the texts of a column must have less than 2^31 bytes");
    else if (offsets != NULL) {
        int32_t *offset = (int32_t *)(void *)PyBytes_AsString(offsets);
        Py_BEGIN_ALLOW_THREADS
        end = put_texts(data->buf, span, wanted, rows, offset, texts);
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("Oy#", offsets, texts, (Py_ssize_t)(end - texts));
    }
    free(texts);
    Py_XDECREF(offsets);
    return result;
}

static PyObject *kernel_csv_texts(PyObject *self, PyObject *args)
{
    PyObject *data_object, *spans_object, *result = NULL;
    Py_buffer data, spans;
    long long slot, wanted, rows;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOLLL", &data_object, &spans_object, &slot, &wanted, &rows) ||
        PyObject_GetBuffer(data_object, &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(spans_object, &spans, PyBUF_SIMPLE) == 0) {
        if (slot < 0 || slot >= wanted || !spans_fit(&spans, rows, wanted, data.len, 0))
            PyErr_SetString(PyExc_ValueError, "a span reaches outside of the data");
        else
            result = texts_of(&data, (const int32_t *)spans.buf + 2 * slot, wanted, rows);
        PyBuffer_Release(&spans);
    }
    PyBuffer_Release(&data);
    return result;
}

/* (action, type, values, validity, validity_offset, missing, missing_offset) of float64 or float32 from the first on. */
static int parse_edit(PyObject *item, csv_edit *e, Py_buffer *views, int64_t rows)
{
    PyObject *objects[3];
    const char *type;
    long long offsets[2];
    if (!PyArg_ParseTuple(item, "isOOLOL", &e->action, &type, &objects[0], &objects[1], &offsets[0], &objects[2],
                          &offsets[1]))
        return -1;
    e->type = type[0];
    if (e->action < REPLACE || e->action > REMOVE || (e->type != 'd' && e->type != 'f') || offsets[0] < 0 || offsets[1] < 0) {
        PyErr_SetString(PyExc_ValueError, "an edit has a field out of range");
        return -1;
    }
    for (int i = 0; i < 3; i++)
        if (objects[i] != Py_None && PyObject_GetBuffer(objects[i], &views[i], PyBUF_SIMPLE) < 0)
            return -1;
    if ((e->action != REMOVE && (views[0].obj == NULL || rows * (e->type == 'd' ? 8 : 4) > views[0].len)) ||
        (views[1].obj && (offsets[0] + rows + 7) / 8 > views[1].len) ||
        (views[2].obj && (offsets[1] + rows + 7) / 8 > views[2].len))
        return outside("an edit's");
    e->values = views[0].buf;
    e->validity = views[1].obj ? views[1].buf : NULL;
    e->missing = views[2].obj ? views[2].buf : NULL;
    e->validity_offset = offsets[0];
    e->missing_offset = offsets[1];
    return 0;
}

static PyObject *spliced(const Py_buffer *data, const Py_buffer *spans, const csv_edit *edits, Py_ssize_t count, int64_t rows,
                         csv_signs signs)
{
    Py_ssize_t most = data->len + (Py_ssize_t)rows * count * (LONGEST_TEXT + 3) + 2 * PIECE;
    memory_object *result = new_memory(most);
    decimal_number *room = malloc((size_t)count * NUMBERS_AT_ONCE * sizeof *room + 1);
    char *start, *end;
    if (result == NULL || room == NULL) {
        Py_XDECREF((PyObject *)result);
        free(room);
        return PyErr_NoMemory();
    }
    start = result->held.start;
    Py_BEGIN_ALLOW_THREADS
    end = splice_fields(data->buf, (const char *)data->buf + data->len, spans->buf, edits, count, rows, signs, room, start);
    Py_END_ALLOW_THREADS
    free(room);
    return Py_BuildValue("Nn", (PyObject *)result, (Py_ssize_t)(end - start));
}

PyDoc_STRVAR(csv_splice_doc, "csv_splice(data, spans, rows, edits, delimiter, decimal) -> (memory, size) of the data with every record edited");

static PyObject *kernel_csv_splice(PyObject *self, PyObject *args)
{
    PyObject *data_object, *spans_object, *list, *result = NULL;
    Py_buffer data = {0}, spans = {0}, *views;
    const char *delimiter, *decimal;
    csv_edit *edits;
    long long rows;
    Py_ssize_t count, parsed = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOLO!ss", &data_object, &spans_object, &rows, &PyList_Type, &list, &delimiter, &decimal))
        return NULL;
    count = PyList_Size(list);
    views = calloc((size_t)count * 3 + 1, sizeof *views);
    edits = calloc((size_t)count + 1, sizeof *edits);
    if (views == NULL || edits == NULL)
        PyErr_NoMemory();
    else if (PyObject_GetBuffer(data_object, &data, PyBUF_SIMPLE) == 0 &&
             PyObject_GetBuffer(spans_object, &spans, PyBUF_SIMPLE) == 0) {
        if (!spans_fit(&spans, rows, count, data.len, 1))
            PyErr_SetString(PyExc_ValueError, "the spans of edits lie outside of the data or in another order");
        else
            while (parsed < count && parse_edit(PyList_GetItem(list, parsed), &edits[parsed], &views[3 * parsed], rows) == 0)
                parsed++;
        if (parsed == count && !PyErr_Occurred())
            result = spliced(&data, &spans, edits, count, rows, (csv_signs){delimiter[0], decimal[0]});
    }
    for (Py_ssize_t i = 0; views != NULL && i < 3 * count; i++)
        PyBuffer_Release(&views[i]);
    PyBuffer_Release(&spans);
    PyBuffer_Release(&data);
    free(views);
    free(edits);
    return result;
}

PyDoc_STRVAR(shortest_doc, "shortest(values, type, decimal) -> (offsets, texts) of an Arrow column of text");

static PyObject *kernel_shortest(PyObject *self, PyObject *args)
{
    PyObject *object, *offsets, *result = NULL;
    Py_buffer values;
    char *start;
    const char *type, *decimal;
    Py_ssize_t width, rows;
    decimal_number room[NUMBERS_AT_ONCE];
    (void)self;
    if (!PyArg_ParseTuple(args, "Oss", &object, &type, &decimal) || PyObject_GetBuffer(object, &values, PyBUF_SIMPLE) < 0)
        return NULL;
    width = type[0] == 'f' ? 4 : 8;
    rows = values.len / width;
    offsets = PyBytes_FromStringAndSize(NULL, (rows + 1) * 4);
    start = rows > INT32_MAX / LONGEST_TEXT ? NULL : malloc((size_t)rows * LONGEST_TEXT + 2 * PIECE);
    if (start == NULL)
        PyErr_NoMemory();
    else if (offsets != NULL) {
        int32_t *offset = (int32_t *)(void *)PyBytes_AsString(offsets);
        char *to = start;
        Py_BEGIN_ALLOW_THREADS
        *offset = 0;
        for (Py_ssize_t i = 0; i < rows; i++) {
            if (i % NUMBERS_AT_ONCE == 0)
                find_decimals((const char *)values.buf + i * width, width == 4 ? 'f' : 'd',
                              rows - i < NUMBERS_AT_ONCE ? (int)(rows - i) : NUMBERS_AT_ONCE, room);
            to = put_decimal(to, &room[i % NUMBERS_AT_ONCE], decimal[0]);
            offset[i + 1] = (int32_t)(to - start);
        }
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("Oy#", offsets, start, to - start);
    }
    free(start);
    Py_XDECREF(offsets);
    PyBuffer_Release(&values);
    return result;
}

#endif
