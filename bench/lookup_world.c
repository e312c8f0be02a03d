/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_world.c - see lookup_world.h. */
#include "bench/lookup_world.h"

#include "codec/frame.h"
#include "core/os/mem.h"
#include "dht/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PIECES = 64, BUFFERS = 4096, OUTBOX = 4096, CONN = 1, HEAP_OF_CERTIFICATE = 512 };
enum { HEAP_OF_RECORD = 256 + HEAP_OF_CERTIFICATE }; /* pieces of the heap */

/* One connection.  What its link has sealed in this turn; the bytes stay where the link keeps them
 * until the ACK, or are pulled at once where the world is piped. */
struct tls {
    const struct lookup_world *world;
    struct slice certificate; /* of the other end */
    struct slice in;
    struct slice out[PIECES];
    uint32_t count;
    size_t at; /* in the first, pulled so far */
};

struct inside {
    struct lookup_world w;
    struct mem mem;
    struct rng rng;
    struct wheel wheel;
    struct metrics metrics;
    struct msgbuf_pool buffers;
    struct io_outbox outbox;
    struct crypto crypto;
    struct crypto_trust trust;
    struct log log;
    struct lookup_person self;
    struct lookup_person neighbour;
    struct lookup_person clients[LOOKUP_CLIENTS];
    struct tls tls[1 + LOOKUP_CLIENTS]; /* the neighbour, then clients that connect themselves */
    uint32_t opened;
};

static struct inside *inside_of(struct lookup_world *w)
{
    return (struct inside *)(void *)w;
}

