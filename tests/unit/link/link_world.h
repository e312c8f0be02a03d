/* SPDX-License-Identifier: Apache-2.0 */
/* link_world.h - a few link tables in one process whose outboxes are carried to each other: bytes
 * in random pieces, virtual time, connections that can fall silent.  For tests of link/ only. */
#pragma once
#include "link/link.h"
#include "link/stream_tls.h"
#include "link/tls_boring.h"
#include "tests/unit/link/credentials.h"
#include <stdlib.h>

enum {
    WORLD_HOSTS = 4,
    WORLD_CONNS = 64,
    WORLD_EVENTS = 4096,
    WORLD_PORT = 6084,
    WORLD_DATAGRAMS = 4096,
};

struct world_event {
    struct link_event event;
    uint8_t *message; /* a copy, NULL when there was none */
    char user[CRYPTO_USER_CAP + 1];
};

/* One end of a connection. */
struct world_conn {
    handle self;
    bool is_open;
    bool is_silent; /* what is sent to this end is lost on the way */
    bool is_full;   /* its owner is not told that what it sends has been taken */
    bool closes;    /* the far end has closed: said after the last byte */
    struct world_conn *far;
    handle link;
    uint8_t *bytes; /* on their way to this end */
    size_t len;
    size_t proved;
};

struct world_host {
    struct turn t;
    struct arena arena;
    struct wheel wheel;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct metrics metrics;
    struct log log;
    struct rng rng;
    struct credential credential;
    struct tls_boring *tls;
    struct link_table *links;
    struct link_settings settings;
    struct address address;
    bool refuses; /* connections to it are refused */
    struct world_conn conns[WORLD_CONNS];
    uint32_t generation;
    struct world_event events[WORLD_EVENTS];
    size_t event_count;
};

struct world_datagram {
    struct address from, to;
    uint64_t at_us;
    uint8_t *bytes;
    size_t len;
};

struct world {
    uint64_t now_us;
    uint64_t step_us; /* at most so long between two looks at the timers */
    /* datagrams */
    struct world_datagram wire[WORLD_DATAGRAMS];
    size_t wire_count;
    uint32_t lose_percent, repeat_percent;
    uint64_t delay_us, jitter_us;
    size_t largest;
    size_t sent_to[256]; /* datagrams to 10.0.0.x, also where nobody lives */
    size_t bytes_to[256];
    struct rng rng;
    struct credential ca;
    struct slice root;
    struct crypto_trust trust;
    size_t most; /* longest piece of bytes delivered at once */
    struct world_host hosts[WORLD_HOSTS];
};

static struct world world;

static inline uint64_t metric_of(const struct world_host *h, enum metric which)
{
    return metric_read(&h->metrics, which);
}

static inline void drop_line(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context;
    (void)level;
    (void)line;
    (void)len;
}

static inline struct node_id node_of(const struct world_host *h)
{
    struct node_id id;
    memcpy(id.bytes, h->credential.node_id, sizeof(id.bytes));
    return id;
}

static inline void world_open_table(struct world_host *h)
{
    size_t bytes = link_table_bytes(&h->settings);
    struct arena exact;
    arena_init(&exact, arena_take(&h->arena, 1, bytes, 64), bytes);
    h->links = link_table_init(&exact, &h->settings);
}

