/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a node out of its layers and ends it again; the journeys are in path.c. */
#include "node/node.h"
#include "node/node_impl.h"

#include "codec/content.h"

/* Streams to other peers may come and go in bursts when a machine dies: one for each neighbor that
 * phones talk to, not one for each call. */
static struct link_settings link_settings_of(const struct node_settings *s)
{
    return (struct link_settings){
        .tls = s->tls,
        .tls_context = s->tls_context,
        .trust = &s->overlay.trust,
        .self = s->overlay.self->node_id,
        .shard = s->overlay.shard,
        .max_message_bytes = s->overlay.config.max_message_bytes,
        .links = s->limits->links,
        .handshaking = s->limits->links_handshaking,
        .handshaking_per_host = s->limits->links_handshaking_per_host,
        .handshakes_per_s = s->limits->handshakes_per_s,
        .handshakes_per_host_s = s->limits->handshakes_per_host_s,
        .handshake_timeout_us = 5000000,
        .retain_us = 8000000,
        .queue_bytes = s->limits->link_queue_bytes,
        .retained_bytes = s->limits->link_retained_bytes,
        .links_datagram = s->limits->links_datagram,
        .announced = s->limits->links_announced,
        .parked = s->limits->links_parked,
        .datagram_bytes = s->limits->link_datagram_bytes,
    };
}

static struct stream_tls_settings stream_settings_of(const struct node_settings *s)
{
    return (struct stream_tls_settings){
        .tls = s->tls,
        .tls_context = s->tls_context,
        .trust = &s->overlay.trust,
        .self = s->overlay.self->node_id,
        .streams = s->limits->sip_peers,
    };
}

static bool has_sip(const struct node_settings *s)
{
    return s->sip.advertised.family != 0;
}

/* A document comes in one message. */
static size_t document_bytes(const struct node_settings *s)
{
    return s->overlay.takes_documents ? s->overlay.config.max_message_bytes : 0;
}

/* What pools and arrays of this file take, alignment included. */
static size_t own_bytes(const struct node_settings *s)
{
    return sizeof(struct node) + ANSWER_CAP * sizeof(struct answer) +
           s->limits->conns * sizeof(struct node_conn) +
           s->limits->sip_peers * (sizeof(struct node_peer) + 2 * sizeof(uint32_t)) +
           document_bytes(s) + 256;
}

size_t node_bytes(const struct node_settings *s)
{
    struct link_settings links = link_settings_of(s);
    struct stream_tls_settings streams = stream_settings_of(s);
    size_t sip =
        has_sip(s) ? sip_bytes(&s->sip) + stream_tls_table_bytes(&streams) + TLS_READ_BYTES : 0;
    size_t wrapped = has_sip(s) ? wrapped_bytes(s) + outward_bytes(s) : 0;
    return own_bytes(s) + link_table_bytes(&links) + overlay_bytes(&s->overlay) + sip + wrapped;
}

struct node *node_init(struct turn *t, struct arena *arena, const struct node_settings *settings)
{
    struct node *n = ARENA_ARRAY(arena, struct node, 1);
    n->settings = *settings;
    const struct node_settings *s = &n->settings; /* borrowed below for the life of the node */
    struct link_settings links = link_settings_of(s);
    links.secret = rng_next(t->rng);
    n->conn_cap = s->limits->conns;
    n->conns = ARENA_RAW(arena, struct node_conn, n->conn_cap);
    n->answers = ARENA_RAW(arena, struct answer, ANSWER_CAP);
    n->links = link_table_init(arena, &links);
    n->overlay = overlay_init(t, arena, &s->overlay, n->links);
    pool_init(&n->peers, arena, "sip_peers", HANDLE_PATH, s->limits->sip_peers,
              sizeof(struct node_peer));
    pace_init(&n->pace, s->limits->handshakes_per_s, s->limits->handshakes_per_host_s,
              links.secret);
    if (has_sip(s)) {
        struct stream_tls_settings streams = stream_settings_of(s);
        n->streams = stream_tls_table_init(arena, &streams);
        n->plain = ARENA_RAW(arena, uint8_t, TLS_READ_BYTES);
        n->sip = sip_init(t, arena, &s->sip, n->overlay);
        wrapped_init(n, arena, links.secret);
        outward_init(n, arena);
    }
    if (document_bytes(s) > 0) {
        n->document.bytes = ARENA_ARRAY(arena, uint8_t, document_bytes(s));
    }
    n->drain.tag = handle_make(HANDLE_NODE, 1, 0);
    persist_init(t, n);
    home_init(&n->home, &s->overlay.candidates[0]);
    return n;
}

void node_fetch_ahead(const struct node *n, handle conn, enum node_ahead step)
{
    uint32_t index = handle_index(conn);
    bool has_record = conn != 0 && index < n->conn_cap;
    switch (step) {
    case NODE_AHEAD_NODE:
        __builtin_prefetch(&n->links);
        __builtin_prefetch(&n->conns);
        __builtin_prefetch(&n->persist);
        __builtin_prefetch(&n->answers_due);
        break;
    case NODE_AHEAD_TABLES:
        if (has_record) {
            __builtin_prefetch(&n->conns[index]);
        }
        link_fetch_ahead(n->links, 0);
        overlay_fetch_ahead(n->overlay);
        break;
    case NODE_AHEAD_LINK:
        if (has_record && index < n->conn_used && n->conns[index].owner == NODE_OWNER_LINK) {
            link_fetch_ahead(n->links, n->conns[index].user);
        }
        break;
    }
}

