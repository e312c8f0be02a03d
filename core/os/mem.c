/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c - see mem.h. */
#include "core/os/mem.h"
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

enum err mem_open(struct mem *m, size_t bytes, bool is_populated)
{
    *m = (struct mem){0};
    if (bytes > SIZE_MAX - PAGE_BYTES) {
        return ERR_NO_MEMORY;
    }
    size_t rounded = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (is_populated ? MAP_POPULATE : 0);
    void *block = mmap(NULL, max_size(rounded, PAGE_BYTES), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (block == MAP_FAILED) {
        return ERR_NO_MEMORY;
    }
    if (!is_populated && rounded >= 2 * HUGE_BYTES) {
        /* A million records lie on as many small pages, and to find one costs as much as to read
         * it.  Where the kernel has no large ones, nothing changes. */
        (void)madvise(block, rounded, MADV_HUGEPAGE);
    }
    m->block = block;
    m->bytes = max_size(rounded, PAGE_BYTES);
    arena_init(&m->arena, block, m->bytes);
    return ERR_OK;
}

void mem_close(struct mem *m)
{
    if (m->block != NULL) {
        CHECK(munmap(m->block, m->bytes) == 0);
    }
    *m = (struct mem){0};
}
