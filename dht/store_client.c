/* SPDX-License-Identifier: Apache-2.0 */
/* store_client.c - an op for each request:
 *
 *   store:  STORING -(0x9)-> LOOKING -> STORING_AGAIN -> done
 *   fetch:  FETCHING -(0xe)-> FETCHING in parts -> done
 *
 * Bytes to be stored wait in a message buffer, since a second try needs them. */
#include "dht/store_client.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/access.h"
#include "dht/budget.h"
#include "dht/store_parts.h"

enum {
    BODY_SLACK = 1024, /* StoreReq around key and value */
    FORGED_CAP = 32,   /* values that do not prove themselves: then no more */
};

enum {
    RETRY_TRANSMISSIONS = 1,
    SEARCH_AFTER = 3,  /* retries, before we ask who the owner is */
    REPLICA_AFTER = 7, /* retries, before a holder of copies is asked */
    SEARCH_STEPS = 60, /* questions at most, */
    RELAY_STEPS = 4,   /* ... of them for one relay, */
    REPLICA_STEPS = 8, /* ... and for the name of a holder of copies */
};

/* Who is responsible, and by what ways can he be reached? */
struct store_search {
    enum { SEARCH_OWNER, SEARCH_BEFORE, SEARCH_RELAY, SEARCH_REPLICA } what;
    bool knows_owner;
    bool is_replica_asked; /* the request under way is for a holder of copies */
    uint8_t hop;           /* which of our peers all this goes through first */
    uint8_t steps;         /* questions so far, in all */
    uint8_t relay_steps, replica_steps;
    struct node_id asked;
    struct node_id namer; /* has named `asked`, at last the owner */
    struct node_id owner;
    struct node_id relay;   /* answers us, and has a link to the owner; zeros: nobody */
    struct node_id next;    /* the peer before it; zeros: not known */
    struct node_id replica; /* the peer behind the owner; zeros: not known */
    struct ring_id place;   /* what was asked for last, of a replica */
};

enum op_state { OP_STORING, OP_LOOKING, OP_STORING_AGAIN, OP_FETCHING };

struct op {
    enum op_state state;
    enum store_client_user user;
    uint32_t retries;
    struct store_search search;
    uint64_t tag;
    uint64_t started_us;
    struct overlay_resource resource;
    uint32_t kind;
    enum overlay_data_model model;
    struct store_parts parts; /* fetch */
    /* store; of a fetch: whose certificate alone is of interest, or NULL */
    const struct ident *signer;
    struct msgbuf *bytes; /* key, then value */
    size_t key_len;
    uint32_t index;
    uint32_t lifetime_s;
    uint64_t time_ms;
    bool exists;
};
STATIC_CHECK(sizeof(struct op) <= LIMITS_COST_storage_requests);

struct store_client {
    struct store_client_settings s;
    struct pool ops;
    uint64_t last_ms;             /* storage_time given last: they only grow */
    struct overlay_value *values; /* OVERLAY_VALUES_CAP of them, for one event */
};

size_t store_client_bytes(const struct store_client_settings *s)
{
    return sizeof(struct store_client) + OVERLAY_VALUES_CAP * sizeof(struct overlay_value) +
           budget_pool(s->ops, sizeof(struct op)) + BUDGET_SLACK;
}

struct store_client *store_client_init(struct arena *arena, const struct store_client_settings *s)
{
    struct store_client *c = ARENA_ARRAY(arena, struct store_client, 1);
    c->s = *s;
    c->values = ARENA_SCRATCH(arena, struct overlay_value, OVERLAY_VALUES_CAP);
    pool_init(&c->ops, arena, "storage_requests", HANDLE_STORE, s->ops, sizeof(struct op));
    return c;
}

uint32_t store_client_open(const struct store_client *c)
{
    return c->ops.in_use;
}

/* As when the request was made: the Kind may have gone, or changed, since (CF-3). */
static enum stored_model wire_model(const struct op *op)
{
    return kind_wire_model(op->model);
}

static void op_end(struct turn *t, struct store_client *c, struct op *op)
{
    if (op->bytes != NULL) {
        msgbuf_release(t->buffers, op->bytes);
    }
    store_parts_end(t, &op->parts);
    pool_release(&c->ops, op);
}

static struct slice resource_of(const struct op *op)
{
    return slice_of(op->resource.bytes, sizeof(op->resource.bytes));
}

