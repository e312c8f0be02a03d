/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_record.c - our own record layer of DTLS 1.2 (link/tls_boring_record.c), behind a handshake
 * of BoringSSL: a wire that loses, repeats, reorders, cuts, joins, alters and makes up datagrams.
 *
 * Input: steps of one byte and what each needs (enum step).
 * Properties: a record is delivered whole, once, as it was sent, or not at all; a stranger's bytes
 * deliver nothing and end nothing; after close_notify nothing more is delivered. */
#include "fuzz/real_tls.h"

enum {
    DATAGRAM = 1232,
    WIRE = 24,
    FRAMES = 512,
    FRAME_HEAD = 6, /* number, length */
    PLAIN_MOST = 1000,
    OUT = 8192,
    ROUNDS = 40,
};

enum step {
    STEP_SEND,
    STEP_DELIVER,
    STEP_REPLAY,
    STEP_CUT,
    STEP_FLIP,
    STEP_JOIN,
    STEP_HEAD, /* another type, version, epoch, number or length */
    STEP_RAW,
    STEP_SHUTDOWN,
    STEP_COUNT
};

struct packet {
    size_t len;
    uint8_t bytes[2 * DATAGRAM + 600];
};

struct side {
    struct tls_boring *context;
    struct tls *tls;
    uint32_t sent;
    bool is_shut;          /* it has said close_notify */
    bool is_ended;         /* it has heard one */
    bool has_come[FRAMES]; /* of the other's */
    size_t head, count;    /* what the other is to get */
    struct packet wire[WIRE];
};

static struct side sides[2];
static const struct tls_ops *ops;

/* ---- what comes out */

/* Byte `i` of frame `number`. */
static uint8_t filler(uint32_t number, size_t i)
{
    return (uint8_t)(number * 31 + i * 7);
}

static void judge(struct side *from, struct side *to, struct slice plain)
{
    struct rd r = rd_init(plain);
    while (rd_left(&r) > 0) {
        uint32_t number = rd_u32(&r);
        struct slice body = rd_bytes(&r, rd_u16(&r));
        CHECK(rd_ok(&r));
        CHECK(number < from->sent && !to->has_come[number]);
        to->has_come[number] = true;
        for (size_t i = 0; i < body.len; i++) {
            CHECK(body.data[i] == filler(number, i));
        }
    }
}

static void feed(struct side *from, struct side *to, struct slice bytes)
{
    static uint8_t out[OUT];
    size_t len = 0;
    if (to->is_ended || bytes.len == 0) {
        return;
    }
    uint8_t *exact = fuzz_copy(bytes);
    enum err e = ops->feed_datagram(to->tls, 0, slice_of(exact, bytes.len), out, sizeof(out), &len);
    free(exact);
    judge(from, to, slice_of(out, len));
    if (e != ERR_OK) {
        CHECK(e == ERR_CLOSED && from->is_shut); /* nobody else can end it */
        to->is_ended = true;
    }
}

/* ---- handshake */

static void move(struct side *from, struct side *to)
{
    static uint8_t bytes[DATAGRAM + 600], out[OUT];
    size_t len = 0, plain = 0;
    while ((len = ops->pull(from->tls, bytes, sizeof(bytes))) > 0) {
        CHECK(ops->feed_datagram(to->tls, 0, slice_of(bytes, len), out, sizeof(out), &plain) ==
              ERR_OK);
        CHECK(plain == 0);
    }
}

static bool is_up(struct side *s)
{
    return ops->handshake(s->tls) == ERR_OK;
}

static void open_both(void)
{
    for (size_t i = 0; i < 2; i++) {
        struct side *s = &sides[i];
        if (s->context == NULL) {
            s->context = real_tls_context(i == 0 ? "client" : "server");
        }
        s->tls = ops->open_datagram(s->context, i == 0 ? TLS_CLIENT : TLS_SERVER, DATAGRAM, 0);
        CHECK(s->tls != NULL);
        s->sent = 0;
        s->is_shut = s->is_ended = false;
        s->head = s->count = 0;
        memset(s->has_come, 0, sizeof(s->has_come));
        (void)!ops->handshake(s->tls);
    }
    for (size_t i = 0; i < ROUNDS && !(is_up(&sides[0]) && is_up(&sides[1])); i++) {
        move(&sides[0], &sides[1]);
        move(&sides[1], &sides[0]);
    }
    CHECK(is_up(&sides[0]) && is_up(&sides[1]));
}

/* ---- steps */

