/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - memory that is taken once, at start, and given back as a whole.
 *
 * Owner:  whoever called arena_init with a block (core/os/mem in the daemon, sim/world in the
 *         simulator).  What an arena hands out lives as long as the block. */
#pragma once
#include "core/base.h"

struct arena {
    uint8_t *base;
    size_t cap;
    size_t used;
    /* Shared with others that never take their turns at the same time; NULL: there is none. */
    uint8_t *scratch;
    size_t scratch_cap;
    size_t scratch_used;
    /* What arena_take_raw gives comes from the end of the block, so that pages of which all is used
     * and pages of which little is are not the same ones.  `cap` says where that begins. */
    bool is_split;
    /* For large blocks of which pages here and there are touched; NULL: they stand here too. */
    struct arena *sparse;
};

void arena_init(struct arena *a, void *block, size_t cap);

/* Of an arena that is split a raw block of a page or more begins with one: so much room more each
 * of them may take. */
enum { ARENA_PAGE_BYTES = 4096 };

/* `count` * `size` zeroed bytes aligned to `align` (a power of two).  Too small an arena is our own
 * mistake (the budget in core/limits is a sum): CHECK. */
void *arena_take(struct arena *a, size_t count, size_t size, size_t align);

/* The same, not zeroed: for pools and scratch, whose users clear what they take.  Pages that are
 * never used are never touched then, so a table may have room for the worst and cost what is. */
void *arena_take_raw(struct arena *a, size_t count, size_t size, size_t align);

/* The same for what is written and read within one turn: from `scratch` if there is one, so that a
 * world of many nodes has it once. */
void *arena_take_scratch(struct arena *a, size_t count, size_t size, size_t align);

#define ARENA_ARRAY(a, type, count) ((type *)arena_take((a), (count), sizeof(type), _Alignof(type)))
#define ARENA_RAW(a, type, count)                                                                  \
    ((type *)arena_take_raw((a), (count), sizeof(type), _Alignof(type)))
#define ARENA_SCRATCH(a, type, count)                                                              \
    ((type *)arena_take_scratch((a), (count), sizeof(type), _Alignof(type)))
