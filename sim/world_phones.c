/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world_phones.h"
#include "sim/world_impl.h"
#include "sip/ha1.h"
#include <stdio.h>

enum {
    PORT = 5060,
    FIRST_BYTE = 11, /* of their addresses */
    MARK_AT = 8,     /* in a phone's Node-ID */
    SECRET_BYTES = 32,
    HEX_CAP = 2 * CRYPTO_SHA256_BYTES + 1,
};

static const uint8_t mark[8] = {'s', 'i', 'm', 'p', 'h', 'o', 'n', 'e'};

struct world_phones {
    struct world_ident *idents;   /* homes of them for each phone */
    struct sip_account *accounts; /* of one process after another */
    uint32_t *first;              /* of each process: in accounts; one more at the end */
    const struct ident **publish; /* of one node after another */
    uint32_t *publish_first;      /* of each node: in publish; one more at the end */
    struct rng rng;
    world_phones_sink *sink;
    void *context;
};

static uint32_t processes_of(const struct world_settings *s)
{
    return s->phones.nodes / s->shards;
}

static uint32_t homes_of(const struct world_settings *s)
{
    return (uint32_t)min_u64(s->phones.homes, processes_of(s));
}

/* At most, of one process. */
static uint32_t share_of(const struct world_settings *s)
{
    return (s->phones.count / processes_of(s) + 1) * homes_of(s);
}

size_t world_phones_bytes(const struct world_settings *s)
{
    if (s->phones.count == 0) {
        return 0;
    }
    size_t credentials = (size_t)s->phones.count * homes_of(s);
    return sizeof(struct world_phones) +
           credentials * (sizeof(struct world_ident) + sizeof(struct sip_account) + 64) +
           (credentials + s->nodes) * sizeof(struct ident *) +
           2 * (s->nodes + 2) * sizeof(uint32_t) + 512;
}

struct address world_phones_address(uint32_t phone)
{
    struct address a = net_address(phone);
    a.ip[0] = FIRST_BYTE;
    a.port = PORT;
    return a;
}

bool world_phones_is_key(struct slice key)
{
    return key.len == IDS_RING_BYTES && memcmp(key.data + MARK_AT, mark, sizeof(mark)) == 0;
}

uint32_t world_phones_home(const struct world *w, uint32_t phone, uint32_t k)
{
    const struct world_settings *s = &w->settings;
    return (phone + k % homes_of(s)) % processes_of(s) * s->shards;
}

/* ---- accounts ---- */

static void make_account(struct world *w, struct sip_account *out, uint32_t phone,
                         const struct world_ident *ident)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "p%u:%.64s:secret%u", phone, w->settings.config.name, phone);
    *out = (struct sip_account){.digest = SIP_DIGEST_SHA256_MD5, .ident = &ident->ident};
    (void)snprintf(out->user, sizeof(out->user), "p%u@%.64s", phone, w->settings.config.name);
    ha1_hash(&w->crypto, false, slice_text(text), out->ha1_md5);
    ha1_hash(&w->crypto, true, slice_text(text), out->ha1_sha256);
}

/* Where a phone is at home, its credential is told apart by all but the mark. */
static void make_credential(struct world *w, struct world_phones *p, uint32_t phone, uint32_t k)
{
    char user[WORLD_USER_CAP];
    struct node_id id = {0};
    (void)snprintf(user, sizeof(user), "p%u@%.30s", phone, w->settings.config.name);
    rng_fill(&p->rng, id.bytes, MARK_AT);
    memcpy(id.bytes + MARK_AT, mark, sizeof(mark));
    world_crypto_make_ident(w, &p->idents[phone * homes_of(&w->settings) + k], user, &id);
}

/* All phones that are at home in process q, in the order of their numbers. */
static uint32_t fill_process(struct world *w, struct world_phones *p, uint32_t q, uint32_t at)
{
    const struct world_settings *s = &w->settings;
    uint32_t homes = homes_of(s);
    for (uint32_t phone = 0; phone < s->phones.count; phone++) {
        uint32_t k = (q + processes_of(s) - phone % processes_of(s)) % processes_of(s);
        if (k < homes) {
            make_account(w, &p->accounts[at++], phone, &p->idents[phone * homes + k]);
        }
    }
    return at;
}