uint64_t lookup_world_cpu_ns(void)
{
    struct timespec ts;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- in place of TLS ---- */

static struct tls *plain_open(void *context, enum tls_role role)
{
    struct inside *in = context;
    (void)role;
    CHECK(in->opened < ARRAY_COUNT(in->tls));
    const struct lookup_person *who =
        in->opened == 0 ? &in->neighbour : &in->clients[in->opened - 1];
    struct tls *tls = &in->tls[in->opened++];
    *tls = (struct tls){.world = &in->w, .certificate = who->ident.certificate};
    return tls;
}

static void plain_close(struct tls *tls)
{
    (void)tls;
}

static enum err plain_feed(struct tls *tls, struct slice received)
{
    tls->in = received;
    return ERR_OK;
}

static enum err plain_handshake(struct tls *tls)
{
    (void)tls;
    return ERR_OK;
}

static enum err plain_read(struct tls *tls, uint8_t *out, size_t cap, size_t *len)
{
    *len = min_size(cap, tls->in.len);
    if (*len == 0) {
        return ERR_MORE;
    }
    memcpy(out, tls->in.data, *len);
    tls->in = slice_from(tls->in, *len);
    return ERR_OK;
}

static enum err plain_write(struct tls *tls, struct slice plaintext)
{
    CHECK(tls->count < PIECES);
    tls->out[tls->count++] = plaintext;
    return ERR_OK;
}

static size_t plain_pull(struct tls *tls, uint8_t *out, size_t cap)
{
    if (!tls->world->is_piped || tls->count == 0) {
        return 0;
    }
    CHECK(tls->count == 1); /* each is pulled before the next is sealed */
    struct slice rest = slice_sub(slice_from(tls->out[0], tls->at), 0, cap);
    memcpy(out, rest.data, rest.len);
    tls->at += rest.len;
    if (tls->at == tls->out[0].len) {
        tls->count = 0;
        tls->at = 0;
    }
    return rest.len;
}

static enum err plain_seal(struct tls *tls, struct slice plaintext, uint8_t *out, size_t cap,
                           size_t *len)
{
    *len = 0;
    if (!tls->world->is_piped) {
        return plain_write(tls, plaintext);
    }
    CHECK(plaintext.len <= cap);
    memcpy(out, plaintext.data, plaintext.len);
    *len = plaintext.len;
    return ERR_OK;
}

/* What was fed stays where it is until it has been read, which is at once. */
static void plain_keep(struct tls *tls)
{
    (void)tls;
}

static size_t plain_waiting(const struct tls *tls)
{
    return tls->world->is_piped && tls->count > 0 ? tls->out[0].len - tls->at : 0;
}

static size_t plain_peer_chain(struct tls *tls, struct slice chain[TLS_CHAIN_CAP])
{
    chain[0] = tls->certificate;
    return 1;
}

static void plain_shutdown(struct tls *tls)
{
    (void)tls;
}

static const struct tls_ops plain = {
    .open = plain_open,
    .close = plain_close,
    .feed = plain_feed,
    .handshake = plain_handshake,
    .read = plain_read,
    .write = plain_write,
    .seal = plain_seal,
    .lend = plain_feed,
    .keep = plain_keep,
    .waiting = plain_waiting,
    .pull = plain_pull,
    .peer_chain = plain_peer_chain,
    .shutdown = plain_shutdown,
};

/* ---- making ---- */

static void drop_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

static void set_limits(struct limits *l, uint32_t records)
{
    limits_default(l);
    /* A sixteenth is kept for values that replace others (dht/store_put). */
    uint32_t cap = records + records / 15 + 64;
    l->stored_sets = records + 64;
    l->stored_values = cap;
    l->stored_certificates = records + 64;
    l->stored_bytes = (uint32_t)min_u64((uint64_t)cap * HEAP_OF_RECORD + 65536, UINT32_MAX);
    l->msgbuf_small = BUFFERS;
    l->msgbuf_large = BUFFERS / 8;
    l->outbox = OUTBOX;
    l->judged_per_turn = 0;
    /* What signatures would cost is not what is measured. */
    l->verify_us_per_turn = UINT32_MAX;
    l->verify_us_idle = UINT32_MAX;
}

struct overlay_config lookup_world_config(void)
{
    return (struct overlay_config){.name = LOOKUP_OVERLAY,
                                   .sequence = 7,
                                   .node_id_length = 16,
                                   .initial_ttl = 30,
                                   .max_message_bytes = 5000,
                                   .reliability_timer_ms = 3000,
                                   .chord_update_interval_s = 600,
                                   .chord_ping_interval_s = 3600,
                                   .replica_min_hosts = 2};
}

static struct overlay_settings settings_of(struct inside *in)
{
    struct overlay_settings s = {.trust = in->trust,
                                 .self = &in->self.ident,
                                 .limits = &in->w.limits,
                                 .shards = 1,
                                 .siblings = {in->self.ident.node_id},
                                 .found_ring = OVERLAY_FOUND_NOW,
                                 .storage_ack = OVERLAY_ACK_REPLICA};
    s.config = lookup_world_config();
    return s;
}

/* Events of links and overlay until there are none. */
static void pump(struct lookup_world *w)
{
    struct link_event le;
    struct overlay_event oe;
    while (link_next(&w->turn, w->links, &le)) {
        if (le.kind == LINK_UP && w->link == 0) {
            w->link = le.link;
        }
        overlay_on_link(&w->turn, w->overlay, &le);
    }
    while (overlay_next(&w->turn, w->overlay, &oe)) {}
}

static void end_turn(struct inside *in)
{
    bool has_work = true;
    while (has_work) {
        has_work = overlay_work(&in->w.turn, in->w.overlay);
        pump(&in->w);
    }
    link_flush(&in->w.turn, in->w.links);
    pump(&in->w);
    for (uint32_t i = 0; i < in->outbox.count; i++) {
        if (in->outbox.ops[i].buf != NULL) {
            msgbuf_release(&in->buffers, in->outbox.ops[i].buf);
        }
    }
    io_outbox_clear(&in->outbox);
}

static void connect_neighbour(struct inside *in)
{
    static uint8_t nothing[1];
    handle link = 0;
    struct address remote = {.family = 4, .port = 6084, .ip = {127, 0, 0, 1}};
    handle conn = handle_make(HANDLE_CONN, 1, CONN);
    enum err e = link_on_accepted(&in->w.turn, in->w.links, conn, &remote, &link);
    CHECK(e == ERR_OK);
    link_on_stream(&in->w.turn, in->w.links, link, nothing, 0);
    pump(&in->w);
    CHECK(in->w.link != 0);
    end_turn(in);
    in->tls[0].count = 0; /* what we have to say of ourselves to a new neighbour */
}

/* The lines of the budget that a world has: core, link and dht; no connections, no SIP. */
static uint64_t budget_of(const struct limits *l)
{
    struct limits_line lines[64];
    size_t count = 0;
    uint64_t sum = 0;
    (void)limits_budget(l, lines, ARRAY_COUNT(lines), &count);
    CHECK(count <= ARRAY_COUNT(lines));
    bool is_dht = false;
    for (size_t i = 0; i < count; i++) {
        const char *name = lines[i].name;
        is_dht = (is_dht || strcmp(name, "ring_nodes") == 0) && strncmp(name, "sip_", 4) != 0;
        bool is_ours = is_dht || strncmp(name, "msgbuf_", 7) == 0 || strcmp(name, "outbox") == 0;
        sum += is_ours ? lines[i].bytes : 0;
    }
    return sum;
}

double lookup_world_registration_bytes(uint32_t records)
{
    struct store_settings s[2];
    for (uint32_t i = 0; i < 2; i++) { /* twice as many, so that each index grows by a step */
        uint32_t n = records << i;
        s[i] = (struct store_settings){
            .sets = n, .values = n, .certificates = n, .bytes = n * (uint32_t)HEAP_OF_RECORD};
    }
    double grown = (double)(store_bytes(&s[1]) - store_bytes(&s[0]));
    return grown / records - HEAP_OF_CERTIFICATE;
}

struct lookup_world *lookup_world_make(uint32_t records)
{
    struct inside *in = calloc(1, sizeof(*in));
    CHECK(in != NULL);
    struct lookup_world *w = &in->w;
    set_limits(&w->limits, records);
    rng_init(&in->rng, 1);
    wheel_init(&in->wheel, 1000000);
    lookup_crypto_init(&in->crypto, &in->rng);
    log_init(&in->log, drop_log, NULL, LOG_ERROR, 0);
    lookup_person_make(&in->self, LOOKUP_PEER_FIRST);
    lookup_person_make(&in->neighbour, LOOKUP_PEER_FIRST + 1);
    for (uint32_t i = 0; i < LOOKUP_CLIENTS; i++) {
        lookup_person_make(&in->clients[i], LOOKUP_PEER_FIRST + 2 + i);
    }
    in->trust =
        (struct crypto_trust){.overlay_name = slice_text(LOOKUP_OVERLAY), .node_id_length = 16};
    struct overlay_settings s = settings_of(in);
    struct link_settings ls = {.tls = &plain,
                               .tls_context = in,
                               .trust = &in->trust,
                               .self = in->self.ident.node_id,
                               .max_message_bytes = s.config.max_message_bytes,
                               .links = 2 * LOOKUP_CLIENTS,
                               .handshaking = 2 * LOOKUP_CLIENTS,
                               .handshake_timeout_us = 5000000,
                               .retain_us = 8000000,
                               .queue_bytes = 1 << 20,
                               .retained_bytes = 1 << 20};
    size_t buffers = (size_t)BUFFERS * (MSGBUF_HEADROOM + MSGBUF_SMALL_BYTES + 64) +
                     (size_t)BUFFERS / 8 * (MSGBUF_HEADROOM + MSGBUF_LARGE_BYTES + 64);
    w->budget_bytes = budget_of(&w->limits);
    size_t bytes = overlay_bytes(&s) + link_table_bytes(&ls) + buffers + io_outbox_bytes(OUTBOX);
    enum err e = mem_open(&in->mem, bytes + 65536);
    CHECK(e == ERR_OK);
    struct arena *arena = &in->mem.arena;
    msgbuf_pool_init(&in->buffers, arena, BUFFERS, BUFFERS / 8);
    io_outbox_init(&in->outbox, arena, OUTBOX);
    w->turn = (struct turn){.now_us = 1000000,
                            .wall_ms = LOOKUP_WALL_MS + 1,
                            .rng = &in->rng,
                            .crypto = &in->crypto,
                            .wheel = &in->wheel,
                            .buffers = &in->buffers,
                            .out = &in->outbox,
                            .metrics = &in->metrics,
                            .log = &in->log};
    w->links = link_table_init(arena, &ls);
    w->overlay = overlay_init(&w->turn, arena, &s, w->links);
    w->neighbour = in->neighbour.ident.node_id;
    w->params = (struct rl_params){.overlay = overlay_hash_of(&w->turn, slice_text(LOOKUP_OVERLAY)),
                                   .node_id_length = 16};
    overlay_start(&w->turn, w->overlay);
    end_turn(in);
    CHECK(overlay_is_ready(w->overlay));
    connect_neighbour(in);
    return w;
}

void lookup_world_free(struct lookup_world *w)
{
    mem_close(&inside_of(w)->mem);
    free(w);
}

/* ---- turns ---- */

static void prepare(struct lookup_world *w, uint32_t number, const struct lookup_person *sender,
                    bool is_store)
{
    struct lookup_request *q = &w->requests[w->request_count++];
    struct lookup_route r = {.params = &w->params,
                             .sender = sender,
                             .via = &sender->ident.node_id,
                             .transaction_id = w->next_transaction++};
    q->number = number;
    q->transaction_id = r.transaction_id;
    q->len =
        is_store ? lookup_store_req(&r, number, q->bytes) : lookup_fetch_req(&r, number, q->bytes);
}

void lookup_world_prepare(struct lookup_world *w, const uint32_t *numbers, uint32_t count)
{
    struct inside *in = inside_of(w);
    CHECK(count <= LOOKUP_BATCH_CAP);
    w->request_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct lookup_person *client = &in->clients[w->next_transaction % LOOKUP_CLIENTS];
        prepare(w, numbers[i], client, false);
    }
}