/* requests */

/* A source route (FW-10) over up to three peers, none of them named twice in a row. */
static struct slice wr_route(const struct store_client *c, const struct node_id *const nodes[3],
                             uint8_t *out, size_t cap)
{
    struct wr w = wr_init(out, cap);
    const struct node_id *last = NULL;
    for (size_t i = 0; i < 3; i++) {
        bool is_there = nodes[i] != NULL && !ids_node_is_invalid(nodes[i]);
        if (is_there && (last == NULL || !ids_node_is_equal(last, nodes[i]))) {
            fwd_wr_node(&w, c->s.params, nodes[i]);
            last = nodes[i];
        }
    }
    CHECK(wr_ok(&w));
    return wr_slice(&w);
}

static const struct node_id *hop_of(const struct store_client *c, const struct op *op, uint32_t n)
{
    struct ring_id at;
    enum err e = ids_ring_of_resource(resource_of(op), &at);
    CHECK(e == ERR_OK);
    const struct chord_table_node *node = chord_table_nth_hop(c->s.table, at, n);
    return node == NULL ? NULL : &node->id;
}

/* To the owner by Node-ID, the last times to a holder of copies, who takes no Stores from us. */
static struct slice wr_way(const struct store_client *c, struct op *op,
                           struct transact_target *target, uint8_t *out, size_t cap)
{
    struct store_search *s = &op->search;
    bool is_fetch = op->state == OP_FETCHING;
    bool has_relay = !ids_node_is_invalid(&s->relay);
    s->is_replica_asked =
        is_fetch && op->retries >= REPLICA_AFTER && !ids_node_is_invalid(&s->replica);
    uint32_t other = s->hop + op->retries - SEARCH_AFTER;
    const struct node_id *route[3] = {hop_of(c, op, has_relay ? s->hop : other),
                                      has_relay ? &s->relay : NULL,
                                      s->is_replica_asked ? &s->replica : &s->owner};
    *target = (struct transact_target){.type = TRANSACT_NODE, .node = *route[2]};
    return wr_route(c, route, out, cap);
}

static enum err send(struct turn *t, struct store_client *c, struct op *op, uint16_t code,
                     struct slice body)
{
    uint8_t route[3 * FWD_NODE_BYTES_MAX];
    struct transact_request request = {.tag = pool_handle(&c->ops, op),
                                       .target.type = TRANSACT_RESOURCE,
                                       .code = code,
                                       .body = body};
    request.owner = code == CONTENT_STORE_REQ ? TRANSACT_STORE : TRANSACT_FETCH;
    request.signer = code == CONTENT_STORE_REQ ? op->signer : NULL; /* else ourselves */
    enum err e = ids_ring_of_resource(resource_of(op), &request.target.resource);
    CHECK(e == ERR_OK);
    if (op->search.knows_owner) {
        request.destinations = wr_way(c, op, &request.target, route, sizeof(route));
    } else if (op->retries > 0) {
        const struct node_id *first = hop_of(c, op, op->retries);
        request.through = first == NULL ? request.through : *first;
    }
    if (op->retries > 0) {
        if (request.destinations.len == 0 && ids_node_is_invalid(&request.through)) {
            return ERR_NOT_FOUND;
        }
        request.transmissions = RETRY_TRANSMISSIONS;
        metric_add(t->metrics, METRIC_requests_other_way, 1);
    }
    return transact_request(t, c->s.transact, &request, NULL);
}

static struct stored_value value_of(const struct op *op)
{
    struct slice bytes = msgbuf_slice(op->bytes);
    return (struct stored_value){.model = wire_model(op),
                                 .exists = op->exists,
                                 .index = op->index,
                                 .key = slice_sub(bytes, 0, op->key_len),
                                 .bytes = slice_from(bytes, op->key_len)};
}

