/* SPDX-License-Identifier: Apache-2.0 */
/* test_io.c - the outbox: order, refusal, and a reserve that lets every connection be closed. */
#include "core/io.h"
#include <criterion/criterion.h>

static _Alignas(16) uint8_t block[1 << 16];

Test(io, refuses_but_always_closes)
{
    struct arena arena;
    arena_init(&arena, block, sizeof(block));
    struct msgbuf_pool pool;
    msgbuf_pool_init(&pool, &arena, 6, 0);
    struct io_outbox o;
    io_outbox_init(&o, &arena, 4);
    struct address to = {.family = 4, .port = 5};
    cr_assert_eq(io_connect(&o, &to, 9), ERR_OK);
    cr_assert_eq(io_send(&o, &pool, 1, msgbuf_acquire(&pool, 1)), ERR_OK);
    io_close(&o, 1);
    cr_assert_eq(io_datagram(&o, &pool, IO_LISTEN_SIP_UDP, &to, msgbuf_acquire(&pool, 1)), ERR_OK);
    cr_assert_eq(io_mail(&o, &pool, 1, IO_MAIL_SIP, 3, NULL), ERR_OK);
    cr_assert_eq(pool.in_use[0], 2);
    cr_assert_eq(io_send(&o, &pool, 1, msgbuf_acquire(&pool, 1)), ERR_LIMIT);
    cr_assert_eq(io_datagram(&o, &pool, 0, &to, msgbuf_acquire(&pool, 1)), ERR_LIMIT);
    cr_assert_eq(io_mail(&o, &pool, 1, IO_MAIL_SIP, 3, msgbuf_acquire(&pool, 1)), ERR_LIMIT);
    cr_assert_eq(io_mail(&o, &pool, 1, IO_MAIL_SIP, 3, NULL), ERR_LIMIT);
    cr_assert_eq(io_connect(&o, &to, 9), ERR_LIMIT);
    cr_assert_eq(pool.in_use[0], 2, "what was refused was released");
    cr_assert_eq(o.refused, 5);
    static const enum io_op_kind expected[] = {IO_OP_CONNECT, IO_OP_SEND, IO_OP_CLOSE,
                                               IO_OP_DATAGRAM, IO_OP_MAIL};
    cr_assert_eq(o.count, ARRAY_COUNT(expected));
    for (size_t i = 0; i < o.count; i++) {
        cr_assert_eq(o.ops[i].kind, expected[i]);
    }
    for (handle conn = 1; conn <= 4; conn++) {
        io_proved(&o, conn);
        io_abort(&o, conn);
        if (conn > 1) {
            io_close(&o, conn);
        }
    }
    cr_assert_eq(o.count, 16);
    io_abort(&o, 2); /* said twice: merged once the reserve is used up */
    cr_assert_eq(o.count, 16);
    msgbuf_release(&pool, o.ops[1].buf);
    msgbuf_release(&pool, o.ops[3].buf);
    io_outbox_clear(&o);
    cr_assert_eq(o.count, 0);
    cr_assert_eq(io_connect(&o, &to, 9), ERR_OK);
    cr_assert_eq(pool.in_use[0], 0);
}