static void complain(struct lookup_world *w, const char *wrong)
{
    if (!w->is_wrong) {
        (void)fprintf(stderr, "lookup: %s\n", wrong);
    }
    w->is_wrong = true;
}

void lookup_world_run(struct lookup_world *w)
{
    struct link_event event = {.kind = LINK_MESSAGE, .link = w->link, .node_id = w->neighbour};
    for (uint32_t i = 0; i < w->request_count; i++) {
        event.message = w->requests[i].bytes;
        event.message_len = w->requests[i].len;
        overlay_on_link(&w->turn, w->overlay, &event);
    }
    (void)overlay_work(&w->turn, w->overlay);
}

/* Goes through the frames of the turn; the number of data frames, and the last one's sequence. */
static uint32_t look(struct lookup_world *w, bool is_store, uint32_t *last)
{
    struct tls *tls = &inside_of(w)->tls[0];
    uint32_t seen = 0;
    for (uint32_t i = 0; i < tls->count; i++) {
        struct frame f;
        size_t consumed = 0;
        struct slice rest = tls->out[i];
        while (rest.len > 0 && frame_scan(rest, 5000, &f, &consumed) == ERR_OK) {
            rest = slice_from(rest, consumed);
            if (f.type != FRAME_DATA || seen == w->request_count) {
                complain(w, "an answer too many");
                continue;
            }
            const struct lookup_request *q = &w->requests[seen++];
            *last = f.sequence;
            const char *wrong =
                is_store ? lookup_check_store(&w->params, f.message, q->transaction_id)
                         : lookup_check_fetch(&w->params, f.message, q->transaction_id, q->number);
            if (wrong != NULL) {
                complain(w, wrong);
            }
        }
        if (rest.len > 0) {
            complain(w, "a record that does not end with a frame");
        }
    }
    tls->count = 0;
    return seen;
}

