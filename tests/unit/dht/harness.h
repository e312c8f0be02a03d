/* SPDX-License-Identifier: Apache-2.0 */
/* harness.h - whole overlays in one process and virtual time, linked as siblings: every message is
 * one mail, which a test may look at, drop, repeat or spoil on its way.
 *
 * Real link/, real dht/; made-up cryptography (storage_world.h).  Peer 0 founds the ring.  Links of
 * this kind never break by themselves: harness_kill says LINK_DOWN to everybody. */
#pragma once
#include "tests/unit/dht/storage_world.h"

#include "core/limits.h"
#include "dht/overlay.h"
#include "link/link.h"

enum { HARNESS_PEERS = 32, HARNESS_MAILS = 8192, HARNESS_LATENCY_US = 5000 };

struct harness_mail {
    uint64_t at_us;
    uint16_t from, to;
    struct msgbuf *buf;
};

struct harness_peer {
    struct person *person;
    const struct ident *publish;
    struct overlay_settings settings;
    struct link_table *links;
    struct overlay *overlay;
    struct wheel wheel;
    uint8_t *block;
    bool is_alive;
    uint32_t ready, lost, left, stored, fetched, values, pongs, asked, appattached, dials, failed,
        documents;
    struct overlay_event last; /* of those that carry a tag; values are gone */
    uint8_t document[6000];    /* the latest that came */
    size_t document_len;
    uint8_t body[512]; /* of the latest answer to overlay_ask */
    size_t body_len;
    uint16_t judgement; /* what is answered to it */
};

struct harness {
    struct world *w;
    struct limits limits;
    uint32_t count;
    struct harness_peer peers[HARNESS_PEERS];
    struct harness_mail mails[HARNESS_MAILS]; /* in order of time: all take as long */
    uint32_t head, queued;
    /* Called for each mail on its way: how many copies arrive (0: lost).  It may change the bytes.
     */
    unsigned (*tap)(struct harness *h, struct harness_mail *m);
    void *tap_context;
    uint64_t carried;
    bool has_killed; /* buffers of the dead are lost with their memory: not looked for */
};

static inline void harness_end_turn(struct harness *h, uint32_t i);

static inline void harness_drop_log(void *context, enum log_level level, const char *line,
                                    size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

static inline void harness_limits(struct limits *l)
{
    limits_default(l);
    l->ring_nodes = 64;
    l->requests = 128;
    l->answers_deferred = 16;
    l->answers_cached = 128;
    l->verify_queue = 256;
    l->reassemblies = 32;
    l->reassemblies_per_source = 8;
    l->reassembly_bytes = 128 * 1024;
    l->reassembly_bytes_per_source = 32 * 1024;
    l->certificates = 64;
    l->values_verified = 256;
    l->attaches = 64;
    l->links = 64;
    l->links_handshaking = 64;
    l->stored_sets = 256;
    l->stored_values = 256;
    l->stored_bytes = 256 * 1024;
    l->stored_certificates = 64;
    l->replica_requests = 32;
    l->replica_acks = 32;
    l->storage_requests = 32;
}

static inline struct turn *harness_turn(struct harness *h, uint32_t i)
{
    h->w->turn.wheel = &h->peers[i].wheel;
    return &h->w->turn;
}

static inline void harness_make_peer(struct harness *h, uint32_t i)
{
    struct harness_peer *p = &h->peers[i];
    char user[32];
    (void)snprintf(user, sizeof(user), "host%u", i);
    p->person = person_make(h->w, user, 1000 + i);
    p->publish = &p->person->ident;
    struct overlay_settings *s = &p->settings;
    s->config = h->w->config;
    (void)snprintf(s->config.name, sizeof(s->config.name), "harness.example");
    s->config.sequence = 7;
    s->config.initial_ttl = 30;
    s->config.reliability_timer_ms = 3000;
    s->config.chord_update_interval_s = 600;
    s->config.chord_ping_interval_s = 3600;
    s->self = &p->person->ident;
    s->takes_documents = true;
    s->limits = &h->limits;
    s->shard = (uint16_t)i;
    s->found_ring = i == 0 ? OVERLAY_FOUND_NOW : OVERLAY_FOUND_NO;
    s->candidates[0] = (struct address){.family = 4, .port = 6084, .ip = {127, 0, 0, 1}};
    s->candidate_count = 1;
    s->sip_candidates[0] = (struct address){.family = 4, .port = 6184, .ip = {127, 0, 0, 1}};
    s->sip_candidate_count = 1;
    s->storage_ack = OVERLAY_ACK_REPLICA;
    s->publish = &p->publish;
    s->publish_count = 1;
}

static inline struct harness *harness_make(uint32_t count, uint64_t seed)
{
    struct harness *h = calloc(1, sizeof(*h));
    static struct log log;
    h->w = world_make(seed);
    h->count = count;
    harness_limits(&h->limits);
    log_init(&log, harness_drop_log, NULL, LOG_ERROR, 0);
    h->w->turn.log = &log;
    h->w->arena.used = 0; /* the world's own store is not used here; larger pools are */
    memset(h->w->block, 0, WORLD_ARENA_BYTES);
    msgbuf_pool_init(&h->w->buffers, &h->w->arena, 6000, 200);
    io_outbox_init(&h->w->out, &h->w->arena, 1024);
    for (uint32_t i = 0; i < count; i++) {
        harness_make_peer(h, i);
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < count; k++) {
            h->peers[i].settings.siblings[k] = h->peers[k].person->ident.node_id;
        }
        h->peers[i].settings.shards = (uint16_t)count;
    }
    return h;
}

