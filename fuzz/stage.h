/* SPDX-License-Identifier: Apache-2.0 */
/* stage.h - one peer alone with a fuzzer that plays everybody else: a turn, a clock, identities,
 * and connections of which the other end is ours.
 *
 * Stands in for sim/world where a whole world for each input would be too slow: all memory is one
 * block that is wiped between inputs.  The far end of each connection has a fake TLS of its own, so
 * that the fuzzer can speak as an authenticated neighbor; raw bytes go past it.
 * Limits: STAGE_CONNS connections, the first STAGE_BYTES of what the peer said on each. */
#pragma once
#include "codec/frame.h"
#include "core/turn.h"
#include "dht/ident.h"
#include "fuzz/fuzz.h"
#include "sim/crypto_fake.h"
#include "sim/tls_fake.h"

enum {
    STAGE_CONNS = 12,
    STAGE_DIALS = 8,
    STAGE_BYTES = 24 * 1024,
    STAGE_BLOCK = 24 << 20,
    STAGE_OUTBOX = 512,
    STAGE_IDENTS = 5, /* of the peer itself, two neighbors, two phone accounts */
    STAGE_TAIL = 4096,
};

struct stage_conn {
    bool is_open, is_dialled;
    uint32_t generation;
    struct tls *far;   /* the far end's; NULL when it has none */
    uint32_t sequence; /* of the far end's next frame */
    uint32_t unsent;   /* bytes the peer has sent, not yet reported with IO_SENT */
    size_t got;        /* plaintext from the peer, in `bytes` */
    uint8_t bytes[STAGE_BYTES];
};

struct stage_ident {
    struct ident ident;
    struct crypto_fake_key key;
    uint8_t certificate[CRYPTO_FAKE_CERTIFICATE_BYTES];
};

struct stage {
    struct arena arena;
    struct turn turn;
    struct wheel wheel;
    struct rng rng;
    struct crypto crypto;
    struct msgbuf_pool buffers;
    struct io_outbox outbox;
    struct metrics metrics;
    struct log log;
    struct tls_fake_table tls;
    struct tls_fake_context contexts[STAGE_IDENTS];
    struct stage_ident idents[STAGE_IDENTS];
    struct slice root;
    struct crypto_trust trust;
    struct stage_conn conns[STAGE_CONNS];
    struct io_op dials[STAGE_DIALS]; /* not yet answered */
    uint32_t dial_count;
    uint8_t tail[STAGE_TAIL]; /* what the peer said last, to anybody */
    size_t tail_len;
    uint32_t datagrams_out;
    uint64_t bytes_out;
    void *user; /* the target's */
    void (*on_event)(struct stage *s, const struct io_event *event);
    void (*on_timers)(struct stage *s);
    void (*on_flush)(struct stage *s);
    void (*on_datagram)(struct stage *s, const struct io_op *op); /* NULL: nobody reads them */
};

/* Nobody outside can break a line of the log. */
static inline void stage_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context;
    CHECK(level <= LOG_DEBUG && len < LOG_LINE_CAP);
    for (size_t i = 0; i < len; i++) {
        CHECK(line[i] >= ' ' && line[i] <= '~');
    }
}

static inline void stage_make_ident(struct stage *s, uint32_t i, const char *user)
{
    struct stage_ident *out = &s->idents[i];
    struct ident *id = &out->ident;
    struct crypto_fake_names names = {
        .user = slice_text(user),
        .node_id = id->node_id.bytes,
        .not_before_ms = s->turn.wall_ms - 3600000,
        .not_after_ms = s->turn.wall_ms + 86400000,
    };
    crypto_fake_key_make(&out->key, &s->rng);
    memset(id->node_id.bytes, (int)(0x20 + 0x30 * i), 16);
    crypto_fake_issue(s->root, &out->key, &names, out->certificate);
    memcpy(id->user, user, strlen(user));
    id->user_len = strlen(user);
    id->certificate = slice_of(out->certificate, sizeof(out->certificate));
    s->crypto.sha256(id->certificate, id->certificate_sha256);
    id->key = (const struct crypto_key *)(const void *)&out->key;
    id->algorithm = CRYPTO_ED25519;
    id->not_before_ms = names.not_before_ms;
    id->not_after_ms = names.not_after_ms;
    s->contexts[i] = (struct tls_fake_context){.table = &s->tls, .certificate = id->certificate};
}

