/* SPDX-License-Identifier: Apache-2.0 */
/* test_msgbuf.c - message buffers: sizes, references, exhaustion. */
#include "core/msgbuf.h"
#include <criterion/criterion.h>
#include <signal.h>

static uint8_t block[1 << 17];

static void make(struct msgbuf_pool *p)
{
    struct arena arena;
    arena_init(&arena, block, sizeof(block));
    msgbuf_pool_init(p, &arena, 3, 2);
}

Test(msgbuf, sizes_and_references)
{
    struct msgbuf_pool p;
    make(&p);
    struct msgbuf *s = msgbuf_acquire(&p, MSGBUF_SMALL_BYTES);
    struct msgbuf *l = msgbuf_acquire(&p, MSGBUF_SMALL_BYTES + 1);
    cr_assert_eq(msgbuf_tailroom(s), MSGBUF_SMALL_BYTES);
    cr_assert_eq(msgbuf_tailroom(l), MSGBUF_LARGE_BYTES);
    cr_assert_null(msgbuf_acquire(&p, MSGBUF_LARGE_BYTES + 1));
    cr_assert_eq(msgbuf_append(s, SLICE_LITERAL("hello")), ERR_OK);
    cr_assert(slice_is_equal(msgbuf_slice(s), SLICE_LITERAL("hello")));
    static uint8_t big[MSGBUF_SMALL_BYTES];
    cr_assert_eq(msgbuf_append(s, slice_of(big, sizeof(big))), ERR_TOO_LARGE);
    cr_assert_eq(s->len, 5);
    cr_assert_eq(msgbuf_append(s, slice_of(big, sizeof(big) - 5)), ERR_OK);
    cr_assert_eq(msgbuf_tailroom(s), 0);
    cr_assert_eq(msgbuf_append(s, SLICE_EMPTY), ERR_OK);
    s->start -= 10; /* the headroom is the user's */
    s->len += 10;
    cr_assert_eq(msgbuf_ref(s), s);
    msgbuf_release(&p, s);
    cr_assert_eq(p.in_use[0], 1);
    msgbuf_release(&p, s);
    msgbuf_release(&p, l);
    cr_assert_eq(p.in_use[0] + p.in_use[1], 0);
}

Test(msgbuf, exhaustion)
{
    struct msgbuf_pool p;
    make(&p);
    struct msgbuf *held[3];
    for (size_t i = 0; i < 3; i++) {
        held[i] = msgbuf_acquire(&p, 1);
        cr_assert_not_null(held[i]);
    }
    cr_assert_null(msgbuf_acquire(&p, 1));
    struct msgbuf *l = msgbuf_acquire(&p, 4000);
    cr_assert_not_null(l, "the sizes do not starve each other");
    msgbuf_release(&p, l);
    for (size_t i = 0; i < 3; i++) {
        msgbuf_release(&p, held[i]);
    }
    p.fail_after = 1;
    held[0] = msgbuf_acquire(&p, 1);
    cr_assert_null(msgbuf_acquire(&p, 1));
    msgbuf_release(&p, held[0]);
    cr_assert_eq(p.in_use[0] + p.in_use[1], 0);
    cr_assert_eq(p.peak[0], 3);
}

Test(msgbuf, the_last_are_for_upkeep)
{
    struct msgbuf_pool p;
    make(&p);
    msgbuf_pool_reserve(&p, 1, 100); /* of 3 and 2: never more than half */
    cr_assert_eq(p.reserved[1], 1);
    struct msgbuf *held[4] = {msgbuf_acquire(&p, 1), msgbuf_acquire(&p, 1)};
    cr_assert_not_null(held[1]);
    cr_assert_null(msgbuf_acquire(&p, 1));
    cr_assert_eq(p.refused, 1);
    cr_assert_eq(p.from_reserve, 0);
    held[2] = msgbuf_acquire_reserved(&p, 1);
    cr_assert_not_null(held[2]);
    cr_assert_eq(p.from_reserve, 1);
    cr_assert_null(msgbuf_acquire_reserved(&p, 1));
    cr_assert_eq(p.refused, 2);
    msgbuf_release(&p, held[2]);
    cr_assert_null(msgbuf_acquire(&p, 1), "what comes back is the reserve again");

    bool before = msgbuf_open_reserve(&p, true);
    cr_assert_not(before);
    held[2] = msgbuf_acquire(&p, 1);
    cr_assert_not_null(held[2]);
    cr_assert(msgbuf_open_reserve(&p, before));
    held[3] = msgbuf_acquire(&p, 4000); /* each size has its own */
    cr_assert_not_null(held[3]);
    cr_assert_null(msgbuf_acquire(&p, 4000));
    for (size_t i = 0; i < 4; i++) {
        msgbuf_release(&p, held[i]);
    }
    cr_assert_eq(p.in_use[0] + p.in_use[1], 0);
}