static struct packet *slot(struct side *s, size_t i)
{
    return &s->wire[(s->head + i) % WIRE];
}

static void put(struct side *s, struct slice bytes)
{
    if (s->count == WIRE) {
        s->head = (s->head + 1) % WIRE; /* lost */
        s->count--;
    }
    struct packet *p = slot(s, s->count++);
    CHECK(bytes.len <= sizeof(p->bytes));
    p->len = bytes.len;
    memcpy(p->bytes, bytes.data, bytes.len);
}

static void send_frame(struct side *s, size_t body)
{
    static uint8_t plain[FRAME_HEAD + PLAIN_MOST], sealed[FRAME_HEAD + PLAIN_MOST + 100];
    size_t len = 0;
    if (s->sent == FRAMES || s->is_shut) {
        return;
    }
    body = min_size(body, PLAIN_MOST);
    struct wr w = wr_init(plain, sizeof(plain));
    wr_u32(&w, s->sent);
    wr_u16(&w, (uint16_t)body);
    for (size_t i = 0; i < body; i++) {
        wr_u8(&w, filler(s->sent, i));
    }
    enum err e = ops->seal_datagram(s->tls, wr_slice(&w), sealed, sizeof(sealed), &len);
    CHECK(e == ERR_OK || s->is_ended);
    if (e == ERR_OK) {
        CHECK(len <= FRAME_HEAD + body + TLS_DATAGRAM_OVERHEAD);
        s->sent++;
        put(s, slice_of(sealed, len));
    }
}

static void alter_head(struct packet *p, struct rd *r)
{
    uint8_t at = rd_u8(r) % 13, with = rd_u8(r);
    if (p->len > at) {
        p->bytes[at] = with;
    }
}

static void step(struct rd *r)
{
    static struct packet p;
    uint8_t byte = rd_u8(r), which = rd_u8(r);
    struct side *from = &sides[byte >> 7], *to = &sides[1 - (byte >> 7)];
    enum step what = (enum step)((byte & 0x7f) % STEP_COUNT);
    if (what == STEP_SEND) {
        send_frame(from, (size_t)which * 4);
        return;
    }
    if (what == STEP_RAW) {
        feed(from, to, fuzz_take(r, 600));
        return;
    }
    if (what == STEP_SHUTDOWN) {
        if (which == 0 && !from->is_ended) { /* rarely */
            from->is_shut = true;
            ops->shutdown(from->tls);
            p.len = ops->pull(from->tls, p.bytes, sizeof(p.bytes));
            feed(from, to, slice_of(p.bytes, p.len));
        }
        return;
    }
    if (from->count == 0) {
        return;
    }
    size_t i = which % from->count;
    p = *slot(from, i);
    switch (what) {
    case STEP_DELIVER: /* in any order; those before it are late, not lost */
        *slot(from, i) = *slot(from, from->count - 1);
        from->count--;
        break;
    case STEP_CUT:
        p.len = p.len * rd_u8(r) / 255;
        break;
    case STEP_FLIP: {
        size_t at = (size_t)rd_u16(r) % (p.len == 0 ? 1 : p.len);
        p.bytes[at] ^= (uint8_t)(1u << (rd_u8(r) & 7));
        break;
    }
    case STEP_JOIN: {
        const struct packet *q = slot(from, rd_u8(r) % from->count);
        size_t more = min_size(q->len, sizeof(p.bytes) - p.len);
        memcpy(p.bytes + p.len, q->bytes, more);
        p.len += more;
        break;
    }
    case STEP_HEAD:
        alter_head(&p, r);
        break;
    case STEP_SEND:
    case STEP_REPLAY:
    case STEP_RAW:
    case STEP_SHUTDOWN:
    case STEP_COUNT:
        break;
    }
    feed(from, to, slice_of(p.bytes, p.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    ops = tls_boring_ops();
    open_both();
    while (rd_left(&r) > 1) {
        step(&r);
    }
    /* a record that nobody has touched still comes, whatever strangers sent before */
    for (size_t i = 0; i < 2; i++) {
        struct side *from = &sides[i], *to = &sides[1 - i];
        uint32_t number = from->sent;
        send_frame(from, 10);
        if (from->sent > number) {
            struct packet *p = slot(from, from->count - 1);
            feed(from, to, slice_of(p->bytes, p->len));
            CHECK(to->is_ended || to->has_come[number]);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        ops->close(sides[i].tls);
        CHECK(tls_boring_counters(sides[i].context).open == 0);
        CHECK(tls_boring_counters(sides[i].context).buffer_bytes == 0);
    }
    return 0;
}
