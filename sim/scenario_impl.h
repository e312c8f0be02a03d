/* SPDX-License-Identifier: Apache-2.0 */
/* scenario_impl.h - a run and what its phases share: sim/scenario*.c and sim/survive.c only. */
#pragma once
#include "sim/ready.h"
#include "sim/scenario.h"
#include "sim/shortage.h"
#include "sim/vigil.h"
#include "sim/world_disk.h"

struct run {
    const struct scenario *s;
    struct world *world;
    struct checker checker;
    struct workload load;
    struct ready_node *order;
    struct measure measure;
    uint64_t (*clock_us)(void);
    struct scenario_result *out;
    /* sim/survive */
    struct traffic *traffic;
    struct shortage *shortage;
    struct vigil vigil;
    struct churn churn;
    struct fault fault;
    struct adversary *adversary;
    struct phones *phones; /* sim/calls */
    uint64_t lived_from_us;
    struct rng roam_rng; /* sim/roam */
    uint64_t move_next_us;
    uint8_t *was_alive; /* before a blackout */
    uint32_t trace_next;
    uint64_t trace_from_us;
};

/* Nodes of the world that `s` asks for. */
uint32_t scenario_impl_nodes(const struct scenario *s);
void scenario_impl_holds(struct run *r, enum scenario_invariant which, bool holds);
bool scenario_impl_is_ring_right(struct run *r);
/* Runs until the ring is right, at most limit_us; how long it took, 0 = never. */
uint64_t scenario_impl_until_right(struct run *r, uint64_t limit_us);
