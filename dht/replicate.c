/* SPDX-License-Identifier: Apache-2.0 */
/* The object: requests of others, and what happens to us. */
#include "dht/replicate.h"
#include "core/buggify.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/budget.h"
#include "dht/replicate_inside.h"
#include "dht/store_log.h"
#include "dht/store_restore.h"

STATIC_CHECK(sizeof(struct replicate_op) <= LIMITS_COST_replica_requests);
STATIC_CHECK(sizeof(struct replicate_ack) <= LIMITS_COST_replica_acks);

size_t replicate_bytes(const struct replicate_settings *s)
{
    return sizeof(struct replicate) + budget_pool(s->ops, sizeof(struct replicate_op)) +
           budget_pool(s->acks, sizeof(struct replicate_ack)) + s->max_message_bytes +
           REPLICATE_ANSWER_BYTES + BUDGET_SLACK;
}

struct replicate *replicate_init(struct turn *t, struct arena *arena,
                                 const struct replicate_settings *s)
{
    struct replicate *r = ARENA_ARRAY(arena, struct replicate, 1);
    r->s = *s;
    pool_init(&r->ops, arena, "replica_requests", HANDLE_STORE, s->ops,
              sizeof(struct replicate_op));
    pool_init(&r->acks, arena, "replica_acks", HANDLE_STORE, s->acks, sizeof(struct replicate_ack));
    r->answer = ARENA_SCRATCH(arena, uint8_t, REPLICATE_ANSWER_BYTES);
    r->scratch_bytes = s->max_message_bytes;
    r->scratch = ARENA_SCRATCH(arena, uint8_t, s->max_message_bytes);
    r->timer.tag = handle_make(HANDLE_STORE, 0, 0);
    r->timer.what = STORE_TIMER_REPLICATE;
    wheel_arm(t->wheel, &r->timer, t->now_us + 1000000);
    return r;
}

void replicate_set_message_bytes(struct replicate *r, uint32_t max_message_bytes)
{
    r->scratch_bytes = (uint32_t)min_size(max_message_bytes, r->s.max_message_bytes);
}

bool replicate_next(struct replicate *r, struct replicate_event *event)
{
    for (uint32_t i = 0; r->may_tell && i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        if (m->is_handed_over) {
            m->is_handed_over = false;
            *event = (struct replicate_event){REPLICATE_HANDED_OVER, m->error, m->id};
            return true;
        }
    }
    r->may_tell = false;
    if (r->is_left) {
        r->is_left = false;
        *event = (struct replicate_event){.kind = REPLICATE_LEFT, .error = r->left_error};
        return true;
    }
    return false;
}

void replicate_on_durable(struct turn *t, struct replicate *r, uint64_t sequence, bool is_promised)
{
    r->durable = max_u64(r->durable, sequence);
    r->is_promised = is_promised && r->s.ack == OVERLAY_ACK_DISK;
    replicate_ack_durable(t, r);
}

/* Do all values in this FetchReq consist of their signers' certificates? */
static bool is_about_certificates(const struct replicate *r, const struct message *m)
{
    struct msgs_fetch_req req;
    struct stored_specifier what;
    if (msgs_fetch_req_decode(m->body, r->s.params, &req) != ERR_OK) {
        return false;
    }
    struct rd specifiers = rd_init(req.specifiers);
    bool is_all = true;
    while (stored_specifier_next(&specifiers, &what)) {
        is_all &= what.kind == OVERLAY_KIND_CERTIFICATE_BY_NODE ||
                  what.kind == OVERLAY_KIND_CERTIFICATE_BY_USER;
    }
    return is_all;
}

/* Signers' certificates go along (SG-2).  Where the values are these certificates, and both
 * together are too much, the values alone will do: store_client learns them from there. */