static inline void harness_start(struct harness *h, uint32_t i)
{
    struct harness_peer *p = &h->peers[i];
    static const struct tls_ops no_tls; /* siblings need none */
    struct link_settings ls = {.tls = &no_tls,
                               .trust = &h->w->trust,
                               .self = p->person->ident.node_id,
                               .shard = (uint16_t)i,
                               .max_message_bytes = p->settings.config.max_message_bytes,
                               .links = h->limits.links,
                               .handshaking = h->limits.links_handshaking,
                               .handshake_timeout_us = 5000000,
                               .retain_us = 8000000,
                               .queue_bytes = 65536,
                               .retained_bytes = 16384};
    struct arena arena;
    size_t bytes = link_table_bytes(&ls) + overlay_bytes(&p->settings) + 4096;
    struct turn *t = harness_turn(h, i);
    free(p->block);
    p->block = calloc(1, bytes);
    arena_init(&arena, p->block, bytes);
    wheel_init(&p->wheel, t->now_us);
    p->links = link_table_init(&arena, &ls);
    p->overlay = overlay_init(t, &arena, &p->settings, p->links);
    cr_assert_leq(arena.used, bytes);
    p->is_alive = true;
    for (uint32_t k = 0; k < h->count; k++) {
        if (k != i && h->peers[k].is_alive) {
            link_add_sibling(t, p->links, (uint16_t)k, &h->peers[k].person->ident.node_id,
                             person_user(h->peers[k].person));
        }
    }
    overlay_start(t, p->overlay);
    harness_end_turn(h, i);
    for (uint32_t k = 0; k < h->count; k++) {
        if (k != i && h->peers[k].is_alive) {
            link_add_sibling(harness_turn(h, k), h->peers[k].links, (uint16_t)i,
                             &p->person->ident.node_id, person_user(p->person));
            harness_end_turn(h, k);
        }
    }
}

static inline void harness_note(struct harness_peer *p, const struct overlay_event *e)
{
    switch (e->kind) {
    case OVERLAY_READY:
        p->ready++;
        return;
    case OVERLAY_LOST:
        p->lost++;
        return;
    case OVERLAY_LEFT:
        p->left++;
        return;
    case OVERLAY_STORED:
        p->stored++;
        break;
    case OVERLAY_FETCHED:
        p->fetched++;
        p->values += (uint32_t)e->value_count;
        break;
    case OVERLAY_PONG:
        p->pongs++;
        break;
    case OVERLAY_ASKED:
        p->asked++;
        p->body_len = min_size(e->document.len, sizeof(p->body));
        if (p->body_len > 0) {
            memcpy(p->body, e->document.data, p->body_len);
        }
        break;
    case OVERLAY_APPATTACHED:
        p->appattached++;
        break;
    case OVERLAY_APPATTACH_DIAL:
        p->dials++;
        break;
    case OVERLAY_CONFIG_RECEIVED:
        p->documents++;
        break;
    }
    p->failed += e->error != ERR_OK ? 1 : 0;
    p->last = *e;
    p->last.values = NULL;
}

