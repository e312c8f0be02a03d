/* SPDX-License-Identifier: Apache-2.0 */
/* test_table.c - the hash table, against a naive array, with deletion. */
#include "core/rng.h"
#include "core/table.h"
#include <criterion/criterion.h>

static uint8_t block[1 << 16];

static void run(uint32_t cap, size_t key_bytes, uint32_t universe, uint64_t seed)
{
    struct arena arena;
    arena_init(&arena, block, sizeof(block));
    struct table t;
    table_init(&t, &arena, cap, key_bytes, seed);
    struct rng rng;
    rng_init(&rng, seed);
    static uint32_t naive[1024]; /* value + 1 */
    memset(naive, 0, sizeof(naive));
    uint32_t count = 0;
    for (uint32_t step = 0; step < 40000; step++) {
        uint8_t key[32] = {0};
        uint32_t k = (uint32_t)rng_below(&rng, universe);
        memcpy(key + key_bytes - sizeof(uint16_t), &k, sizeof(uint16_t));
        uint32_t value = (uint32_t)rng_below(&rng, UINT32_MAX);
        uint32_t found = 0;
        table_prefetch(&t, key); /* there or not, it changes nothing */
        bool is_there = table_find(&t, key, &found);
        cr_assert_eq(is_there, naive[k] != 0);
        cr_assert(!is_there || found == naive[k] - 1);
        if (rng_below(&rng, 2) == 0) {
            enum err e = table_insert(&t, key, value);
            enum err expected = naive[k] != 0 ? ERR_EXISTS : count == cap ? ERR_LIMIT : ERR_OK;
            cr_assert_eq(e, expected);
            if (e == ERR_OK) {
                naive[k] = value + 1;
                count++;
            }
        } else {
            cr_assert_eq(table_remove(&t, key), naive[k] != 0);
            count -= naive[k] != 0;
            naive[k] = 0;
        }
        cr_assert_eq(t.count, count);
    }
}

Test(table, against_naive_array)
{
    run(0, 2, 10, 1);
    run(1, 2, 3, 2);
    run(3, 8, 5, 3);
    run(12, 20, 24, 4);
    run(100, 20, 110, 5);
    run(500, 32, 1000, 6);
}
