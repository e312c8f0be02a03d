/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c - see ring.h. */
#include "bench/ring.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "codec/secblock.h"
#include "codec/stored.h"
#include "core/os/host.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_TURNS_CAP = 16 }; /* as in core/os/shard_turn.c */
enum { PORT = 6084, STREAM_BYTES = 16384, DAY_MS = 86400000, ID_BYTES = 16, VALUE_BYTES = 100 };

static const char overlay_name[] = "ring.example";

void ring_require(bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "ring: %s\n", what);
        exit(1);
    }
}

uint64_t ring_cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void drop_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

/* ---- identities ---- */

static void make_root(struct ring *r)
{
    size_t len = 0;
    ring_require(crypto_boring_key_make(CRYPTO_ED25519, &r->root_key) == ERR_OK, "a root key");
    struct crypto_issue what = {.issuer_key = r->root_key,
                                .common_name = SLICE_LITERAL("root"),
                                .not_before_ms = r->wall_ms - DAY_MS,
                                .not_after_ms = r->wall_ms + DAY_MS,
                                .is_ca = true};
    ring_require(crypto_issue_certificate(&what, r->root, sizeof(r->root), &len) == ERR_OK,
                 "a root certificate");
    r->root_der = slice_of(r->root, len);
}

/* `place`: the first byte of its Node-ID, which is the digest of its key otherwise. */
static void make_ident(struct ring *r, struct ring_ident *out, enum crypto_algorithm algorithm,
                       const char *user, uint32_t place)
{
    uint8_t spki[CRYPTO_PUBLIC_KEY_CAP];
    uint8_t node_id[20] = {0};
    size_t spki_len = 0;
    size_t len = 0;
    struct ident *id = &out->ident;
    ring_require(crypto_boring_key_make(algorithm, &out->key) == ERR_OK, "a key");
    ring_require(crypto_boring_key_public(out->key, spki, sizeof(spki), &spki_len) == ERR_OK,
                 "a public key");
    crypto_boring()->sha1(slice_of(spki, spki_len), node_id);
    memset(node_id + ID_BYTES, 0, sizeof(node_id) - ID_BYTES);
    node_id[0] = (uint8_t)place;
    struct crypto_issue what = {.issuer_certificate = r->root_der,
                                .issuer_key = r->root_key,
                                .public_key = slice_of(spki, spki_len),
                                .user = slice_text(user),
                                .node_ids = (const uint8_t(*)[20]) & node_id,
                                .node_id_count = 1,
                                .node_id_length = ID_BYTES,
                                .overlay_name = slice_text(overlay_name),
                                .not_before_ms = r->wall_ms - DAY_MS,
                                .not_after_ms = r->wall_ms + DAY_MS};
    ring_require(
        crypto_issue_certificate(&what, out->certificate, sizeof(out->certificate), &len) == ERR_OK,
        "a certificate");
    memcpy(id->node_id.bytes, node_id, sizeof(id->node_id.bytes));
    (void)snprintf(id->user, sizeof(id->user), "%s", user);
    id->user_len = strlen(id->user);
    id->certificate = slice_of(out->certificate, len);
    crypto_boring()->sha256(id->certificate, id->certificate_sha256);
    id->key = out->key;
    id->algorithm = algorithm;
    id->not_before_ms = what.not_before_ms;
    id->not_after_ms = what.not_after_ms;
}

/* ---- nodes ---- */

static struct address address_of(uint32_t i)
{
    return (struct address){.family = 4, .port = (uint16_t)(PORT + i), .ip = {127, 0, 0, 1}};
}

