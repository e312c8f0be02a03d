/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_datagram.c - a link table met by strangers and neighbors over datagrams: ClientHellos from
 * anywhere, handshakes that cross, stop or come twice, records of another association, frames cut
 * anywhere, lost acknowledgements, time.
 *
 * Input: a sequence of steps, each one byte and what it needs.  Nobody is sent a byte who was
 * neither announced nor dialled, and nothing may be left in the pools when every link has ended. */
#include "fuzz/stage_link.h"

enum { HOSTS = 6, MESSAGE_BYTES = 1200, DATAGRAM = 1232, KEPT = 8 };

enum step {
    STEP_ANNOUNCE,
    STEP_DIAL,
    STEP_HELLO,  /* a host begins as a client */
    STEP_ANSWER, /* a host begins as a server */
    STEP_DUE,    /* a host repeats itself */
    STEP_RAW,
    STEP_AGAIN, /* something that a host has sent before, also changed, also from elsewhere */
    STEP_PLAIN,
    STEP_FRAME,
    STEP_ACK,
    STEP_SEND,
    STEP_CLOSE_LINK,
    STEP_SLEEP,
    STEP_DRY, /* the pools run dry for a while */
    STEP_COUNT
};

/* Somebody at an address. */
struct host {
    struct tls *tls;
    uint32_t sequence;
    bool is_known; /* was ever announced or dialled */
    uint32_t unacked;
};

struct door {
    struct stage_link link;
    struct host hosts[HOSTS];
    uint8_t kept[KEPT][DATAGRAM];
    size_t kept_len[KEPT];
    uint32_t kept_next;
};

static void on_event(struct stage *s, const struct io_event *e)
{
    struct door *d = s->user;
    link_on_datagram(&s->turn, d->link.table, &e->remote, e->data, e->data_len);
    stage_link_take_events(s);
}

/* The peer has sent a datagram: whoever is there reads it. */
static void on_datagram(struct stage *s, const struct io_op *op)
{
    static uint8_t plain[DATAGRAM];
    struct door *d = s->user;
    CHECK(op->listener == IO_LISTEN_OVERLAY_UDP && op->remote.ip[3] < HOSTS);
    CHECK(op->buf->len > 0 && op->buf->len <= MSGBUF_SMALL_BYTES);
    struct host *h = &d->hosts[op->remote.ip[3]];
    CHECK(h->is_known);
    size_t len = 0;
    if (h->tls != NULL &&
        tls_fake_ops()->feed_datagram(h->tls, s->turn.now_us, msgbuf_slice(op->buf), plain,
                                      sizeof(plain), &len) == ERR_OK) {
        h->unacked += len > FRAME_ACK_BYTES ? 1 : 0;
    }
}

static void throw_datagram(struct stage *s, uint32_t host, struct slice bytes)
{
    uint8_t *copy = fuzz_copy(bytes);
    struct io_event e = {.kind = IO_DATAGRAM,
                         .listener = IO_LISTEN_OVERLAY_UDP,
                         .remote = stage_address((uint8_t)host),
                         .data = copy,
                         .data_len = bytes.len};
    stage_event(s, &e);
    free(copy);
}

/* What a host has to say reaches the peer; the last of it is kept. */
static void deliver(struct stage *s, uint32_t host)
{
    struct door *d = s->user;
    static uint8_t bytes[DATAGRAM];
    for (int i = 0; i < 4 && d->hosts[host].tls != NULL; i++) {
        size_t len = tls_fake_ops()->pull(d->hosts[host].tls, bytes, sizeof(bytes));
        if (len == 0) {
            return;
        }
        uint32_t at = d->kept_next++ % KEPT;
        memcpy(d->kept[at], bytes, len);
        d->kept_len[at] = len;
        throw_datagram(s, host, slice_of(bytes, len));
    }
}

static void begin(struct stage *s, uint32_t host, enum tls_role role, uint8_t who)
{
    struct door *d = s->user;
    struct host *h = &d->hosts[host];
    if (h->tls != NULL) {
        tls_fake_ops()->close(h->tls);
    }
    *h = (struct host){.is_known = h->is_known};
    h->tls = tls_fake_ops()->open_datagram(&s->contexts[who % STAGE_IDENTS], role, DATAGRAM,
                                           s->turn.now_us);
    if (h->tls != NULL) {
        (void)!tls_fake_ops()->handshake(h->tls);
        deliver(s, host);
    }
}

static void say(struct stage *s, uint32_t host, struct slice plain)
{
    struct door *d = s->user;
    static uint8_t bytes[DATAGRAM + 400];
    size_t len = 0;
    struct host *h = &d->hosts[host];
    deliver(s, host); /* the end of the handshake */
    if (h->tls == NULL || plain.len == 0 || plain.len > DATAGRAM) {
        return;
    }
    if (tls_fake_ops()->seal_datagram(h->tls, plain, bytes, sizeof(bytes), &len) == ERR_OK) {
        throw_datagram(s, host, slice_of(bytes, len));
    }
}

static void say_frame(struct stage *s, uint32_t host, struct slice message)
{
    struct door *d = s->user;
    static uint8_t out[DATAGRAM];
    if (message.len > 0 && message.len + FRAME_DATA_HEADER <= sizeof(out)) {
        frame_put_data_header(out, d->hosts[host].sequence++, message.len);
        memcpy(out + FRAME_DATA_HEADER, message.data, message.len);
        say(s, host, slice_of(out, FRAME_DATA_HEADER + message.len));
    }
}