/* Host `i` gets Node-ID 0x10 * (i + 1), and everything with default limits. */
static inline void world_init_host(size_t i)
{
    struct world_host *h = &world.hosts[i];
    size_t bytes = 24u << 20;
    arena_init(&h->arena, calloc(1, bytes), bytes);
    rng_init(&h->rng, 77 + i);
    wheel_init(&h->wheel, 0);
    msgbuf_pool_init(&h->buffers, &h->arena, 1024, 256);
    io_outbox_init(&h->out, &h->arena, 4096);
    log_init(&h->log, drop_line, NULL, LOG_DEBUG, (uint32_t)i);
    h->t = (struct turn){.wall_ms = NOW_MS + 1000,
                         .rng = &h->rng,
                         .crypto = crypto_boring(),
                         .wheel = &h->wheel,
                         .buffers = &h->buffers,
                         .out = &h->out,
                         .metrics = &h->metrics,
                         .log = &h->log};
    credential_node(&h->credential, &world.ca, CRYPTO_ED25519, (uint8_t)(0x10 * (i + 1)), NOW_MS);
    cr_assert_eq(
        tls_boring_context_new(credential_der(&h->credential), NULL, 0, h->credential.key, &h->tls),
        ERR_OK);
    h->address = (struct address){.family = 4, .port = WORLD_PORT, .ip = {10, 0, 0, (uint8_t)i}};
    h->settings = (struct link_settings){.tls = tls_boring_ops(),
                                         .tls_context = h->tls,
                                         .trust = &world.trust,
                                         .self = node_of(h),
                                         .shard = (uint16_t)i,
                                         .max_message_bytes = 5000,
                                         .links = 16,
                                         .handshaking = 8,
                                         .handshake_timeout_us = 5000000,
                                         .retain_us = 8000000,
                                         .queue_bytes = 256 * 1024,
                                         .retained_bytes = 64 * 1024,
                                         .links_datagram = 16,
                                         .announced = 16,
                                         .parked = 8,
                                         .datagram_bytes = 1232,
                                         .secret = 5};
    world_open_table(h);
}

static inline void world_init(uint64_t seed)
{
    memset(&world, 0, sizeof(world));
    world.most = 3000;
    world.step_us = 100000;
    rng_init(&world.rng, seed);
    credential_root(&world.ca, CRYPTO_ED25519, "root");
    world.root = credential_der(&world.ca);
    world.trust = (struct crypto_trust){
        .roots = &world.root, .root_count = 1, .overlay_name = OVERLAY, .node_id_length = 16};
    for (size_t i = 0; i < WORLD_HOSTS; i++) {
        world_init_host(i);
    }
}

static inline size_t index_of_address(const struct address *a)
{
    for (size_t i = 0; i < WORLD_HOSTS; i++) {
        if (address_is_equal(&world.hosts[i].address, a)) {
            return i;
        }
    }
    return WORLD_HOSTS;
}

static inline struct world_conn *conn_of(struct world_host *h, handle conn)
{
    for (size_t i = 0; i < WORLD_CONNS; i++) {
        if (h->conns[i].is_open && h->conns[i].self == conn) {
            return &h->conns[i];
        }
    }
    return NULL;
}

static inline struct world_conn *open_conn(struct world_host *h)
{
    for (uint32_t i = 0; i < WORLD_CONNS; i++) {
        if (!h->conns[i].is_open) {
            h->conns[i] = (struct world_conn){.is_open = true,
                                              .self = handle_make(HANDLE_CONN, ++h->generation, i)};
            return &h->conns[i];
        }
    }
    cr_assert_fail("too many connections");
    return NULL;
}

static inline void close_conn(struct world_conn *c)
{
    if (c->far != NULL) {
        c->far->closes = true;
        c->far->far = NULL;
    }
    free(c->bytes);
    *c = (struct world_conn){0};
}

/* Takes all events of a host and notes them down. */
static inline void take_events(struct world_host *h)
{
    struct link_event event;
    while (link_next(&h->t, h->links, &event)) {
        cr_assert_lt(h->event_count, WORLD_EVENTS);
        struct world_event *e = &h->events[h->event_count++];
        *e = (struct world_event){.event = event};
        memcpy(e->user, event.user.data, event.user.len);
        if (event.message != NULL) {
            e->message = malloc(event.message_len + 1);
            memcpy(e->message, event.message, event.message_len);
            memset(event.message, 0xee, event.message_len); /* it is writable */
        }
    }
}