static void fill_settings(struct ring *r, uint32_t i)
{
    struct ring_node *n = &r->nodes[i];
    struct overlay_settings *o = &n->settings.overlay;
    struct overlay_config *c = &o->config;
    (void)snprintf(c->name, sizeof(c->name), "%s", overlay_name);
    c->sequence = 1;
    c->node_id_length = ID_BYTES;
    c->initial_ttl = 100;
    c->max_message_bytes = 5000;
    c->reliability_timer_ms = 3000;
    c->chord_update_interval_s = 600;
    c->chord_ping_interval_s = 3600;
    c->chord_reactive = true;
    c->no_ice = true;
    c->replica_min_hosts = 2;
    c->kinds[0] = (struct overlay_kind){.id = RING_KIND,
                                        .data_model = OVERLAY_SINGLE,
                                        .access = OVERLAY_USER_MATCH,
                                        .max_count = 1,
                                        .max_size_bytes = 256};
    c->kind_count = 1;
    o->trust = (struct crypto_trust){.roots = &r->root_der,
                                     .root_count = 1,
                                     .overlay_name = slice_text(overlay_name),
                                     .node_id_length = ID_BYTES};
    o->self = &n->identity.ident;
    o->limits = &r->limits;
    o->shards = 1;
    o->siblings[0] = n->identity.ident.node_id;
    o->found_ring = i == 0 ? OVERLAY_FOUND_NOW : OVERLAY_FOUND_NO;
    o->bootstrap[0] = address_of(0);
    o->bootstrap_count = 1;
    o->candidates[0] = address_of(i);
    o->candidate_count = 1;
    o->storage_ack = OVERLAY_ACK_MEMORY;
    n->publish = &n->identity.ident;
    n->settings.tls = tls_boring_ops();
    n->settings.tls_context = n->tls;
    n->settings.limits = &r->limits;
}

static void open_node(struct ring *r, uint32_t i)
{
    struct ring_node *n = &r->nodes[i];
    const struct limits *l = &r->limits;
    char user[32];
    (void)snprintf(user, sizeof(user), "host%u@ring.example", i);
    /* evenly round the ring, so that each keeps as many records as the others */
    make_ident(r, &n->identity, r->settings.algorithms[i], user, i * 256 / r->settings.nodes);
    ring_require(tls_boring_context_new(n->identity.ident.certificate, NULL, 0, n->identity.key,
                                        &n->tls) == ERR_OK,
                 "a TLS context");
    fill_settings(r, i);
    size_t bytes = io_outbox_bytes(l->outbox) + (size_t)l->msgbuf_small * LIMITS_COST_msgbuf_small +
                   (size_t)l->msgbuf_large * LIMITS_COST_msgbuf_large + 65536;
    ring_require(mem_open(&n->shard_mem, bytes) == ERR_OK, "memory for buffers");
    msgbuf_pool_init(&n->buffers, &n->shard_mem.arena, l->msgbuf_small, l->msgbuf_large);
    io_outbox_init(&n->out, &n->shard_mem.arena, l->outbox);
    ring_require(mem_populate(&n->shard_mem) == ERR_OK, "pages of buffers");
    ring_require(mem_open(&n->mem, node_bytes(&n->settings) + 65536) == ERR_OK,
                 "memory for a node");
    rng_init(&n->rng, i + 1);
    log_init(&n->log, drop_log, NULL, LOG_ERROR, 0);
    wheel_init(&n->wheel, r->now_us);
    n->turn = (struct turn){.rng = &n->rng,
                            .crypto = crypto_boring(),
                            .wheel = &n->wheel,
                            .buffers = &n->buffers,
                            .out = &n->out,
                            .metrics = &n->metrics,
                            .log = &n->log};
    for (uint32_t c = 0; c < RING_CONNS; c++) {
        n->conns[c].fd = -1;
    }
    struct turn *t = ring_begin(r, i);
    n->node = node_init(t, &n->mem.arena, &n->settings);
    node_start(t, n->node);
    (void)ring_turn(r, i);
}

/* ---- connections ---- */

static struct ring_conn *free_conn(struct ring_node *n)
{
    for (uint32_t c = 0; c < RING_CONNS; c++) {
        if (!n->conns[c].is_open && n->conns[c].self == 0) {
            return &n->conns[c];
        }
    }
    ring_require(false, "no connection left");
    return NULL;
}

static void open_sockets(struct ring *r, struct ring_conn *a, struct ring_conn *b)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    int one = 1;
    if (!r->settings.is_loopback) {
        return;
    }
    a->fd = socket(AF_INET, SOCK_STREAM, 0);
    ring_require(a->fd >= 0 && getsockname(r->listener, (struct sockaddr *)&at, &len) == 0 &&
                     connect(a->fd, (struct sockaddr *)&at, len) == 0,
                 "a connection over loopback");
    b->fd = accept(r->listener, NULL, NULL);
    ring_require(b->fd >= 0 &&
                     setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
                     setsockopt(b->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0,
                 "TCP_NODELAY");
}