/* One that takes nothing gets half of what there is, and so on: never all. */
Test(msgbuf, an_account_leaves_as_many_as_it_holds)
{
    enum { COUNT = 40, ACCOUNTS = 9 };
    static uint8_t bytes[COUNT * 2400 + 8192];
    struct msgbuf *held[COUNT];
    struct msgbuf_pool p;
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, bytes, sizeof(bytes));
    msgbuf_pool_init(&p, &arena, COUNT, 0);
    msgbuf_pool_reserve(&p, 4, 0);
    const size_t wanted[ACCOUNTS] = {18, 27, 32, 34, 35, 36, 36, 36, 36};
    for (uint16_t a = 0; a < ACCOUNTS; a++) {
        struct msgbuf *b = NULL;
        while ((b = msgbuf_acquire_for(&p, a + 1, 100)) != NULL) {
            held[count++] = b;
        }
        cr_assert_eq(count, wanted[a], "account %u: %zu", a, count);
        cr_assert_not(msgbuf_has_share(&p, a + 1, false));
    }
    cr_assert_geq(p.over_share, ACCOUNTS - 1);
    bool before = msgbuf_open_reserve(&p, true); /* upkeep goes to those who hold much, too */
    cr_assert_not_null(held[count++] = msgbuf_acquire_for(&p, 1, 100));
    msgbuf_open_reserve(&p, before);
    msgbuf_charge(&p, held[0], 7);
    cr_assert_eq(p.held[0][1], 18);
    cr_assert_eq(p.held[0][7], 1);
    while (count > 0) {
        msgbuf_release(&p, held[--count]);
    }
    for (size_t a = 0; a < MSGBUF_ACCOUNTS; a++) {
        cr_assert_eq(p.held[0][a], 0);
    }
}

Test(msgbuf, foreign_release, .signal = SIGABRT)
{
    struct msgbuf_pool p;
    make(&p);
    struct msgbuf other = {.refs = 1};
    msgbuf_release(&p, &other);
}

/* Of any size, in use or not, even of another pool: what is asked of the memory changes nothing. */
Test(msgbuf, asking_ahead_changes_nothing)
{
    struct msgbuf_pool p, other;
    make(&p);
    static uint8_t before[sizeof(block)];
    struct msgbuf *own[] = {msgbuf_acquire(&p, 1), msgbuf_acquire(&p, MSGBUF_LARGE_BYTES)};
    struct arena arena;
    static uint8_t elsewhere[sizeof(block)];
    arena_init(&arena, elsewhere, sizeof(elsewhere));
    msgbuf_pool_init(&other, &arena, 3, 2);
    struct msgbuf *foreign[] = {msgbuf_acquire(&other, 1), msgbuf_acquire(&other, 4000)};
    msgbuf_release(&p, own[0]);
    struct msgbuf_pool pool_before = p;
    memcpy(before, block, sizeof(block));
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        msgbuf_prefetch(&p, own[i]);
        msgbuf_prefetch(&p, foreign[i]);
        msgbuf_prefetch(&other, own[i]);
    }
    cr_expect_eq(memcmp(&p, &pool_before, sizeof(p)), 0);
    cr_expect_eq(memcmp(before, block, sizeof(block)), 0);
}