static void answer_fetch(struct turn *t, struct replicate *r, const struct message *m,
                         struct slice body, const struct store_certificates *certificates)
{
    enum err e = transact_answer(t, r->s.transact, m, body, certificates->der, certificates->count);
    if (e == ERR_TOO_LARGE && certificates->count > 0 && is_about_certificates(r, m)) {
        e = transact_answer(t, r->s.transact, m, body, NULL, 0);
    }
    if (e == ERR_TOO_LARGE) {
        transact_error(t, r->s.transact, m, CONTENT_ERROR_RESPONSE_TOO_LARGE, SLICE_EMPTY);
    }
}

/* requests */

/* ST-2, ST-3 */
static bool may_send_here(const struct replicate *r, const struct message *m,
                          const struct msgs_store_req *req, struct ring_id at)
{
    if (req->replica_number == 0) {
        bool is_addressed = !m->to_resource || ids_ring_is_equal(m->resource, at);
        return is_addressed && topo_is_responsible(r->s.topo, at);
    }
    if (!r->s.topo->table->is_member) { /* on our way in: the admitting peer fills us (CH-12) */
        return chord_table_find(r->s.topo->table, &m->signer) != NULL;
    }
    return (topo_is_replica(r->s.topo, at) || topo_is_responsible(r->s.topo, at)) &&
           topo_is_plausible_replica_sender(r->s.topo, at, &m->signer);
}

/* Somebody's copies have come, changed or not. */
static void note_copies(const struct turn *t, struct replicate *r, const struct message *m,
                        const struct store_put_outcome *out, struct ring_id at)
{
    struct topo_peer owner;
    bool is_owner = topo_owner(r->s.topo, at, &owner) && ids_node_is_equal(&owner.id, &m->signer);
    for (uint32_t i = 0; i < out->kind_count; i++) {
        struct store_set *set = store_set_get(r->s.store, out->kinds[i].set);
        if (set != NULL && out->changed > 0) {
            set->placed = 0; /* should we own it: the others have not seen this yet */
        }
        if (set != NULL && is_owner) {
            replicate_inside_vouch(t, set, owner.at);
        }
    }
}