static void open_end(struct ring_conn *c, uint32_t index, uint32_t other_node,
                     const struct ring_conn *other, const struct ring_conn *first_of_other,
                     bool is_loopback)
{
    static uint32_t generation;
    c->self = handle_make(HANDLE_CONN, ++generation & 0xffffff, index);
    c->is_open = true;
    c->is_told = false;
    c->at = 0;
    c->len = 0;
    c->taken = 0;
    c->other_node = other_node;
    c->other_conn = (uint32_t)(other - first_of_other);
    if (c->bytes == NULL) {
        c->bytes = malloc(RING_BYTES_CAP);
        ring_require(c->bytes != NULL, "memory for a connection");
        /* No node pays for the pages of this. */
        memset(c->bytes, 0xff, is_loopback ? STREAM_BYTES : RING_BYTES_CAP);
    }
}

static void connect_nodes(struct ring *r, uint32_t from, const struct io_op *op)
{
    uint32_t to = (uint32_t)op->remote.port - PORT;
    ring_require(to < r->settings.nodes && to != from && r->nodes[to].node != NULL,
                 "somebody dials nobody");
    struct ring_node *f = &r->nodes[from];
    struct ring_node *n = &r->nodes[to];
    struct ring_conn *a = free_conn(f);
    struct ring_conn *b = free_conn(n);
    open_end(a, (uint32_t)(a - f->conns), to, b, n->conns, r->settings.is_loopback);
    open_end(b, (uint32_t)(b - n->conns), from, a, f->conns, r->settings.is_loopback);
    a->is_dialled = true;
    b->is_dialled = false;
    a->tag = op->tag;
    open_sockets(r, a, b);
}

static struct ring_conn *conn_of(struct ring *r, uint32_t i, handle h)
{
    struct ring_conn *c = &r->nodes[i].conns[handle_index(h)];
    return c->self == h ? c : NULL;
}

static struct ring_conn *other_end(struct ring *r, const struct ring_conn *c)
{
    return &r->nodes[c->other_node].conns[c->other_conn];
}

static void close_end(struct ring_conn *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    c->fd = -1;
    c->is_open = false;
}

