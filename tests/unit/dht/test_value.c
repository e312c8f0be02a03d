/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of the store against a plain list of what was handed out: nothing overlaps, nothing is
 * lost, and all of it comes back. */
#include "dht/value.h"

#include "core/rng.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { CAP = 40000, HELD = 200 };

struct held {
    uint32_t piece;
    uint32_t len;
    uint8_t mark;
};

static void check_bytes(const struct value_heap *h, const struct held *one)
{
    const uint8_t *bytes = value_at(h, one->piece);
    for (uint32_t i = 0; i < one->len; i++) {
        cr_assert_eq(bytes[i], one->mark);
    }
}

Test(value, random_against_a_list)
{
    static struct held held[HELD];
    struct arena arena;
    struct value_heap heap;
    struct rng rng;
    uint8_t *block = calloc(1, value_heap_bytes(CAP) + 256);
    arena_init(&arena, block, value_heap_bytes(CAP) + 256);
    value_heap_init(&heap, &arena, CAP);
    rng_init(&rng, 5);
    uint32_t full = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        struct held *one = &held[rng_below(&rng, HELD)];
        if (one->piece != VALUE_NONE) {
            check_bytes(&heap, one);
            value_release(&heap, one->piece, one->len);
            *one = (struct held){0};
            continue;
        }
        one->len = 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 8) == 0 ? 5000 : 300);
        one->piece = value_acquire(&heap, one->len);
        one->mark = (uint8_t)step;
        full += one->piece == VALUE_NONE;
        if (one->piece != VALUE_NONE) {
            memset(value_at(&heap, one->piece), one->mark, one->len);
        }
    }
    cr_assert_gt(full, 0, "the heap was full at times");
    for (size_t i = 0; i < HELD; i++) {
        if (held[i].piece != VALUE_NONE) {
            check_bytes(&heap, &held[i]);
            value_release(&heap, held[i].piece, held[i].len);
        }
    }
    cr_assert_eq(heap.used_bytes, 0);
    cr_assert_eq(heap.free_units, heap.units);
    uint32_t whole = value_acquire(&heap, 32768);
    cr_assert_neq(whole, VALUE_NONE, "everything has grown together again");
    cr_assert_eq(value_acquire(&heap, 1 << 20), VALUE_NONE, "larger than the largest piece");
    free(block);
}