static enum err send_store(struct turn *t, struct store_client *c, struct op *op)
{
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    struct stored_data d = {.storage_time_ms = op->time_ms, .lifetime_s = op->lifetime_s};
    d.value = value_of(op);
    enum err e =
        sign_make_value(t, c->s.sign, op->signer, resource_of(op), op->kind, &d, signature);
    if (e != ERR_OK) {
        return e;
    }
    struct msgbuf *b = msgbuf_acquire(t->buffers, op->bytes->len + BODY_SLACK);
    if (b == NULL) {
        return ERR_NO_MEMORY;
    }
    struct wr w = wr_init(msgbuf_data(b), msgbuf_tailroom(b));
    wr_opaque8(&w, resource_of(op));
    wr_u8(&w, 0);
    size_t list = wr_begin(&w, 4);
    size_t block = stored_block_begin(&w, op->kind, 0); /* whatever the counter is (ST-6) */
    stored_wr(&w, &d);
    stored_block_end(&w, block);
    wr_end(&w, 4, list);
    e = wr_ok(&w) ? send(t, c, op, CONTENT_STORE_REQ, wr_slice(&w)) : ERR_TOO_LARGE;
    msgbuf_release(t->buffers, b);
    return e;
}

/* The whole of a Kind, or what stands where we want to store. */
static void wr_whole(const struct op *op, struct wr *w)
{
    struct stored_range range = {0, STORED_INDEX_APPEND};
    struct slice key = SLICE_EMPTY;
    bool is_place = op->state == OP_LOOKING;
    switch (wire_model(op)) {
    case STORED_SINGLE:
        stored_wr_specifier_single(w, op->kind, 0);
        break;
    case STORED_ARRAY:
        range = is_place ? (struct stored_range){op->index, op->index} : range;
        stored_wr_specifier_array(w, op->kind, 0, &range, 1);
        break;
    case STORED_DICTIONARY:
        key = is_place ? value_of(op).key : key;
        stored_wr_specifier_dictionary(w, op->kind, 0, &key, is_place ? 1 : 0);
        break;
    }
}

static enum err send_fetch(struct turn *t, struct store_client *c, struct op *op)
{
    uint8_t body[1024];
    struct wr w = wr_init(body, sizeof(body));
    uint16_t code = CONTENT_FETCH_REQ;
    wr_opaque8(&w, resource_of(op));
    size_t mark = wr_begin(&w, 2);
    if (op->parts.step == STORE_PARTS_NONE) {
        wr_whole(op, &w);
    } else {
        code = store_parts_is_stat(&op->parts, wire_model(op)) ? CONTENT_STAT_REQ : code;
        store_parts_wr(&op->parts, &w, op->kind, wire_model(op));
    }
    wr_end(&w, 2, mark);
    CHECK(wr_ok(&w));
    return send(t, c, op, code, wr_slice(&w));
}

static uint64_t next_time(const struct turn *t, struct store_client *c, uint64_t after_ms)
{
    c->last_ms = max_u64(max_u64(t->wall_ms, c->last_ms + 1), after_ms + 1);
    return c->last_ms;
}

static enum err keep_bytes(struct turn *t, struct op *op, const struct overlay_store *what)
{
    op->bytes = msgbuf_acquire(t->buffers, what->key.len + what->value.len);
    if (op->bytes == NULL) {
        return ERR_NO_MEMORY;
    }
    op->key_len = what->key.len;
    enum err e = msgbuf_append(op->bytes, what->key);
    return e != ERR_OK ? e : msgbuf_append(op->bytes, what->value);
}

enum err store_client_store(struct turn *t, struct store_client *c,
                            const struct overlay_store *what, enum store_client_user user,
                            uint64_t tag)
{
    struct overlay_kind kind;
    CHECK(what->exists || what->value.len == 0);
    if (!kind_find(c->s.config, what->kind, &kind)) {
        return ERR_UNSUPPORTED;
    }
    if (what->value.len > kind.max_size_bytes || what->key.len > STORE_KEY_CAP) {
        return ERR_TOO_LARGE;
    }
    struct op *op = pool_acquire(&c->ops);
    if (op == NULL) {
        return ERR_LIMIT;
    }
    op->state = OP_STORING;
    op->user = user;
    op->tag = tag;
    op->started_us = t->now_us;
    op->resource = what->resource;
    op->kind = what->kind;
    op->model = kind.data_model;
    op->signer = what->signer;
    op->index = what->index;
    op->lifetime_s = what->lifetime_s;
    op->exists = what->exists;
    op->time_ms = next_time(t, c, 0);
    enum err e = keep_bytes(t, op, what);
    e = e != ERR_OK ? e : send_store(t, c, op);
    if (e != ERR_OK) {
        op_end(t, c, op);
    }
    return e;
}