static void send_bytes(struct ring *r, struct ring_conn *c, const struct msgbuf *buf)
{
    struct ring_conn *to = other_end(r, c);
    if (!c->is_open || !to->is_open) {
        return;
    }
    if (c->fd >= 0) {
        ssize_t sent = send(c->fd, msgbuf_data(buf), buf->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        ring_require(sent == (ssize_t)buf->len, "loopback takes less than was given");
    } else {
        ring_require(to->len + buf->len <= RING_BYTES_CAP, "too many bytes under way");
        if (to->at + to->len + buf->len > RING_BYTES_CAP) {
            memmove(to->bytes, to->bytes + to->at, to->len);
            to->at = 0;
        }
        memcpy(to->bytes + to->at + to->len, msgbuf_data(buf), buf->len);
    }
    to->len += buf->len; /* over loopback: how many bytes are there */
    c->taken += buf->len;
}

static void carry_out(struct ring *r, uint32_t i)
{
    struct ring_node *n = &r->nodes[i];
    for (uint32_t k = 0; k < n->out.count; k++) {
        const struct io_op *op = &n->out.ops[k];
        struct ring_conn *c = op->conn == 0 ? NULL : conn_of(r, i, op->conn);
        switch (op->kind) {
        case IO_OP_CONNECT:
            connect_nodes(r, i, op);
            break;
        case IO_OP_SEND:
            if (c != NULL) {
                send_bytes(r, c, op->buf);
            }
            msgbuf_release(&n->buffers, op->buf);
            break;
        case IO_OP_CLOSE:
        case IO_OP_ABORT:
            if (c != NULL) {
                close_end(other_end(r, c));
                close_end(c);
                c->self = 0; /* hears nothing of it */
            }
            break;
        case IO_OP_PROVED:
            break;
        case IO_OP_DATAGRAM:
        case IO_OP_MAIL:
            ring_require(false, "an operation that is not expected");
        }
    }
    io_outbox_clear(&n->out);
}

/* What has come in on it, in pieces as the engine gives them, until *left is used up. */
static void tell_bytes(struct ring *r, uint32_t i, struct ring_conn *c, size_t *left)
{
    while (c->len > 0 && c->self != 0 && *left > 0) {
        size_t len = min_size(c->len, STREAM_BYTES);
        if (c->fd >= 0) {
            ssize_t got = recv(c->fd, c->bytes, len, MSG_WAITALL);
            ring_require(got == (ssize_t)len, "loopback gives less than was there");
        }
        struct io_event event = {.kind = IO_STREAM,
                                 .conn = c->self,
                                 .data = c->bytes + (c->fd >= 0 ? 0 : c->at),
                                 .data_len = len};
        c->at += len;
        c->len -= len;
        *left -= min_size(*left, len);
        node_on_event(&r->nodes[i].turn, r->nodes[i].node, &event);
    }
    if (c->len == 0 || c->self == 0 || c->fd >= 0) {
        c->at = 0;
    }
    c->len = c->self == 0 ? 0 : c->len;
}

static void tell(struct ring *r, uint32_t i, struct ring_conn *c, size_t *left)
{
    struct ring_node *n = &r->nodes[i];
    struct turn *t = &n->turn;
    struct io_event event = {.conn = c->self, .remote = address_of(c->other_node)};
    if (!c->is_told) {
        event.kind = c->is_dialled ? IO_CONNECTED : IO_ACCEPTED;
        event.tag = c->tag;
        event.listener = IO_LISTEN_OVERLAY;
        c->is_told = true;
        node_on_event(t, n->node, &event);
    }
    if (c->taken > 0) {
        event = (struct io_event){.kind = IO_SENT, .conn = c->self, .data_len = c->taken};
        c->taken = 0;
        node_on_event(t, n->node, &event);
    }
    tell_bytes(r, i, c, left);
    if (!c->is_open && c->self != 0 && c->len == 0) {
        event = (struct io_event){.kind = IO_CLOSED, .conn = c->self, .error = ERR_CLOSED};
        c->self = 0;
        node_on_event(t, n->node, &event);
    }
}

/* ---- turns ---- */

struct turn *ring_begin(struct ring *r, uint32_t i)
{
    struct turn *t = &r->nodes[i].turn;
    t->now_us = r->now_us;
    t->wall_ms = r->wall_ms + r->now_us / 1000;
    return t;
}

size_t ring_coming(const struct ring *r, uint32_t i, uint32_t from)
{
    size_t bytes = 0;
    for (uint32_t c = 0; c < RING_CONNS; c++) {
        const struct ring_conn *conn = &r->nodes[i].conns[c];
        bytes += conn->self != 0 && conn->other_node == from ? conn->len : 0;
    }
    return bytes;
}

uint64_t ring_turn(struct ring *r, uint32_t i)
{
    struct ring_node *n = &r->nodes[i];
    uint64_t before = ring_cpu_ns();
    struct turn *t = ring_begin(r, i);
    size_t cap = r->limits.turn_bytes_working;
    bool is_limited = t->wants_short && cap != 0 && n->short_turns < SHORT_TURNS_CAP;
    size_t left = is_limited ? cap : SIZE_MAX;
    uint32_t c = n->first; /* connections take turns to be the first */
    for (uint32_t k = 0; k < RING_CONNS && left > 0; k++) {
        if (n->conns[c].self != 0) {
            tell(r, i, &n->conns[c], &left);
        }
        c = (c + 1) % RING_CONNS;
    }
    t->is_short = left == 0;
    n->first = t->is_short ? c : 0;
    n->short_turns = t->is_short ? n->short_turns + 1 : 0;
    node_on_timers(t, n->node);
    n->has_work = node_on_flush(t, n->node);
    carry_out(r, i);
    uint64_t ns = ring_cpu_ns() - before;
    n->busy_ns += ns;
    n->turns++;
    return ns;
}

bool ring_is_due(const struct ring *r, uint32_t i)
{
    const struct ring_node *n = &r->nodes[i];
    if (n->has_work || n->out.count > 0 || wheel_next_us(&n->wheel) <= r->now_us) {
        return true;
    }
    for (uint32_t c = 0; c < RING_CONNS; c++) {
        const struct ring_conn *conn = &n->conns[c];
        if (conn->self != 0 && (!conn->is_told || conn->len > 0 || !conn->is_open)) {
            return true;
        }
    }
    return false;
}

void ring_settle(struct ring *r)
{
    bool has_moved = true;
    while (has_moved) {
        has_moved = false;
        for (uint32_t i = 0; i < r->settings.nodes; i++) {
            if (r->nodes[i].node != NULL && ring_is_due(r, i)) {
                (void)ring_turn(r, i);
                has_moved = true;
            }
        }
    }
}

void ring_pass(struct ring *r, uint64_t us)
{
    uint64_t end_us = r->now_us + us;
    for (;;) {
        uint64_t next = UINT64_MAX;
        ring_settle(r);
        for (uint32_t i = 0; i < r->settings.nodes; i++) {
            if (r->nodes[i].node != NULL) {
                next = min_u64(next, wheel_next_us(&r->nodes[i].wheel));
            }
        }
        if (next > end_us) {
            break;
        }
        r->now_us = max_u64(next, r->now_us + 1);
    }
    r->now_us = end_us;
}

/* ---- the whole ---- */

static void listen_loopback(struct ring *r)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->listener = socket(AF_INET, SOCK_STREAM, 0);
    ring_require(r->listener >= 0 && bind(r->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
                     listen(r->listener, RING_CONNS) == 0,
                 "a listener on loopback");
}

void ring_open(struct ring *r, const struct ring_settings *s)
{
    memset(r, 0, sizeof(*r));
    r->settings = *s;
    r->now_us = 1000000;
    r->wall_ms = host_wall_ms();
    limits_default(&r->limits);
    r->limits.conns = RING_CONNS;
    r->limits.conns_reserved = 4;
    r->limits.outbox = 4096;
    r->limits.links = RING_CONNS;
    r->limits.links_handshaking = 32;
    r->limits.link_queue_bytes = 1 << 20; /* time is measured here, not what is refused */
    r->limits.certificates = s->certificates != 0 ? s->certificates : r->limits.certificates;
    if (s->is_loopback) {
        listen_loopback(r);
    }
    make_root(r);
    r->accounts = calloc(s->accounts + 1, sizeof(*r->accounts));
    r->nodes = calloc(s->nodes, sizeof(*r->nodes));
    ring_require(r->accounts != NULL && r->nodes != NULL, "memory");
    for (uint32_t i = 0; i < s->accounts; i++) {
        char user[32];
        (void)snprintf(user, sizeof(user), "u%u@ring.example", i);
        make_ident(r, &r->accounts[i], s->account_algorithm, user, i);
    }
    for (uint32_t i = 0; i < s->nodes; i++) {
        open_node(r, i);
        for (uint32_t ms = 0; ms < 60000 && !overlay_is_ready(node_overlay(r->nodes[i].node));
             ms += 50) {
            ring_pass(r, 50000);
        }
        ring_require(overlay_is_ready(node_overlay(r->nodes[i].node)), "a node does not join");
    }
    ring_pass(r, 20000000);
}

void ring_close(struct ring *r)
{
    for (uint32_t i = 0; i < r->settings.nodes; i++) {
        struct ring_node *n = &r->nodes[i];
        struct turn *t = ring_begin(r, i);
        for (uint32_t c = 0; c < RING_CONNS; c++) {
            struct ring_conn *conn = &n->conns[c];
            if (conn->self != 0) {
                struct io_event event = {
                    .kind = IO_CLOSED, .conn = conn->self, .error = ERR_CLOSED};
                node_on_event(t, n->node, &event);
            }
            if (conn->fd >= 0) {
                (void)close(conn->fd);
            }
            free(conn->bytes);
        }
        tls_boring_context_free(n->tls); /* CHECKs that no connection is left */
        crypto_boring_key_free(n->identity.key);
        mem_close(&n->mem);
        mem_close(&n->shard_mem);
    }
    for (uint32_t i = 0; i < r->settings.accounts; i++) {
        crypto_boring_key_free(r->accounts[i].key);
    }
    if (r->settings.is_loopback) {
        (void)close(r->listener);
    }
    crypto_boring_key_free(r->root_key);
    free(r->accounts);
    free(r->nodes);
}

uint64_t ring_metric(const struct ring *r, uint32_t i, enum metric which)
{
    return metric_read(&r->nodes[i].metrics, which);
}

/* ---- records ---- */

struct overlay_resource ring_resource(struct ring *r, uint32_t account)
{
    struct overlay_resource at;
    const struct ident *who = &r->accounts[account].ident;
    overlay_resource_of(&r->nodes[0].turn, slice_of(who->user, who->user_len), &at);
    return at;
}

void ring_store_all(struct ring *r)
{
    uint8_t value[VALUE_BYTES];
    for (uint32_t k = 0; k < r->settings.accounts; k++) {
        uint32_t i = k % r->settings.nodes;
        memset(value, (int)k, sizeof(value));
        struct overlay_store what = {.resource = ring_resource(r, k),
                                     .kind = RING_KIND,
                                     .signer = &r->accounts[k].ident,
                                     .exists = true,
                                     .value = slice_of(value, sizeof(value)),
                                     .lifetime_s = 3600};
        struct turn *t = ring_begin(r, i);
        ring_require(answer_store(t, r->nodes[i].node, &what, k) == ERR_OK, "a store is refused");
        (void)ring_turn(r, i);
        ring_settle(r);
        const struct answer *a = answer_next(r->nodes[i].node);
        ring_require(a != NULL && a->error == ERR_OK, "a store fails");
    }
    ring_pass(r, 2000000); /* and the copies */
}

size_t ring_make_fetch(struct ring *r, uint32_t from, uint32_t account, uint64_t transaction_id,
                       uint8_t *out, size_t cap)
{
    const struct ident *who = &r->nodes[from].identity.ident;
    struct overlay_resource at = ring_resource(r, account);
    struct slice resource = slice_of(at.bytes, sizeof(at.bytes));
    struct rl_params params = {.overlay =
                                   overlay_hash_of(&r->nodes[0].turn, slice_text(overlay_name)),
                               .node_id_length = ID_BYTES};
    uint8_t specifiers[64];
    uint8_t body[128];
    uint8_t list[64];
    uint8_t input[1024];
    uint8_t value[CRYPTO_SIGNATURE_CAP];
    size_t value_len = 0;
    struct wr w = wr_init(specifiers, sizeof(specifiers));
    stored_wr_specifier_single(&w, RING_KIND, 0);
    struct msgs_fetch_req req = {.resource = resource, .specifiers = wr_slice(&w)};
    struct wr b = wr_init(body, sizeof(body));
    msgs_fetch_req_wr(&b, &params, &req);
    struct wr d = wr_init(list, sizeof(list));
    fwd_wr_resource(&d, resource);
    struct fwd h = {.overlay = params.overlay,
                    .configuration_sequence = 1,
                    .ttl = 100,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = transaction_id,
                    .destination_list = wr_slice(&d)};
    struct wr m = wr_init(out, cap);
    fwd_wr(&m, &h);
    size_t contents = wr_len(&m);
    content_wr(&m, CONTENT_FETCH_REQ, wr_slice(&b), SLICE_EMPTY);
    struct secblock_signature signature = {
        .algorithm = (uint16_t)who->algorithm,
        .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                     .hash_algorithm = SECBLOCK_HASH_SHA256,
                     .hash = slice_of(who->certificate_sha256, CRYPTO_SHA256_BYTES)}};
    struct wr s = wr_init(input, sizeof(input));
    secblock_wr_message_input(&s, params.overlay, transaction_id,
                              slice_of(out + contents, wr_len(&m) - contents), &signature.identity);
    ring_require(wr_ok(&m) && wr_ok(&s) &&
                     crypto_boring()->sign(who->key, wr_slice(&s), value, &value_len) == ERR_OK,
                 "a signed request");
    signature.value = slice_of(value, value_len);
    secblock_wr_x509(&m, &who->certificate, 1, &signature);
    ring_require(wr_ok(&m), "a request fits");
    fwd_put_length(out, (uint32_t)wr_len(&m));
    return wr_len(&m);
}
