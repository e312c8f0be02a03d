/* SPDX-License-Identifier: Apache-2.0 */
/* bench_alloc.c - counts calls of the allocator: the benchmarks are linked with these in front of
 * the C library's. */
#include "bench/bench.h"

#include <errno.h>

/* glibc's own names for what is replaced here */
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *old, size_t len);
void *__libc_memalign(size_t alignment, size_t len);
void *malloc(size_t len);
void *calloc(size_t count, size_t len);
void *realloc(void *old, size_t len);
void *aligned_alloc(size_t alignment, size_t len);
int posix_memalign(void **out, size_t alignment, size_t len);

static uint64_t count; /* the program has one thread */

uint64_t bench_alloc_count(void)
{
    return count;
}

void *malloc(size_t len)
{
    count++;
    return __libc_malloc(len);
}

void *calloc(size_t members, size_t len)
{
    count++;
    return __libc_calloc(members, len);
}

void *realloc(void *old, size_t len)
{
    count++;
    return __libc_realloc(old, len);
}

void *aligned_alloc(size_t alignment, size_t len)
{
    count++;
    return __libc_memalign(alignment, len);
}

int posix_memalign(void **out, size_t alignment, size_t len)
{
    count++;
    *out = __libc_memalign(alignment, len);
    return *out == NULL ? ENOMEM : 0;
}
