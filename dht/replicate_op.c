/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to other holders.  Each is an op, found again by the tag of its transaction; an op that
 * covers a set in several messages sends them one after another, so that the bit of the member is
 * set once, at the end.  See replicate_inside.h. */
#include "codec/content.h"
#include "codec/msgs.h"
#include "core/buggify.h"
#include "dht/replicate_inside.h"

struct replicate_op *replicate_op_new(struct replicate *r, enum replicate_what what,
                                      uint32_t member, const struct store_set *set)
{
    struct replicate_op *op = pool_acquire(&r->ops);
    if (op == NULL) {
        return NULL;
    }
    op->what = what;
    op->member = member;
    op->set = store_set_handle(r->s.store, set);
    if (member < STORE_MEMBERS_CAP) {
        op->to = r->members[member].id;
        r->members[member].under_way++;
    }
    return op;
}

void replicate_op_end(struct replicate *r, struct replicate_op *op)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    if (set != NULL && (op->what == REPLICATE_COPY || op->was_placed)) {
        set->under_way &= (uint16_t)~replicate_inside_bit(op->member);
    }
    if (set != NULL && op->what == REPLICATE_RETURN) {
        set->is_pushing = false;
    }
    if (op->member < STORE_MEMBERS_CAP) {
        CHECK(r->members[op->member].under_way > 0);
        r->members[op->member].under_way--;
    }
    pool_release(&r->ops, op);
}

/* RETURN goes to the owner if we know him, else to wherever the Resource-ID is routed. */
static struct transact_target target_of(const struct replicate *r, struct replicate_op *op,
                                        const struct store_set *set)
{
    struct transact_target target = {.type = TRANSACT_NODE, .node = op->to};
    struct topo_peer owner;
    if (op->what != REPLICATE_RETURN) {
        return target;
    }
    enum err e =
        ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &target.resource);
    CHECK(e == ERR_OK);
    if (topo_owner(r->s.topo, target.resource, &owner) &&
        !ids_node_is_equal(&owner.id, &r->s.self->node_id)) {
        target.node = op->to = owner.id;
    } else {
        target.type = TRANSACT_RESOURCE;
    }
    return target;
}

/* 1 or 2 as RFC 6940 10.4 has it; more only where copies go beyond two. */
static uint8_t replica_number(const struct replicate *r, uint32_t member)
{
    uint8_t number = 1;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP && member < STORE_MEMBERS_CAP; i++) {
        const struct replicate_member *m = &r->members[i];
        struct ring_id self = r->s.topo->table->self;
        if (m->is_target && ids_ring_is_less(ids_ring_minus(m->at, self),
                                             ids_ring_minus(r->members[member].at, self))) {
            number++;
        }
    }
    return number;
}

bool replicate_op_send(struct turn *t, struct replicate *r, struct replicate_op *op, uint32_t from)
{
    const struct store_set *set = store_set_get(r->s.store, op->set);
    size_t overhead = REPLICATE_INSIDE_OVERHEAD + r->s.self->certificate.len;
    size_t budget = r->scratch_bytes > overhead ? r->scratch_bytes - overhead : 0;
    struct store_certificates certificates = {0};
    struct wr w = wr_init(r->scratch, r->scratch_bytes);
    wr_opaque8(&w, slice_of(set->resource, sizeof(set->resource)));
    wr_u8(&w, replica_number(r, op->member));
    size_t mark = wr_begin(&w, 4);
    struct store_fetch_part part = {op->since, from, budget};
    op->stamp = store_stamp(r->s.store);
    store_fetch_copy(t, r->s.store, set, &part, &w, &certificates);
    op->from = part.from;
    wr_end(&w, 4, mark);
    struct transact_request request = {.owner = TRANSACT_REPLICATE,
                                       .tag = pool_handle(&r->ops, op),
                                       .target = target_of(r, op, set),
                                       .code = CONTENT_STORE_REQ,
                                       .body = wr_slice(&w),
                                       .certificates = certificates.der,
                                       .certificate_count = certificates.count};
    if (!wr_ok(&w) || transact_request(t, r->s.transact, &request, &op->request) != ERR_OK) {
        metric_add(t->metrics, METRIC_replicas_failed, 1);
        return false;
    }
    metric_add(t->metrics, METRIC_replicas_sent, 1);
    return true;
}

void replicate_op_cancel(struct turn *t, struct replicate *r, uint32_t member)
{
    uint32_t index = 0;
    struct replicate_op *op;
    while ((op = pool_next(&r->ops, &index)) != NULL) {
        if (op->member != member) {
            continue;
        }
        transact_cancel(t, r->s.transact, op->request);
        struct replicate_op ended = *op;
        replicate_op_end(r, op);
        replicate_ack_result(t, r, &ended, false, 0);
    }
}
