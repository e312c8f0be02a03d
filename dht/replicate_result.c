/* SPDX-License-Identifier: Apache-2.0 */
/* What became of what was sent to other holders: the copy is there, they have newer values, or they
 * refuse.  See replicate_inside.h. */
#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/replicate_inside.h"

enum {
    RETRY_US = 1000000, /* after a failure, doubled with each further one */
    RETRY_DOUBLINGS = 5,
    NEWER_US = 30000000,
    REFUSED_S = 8, /* before an owner who refused is offered a set again */
};

/* ST-16: somebody has newer values than we: fetch that set from him. */
static void fetch_newer(struct turn *t, struct replicate *r, const struct node_id *from,
                        uint32_t member, const struct store_set *set)
{
    static const struct stored_range all = {0, STORED_INDEX_APPEND};
    struct replicate_op *op = replicate_op_new(r, REPLICATE_NEWER, member, set);
    if (op == NULL) {
        return;
    }
    op->to = *from;
    uint8_t body[64];
    struct wr w = wr_init(body, sizeof(body));
    wr_opaque8(&w, slice_of(set->resource, sizeof(set->resource)));
    size_t mark = wr_begin(&w, 2);
    switch (set->model) {
    case OVERLAY_SINGLE:
        stored_wr_specifier_single(&w, set->kind, 0);
        break;
    case OVERLAY_ARRAY:
        stored_wr_specifier_array(&w, set->kind, 0, &all, 1);
        break;
    case OVERLAY_DICTIONARY:
        stored_wr_specifier_dictionary(&w, set->kind, 0, NULL, 0);
        break;
    }
    wr_end(&w, 2, mark);
    CHECK(wr_ok(&w));
    struct transact_request request = {.owner = TRANSACT_REPLICATE,
                                       .tag = pool_handle(&r->ops, op),
                                       .target = {.type = TRANSACT_NODE, .node = *from},
                                       .code = CONTENT_FETCH_REQ,
                                       .body = wr_slice(&w)};
    if (transact_request(t, r->s.transact, &request, &op->request) != ERR_OK) {
        replicate_op_end(r, op);
        return;
    }
    metric_add(t->metrics, METRIC_replicas_newer, 1);
}

static void on_newer(struct turn *t, struct replicate *r, const struct replicate_op *op,
                     const struct transact_result *result)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    struct msgs_fetch_ans ans;
    if (set == NULL || result->answer == NULL || result->error != ERR_OK ||
        msgs_fetch_ans_decode(result->answer->body, r->s.params, &ans) != ERR_OK) {
        return;
    }
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    memcpy(resource, set->resource, sizeof(resource));
    struct store_put put = {.resource = slice_of(resource, sizeof(resource)),
                            .replica_number = 1,
                            .kind_data = ans.kind_responses,
                            .bucket = result->answer->certificates,
                            .signer = result->answer->signer,
                            .only_newer = true};
    struct store_put_outcome out;
    store_put(t, r->s.store, &put, &out);
    set = store_set_get(r->s.store, op->set);
    if (set != NULL && out.changed > 0) {
        set->placed = 0;
        replicate_walk_dirty(t, r);
    } else if (op->member < STORE_MEMBERS_CAP) {
        /* It says it has newer values, and shows none: leave it alone for a while. */
        r->members[op->member].not_before_us = t->now_us + NEWER_US;
    }
}

static bool is_elsewhere_newer(uint16_t error)
{
    return error == CONTENT_ERROR_DATA_TOO_OLD || error == CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW;
}

static void on_failed(struct turn *t, struct replicate *r, const struct replicate_op *op,
                      const struct transact_result *result)
{
    bool is_refused = result->reload_error == CONTENT_ERROR_FORBIDDEN;
    const struct store_set *set = store_set_get(r->s.store, op->set);
    metric_add(t->metrics, is_refused ? METRIC_replicas_refused : METRIC_replicas_failed, 1);
    if (op->member >= STORE_MEMBERS_CAP) {
        return;
    }
    if (is_elsewhere_newer(result->reload_error) && set != NULL) {
        fetch_newer(t, r, &op->to, op->member, set);
        return;
    }
    struct replicate_member *m = &r->members[op->member];
    m->refused_us = is_refused ? t->now_us : 0;
    if (m->not_before_us <= t->now_us) { /* of several under way the first to fail counts */
        uint32_t doublings = m->failures < RETRY_DOUBLINGS ? m->failures : RETRY_DOUBLINGS;
        m->not_before_us = t->now_us + ((uint64_t)RETRY_US << doublings);
        m->failures++;
    }
}

static void on_returned(struct turn *t, struct replicate *r, const struct replicate_op *op,
                        const struct transact_result *result)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    struct ring_id at = {0, 0};
    if (set == NULL) {
        return;
    }
    enum err e = ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &at);
    CHECK(e == ERR_OK);
    /* He has it, or something newer.  Silence is no decision, nor is a refusal: the one that we
     * take for the owner may know better, or not yet. */
    if (result->error != ERR_OK && !is_elsewhere_newer(result->reload_error)) {
        set->vouched_by = 0;
        set->when_s = replicate_inside_seconds(t) + (r->is_leaving ? 1 : REFUSED_S);
        r->return_after_us = result->answer == NULL ? t->now_us + RETRY_US : r->return_after_us;
        return;
    }
    if (topo_is_responsible(r->s.topo, at)) {
        return;
    }
    struct ring_id owner = ids_ring_of_node(&result->answer->signer);
    struct replicate_witness *w = replicate_inside_witness(r, owner);
    if (w != NULL) {
        w->has_answered = true;
    }
    set->is_owned = false;
    replicate_inside_vouch(t, set, owner);
    if (!topo_is_replica(r->s.topo, at) && set->unwanted_since_s != 0 &&
        replicate_inside_seconds(t) - set->unwanted_since_s >= REPLICATE_UNWANTED_S) {
        metric_add(t->metrics, METRIC_replicas_dropped, 1);
        store_set_drop(r->s.store, set);
    }
}

static void on_placed(struct replicate *r, const struct replicate_op *op)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    bool is_whole = op->what == REPLICATE_COPY || op->was_placed;
    r->members[op->member].failures = 0;
    /* What was stored after the message had been written is not in it. */
    if (set != NULL && is_whole && store_set_stamps(r->s.store, set).newest <= op->stamp) {
        set->placed |= replicate_inside_bit(op->member);
    }
}

void replicate_result_take(struct turn *t, struct replicate *r, const struct replicate_op *op,
                           const struct transact_result *result, bool is_ok)
{
    switch (op->what) {
    case REPLICATE_NEWER:
        on_newer(t, r, op, result);
        return;
    case REPLICATE_RETURN:
        on_returned(t, r, op, result);
        return;
    case REPLICATE_FRESH:
    case REPLICATE_COPY:
        break;
    }
    if (is_ok) {
        on_placed(r, op);
    } else {
        on_failed(t, r, op, result);
    }
}
