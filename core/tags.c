/* SPDX-License-Identifier: Apache-2.0 */
/* tags.c - see tags.h.  The tag holds the home of a slot, so that keys are not needed to move one.
 */
#include "core/tags.h"

#include "core/hash.h"

static uint64_t slots_for(uint32_t cap)
{
    uint64_t slots = 8; /* one cache line */
    while (slots * 3 < (uint64_t)cap * 4) {
        slots *= 2;
    }
    return slots;
}

size_t tags_bytes(uint32_t cap)
{
    return (size_t)slots_for(cap) * sizeof(struct tags_slot) + 64;
}

void tags_init(struct tags *t, struct arena *arena, uint32_t cap, uint64_t seed)
{
    CHECK(cap <= UINT32_MAX / 4);
    uint64_t slots = slots_for(cap);
    *t = (struct tags){.mask = (uint32_t)(slots - 1), .cap = cap, .seed = seed};
    t->slots = arena_take(arena, slots, sizeof(struct tags_slot), 64);
}

uint32_t tags_hash(const struct tags *t, struct slice key)
{
    return (uint32_t)hash_64(key, t->seed);
}

enum err tags_insert(struct tags *t, uint32_t tag, uint32_t number)
{
    CHECK(number != UINT32_MAX);
    if (t->count >= t->cap) {
        return ERR_LIMIT;
    }
    uint32_t at = tag & t->mask;
    while (t->slots[at].number != 0) {
        at = (at + 1) & t->mask;
    }
    t->slots[at] = (struct tags_slot){tag, number + 1};
    t->count++;
    return ERR_OK;
}

bool tags_remove(struct tags *t, uint32_t tag, uint32_t number)
{
    uint32_t hole = tag & t->mask;
    while (t->slots[hole].number != number + 1 || t->slots[hole].tag != tag) {
        if (t->slots[hole].number == 0) {
            return false;
        }
        hole = (hole + 1) & t->mask;
    }
    /* Move back every later one of the run that may stand in the hole: its home is not behind it.
     */
    for (uint32_t at = (hole + 1) & t->mask; t->slots[at].number != 0; at = (at + 1) & t->mask) {
        if (((at - t->slots[at].tag) & t->mask) >= ((at - hole) & t->mask)) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole].number = 0;
    CHECK(t->count > 0);
    t->count--;
    return true;
}
