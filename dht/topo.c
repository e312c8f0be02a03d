/* SPDX-License-Identifier: Apache-2.0 */
/* topo.c - the replica rule, in one place for the owner and for those who hold copies: walk from
 * the owner clockwise and stop as soon as there are enough copies on enough hosts. */
#include "dht/topo.h"

struct count {
    uint32_t copies;
    uint32_t hosts;
    uint64_t seen[1 + 2 * CHORD_TABLE_NEIGHBORS];
};

static void take(struct count *c, uint64_t host)
{
    uint32_t i = 0;
    while (i < c->hosts && c->seen[i] != host) {
        i++;
    }
    if (i == c->hosts) {
        c->seen[c->hosts++] = host;
    }
    c->copies++;
}

/* Enough copies already, so that the next peer on the ring need not hold one? */
static bool is_enough(const struct topo *tp, const struct count *c)
{
    uint32_t hosts = chord_table_hosts(tp->table);
    uint32_t wanted = tp->min_hosts < hosts ? tp->min_hosts : hosts;
    return c->copies >= TOPO_COPIES && c->hosts >= wanted;
}

static struct topo_peer peer_of(const struct chord_table_node *n)
{
    return (struct topo_peer){.id = n->id, .at = n->at, .host = n->host};
}

bool topo_is_responsible(const struct topo *tp, struct ring_id resource)
{
    return chord_table_is_responsible(tp->table, resource);
}

size_t topo_replicas(const struct topo *tp, struct topo_peer out[TOPO_REPLICAS_CAP])
{
    struct count c = {0};
    take(&c, tp->table->self_host);
    size_t count = 0;
    for (uint32_t i = 0; i < tp->table->successor_count && !is_enough(tp, &c); i++) {
        const struct chord_table_node *n = chord_table_successor(tp->table, i);
        out[count++] = peer_of(n);
        take(&c, n->host);
    }
    return count;
}

/* Predecessors from the owner of `resource` up to the nearest: indices owner..0.  False when
 * the owner lies beyond what we know or is ourselves. */
static bool owner_index(const struct topo *tp, struct ring_id resource, uint32_t *index)
{
    const struct chord_table *ct = tp->table;
    for (uint32_t i = 0; i < ct->predecessor_count; i++) {
        struct ring_id to = chord_table_predecessor(ct, i)->at;
        bool is_last = i + 1 == ct->predecessor_count;
        if (is_last && ct->predecessor_count == CHORD_TABLE_NEIGHBORS) {
            return false; /* its own predecessor is not known */
        }
        /* In a ring smaller than the table the farthest predecessor follows upon ourselves. */
        struct ring_id from = is_last ? ct->self : chord_table_predecessor(ct, i + 1)->at;
        if (ids_ring_is_between(resource, from, to)) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool topo_is_replica(const struct topo *tp, struct ring_id resource)
{
    uint32_t owner = 0;
    if (topo_is_responsible(tp, resource) || !owner_index(tp, resource, &owner)) {
        return false;
    }
    struct count c = {0};
    for (uint32_t i = owner + 1; i > 0; i--) {
        take(&c, chord_table_predecessor(tp->table, i - 1)->host);
    }
    return !is_enough(tp, &c);
}

bool topo_owner(const struct topo *tp, struct ring_id resource, struct topo_peer *out)
{
    const struct chord_table *ct = tp->table;
    if (topo_is_responsible(tp, resource)) {
        *out = (struct topo_peer){.id = ct->self_id, .at = ct->self, .host = ct->self_host};
        return true;
    }
    uint32_t owner = 0;
    if (owner_index(tp, resource, &owner)) {
        *out = peer_of(chord_table_predecessor(ct, owner));
        return true;
    }
    struct ring_id from = ct->self;
    for (uint32_t i = 0; i < ct->successor_count; i++) {
        const struct chord_table_node *n = chord_table_successor(ct, i);
        if (ids_ring_is_between(resource, from, n->at)) {
            *out = peer_of(n);
            return true;
        }
        from = n->at;
    }
    return false;
}

bool topo_is_plausible_replica_sender(const struct topo *tp, struct ring_id resource,
                                      const struct node_id *sender)
{
    const struct chord_table *ct = tp->table;
    struct ring_id at = ids_ring_of_node(sender);
    /* The owner takes what its holders bring (ST-18), whoever they are: our successor hands over
     * what becomes ours (CH-12, A-16), those behind it hold copies of what we own, and when two
     * rings have become one, who owned it in the other may stand anywhere.  Each value is proved by
     * its signature, and an older one refused. */
    if (topo_is_responsible(tp, resource)) {
        return true;
    }
    const struct chord_table_node *first = chord_table_successor(ct, 0);
    if (first != NULL && ids_ring_is_equal(first->at, at)) {
        return true;
    }
    /* The owner, or a member of its replica set, stands between the resource and ourselves. */
    return ids_ring_is_between(at, resource, ct->self) || ids_ring_is_equal(at, resource);
}