/* Everything as on the first day.  Gives the arena for the peer. */
static inline struct stage *stage_init(void)
{
    static struct stage stage;
    static uint8_t *block;
    struct stage *s = &stage;
    block = block == NULL ? malloc(STAGE_BLOCK) : block;
    CHECK(block != NULL);
    memset(s, 0, sizeof(*s));
    arena_init(&s->arena, block, STAGE_BLOCK);
    rng_init(&s->rng, 4711);
    crypto_fake_init(&s->crypto, &s->rng);
    wheel_init(&s->wheel, 1000000);
    msgbuf_pool_init(&s->buffers, &s->arena, 160, 48);
    io_outbox_init(&s->outbox, &s->arena, STAGE_OUTBOX);
    log_init(&s->log, stage_log, NULL, LOG_DEBUG, 0);
    tls_fake_table_init(&s->tls, &s->arena, 4 * STAGE_CONNS, 6 * STAGE_CONNS);
    s->turn = (struct turn){.now_us = 1000000,
                            .wall_ms = 1800000000000ULL,
                            .rng = &s->rng,
                            .crypto = &s->crypto,
                            .wheel = &s->wheel,
                            .buffers = &s->buffers,
                            .out = &s->outbox,
                            .metrics = &s->metrics,
                            .log = &s->log};
    s->root = SLICE_LITERAL("the root of a.example");
    s->trust = (struct crypto_trust){.roots = &s->root,
                                     .root_count = 1,
                                     .overlay_name = SLICE_LITERAL("a.example"),
                                     .node_id_length = 16};
    static const char *const users[STAGE_IDENTS] = {
        "host@a.example", "eve@a.example", "mallory@a.example", "alice@a.example", "bob@a.example"};
    for (uint32_t i = 0; i < STAGE_IDENTS; i++) {
        stage_make_ident(s, i, users[i]);
    }
    return s;
}

static inline handle stage_handle(const struct stage *s, uint32_t i)
{
    return handle_make(HANDLE_CONN, s->conns[i].generation, i);
}

static inline struct address stage_address(uint8_t host)
{
    struct address a = {.family = 4, .port = (uint16_t)(5060 + host)};
    a.ip[0] = 10;
    a.ip[3] = host;
    return a;
}

/* ---- what the peer does ---- */

static inline struct stage_conn *stage_conn_of(struct stage *s, handle conn)
{
    uint32_t i = handle_index(conn);
    CHECK(conn == 0 || i < STAGE_CONNS);
    bool is_there = conn != 0 && s->conns[i].is_open && stage_handle(s, i) == conn;
    return is_there ? &s->conns[i] : NULL;
}

static inline void stage_drop(struct stage_conn *c)
{
    c->is_open = false;
    if (c->far != NULL) {
        tls_fake_ops()->close(c->far);
        c->far = NULL;
    }
}

/* The peer's bytes arrive at the far end. */
static inline void stage_hear(struct stage *s, struct stage_conn *c, struct slice bytes)
{
    s->bytes_out += bytes.len;
    c->unsent += (uint32_t)bytes.len;
    if (c->far == NULL) { /* a phone's */
        size_t len = min_size(bytes.len, sizeof(s->tail));
        memcpy(s->tail, bytes.data, len);
        s->tail_len = len;
        return;
    }
    if (tls_fake_ops()->feed(c->far, bytes) != ERR_OK) {
        return;
    }
    size_t len = 0;
    while (tls_fake_ops()->read(c->far, c->bytes + c->got, sizeof(c->bytes) - c->got, &len) ==
               ERR_OK &&
           len > 0) {
        s->tail_len = min_size(len, sizeof(s->tail));
        memcpy(s->tail, c->bytes + c->got, s->tail_len);
        c->got += len;
        if (c->got == sizeof(c->bytes)) {
            c->got = 0; /* whole frames are lost: the far end does not mind */
        }
        len = 0;
    }
}

