/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_peer.h"
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/fwd.h"
#include "codec/secblock.h"
#include "core/limits.h"
#include "dht/overlay_impl.h"
#include "link/crypto_issue.h"
#include "link/link.h"
#include "sim/tls_fake.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RECORD_CERTIFICATE = 1, /* as sim/tls_fake has them */
    RECORD_DATA = 2,
    RECORD_HEAD = 3,
    PIECE_BYTES = 8192,
    WORLD_BYTES = 4 << 20,
    TURNS_CAP = 1000,
};

struct bytes {
    uint8_t *data;
    size_t len, cap;
};

struct neighbor {
    struct node_id id;
    handle conn;
    handle link;
    bool is_closed;
    uint32_t sequence;
    struct bytes records; /* from the peer, not yet a whole record */
    struct bytes frames;
};

struct run_peer {
    struct limits limits;
    struct crypto crypto;
    struct rng rng;
    struct wheel wheel;
    struct metrics metrics;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct log log;
    struct turn turn;
    uint8_t *world_block, *peer_block;
    struct tls_fake_table tls;
    struct tls_fake_context tls_context;
    struct crypto_key *key;
    uint8_t certificate[CRYPTO_BORING_CERTIFICATE_CAP];
    struct ident ident;
    struct overlay_settings settings;
    struct link_table *links;
    struct overlay *overlay;
    uint32_t count;
    struct neighbor neighbors[RUN_PEER_NEIGHBORS_CAP];
    uint32_t sent_count;
    struct run_peer_sent sent[RUN_PEER_SENT_CAP];
    bool has_config;
    struct bytes config;
};

static void add(struct bytes *b, struct slice more)
{
    if (b->cap - b->len < more.len || b->data == NULL) {
        b->cap = 2 * (b->len + more.len) + 64;
        b->data = realloc(b->data, b->cap);
        CHECK(b->data != NULL);
    }
    if (more.len > 0) {
        memcpy(b->data + b->len, more.data, more.len);
    }
    b->len += more.len;
}

