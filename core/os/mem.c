/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c - see mem.h. */
#include "core/os/mem.h"
#include <sys/mman.h>

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

static enum err map(struct mem *m, size_t bytes, int flags)
{
    *m = (struct mem){0};
    if (bytes > SIZE_MAX - PAGE_BYTES) {
        return ERR_NO_MEMORY;
    }
    size_t rounded = max_size((bytes + PAGE_BYTES - 1) / PAGE_BYTES, 1) * PAGE_BYTES;
    void *block = mmap(NULL, rounded, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    if (block == MAP_FAILED) {
        return ERR_NO_MEMORY;
    }
    m->block = block;
    m->bytes = rounded;
    arena_init(&m->arena, block, m->bytes);
    return ERR_OK;
}

enum err mem_open(struct mem *m, size_t bytes, bool is_populated)
{
    enum err e = map(m, bytes, is_populated ? MAP_POPULATE : 0);
    if (e == ERR_OK && !is_populated && m->bytes >= 2 * HUGE_BYTES) {
        /* A million records lie on as many small pages, and to find one costs as much as to read
         * it.  Where the kernel has no large ones, nothing changes. */
        (void)madvise(m->block, m->bytes, MADV_HUGEPAGE);
    }
    return e;
}

enum err mem_open_sparse(struct mem *m, size_t bytes)
{
    enum err e = map(m, bytes, 0);
    if (e == ERR_OK) {
        (void)madvise(m->block, m->bytes, MADV_NOHUGEPAGE);
    }
    return e;
}

void mem_close(struct mem *m)
{
    if (m->block != NULL) {
        CHECK(munmap(m->block, m->bytes) == 0);
    }
    *m = (struct mem){0};
}
