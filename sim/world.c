/* SPDX-License-Identifier: Apache-2.0 */
/* Time jumps from event to event.  A node's turn is one event, its due timers, and its flush; what
 * it asked for becomes later events of others.  See sim/net.c for what the network does to them. */
#include "sim/world.h"
#include "core/hash.h"
#include "node/answer.h"
#include "sim/net.h"
#include "sim/world_impl.h"
#include <stdio.h>

enum {
    /* Room for the worst of small worlds; what is not used is never touched. */
    BUFFERS_SMALL_PER_NODE = 128,
    BUFFERS_LARGE_PER_NODE = 32,
    BUFFERS_EXTRA = 8192,
    BUFFERS_PER_PHONE = 8,
    EVENTS_PER_NODE = 256,
    EVENTS_EXTRA = 65536,
    EVENTS_PER_PHONE = 16,
    SPLIT_EXTRA_BYTES = 32 * ARENA_PAGE_BYTES, /* more than a node has large tables */
};

/* ---- settings and memory ---- */

void world_defaults(struct world_settings *s)
{
    memset(s, 0, sizeof(*s));
    s->seed = 1;
    s->nodes = 16;
    s->shards = 1;
    s->bootstraps = 4;
    s->underlay = (struct underlay_settings){.delay_us = 20000, .jitter_us = 2000};
    s->start_wall_ms = 1800000000000ULL;
    s->datagram_bytes = 1232;
    s->stored_values = 512;
    s->disk_sync_us = 5000;
    struct overlay_config *c = &s->config;
    snprintf(c->name, sizeof(c->name), "sim.example");
    c->sequence = 1;
    c->node_id_length = 16;
    c->initial_ttl = 100;
    c->max_message_bytes = 5000;
    c->reliability_timer_ms = 3000;
    c->chord_update_interval_s = 600;
    c->chord_ping_interval_s = 3600;
    c->chord_reactive = true;
    c->no_ice = true;
    c->replica_min_hosts = 2;
    c->kinds[0] = (struct overlay_kind){OVERLAY_KIND_SIP_REGISTRATION,
                                        OVERLAY_DICTIONARY,
                                        OVERLAY_USER_NODE_MATCH,
                                        32,
                                        512,
                                        0,
                                        NULL};
    c->kinds[1] = (struct overlay_kind){
        OVERLAY_KIND_CERTIFICATE_BY_NODE, OVERLAY_ARRAY, OVERLAY_NODE_MATCH, 4, 2048, 0, NULL};
    c->kinds[2] = (struct overlay_kind){
        OVERLAY_KIND_CERTIFICATE_BY_USER, OVERLAY_ARRAY, OVERLAY_USER_MATCH, 64, 2048, 0, NULL};
    c->kind_count = 3;
}

static uint32_t buffers_small(const struct world_settings *s)
{
    return s->nodes * BUFFERS_SMALL_PER_NODE + s->phones.count * BUFFERS_PER_PHONE + BUFFERS_EXTRA;
}

static uint32_t buffers_large(const struct world_settings *s)
{
    return s->nodes * BUFFERS_LARGE_PER_NODE + BUFFERS_EXTRA;
}

static uint32_t events_cap(const struct world_settings *s)
{
    return s->nodes * EVENTS_PER_NODE + s->phones.count * EVENTS_PER_PHONE + EVENTS_EXTRA;
}

/* A node's memory depends on limits alone; settings without names are enough to ask.  Not inlined:
 * struct node_settings alone nearly fills a frame. */
static __attribute__((noinline)) size_t bytes_of_node(const struct world_settings *s,
                                                      const struct limits *limits,
                                                      const struct ident *nobody)
{
    struct node_settings node;
    memset(&node, 0, sizeof(node));
    node.overlay.config = s->config;
    node.overlay.document = s->document;
    node.overlay.takes_documents = s->document.len > 0;
    node.overlay.self = nobody;
    node.overlay.limits = limits;
    node.overlay.shards = 1;
    node.overlay.log_bytes = s->has_disks ? WORLD_DISK_LOG_BYTES : 0;
    node.limits = limits;
    world_phones_room(s, limits, &node);
    return node_bytes(&node);
}

