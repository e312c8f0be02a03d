/* SPDX-License-Identifier: Apache-2.0 */
/* replicate_stage.h - a handful of peers with real stores, tables and replicators; transact is
 * replaced by a network of a few lines that delivers at once, or never.  RFC 6940 10.4, 10.5, 10.7;
 * CH-6, CH-12, CH-19, CH-25, CH-26, ST-2, ST-3, ST-16, ST-18; design.md 1 and 9. */
#pragma once
#include "tests/unit/dht/storage_world.h"

#include "codec/content.h"
#include "dht/replicate.h"
#include "dht/store_log.h"

enum { PEERS = 8, CALLS = 512, STEP_MS = 10, TIMEOUT_MS = 15000, BODY_CAP = 6000 };

struct peer {
    struct world *w;
    struct person *who;
    struct chord_table table;
    struct topo topo;
    struct replicate *replicate;
    bool is_alive;
    uint32_t handed_over, left;
    enum err event_error;
};

struct call {
    bool is_used, is_answered, is_client;
    int from, to;
    struct transact_request what;
    handle id;
    uint8_t body[BODY_CAP];
    size_t body_len;
    uint8_t bucket[BODY_CAP];
    size_t bucket_len;
    uint64_t due_us;
    uint16_t error; /* of the answer */
    uint8_t answer[BODY_CAP];
    size_t answer_len;
    uint8_t answer_bucket[BODY_CAP];
    size_t answer_bucket_len;
};

struct transact {
    int self;
};

static struct peer peers[PEERS];
static struct transact ends[PEERS];
static struct call calls[CALLS];
static uint64_t next_id;
static enum overlay_storage_ack ack_of_all = OVERLAY_ACK_REPLICA;
static uint32_t stores_sent;

/* the network */

static inline int peer_of(const struct node_id *id)
{
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].who != NULL && ids_node_is_equal(&peers[i].who->ident.node_id, id)) {
            return i;
        }
    }
    return -1;
}

static inline struct call *call_new(int from, int to)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (!calls[i].is_used) {
            memset(&calls[i], 0, sizeof(calls[i]));
            calls[i].is_used = true;
            calls[i].from = from;
            calls[i].to = to;
            calls[i].id = handle_make(HANDLE_TRANSACT, (uint32_t)++next_id, (uint32_t)i);
            return &calls[i];
        }
    }
    cr_assert(false, "too many calls");
    return NULL;
}

static inline int owner_of(struct ring_id at)
{
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].is_alive && topo_is_responsible(&peers[i].topo, at)) {
            return i;
        }
    }
    return -1;
}

enum err transact_request(struct turn *t, struct transact *tr, const struct transact_request *what,
                          handle *request)
{
    int to = what->target.type == TRANSACT_NODE ? peer_of(&what->target.node)
                                                : owner_of(what->target.resource);
    struct call *c = call_new(tr->self, to);
    c->what = *what;
    cr_assert_leq(what->body.len, 5000);
    memcpy(c->body, what->body.data, what->body.len);
    c->body_len = what->body.len;
    struct wr w = wr_init(c->bucket, sizeof(c->bucket));
    for (size_t i = 0; i < what->certificate_count; i++) {
        secblock_wr_certificate(&w, SECBLOCK_CERTIFICATE_X509, what->certificates[i]);
    }
    cr_assert(wr_ok(&w));
    cr_assert_leq(wr_len(&w) + what->body.len, 5000 - 400);
    c->bucket_len = wr_len(&w);
    c->due_us = t->now_us + TIMEOUT_MS * 1000;
    stores_sent += what->code == CONTENT_STORE_REQ;
    if (request != NULL) {
        *request = c->id;
    }
    return ERR_OK;
}

static inline struct call *call_of(handle id)
{
    struct call *c = &calls[handle_index(id)];
    return id != 0 && c->is_used && c->id == id ? c : NULL;
}

void transact_cancel(struct turn *t, struct transact *tr, handle request)
{
    (void)t, (void)tr;
    struct call *c = call_of(request);
    if (c != NULL) {
        c->is_used = false;
    }
}

static inline void reply(struct call *c, uint16_t error, struct slice body,
                         const struct slice *certificates, size_t count)
{
    cr_assert_not(c->is_answered, "one answer a request");
    c->is_answered = true;
    c->error = error;
    memcpy(c->answer, body.data == NULL ? (const uint8_t *)"" : body.data, body.len);
    c->answer_len = body.len;
    struct wr w = wr_init(c->answer_bucket, sizeof(c->answer_bucket));
    for (size_t i = 0; i < count; i++) {
        secblock_wr_certificate(&w, SECBLOCK_CERTIFICATE_X509, certificates[i]);
    }
    c->answer_bucket_len = wr_len(&w);
}

