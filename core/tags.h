/* SPDX-License-Identifier: Apache-2.0 */
/* tags.h - open-addressing index from a keyed hash to a 32-bit number, eight bytes a slot.
 *
 * Keys are not copied: they stand in the objects that the numbers name, and whoever looks something
 * up compares them there, with the few candidates that have the same 32 bits of hash.  So a look-up
 * touches one cache line here, which can be asked for beforehand.  Hashing is XXH3 with a secret
 * seed.  Capacity is fixed at init.  Linear probing with backward-shift deletion, as in table.h. */
#pragma once
#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/slice.h"

struct tags_slot {
    uint32_t tag;
    uint32_t number; /* + 1; 0 = empty */
};

struct tags {
    struct tags_slot *slots;
    uint32_t mask; /* slots - 1; slots >= 4/3 cap */
    uint32_t cap;
    uint32_t count;
    uint64_t seed;
};

/* What tags_init takes of an arena. */
size_t tags_bytes(uint32_t cap);
void tags_init(struct tags *t, struct arena *arena, uint32_t cap, uint64_t seed);
uint32_t tags_hash(const struct tags *t, struct slice key);
/* The same of a key of 20 bytes. */
static inline uint32_t tags_hash_of_20(const struct tags *t, const void *key)
{
    return (uint32_t)hash_64_of_20(key, t->seed);
}
/* ERR_LIMIT when full.  That the key is new is for the caller to know. */
enum err tags_insert(struct tags *t, uint32_t tag, uint32_t number) MUST_USE;
/* False when it was not there. */
bool tags_remove(struct tags *t, uint32_t tag, uint32_t number);

static inline void tags_prefetch(const struct tags *t, uint32_t tag)
{
    __builtin_prefetch(&t->slots[tag & t->mask]);
}

/* Walks the numbers under a tag: start with *at = tag; false at the end. */
static inline bool tags_next(const struct tags *t, uint32_t tag, uint32_t *at, uint32_t *number)
{
    for (;;) {
        const struct tags_slot *slot = &t->slots[(*at)++ & t->mask];
        if (slot->number == 0) {
            return false;
        }
        if (slot->tag == tag) {
            *number = slot->number - 1;
            return true;
        }
    }
}