/* As the daemon does: the node's own, and those of the accounts that are at home in its shard. */
static void choose_published(struct world *w, struct world_phones *p)
{
    const struct world_settings *s = &w->settings;
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->nodes; i++) {
        uint32_t process = i / s->shards;
        p->publish_first[i] = count;
        p->publish[count++] = &w->idents[i].ident;
        for (uint32_t a = p->first[process]; a < p->first[process + 1]; a++) {
            struct slice user = slice_text(p->accounts[a].user);
            if (sip_home_shard(user, (uint16_t)s->shards) == i % s->shards) {
                p->publish[count++] = p->accounts[a].ident;
            }
        }
    }
    p->publish_first[s->nodes] = count;
}

struct world_phones *world_phones_init(struct arena *arena, struct world *w)
{
    const struct world_settings *s = &w->settings;
    if (s->phones.count == 0) {
        return NULL;
    }
    CHECK(s->phones.count <= WORLD_PHONES_CAP && s->phones.nodes <= s->nodes && homes_of(s) > 0);
    uint32_t credentials = s->phones.count * homes_of(s);
    uint32_t processes = s->nodes / s->shards;
    struct world_phones *p = ARENA_ARRAY(arena, struct world_phones, 1);
    p->idents = ARENA_ARRAY(arena, struct world_ident, credentials);
    p->accounts = ARENA_ARRAY(arena, struct sip_account, credentials);
    p->first = ARENA_ARRAY(arena, uint32_t, processes + 1);
    rng_init(&p->rng, s->seed ^ 0xf04e);
    for (uint32_t i = 0; i < credentials; i++) {
        make_credential(w, p, i / homes_of(s), i % homes_of(s));
    }
    for (uint32_t q = 0; q < processes; q++) {
        p->first[q + 1] = q < processes_of(s) ? fill_process(w, p, q, p->first[q]) : p->first[q];
    }
    p->publish = ARENA_ARRAY(arena, const struct ident *, credentials + s->nodes);
    p->publish_first = ARENA_ARRAY(arena, uint32_t, s->nodes + 1);
    choose_published(w, p);
    return p;
}

void world_phones_limits(const struct world_settings *s, struct limits *l)
{
    if (s->phones.count == 0) {
        return;
    }
    uint32_t share = share_of(s);
    l->sip_peers = 96;
    l->sip_dials = 96;
    l->sip_flows = 96;
    l->sip_flows_per_host = 0;
    l->sip_wrapped = 1;
    l->sip_transactions = 128 + 16 * share;
    l->sip_retained = 64 + 4 * share;
    l->sip_proxies = 64 + 4 * share;
    l->sip_branches = 128 + 8 * share;
    l->sip_lookups = 32 + 4 * share;
    l->sip_guesses = 64;
    l->sip_registers = 16 + 2 * share;
    l->sip_bindings = 16 + 2 * share;
    l->sip_publications = 1;
    l->sip_subscriptions = 1;
    l->sip_offline = 1;
    l->sip_events = 512;
}

void world_phones_room(const struct world_settings *s, const struct limits *l,
                       struct node_settings *out)
{
    if (s->phones.count > 0) {
        out->sip.account_count = share_of(s);
        out->sip.advertised.family = 4;
        out->sip.limits = l;
        out->overlay.publish_count = s->is_publishing ? share_of(s) + 1 : 0;
    }
}