size_t world_bytes(const struct world_settings *s)
{
    struct limits limits;
    struct ident nobody = {0};
    world_limits(s, &limits);
    size_t each =
        bytes_of_node(s, &limits, &nobody) + SPLIT_EXTRA_BYTES + 4096 + sizeof(struct world_node);
    size_t idents = (s->nodes + s->accounts) * (sizeof(struct world_ident) + 64);
    return (s->nodes + 1) * each + idents + sizeof(struct world) + net_bytes(s) +
           queue_bytes(events_cap(s)) + WORLD_OUTBOX * sizeof(struct world_sent) +
           s->nodes * sizeof(uint32_t) +
           buffers_small(s) *
               (MSGBUF_SMALL_BYTES + MSGBUF_HEADROOM + sizeof(struct msgbuf) + 64ULL) +
           buffers_large(s) *
               (MSGBUF_LARGE_BYTES + MSGBUF_HEADROOM + sizeof(struct msgbuf) + 64ULL) +
           io_outbox_bytes(WORLD_OUTBOX) + world_disk_bytes(s) + world_phones_bytes(s) +
           world_crypto_bytes(s) + 65536;
}

/* ---- identities ---- */

static void make_idents(struct world *w, struct arena *arena)
{
    char user[WORLD_USER_CAP];
    const struct world_settings *s = &w->settings;
    w->idents = ARENA_ARRAY(arena, struct world_ident, s->nodes);
    w->accounts = s->accounts == 0 ? NULL : ARENA_ARRAY(arena, struct world_ident, s->accounts);
    for (uint32_t i = 0; i < s->nodes; i++) {
        snprintf(user, sizeof(user), "host%u@sim.example", i / s->shards);
        world_crypto_make_ident(w, &w->idents[i], user, i < s->id_count ? &s->ids[i] : NULL);
    }
    for (uint32_t i = 0; i < s->accounts; i++) {
        snprintf(user, sizeof(user), "u%u@sim.example", i);
        world_crypto_make_ident(w, &w->accounts[i], user, NULL);
    }
}

/* ---- nodes ---- */

static void node_settings_of(struct world *w, uint32_t i, struct node_settings *out)
{
    const struct world_settings *s = &w->settings;
    struct world_node *n = &w->nodes[i];
    memset(out, 0, sizeof(*out));
    struct overlay_settings *o = &out->overlay;
    o->config = s->config;
    o->document = s->document;
    o->takes_documents = s->document.len > 0;
    o->trust = (struct crypto_trust){.roots = &w->root,
                                     .root_count = 1,
                                     .overlay_name = slice_text(w->settings.config.name),
                                     .node_id_length = 16};
    o->self = &w->idents[i].ident;
    o->limits = &w->limits;
    o->shard = (uint16_t)(i % s->shards);
    o->shards = (uint16_t)s->shards;
    for (uint32_t k = 0; k < s->shards; k++) {
        o->siblings[k] = w->idents[i - i % s->shards + k].ident.node_id;
    }
    o->found_ring = s->is_ready && w->net.is_instant ? OVERLAY_FOUND_GIVEN
                    : i == 0                         ? OVERLAY_FOUND_NOW
                                                     : OVERLAY_FOUND_NO;
    o->bootstrap_count = min_size(s->bootstraps, s->nodes);
    for (uint32_t k = 0; k < o->bootstrap_count; k++) {
        o->bootstrap[k] = net_address(k);
    }
    o->candidates[0] = places_address(&w->net.places, i);
    o->candidate_count = 1;
    o->sip_candidates[0] = places_address(&w->net.places, i);
    o->sip_candidates[0].port = NET_PORT_SIP;
    o->sip_candidate_count = 1;
    o->storage_ack = OVERLAY_ACK_REPLICA;
    n->publish = &w->idents[i].ident;
    o->publish = &n->publish;
    o->publish_count = s->is_publishing ? 1 : 0;
    world_disk_settings(w->disks, i, out);
    world_phones_settings(w, i, out);
    world_crypto_settings(w, i, out);
    out->limits = &w->limits;
}

static void drop_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context;
    (void)level;
    (void)line;
    (void)len;
}