void node_start(struct turn *t, struct node *n)
{
    const struct overlay_settings *o = &n->settings.overlay;
    for (uint16_t i = 0; i < o->shards; i++) {
        if (i != o->shard) {
            link_add_sibling(t, n->links, i, &o->siblings[i], slice_text(o->self->user));
        }
    }
    overlay_start(t, n->overlay);
    persist_start(t, n);
    path_pump(t, n);
}

static void leave(struct turn *t, struct node *n)
{
    wheel_cancel(t->wheel, &n->drain);
    n->phase = NODE_LEAVING;
    overlay_leave(t, n->overlay);
}

void node_stop(struct turn *t, struct node *n, uint64_t drain_us)
{
    if (n->phase != NODE_RUNNING) {
        return;
    }
    n->phase = NODE_DRAINING;
    if (n->sip != NULL) {
        sip_drain(t, n->sip);
    }
    wheel_arm(t->wheel, &n->drain, t->now_us + drain_us);
    path_pump(t, n);
}

bool node_is_stopped(const struct node *n)
{
    return n->phase == NODE_STOPPED;
}

void node_on_event(struct turn *t, struct node *n, const struct io_event *event)
{
    path_on_event(t, n, event);
    path_pump(t, n);
}

static void dispatch_timer(struct turn *t, struct node *n, struct wheel_timer *timer)
{
    enum handle_of owner = (enum handle_of)handle_kind(timer->tag);
    switch (owner) {
    case HANDLE_LINK:
        link_on_timer(t, n->links, timer);
        break;
    case HANDLE_TRANSACT:
    case HANDLE_CHORD:
    case HANDLE_STORE:
    case HANDLE_ATTACH:
    case HANDLE_FRAG:
    case HANDLE_OVERLAY:
        overlay_on_timer(t, n->overlay, timer);
        break;
    case HANDLE_SIP_TX:
    case HANDLE_SIP_PROXY:
    case HANDLE_SIP_FLOW:
    case HANDLE_SIP_REG:
    case HANDLE_SIP_LOC:
    case HANDLE_SIP_EVENT:
    case HANDLE_SIP_FOREIGN:
        sip_on_timer(t, n->sip, timer);
        break;
    case HANDLE_PATH:
        path_on_deadline(t, n, timer);
        break;
    case HANDLE_OUTWARD:
        outward_on_timer(t, n, timer);
        break;
    case HANDLE_NODE:
        if (timer == &n->persist.timer) {
            persist_on_timer(t, n);
        } else {
            leave(t, n); /* the drain took as long as it may */
        }
        break;
    case HANDLE_NONE:
    case HANDLE_CONN:
        UNREACHABLE("nobody arms timers under this tag");
    }
}

void node_on_timers(struct turn *t, struct node *n)
{
    struct wheel_timer *timer;
    while ((timer = wheel_take(t->wheel, t->now_us)) != NULL) {
        dispatch_timer(t, n, timer);
        path_pump(t, n);
    }
}

bool node_on_flush(struct turn *t, struct node *n)
{
    if (n->phase == NODE_DRAINING && (n->sip == NULL || sip_is_idle(n->sip))) {
        leave(t, n);
    }
    bool has_work = overlay_work(t, n->overlay);
    path_pump(t, n);
    path_flush(t, n);
    persist_flush(t, n);
    link_flush(t, n->links);
    return has_work;
}

/* A judgement that never came makes room for the next. */
void node_impl_on_document(struct turn *t, struct node *n, const struct overlay_event *event)
{
    struct node_document *d = &n->document;
    if (event->document.len == 0 || event->document.len > document_bytes(&n->settings)) {
        overlay_config_judged(t, n->overlay, event->tag, CONTENT_ERROR_FORBIDDEN);
        return;
    }
    memcpy(d->bytes, event->document.data, event->document.len);
    d->len = event->document.len;
    d->from = event->node_id;
    d->tag = event->tag;
    d->is_given = false;
}

bool node_next_document(struct node *n, struct node_id *from, struct slice *document)
{
    struct node_document *d = &n->document;
    if (d->tag == 0 || d->is_given) {
        return false;
    }
    d->is_given = true;
    *from = d->from;
    *document = slice_of(d->bytes, d->len);
    return true;
}

void node_document_judged(struct turn *t, struct node *n, uint16_t error_code)
{
    if (n->document.tag != 0) {
        overlay_config_judged(t, n->overlay, n->document.tag, error_code);
        n->document.tag = 0;
        path_pump(t, n);
    }
}

/* Links and streams borrow our copy of the trust. */
void node_set_config(struct turn *t, struct node *n, const struct overlay_change *c)
{
    n->settings.overlay.trust = c->trust;
    overlay_set_config(t, n->overlay, c);
    path_pump(t, n);
}

void *node_set_sip_tls(struct node *n, void *tls_context)
{
    return wrapped_use(n, tls_context);
}

struct overlay *node_overlay(struct node *n)
{
    return n->overlay;
}

struct sip *node_sip(struct node *n)
{
    return n->sip;
}

struct link_table *node_links(struct node *n)
{
    return n->links;
}
