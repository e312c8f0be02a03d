/* SPDX-License-Identifier: Apache-2.0 */
/* test_tags.c - the index without keys, against a naive array, with deletion and equal tags. */
#include "core/rng.h"
#include "core/tags.h"
#include <criterion/criterion.h>

static uint8_t block[1 << 16];

static bool is_found(const struct tags *t, uint32_t tag, uint32_t number)
{
    uint32_t at = tag;
    uint32_t found = 0;
    uint32_t times = 0;
    while (tags_next(t, tag, &at, &found)) {
        times += found == number;
    }
    cr_assert_leq(times, 1);
    return times == 1;
}

/* `spread`: how many tags the numbers share, so that runs and equal tags occur. */
static void run(uint32_t cap, uint32_t universe, uint32_t spread, uint64_t seed)
{
    static bool naive[1024];
    static uint32_t tag_of[1024];
    struct arena arena;
    struct rng rng;
    struct tags t;
    arena_init(&arena, block, sizeof(block));
    tags_init(&t, &arena, cap, seed);
    cr_assert_leq(arena.used, tags_bytes(cap));
    rng_init(&rng, seed);
    uint32_t count = 0;
    for (uint32_t i = 0; i < universe; i++) {
        uint32_t key = i % spread;
        naive[i] = false;
        tag_of[i] = tags_hash(&t, slice_of(&key, sizeof(key)));
    }
    for (uint32_t step = 0; step < 40000; step++) {
        uint32_t i = (uint32_t)rng_below(&rng, universe);
        tags_prefetch(&t, tag_of[i]);
        cr_assert_eq(is_found(&t, tag_of[i], i), naive[i]);
        if (naive[i]) {
            cr_assert(tags_remove(&t, tag_of[i], i));
            cr_assert_not(tags_remove(&t, tag_of[i], i));
            naive[i] = false;
            count--;
        } else {
            enum err e = tags_insert(&t, tag_of[i], i);
            cr_assert_eq(e, count == cap ? ERR_LIMIT : ERR_OK);
            naive[i] = e == ERR_OK;
            count += e == ERR_OK;
        }
        cr_assert_eq(t.count, count);
    }
    for (uint32_t i = 0; i < universe; i++) {
        cr_assert_eq(is_found(&t, tag_of[i], i), naive[i]);
    }
}

Test(tags, against_naive_array)
{
    run(0, 10, 10, 1);
    run(1, 3, 3, 2);
    run(3, 5, 2, 3);
    run(12, 24, 24, 4);
    run(100, 110, 30, 5);
    run(500, 1000, 1000, 6);
    run(500, 520, 9, 7);
}
