/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - open-addressing hash table from a key of fixed length to a 32-bit value.
 *
 * Keys are copied.  Hashing is XXH3 with a secret seed, so that nobody outside can choose keys that
 * collide.  Capacity is fixed at init; a full table answers ERR_LIMIT.  Linear probing with
 * backward-shift deletion: no tombstones, cost stays flat under churn. */
#pragma once
#include "core/arena.h"
#include "core/err.h"

struct table {
    uint8_t *keys;
    uint32_t *values; /* value + 1; 0 = empty */
    uint32_t key_bytes;
    uint32_t mask; /* slots - 1; slots >= 4/3 cap */
    uint32_t cap;
    uint32_t count;
    uint64_t seed;
};

void table_init(struct table *t, struct arena *arena, uint32_t cap, size_t key_bytes,
                uint64_t seed);
/* ERR_EXISTS leaves the old value; ERR_LIMIT when full. */
enum err table_insert(struct table *t, const void *key, uint32_t value) MUST_USE;
/* Sends for what a look-up of `key` will read. */
void table_prefetch(const struct table *t, const void *key);
bool table_find(const struct table *t, const void *key, uint32_t *value);
bool table_remove(struct table *t, const void *key);