static enum err begin_fetch(struct turn *t, struct store_client *c, const struct op *what)
{
    struct overlay_kind found;
    if (!kind_find(c->s.config, what->kind, &found)) {
        return ERR_UNSUPPORTED;
    }
    struct op *op = pool_acquire(&c->ops);
    if (op == NULL) {
        return ERR_LIMIT;
    }
    op->state = OP_FETCHING;
    op->model = found.data_model;
    op->user = what->user;
    op->tag = what->tag;
    op->signer = what->signer;
    op->started_us = t->now_us;
    op->resource = what->resource;
    op->kind = what->kind;
    enum err e = send_fetch(t, c, op);
    if (e != ERR_OK) {
        op_end(t, c, op);
    }
    return e;
}

enum err store_client_fetch(struct turn *t, struct store_client *c,
                            const struct overlay_resource *resource, uint32_t kind,
                            enum store_client_user user, uint64_t tag)
{
    struct op what = {.resource = *resource, .kind = kind, .user = user, .tag = tag};
    return begin_fetch(t, c, &what);
}

enum err store_client_find(struct turn *t, struct store_client *c,
                           const struct overlay_resource *resource, uint32_t kind,
                           const struct ident *who, uint64_t tag)
{
    struct op what = {.resource = *resource,
                      .kind = kind,
                      .user = STORE_CLIENT_CERT_USAGE,
                      .tag = tag,
                      .signer = who};
    return begin_fetch(t, c, &what);
}

/* what was fetched */

static bool is_certificate_kind(uint32_t kind)
{
    return kind == OVERLAY_KIND_CERTIFICATE_BY_NODE || kind == OVERLAY_KIND_CERTIFICATE_BY_USER;
}

/* FT-5: who signed it, may he, is it true? */
static enum err prove(struct turn *t, struct store_client *c, const struct op *op,
                      const struct stored_data *d, struct slice bucket, struct overlay_value *out)
{
    const struct sign_certificate *certificate = NULL;
    struct node_id node_id;
    struct overlay_kind kind;
    if (!kind_find(c->s.config, op->kind, &kind)) {
        return ERR_UNSUPPORTED;
    }
    enum err e = sign_signer(t, c->s.sign, &d->signature.identity, bucket, &certificate, &node_id);
    if (e == ERR_UNAUTHENTICATED && is_certificate_kind(op->kind) &&
        sign_learn(t, c->s.sign, d->value.bytes, &certificate) == ERR_OK) {
        /* The value is its signer's certificate and need not travel twice. */
        e = sign_signer(t, c->s.sign, &d->signature.identity, bucket, &certificate, &node_id);
    }
    if (e != ERR_OK) {
        return e;
    }
    struct slice user = slice_of(certificate->parsed.user, certificate->parsed.user_len);
    struct access_signer signer = {user, ids_node_slice(&node_id, c->s.params)};
    e = access_check(t, &kind, resource_of(op), &signer, d->value.key);
    e = e != ERR_OK ? e
                    : sign_verify_value(t, c->s.sign, certificate, resource_of(op), op->kind, d);
    *out = (struct overlay_value){.key = d->value.key,
                                  .index = d->value.index,
                                  .value = d->value.bytes,
                                  .storage_time_ms = d->storage_time_ms,
                                  .lifetime_s = d->lifetime_s,
                                  .signer = node_id,
                                  .signer_user = user};
    return e;
}

/* The values of our Kind in the answer; a cursor that is failed when there is none. */
static struct rd values_in(const struct store_client *c, const struct op *op,
                           const struct message *answer)
{
    struct rd none = rd_init(SLICE_EMPTY);
    struct msgs_fetch_ans ans;
    struct stored_block block;
    rd_reject(&none, REJECT_SHORT);
    if (answer == NULL || msgs_fetch_ans_decode(answer->body, c->s.params, &ans) != ERR_OK) {
        return none;
    }
    struct rd r = rd_init(ans.kind_responses);
    while (stored_block_next(&r, &block)) {
        if (block.kind == op->kind) {
            return rd_init(block.values);
        }
    }
    return none;
}

static void drop(struct turn *t, struct store_client_done *done)
{
    done->dropped++;
    metric_add(t->metrics, METRIC_fetch_values_dropped, 1);
}

/* An honest owner keeps nothing that cannot be proved.  One who sends us such things does so at the
 * price of bytes, while looking at them costs us signatures and certificates. */
