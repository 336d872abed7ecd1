/* Memory that is used again: the system gives fresh memory page by page as it is first written to, which takes longer than
 * what is done there. An object of it has the buffer protocol, and gives its memory back when nothing views it any more. */
#ifndef STREAMNORM_MEMORY_H
#define STREAMNORM_MEMORY_H

#include <Python.h>
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

typedef struct {
    char *start;
    Py_ssize_t size;
} block;

/* Blocks that nobody uses, taken and put under the interpreter's lock. */
static struct {
    block blocks[16];
    int used;
    Py_ssize_t bytes;
} spare;

enum { SPARES = sizeof spare.blocks / sizeof *spare.blocks, SPARE_BYTES = 1 << 26, SMALLEST_SPARE = 1 << 15 };

static block take_out(int at)
{
    block taken = spare.blocks[at];
    spare.blocks[at] = spare.blocks[--spare.used];
    spare.bytes -= taken.size;
    return taken;
}

/* Give a block of at least so many bytes, and of no more than twice as many; its start is NULL where there is no memory. */
static block take_block(Py_ssize_t size)
{
    int best = -1;
    for (int i = 0; i < spare.used; i++)
        if (spare.blocks[i].size >= size && spare.blocks[i].size / 2 <= size &&
            (best < 0 || spare.blocks[i].size < spare.blocks[best].size))
            best = i;
    if (best >= 0)
        return take_out(best);
    return (block){malloc((size_t)size + 1), size};
}

/* Keep a block for later: the smallest ones make room for it. */
static void put_block(block given)
{
    if (given.size < SMALLEST_SPARE || given.size > SPARE_BYTES) {
        free(given.start);
        return;
    }
    while (spare.used == SPARES || spare.bytes + given.size > SPARE_BYTES) {
        int least = 0;
        for (int i = 1; i < spare.used; i++)
            if (spare.blocks[i].size < spare.blocks[least].size)
                least = i;
        free(take_out(least).start);
    }
    spare.blocks[spare.used++] = given;
    spare.bytes += given.size;
}

typedef struct {
    PyObject_HEAD
    block held;
    Py_ssize_t size;
} memory_object;

static PyTypeObject *memory_type;

static void memory_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    put_block(((memory_object *)self)->held);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int memory_view(PyObject *self, Py_buffer *view, int flags)
{
    const memory_object *own = (const memory_object *)self;
    return PyBuffer_FillInfo(view, self, own->held.start, own->size, 0, flags);
}

static PyType_Slot memory_slots[] = {
    {Py_tp_dealloc, (void *)memory_free},
    {Py_bf_getbuffer, (void *)memory_view},
    {0, NULL},
};

static PyType_Spec memory_spec = {
    "streamnorm.kernel.Memory", sizeof(memory_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, memory_slots,
};

/* Make an object of `size` bytes, which hold anything. */
static memory_object *new_memory(Py_ssize_t size)
{
    block held = take_block(size);
    memory_object *made = held.start == NULL ? (memory_object *)PyErr_NoMemory() : PyObject_New(memory_object, memory_type);
    if (made == NULL) {
        free(held.start);
        return NULL;
    }
    made->held = held;
    made->size = size;
    return made;
}

PyDoc_STRVAR(trim_doc, "trim(): give the system the memory that nobody uses and the C library keeps, as far as it can be asked to");

static PyObject *kernel_trim(PyObject *self, PyObject *none)
{
    (void)self, (void)none;
    while (spare.used > 0)
        free(take_out(0).start);
#if defined(__GLIBC__)
    Py_BEGIN_ALLOW_THREADS
    malloc_trim(0);
    Py_END_ALLOW_THREADS
#endif
    Py_RETURN_NONE;
}

PyDoc_STRVAR(memory_doc, "memory(size) -> a writable buffer of so many bytes, which hold anything until they are written to");

static PyObject *kernel_memory(PyObject *self, PyObject *object)
{
    Py_ssize_t size = PyLong_AsSsize_t(object);
    (void)self;
    if (size < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "memory has no negative size");
        return NULL;
    }
    return (PyObject *)new_memory(size);
}

#endif
