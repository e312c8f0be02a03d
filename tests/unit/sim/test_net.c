/* SPDX-License-Identifier: Apache-2.0 */
/* test_net.c - connections of a made-up network, seen in the queue of what is going to happen. */
#include "sim/net.h"
#include "sim/world_impl.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { NODES = 3 };

/* Three nodes that are alive and do nothing. */
static struct world *make(void **block)
{
    static struct arena arena;
    static struct world_settings s;
    world_defaults(&s);
    s.nodes = NODES;
    size_t bytes = world_bytes(&s);
    *block = calloc(1, bytes);
    arena_init(&arena, *block, bytes);
    struct world *w = world_init(&arena, &s);
    for (uint32_t i = 0; i < NODES; i++) {
        w->nodes[i].is_alive = true;
    }
    return w;
}

/* Node `from` asks for one thing. */
static void ask(struct world *w, uint32_t from, const struct io_op *op)
{
    w->outbox.ops[w->outbox.count++] = *op;
    net_carry_out(w, from);
    w->sent_count = 0;
}

static void dial(struct world *w, uint32_t from, uint32_t to)
{
    struct io_op op = {.kind = IO_OP_CONNECT, .remote = net_address(to), .tag = 7};
    ask(w, from, &op);
}

static handle next(struct world *w, uint32_t node, enum io_event_kind kind)
{
    struct queue_event e;
    do {
        cr_assert_not_null(queue_first(&w->queue));
        queue_take(&w->queue, &e);
        w->now_us = e.at_us;
        if (e.buf != NULL) {
            msgbuf_release(&w->buffers, e.buf);
        }
    } while (e.node != node || e.io.kind != kind);
    return e.io.conn;
}

static void hang_up(struct world *w, uint32_t node, handle conn)
{
    struct io_op op = {.kind = IO_OP_CLOSE, .conn = conn};
    ask(w, node, &op);
}

static void send_byte(struct world *w, uint32_t node, handle conn)
{
    struct io_op op = {.kind = IO_OP_SEND, .conn = conn, .buf = msgbuf_acquire(&w->buffers, 1)};
    cr_assert_eq(msgbuf_append(op.buf, SLICE_LITERAL("x")), ERR_OK);
    ask(w, node, &op);
}

/* Node 1 closes its end, and another connection takes its place before node 0 hears of that.  What
 * node 0 still sends, and its own closing, are the old one's: the new one must not get them. */
Test(net, a_place_that_is_taken_again)
{
    void *block = NULL;
    struct world *w = make(&block);
    dial(w, 0, 1);
    handle old_there = next(w, 1, IO_ACCEPTED);
    handle old_here = next(w, 0, IO_CONNECTED);
    hang_up(w, 1, old_there);
    dial(w, 2, 1);
    send_byte(w, 0, old_here);
    hang_up(w, 0, old_here);
    handle new_there = 0;
    handle got = 0;
    handle closed = 0;
    struct queue_event e;
    while (queue_first(&w->queue) != NULL) {
        queue_take(&w->queue, &e);
        new_there = e.node == 1 && e.io.kind == IO_ACCEPTED ? e.io.conn : new_there;
        got = e.node == 1 && e.io.kind == IO_STREAM ? e.io.conn : got;
        closed = e.node == 1 && e.io.kind == IO_CLOSED ? e.io.conn : closed;
    }
    cr_assert_eq(handle_index(new_there), handle_index(old_there), "the place was not taken again");
    cr_expect_neq(new_there, old_there);
    cr_expect_eq(got, old_there);
    cr_expect_eq(closed, old_there);
    free(block);
}

/* Mail to a sibling is on its way when the sender ends, and its buffers are taken from it. */
Test(net, mail_outlives_its_sender)
{
    void *block = NULL;
    struct world *w = make(&block);
    w->settings.shards = NODES;
    w->buffers.owner = 0 + 1;
    struct io_op op = {.kind = IO_OP_MAIL, .shard = 1, .buf = msgbuf_acquire(&w->buffers, 1)};
    cr_assert_eq(msgbuf_append(op.buf, SLICE_LITERAL("x")), ERR_OK);
    struct msgbuf *held = msgbuf_acquire(&w->buffers, 1);
    ask(w, 0, &op);
    msgbuf_release_owned(&w->buffers, 0 + 1);
    cr_expect_eq(held->refs, 0);
    cr_expect_eq(op.buf->refs, 1);
    (void)next(w, 1, IO_MAIL);
    cr_expect_eq(world_buffers_in_use(w), 0);
    free(block);
}
