/* SPDX-License-Identifier: Apache-2.0 */
/* test_mailbox.c - buffers of others go home in batches: one item of the ring, however many. */
#include "core/os/mailbox.h"
#include "core/os/mem.h"
#include <criterion/criterion.h>

enum { RING = 4, MANY = 100, HERE = 0, THERE = 1 };

struct bed {
    struct mem mem;
    struct mailbox *mailbox;
    struct msgbuf_pool pool; /* of HERE */
};

static void open_bed(struct bed *b)
{
    cr_assert_eq(mem_open(&b->mem, 1u << 20), ERR_OK);
    b->mailbox = mailbox_open(&b->mem.arena, 2, RING);
    cr_assert_not_null(b->mailbox);
    msgbuf_pool_init(&b->pool, &b->mem.arena, MANY, 0);
}

static void close_bed(struct bed *b)
{
    mailbox_close(b->mailbox);
    mem_close(&b->mem);
}

/* What THERE does with buffers of HERE once it has read them. */
static void give_back(struct bed *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct msgbuf *buf = msgbuf_acquire(&b->pool, 1);
        cr_assert_not_null(buf);
        mailbox_give_back(b->mailbox, THERE, HERE, buf);
    }
}

Test(mailbox, a_ring_of_four_takes_a_hundred_home)
{
    struct bed b;
    struct mail none;
    open_bed(&b);
    for (size_t round = 0; round < 20; round++) {
        give_back(&b, MANY);
        cr_assert_eq(b.pool.in_use[0], MANY);
        mailbox_flush(b.mailbox, THERE);
        cr_assert_not(mailbox_take(b.mailbox, HERE, &b.pool, &none), "it is no mail");
        cr_assert_eq(b.pool.in_use[0], 0, "%u are not home", b.pool.in_use[0]);
    }
    close_bed(&b);
}

/* No room in the ring: they wait, grow, and go with a later turn. */
Test(mailbox, a_full_ring_keeps_them)
{
    struct bed b;
    struct mail mail = {.from = THERE, .mail = 7};
    open_bed(&b);
    size_t sent = 0;
    while (mailbox_send(b.mailbox, HERE, &mail)) {
        sent++;
    }
    cr_assert_eq(sent, RING);
    give_back(&b, MANY / 2);
    mailbox_flush(b.mailbox, THERE);
    give_back(&b, MANY / 2);
    mailbox_flush(b.mailbox, THERE);
    for (size_t i = 0; i < sent; i++) {
        cr_assert(mailbox_take(b.mailbox, HERE, &b.pool, &mail));
        cr_assert_eq(mail.mail, 7);
    }
    cr_assert_eq(b.pool.in_use[0], MANY);
    cr_assert_not(mailbox_take(b.mailbox, HERE, &b.pool, &mail));
    mailbox_flush(b.mailbox, THERE);
    cr_assert_not(mailbox_take(b.mailbox, HERE, &b.pool, &mail));
    cr_assert_eq(b.pool.in_use[0], 0);
    close_bed(&b);
}