static inline void stage_carry_out(struct stage *s)
{
    for (uint32_t i = 0; i < s->outbox.count; i++) {
        struct io_op *op = &s->outbox.ops[i];
        struct stage_conn *c =
            op->kind == IO_OP_CONNECT || op->kind == IO_OP_MAIL || op->kind == IO_OP_DATAGRAM
                ? NULL
                : stage_conn_of(s, op->conn);
        if (op->kind == IO_OP_CONNECT) {
            CHECK(address_range_of(&op->remote) <= ADDRESS_PRIVATE && op->remote.port >= 1024);
            s->dials[s->dial_count % STAGE_DIALS] = *op;
            s->dial_count = s->dial_count < STAGE_DIALS ? s->dial_count + 1 : STAGE_DIALS;
        } else if (op->kind == IO_OP_SEND && c != NULL) {
            stage_hear(s, c, msgbuf_slice(op->buf));
        } else if (op->kind == IO_OP_DATAGRAM) {
            s->tail_len = min_size(op->buf->len, sizeof(s->tail));
            memcpy(s->tail, msgbuf_data(op->buf), s->tail_len);
            s->datagrams_out++;
            s->bytes_out += op->buf->len;
            if (s->on_datagram != NULL) {
                s->on_datagram(s, op);
            }
        } else if ((op->kind == IO_OP_CLOSE || op->kind == IO_OP_ABORT) && c != NULL) {
            stage_drop(c);
        }
        if (op->buf != NULL) {
            msgbuf_release(&s->buffers, op->buf);
        }
    }
    io_outbox_clear(&s->outbox);
}

/* ---- what happens to the peer ---- */

static inline void stage_event(struct stage *s, const struct io_event *event)
{
    if (event != NULL) {
        s->on_event(s, event);
    }
    s->on_timers(s);
    s->on_flush(s);
    stage_carry_out(s);
}

/* Time passes, timer by timer. */
static inline void stage_sleep(struct stage *s, uint64_t us)
{
    enum { TIMERS = 400 };
    uint64_t until = s->turn.now_us + us, start = s->turn.now_us, wall = s->turn.wall_ms;
    for (uint32_t i = 0; i < TIMERS && s->turn.now_us < until; i++) {
        s->turn.now_us = min_u64(until, max_u64(s->turn.now_us + 1, wheel_next_us(&s->wheel)));
        s->turn.wall_ms = wall + (s->turn.now_us - start) / 1000;
        stage_event(s, NULL);
    }
}

/* A free connection, opened; NULL when all are in use. */
static inline struct stage_conn *stage_open(struct stage *s, uint32_t *index)
{
    for (uint32_t i = 0; i < STAGE_CONNS; i++) {
        struct stage_conn *c = &s->conns[i];
        if (!c->is_open) {
            *c = (struct stage_conn){.is_open = true, .generation = c->generation + 1};
            *index = i;
            return c;
        }
    }
    return NULL;
}

/* The fuzzer dials the peer. */
static inline void stage_accept(struct stage *s, enum io_listener listener, uint8_t host)
{
    uint32_t i = 0;
    if (stage_open(s, &i) == NULL) {
        return;
    }
    struct io_event e = {.kind = IO_ACCEPTED,
                         .conn = stage_handle(s, i),
                         .listener = (uint16_t)listener,
                         .remote = stage_address(host)};
    stage_event(s, &e);
}

/* The oldest dial of the peer finds somebody, or nobody. */
static inline void stage_answer_dial(struct stage *s, bool is_there)
{
    uint32_t i = 0;
    if (s->dial_count == 0) {
        return;
    }
    struct io_op op = s->dials[0];
    s->dial_count--;
    memmove(s->dials, s->dials + 1, s->dial_count * sizeof(s->dials[0]));
    struct stage_conn *c = is_there ? stage_open(s, &i) : NULL;
    struct io_event e = {.kind = IO_CONNECTED, .tag = op.tag, .remote = op.remote};
    e.conn = c == NULL ? 0 : stage_handle(s, i);
    e.error = c == NULL ? ERR_REFUSED : ERR_OK;
    if (c != NULL) {
        c->is_dialled = true;
    }
    stage_event(s, &e);
}

/* Bytes on connection `i`, at the end of a block of their own. */
static inline void stage_stream(struct stage *s, uint32_t i, struct slice bytes)
{
    if (!s->conns[i].is_open || bytes.len == 0) {
        return;
    }
    uint8_t *copy = fuzz_copy(bytes);
    struct io_event e = {.kind = IO_STREAM, .conn = stage_handle(s, i), .data = copy};
    e.data_len = bytes.len;
    stage_event(s, &e);
    free(copy);
}