enum err transact_answer(struct turn *t, struct transact *tr, const struct message *m,
                         struct slice body, const struct slice *certificates,
                         size_t certificate_count)
{
    (void)t, (void)tr;
    reply(call_of(m->transaction_id), 0, body, certificates, certificate_count);
    return ERR_OK;
}

/* Answers in place are for links, which nobody has here. */
bool transact_begin_draft(struct turn *t, struct transact *tr, const struct message *m,
                          struct transact_draft *d)
{
    (void)t, (void)tr, (void)m, (void)d;
    return false;
}

enum err transact_send_draft(struct turn *t, struct transact *tr, const struct message *m,
                             struct transact_draft *d, const struct slice *certificates,
                             size_t certificate_count)
{
    (void)t, (void)tr, (void)m, (void)d, (void)certificates, (void)certificate_count;
    return ERR_STATE;
}

enum err transact_reply(struct turn *t, struct transact *tr, const struct message *m,
                        struct slice body)
{
    return transact_answer(t, tr, m, body, NULL, 0);
}

void transact_error(struct turn *t, struct transact *tr, const struct message *m,
                    uint16_t error_code, struct slice info)
{
    (void)t, (void)tr;
    reply(call_of(m->transaction_id), error_code, info, NULL, 0);
}

handle transact_defer(struct turn *t, struct transact *tr, const struct message *m)
{
    (void)t, (void)tr;
    return m->transaction_id;
}

enum err transact_answer_later(struct turn *t, struct transact *tr, handle deferred,
                               struct slice body, const struct slice *certificates,
                               size_t certificate_count)
{
    (void)t, (void)tr;
    struct call *c = call_of(deferred);
    if (c == NULL) {
        return ERR_NOT_FOUND;
    }
    reply(c, 0, body, certificates, certificate_count);
    return ERR_OK;
}

static inline void deliver(struct call *c)
{
    struct peer *p = &peers[c->to];
    const struct sign_certificate *certificate;
    const struct person *sender = c->is_client ? NULL : peers[c->from].who;
    struct message m = {.transaction_id = c->id,
                        .code = c->what.code,
                        .to_resource = c->what.target.type == TRANSACT_RESOURCE,
                        .resource = c->what.target.resource,
                        .body = slice_of(c->body, c->body_len),
                        .certificates = slice_of(c->bucket, c->bucket_len)};
    struct slice der = sender == NULL ? c->what.signer->certificate : sender->ident.certificate;
    sign_begin_message(p->w->sign, false);
    cr_assert_eq(sign_learn(&p->w->turn, p->w->sign, der, &certificate), ERR_OK);
    m.certificate = certificate;
    m.signer = certificate->node_id;
    c->to = -2 - c->to; /* once */
    if (m.code == CONTENT_STORE_REQ) {
        cr_assert(replicate_on_store(&p->w->turn, p->replicate, &m));
    } else {
        cr_assert(replicate_on_fetch(&p->w->turn, p->replicate, &m));
    }
}

static inline void finish_call(struct call *c, enum err error)
{
    struct peer *p = &peers[c->from];
    static struct call copy;
    copy = *c;
    struct message m = {.body = slice_of(copy.answer, copy.answer_len),
                        .certificates = slice_of(copy.answer_bucket, copy.answer_bucket_len)};
    if (error != ERR_TIMEOUT) {
        m.signer = peers[-2 - c->to].who->ident.node_id;
    }
    struct transact_result result = {.owner = copy.what.owner,
                                     .tag = copy.what.tag,
                                     .request = copy.id,
                                     .error = copy.error != 0 ? ERR_REMOTE : error,
                                     .reload_error = copy.error,
                                     .error_info = m.body,
                                     .code = copy.what.code,
                                     .answer = error == ERR_TIMEOUT ? NULL : &m};
    c->is_used = false;
    replicate_on_result(&p->w->turn, p->replicate, &result);
}

static inline void step_peer(struct peer *p)
{
    struct wheel_timer *timer;
    struct replicate_event event;
    while ((timer = wheel_take(&p->w->wheel, p->w->turn.now_us)) != NULL) {
        replicate_on_timer(&p->w->turn, p->replicate, timer);
    }
    while (replicate_next(p->replicate, &event)) {
        p->handed_over += event.kind == REPLICATE_HANDED_OVER;
        p->left += event.kind == REPLICATE_LEFT;
        p->event_error = event.error;
    }
}

