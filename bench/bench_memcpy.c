/* SPDX-License-Identifier: Apache-2.0 */
/* bench_memcpy.c - the floor that decoders are compared with: to copy 500 bytes that no cache has.
 *
 * 64 MB in slots of 512 bytes, visited in a random order that was computed beforehand; each slot is
 * visited once before any is visited again.  A copy does not wait for the one before it, so that
 * the processor overlaps their misses: waiting makes it 1.7 times as long, and would be a floor
 * that is easier to stay below.  The pages are those that malloc gets, without a hint. */
#include "bench/bench.h"
#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_BYTES = 64 << 20, SLOT_BYTES = 512, COPY_BYTES = 500, SLOTS = POOL_BYTES / SLOT_BYTES };

struct pool {
    uint8_t *bytes;
    uint32_t *order;
    size_t copy_bytes; /* not a constant to the compiler, as it is not in a program */
};

static uint64_t word_of(size_t slot)
{
    return slot * 0x9e3779b97f4a7c15u;
}

static void *setup(void)
{
    static struct pool pool;
    if (pool.bytes != NULL) {
        return &pool;
    }
    struct rng rng;
    rng_init(&rng, 3);
    pool.bytes = aligned_alloc(4096, POOL_BYTES);
    pool.order = aligned_alloc(64, SLOTS * sizeof(*pool.order));
    bench_require(pool.bytes != NULL && pool.order != NULL, "no memory");
    pool.copy_bytes = COPY_BYTES;
    for (size_t i = 0; i < SLOTS; i++) {
        uint64_t word = word_of(i);
        memset(pool.bytes + i * SLOT_BYTES, (int)i, SLOT_BYTES);
        memcpy(pool.bytes + i * SLOT_BYTES + COPY_BYTES - sizeof(word), &word, sizeof(word));
        pool.order[i] = (uint32_t)i;
    }
    for (size_t i = SLOTS - 1; i > 0; i--) {
        size_t j = rng_below(&rng, i + 1);
        uint32_t swapped = pool.order[i];
        pool.order[i] = pool.order[j];
        pool.order[j] = swapped;
    }
    return &pool;
}

static uint64_t want(const void *state, size_t input)
{
    const struct pool *pool = state;
    return word_of(pool->order[input]);
}

static uint64_t run(void *state, uint64_t iterations)
{
    const struct pool *pool = state;
    uint8_t copy[SLOT_BYTES];
    uint64_t sum = 0;
    size_t next = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t word;
        memcpy(copy, pool->bytes + (size_t)pool->order[next] * SLOT_BYTES, pool->copy_bytes);
        bench_keep(copy);
        memcpy(&word, copy + COPY_BYTES - sizeof(word), sizeof(word));
        sum += word;
        next = next + 1 == SLOTS ? 0 : next + 1;
    }
    return sum;
}

const struct bench bench_memcpy_list[] = {
    {"memcpy/random_500", COPY_BYTES, SLOTS, setup, run, want},
    {0},
};