static bool may_go_on(const struct store_client *c, uint32_t forged)
{
    return forged < FORGED_CAP && !sign_is_message_over(c->s.sign);
}

static void take_values(struct turn *t, struct store_client *c, const struct op *op,
                        const struct message *answer, struct store_client_done *done)
{
    struct rd r = values_in(c, op, answer);
    struct stored_data d;
    if (!rd_ok(&r)) {
        done->error = ERR_MALFORMED;
        return;
    }
    bool is_worth_it = true;
    while (is_worth_it && stored_next(&r, wire_model(op), &d)) {
        if (stored_is_synthetic(&d)) {
            continue;
        }
        if (done->value_count == OVERLAY_VALUES_CAP ||
            prove(t, c, op, &d, answer->certificates, &c->values[done->value_count]) != ERR_OK) {
            drop(t, done);
            is_worth_it = may_go_on(c, done->dropped);
        } else if (d.value.exists) {
            done->value_count++;
        }
    }
    if (!rd_ok(&r) || rd_left(&r) > 0) {
        drop(t, done); /* the rest of the list */
    }
    done->values = c->values;
}

/* in parts */

/* True when all that was sought has been found, or no more can be kept. */
static bool keep_part(struct turn *t, struct store_client *c, struct op *op,
                      const struct message *answer, struct rd values)
{
    struct stored_data d;
    struct overlay_value proved;
    uint32_t forged = 0;
    while (may_go_on(c, forged) && stored_next(&values, wire_model(op), &d)) {
        bool is_of_interest =
            op->signer == NULL || slice_is_equal(d.value.bytes, op->signer->certificate);
        if (stored_is_synthetic(&d) || !d.value.exists || !is_of_interest) {
            continue;
        }
        if (prove(t, c, op, &d, answer->certificates, &proved) != ERR_OK) {
            metric_add(t->metrics, METRIC_fetch_values_dropped, 1);
            forged++;
        } else if (!store_parts_keep(t, &op->parts, &proved) || op->signer != NULL) {
            return true;
        }
    }
    return !may_go_on(c, forged);
}

/* An owner that takes its time over each part does not hold the op, its buffers, and whoever waits
 * for it for 64 times that. */
static bool is_too_late(const struct turn *t, const struct op *op)
{
    return t->now_us - op->started_us > (uint64_t)STORE_PARTS_S * 1000000;
}

/* True when the next part was asked for. */
static bool by_parts(struct turn *t, struct store_client *c, struct op *op,
                     const struct transact_result *result)
{
    struct store_parts *p = &op->parts;
    if (op->state != OP_FETCHING || result->code == CONTENT_ROUTE_QUERY_REQ) {
        return false;
    }
    if (result->reload_error == CONTENT_ERROR_RESPONSE_TOO_LARGE) {
        return !is_too_late(t, op) && store_parts_smaller(p, wire_model(op)) &&
               send_fetch(t, c, op) == ERR_OK;
    }
    if (p->step == STORE_PARTS_NONE || result->error != ERR_OK || result->reload_error != 0) {
        return false;
    }
    struct rd values = values_in(c, op, result->answer);
    bool goes_on = false;
    if (!rd_ok(&values)) {
        p->error = ERR_MALFORMED;
    } else if (p->step == STORE_PARTS_EXTENT) {
        goes_on = store_parts_extent(t, p, values, wire_model(op));
    } else {
        goes_on =
            !keep_part(t, c, op, result->answer, values) && store_parts_next(p, wire_model(op));
    }
    if (goes_on && is_too_late(t, op)) {
        p->is_cut = true;
    } else if (goes_on) {
        p->error = send_fetch(t, c, op);
        return p->error == ERR_OK;
    }
    return false;
}

/* What was proved of all parts goes along with the buffer that it stands in. */
static void take_parts(struct turn *t, struct store_client *c, struct op *op,
                       struct store_client_done *done)
{
    done->error = op->parts.error;
    if (done->error != ERR_OK) {
        return;
    }
    done->value_count = store_parts_list(&op->parts, c->values);
    done->values = c->values;
    if (done->value_count > 0) {
        done->kept = op->parts.kept;
        op->parts.kept = NULL;
    }
    if (op->parts.is_cut) {
        drop(t, done);
    }
}

/* How new is what stands in our way?  Only what was proved counts, else anybody could drive our
 * storage_time into the far future. */
