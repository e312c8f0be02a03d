/* SPDX-License-Identifier: Apache-2.0 */
/* transit_node.c - see transit_node.h. */
#include "bench/transit_node.h"
#include "bench/transit.h"

#include "core/os/driver_event.h"
#include "core/os/host.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TURN_US = 100, CIPHERTEXT_CAP = 256 * 1024, QUIET_STEPS = 1200, QUIET_STEP_US = 50000 };

void transit_node_drop_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

static uint32_t at_least(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void transit_node_limits(struct limits *l, uint32_t links)
{
    limits_default(l);
    uint32_t room = links + links / 4 + 64; /* an eighth is for those that we dial ourselves */
    l->conns = at_least(l->conns, room + 64);
    l->conns_reserved = 16;
    l->outbox = at_least(l->outbox, l->conns);
    l->links = at_least(l->links, room);
    l->links_handshaking = at_least(l->links_handshaking, room * 2);
    l->ring_nodes = at_least(l->ring_nodes, room);
    l->handshakes_per_s = 0; /* thousands at once, from one address: no strangers */
    l->handshakes_per_host_s = 0;
}

static void fill_settings(struct transit_node *n, const struct transit_ca *ca)
{
    struct node_settings *s = &n->settings;
    struct overlay_settings *o = &s->overlay;
    struct overlay_config *c = &o->config;
    (void)snprintf(c->name, sizeof(c->name), "%s", transit_overlay_name);
    c->sequence = 1;
    c->node_id_length = IDS_NODE_MIN;
    c->initial_ttl = TRANSIT_INITIAL_TTL;
    c->max_message_bytes = 5000;
    c->reliability_timer_ms = 3000;
    c->chord_update_interval_s = 600;
    c->chord_ping_interval_s = 3600;
    c->chord_reactive = true;
    c->no_ice = true;
    c->replica_min_hosts = 1;
    o->trust = ca->trust;
    o->self = &n->identity.ident;
    o->limits = &n->limits;
    o->shards = 1;
    o->siblings[0] = n->identity.ident.node_id;
    o->found_ring = OVERLAY_FOUND_NOW;
    o->candidates[0] = (struct address){.family = 4, .port = 6084, .ip = {127, 0, 0, 1}};
    o->candidate_count = 1;
    o->storage_ack = OVERLAY_ACK_MEMORY;
    n->publish = &n->identity.ident;
    s->tls = tls_boring_ops();
    s->tls_context = n->tls;
    s->limits = &n->limits;
}

void transit_node_open(struct transit_node *n, struct turn *t, const struct transit_ca *ca,
                       const struct limits *limits)
{
    memset(n, 0, sizeof(*n));
    n->limits = *limits;
    transit_identity_open(&n->identity, ca, 0, NULL);
    transit_require(tls_boring_context_new(n->identity.ident.certificate, NULL, 0, n->identity.key,
                                           &n->tls) == ERR_OK,
                    "a TLS context");
    fill_settings(n, ca);
    transit_require(mem_open(&n->mem, node_bytes(&n->settings)) == ERR_OK, "memory for a node");
    n->node = node_init(t, &n->mem.arena, &n->settings);
    node_start(t, n->node);
    (void)node_on_flush(t, n->node);
    transit_require(overlay_is_ready(node_overlay(n->node)), "a ring that is founded at once");
}

void transit_node_close(struct transit_node *n)
{
    tls_boring_context_free(n->tls); /* CHECKs that no connection is left */
    mem_close(&n->mem);
    crypto_boring_key_free(n->identity.key);
    memset(n, 0, sizeof(*n));
}

/* ---- in process ---- */

uint64_t transit_world_cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void init_turn(struct transit_world *w, const struct limits *l)
{
    size_t bytes = io_outbox_bytes(l->outbox) + (size_t)l->msgbuf_small * LIMITS_COST_msgbuf_small +
                   (size_t)l->msgbuf_large * LIMITS_COST_msgbuf_large + 65536;
    transit_require(mem_open(&w->mem, bytes) == ERR_OK, "memory for buffers");
    msgbuf_pool_init(&w->buffers, &w->mem.arena, l->msgbuf_small, l->msgbuf_large);
    io_outbox_init(&w->out, &w->mem.arena, l->outbox);
    rng_init(&w->rng, 1);
    log_init(&w->log, transit_node_drop_log, NULL, LOG_ERROR, 0);
    w->turn = (struct turn){.now_us = host_now_us(),
                            .wall_ms = host_wall_ms(),
                            .rng = &w->rng,
                            .crypto = crypto_boring(),
                            .wheel = &w->wheel,
                            .buffers = &w->buffers,
                            .out = &w->out,
                            .metrics = &w->metrics,
                            .log = &w->log};
    wheel_init(&w->wheel, w->turn.now_us);
}

/* What a far end has sealed waits for the node. */
static void pull(struct transit_end *e)
{
    size_t len = 0;
    while ((len = transit_peer_pull(&e->peer, e->bytes + e->len, CIPHERTEXT_CAP - e->len)) > 0) {
        e->len += len;
        transit_require(e->len < CIPHERTEXT_CAP, "room for sealed bytes");
    }
}

/* What is timed, and what callgrind counts. */
static __attribute__((noinline, noclone)) void node_turn(struct transit_world *w)
{
    struct turn *t = &w->turn;
    for (uint32_t i = 0; i < w->active_count; i++) {
        struct transit_end *e = &w->ends[w->active[i]];
        if (e->unsaid > 0) {
            struct io_event event = {.kind = IO_SENT, .conn = e->conn, .data_len = e->unsaid};
            node_on_event(t, w->node.node, &event);
            e->unsaid = 0;
        }
        for (size_t at = 0; at < e->len; at += DRIVER_STREAM_BYTES) {
            struct io_event event = {.kind = IO_STREAM,
                                     .conn = e->conn,
                                     .data = e->bytes + at,
                                     .data_len = min_size(e->len - at, DRIVER_STREAM_BYTES)};
            node_on_event(t, w->node.node, &event);
        }
        e->len = 0;
    }
    node_on_timers(t, w->node.node);
    (void)node_on_flush(t, w->node.node);
}

void transit_world_note(struct transit_world *w, uint32_t end)
{
    if (!w->ends[end].is_active) {
        w->ends[end].is_active = true;
        w->active[w->active_count++] = end;
    }
}

/* Whole records, as both sides hand them over. */
static uint64_t count_records(struct slice sealed)
{
    enum { HEADER = 5 };
    uint64_t count = 0;
    while (sealed.len > HEADER) {
        sealed = slice_from(sealed, HEADER + ((size_t)sealed.data[3] << 8 | sealed.data[4]));
        count++;
    }
    return count;
}

static void carry_out(struct transit_world *w)
{
    for (uint32_t i = 0; i < w->out.count; i++) {
        struct io_op *op = &w->out.ops[i];
        transit_require(op->kind != IO_OP_ABORT && op->kind != IO_OP_CLOSE, "links that stay");
        if (op->kind == IO_OP_SEND) {
            uint32_t end = handle_index(op->conn);
            w->records += count_records(msgbuf_slice(op->buf));
            transit_peer_feed(&w->ends[end].peer, msgbuf_slice(op->buf));
            w->ends[end].unsaid += op->buf->len;
            transit_world_note(w, end);
        }
        if (op->buf != NULL) {
            msgbuf_release(&w->buffers, op->buf);
        }
    }
    io_outbox_clear(&w->out);
}

static void drop_operations(struct transit_world *w)
{
    for (uint32_t i = 0; i < w->out.count; i++) {
        if (w->out.ops[i].buf != NULL) {
            msgbuf_release(&w->buffers, w->out.ops[i].buf);
        }
    }
    io_outbox_clear(&w->out);
}

void transit_world_turn(struct transit_world *w)
{
    for (uint32_t i = 0; i < w->active_count; i++) {
        struct transit_end *e = &w->ends[w->active[i]];
        transit_peer_acknowledge(&e->peer);
        pull(e);
        w->records += count_records(slice_of(e->bytes, e->len));
    }
    w->turn.now_us += TURN_US;
    uint64_t allocations = transit_alloc_count();
    uint64_t before = transit_world_cpu_ns();
    node_turn(w);
    w->busy_ns += transit_world_cpu_ns() - before;
    w->allocations += transit_alloc_count() - allocations;
    w->turns++;
    for (uint32_t i = 0; i < w->active_count; i++) {
        w->ends[w->active[i]].is_active = false;
    }
    w->active_count = 0;
    carry_out(w);
}

void transit_world_pass(struct transit_world *w, uint64_t us)
{
    w->turn.now_us += us;
    w->turn.wall_ms += us / 1000;
    transit_world_turn(w);
}

void transit_world_settle(struct transit_world *w)
{
    do {
        transit_world_turn(w);
    } while (w->active_count > 0);
}

uint64_t transit_world_metric(const struct transit_world *w, enum metric which)
{
    return metric_read(&w->metrics, which);
}

static void attach(struct transit_world *w, const struct transit_ca *ca, uint32_t i)
{
    struct transit_end *e = &w->ends[i];
    transit_peer_open(&e->peer, ca, i + 1);
    e->bytes = (uint8_t *)w->bytes.block + (size_t)i * CIPHERTEXT_CAP; /* untouched pages */
    e->conn = handle_make(HANDLE_CONN, 1, i);
    struct io_event event = {.kind = IO_ACCEPTED,
                             .conn = e->conn,
                             .listener = IO_LISTEN_OVERLAY,
                             .remote = {.family = 4, .port = 5000, .ip = {127, 1, 0, 1}}};
    node_on_event(&w->turn, w->node.node, &event);
    w->count = i + 1;
    transit_world_note(w, i);
}

void transit_world_open(struct transit_world *w, const struct transit_ca *ca, uint32_t count)
{
    struct limits limits;
    memset(w, 0, sizeof(*w));
    transit_node_limits(&limits, count);
    init_turn(w, &limits);
    transit_node_open(&w->node, &w->turn, ca, &limits);
    w->ends = calloc(count, sizeof(*w->ends));
    w->active = calloc(count, sizeof(*w->active));
    transit_require(w->ends != NULL && w->active != NULL, "memory for far ends");
    transit_require(mem_open(&w->bytes, (size_t)count * CIPHERTEXT_CAP) == ERR_OK,
                    "memory for sealed bytes");
    for (uint32_t i = 0; i < count; i++) {
        attach(w, ca, i);
        if (i % 64 == 63) { /* not all hold buffers of their handshake at once */
            transit_world_settle(w);
        }
    }
    transit_world_settle(w);
    for (uint32_t i = 0; i < count; i++) {
        transit_require(w->ends[i].peer.is_up, "links that come up");
    }
    /* The node tells everybody whom it sees on the ring, again and again until it is answered,
     * which these far ends never do: that is over before anything is measured. */
    for (uint32_t i = 0; i < QUIET_STEPS; i++) {
        transit_world_pass(w, QUIET_STEP_US);
    }
    transit_world_settle(w);
    transit_require(link_count_up(node_links(w->node.node)) == count, "links that are up");
}

void transit_world_drop_ends(struct transit_world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        transit_peer_close(&w->ends[i].peer);
    }
    free(w->ends);
    free(w->active);
    w->ends = NULL;
    w->active = NULL;
    w->count = 0;
}

void transit_world_close(struct transit_world *w)
{
    struct link_info info;
    uint32_t index = 0;
    while (link_walk(node_links(w->node.node), &index, &info)) {
        link_close(&w->turn, node_links(w->node.node), info.link);
        if (w->out.count > w->out.cap / 2) {
            drop_operations(w);
        }
    }
    (void)node_on_flush(&w->turn, w->node.node);
    drop_operations(w);
    transit_world_drop_ends(w);
    transit_node_close(&w->node);
    mem_close(&w->bytes);
    mem_close(&w->mem);
    memset(w, 0, sizeof(*w));
}
