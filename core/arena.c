/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - see arena.h. */
#include "core/arena.h"
#include "core/poison.h"
#include <string.h>

enum { POISON = 0xdb, POISON_BYTES = 65536 };

void arena_init(struct arena *a, void *block, size_t cap)
{
    CHECK(block != NULL || cap == 0);
    *a = (struct arena){.base = block, .cap = cap};
}

static void *take(struct arena *a, size_t bytes, size_t align)
{
    /* The address is aligned, not the offset: the block itself may stand anywhere. */
    uintptr_t at = (uintptr_t)a->base + a->used;
    size_t gap = (size_t)(-at & (align - 1));
    CHECK(a->cap - a->used >= gap);
    CHECK(a->cap - a->used - gap >= bytes);
    a->used += gap + bytes;
    return a->base + a->used - bytes;
}

static void *take_from_end(struct arena *a, size_t bytes, size_t align)
{
    align = bytes < ARENA_PAGE_BYTES ? align : max_size(align, ARENA_PAGE_BYTES);
    CHECK(a->cap - a->used >= bytes);
    size_t gap = ((uintptr_t)a->base + a->cap - bytes) & (align - 1);
    CHECK(a->cap - a->used - bytes >= gap);
    a->cap -= gap + bytes;
    return a->base + a->cap;
}

static void *take_from(struct arena *a, size_t count, size_t size, size_t align, bool is_end)
{
    CHECK(align != 0 && (align & (align - 1)) == 0);
    size_t bytes = 0;
    CHECK(!__builtin_mul_overflow(count, size, &bytes));
    void *taken = is_end ? take_from_end(a, bytes, align) : take(a, bytes, align);
    poison_lift(taken, bytes); /* a pool may have stood there before */
#ifdef CHORDIAL_DEBUG
    memset(taken, POISON, min_size(bytes, POISON_BYTES));
#endif
    return taken;
}

void *arena_take_raw(struct arena *a, size_t count, size_t size, size_t align)
{
    return take_from(a, count, size, align, a->is_split);
}

void *arena_take(struct arena *a, size_t count, size_t size, size_t align)
{
    void *taken = take_from(a, count, size, align, false);
    if (count * size != 0) {
        memset(taken, 0, count * size);
    }
    return taken;
}

void *arena_take_scratch(struct arena *a, size_t count, size_t size, size_t align)
{
    if (a->scratch == NULL) {
        return arena_take_raw(a, count, size, align);
    }
    struct arena shared = {.base = a->scratch, .cap = a->scratch_cap, .used = a->scratch_used};
    void *taken = arena_take_raw(&shared, count, size, align);
    a->scratch_used = shared.used;
    return taken;
}
