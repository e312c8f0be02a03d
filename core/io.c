/* SPDX-License-Identifier: Apache-2.0 */
/* io.c - filling the outbox of a turn; see io.h. */
#include "core/io.h"

enum { RESERVE_FACTOR = 4 }; /* ordinary operations, closes, aborts, proofs */

size_t io_outbox_bytes(uint32_t cap)
{
    return (size_t)cap * RESERVE_FACTOR * sizeof(struct io_op);
}

void io_outbox_init(struct io_outbox *o, struct arena *arena, uint32_t cap)
{
    CHECK(cap <= UINT32_MAX / RESERVE_FACTOR);
    *o = (struct io_outbox){.cap = cap};
    o->ops = ARENA_ARRAY(arena, struct io_op, (size_t)cap * RESERVE_FACTOR);
}

void io_outbox_clear(struct io_outbox *o)
{
    o->count = 0;
    o->taken = 0;
}

/* The next ordinary slot, or NULL (counted) when the turn's share is used up. */
static struct io_op *take(struct io_outbox *o, enum io_op_kind kind)
{
    if (o->taken >= o->cap) {
        o->refused++;
        return NULL;
    }
    struct io_op *op = &o->ops[o->count++];
    *op = (struct io_op){.kind = kind};
    o->taken++;
    return op;
}

static enum err refuse(struct msgbuf_pool *pool, struct msgbuf *buf)
{
    if (buf != NULL) {
        msgbuf_release(pool, buf);
    }
    return ERR_LIMIT;
}

enum err io_send(struct io_outbox *o, struct msgbuf_pool *pool, handle conn, struct msgbuf *buf)
{
    CHECK(buf != NULL);
    struct io_op *op = take(o, IO_OP_SEND);
    if (op == NULL) {
        return refuse(pool, buf);
    }
    op->conn = conn;
    op->buf = buf;
    return ERR_OK;
}

enum err io_datagram(struct io_outbox *o, struct msgbuf_pool *pool, uint16_t listener,
                     const struct address *remote, struct msgbuf *buf)
{
    CHECK(buf != NULL);
    CHECK(listener < IO_LISTENER_COUNT);
    struct io_op *op = take(o, IO_OP_DATAGRAM);
    if (op == NULL) {
        return refuse(pool, buf);
    }
    op->listener = listener;
    op->remote = *remote;
    op->buf = buf;
    return ERR_OK;
}

enum err io_mail(struct io_outbox *o, struct msgbuf_pool *pool, uint16_t shard, uint16_t mail,
                 uint64_t tag, struct msgbuf *buf)
{
    struct io_op *op = take(o, IO_OP_MAIL);
    if (op == NULL) {
        return refuse(pool, buf);
    }
    op->shard = shard;
    op->mail = mail;
    op->tag = tag;
    op->buf = buf;
    return ERR_OK;
}

enum err io_connect(struct io_outbox *o, const struct address *remote, uint64_t tag)
{
    struct io_op *op = take(o, IO_OP_CONNECT);
    if (op == NULL) {
        return ERR_LIMIT;
    }
    op->remote = *remote;
    op->tag = tag;
    return ERR_OK;
}

/* Close, abort and proved take from the reserve.  Said twice they are merged, but only when the
 * reserve runs out, so that the usual case stays constant in time. */
static void must(struct io_outbox *o, enum io_op_kind kind, handle conn)
{
    if (o->count == o->cap * RESERVE_FACTOR) {
        for (uint32_t i = 0; i < o->count; i++) {
            if (o->ops[i].kind == kind && o->ops[i].conn == conn) {
                return;
            }
        }
    }
    CHECK(o->count < o->cap * RESERVE_FACTOR);
    o->ops[o->count++] = (struct io_op){.kind = kind, .conn = conn};
}

void io_proved(struct io_outbox *o, handle conn)
{
    must(o, IO_OP_PROVED, conn);
}

void io_close(struct io_outbox *o, handle conn)
{
    must(o, IO_OP_CLOSE, conn);
}

void io_abort(struct io_outbox *o, handle conn)
{
    must(o, IO_OP_ABORT, conn);
}