/* Where pages are counted, those that a node uses throughout lie apart from its tables. */
static __attribute__((noinline)) void make_room(struct world *w, uint32_t i, struct arena *world)
{
    struct node_settings node;
    struct arena *arena = world->sparse == NULL ? world : world->sparse;
    node_settings_of(w, i, &node);
    size_t bytes = node_bytes(&node) + 1024 + (world->sparse == NULL ? 0 : SPLIT_EXTRA_BYTES);
    if (w->scratch == NULL) { /* none of them needs more than a whole node takes */
        w->scratch_bytes = bytes;
        w->scratch = arena_take_raw(arena, bytes, 1, 64);
    }
    w->nodes[i].arena_bytes = bytes;
    arena_init(&w->nodes[i].arena, arena_take_raw(arena, bytes, 1, 64), bytes);
    w->nodes[i].arena.is_split = world->sparse != NULL;
    w->nodes[i].arena.scratch = w->scratch;
    w->nodes[i].arena.scratch_cap = w->scratch_bytes;
    rng_init(&w->nodes[i].rng, w->settings.seed * 0x9e3779b97f4a7c15ULL + i);
}

struct world *world_init(struct arena *arena, const struct world_settings *s)
{
    CHECK(s->nodes > 0 && s->nodes <= WORLD_NODES_CAP && s->shards > 0 &&
          s->shards <= OVERLAY_SHARDS_CAP && s->nodes % s->shards == 0);
    struct world *w = ARENA_ARRAY(arena, struct world, 1);
    w->settings = *s;
    rng_init(&w->identity_rng, s->seed ^ 0x1de27);
    rng_init(&w->crypto_rng, s->seed ^ 0xc2217);
    rng_init(&w->scenario_rng, s->seed ^ 0x5ce7a);
    world_crypto_init(arena, w);
    world_limits(s, &w->limits);
    msgbuf_pool_init(&w->buffers, arena, buffers_small(s), buffers_large(s));
    io_outbox_init(&w->outbox, arena, WORLD_OUTBOX);
    w->sent = ARENA_RAW(arena, struct world_sent, WORLD_OUTBOX);
    w->answering = ARENA_RAW(arena, uint32_t, s->nodes);
    buggify_init(&w->buggify, s->seed, s->buggify_percent);
    log_init(&w->log, drop_log, NULL, LOG_ERROR, 0);
    queue_init(&w->queue, arena, events_cap(s));
    net_init(&w->net, arena, s);
    make_idents(w, arena);
    w->disks = world_disk_init(arena, s);
    w->phones = world_phones_init(arena, w);
    w->nodes = ARENA_ARRAY(arena, struct world_node, s->nodes);
    for (uint32_t i = 0; i < s->nodes; i++) {
        make_room(w, i, arena);
    }
    return w;
}

/* ---- turns ---- */

struct turn *world_begin_turn(struct world *w, uint32_t i)
{
    struct world_node *n = &w->nodes[i];
    w->buffers.owner = i + 1;
    w->turn = (struct turn){
        .now_us = w->now_us,
        .wall_ms = w->settings.start_wall_ms + w->now_us / 1000 + (uint64_t)n->skew_ms,
        .rng = &n->rng,
        .crypto = &w->crypto,
        .wheel = &n->wheel,
        .buffers = &w->buffers,
        .out = &w->outbox,
        .metrics = &w->metrics,
        .log = &w->log,
        .buggify = w->settings.buggify_percent > 0 ? &w->buggify : NULL,
    };
    return &w->turn;
}

static void schedule_wake(struct world *w, uint32_t i, uint64_t at_us)
{
    struct world_node *n = &w->nodes[i];
    if (at_us == UINT64_MAX || (n->wake_us != 0 && n->wake_us <= at_us)) {
        return;
    }
    n->wake_us = max_u64(max_u64(at_us, w->now_us), 1);
    struct queue_event e = {
        .at_us = n->wake_us, .node = i, .incarnation = n->incarnation, .what = QUEUE_WAKE};
    queue_put(&w->queue, &e);
}

/* A peer has left in good order: the process goes on, and tells its siblings (as cmd/control does).
 */
static void tell_siblings(struct world *w, uint32_t i)
{
    uint32_t first = i - i % w->settings.shards;
    for (uint32_t k = first; k < first + w->settings.shards; k++) {
        if (k != i && w->nodes[k].is_alive) {
            struct turn *t = world_begin_turn(w, k);
            link_remove_sibling(t, node_links(w->nodes[k].node), (uint16_t)(i - first));
            world_end_turn(w, k);
        }
    }
}

