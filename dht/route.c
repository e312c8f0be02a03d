/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - the rules of 6.1 in the order in which they are tried; each dead end names its metric.
 */
#include "dht/route.h"

static void drop(struct route_decision *out, enum metric why)
{
    out->verdict = ROUTE_DROP;
    out->why = why;
}

static void local(struct route_decision *out, const struct ident *to)
{
    out->verdict = ROUTE_LOCAL;
    out->to = to;
}

static void forward(struct route_decision *out, const struct chord_table_node *n)
{
    out->verdict = ROUTE_FORWARD;
    out->link = n->link;
    out->next_hop = n->id;
}

static const struct ident *account_of(const struct route *r, const struct node_id *id)
{
    for (size_t i = 0; i < r->account_count; i++) {
        if (ids_node_is_equal(&r->accounts[i]->node_id, id)) {
            return r->accounts[i];
        }
    }
    return NULL;
}

/* Has the message been there?  Requests keep a list of where they were. */
static bool was_at(const struct route *r, const struct slice *via_list, const struct node_id *id)
{
    struct rd via = rd_init(via_list == NULL ? SLICE_EMPTY : *via_list);
    struct fwd_destination d;
    while (fwd_next(&via, r->params, &d)) {
        if (d.type == FWD_DESTINATION_NODE && slice_is_equal(d.id, ids_node_slice(id, r->params))) {
            return true;
        }
    }
    return false;
}

/* A message that has come past its goal: the peer that FW-7 names does not know of those between
 * the goal and us, else we would not have it, and three whose tables differ would send it round and
 * round until its ttl is used up.  Who is behind us we know better than that one.  From there on it
 * only comes nearer, so there is an end. */
static const struct chord_table_node *past_the_goal(const struct route *r, struct ring_id k,
                                                    const struct route_from *from,
                                                    const struct chord_table_node *n)
{
    const struct chord_table_node *owner = chord_table_owner_behind(r->table, k);
    if (owner == NULL || owner->link == from->link || n == owner) {
        return NULL;
    }
    bool is_back = n->link == from->link && !from->may_wait;
    bool is_round = is_back || was_at(r, from->via_list, &n->id);
    return is_round ? owner : NULL;
}

/* FW-6, FW-7: by the topology.  Never straight back: two peers whose tables differ for a moment
 * would play ball with the message until its ttl is used up, and three of them in a circle, were
 * it passed to another peer at once.  Tables differ while somebody joins or leaves, so a message
 * may wait; to others it goes when that does not help. */
static void towards(const struct route *r, struct ring_id k, const struct route_from *from,
                    struct route_decision *out)
{
    if (!r->table->is_member) {
        if (from->is_own && r->way_in != 0) {
            out->verdict = ROUTE_FORWARD;
            out->link = r->way_in;
            return;
        }
        if (!from->is_own) {
            drop(out, METRIC_dht_drop_not_member); /* FW-15 */
            return;
        }
    }
    const struct chord_table_node *n = chord_table_next_hop(r->table, k, 0);
    const struct chord_table_node *owner =
        n != NULL && from->link != 0 && !from->is_own ? past_the_goal(r, k, from, n) : NULL;
    if (owner != NULL) {
        forward(out, owner);
        return;
    }
    if (n != NULL && from->link != 0 && n->link == from->link) {
        n = from->may_wait ? NULL : chord_table_next_hop(r->table, k, from->link);
    }
    if (n == NULL) {
        drop(out, METRIC_dht_drop_no_route);
        return;
    }
    forward(out, n);
}

static void to_resource(const struct route *r, const struct fwd_destination *d, bool is_sole,
                        const struct route_from *from, struct route_decision *out)
{
    struct ring_id k;
    if (ids_ring_of_resource(d->id, &k) != ERR_OK) {
        drop(out, METRIC_dht_drop_malformed);
        return;
    }
    if (!chord_table_is_responsible(r->table, k)) {
        towards(r, k, from, out);
        return;
    }
    if (!is_sole) {
        drop(out, METRIC_dht_drop_not_sole); /* FW-1 */
        return;
    }
    local(out, r->self);
    out->to_resource = true;
    out->resource = k;
}

/* A Node-ID that is not ours. */
static void to_node(const struct route *r, const struct node_id *id, bool is_sole,
                    const struct route_from *from, struct route_decision *out)
{
    const struct chord_table_node *n = chord_table_find(r->table, id);
    if (n != NULL) {
        forward(out, n); /* FW-6, FW-8: a link to it comes before any table */
        return;
    }
    const struct ident *account = account_of(r, id);
    if (account != NULL && is_sole) {
        local(out, account);
        return;
    }
    struct ring_id k = ids_ring_of_node(id);
    if (chord_table_is_responsible(r->table, k)) {
        drop(out, METRIC_dht_drop_nobody); /* FW-4 */
        return;
    }
    towards(r, k, from, out);
}

HOT void route_decide(const struct route *r, const struct fwd *h, const struct route_from *from,
                      struct route_decision *out)
{
    struct rd rest = rd_init(h->destination_list);
    struct fwd_destination d;
    uint16_t left = h->destination_count;
    *out = (struct route_decision){.verdict = ROUTE_DROP, .why = METRIC_dht_drop_malformed};
    if (left == 1 && h->first.type == FWD_DESTINATION_RESOURCE) { /* the usual one, read already */
        to_resource(r, &h->first, true, from, out);
        return;
    }
    while (left > 0 && fwd_next(&rest, r->params, &d)) {
        bool is_sole = --left == 0;
        struct node_id id;
        if (d.type == FWD_DESTINATION_RESOURCE) {
            to_resource(r, &d, is_sole, from, out);
            return;
        }
        if (d.type != FWD_DESTINATION_NODE) {
            drop(out, METRIC_dht_drop_opaque);
            return;
        }
        if (fwd_destination_node(&d, r->params, &id) != ERR_OK) {
            return;
        }
        if (ids_node_is_wildcard(&id, r->params)) {
            local(out, r->self); /* FW-3, A-60 */
            return;
        }
        if (!ids_node_is_equal(&id, &r->self->node_id)) {
            to_node(r, &id, is_sole, from, out);
            return;
        }
        if (is_sole) {
            local(out, r->self);
            return;
        }
        out->strip_bytes = (uint16_t)(out->strip_bytes + d.wire.len); /* FW-2 */
    }
}

bool route_is_ours(const struct route *r, struct slice destination_list)
{
    struct route_from from = {.is_own = true};
    struct route_decision d;
    struct fwd h = {.destination_list = destination_list};
    struct fwd_destination entry;
    struct rd list = rd_init(destination_list);
    while (fwd_next(&list, r->params, &entry)) {
        h.first = h.destination_count == 0 ? entry : h.first;
        h.destination_count++;
    }
    route_decide(r, &h, &from, &d);
    return rd_ok(&list) && d.verdict == ROUTE_LOCAL;
}