bool replicate_on_store(struct turn *t, struct replicate *r, const struct message *m)
{
    struct msgs_store_req req;
    struct ring_id at;
    if (msgs_store_req_decode(m->body, r->s.params, &req) != ERR_OK ||
        ids_ring_of_resource(req.resource, &at) != ERR_OK) {
        metric_add(t->metrics, METRIC_stores_malformed, 1);
        transact_error(t, r->s.transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return true;
    }
    bool is_copy = req.replica_number != 0;
    if (!may_send_here(r, m, &req, at) || (is_copy && buggify(t, BUGGIFY_replica_refused))) {
        metric_add(t->metrics, METRIC_stores_forbidden, 1);
        transact_error(t, r->s.transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY);
        return true;
    }
    struct store_put put = {
        .resource = req.resource,
        .replica_number = req.replica_number,
        .is_owner = topo_is_responsible(r->s.topo, at),
        .kind_data = req.kind_data,
        .bucket = m->certificates,
        .signer_user = slice_of(m->certificate->parsed.user, m->certificate->parsed.user_len),
        .signer = m->signer};
    struct store_put_outcome out;
    store_put(t, r->s.store, &put, &out);
    if (out.is_unfinished) {
        return false;
    }
    if (out.error != 0) {
        transact_error(t, r->s.transact, m, out.error, out.info);
        return true;
    }
    if (req.replica_number == 0) {
        replicate_ack_original(t, r, m, &out);
        return true;
    }
    uint8_t body[STORE_KINDS_CAP * 16 + 2];
    struct wr w = wr_init(body, sizeof(body));
    store_put_wr_answer(r->s.store, &out, SLICE_EMPTY, &w);
    CHECK(wr_ok(&w));
    note_copies(t, r, m, &out, at);
    if (out.changed > 0 && topo_is_responsible(r->s.topo, at)) {
        replicate_walk_dirty(t, r);
    }
    replicate_ack_copy(t, r, m, wr_slice(&w));
    return true;
}

/* The usual case: values and certificates are copied once, into what the link gathers.  False:
 * something is in the way, and nothing has happened. */
static bool answer_in_place(struct turn *t, struct replicate *r, const struct message *m)
{
    struct store_certificates certificates;
    struct transact_draft draft;
    struct slice info;
    bool is_answered = transact_begin_draft(t, r->s.transact, m, &draft) &&
                       store_fetch(t, r->s.store, m->body, &draft.w, &certificates, &info) == 0 &&
                       transact_send_draft(t, r->s.transact, m, &draft, certificates.der,
                                           certificates.count) == ERR_OK;
    metric_add(t->metrics, METRIC_fetches_answered, is_answered ? 1 : 0);
    return is_answered;
}

static void answer_by_copy(struct turn *t, struct replicate *r, const struct message *m)
{
    struct store_certificates certificates = {0};
    struct slice info = SLICE_EMPTY;
    struct wr w = wr_init(r->scratch, r->scratch_bytes);
    uint16_t error = m->code == CONTENT_STAT_REQ
                         ? store_fetch_stat(t, r->s.store, m->body, &w, &info)
                         : store_fetch(t, r->s.store, m->body, &w, &certificates, &info);
    if (error != 0) {
        metric_add(t->metrics, METRIC_fetches_refused, 1);
        transact_error(t, r->s.transact, m, error, info);
        return;
    }
    metric_add(t->metrics, METRIC_fetches_answered, 1);
    answer_fetch(t, r, m, wr_slice(&w), &certificates);
}

bool replicate_on_fetch(struct turn *t, struct replicate *r, const struct message *m)
{
    if (UNLIKELY(store_restore_left(r->s.store) > 0) &&
        !store_restore_prove_asked(t, r->s.store, m->body)) {
        return false;
    }
    if (m->code != CONTENT_FETCH_REQ || !answer_in_place(t, r, m)) {
        answer_by_copy(t, r, m);
    }
    return true;
}

void replicate_on_find(struct turn *t, struct replicate *r, const struct message *m)
{
    struct msgs_find_req req;
    struct ring_id at;
    struct slice info = SLICE_EMPTY;
    struct wr w = wr_init(r->scratch, r->scratch_bytes);
    uint16_t error = store_fetch_find(t, r->s.store, m->body, &w, &info);
    if (error == 0 && msgs_find_req_decode(m->body, r->s.params, &req) == ERR_OK &&
        ids_ring_of_resource(req.resource, &at) == ERR_OK && !topo_is_responsible(r->s.topo, at)) {
        error = CONTENT_ERROR_NOT_FOUND; /* FT-8 */
    }
    if (error != 0) {
        metric_add(t->metrics, METRIC_fetches_refused, 1);
        transact_error(t, r->s.transact, m, error, info);
        return;
    }
    metric_add(t->metrics, METRIC_fetches_answered, 1);
    transact_reply(t, r->s.transact, m, wr_slice(&w));
}

/* results */

struct replicate_witness *replicate_inside_witness(struct replicate *r, struct ring_id at)
{
    for (uint32_t i = 0; i < r->witness_count; i++) {
        if (ids_ring_is_equal(r->witnesses[i].at, at)) {
            return &r->witnesses[i];
        }
    }
    return NULL;
}

void replicate_on_result(struct turn *t, struct replicate *r, const struct transact_result *result)
{
    struct replicate_op *op = pool_get(&r->ops, result->tag);
    if (op == NULL) {
        return;
    }
    bool is_ok = result->error == ERR_OK;
    bool is_store = op->what != REPLICATE_NEWER;
    uint64_t stamp = op->stamp;
    if (is_ok && is_store && op->from != 0 && store_set_get(r->s.store, op->set) != NULL &&
        replicate_op_send(t, r, op, op->from)) {
        op->stamp = stamp; /* of the first message */
        return;
    }
    is_ok = is_ok && (!is_store || op->from == 0);
    uint64_t host = op->member < STORE_MEMBERS_CAP ? r->members[op->member].host : 0;
    struct replicate_op ended = *op;
    replicate_op_end(r, op);
    replicate_result_take(t, r, &ended, result, is_ok);
    replicate_ack_result(t, r, &ended, is_ok, host);
    replicate_walk(t, r);
}

/* the rest */

void replicate_on_timer(struct turn *t, struct replicate *r, struct wheel_timer *timer)
{
    if (timer->what == STORE_TIMER_REPLICATE_ACK) {
        replicate_ack_on_timer(t, r, timer);
        return;
    }
    r->is_sweeping = !store_sweep(t, r->s.store);
    replicate_walk(t, r);
}

/* What is on its way to who owns the set no more, perhaps since he is dead: whoever leaves does not
 * wait for the end of that. */
static void cancel_returns(struct turn *t, struct replicate *r)
{
    static const struct node_id nobody;
    uint32_t index = 0;
    struct replicate_op *op;
    while ((op = pool_next(&r->ops, &index)) != NULL) {
        const struct store_set *set = store_set_get(r->s.store, op->set);
        struct ring_id at = {0, 0};
        struct topo_peer owner;
        if (op->what != REPLICATE_RETURN || set == NULL || ids_node_is_equal(&op->to, &nobody) ||
            ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &at) != ERR_OK ||
            (topo_owner(r->s.topo, at, &owner) && ids_node_is_equal(&owner.id, &op->to))) {
            continue;
        }
        transact_cancel(t, r->s.transact, op->request);
        replicate_op_end(r, op);
    }
}