static inline void send_bytes(struct world_conn *c, struct slice bytes)
{
    struct world_conn *far = c->far;
    if (far != NULL && !far->is_silent) {
        far->bytes = realloc(far->bytes, far->len + bytes.len);
        memcpy(far->bytes + far->len, bytes.data, bytes.len);
        far->len += bytes.len;
    }
}

/* A connection of `h` with nothing behind it: the test plays the far end with send_bytes. */
static inline struct world_conn *connect_raw(struct world_host *h, const struct address *from)
{
    struct world_conn *c = open_conn(h);
    h->t.now_us = world.now_us;
    enum err error = link_on_accepted(&h->t, h->links, c->self, from, &c->link);
    take_events(h);
    return error == ERR_OK ? c : NULL;
}

static inline void do_connect(struct world_host *h, const struct io_op *op)
{
    size_t to = index_of_address(&op->remote);
    if (to == WORLD_HOSTS || world.hosts[to].refuses) {
        link_on_connected(&h->t, h->links, op->tag, 0, ERR_REFUSED);
        return;
    }
    struct world_host *target = &world.hosts[to];
    struct world_conn *near = open_conn(h), *far = open_conn(target);
    near->link = op->tag;
    near->far = far;
    far->far = near;
    target->t.now_us = world.now_us;
    if (link_on_accepted(&target->t, target->links, far->self, &h->address, &far->link) != ERR_OK) {
        far->link = 0;
    }
    take_events(target);
    link_on_connected(&h->t, h->links, op->tag, near->self, ERR_OK);
}

static inline void do_send(struct world_host *h, const struct io_op *op)
{
    struct world_conn *c = conn_of(h, op->conn);
    if (c != NULL) {
        send_bytes(c, msgbuf_slice(op->buf));
        if (!c->is_silent && !c->is_full) {
            link_on_sent(&h->t, h->links, c->link, op->buf->len);
        }
    }
    msgbuf_release(&h->buffers, op->buf);
}

static inline void do_mail(struct world_host *h, const struct io_op *op)
{
    struct world_host *to = &world.hosts[op->shard];
    cr_assert_eq(op->mail, IO_MAIL_LINK);
    to->t.now_us = world.now_us;
    link_on_mail(&to->t, to->links, h->settings.shard, msgbuf_data(op->buf), op->buf->len);
    take_events(to);
    msgbuf_release(&h->buffers, op->buf);
}

static inline void put_datagram(const struct address *from, const struct address *to,
                                struct slice bytes)
{
    cr_assert_lt(world.wire_count, WORLD_DATAGRAMS);
    uint64_t jitter_us = world.jitter_us == 0 ? 0 : rng_below(&world.rng, world.jitter_us);
    struct world_datagram *d = &world.wire[world.wire_count++];
    *d = (struct world_datagram){.from = *from,
                                 .to = *to,
                                 .at_us = world.now_us + world.delay_us + jitter_us,
                                 .bytes = malloc(bytes.len),
                                 .len = bytes.len};
    memcpy(d->bytes, bytes.data, bytes.len);
}

static inline void do_datagram(struct world_host *h, const struct io_op *op)
{
    struct slice bytes = msgbuf_slice(op->buf);
    cr_assert_eq(op->listener, IO_LISTEN_OVERLAY_UDP);
    world.largest = max_size(world.largest, bytes.len);
    world.sent_to[op->remote.ip[3]]++;
    world.bytes_to[op->remote.ip[3]] += bytes.len;
    uint64_t luck = rng_below(&world.rng, 100);
    if (luck >= world.lose_percent) {
        put_datagram(&h->address, &op->remote, bytes);
        if (luck < world.lose_percent + world.repeat_percent) {
            put_datagram(&h->address, &op->remote, bytes);
        }
    }
    msgbuf_release(&h->buffers, op->buf);
}