static bool find_newer(struct turn *t, struct store_client *c, struct op *op,
                       const struct message *answer)
{
    struct rd r = values_in(c, op, answer);
    struct stored_value ours = value_of(op);
    struct stored_data d;
    struct overlay_value proved;
    uint32_t forged = 0;
    while (may_go_on(c, forged) && stored_next(&r, ours.model, &d)) {
        bool is_place = ours.model == STORED_SINGLE ||
                        (ours.model == STORED_ARRAY && d.value.index == ours.index) ||
                        (ours.model == STORED_DICTIONARY && slice_is_equal(d.value.key, ours.key));
        if (!is_place || stored_is_synthetic(&d) || d.storage_time_ms == UINT64_MAX) {
            continue;
        }
        if (prove(t, c, op, &d, answer->certificates, &proved) != ERR_OK) {
            forged++;
            continue;
        }
        op->time_ms = next_time(t, c, d.storage_time_ms);
        return true;
    }
    return false;
}

/* results */

/* All ways to a Resource-ID end in the peer before its owner, who may keep everything to himself;
 * to the owner's Node-ID they do not.  So we go from peer to peer with RouteQuery (TM-6), each of
 * whom answers for himself, until one names the owner.  Whoever named him also names, asked for the
 * place right before himself, another that has a link to the owner, and peers behind the owner. */

static enum err search_ask(struct turn *t, struct store_client *c, struct op *op,
                           struct ring_id place)
{
    struct store_search *s = &op->search;
    uint8_t body[64];
    uint8_t resource[IDS_RING_BYTES];
    uint8_t route[3 * FWD_NODE_BYTES_MAX];
    struct wr w = wr_init(body, sizeof(body));
    ids_ring_bytes(place, resource);
    struct msgs_route_query_req query = {
        .destination = {.type = FWD_DESTINATION_RESOURCE,
                        .id = slice_of(resource, sizeof(resource))}};
    msgs_route_query_req_wr(&w, c->s.params, &query);
    const struct node_id *first = hop_of(c, op, s->hop);
    if (!wr_ok(&w) || first == NULL || s->steps++ >= SEARCH_STEPS) {
        return ERR_NOT_FOUND;
    }
    const struct node_id *const nodes[3] = {first, NULL, &s->asked};
    struct transact_request request = {.owner = TRANSACT_FETCH,
                                       .tag = pool_handle(&c->ops, op),
                                       .target = {.type = TRANSACT_NODE, .node = s->asked},
                                       .destinations = wr_route(c, nodes, route, sizeof(route)),
                                       .code = CONTENT_ROUTE_QUERY_REQ,
                                       .body = wr_slice(&w),
                                       .transmissions = 1};
    return transact_request(t, c->s.transact, &request, NULL);
}

static struct ring_id place_of(const struct op *op)
{
    struct ring_id at;
    enum err e = ids_ring_of_resource(resource_of(op), &at);
    CHECK(e == ERR_OK);
    return at;
}

/* From the next of our own peers on. */
static bool search_begin(struct turn *t, struct store_client *c, struct op *op)
{
    const struct node_id *first = hop_of(c, op, op->search.hop);
    if (first == NULL) {
        return false;
    }
    op->search.what = SEARCH_OWNER;
    op->search.asked = op->search.namer = *first;
    return search_ask(t, c, op, place_of(op)) == ERR_OK;
}

static bool send_anew(struct turn *t, struct store_client *c, struct op *op)
{
    bool is_store = op->state == OP_STORING || op->state == OP_STORING_AGAIN;
    return (is_store ? send_store(t, c, op) : send_fetch(t, c, op)) == ERR_OK;
}

static struct ring_id back(struct ring_id from, uint64_t gap)
{
    return ids_ring_minus(from, (struct ring_id){gap, 0});
}

/* The mean distance of two peers. */
static uint64_t gap_of(const struct store_client *c)
{
    return UINT64_MAX / max_u64(chord_table_guess_peers(c->s.table), 4);
}

/* Does the next peer back answer?  Asked for a place before itself it names one that stands before
 * it, or, where the place is its own, itself.  False: nobody can be asked. */