/* What waits to be offered is offered now. */
static void hurry(const struct turn *t, struct replicate *r)
{
    uint32_t now_s = replicate_inside_seconds(t);
    uint32_t index = 0;
    struct store_set *set;
    while ((set = store_set_next(r->s.store, &index)) != NULL) {
        set->when_s = set->vouched_by == 0 && set->when_s > now_s ? now_s : set->when_s;
    }
}

void replicate_on_change(struct turn *t, struct replicate *r, const struct topo_change *change)
{
    (void)change;
    r->witness_count = 0;
    if (r->is_leaving) {
        cancel_returns(t, r);
        r->return_after_us = 0;
    }
    replicate_walk_members(t, r);
    replicate_walk_dirty(t, r);
}

enum err replicate_hand_over(struct turn *t, struct replicate *r, const struct node_id *joiner)
{
    uint32_t index = replicate_walk_joiner(t, r, joiner);
    if (index == REPLICATE_INSIDE_NO_MEMBER) {
        return ERR_LIMIT;
    }
    replicate_walk(t, r);
    return ERR_OK;
}

void replicate_leave(struct turn *t, struct replicate *r)
{
    r->is_leaving = true;
    r->is_leave_pass = true;
    r->is_leave_missing = false;
    r->witness_count = 0;
    r->leave_deadline_us = t->now_us + (uint64_t)REPLICATE_LEAVE_S * 1000000;
    hurry(t, r);
    r->walk_at = 0;
    replicate_walk_dirty(t, r);
    if (!r->s.topo->table->is_member) {
        r->is_leaving = false;
        r->is_left = true;
        r->left_error = ERR_OK;
        return;
    }
    replicate_walk(t, r);
}

bool replicate_is_settled(const struct replicate *r)
{
    return !r->is_dirty && r->ops.in_use == 0 && r->acks.in_use == 0;
}

void replicate_clear(struct turn *t, struct replicate *r)
{
    uint32_t index = 0;
    struct replicate_op *op;
    while ((op = pool_next(&r->ops, &index)) != NULL) {
        transact_cancel(t, r->s.transact, op->request);
        replicate_op_end(r, op);
    }
    replicate_ack_clear(t, r);
    wheel_cancel(t->wheel, &r->timer);
}
