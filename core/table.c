/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - see table.h. */
#define XXH_INLINE_ALL
#include "core/table.h"
#include <string.h>
#include <xxhash.h>

void table_init(struct table *t, struct arena *arena, uint32_t cap, size_t key_bytes, uint64_t seed)
{
    CHECK(key_bytes > 0);
    CHECK(key_bytes <= UINT16_MAX);
    CHECK(cap <= UINT32_MAX / 4);
    uint64_t slots = 4;
    while (slots * 3 < (uint64_t)cap * 4) {
        slots *= 2;
    }
    *t = (struct table){
        .key_bytes = (uint32_t)key_bytes, .mask = (uint32_t)(slots - 1), .cap = cap, .seed = seed};
    t->keys = arena_take(arena, slots, key_bytes, 8);
    t->values = ARENA_ARRAY(arena, uint32_t, slots);
}

static uint8_t *key_at(const struct table *t, uint32_t slot)
{
    return t->keys + (size_t)slot * t->key_bytes;
}

static uint32_t home_of(const struct table *t, const void *key)
{
    return (uint32_t)XXH3_64bits_withSeed(key, t->key_bytes, t->seed) & t->mask;
}

/* The slot of the key, or the empty one where it would go: there always is one. */
static uint32_t probe(const struct table *t, const void *key)
{
    uint32_t slot = home_of(t, key);
    while (t->values[slot] != 0 && memcmp(key_at(t, slot), key, t->key_bytes) != 0) {
        slot = (slot + 1) & t->mask;
    }
    return slot;
}

void table_prefetch(const struct table *t, const void *key)
{
    uint32_t slot = home_of(t, key);
    __builtin_prefetch(&t->values[slot]);
    __builtin_prefetch(key_at(t, slot));
}

enum err table_insert(struct table *t, const void *key, uint32_t value)
{
    CHECK(value != UINT32_MAX);
    uint32_t slot = probe(t, key);
    if (t->values[slot] != 0) {
        return ERR_EXISTS;
    }
    if (t->count >= t->cap) {
        return ERR_LIMIT;
    }
    memcpy(key_at(t, slot), key, t->key_bytes);
    t->values[slot] = value + 1;
    t->count++;
    return ERR_OK;
}

bool table_find(const struct table *t, const void *key, uint32_t *value)
{
    uint32_t slot = probe(t, key);
    if (t->values[slot] == 0) {
        return false;
    }
    *value = t->values[slot] - 1;
    return true;
}

bool table_remove(struct table *t, const void *key)
{
    uint32_t hole = probe(t, key);
    if (t->values[hole] == 0) {
        return false;
    }
    /* Move back every later key of the run that may stand in the hole: its home is not behind it.
     */
    for (uint32_t at = (hole + 1) & t->mask; t->values[at] != 0; at = (at + 1) & t->mask) {
        uint32_t home = home_of(t, key_at(t, at));
        if (((at - home) & t->mask) >= ((at - hole) & t->mask)) {
            memcpy(key_at(t, hole), key_at(t, at), t->key_bytes);
            t->values[hole] = t->values[at];
            hole = at;
        }
    }
    t->values[hole] = 0;
    CHECK(t->count > 0);
    t->count--;
    return true;
}