static inline void harness_pump(struct harness *h, uint32_t i)
{
    struct harness_peer *p = &h->peers[i];
    struct turn *t = harness_turn(h, i);
    struct link_event le;
    struct overlay_event oe;
    bool has_moved = true;
    while (has_moved) {
        has_moved = false;
        while (link_next(t, p->links, &le)) {
            overlay_on_link(t, p->overlay, &le);
            has_moved = true;
        }
        while (overlay_next(t, p->overlay, &oe)) {
            harness_note(p, &oe);
            if (oe.kind == OVERLAY_CONFIG_RECEIVED) {
                cr_assert_leq(oe.document.len, sizeof(p->document));
                memcpy(p->document, oe.document.data, oe.document.len);
                p->document_len = oe.document.len;
                overlay_config_judged(t, p->overlay, oe.tag, p->judgement);
            }
            has_moved = true;
        }
    }
}

static inline void harness_post(struct harness *h, const struct harness_mail *m)
{
    cr_assert_lt(h->queued, HARNESS_MAILS);
    h->mails[(h->head + h->queued++) % HARNESS_MAILS] = *m;
}

static inline void harness_carry(struct harness *h, uint32_t i)
{
    for (uint32_t k = 0; k < h->w->out.count; k++) {
        struct io_op *op = &h->w->out.ops[k];
        struct harness_mail m = {.at_us = h->w->turn.now_us + HARNESS_LATENCY_US,
                                 .from = (uint16_t)i,
                                 .to = op->shard,
                                 .buf = op->buf};
        cr_assert_eq(op->kind, IO_OP_MAIL);
        unsigned copies = h->tap == NULL ? 1 : h->tap(h, &m);
        for (unsigned c = 0; c < copies; c++) {
            (void)msgbuf_ref(m.buf);
            harness_post(h, &m);
        }
        msgbuf_release(&h->w->buffers, m.buf);
        h->carried++;
    }
    io_outbox_clear(&h->w->out);
}

static inline void harness_end_turn(struct harness *h, uint32_t i)
{
    struct turn *t = harness_turn(h, i);
    bool has_work = true;
    harness_pump(h, i);
    while (has_work) {
        has_work = overlay_work(t, h->peers[i].overlay);
        harness_pump(h, i);
        link_flush(t, h->peers[i].links);
        harness_carry(h, i);
    }
}

static inline void harness_deliver(struct harness *h)
{
    struct harness_mail m = h->mails[h->head];
    h->head = (h->head + 1) % HARNESS_MAILS;
    h->queued--;
    struct harness_peer *p = &h->peers[m.to];
    if (p->is_alive) {
        static uint8_t bytes[8192]; /* a copy of its own: the sender's buffer may go to two */
        cr_assert_leq(m.buf->len, sizeof(bytes));
        memcpy(bytes, msgbuf_data(m.buf), m.buf->len);
        link_on_mail(harness_turn(h, m.to), p->links, m.from, bytes, m.buf->len);
        harness_end_turn(h, m.to);
    }
    msgbuf_release(&h->w->buffers, m.buf);
}

static inline void harness_timers(struct harness *h, uint32_t i)
{
    struct turn *t = harness_turn(h, i);
    struct wheel_timer *timer;
    while ((timer = wheel_take(t->wheel, t->now_us)) != NULL) {
        cr_assert_neq(handle_kind(timer->tag), HANDLE_LINK);
        overlay_on_timer(t, h->peers[i].overlay, timer);
        harness_pump(h, i);
    }
    harness_end_turn(h, i);
}