static void say_ack(struct stage *s, uint32_t host, struct rd *r)
{
    uint8_t ack[FRAME_ACK_BYTES];
    frame_put_ack(ack, rd_u8(r), (rd_u8(r) & 1) == 0 ? 0xffffffff : rd_u32(r));
    say(s, host, slice_of(ack, sizeof(ack)));
}

static void again(struct stage *s, uint32_t host, struct rd *r)
{
    struct door *d = s->user;
    uint32_t at = rd_u8(r) % KEPT;
    uint16_t change = rd_u16(r);
    if (d->kept_len[at] > 0) {
        uint8_t *byte = &d->kept[at][change % d->kept_len[at]];
        uint8_t mask = (change & 0x8000) != 0 ? (uint8_t)(1 << (change >> 12 & 7)) : 0;
        *byte ^= mask;
        throw_datagram(s, host, slice_of(d->kept[at], d->kept_len[at]));
    }
}

static void dial(struct stage *s, uint32_t host, uint8_t who)
{
    struct door *d = s->user;
    struct address to = stage_address((uint8_t)host);
    handle link = 0;
    enum err e = link_dial_datagram(&s->turn, d->link.table, &to,
                                    &s->idents[who % STAGE_IDENTS].ident.node_id, host, &link);
    CHECK((e == ERR_OK) == (link != 0));
    CHECK(e == ERR_OK || e == ERR_EXISTS || e == ERR_LIMIT);
    d->hosts[host].is_known = true;
    stage_link_take_events(s);
    stage_event(s, NULL);
}

static void announce(struct stage *s, uint32_t host, uint8_t who)
{
    struct door *d = s->user;
    struct address from = stage_address((uint8_t)host);
    d->hosts[host].is_known = true;
    link_announce(&s->turn, d->link.table, &s->idents[who % STAGE_IDENTS].ident.node_id, &from, 1);
    stage_link_take_events(s);
    stage_event(s, NULL);
}

static void step(struct stage *s, struct rd *r)
{
    struct door *d = s->user;
    enum step what = (enum step)(rd_u8(r) % STEP_COUNT);
    uint32_t host = rd_u8(r) % HOSTS;
    switch (what) {
    case STEP_ANNOUNCE:
        announce(s, host, rd_u8(r));
        break;
    case STEP_DIAL:
        dial(s, host, rd_u8(r));
        break;
    case STEP_HELLO:
        begin(s, host, TLS_CLIENT, rd_u8(r));
        break;
    case STEP_ANSWER:
        begin(s, host, TLS_SERVER, rd_u8(r));
        break;
    case STEP_DUE:
        if (d->hosts[host].tls != NULL) {
            (void)!tls_fake_ops()->on_due(d->hosts[host].tls, s->turn.now_us);
        }
        deliver(s, host);
        break;
    case STEP_RAW:
        throw_datagram(s, host, fuzz_take(r, 2000));
        break;
    case STEP_AGAIN:
        again(s, host, r);
        break;
    case STEP_PLAIN:
        say(s, host, fuzz_take(r, DATAGRAM));
        break;
    case STEP_FRAME:
        say_frame(s, host, fuzz_take(r, MESSAGE_BYTES));
        break;
    case STEP_ACK:
        say_ack(s, host, r);
        break;
    case STEP_SEND:
        stage_link_send(s, r);
        break;
    case STEP_CLOSE_LINK:
        link_close(&s->turn, d->link.table, d->link.up[host]);
        stage_event(s, NULL);
        break;
    case STEP_SLEEP:
        stage_sleep(s, (uint64_t)rd_u8(r) * rd_u8(r) * 1000);
        break;
    case STEP_DRY:
        s->buffers.fail_after = rd_u8(r) % 2 == 0 ? UINT32_MAX : rd_u8(r) % 8;
        break;
    case STEP_COUNT:
        break;
    }
}

static void end_all(struct stage *s)
{
    struct door *d = s->user;
    for (uint32_t i = 0; i < HOSTS; i++) {
        if (d->hosts[i].tls != NULL) {
            tls_fake_ops()->close(d->hosts[i].tls);
            d->hosts[i].tls = NULL;
        }
    }
    uint32_t index = 0;
    struct link_info info;
    while (link_walk(d->link.table, &index, &info)) {
        link_close(&s->turn, d->link.table, info.link);
    }
    stage_event(s, NULL);
    stage_sleep(s, 60000000);
    index = 0;
    CHECK(!link_walk(d->link.table, &index, &info) && link_count_up(d->link.table) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct door door;
    struct stage *s = stage_init();
    memset(&door, 0, sizeof(door));
    stage_link_init(s, &door.link,
                    (struct link_settings){.max_message_bytes = MESSAGE_BYTES + 800,
                                           .links_datagram = STAGE_LINKS - 1,
                                           .announced = 4,
                                           .parked = 3,
                                           .datagram_bytes = DATAGRAM,
                                           .secret = 11});
    s->on_event = on_event;
    s->on_datagram = on_datagram;
    struct rd r = rd_init(slice_of(data, min_size(size, 8192)));
    while (rd_left(&r) > 0) {
        step(s, &r);
        CHECK(s->tls.connections.in_use <= STAGE_LINKS + HOSTS);
    }
    s->buffers.fail_after = UINT32_MAX;
    end_all(s);
    stage_link_expect_empty(s);
    return 0;
}