/* The kernel has taken what was to be sent. */
static void complete_sends(struct world *w, struct world_node *n)
{
    for (uint32_t k = 0; k < w->sent_count; k++) {
        struct io_event sent = {
            .kind = IO_SENT, .conn = w->sent[k].conn, .data_len = w->sent[k].len};
        node_on_event(&w->turn, n->node, &sent);
    }
    w->sent_count = 0;
}

static void note_answers(struct world *w, uint32_t i)
{
    struct world_node *n = &w->nodes[i];
    if (!n->has_answers && answer_is_due(n->node)) {
        n->has_answers = true;
        w->answering[w->answering_count++] = i;
    }
}

void world_end_turn(struct world *w, uint32_t i)
{
    struct world_node *n = &w->nodes[i];
    bool has_work = node_on_flush(&w->turn, n->node);
    net_carry_out(w, i);
    struct queue_event synced = {.node = i, .incarnation = n->incarnation, .what = QUEUE_DISK};
    if (world_disk_flush(w->disks, i, w->now_us, &synced.at_us)) {
        queue_put(&w->queue, &synced);
    }
    complete_sends(w, n);
    net_carry_out(w, i);
    world_crypto_turn_over(w);
    note_answers(w, i);
    if (n->ready_us == 0 && overlay_is_ready(node_overlay(n->node))) {
        n->ready_us = max_u64(w->now_us, 1);
    }
    n->due_us = wheel_due_us(&n->wheel);
    n->has_work = has_work;
    w->turns++;
    schedule_wake(w, i, has_work ? w->now_us : n->due_us);
    if (node_is_stopped(n->node)) {
        world_bury(w, i, true);
        tell_siblings(w, i);
    }
}

/* What a peer that was in the ring before remembers of it (cmd: neighbors are written down). */
static void remember_peers(struct world *w, struct overlay_settings *o)
{
    enum { REMEMBERED = 4, TRIES = 64 };
    uint32_t found = 0;
    for (uint32_t k = 0; k < TRIES && found < REMEMBERED; k++) {
        uint32_t i = (uint32_t)rng_below(&w->scenario_rng, w->settings.nodes);
        if (w->nodes[i].is_alive && o->bootstrap_count < OVERLAY_BOOTSTRAP_CAP) {
            o->bootstrap[o->bootstrap_count++] = places_address(&w->net.places, i);
            found++;
        }
    }
}

void world_start(struct world *w, uint32_t i)
{
    struct world_node *n = &w->nodes[i];
    CHECK(!n->is_alive);
    struct node_settings settings;
    node_settings_of(w, i, &settings);
    if (n->incarnation > 0) {
        bool has_disk = w->disks != NULL; /* neighbors are remembered there */
        settings.overlay.found_ring =
            has_disk && i == 0 ? OVERLAY_FOUND_IF_ALONE : OVERLAY_FOUND_NO;
        if (!has_disk) {
            remember_peers(w, &settings.overlay);
        }
    }
    n->arena.used = 0;
    n->arena.cap = n->arena_bytes;
    n->arena.scratch_used = 0;
    n->incarnation++;
    n->wake_us = 0;
    n->is_alive = true;
    w->lives++;
    n->started_us = w->now_us;
    n->ready_us = 0;
    n->is_off = false;
    n->is_leaving = false;
    wheel_init(&n->wheel, w->now_us);
    struct turn *t = world_begin_turn(w, i);
    n->node = node_init(t, &n->arena, &settings);
    world_disk_restore(w->disks, i, t, n->node);
    node_start(t, n->node);
    world_end_turn(w, i);
}

void world_bury(struct world *w, uint32_t i, bool is_told)
{
    struct world_node *n = &w->nodes[i];
    n->is_alive = false;
    w->lives++;
    n->incarnation++;
    world_disk_crash(w->disks, i, !n->is_leaving);
    net_bury(w, i, is_told);
    world_crypto_bury(w, i);
    msgbuf_release_owned(&w->buffers, i + 1);
}

void world_end(struct world *w)
{
    for (uint32_t i = 0; i < w->settings.nodes; i++) {
        w->nodes[i].incarnation += w->nodes[i].is_alive ? 1 : 0;
        w->nodes[i].is_alive = false; /* first all of them: there is nobody to be told */
    }
    for (uint32_t i = 0; i < w->settings.nodes; i++) {
        net_bury(w, i, true);
        world_crypto_bury(w, i);
    }
    world_crypto_end(w);
    msgbuf_release_owned(&w->buffers, (uint32_t)MSGBUF_ANYBODY);
}

