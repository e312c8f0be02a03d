/* SPDX-License-Identifier: Apache-2.0 */
/* transit_alloc.c - counts calls of the allocator by this thread: stands in front of jemalloc's
 * functions of the same names, and asks it by its other ones. */
#include "bench/transit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ZERO = 0x40 }; /* MALLOCX_ZERO; the alignment is said by its logarithm */

void *mallocx(size_t len, int flags);
void *rallocx(void *old, size_t len, int flags);
void *malloc(size_t len);
void *calloc(size_t members, size_t len);
void *realloc(void *old, size_t len);
void *aligned_alloc(size_t alignment, size_t len);
int posix_memalign(void **out, size_t alignment, size_t len);

static _Thread_local uint64_t count;

uint64_t transit_alloc_count(void)
{
    return count;
}

void *malloc(size_t len)
{
    count++;
    return mallocx(max_size(len, 1), 0);
}

void *calloc(size_t members, size_t len)
{
    size_t bytes = 0;
    count++;
    if (__builtin_mul_overflow(members, len, &bytes)) {
        return NULL;
    }
    return mallocx(max_size(bytes, 1), ZERO);
}

void *realloc(void *old, size_t len)
{
    count++;
    return old == NULL ? mallocx(max_size(len, 1), 0) : rallocx(old, max_size(len, 1), 0);
}

void *aligned_alloc(size_t alignment, size_t len)
{
    count++;
    return mallocx(max_size(len, 1), __builtin_ctzl(alignment));
}

int posix_memalign(void **out, size_t alignment, size_t len)
{
    *out = aligned_alloc(alignment, len);
    return *out == NULL ? ENOMEM : 0;
}