/* The earliest one that is due; with jitter they overtake each other. */
static inline bool deliver_datagram(void)
{
    size_t first = WORLD_DATAGRAMS;
    for (size_t i = 0; i < world.wire_count; i++) {
        bool is_due = world.wire[i].at_us <= world.now_us;
        if (is_due && (first == WORLD_DATAGRAMS || world.wire[i].at_us < world.wire[first].at_us)) {
            first = i;
        }
    }
    if (first == WORLD_DATAGRAMS) {
        return false;
    }
    struct world_datagram d = world.wire[first];
    memmove(&world.wire[first], &world.wire[first + 1],
            (world.wire_count - first - 1) * sizeof(world.wire[0]));
    world.wire_count--;
    size_t to = index_of_address(&d.to);
    if (to < WORLD_HOSTS) {
        struct world_host *h = &world.hosts[to];
        h->t.now_us = world.now_us;
        link_on_datagram(&h->t, h->links, &d.from, d.bytes, d.len);
        take_events(h);
    }
    free(d.bytes);
    return true;
}

static inline bool carry_out(struct world_host *h)
{
    bool moved = false;
    h->t.now_us = world.now_us;
    link_flush(&h->t, h->links);
    take_events(h);
    static struct io_op ops[4096];
    uint32_t count = h->out.count;
    cr_assert_leq(count, 4096);
    memcpy(ops, h->out.ops, count * sizeof(ops[0]));
    io_outbox_clear(&h->out);
    for (uint32_t i = 0; i < count; i++) {
        moved = true;
        struct world_conn *c = NULL;
        switch (ops[i].kind) {
        case IO_OP_CONNECT:
            do_connect(h, &ops[i]);
            break;
        case IO_OP_SEND:
            do_send(h, &ops[i]);
            break;
        case IO_OP_MAIL:
            do_mail(h, &ops[i]);
            break;
        case IO_OP_CLOSE:
        case IO_OP_ABORT:
            c = conn_of(h, ops[i].conn);
            if (c != NULL) {
                close_conn(c);
            }
            break;
        case IO_OP_PROVED:
            c = conn_of(h, ops[i].conn);
            cr_assert_not_null(c);
            c->proved++;
            break;
        case IO_OP_DATAGRAM:
            do_datagram(h, &ops[i]);
            break;
        }
        take_events(h);
    }
    return moved;
}

static inline bool deliver_piece(struct world_host *h, struct world_conn *c)
{
    if (c->len == 0) {
        if (c->closes) {
            handle link = c->link;
            c->far = NULL;
            close_conn(c);
            link_on_closed(&h->t, h->links, link, ERR_CLOSED);
            take_events(h);
            return true;
        }
        return false;
    }
    size_t len = min_size(c->len, 1 + rng_below(&world.rng, world.most));
    uint8_t *exact = malloc(len);
    memcpy(exact, c->bytes, len);
    memmove(c->bytes, c->bytes + len, c->len - len);
    c->len -= len;
    link_on_stream(&h->t, h->links, c->link, exact, len);
    take_events(h);
    free(exact);
    return true;
}

/* Until nothing moves any more; time stands still. */
static inline void world_settle(void)
{
    bool moved = true;
    while (moved) {
        moved = deliver_datagram();
        for (size_t i = 0; i < WORLD_HOSTS; i++) {
            struct world_host *h = &world.hosts[i];
            moved = carry_out(h) || moved;
            for (size_t k = 0; k < WORLD_CONNS; k++) {
                moved = (h->conns[k].is_open && deliver_piece(h, &h->conns[k])) || moved;
            }
        }
    }
}

/* Lets time pass, with timers, in steps of at most step_us. */
static inline void world_pass(uint64_t us)
{
    for (uint64_t end = world.now_us + us; world.now_us < end;) {
        world.now_us = min_u64(end, world.now_us + world.step_us);
        for (size_t i = 0; i < WORLD_HOSTS; i++) {
            struct world_host *h = &world.hosts[i];
            struct wheel_timer *timer = NULL;
            h->t.now_us = world.now_us;
            h->t.wall_ms = NOW_MS + 1000 + world.now_us / 1000;
            while ((timer = wheel_take(&h->wheel, world.now_us)) != NULL) {
                link_on_timer(&h->t, h->links, timer);
                take_events(h);
            }
        }
        world_settle();
    }
}

