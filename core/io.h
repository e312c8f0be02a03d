/* SPDX-License-Identifier: Apache-2.0 */
/* io.h - the seam between protocol code and the world: events come in, operations go out.
 *
 * core/os/shard fills it with io_uring or epoll, sim/net with a made-up network.  Both promise:
 *  - a connection is named by a handle whose index is below the number of connections allowed, so
 *    users may keep an array beside it; events of a closed connection are not delivered;
 *  - bytes handed in by an event are valid until the event handler returns, and writable, so that
 *    they may be decrypted or rewritten in place;
 *  - operations are carried out in order, after the turn; a send of a handle that is over is
 * dropped and its buffer released. */
#pragma once
#include "core/address.h"
#include "core/handle.h"
#include "core/msgbuf.h"

enum io_event_kind {
    IO_ACCEPTED,  /* conn, listener, local, remote */
    IO_CONNECTED, /* conn, tag, error; error != OK: conn is 0 and nothing needs closing */
    IO_STREAM,    /* conn, data, data_len */
    IO_SENT,      /* conn, data_len: bytes of earlier sends that the kernel has taken */
    IO_CLOSED,    /* conn, error: gone, the handle is over */
    IO_DATAGRAM,  /* listener, local, remote, data, data_len */
    IO_MAIL,      /* shard (the sender), mail, data, data_len, tag */
};

struct io_event {
    enum io_event_kind kind;
    enum err error;
    handle conn;
    uint64_t tag;
    uint16_t listener; /* enum io_listener */
    uint16_t shard;
    uint16_t mail; /* enum io_mail */
    struct address local;
    struct address remote;
    uint8_t *data;
    size_t data_len;
};

/* What an accepting socket is for; each shard has one of each that is configured. */
enum io_listener {
    IO_LISTEN_OVERLAY,     /* TCP: RELOAD trunks of this shard's peer */
    IO_LISTEN_OVERLAY_SIP, /* TCP: AppAttach connections (TLS, then SIP) */
    IO_LISTEN_OVERLAY_UDP, /* UDP: RELOAD datagram links of this shard's peer */
    IO_LISTEN_SIP_UDP,     /* phones */
    IO_LISTEN_SIP_TCP,
    IO_LISTEN_SIP_TLS,
    IO_LISTEN_SIP_WS, /* WebSocket, without and within TLS */
    IO_LISTEN_SIP_WSS,
    IO_LISTEN_SIP6_UDP, /* the same at the second address of the phone side, in the same order */
    IO_LISTEN_SIP6_TCP,
    IO_LISTEN_SIP6_TLS,
    IO_LISTEN_SIP6_WS,
    IO_LISTEN_SIP6_WSS,
    IO_LISTENER_COUNT
};
static inline bool io_listener_is_datagram(uint16_t listener)
{
    return listener == IO_LISTEN_OVERLAY_UDP || listener == IO_LISTEN_SIP_UDP ||
           listener == IO_LISTEN_SIP6_UDP;
}
static inline bool io_listener_is_sip(uint16_t listener)
{
    return listener >= IO_LISTEN_SIP_UDP && listener <= IO_LISTEN_SIP6_WSS;
}
/* Which of the first address's listeners it is like. */
static inline uint16_t io_listener_first(uint16_t listener)
{
    return listener < IO_LISTEN_SIP6_UDP
               ? listener
               : (uint16_t)(listener - IO_LISTEN_SIP6_UDP + IO_LISTEN_SIP_UDP);
}

/* What one shard mails to another. */
enum io_mail {
    IO_MAIL_LINK,     /* a RELOAD message over the in-process link */
    IO_MAIL_SIP,      /* a SIP message steered to its home shard, with its flow */
    IO_MAIL_SIP_SEND, /* SIP bytes to be sent on a flow of the receiving shard */
    IO_MAIL_SIP_PEER, /* a SIP message from a sibling peer, as over an AppAttach connection */
    IO_MAIL_CONTROL,  /* from and to the control thread: admin requests and answers */
    IO_MAIL_DNS,      /* to the control thread a question, from there the answer (sip/resolve) */
    IO_MAIL_PERSIST,  /* from the control thread: what has become of records (node/persist.h) */
};
enum { IO_SHARD_CONTROL = 0xffff }; /* the control thread, as sender or receiver of mail */

enum io_op_kind {
    IO_OP_CONNECT,  /* remote, tag (and local.family != 0: bind to it) */
    IO_OP_SEND,     /* conn, buf */
    IO_OP_CLOSE,    /* conn: after what was queued before it has been sent, at most 5 s later */
    IO_OP_ABORT,    /* conn: at once */
    IO_OP_DATAGRAM, /* listener, remote, buf */
    IO_OP_MAIL,     /* shard, mail, buf (NULL allowed), tag */
    IO_OP_PROVED,   /* conn: authenticated; the caps on strangers count it no longer */
};

struct io_op {
    enum io_op_kind kind;
    handle conn;
    uint64_t tag;
    uint16_t listener;
    uint16_t shard;
    uint16_t mail;
    struct address local;
    struct address remote;
    struct msgbuf *buf; /* the operation owns one reference */
};

/* The operations of one turn, in order.  Grows never: a full outbox refuses (ERR_LIMIT) and the
 * caller treats it like a lost packet or a failed dial. */
struct io_outbox {
    struct io_op *ops; /* 4 * cap: the rest is the reserve of close, abort and proved */
    uint32_t cap;      /* of the operations that may be refused */
    uint32_t taken;    /* of cap */
    uint32_t count;
    uint64_t refused;
};

void io_outbox_init(struct io_outbox *o, struct arena *arena, uint32_t cap);
/* Bytes that io_outbox_init takes from the arena: for budgets. */
size_t io_outbox_bytes(uint32_t cap);
/* Forgets the operations, which the engine has carried out. */
void io_outbox_clear(struct io_outbox *o);
/* Each takes over one reference to `buf`, also when it fails. */
enum err io_send(struct io_outbox *o, struct msgbuf_pool *pool, handle conn,
                 struct msgbuf *buf) MUST_USE;
enum err io_datagram(struct io_outbox *o, struct msgbuf_pool *pool, uint16_t listener,
                     const struct address *remote, struct msgbuf *buf) MUST_USE;
enum err io_mail(struct io_outbox *o, struct msgbuf_pool *pool, uint16_t shard, uint16_t mail,
                 uint64_t tag, struct msgbuf *buf) MUST_USE;
enum err io_connect(struct io_outbox *o, const struct address *remote, uint64_t tag) MUST_USE;
/* These must not fail: the outbox keeps a reserve of slots for them (one close, one abort and one
 * proof a connection), so `cap` has to be at least the number of connections allowed. */
void io_proved(struct io_outbox *o, handle conn);
void io_close(struct io_outbox *o, handle conn);
void io_abort(struct io_outbox *o, handle conn);
