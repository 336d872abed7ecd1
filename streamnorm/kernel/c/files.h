/* What Python lacks of a system's ways with files. */
#ifndef STREAMNORM_FILES_H
#define STREAMNORM_FILES_H

#include <Python.h>

#if defined(__linux__)
#include <fcntl.h>
#endif

PyDoc_STRVAR(write_early_doc,
             "write_early(file, start, size) -> None\n\n"
             "Let the system begin to bring a file's bytes to the disk, where it can, so that less waits for an fsync. What goes "
             "wrong, the fsync tells.");

static PyObject *kernel_write_early(PyObject *self, PyObject *args)
{
    int file;
    long long start, size;
    (void)self;
    if (!PyArg_ParseTuple(args, "iLL", &file, &start, &size))
        return NULL;
#if defined(SYNC_FILE_RANGE_WRITE)
    Py_BEGIN_ALLOW_THREADS
    (void)sync_file_range(file, (off_t)start, (off_t)size, SYNC_FILE_RANGE_WRITE);
    Py_END_ALLOW_THREADS
#endif
    return Py_NewRef(Py_None);
}

#endif