/* A process dies as a whole, all its peers at once. */
static void end_process(struct world *w, uint32_t i, bool is_told)
{
    CHECK(w->nodes[i].is_alive);
    uint32_t first = i - i % w->settings.shards;
    for (uint32_t k = first; k < first + w->settings.shards; k++) {
        if (w->nodes[k].is_alive) {
            world_bury(w, k, is_told);
        }
        w->nodes[k].is_off |= !is_told;
    }
}

void world_kill(struct world *w, uint32_t i)
{
    end_process(w, i, true);
}

void world_vanish(struct world *w, uint32_t i)
{
    end_process(w, i, false);
}

void world_move(struct world *w, uint32_t i)
{
    uint32_t first = i - i % w->settings.shards;
    for (uint32_t k = first; k < first + w->settings.shards; k++) {
        net_move(w, k);
    }
}

void world_stop(struct world *w, uint32_t i)
{
    CHECK(w->nodes[i].is_alive);
    w->nodes[i].is_leaving = true;
    struct turn *t = world_begin_turn(w, i);
    node_stop(t, w->nodes[i].node, 1000000);
    world_end_turn(w, i);
}

/* ---- the loop ---- */

static void fingerprint(struct world *w, const struct queue_event *e)
{
    struct slice told = e->buf == NULL ? SLICE_EMPTY : slice_of(e->io.data, e->io.data_len);
    bool is_told = world_crypto_is_told_by_bytes(w, &e->io);
    uint64_t seen[4] = {e->at_us, (uint64_t)e->node << 32 | (uint32_t)e->io.kind,
                        is_told ? e->io.data_len : 0, w->fingerprint};
    uint64_t bytes = e->buf == NULL || !is_told ? 0 : hash_64(told, 0);
    w->fingerprint = hash_64(slice_of(seen, sizeof(seen)), bytes);
    w->events++;
}

static void deliver(struct world *w, struct queue_event *e)
{
    struct world_node *n = &w->nodes[e->node];
    bool is_meant = n->is_alive && n->incarnation == e->incarnation && e->what != QUEUE_PHONE;
    if (e->what == QUEUE_PHONE) {
        world_phones_deliver(w, e);
    }
    if (is_meant && e->what == QUEUE_WAKE) {
        is_meant = n->wake_us == e->at_us; /* else an earlier one has come first */
        n->wake_us = is_meant ? 0 : n->wake_us;
        if (is_meant && n->due_us > w->now_us && !n->has_work) { /* that timer was cancelled */
            schedule_wake(w, e->node, n->due_us);
            return;
        }
    }
    if (is_meant && (e->what != QUEUE_IO || net_admit(w, e))) {
        struct turn *t = world_begin_turn(w, e->node);
        if (e->what == QUEUE_IO) {
            fingerprint(w, e);
            if (w->tamper != NULL && e->io.kind == IO_STREAM) {
                w->tamper(w->tamper_context, w, e->node, msgbuf_data(e->buf), e->io.data_len);
            }
            node_on_event(t, n->node, &e->io);
        } else if (e->what == QUEUE_DISK) {
            world_disk_deliver(w->disks, e->node, t, n->node);
        }
        if (n->due_us <= w->now_us) {
            node_on_timers(t, n->node);
        }
        world_end_turn(w, e->node);
        if (w->watch != NULL) {
            w->watch(w->watch_context, w, e->node);
        }
    }
    if (e->buf != NULL) {
        msgbuf_release(&w->buffers, e->buf);
    }
}

/* Memory of a hundred thousand nodes is far away: what those need whose turns come next is
 * fetched ahead, step by step, since each step reads where the next one is. */
static void fetch_ahead(struct world *w)
{
    enum { NEXT = 1, SOON = 3, LATER = 7, LAST = 15 };
    const struct queue_event *e;
    for (uint32_t place = 0; place < LAST && (e = queue_soon(&w->queue, place)) != NULL; place++) {
        const struct world_node *n = &w->nodes[e->node];
        if (place >= LATER) {
            __builtin_prefetch(n);
            __builtin_prefetch(&n->rng);
            __builtin_prefetch(&n->wheel.occupied);
        } else if (n->is_alive) {
            enum node_ahead step = place >= SOON   ? NODE_AHEAD_NODE
                                   : place >= NEXT ? NODE_AHEAD_TABLES
                                                   : NODE_AHEAD_LINK;
            node_fetch_ahead(n->node, e->what == QUEUE_IO ? e->io.conn : 0, step);
        }
    }
}