static inline handle world_dial(size_t from, size_t to, bool expects, uint64_t tag)
{
    struct world_host *h = &world.hosts[from];
    struct node_id expect = node_of(&world.hosts[to]);
    handle link = 0;
    h->t.now_us = world.now_us;
    enum err error =
        link_dial(&h->t, h->links, &world.hosts[to].address, expects ? &expect : NULL, tag, &link);
    cr_assert_eq(error, ERR_OK);
    return link;
}

static inline handle world_dial_datagram(size_t from, size_t to, uint64_t tag)
{
    struct world_host *h = &world.hosts[from];
    struct node_id expect = node_of(&world.hosts[to]);
    handle link = 0;
    h->t.now_us = world.now_us;
    enum err error =
        link_dial_datagram(&h->t, h->links, &world.hosts[to].address, &expect, tag, &link);
    cr_assert_eq(error, ERR_OK, "%s", err_name(error));
    return link;
}

/* Host `at` is told that host `who` will come from its address. */
static inline void world_announce(size_t at, size_t who)
{
    struct world_host *h = &world.hosts[at];
    struct node_id id = node_of(&world.hosts[who]);
    h->t.now_us = world.now_us;
    link_announce(&h->t, h->links, &id, &world.hosts[who].address, 1);
    take_events(h);
}

static inline size_t count_events(const struct world_host *h, enum link_event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < h->event_count; i++) {
        count += h->events[i].event.kind == kind;
    }
    return count;
}

/* The event number `which` of a kind, which must be there. */
static inline const struct world_event *event_of(const struct world_host *h,
                                                 enum link_event_kind kind, size_t which)
{
    for (size_t i = 0; i < h->event_count; i++) {
        if (h->events[i].event.kind == kind && which-- == 0) {
            return &h->events[i];
        }
    }
    cr_assert_fail("no such event");
    return NULL;
}

static inline void forget_events(struct world_host *h)
{
    for (size_t i = 0; i < h->event_count; i++) {
        free(h->events[i].message);
    }
    h->event_count = 0;
}

static inline enum err world_send(size_t from, size_t to, struct slice head, struct slice body)
{
    struct world_host *h = &world.hosts[from];
    struct node_id id = node_of(&world.hosts[to]);
    h->t.now_us = world.now_us;
    return link_send(&h->t, h->links, link_find(h->links, &id), head, body);
}

/* Closes what is left and checks that every pool is as it was. */
static inline void world_fini(void)
{
    for (size_t i = 0; i < WORLD_HOSTS; i++) {
        struct world_host *h = &world.hosts[i];
        uint32_t index = 0;
        struct link_info info;
        while (link_walk(h->links, &index, &info)) {
            link_close(&h->t, h->links, info.link);
        }
        take_events(h);
    }
    world_settle();
    for (size_t i = 0; i < WORLD_HOSTS; i++) {
        struct world_host *h = &world.hosts[i];
        uint32_t index = 0;
        struct link_info info;
        cr_assert(!link_walk(h->links, &index, &info));
        cr_assert_eq(link_count_up(h->links), 0);
        cr_assert_eq(metric_of(h, METRIC_links_up), 0);
        cr_assert_eq(metric_of(h, METRIC_links_handshaking), 0);
        cr_assert_eq(h->buffers.in_use[0], 0);
        cr_assert_eq(h->buffers.in_use[1], 0);
        cr_assert_eq(h->wheel.armed, 0);
        for (size_t k = 0; k < WORLD_CONNS; k++) {
            free(h->conns[k].bytes);
        }
        forget_events(h);
        tls_boring_context_free(h->tls); /* checks that no connection is open */
        credential_free(&h->credential);
        free(h->arena.base);
    }
    while (world.wire_count > 0) {
        free(world.wire[--world.wire_count].bytes);
    }
    credential_free(&world.ca);
}
