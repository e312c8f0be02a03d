/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h - where memory comes from: one mapping a shard, cut up by an arena.
 *
 * The only file that may ask for memory after start-up code is done; what it gives is zeroed and
 * given back as a whole.  Pages that nobody touches cost nothing, so generous arenas are cheap. */
#pragma once
#include "core/arena.h"
#include "core/err.h"

struct mem {
    struct arena arena;
    void *block;
    size_t bytes;
};

/* Maps at least `bytes`. */
enum err mem_open(struct mem *m, size_t bytes) MUST_USE;
/* The same for memory of which only some pages will ever be touched, here and there: no large
 * pages, which would make each of them cost 2 MiB. */
enum err mem_open_sparse(struct mem *m, size_t bytes) MUST_USE;
/* Brings in the pages of all that the arena has handed out so far, so that no turn pays for them:
 * the first touch of 2 MiB takes 0.2 ms, and up to 12 ms where a hypervisor has to find them.
 * ERR_NO_MEMORY: they cannot be had. */
enum err mem_populate(struct mem *m) MUST_USE;
void mem_close(struct mem *m);
