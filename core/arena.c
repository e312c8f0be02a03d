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

void *arena_take_raw(struct arena *a, size_t count, size_t size, size_t align)
{
    CHECK(align != 0 && (align & (align - 1)) == 0);
    size_t bytes = 0;
    CHECK(!__builtin_mul_overflow(count, size, &bytes));
    /* The address is aligned, not the offset: the block itself may stand anywhere. */
    uintptr_t at = (uintptr_t)a->base + a->used;
    size_t gap = (size_t)(-at & (align - 1));
    CHECK(a->cap - a->used >= gap);
    CHECK(a->cap - a->used - gap >= bytes);
    uint8_t *taken = a->base + a->used + gap;
    a->used += gap + bytes;
    poison_lift(taken, bytes); /* a pool may have stood there before */
#ifdef CHORDIAL_DEBUG
    memset(taken, POISON, min_size(bytes, POISON_BYTES));
#endif
    return taken;
}

void *arena_take(struct arena *a, size_t count, size_t size, size_t align)
{
    void *taken = arena_take_raw(a, count, size, align);
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
