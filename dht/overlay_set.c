/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_set.c - another overlay document takes effect while the peer runs (RFC 6940 6.5.4.2,
 * 11.1; catalogue CF-3, CF-4, CU-5).
 *
 * Memory was taken for the document of the start: a larger max-message-size than that one's waits
 * for a restart, and so do the kinds of links, which are sockets.  All else is read anew. */
#include "dht/overlay_impl.h"

enum { GRACE_MIN_US = 600 * 1000000 };

/* The Kind is gone, or not what it was: so is what is stored of it (CF-3). */
static void drop_kinds(struct turn *t, struct overlay *o, const struct overlay_change *c)
{
    for (size_t i = 0; i < c->dropped_count; i++) {
        uint32_t at = 0;
        struct store_set *set;
        while ((set = store_set_next(o->store, &at)) != NULL) {
            if (set->kind == c->dropped[i]) {
                metric_add(t->metrics, METRIC_config_values_dropped, set->count);
                store_set_drop(o->store, set);
            }
        }
    }
}

static bool is_bad(const struct crypto_trust *trust, const struct node_id *id)
{
    for (size_t i = 0; i < trust->bad_node_count; i++) {
        if (memcmp(trust->bad_nodes + i * sizeof(id->bytes), id->bytes, IDS_RING_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Who is excluded now is no neighbor any more. */
static void close_links(struct turn *t, struct overlay *o)
{
    struct link_info info;
    uint32_t at = 0;
    while (link_walk(o->links, &at, &info)) {
        if (info.is_up && !info.is_local && is_bad(&o->s.trust, &info.node_id)) {
            link_close(t, o->links, info.link);
        }
    }
}

static void set_bootstrap(struct overlay *o, const struct overlay_change *c)
{
    size_t bytes = c->bootstrap_count * sizeof(*c->bootstrap);
    bool is_same = c->bootstrap_count == o->s.bootstrap_count &&
                   (bytes == 0 || memcmp(c->bootstrap, o->s.bootstrap, bytes) == 0);
    if (c->bootstrap_count == 0 || is_same) {
        return;
    }
    CHECK(c->bootstrap_count <= OVERLAY_BOOTSTRAP_CAP);
    memcpy(o->s.bootstrap, c->bootstrap, bytes);
    o->s.bootstrap_count = c->bootstrap_count;
    memset(o->chord.bootstrap_ids, 0, sizeof(o->chord.bootstrap_ids)); /* who answers there */
}

/* at least an interval in which everybody hears of everybody. */
static uint64_t grace_us(const struct overlay_config *before)
{
    return max_u64((uint64_t)before->chord_update_interval_s * 1000000, GRACE_MIN_US);
}

void overlay_set_config(struct turn *t, struct overlay *o, const struct overlay_change *c)
{
    enum overlay_links links = o->s.config.links;
    o->ttl_before = o->s.config.initial_ttl;
    o->ttl_before_until_us = t->now_us + grace_us(&o->s.config);
    CHECK(strcmp(o->s.config.name, c->config.name) == 0);
    CHECK(c->config.node_id_length == o->s.config.node_id_length);
    o->s.config = c->config;
    o->s.config.links = links;
    o->s.config.max_message_bytes =
        (uint32_t)min_size(c->config.max_message_bytes, o->message_room);
    o->s.trust = c->trust;
    o->topo.min_hosts = c->config.replica_min_hosts;
    o->inbox.limits.age_us = (uint64_t)c->config.reliability_timer_ms * 1000;
    set_bootstrap(o, c);
    transact_set_config(o->transact, &o->s.config);
    frag_set_config(o->frag, &o->s.config);
    o->via.keep_us = (uint64_t)c->config.reliability_timer_ms * 1000;
    replicate_set_message_bytes(o->replicate, o->s.config.max_message_bytes);
    drop_kinds(t, o, c);
    if (c->is_trust_other) {
        sign_forget(o->sign);
        close_links(t, o);
    }
    config_update_set(t, &o->config_update, c->document, o->s.config.max_message_bytes, &c->from);
    metric_add(t->metrics, METRIC_configs_taken, 1);
}

static void move_all(struct address *all, size_t count, const struct address *former,
                     const struct address *now)
{
    for (size_t i = 0; i < count; i++) {
        if (address_is_same_host(&all[i], former)) {
            memcpy(all[i].ip, now->ip, sizeof(all[i].ip));
        }
    }
}

void overlay_set_host(struct overlay *o, const struct address *former, const struct address *now)
{
    CHECK(former->family == now->family);
    move_all(o->s.candidates, o->s.candidate_count, former, now);
    move_all(o->s.sip_candidates, o->s.sip_candidate_count, former, now);
}