/* Lets everything happen for `ms`. */
static inline void harness_run(struct harness *h, uint64_t ms)
{
    uint64_t end = h->w->turn.now_us + ms * 1000;
    uint64_t wall = h->w->turn.wall_ms - h->w->turn.now_us / 1000;
    for (;;) {
        uint64_t next = h->queued > 0 ? h->mails[h->head].at_us : UINT64_MAX;
        for (uint32_t i = 0; i < h->count; i++) {
            if (h->peers[i].is_alive) {
                next = min_u64(next, wheel_next_us(&h->peers[i].wheel));
            }
        }
        if (next > end) {
            break;
        }
        h->w->turn.now_us = max_u64(h->w->turn.now_us, next);
        h->w->turn.wall_ms = wall + h->w->turn.now_us / 1000;
        for (uint32_t i = 0; i < h->count; i++) {
            if (h->peers[i].is_alive && wheel_next_us(&h->peers[i].wheel) <= h->w->turn.now_us) {
                harness_timers(h, i);
            }
        }
        while (h->queued > 0 && h->mails[h->head].at_us <= h->w->turn.now_us) {
            harness_deliver(h);
        }
    }
    h->w->turn.now_us = end;
    h->w->turn.wall_ms = wall + end / 1000;
}

static inline void harness_unlink(struct harness *h, uint32_t i)
{
    h->peers[i].is_alive = false;
    for (uint32_t k = 0; k < h->count; k++) {
        if (h->peers[k].is_alive) {
            link_remove_sibling(harness_turn(h, k), h->peers[k].links, (uint16_t)i);
            harness_end_turn(h, k);
        }
    }
}

/* kill -9: the others see its links go down at once. */
static inline void harness_kill(struct harness *h, uint32_t i)
{
    h->has_killed = true;
    harness_unlink(h, i);
}

static inline int harness_by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct node_id));
}

/* How many living peers do not have exactly the neighbors that they should have. */
static inline uint32_t harness_wrong(struct harness *h)
{
    struct node_id ids[HARNESS_PEERS];
    uint32_t count = 0;
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->peers[i].is_alive) {
            ids[count++] = h->peers[i].person->ident.node_id;
        }
    }
    qsort(ids, count, sizeof(ids[0]), harness_by_id);
    uint32_t wanted = count - 1 < 8 ? count - 1 : 8;
    for (uint32_t i = 0; i < h->count; i++) {
        if (!h->peers[i].is_alive) {
            continue;
        }
        struct overlay_status s;
        overlay_status(h->peers[i].overlay, &s);
        uint32_t at = 0;
        while (!ids_node_is_equal(&ids[at], &s.self)) {
            at++;
        }
        bool is_right = s.is_ready && s.successor_count == wanted && s.predecessor_count == wanted;
        for (uint32_t k = 0; is_right && k < wanted; k++) {
            is_right = ids_node_is_equal(&ids[(at + 1 + k) % count], &s.successors[k]) &&
                       ids_node_is_equal(&ids[(at + count - 1 - k) % count], &s.predecessors[k]);
        }
        wrong += is_right ? 0 : 1;
    }
    return wrong;
}

/* Starts all and waits until the ring is right; how long that took. */
static inline uint64_t harness_grow(struct harness *h, uint64_t patience_ms)
{
    uint64_t begin = h->w->turn.now_us;
    for (uint32_t i = 0; i < h->count; i++) {
        harness_start(h, i);
    }
    for (uint64_t ms = 0; ms < patience_ms && harness_wrong(h) != 0; ms += 50) {
        harness_run(h, 50);
    }
    return (h->w->turn.now_us - begin) / 1000;
}

static inline uint64_t harness_metric(const struct harness *h, enum metric which)
{
    return metric_read(&h->w->metrics, which);
}

/* All peers leave one after the other; then not one buffer may be in use. */
static inline void harness_end(struct harness *h)
{
    h->tap = NULL;
    for (uint32_t i = h->count; i > 0; i--) {
        struct harness_peer *p = &h->peers[i - 1];
        if (!p->is_alive) {
            continue;
        }
        overlay_leave(harness_turn(h, i - 1), p->overlay);
        harness_end_turn(h, i - 1);
        for (uint32_t ms = 0; ms < 30000 && p->left == 0; ms += 100) {
            harness_run(h, 100);
        }
        cr_expect_eq(p->left, 1, "peer %u did not leave", i - 1);
        harness_run(h, 50);
        harness_unlink(h, i - 1);
    }
    harness_run(h, 16000);
    uint32_t in_use = h->w->buffers.in_use[0] + h->w->buffers.in_use[1];
    cr_expect(in_use == 0 || h->has_killed, "%u buffers leaked", in_use);
}

static inline void harness_free(struct harness *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        free(h->peers[i].block);
        free(h->peers[i].person);
    }
    world_free(h->w);
    free(h);
}