static inline void step(void)
{
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].w != NULL) {
            world_pass(peers[i].w, STEP_MS);
        }
    }
    for (size_t i = 0; i < CALLS; i++) {
        struct call *c = &calls[i];
        if (c->is_used && c->to >= 0 && peers[c->to].is_alive) {
            deliver(c);
        }
    }
    for (size_t i = 0; i < CALLS; i++) {
        struct call *c = &calls[i];
        if (!c->is_used || c->is_client || !peers[c->from].is_alive) {
            continue;
        }
        if (c->is_answered) {
            finish_call(c, ERR_OK);
        } else if (c->due_us <= peers[c->from].w->turn.now_us) {
            finish_call(c, ERR_TIMEOUT);
        }
    }
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].is_alive) {
            step_peer(&peers[i]);
        }
    }
}

static inline void run(uint32_t ms)
{
    for (uint32_t i = 0; i < ms / STEP_MS; i++) {
        step();
    }
}

/* the ring */

static inline void peer_start(int i, const char *host, uint8_t at)
{
    struct peer *p = &peers[i];
    p->w = world_make((uint64_t)i + 1);
    if (i > 0 && peers[0].w != NULL) {
        p->w->turn.now_us = peers[0].w->turn.now_us;
        p->w->turn.wall_ms = peers[0].w->turn.wall_ms;
        wheel_init(&p->w->wheel, p->w->turn.now_us);
    }
    p->who = person_make(p->w, host, (uint32_t)i + 1000);
    /* The Node-ID says where on the ring it stands; rewritten in the certificate too. */
    size_t in_der = 2 + 1 + strlen(host);
    memset(p->who->ident.node_id.bytes, 0, 20);
    p->who->ident.node_id.bytes[0] = at;
    memcpy(p->who->der + in_der, p->who->ident.node_id.bytes, 16);
    p->w->crypto.sha256(p->who->ident.certificate, p->who->ident.certificate_sha256);
    chord_table_init(&p->table, &p->w->arena, 32, &p->who->ident.node_id,
                     sign_host(&p->w->turn, slice_text(host)));
    p->table.is_member = true;
    p->topo = (struct topo){&p->table, 2};
    ends[i].self = i;
    struct store_settings kept = world_store_settings(p->w);
    kept.log_bytes = 64 * 1024;
    p->w->store = store_init(&p->w->turn, &p->w->arena, &kept);
    struct replicate_settings s = {.params = &p->w->params,
                                   .self = &p->who->ident,
                                   .max_message_bytes = 5000,
                                   .store = p->w->store,
                                   .sign = p->w->sign,
                                   .transact = &ends[i],
                                   .topo = &p->topo,
                                   .ack = ack_of_all,
                                   .ops = 64,
                                   .acks = 16};
    size_t before = p->w->arena.used;
    p->replicate = replicate_init(&p->w->turn, &p->w->arena, &s);
    cr_assert_leq(p->w->arena.used - before, replicate_bytes(&s));
    p->is_alive = true;
}

static inline void meet(int i, int k)
{
    struct chord_table_node n = {.id = peers[k].who->ident.node_id,
                                 .at = ids_ring_of_node(&peers[k].who->ident.node_id),
                                 .host = peers[k].table.self_host,
                                 .state = CHORD_TABLE_PEER,
                                 .link = handle_make(HANDLE_LINK, 1, (uint32_t)k)};
    if (i != k && chord_table_find(&peers[i].table, &n.id) == NULL) {
        cr_assert_eq(chord_table_add(&peers[i].table, &n), ERR_OK);
    }
}

static inline void tell(int i, bool is_failure)
{
    struct topo_change change = {
        .range_changed = true, .replicas_changed = true, .is_failure = is_failure};
    replicate_on_change(&peers[i].w->turn, peers[i].replicate, &change);
}

static inline void meet_all(void)
{
    for (int i = 0; i < PEERS; i++) {
        for (int k = 0; k < PEERS && peers[i].is_alive; k++) {
            if (peers[k].is_alive) {
                meet(i, k);
            }
        }
    }
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].is_alive) {
            tell(i, false);
        }
    }
}

static inline void kill_peer(int dead)
{
    peers[dead].is_alive = false;
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].is_alive) {
            (void)chord_table_remove(&peers[i].table, &peers[dead].who->ident.node_id);
            tell(i, true);
        }
    }
}

/* hosts[i] names the machine of peer i; peers stand evenly on the ring. */
static inline void ring(const char *const *hosts, int count)
{
    memset(peers, 0, sizeof(peers));
    memset(calls, 0, sizeof(calls));
    for (int i = 0; i < count; i++) {
        peer_start(i, hosts[i], (uint8_t)(i * 256 / PEERS + 16));
    }
    meet_all();
}