static void take(struct bytes *b, size_t len)
{
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

/* ---- what the peer sends ---- */

static void catch_message(struct run_peer *p, uint32_t to, struct slice message)
{
    struct bytes copy = {0};
    CHECK(p->sent_count < RUN_PEER_SENT_CAP);
    add(&copy, message);
    p->sent[p->sent_count++] = (struct run_peer_sent){to, slice_of(copy.data, copy.len)};
}

static void catch_frames(struct run_peer *p, uint32_t to)
{
    struct bytes *b = &p->neighbors[to].frames;
    struct frame frame;
    size_t consumed = 0;
    while (b->len > 0 &&
           frame_scan(slice_of(b->data, b->len), 1 << 20, &frame, &consumed) == ERR_OK) {
        if (frame.type == FRAME_DATA) {
            catch_message(p, to, frame.message);
        }
        take(b, consumed);
    }
}

static void catch_bytes(struct run_peer *p, uint32_t to, struct slice more)
{
    struct neighbor *n = &p->neighbors[to];
    add(&n->records, more);
    while (n->records.len >= RECORD_HEAD) {
        size_t len = (size_t)n->records.data[1] << 8 | n->records.data[2];
        if (n->records.len < RECORD_HEAD + len) {
            break;
        }
        if (n->records.data[0] == RECORD_DATA) {
            add(&n->frames, slice_of(n->records.data + RECORD_HEAD, len));
        }
        take(&n->records, RECORD_HEAD + len);
    }
    catch_frames(p, to);
}

static void carry(struct run_peer *p)
{
    for (uint32_t i = 0; i < p->out.count; i++) {
        struct io_op *op = &p->out.ops[i];
        for (uint32_t k = 0; k < p->count; k++) {
            struct neighbor *n = &p->neighbors[k];
            if (n->conn != op->conn || op->conn == 0) {
                continue;
            }
            if (op->kind == IO_OP_SEND) {
                catch_bytes(p, k, msgbuf_slice(op->buf));
                link_on_sent(&p->turn, p->links, n->link, op->buf->len);
            }
            n->is_closed |= op->kind == IO_OP_CLOSE || op->kind == IO_OP_ABORT;
        }
        if (op->buf != NULL) {
            msgbuf_release(&p->buffers, op->buf);
        }
    }
    io_outbox_clear(&p->out);
}

/* ---- turns ---- */

static void note(struct run_peer *p, const struct overlay_event *e)
{
    if (e->kind == OVERLAY_CONFIG_RECEIVED) {
        p->has_config = true;
        p->config.len = 0;
        add(&p->config, e->document);
        overlay_config_judged(&p->turn, p->overlay, e->tag, 0);
    }
}

static void pump(struct run_peer *p)
{
    struct link_event le;
    struct overlay_event oe;
    bool has_moved = true;
    while (has_moved) {
        has_moved = false;
        while (link_next(&p->turn, p->links, &le)) {
            overlay_on_link(&p->turn, p->overlay, &le);
            has_moved = true;
        }
        while (overlay_next(&p->turn, p->overlay, &oe)) {
            note(p, &oe);
            has_moved = true;
        }
    }
}

/* As node/ ends a turn, until nothing is left to do at this moment. */
static void settle(struct run_peer *p)
{
    bool has_work = true;
    for (uint32_t i = 0; has_work && i < TURNS_CAP; i++) {
        pump(p);
        has_work = overlay_work(&p->turn, p->overlay);
        pump(p);
        link_flush(&p->turn, p->links);
        has_work |= p->out.count > 0;
        carry(p);
    }
}

/* ---- setting up ---- */

static void drop_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

/* A neighbour's "certificate": its Node-ID and nothing else. */
static enum err take_node_id(struct slice der, const struct slice *intermediates, size_t count,
                             const struct crypto_trust *trust, uint64_t at_ms,
                             struct crypto_certificate *out, const char **why)
{
    (void)intermediates, (void)count, (void)trust, (void)at_ms, (void)why;
    memset(out, 0, sizeof(*out));
    if (der.len > sizeof(out->node_ids[0])) {
        return ERR_MALFORMED;
    }
    memcpy(out->node_ids[0], der.data, der.len);
    out->node_id_count = 1;
    out->node_id_length = (uint8_t)der.len;
    out->not_after_ms = UINT64_MAX;
    out->user_len = (uint16_t)snprintf(out->user, sizeof(out->user), "neighbor-%02x%02x",
                                       der.data[0], der.data[1]);
    return ERR_OK;
}

static void make_world(struct run_peer *p, uint64_t at_ms)
{
    struct arena arena;
    const uint32_t connections = RUN_PEER_NEIGHBORS_CAP + 1;
    size_t bytes = WORLD_BYTES + tls_fake_table_bytes(connections, 2 * RUN_PEER_NEIGHBORS_CAP);
    p->world_block = malloc(bytes);
    CHECK(p->world_block != NULL);
    arena_init(&arena, p->world_block, bytes);
    limits_default(&p->limits);
    p->limits.ring_nodes = 64;
    p->limits.requests = 128;
    p->limits.answers_deferred = 16;
    p->limits.answers_cached = 64;
    p->limits.verify_queue = 64;
    p->limits.certificates = 32;
    p->limits.values_verified = 64;
    p->limits.attaches = 16;
    p->limits.links = 16;
    p->limits.links_handshaking = 16;
    p->limits.stored_sets = 64;
    p->limits.stored_values = 64;
    p->limits.stored_bytes = 128 * 1024;
    p->limits.stored_certificates = 32;
    p->limits.replica_requests = 16;
    p->limits.replica_acks = 16;
    p->limits.storage_requests = 16;
    p->crypto = *crypto_boring();
    rng_init(&p->rng, 1);
    wheel_init(&p->wheel, 1000000);
    msgbuf_pool_init(&p->buffers, &arena, 128, 64);
    io_outbox_init(&p->out, &arena, 256);
    tls_fake_table_init(&p->tls, &arena, connections, 2 * RUN_PEER_NEIGHBORS_CAP);
    log_init(&p->log, drop_log, NULL, LOG_ERROR, 0);
    p->turn = (struct turn){.now_us = 1000000,
                            .wall_ms = at_ms,
                            .rng = &p->rng,
                            .crypto = &p->crypto,
                            .wheel = &p->wheel,
                            .buffers = &p->buffers,
                            .out = &p->out,
                            .metrics = &p->metrics,
                            .log = &p->log};
}

/* The peer's own key and certificate, by a root of its own: nobody judges them here. */
static void make_ident(struct run_peer *p, const struct run_peer_spec *spec)
{
    enum err e = crypto_boring_key_make(CRYPTO_ED25519, &p->key);
    CHECK(e == ERR_OK);
    size_t len = 0;
    uint8_t ids[1][20];
    memcpy(ids[0], spec->self.bytes, sizeof(ids[0]));
    struct crypto_issue what = {.issuer_key = p->key,
                                .user = SLICE_LITERAL("peer@receiver.example"),
                                .node_ids = ids,
                                .node_id_count = 1,
                                .node_id_length = spec->config.node_id_length,
                                .overlay_name = slice_text(spec->config.name),
                                .not_before_ms = spec->at_ms - 86400000,
                                .not_after_ms = spec->at_ms + 86400000};
    e = crypto_issue_certificate(&what, p->certificate, sizeof(p->certificate), &len);
    CHECK(e == ERR_OK);
    p->ident = (struct ident){.node_id = spec->self,
                              .user_len = what.user.len,
                              .certificate = slice_of(p->certificate, len),
                              .key = p->key,
                              .algorithm = CRYPTO_ED25519,
                              .not_before_ms = what.not_before_ms,
                              .not_after_ms = what.not_after_ms};
    memcpy(p->ident.user, what.user.data, what.user.len);
    p->crypto.sha256(p->ident.certificate, p->ident.certificate_sha256);
}

static void make_overlay(struct run_peer *p, const struct run_peer_spec *spec)
{
    struct overlay_settings *s = &p->settings;
    s->config = spec->config;
    s->trust = spec->trust;
    s->document = spec->document;
    s->takes_documents = true;
    s->self = &p->ident;
    s->limits = &p->limits;
    s->shards = 1;
    s->siblings[0] = spec->self;
    s->found_ring = OVERLAY_FOUND_NOW;
    s->candidates[0] = (struct address){.family = 4, .port = 6084, .ip = {127, 0, 0, 1}};
    s->candidate_count = 1;
    s->sip_candidates[0] = (struct address){.family = 4, .port = 6184, .ip = {127, 0, 0, 1}};
    s->sip_candidate_count = 1;
    s->storage_ack = OVERLAY_ACK_MEMORY;
    p->tls_context = (struct tls_fake_context){
        .table = &p->tls, .certificate = slice_of(p->ident.node_id.bytes, IDS_NODE_MIN)};
    struct link_settings ls = {.tls = tls_fake_ops(),
                               .tls_context = &p->tls_context,
                               .trust = &s->trust,
                               .self = spec->self,
                               .max_message_bytes = s->config.max_message_bytes,
                               .links = p->limits.links,
                               .handshaking = p->limits.links_handshaking,
                               .handshake_timeout_us = 5000000,
                               .retain_us = 8000000,
                               .queue_bytes = 262144,
                               .retained_bytes = 65536};
    struct arena arena;
    size_t bytes = link_table_bytes(&ls) + overlay_bytes(s) + 4096;
    p->peer_block = malloc(bytes);
    CHECK(p->peer_block != NULL);
    arena_init(&arena, p->peer_block, bytes);
    p->links = link_table_init(&arena, &ls);
    p->overlay = overlay_init(&p->turn, &arena, s, p->links);
    overlay_start(&p->turn, p->overlay);
    settle(p);
}

static void send_record(struct run_peer *p, uint32_t from, uint8_t type, struct slice body)
{
    uint8_t record[RECORD_HEAD + PIECE_BYTES] = {type, (uint8_t)(body.len >> 8), (uint8_t)body.len};
    if (p->neighbors[from].is_closed) {
        return;
    }
    memcpy(record + RECORD_HEAD, body.data, body.len);
    link_on_stream(&p->turn, p->links, p->neighbors[from].link, record, RECORD_HEAD + body.len);
    settle(p);
}

static bool connect_neighbor(struct run_peer *p, uint32_t index, const struct node_id *id)
{
    struct neighbor *n = &p->neighbors[index];
    struct address remote = {.family = 4, .port = 40000, .ip = {192, 0, 2, (uint8_t)(index + 1)}};
    n->id = *id;
    n->conn = handle_make(HANDLE_CONN, 1, index + 1);
    p->count = index + 1;
    if (link_on_accepted(&p->turn, p->links, n->conn, &remote, &n->link) != ERR_OK) {
        return false;
    }
    p->crypto.certificate = take_node_id;
    send_record(p, index, RECORD_CERTIFICATE, slice_of(id->bytes, IDS_NODE_MIN));
    p->crypto.certificate = crypto_boring()->certificate;
    return link_find(p->links, id) == n->link;
}

/* The neighbours are in the ring, and somebody stands directly before the peer, who cannot be
 * reached: so nothing but its own Node-ID falls into its range. */
static void crowd(struct run_peer *p)
{
    struct chord_table *table = &p->overlay->table;
    struct ring_id before = ids_ring_minus(table->self, (struct ring_id){0, 1});
    struct chord_table_node n = {.id = ids_node_of_ring(before), .state = CHORD_TABLE_PEER};
    for (uint32_t i = 0; i < p->count; i++) {
        (void)chord_table_set_state(table, &p->neighbors[i].id, CHORD_TABLE_PEER);
    }
    enum err e = chord_table_add(table, &n);
    CHECK(e == ERR_OK || e == ERR_EXISTS);
    settle(p);
}

struct run_peer *run_peer_make(const struct run_peer_spec *spec)
{
    struct run_peer *p = calloc(1, sizeof(*p));
    CHECK(p != NULL && spec->neighbor_count <= RUN_PEER_NEIGHBORS_CAP);
    make_world(p, spec->at_ms);
    make_ident(p, spec);
    make_overlay(p, spec);
    for (uint32_t i = 0; i < spec->neighbor_count; i++) {
        if (!connect_neighbor(p, i, &spec->neighbors[i])) {
            run_peer_free(p);
            return NULL;
        }
    }
    if (!spec->is_responsible) {
        crowd(p);
    }
    run_peer_forget(p);
    return p;
}

void run_peer_free(struct run_peer *p)
{
    run_peer_forget(p);
    for (uint32_t i = 0; i < p->count; i++) {
        free(p->neighbors[i].records.data);
        free(p->neighbors[i].frames.data);
    }
    free(p->config.data);
    crypto_boring_key_free(p->key);
    free(p->peer_block);
    free(p->world_block);
    free(p);
}

/* ---- what happens to it ---- */

void run_peer_deliver(struct run_peer *p, uint32_t from, struct slice message)
{
    struct neighbor *n = &p->neighbors[from];
    struct bytes stream = {0};
    uint8_t head[FRAME_DATA_HEADER];
    CHECK(from < p->count);
    frame_put_data_header(head, n->sequence++, message.len);
    add(&stream, slice_of(head, sizeof(head)));
    add(&stream, message);
    for (size_t at = 0; at < stream.len; at += PIECE_BYTES) {
        send_record(p, from, RECORD_DATA,
                    slice_sub(slice_of(stream.data, stream.len), at, PIECE_BYTES));
    }
    free(stream.data);
}

uint32_t run_peer_sent(const struct run_peer *p, const struct run_peer_sent **list)
{
    *list = p->sent;
    return p->sent_count;
}

void run_peer_forget(struct run_peer *p)
{
    while (p->sent_count > 0) {
        free((void *)(uintptr_t)p->sent[--p->sent_count].message.data);
    }
    p->has_config = false;
}

bool run_peer_is_closed(const struct run_peer *p, uint32_t neighbor)
{
    return p->neighbors[neighbor].is_closed;
}

bool run_peer_config(const struct run_peer *p, struct slice *document)
{
    *document = slice_of(p->config.data, p->config.len);
    return p->has_config;
}

uint64_t run_peer_metric(const struct run_peer *p, enum metric which)
{
    return metric_read(&p->metrics, which);
}

const struct rl_params *run_peer_params(const struct run_peer *p)
{
    return &p->overlay->params;
}

bool run_peer_has_signed(const struct run_peer *p, struct slice message)
{
    struct fwd h;
    struct content content;
    struct slice rest;
    struct secblock block;
    uint8_t key[CRYPTO_PUBLIC_KEY_CAP];
    size_t key_len = 0;
    if (fwd_decode(message, run_peer_params(p), &h) != ERR_OK ||
        content_decode(h.payload, &content, &rest) != ERR_OK ||
        secblock_decode(rest, &block) != ERR_OK ||
        crypto_boring_key_public(p->key, key, sizeof(key), &key_len) != ERR_OK) {
        return false;
    }
    size_t cap = 12 + content.bytes.len + SECBLOCK_IDENTITY_BYTES_MAX;
    uint8_t *input = malloc(cap);
    struct wr w = wr_init(input, cap);
    secblock_wr_message_input(&w, h.overlay, h.transaction_id, content.bytes,
                              &block.signature.identity);
    bool is_good =
        p->crypto.verify(slice_of(key, key_len), (enum crypto_algorithm)block.signature.algorithm,
                         wr_slice(&w), block.signature.value) == ERR_OK &&
        slice_is_equal(block.signature.identity.hash,
                       slice_of(p->ident.certificate_sha256, CRYPTO_SHA256_BYTES));
    free(input);
    return is_good;
}
