/* SPDX-License-Identifier: Apache-2.0 */
/* checker.h - looks at all nodes of a world at once and says what is not as it should be.
 *
 * The simulator alone can know the truth: the sorted list of live nodes is the ring. */
#pragma once
#include "sim/world.h"

struct checker {
    struct checker_node *ring; /* live nodes in ring order */
    struct checker_copy *copies;
    uint32_t node_cap;
    uint32_t copy_cap;
};

struct checker_ring {
    uint32_t nodes; /* alive */
    uint32_t ready;
    uint32_t broken; /* first successor or first predecessor is not the right one */
    uint32_t thin;   /* fewer than min(3, nodes - 1) successors or predecessors */
};

struct checker_copies {
    uint32_t records;  /* different (resource, kind, key) with at least one copy */
    uint32_t under;    /* of them with fewer than the wanted number of copies */
    uint32_t min, max; /* copies of one record */
    uint64_t total;
    uint32_t unowned;  /* no live node that is responsible for it has it */
    uint32_t one_host; /* fewer hosts than replica_min_hosts, though there are so many */
};

size_t checker_bytes(uint32_t nodes, uint32_t copies);
void checker_init(struct checker *c, struct arena *arena, uint32_t nodes, uint32_t copies);
struct checker_ring checker_ring(struct checker *c, struct world *w);
/* Of Kind `kind` only; wanted: how many copies there should be (at most the live nodes). */
struct checker_copies checker_copies(struct checker *c, struct world *w, uint32_t kind,
                                     uint32_t wanted);
