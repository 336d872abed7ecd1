/* The compiled half of streamnorm.kernel: exact sums, extremes and wide additions over buffers.
 *
 * One extension module on CPython's stable ABI, without numpy's C interface. Inputs are runs of columns
 * (see `parse_run`) taken through the buffer protocol; results are bytes that Python views as arrays.
 * The interpreter's lock is released while numbers are being added. The folder `reference` beside this one has the
 * same functions in Python, which give the same integers. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "arithmetic.h"
#include "arrow.h"
#include "bins.h"
#include "byte_arrays.h"
#include "csv_calls.h"
#include "csv_rows.h"
#include "files.h"
#include "groups.h"
#include "memory.h"
#include "parquet_chunks.h"
#include "parquet_footer.h"
#include "parquet_pages.h"
#include "parquet_remade.h"
#include "parquet_rewrite.h"
#include "products.h"
#include "rounding.h"
#include "segments.h"
#include "statistics.h"
#include "thrift_trees.h"

#if CHOICE_OF_TARGETS
#include <cpuid.h>
#endif

static const char *target_in_use;
#define USE_TARGET(suffix) \
    (target_in_use = #suffix, USE_ARITHMETIC_LOOPS(suffix), USE_COLUMNS_LOOPS(suffix), \
     USE_DIGITS_LOOPS(suffix), USE_MARKS_LOOPS(suffix), USE_EXTREMES_LOOPS(suffix), USE_HISTOGRAM_LOOPS(suffix), USE_HYBRID_LOOPS(suffix), \
     USE_LANES_LOOPS(suffix), USE_MOMENTS_LOOPS(suffix), USE_PRODUCTS_LOOPS(suffix), \
     USE_ROWS_LOOPS(suffix), USE_SHORTEST_LOOPS(suffix), USE_TEXTS_LOOPS(suffix))

#if CHOICE_OF_TARGETS
/* Whether zeros in front of a word are counted by one instruction; older compilers do not know its name. */
static int counts_zeros(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000001u, &a, &b, &c, &d) && (c >> 5 & 1);
}
#endif

static void choose_target(const char *at_most)
{
    USE_TARGET(baseline);
    checksum_of_rest = checksum_by_tables;
#if CHOICE_OF_TARGETS
    __builtin_cpu_init();
    if (strcmp(at_most, "baseline") == 0)
        return;
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        checksum_of_rest = checksum_by_products;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !counts_zeros())
        return;
    USE_TARGET(avx2);
    if (strcmp(at_most, "avx2") == 0)
        return;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
        USE_TARGET(avx512);
        if (__builtin_cpu_supports("avx512vbmi2"))
            find_marks = find_marks_compressing;
    }
#else
    (void)at_most;
#endif
}

PyDoc_STRVAR(instructions_doc,
             "instructions(at_most=None) -> name of the instruction set in use; choose one of 'baseline', 'avx2', 'avx512'");

static PyObject *kernel_instructions(PyObject *self, PyObject *args)
{
    const char *at_most = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "|s", &at_most))
        return NULL;
    if (at_most != NULL)
        choose_target(at_most);
    return PyUnicode_FromString(target_in_use);
}

static PyMethodDef methods[] = {
    {"moments", kernel_moments, METH_VARARGS, moments_doc},
    {"extremes", kernel_extremes, METH_VARARGS, extremes_doc},
    {"histogram", kernel_histogram, METH_VARARGS, histogram_doc},
    {"merge_bins", kernel_merge_bins, METH_VARARGS, merge_bins_doc},
    {"csv_fields", kernel_csv_fields, METH_VARARGS, csv_fields_doc},
    {"csv_splice", kernel_csv_splice, METH_VARARGS, csv_splice_doc},
    {"csv_texts", kernel_csv_texts, METH_VARARGS, csv_texts_doc},
    {"last_row", kernel_last_row, METH_VARARGS, last_row_doc},
    {"longest", kernel_longest, METH_O, longest_doc},
    {"column_chunks", kernel_column_chunks, METH_O, column_chunks_doc},
    {"pages", kernel_pages, METH_VARARGS, pages_doc},
    {"count_pages", kernel_count_pages, METH_VARARGS, count_pages_doc},
    {"write_struct", kernel_write_struct, METH_O, write_struct_doc},
    {"read_struct", kernel_read_struct, METH_VARARGS, read_struct_doc},
    {"read_pages", kernel_read_pages, METH_VARARGS, read_pages_doc},
    {"unpack", kernel_unpack, METH_VARARGS, unpack_doc},
    {"crc32", kernel_crc32, METH_O, crc32_doc},
    {"plain", kernel_plain, METH_O, plain_doc},
    {"products", kernel_products, METH_VARARGS, products_doc},
    {"round_moments", kernel_round_moments, METH_VARARGS, round_moments_doc},
    {"shortest", kernel_shortest, METH_VARARGS, shortest_doc},
    {"group", kernel_group, METH_VARARGS, group_doc},
    {"sort", kernel_sort, METH_VARARGS, sort_doc},
    {"trim", kernel_trim, METH_NOARGS, trim_doc},
    {"memory", kernel_memory, METH_O, memory_doc},
    {"write_early", kernel_write_early, METH_VARARGS, write_early_doc},
    {"add", kernel_add, METH_VARARGS, add_doc},
    {"arithmetic", kernel_arithmetic, METH_VARARGS, arithmetic_doc},
    {"index_bounds", kernel_index_bounds, METH_VARARGS, index_bounds_doc},
    {"open_pages", kernel_open_pages, METH_VARARGS, open_pages_doc},
    {"remake_pages", kernel_remake_pages, METH_VARARGS, remake_pages_doc},
    {"seal_pages", kernel_seal_pages, METH_VARARGS, seal_pages_doc},
    {"page_header", kernel_page_header, METH_VARARGS, page_header_doc},
    {"instructions", kernel_instructions, METH_VARARGS, instructions_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_kernel", "Exact sums and extremes over buffers.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    prepare_checksums();
    choose_target("");
    memory_type = (PyTypeObject *)PyType_FromSpec(&memory_spec);
    return memory_type == NULL ? NULL : PyModule_Create(&module);
}