static void acknowledge(struct lookup_world *w, uint32_t last)
{
    uint8_t ack[FRAME_ACK_BYTES];
    frame_put_ack(ack, last, UINT32_MAX);
    link_on_stream(&w->turn, w->links, w->link, ack, sizeof(ack));
    end_turn(inside_of(w));
}

static void check(struct lookup_world *w, bool is_store)
{
    uint32_t last = 0;
    link_flush(&w->turn, w->links);
    pump(w);
    if (look(w, is_store, &last) != w->request_count) {
        complain(w, "an answer is missing");
    }
    acknowledge(w, last);
}

uint64_t lookup_world_forget(struct lookup_world *w)
{
    struct tls *tls = &inside_of(w)->tls[0];
    struct link_info info;
    uint32_t index = 0;
    uint64_t bytes = 0;
    link_flush(&w->turn, w->links);
    for (uint32_t i = 0; i < tls->count; i++) {
        bytes += tls->out[i].len;
    }
    tls->count = 0;
    bool is_there = link_walk(w->links, &index, &info);
    CHECK(is_there);
    acknowledge(w, (uint32_t)info.messages_out - 1); /* they are numbered from 0 */
    return bytes;
}

void lookup_world_check(struct lookup_world *w)
{
    check(w, false);
}

uint64_t lookup_world_store(struct lookup_world *w, uint32_t first, uint32_t count)
{
    static struct lookup_person people[LOOKUP_BATCH_CAP];
    uint64_t spent = 0;
    for (uint32_t done = 0; done < count && !w->is_wrong;) {
        uint32_t batch = (uint32_t)min_size(LOOKUP_BATCH_CAP, count - done);
        w->request_count = 0;
        for (uint32_t i = 0; i < batch; i++) {
            lookup_person_make(&people[i], first + done + i);
            prepare(w, first + done + i, &people[i], true);
        }
        uint64_t from = lookup_world_cpu_ns();
        lookup_world_run(w);
        spent += lookup_world_cpu_ns() - from;
        check(w, true);
        done += batch;
        /* Answers of Stores are kept for 15 s; time goes on, so that they go. */
        w->turn.now_us += 1000;
    }
    return spent;
}

