/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/vigil.h"
#include "dht/overlay_impl.h"

static void watch(void *context, struct world *w, uint32_t i)
{
    vigil_look(context, w, i);
}

void vigil_begin(struct vigil *v, struct world *w)
{
    memset(v, 0, sizeof(*v));
    if (world_settings_of(w)->nodes < WORLD_TIGHT_NODES) {
        world_set_watch(w, watch, v);
    }
}

static void judge(struct vigil *v, const struct world *w, uint32_t i, enum vigil_rule rule,
                  bool holds)
{
    if (!holds && !v->first[rule].is_broken) {
        v->first[rule] = (struct vigil_first){
            .is_broken = true, .node = i, .at_us = world_now_us(w), .event = world_events(w)};
    }
}

static bool is_within_caps(const struct overlay *o)
{
    const struct limits *l = o->s.limits;
    struct store_totals totals;
    store_totals(o->store, &totals);
    return o->table.count <= l->ring_nodes && transact_open(o->transact) <= l->requests &&
           inbox_count(&o->inbox) <= l->verify_queue &&
           store_client_open(o->client) <= l->storage_requests && totals.sets <= l->stored_sets &&
           totals.values <= l->stored_values && totals.certificates <= l->stored_certificates &&
           totals.stored_bytes <= l->stored_bytes;
}

/* Has each value of ours that stands there once been signed by its owner? */
static bool is_signed(const struct vigil *v, struct world *w, const struct overlay *o)
{
    struct overlay_stored s;
    uint32_t at = 0;
    while (overlay_walk_stored(o, &at, &s)) {
        if (!traffic_has_sent(v->traffic, w, &s)) {
            return false;
        }
    }
    return true;
}

void vigil_look(struct vigil *v, struct world *w, uint32_t i)
{
    const struct metrics *m = world_metrics(w);
    uint64_t loops = metric_read(m, METRIC_dht_drop_ttl);
    uint64_t stores = metric_read(m, METRIC_stores_done);
    v->looked++;
    judge(v, w, i, VIGIL_LOOPS, loops == v->loops);
    v->loops = loops;
    if (!world_is_alive(w, i)) {
        v->stores = stores;
        return;
    }
    const struct overlay *o = node_overlay(world_node(w, i));
    judge(v, w, i, VIGIL_CAPS, is_within_caps(o));
    if (v->traffic != NULL && stores != v->stores) {
        judge(v, w, i, VIGIL_SIGNED, is_signed(v, w, o));
    }
    v->stores = stores;
    if (v->traffic != NULL && answer_is_due(world_node(w, i))) {
        traffic_take(v->traffic, w, i);
        judge(v, w, i, VIGIL_ONCE, v->traffic->counts.unasked == v->unasked);
        v->unasked = v->traffic->counts.unasked;
    }
}