void world_run_until(struct world *w, uint64_t at_us)
{
    bool is_large = w->settings.nodes >= WORLD_TIGHT_NODES;
    const struct queue_event *first;
    CHECK(w->sent_count == 0);
    while ((first = queue_first(&w->queue)) != NULL && first->at_us <= at_us) {
        struct queue_event e;
        queue_take(&w->queue, &e);
        if (is_large) {
            fetch_ahead(w);
        }
        w->now_us = e.at_us;
        deliver(w, &e);
    }
    w->now_us = max_u64(w->now_us, at_us);
}

/* ---- asking ---- */

uint64_t world_now_us(const struct world *w)
{
    return w->now_us;
}

bool world_is_alive(const struct world *w, uint32_t i)
{
    return w->nodes[i].is_alive;
}

bool world_is_leaving(const struct world *w, uint32_t i)
{
    return w->nodes[i].is_leaving;
}

uint32_t world_alive_count(const struct world *w)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < w->settings.nodes; i++) {
        alive += w->nodes[i].is_alive ? 1 : 0;
    }
    return alive;
}

uint64_t world_lives(const struct world *w)
{
    return w->lives;
}

void world_set_instant(struct world *w, bool is_instant)
{
    w->net.is_instant = is_instant;
}

uint64_t world_join_us(const struct world *w, uint32_t i)
{
    const struct world_node *n = &w->nodes[i];
    return n->ready_us == 0 ? UINT64_MAX : n->ready_us - n->started_us;
}

uint32_t world_take_answering(struct world *w)
{
    if (w->answering_count == 0) {
        return UINT32_MAX;
    }
    uint32_t i = w->answering[--w->answering_count];
    w->nodes[i].has_answers = false;
    return i;
}

uint32_t world_incarnation(const struct world *w, uint32_t i)
{
    return w->nodes[i].incarnation;
}

const struct places *world_places(const struct world *w)
{
    return &w->net.places;
}

struct net_faults *world_net_faults(struct world *w)
{
    return &w->net.faults;
}

void world_ways_changed(struct world *w)
{
    net_ways_changed(w);
}

void world_set_tamper(struct world *w, world_tamper *tamper, void *context)
{
    w->tamper = tamper;
    w->tamper_context = context;
}

void world_set_watch(struct world *w, world_watch *watch, void *context)
{
    w->watch = watch;
    w->watch_context = context;
}

struct buggify *world_buggify(struct world *w)
{
    return &w->buggify;
}

void world_set_skew(struct world *w, uint32_t i, int64_t skew_ms)
{
    w->nodes[i].skew_ms = skew_ms;
}

struct node *world_node(struct world *w, uint32_t i)
{
    CHECK(w->nodes[i].is_alive);
    return w->nodes[i].node;
}

const struct world_settings *world_settings_of(const struct world *w)
{
    return &w->settings;
}

const struct ident *world_ident(const struct world *w, uint32_t i)
{
    return &w->idents[i].ident;
}

const struct ident *world_account(const struct world *w, uint32_t i)
{
    CHECK(i < w->settings.accounts);
    return &w->accounts[i].ident;
}

const struct crypto *world_crypto(const struct world *w)
{
    return &w->crypto;
}

struct rng *world_rng(struct world *w)
{
    return &w->scenario_rng;
}

uint64_t world_fingerprint(const struct world *w)
{
    return w->fingerprint;
}

uint64_t world_events(const struct world *w)
{
    return w->events;
}

uint64_t world_turns(const struct world *w)
{
    return w->turns;
}

const struct metrics *world_metrics(const struct world *w)
{
    return &w->metrics;
}

uint32_t world_buffers_in_use(const struct world *w)
{
    return w->buffers.in_use[0] + w->buffers.in_use[1] + world_crypto_in_use(w);
}

uint64_t world_datagrams(const struct world *w, uint64_t *lost)
{
    *lost = w->net.datagrams_lost;
    return w->net.datagrams;
}

const struct account *world_account_of_links(const struct world *w)
{
    return &w->net.account;
}

uint64_t world_stream_bytes(const struct world *w)
{
    return w->net.stream_bytes;
}