static bool search_relay(struct turn *t, struct store_client *c, struct op *op)
{
    struct store_search *s = &op->search;
    bool is_first = ids_node_is_invalid(&s->next);
    s->what = is_first ? SEARCH_BEFORE : SEARCH_RELAY;
    s->asked = is_first ? s->namer : s->next;
    memset(&s->relay, 0, sizeof(s->relay));
    struct ring_id place = back(ids_ring_of_node(&s->asked), gap_of(c) << s->relay_steps);
    return s->relay_steps++ < RELAY_STEPS && search_ask(t, c, op, place) == ERR_OK;
}

/* Behind the owner, where two peers should stand on average. */
static bool search_replica(struct turn *t, struct store_client *c, struct op *op)
{
    struct store_search *s = &op->search;
    s->what = SEARCH_REPLICA;
    s->asked = ids_node_is_invalid(&s->relay) ? s->namer : s->relay;
    s->place = ids_ring_plus(ids_ring_of_node(&s->owner), (struct ring_id){2 * gap_of(c), 0});
    return search_ask(t, c, op, s->place) == ERR_OK;
}

/* The last peer known before a place behind the owner: from there back, until it is the owner, and
 * the one before it the replica. */
static bool search_replica_on(struct turn *t, struct store_client *c, struct op *op,
                              const struct node_id *next)
{
    struct store_search *s = &op->search;
    struct ring_id at = ids_ring_of_node(next);
    if (ids_node_is_equal(next, &s->owner) ||
        !ids_ring_is_between(at, ids_ring_of_node(&s->owner), s->place)) {
        return false;
    }
    s->replica = *next;
    s->place = ids_ring_minus(at, (struct ring_id){0, 1});
    return s->replica_steps++ < REPLICA_STEPS && search_ask(t, c, op, s->place) == ERR_OK;
}

/* A relay was found, or none. */
static bool with_relay(struct turn *t, struct store_client *c, struct op *op)
{
    bool wants_replica = op->state == OP_FETCHING && op->retries >= REPLICA_AFTER &&
                         ids_node_is_invalid(&op->search.replica);
    return (wants_replica && search_replica(t, c, op)) || send_anew(t, c, op);
}

static bool search_again(struct turn *t, struct store_client *c, struct op *op)
{
    op->search.hop++;
    return search_begin(t, c, op);
}

/* What `asked` says: itself, if it is the owner; one that is nearer, or the owner. */
static bool search_owner(struct turn *t, struct store_client *c, struct op *op,
                         const struct node_id *next)
{
    struct store_search *s = &op->search;
    struct ring_id at = place_of(op);
    struct ring_id there = ids_ring_of_node(next);
    if (!ids_node_is_equal(next, &s->asked) &&
        ids_ring_is_between(there, ids_ring_of_node(&s->asked), at) &&
        !ids_ring_is_equal(there, at)) {
        s->namer = s->asked;
        s->asked = *next;
        if (search_ask(t, c, op, at) == ERR_OK) {
            return true;
        }
        return search_again(t, c, op);
    }
    s->knows_owner = true;
    s->namer = ids_node_is_equal(next, &s->asked) ? s->namer : s->asked;
    s->relay = s->namer;
    s->owner = *next;
    return send_anew(t, c, op);
}

static bool search_go_on(struct turn *t, struct store_client *c, struct op *op,
                         const struct transact_result *result)
{
    struct msgs_route_query_ans answer;
    struct store_search *s = &op->search;
    bool is_answered =
        result->error == ERR_OK && result->answer != NULL &&
        msgs_route_query_ans_decode(result->answer->body, c->s.params, &answer) == ERR_OK;
    switch (s->what) {
    case SEARCH_OWNER:
        return is_answered ? search_owner(t, c, op, &answer.next_peer) : search_again(t, c, op);
    case SEARCH_BEFORE:
        if (is_answered && !ids_node_is_equal(&answer.next_peer, &s->asked)) {
            s->next = answer.next_peer;
            s->relay_steps = 0;
        }
        return search_relay(t, c, op) || with_relay(t, c, op);
    case SEARCH_RELAY:
        if (is_answered && !ids_node_is_equal(&answer.next_peer, &s->asked)) {
            s->relay = s->asked;
            s->next = answer.next_peer;
            return with_relay(t, c, op);
        }
        if (is_answered) {
            return search_relay(t, c, op) || with_relay(t, c, op);
        }
        s->hop++; /* there are other ways to it */
        return search_relay(t, c, op) || with_relay(t, c, op);
    case SEARCH_REPLICA:
        return (is_answered && search_replica_on(t, c, op, &answer.next_peer)) ||
               send_anew(t, c, op);
    }
    UNREACHABLE("what is searched for");
}

