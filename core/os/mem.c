/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c - see mem.h. */
#include "core/os/mem.h"
#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 << 20 };

static enum err map(struct mem *m, size_t bytes)
{
    *m = (struct mem){0};
    if (bytes > SIZE_MAX - PAGE_BYTES) {
        return ERR_NO_MEMORY;
    }
    size_t rounded = max_size((bytes + PAGE_BYTES - 1) / PAGE_BYTES, 1) * PAGE_BYTES;
    void *block = mmap(NULL, rounded, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        return ERR_NO_MEMORY;
    }
    m->block = block;
    m->bytes = rounded;
    arena_init(&m->arena, block, m->bytes);
    return ERR_OK;
}

enum err mem_open(struct mem *m, size_t bytes)
{
    enum err e = map(m, bytes);
    if (e == ERR_OK && m->bytes >= 2 * HUGE_BYTES) {
        /* A million records lie on as many small pages, and to find one costs as much as to read
         * it.  Where the kernel has no large ones, nothing changes. */
        (void)madvise(m->block, m->bytes, MADV_HUGEPAGE);
    }
    return e;
}

enum err mem_open_sparse(struct mem *m, size_t bytes)
{
    enum err e = map(m, bytes);
    if (e == ERR_OK) {
        (void)madvise(m->block, m->bytes, MADV_NOHUGEPAGE);
    }
    return e;
}

enum err mem_populate(struct mem *m)
{
    size_t used = (m->arena.used + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (used == 0 || madvise(m->block, used, MADV_POPULATE_WRITE) == 0) {
        return ERR_OK;
    }
    if (errno != EINVAL) {
        return ERR_NO_MEMORY;
    }
    for (size_t at = 0; at < used; at += PAGE_BYTES) { /* a kernel before 5.14 */
        volatile uint8_t *byte = (uint8_t *)m->block + at;
        *byte = *byte;
    }
    return ERR_OK;
}

void mem_close(struct mem *m)
{
    if (m->block != NULL) {
        CHECK(munmap(m->block, m->bytes) == 0);
    }
    *m = (struct mem){0};
}