static inline void stage_datagram(struct stage *s, uint8_t host, struct slice bytes)
{
    uint8_t *copy = fuzz_copy(bytes);
    struct io_event e = {.kind = IO_DATAGRAM,
                         .listener = IO_LISTEN_SIP_UDP,
                         .remote = stage_address(host),
                         .data = copy,
                         .data_len = bytes.len};
    stage_event(s, &e);
    free(copy);
}

static inline void stage_close(struct stage *s, uint32_t i, enum err error)
{
    if (!s->conns[i].is_open) {
        return;
    }
    struct io_event e = {.kind = IO_CLOSED, .conn = stage_handle(s, i), .error = error};
    stage_drop(&s->conns[i]);
    stage_event(s, &e);
}

static inline void stage_sent(struct stage *s, uint32_t i)
{
    struct stage_conn *c = &s->conns[i];
    struct io_event e = {.kind = IO_SENT, .conn = stage_handle(s, i), .data_len = c->unsent};
    if (c->is_open && c->unsent > 0) {
        c->unsent = 0;
        stage_event(s, &e);
    }
}

/* ---- the far end's TLS ---- */

static inline void stage_pull(struct stage *s, uint32_t i)
{
    static uint8_t out[64 * 1024];
    struct stage_conn *c = &s->conns[i];
    while (c->is_open && c->far != NULL) {
        size_t len = tls_fake_ops()->pull(c->far, out, sizeof(out));
        if (len == 0) {
            return;
        }
        stage_stream(s, i, slice_of(out, len));
    }
}

/* The far end becomes identity `who`. */
static inline void stage_handshake(struct stage *s, uint32_t i, uint32_t who)
{
    struct stage_conn *c = &s->conns[i];
    if (!c->is_open || c->far != NULL) {
        return;
    }
    c->far = tls_fake_ops()->open(&s->contexts[who % STAGE_IDENTS],
                                  c->is_dialled ? TLS_SERVER : TLS_CLIENT);
    if (c->far != NULL) {
        (void)!tls_fake_ops()->handshake(c->far);
        stage_pull(s, i);
    }
}

/* Plaintext as one record. */
static inline void stage_say(struct stage *s, uint32_t i, struct slice plain)
{
    struct stage_conn *c = &s->conns[i];
    if (!c->is_open || c->far == NULL || plain.len > TLS_RECORD_BYTES || plain.len == 0) {
        return;
    }
    (void)!tls_fake_ops()->handshake(c->far);
    if (tls_fake_ops()->write(c->far, plain) == ERR_OK) {
        stage_pull(s, i);
    }
}

/* One message in a frame of its own. */
static inline void stage_frame(struct stage *s, uint32_t i, struct slice message)
{
    static uint8_t out[TLS_RECORD_BYTES];
    if (message.len + FRAME_DATA_HEADER > sizeof(out)) {
        return;
    }
    frame_put_data_header(out, s->conns[i].sequence++, message.len);
    if (message.len > 0) {
        memcpy(out + FRAME_DATA_HEADER, message.data, message.len);
    }
    stage_say(s, i, slice_of(out, FRAME_DATA_HEADER + message.len));
}

/* The next frame that the peer has sent on `i`; taken. False: none is complete. */
static inline bool stage_heard(struct stage_conn *c, uint8_t *out, size_t cap, struct frame *frame)
{
    size_t used = 0;
    enum err e = frame_scan(slice_of(c->bytes, c->got), FRAME_MESSAGE_MAX, frame, &used);
    if (e != ERR_OK || used > c->got) {
        return false;
    }
    frame->message.len = min_size(frame->message.len, cap);
    if (frame->message.len > 0) {
        memcpy(out, frame->message.data, frame->message.len);
    }
    frame->message.data = out;
    memmove(c->bytes, c->bytes + used, c->got - used);
    c->got -= used;
    return true;
}

static inline void stage_ack(struct stage *s, uint32_t i, uint32_t sequence)
{
    uint8_t ack[FRAME_ACK_BYTES];
    frame_put_ack(ack, sequence, 0xffffffff);
    stage_say(s, i, slice_of(ack, sizeof(ack)));
}

/* The end: every connection goes and every dial fails.  Nothing may be left behind once the peer
 * has had time to notice. */
static inline void stage_hang_up(struct stage *s)
{
    for (uint32_t i = 0; i < STAGE_CONNS; i++) {
        stage_close(s, i, ERR_CLOSED);
    }
    while (s->dial_count > 0) {
        stage_answer_dial(s, false);
    }
}
