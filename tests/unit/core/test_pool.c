/* SPDX-License-Identifier: Apache-2.0 */
/* test_pool.c - pools: handles notice reuse, exhaustion is a result, walking survives release. */
#include "core/poison.h"
#include "core/pool.h"
#include "core/rng.h"
#include <criterion/criterion.h>
#include <signal.h>

static _Alignas(16) uint8_t block[1 << 14];
struct object {
    uint32_t number;
    char text[13];
};

static void make(struct pool *p, uint32_t cap)
{
    struct arena arena;
    poison_lift(block, sizeof(block)); /* the pool before this one */
    memset(block, 0xaa, sizeof(block));
    arena_init(&arena, block, sizeof(block));
    pool_init(p, &arena, "object", 7, cap, sizeof(struct object));
}

Test(pool, handles_notice_reuse)
{
    struct pool p;
    make(&p, 3);
    struct object *a = pool_acquire(&p);
    cr_assert_eq(a->number, 0, "objects come zeroed");
    a->number = 5;
    handle h = pool_handle(&p, a);
    cr_assert_eq(handle_kind(h), 7);
    cr_assert_eq(pool_get(&p, h), a);
    cr_assert_null(pool_get(&p, 0));
    cr_assert_null(pool_get(&p, handle_make(8, handle_generation(h), handle_index(h))));
    cr_assert_null(pool_get(&p, handle_make(7, handle_generation(h), 3)));
    cr_assert_null(pool_get(&p, handle_make(7, 0, 1)), "never used");
    pool_release(&p, a);
    cr_assert_null(pool_get(&p, h));
    struct object *b = pool_acquire(&p);
    cr_assert_eq(b, a);
    cr_assert_eq(b->number, 0);
    cr_assert_null(pool_get(&p, h), "an old handle never finds the new object");
    pool_release(&p, b);
    cr_assert_eq(p.in_use, 0);
}

Test(pool, exhaustion_and_walk)
{
    struct pool p;
    make(&p, 10);
    for (uint32_t i = 0; i < 10; i++) {
        ((struct object *)pool_acquire(&p))->number = i;
    }
    cr_assert_null(pool_acquire(&p));
    cr_assert_eq(p.peak, 10);
    uint32_t index = 0;
    uint32_t seen = 0;
    struct object *o = NULL;
    while ((o = pool_next(&p, &index)) != NULL) {
        cr_assert_eq(o->number, seen);
        seen++;
        pool_release(&p, o);
    }
    cr_assert_eq(seen, 10);
    cr_assert_eq(p.in_use, 0);
    pool_fail_after(&p, 2);
    void *a = pool_acquire(&p);
    void *b = pool_acquire(&p);
    cr_assert_not_null(b);
    cr_assert_null(pool_acquire(&p));
    pool_fail_after(&p, UINT32_MAX);
    pool_release(&p, a);
    pool_release(&p, b);
    cr_assert_eq(p.in_use, 0);
    make(&p, 0);
    cr_assert_null(pool_acquire(&p));
}

Test(pool, generation_wraps)
{
    struct pool p;
    make(&p, 1);
    void *o = pool_acquire(&p);
    pool_release(&p, o);
    p.generations[0] = 0xffffffff - 1;
    o = pool_acquire(&p);
    cr_assert_eq(pool_get(&p, pool_handle(&p, o)), o);
    pool_release(&p, o);
    o = pool_acquire(&p);
    cr_assert_eq(pool_get(&p, pool_handle(&p, o)), o);
    pool_release(&p, o);
}

Test(pool, double_release, .signal = SIGABRT)
{
    struct pool p;
    make(&p, 2);
    void *o = pool_acquire(&p);
    pool_release(&p, o);
    pool_release(&p, o);
}

/* Objects of two pools lie beside each other, as far as both have one, and are as apart as any:
 * acquiring and releasing one leaves the other as it is. */
Test(pool, two_beside_each_other)
{
    enum { FEW = 5, MANY = 9 };
    static const struct pool_of few_are = {"few", 7, FEW, 64};
    static const struct pool_of many_are = {"many", 8, MANY, 64};
    struct arena arena;
    struct pool few, many;
    poison_lift(block, sizeof(block));
    memset(block, 0xaa, sizeof(block));
    arena_init(&arena, block, sizeof(block));
    pool_init_pair(&few, &few_are, &many, &many_are, &arena);
    uint8_t *a[FEW], *b[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        b[i] = pool_acquire(&many);
        cr_assert_not_null(b[i]);
        memset(b[i], (int)i, 64);
        if (i < FEW) {
            a[i] = pool_acquire(&few);
            cr_assert_eq((uintptr_t)a[i] % 64, 0);
            cr_assert_eq(b[i], a[i] + 64, "beside");
            memset(a[i], (int)(100 + i), 64);
        }
    }
    cr_assert_null(pool_acquire(&few));
    cr_assert_null(pool_acquire(&many));
    for (uint32_t i = 0; i < MANY; i++) {
        cr_expect_eq(b[i][0], i);
        cr_expect_eq(b[i][63], i);
        cr_expect_eq(pool_index(&many, b[i]), i);
        cr_expect_eq(pool_at(&many, i), b[i]);
        cr_expect_eq(pool_get(&many, pool_handle(&many, b[i])), b[i]);
        cr_expect_null(pool_get(&few, pool_handle(&many, b[i])));
    }
    for (uint32_t i = 0; i < FEW; i++) {
        pool_release(&many, b[i]);
        cr_expect_eq(a[i][0], 100 + i);
        cr_expect_eq(a[i][63], 100 + i);
        cr_assert_eq(pool_acquire(&many), b[i], "the one that was released last");
        cr_expect_eq(b[i][0], 0, "objects come zeroed");
        cr_expect_eq(a[i][63], 100 + i);
        cr_expect_eq(pool_index(&few, a[i]), i);
    }
    uint32_t index = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        cr_expect_eq(pool_next(&many, &index), b[i]);
    }
    cr_expect_null(pool_next(&many, &index));
}

Test(pool, who_is_of_the_other_is_not_ours, .signal = SIGABRT)
{
    static const struct pool_of one = {"one", 7, 3, 64};
    static const struct pool_of two = {"two", 8, 3, 64};
    struct arena arena;
    struct pool p, q;
    poison_lift(block, sizeof(block));
    arena_init(&arena, block, sizeof(block));
    pool_init_pair(&p, &one, &q, &two, &arena);
    (void)pool_acquire(&p);
    pool_release(&p, pool_acquire(&q));
}