void world_phones_settings(struct world *w, uint32_t i, struct node_settings *out)
{
    const struct world_phones *p = w->phones;
    if (p == NULL) {
        return;
    }
    struct sip_settings *sip = &out->sip;
    uint32_t process = i / w->settings.shards;
    uint32_t first = process * w->settings.shards;
    struct rng secret;
    (void)snprintf(sip->domain, sizeof(sip->domain), "%s", w->settings.config.name);
    sip->accounts = &p->accounts[p->first[process]];
    sip->account_count = p->first[process + 1] - p->first[process];
    sip->shard = out->overlay.shard;
    sip->shards = out->overlay.shards;
    sip->self = w->idents[i].ident.node_id;
    memcpy(sip->siblings, out->overlay.siblings, sizeof(sip->siblings));
    sip->advertised = net_address(first);
    sip->advertised.port = PORT;
    if (w->settings.is_publishing) {
        out->overlay.publish = &p->publish[p->publish_first[i]];
        out->overlay.publish_count = p->publish_first[i + 1] - p->publish_first[i];
    }
    rng_init(&secret, w->settings.seed ^ (0x5ec2e7ULL + process));
    rng_fill(&secret, sip->secret, SECRET_BYTES);
    sip->default_expires_s = 3600;
    sip->min_expires_s = 60;
    sip->max_expires_s = 7200;
    sip->limits = &w->limits;
}

/* ---- the way ---- */

void world_phones_listen(struct world *w, world_phones_sink *sink, void *context)
{
    w->phones->sink = sink;
    w->phones->context = context;
}

static bool is_lost(struct world *w)
{
    uint32_t ppm = w->settings.phones.loss_ppm;
    return ppm > 0 && rng_below(&w->phones->rng, 1000000) < ppm;
}

/* The network's own: who has sent it may keep his to send it again. */
static struct msgbuf *network_copy(struct world *w, struct slice bytes)
{
    struct msgbuf *buf = msgbuf_acquire(&w->buffers, bytes.len);
    CHECK(buf != NULL); /* the world was made too small */
    buf->owner = 0;
    enum err e = msgbuf_append(buf, bytes);
    CHECK(e == ERR_OK);
    return buf;
}

void world_phones_wake(struct world *w, uint32_t phone, uint64_t at_us)
{
    struct queue_event e = {.at_us = max_u64(at_us, w->now_us), .what = QUEUE_PHONE};
    e.node = world_phones_home(w, phone, 0);
    e.io.tag = phone;
    queue_put(&w->queue, &e);
}

void world_phones_send(struct world *w, uint32_t phone, uint32_t node, struct slice datagram)
{
    uint32_t to = node + phone % w->settings.shards; /* as SO_REUSEPORT would have it */
    if (!w->nodes[to].is_alive || is_lost(w)) {
        return;
    }
    struct msgbuf *buf = network_copy(w, datagram);
    struct queue_event sent = {.at_us = w->now_us + w->settings.phones.delay_us,
                               .node = to,
                               .incarnation = w->nodes[to].incarnation,
                               .what = QUEUE_IO,
                               .io = {.kind = IO_DATAGRAM,
                                      .listener = IO_LISTEN_SIP_UDP,
                                      .local = net_address(node),
                                      .remote = world_phones_address(phone),
                                      .data = msgbuf_data(buf),
                                      .data_len = buf->len},
                               .buf = buf};
    sent.io.local.port = PORT;
    queue_put(&w->queue, &sent);
}

void world_phones_take(struct world *w, uint32_t i, const struct io_op *op)
{
    const uint8_t *ip = op->remote.ip;
    uint32_t phone = (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
    bool is_phone = w->phones != NULL && op->remote.family == 4 && ip[0] == FIRST_BYTE &&
                    phone < w->settings.phones.count;
    if (is_phone && !is_lost(w)) {
        struct queue_event e = {.at_us = w->now_us + w->settings.phones.delay_us,
                                .node = i,
                                .what = QUEUE_PHONE,
                                .io = {.tag = phone},
                                .buf = network_copy(w, msgbuf_slice(op->buf))};
        queue_put(&w->queue, &e);
    }
    msgbuf_release(&w->buffers, op->buf);
}

void world_phones_deliver(struct world *w, const struct queue_event *e)
{
    struct world_phones *p = w->phones;
    if (p->sink != NULL) {
        struct slice datagram = e->buf == NULL ? SLICE_EMPTY : msgbuf_slice(e->buf);
        p->sink(p->context, (uint32_t)e->io.tag, datagram);
    }
}