static inline struct ring_id ring_of(const struct overlay_resource *at)
{
    struct ring_id id;
    cr_assert_eq(ids_ring_of_resource(slice_of(at->bytes, 16), &id), ERR_OK);
    return id;
}

static inline int copies_of(const struct overlay_resource *at, uint32_t kind)
{
    int copies = 0;
    for (int i = 0; i < PEERS; i++) {
        struct store_set *set =
            peers[i].is_alive ? store_set_find(peers[i].w->store, resource_slice(at), kind) : NULL;
        copies += set != NULL && store_set_is_alive(&peers[i].w->turn, peers[i].w->store, set);
    }
    return copies;
}

static inline bool has_copy(int i, const struct overlay_resource *at)
{
    return store_set_find(peers[i].w->store, resource_slice(at), WORLD_KIND_SINGLE) != NULL;
}

/* A user stores one value, or some of different Kinds; the call, which the caller watches. */
static inline struct call *client_store_all(struct person *who, const struct wish *const *wishes,
                                            size_t count, int to)
{
    struct world *w = peers[0].w;
    struct overlay_resource at = resource_of(w, person_user(who));
    struct call *c = call_new(0, to >= 0 ? to : owner_of(ring_of(&at)));
    struct wr out = wr_init(c->body, sizeof(c->body));
    c->is_client = true;
    c->what.signer = &who->ident;
    c->what.code = CONTENT_STORE_REQ;
    c->what.target.type = TRANSACT_RESOURCE;
    c->what.target.resource = ring_of(&at);
    wr_opaque8(&out, resource_slice(&at));
    wr_u8(&out, 0);
    size_t all = wr_begin(&out, 4);
    for (size_t i = 0; i < count; i++) {
        size_t mark = stored_block_begin(&out, wishes[i]->kind, 0);
        wr_wish(w, &out, wishes[i], &at, who);
        stored_block_end(&out, mark);
    }
    wr_end(&out, 4, all);
    c->body_len = wr_len(&out);
    struct wr bucket = wr_init(c->bucket, sizeof(c->bucket));
    secblock_wr_certificate(&bucket, SECBLOCK_CERTIFICATE_X509, who->ident.certificate);
    c->bucket_len = wr_len(&bucket);
    return c;
}

static inline struct call *client_store(struct person *who, const struct wish *wish, int to)
{
    return client_store_all(who, &wish, 1, to);
}

static inline struct call *client_store_both(struct person *who, const struct wish *one,
                                             const struct wish *two)
{
    const struct wish *const wishes[] = {one, two};
    return client_store_all(who, wishes, 2, -1);
}

static inline uint16_t store_and_wait(struct person *who, const struct wish *wish)
{
    struct call *c = client_store(who, wish, -1);
    for (int i = 0; i < 200 && !c->is_answered; i++) {
        step();
    }
    cr_assert(c->is_answered);
    c->is_used = false;
    return c->error;
}

static inline struct person *user(uint32_t number)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "user%u@example.org", number);
    return person_make(peers[0].w, name, number);
}

static inline struct wish value_at_now(const char *text)
{
    return (struct wish){WORLD_KIND_SINGLE, 0, NULL, text, peers[0].w->turn.wall_ms, 3600};
}

static inline void settle(uint32_t ms)
{
    run(ms);
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].is_alive) {
            cr_assert(replicate_is_settled(peers[i].replicate), "peer %d", i);
        }
    }
}

static inline void ring_end(void)
{
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].w == NULL) {
            continue;
        }
        replicate_clear(&peers[i].w->turn, peers[i].replicate);
        world_age(peers[i].w);
        cr_assert_eq(peers[i].w->wheel.armed, 0);
    }
    for (int i = 0; i < PEERS; i++) {
        if (peers[i].w != NULL) {
            free(peers[i].who);
            world_free(peers[i].w);
        }
    }
}

static const char *const apart[] = {"h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"};
static const char *const paired[] = {"h0", "h0", "h0", "h0", "h1", "h1", "h1", "h1"};

/* A ring of so many, each on a host of its own, and a user who has stored one value in it. */
static inline struct person *put_one(int count, struct overlay_resource *at)
{
    ring(apart, count);
    struct person *who = user(7);
    struct wish wish = value_at_now("one");
    *at = resource_of(peers[0].w, person_user(who));
    cr_assert_eq(store_and_wait(who, &wish), 0);
    return who;
}
