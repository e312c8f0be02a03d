/* SPDX-License-Identifier: Apache-2.0 */
/* ready.h - a ring that has been there for long, without the hours that joining takes.
 *
 * Every node is started, and dials its 8 successors and the first peer of each of its finger
 * ranges, through the link layer and with handshakes, in a network that takes no time.  Then each
 * takes those to whom it has links for peers (overlay_take_ring).  No Attach, Join or Update is
 * sent: reports say that the ring was ready. */
#pragma once
#include "sim/world.h"

struct ready_node {
    struct ring_id at;
    uint32_t index;
};

struct ready_counts {
    uint32_t links;
    uint32_t refused; /* the far end had no room for one more */
};

/* Of the first `nodes` nodes.  `order` has room for all of the world, and holds these in ring order
 * afterwards. */
struct ready_counts ready_ring(struct world *w, struct ready_node *order, uint32_t nodes);
/* The live nodes in ring order; how many. */
uint32_t ready_order(const struct world *w, struct ready_node *order);
/* Where in `order` the owner of `at` stands: the first node at or after it. */
uint32_t ready_owner(const struct ready_node *order, uint32_t count, struct ring_id at);
