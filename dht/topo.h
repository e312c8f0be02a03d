/* SPDX-License-Identifier: Apache-2.0 */
/* topo.h - the topology as storage sees it: who owns a Resource-ID, who holds copies, what changed.
 *
 * Storage never looks into Chord; another topology would fill the same functions.
 * The replica rule is design.md section 1: an owner places copies on its successors until there are
 * 3 in all *and* they stand on min(replica_min_hosts, hosts in the neighbor table) hosts.
 *
 * RFC 6940 10.4, 10.7.3 (CH-6, CH-25, CH-26). */
#pragma once
#include "dht/chord_table.h"

enum { TOPO_COPIES = 3, TOPO_REPLICAS_CAP = CHORD_TABLE_NEIGHBORS };

struct topo_peer {
    struct node_id id;
    struct ring_id at;
    uint64_t host;
};

struct topo {
    const struct chord_table *table;
    uint32_t min_hosts; /* replica_min_hosts of the overlay document */
};

bool topo_is_responsible(const struct topo *tp, struct ring_id resource);
/* The peers that keep copies of what we own, nearest successor first. */
size_t topo_replicas(const struct topo *tp, struct topo_peer out[TOPO_REPLICAS_CAP]);
/* Do we expect to hold a copy of `resource` that somebody else owns (ST-3, CH-26)? */
bool topo_is_replica(const struct topo *tp, struct ring_id resource);
/* Who owns `resource` as far as our neighbors tell: ourselves, or the first neighbor at or after
 * it; false when it lies beyond what we know. */
bool topo_owner(const struct topo *tp, struct ring_id resource, struct topo_peer *out);
/* May `sender` place a copy of `resource` here: it is in the known replica set of the resource or
 * closer to it than some member (ST-3, A-16), or brings to its owner what he may lack (ST-18)? */
bool topo_is_plausible_replica_sender(const struct topo *tp, struct ring_id resource,
                                      const struct node_id *sender);

/* Said to dht/replicate once a turn at most, after the tables have settled. */
struct topo_change {
    bool became_member; /* joined or founded just now */
    bool range_changed; /* our predecessor is another one: (old_from, own] -> (new_from, own] */
    bool replicas_changed;
    struct ring_id old_from;
    struct ring_id new_from;
    bool is_failure; /* a neighbor was lost, rather than come or left in good order */
};