/* ---- over connections ---- */

handle lookup_world_accept(struct lookup_world *w, uint32_t index)
{
    struct address remote = {.family = 4, .port = (uint16_t)(7000 + index), .ip = {127, 0, 0, 1}};
    handle link = 0;
    w->is_piped = true;
    enum err e = link_on_accepted(&w->turn, w->links, handle_make(HANDLE_CONN, 1, CONN + 1 + index),
                                  &remote, &link);
    CHECK(e == ERR_OK);
    return link;
}

const struct lookup_person *lookup_world_client(struct lookup_world *w, uint32_t index)
{
    return &inside_of(w)->clients[index % LOOKUP_CLIENTS];
}

uint32_t lookup_world_turn(struct lookup_world *w, handle link, uint8_t *data, size_t len,
                           struct msgbuf **out, uint32_t cap)
{
    struct inside *in = inside_of(w);
    uint32_t count = 0;
    w->turn.now_us++;
    link_on_stream(&w->turn, w->links, link, data, len);
    pump(w);
    while (overlay_work(&w->turn, w->overlay)) {
        pump(w);
    }
    pump(w);
    link_flush(&w->turn, w->links);
    for (uint32_t i = 0; i < in->outbox.count; i++) {
        if (in->outbox.ops[i].kind == IO_OP_SEND) {
            CHECK(count < cap);
            out[count++] = in->outbox.ops[i].buf;
        }
    }
    io_outbox_clear(&in->outbox);
    return count;
}

void lookup_world_sent(struct lookup_world *w, handle link, struct msgbuf **out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        link_on_sent(&w->turn, w->links, link, out[i]->len);
        msgbuf_release(w->turn.buffers, out[i]);
    }
}