/* Nobody has answered, or one who may have no copy has none. */
static bool is_without_answer(const struct store_client *c, const struct op *op,
                              const struct transact_result *result)
{
    struct stored_data d;
    if (result->answer == NULL) {
        return result->error == ERR_TIMEOUT;
    }
    if (!op->search.is_replica_asked || op->state != OP_FETCHING ||
        store_parts_is_stat(&op->parts, wire_model(op))) {
        return false;
    }
    struct rd r = values_in(c, op, result->answer);
    while (stored_next(&r, wire_model(op), &d)) {
        if (!stored_is_synthetic(&d)) {
            return false;
        }
    }
    return true;
}

/* The same once more, by way of a peer that was not asked yet. */
static bool by_another_way(struct turn *t, struct store_client *c, struct op *op,
                           const struct transact_result *result)
{
    if (result->code == CONTENT_ROUTE_QUERY_REQ) {
        return search_go_on(t, c, op, result);
    }
    if (c->s.table == NULL || !is_without_answer(c, op, result) ||
        op->retries >= STORE_CLIENT_RETRIES) {
        return false;
    }
    op->retries++;
    if (op->retries >= SEARCH_AFTER && !op->search.knows_owner) {
        return search_begin(t, c, op);
    }
    op->search.relay_steps = 0;
    return op->search.knows_owner ? search_relay(t, c, op) || with_relay(t, c, op)
                                  : send_anew(t, c, op);
}

/* True when the op goes on. */
static bool go_on(struct turn *t, struct store_client *c, struct op *op,
                  const struct transact_result *result)
{
    switch (op->state) {
    case OP_STORING:
        if (result->reload_error != CONTENT_ERROR_DATA_TOO_OLD) {
            return false;
        }
        op->state = OP_LOOKING;
        if (send_fetch(t, c, op) != ERR_OK) {
            op->state = OP_STORING;
            return false;
        }
        return true;
    case OP_LOOKING:
        if (result->error != ERR_OK || !find_newer(t, c, op, result->answer) ||
            send_store(t, c, op) != ERR_OK) {
            return false;
        }
        op->state = OP_STORING_AGAIN;
        return true;
    case OP_STORING_AGAIN:
    case OP_FETCHING:
        return false;
    }
    UNREACHABLE("op state");
}

bool store_client_on_result(struct turn *t, struct store_client *c,
                            const struct transact_result *result, struct store_client_done *done)
{
    struct op *op = pool_get(&c->ops, result->tag);
    if (op == NULL || by_another_way(t, c, op, result) || by_parts(t, c, op, result) ||
        go_on(t, c, op, result)) {
        return false;
    }
    /* A search that has led nowhere, or a peer that has no copy. */
    bool is_search = result->code == CONTENT_ROUTE_QUERY_REQ || is_without_answer(c, op, result);
    *done = (struct store_client_done){.user = op->user,
                                       .tag = op->tag,
                                       .is_fetch = op->state == OP_FETCHING,
                                       .error = is_search ? ERR_TIMEOUT : result->error,
                                       .reload_error = is_search ? 0 : result->reload_error,
                                       .hops = result->hops,
                                       .elapsed_us = t->now_us - op->started_us};
    if (result->answer != NULL && !is_search) {
        done->node_id = result->answer->signer;
    }
    if (op->state == OP_LOOKING) { /* the second try was not possible: the first answer stands */
        done->error = ERR_REMOTE;
        done->reload_error = CONTENT_ERROR_DATA_TOO_OLD;
    } else if (result->reload_error != 0 && !is_search) {
        done->error = ERR_REMOTE;
    } else if (op->state == OP_FETCHING && result->error == ERR_OK && !is_search) {
        if (op->parts.step == STORE_PARTS_NONE) {
            take_values(t, c, op, result->answer, done);
        } else {
            take_parts(t, c, op, done);
        }
    }
    op_end(t, c, op);
    return true;
}

void store_client_clear(struct turn *t, struct store_client *c)
{
    uint32_t index = 0;
    struct op *op;
    while ((op = pool_next(&c->ops, &index)) != NULL) {
        op_end(t, c, op);
    }
}
