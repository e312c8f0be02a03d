/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes have on their disks (issue 5, Build 3): the power of the whole overlay fails, and
 * nothing that was acknowledged with storage-ack = disk is lost; disks that are full or gone. */
#include "sim/checker.h"
#include "sim/workload.h"
#include "sim/world_disk.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { NODES = 9, RECORDS = 120, SECOND = 1000000, WAVE_US = 300 * SECOND };

struct stage {
    struct world *world;
    struct workload load;
    struct checker checker;
    void *block;
};

static struct stage open_stage(uint64_t seed)
{
    struct world_settings s;
    struct stage g = {0};
    struct arena arena;
    world_defaults(&s);
    s.seed = seed;
    s.nodes = NODES;
    s.accounts = RECORDS;
    s.has_disks = true;
    size_t bytes = world_bytes(&s) + workload_bytes(RECORDS) + checker_bytes(NODES, 65536) + 4096;
    g.block = calloc(1, bytes);
    cr_assert(g.block != NULL);
    arena_init(&arena, g.block, bytes);
    g.world = world_init(&arena, &s);
    workload_init(&g.load, &arena, RECORDS);
    checker_init(&g.checker, &arena, NODES, 65536);
    return g;
}

static void pass(struct stage *g, uint64_t us)
{
    world_run_until(g->world, world_now_us(g->world) + us);
}

static bool is_ring_right(struct stage *g)
{
    struct checker_ring ring = checker_ring(&g->checker, g->world);
    return ring.nodes == NODES && ring.ready == NODES && ring.broken == 0;
}

static void start_all(struct stage *g)
{
    for (uint32_t i = 0; i < NODES; i++) {
        world_start(g->world, i);
        pass(g, SECOND / 2);
    }
    for (uint32_t s = 0; s < 300 && !is_ring_right(g); s++) {
        pass(g, SECOND);
    }
    cr_assert(is_ring_right(g), "no ring");
}

static void store(struct stage *g)
{
    workload_run(&g->load, g->world, WORKLOAD_STORE, 0, RECORDS, WAVE_US);
    cr_assert_eq(g->load.stores.failed, 0, "%u Stores failed", g->load.stores.failed);
}

static void expect_all_there(struct stage *g, const char *when)
{
    g->load.fetches = (struct workload_result){0};
    workload_run(&g->load, g->world, WORKLOAD_FETCH, 0, RECORDS, WAVE_US);
    cr_expect_eq(g->load.fetches.ok, RECORDS, "%s: %u of %u, %u wrong", when, g->load.fetches.ok,
                 RECORDS, g->load.fetches.wrong);
}

static void close_stage(struct stage *g)
{
    for (uint32_t i = 0; i < NODES; i++) {
        if (world_is_alive(g->world, i)) {
            world_kill(g->world, i);
        }
    }
    pass(g, 60 * SECOND);
    cr_expect_eq(world_buffers_in_use(g->world), 0, "buffers leaked");
    free(g->block);
}

static uint64_t count(const struct stage *g, enum metric which)
{
    return metric_read(world_metrics(g->world), which);
}

/* Everything dies in the moment of the last acknowledgement; memory is gone everywhere. */
Test(restart, of_all_at_once_loses_nothing_acknowledged, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct stage g = open_stage(seed);
        start_all(&g);
        store(&g);
        for (uint32_t i = 0; i < NODES; i++) {
            world_vanish(g.world, i);
        }
        pass(&g, 5 * SECOND);
        start_all(&g);
        expect_all_there(&g, "after the power came back");
        cr_expect_geq(count(&g, METRIC_restored_proved), RECORDS);
        cr_expect_eq(count(&g, METRIC_restored_refused), 0);
        cr_expect_eq(count(&g, METRIC_restored_malformed), 0);
        cr_expect_eq(count(&g, METRIC_persist_acks_undurable), 0);
        close_stage(&g);
    }
}

/* The control: without disks the same is the end of everything. */
Test(restart, without_disks_loses_all, .timeout = 300)
{
    struct stage g = open_stage(4);
    start_all(&g);
    store(&g);
    for (uint32_t i = 0; i < NODES; i++) {
        world_vanish(g.world, i);
        disk_crash(world_disk(g.world, i), false);
    }
    pass(&g, 5 * SECOND);
    start_all(&g);
    workload_run(&g.load, g.world, WORKLOAD_FETCH, 0, RECORDS, WAVE_US);
    cr_expect_eq(g.load.fetches.ok, 0, "%u are there", g.load.fetches.ok);
    close_stage(&g);
}

/* A node that comes back with what it had does not bring old values over newer ones. */
Test(restart, of_one_does_not_bring_the_past_back, .timeout = 300)
{
    struct stage g = open_stage(5);
    start_all(&g);
    store(&g);
    world_vanish(g.world, 3);
    pass(&g, 40 * SECOND);
    g.load.stores = (struct workload_result){0};
    workload_run(&g.load, g.world, WORKLOAD_STORE, 0, RECORDS, WAVE_US); /* anew, and newer */
    cr_assert_eq(g.load.stores.failed, 0);
    uint32_t index = 0;
    struct overlay_stored stored;
    world_start(g.world, 3);
    pass(&g, 60 * SECOND);
    cr_assert(is_ring_right(&g));
    uint64_t oldest_ms = UINT64_MAX;
    uint64_t others_ms = UINT64_MAX;
    while (overlay_walk_stored(node_overlay(world_node(g.world, 3)), &index, &stored)) {
        oldest_ms = min_u64(oldest_ms, stored.storage_time_ms);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        index = 0;
        while (i != 3 &&
               overlay_walk_stored(node_overlay(world_node(g.world, i)), &index, &stored)) {
            others_ms = min_u64(others_ms, stored.storage_time_ms);
        }
    }
    cr_expect_geq(oldest_ms, others_ms, "values of before its death");
    expect_all_there(&g, "after its return");
    close_stage(&g);
}

static bool is_ready(struct stage *g, uint32_t i, uint64_t limit_us)
{
    uint64_t until_us = world_now_us(g->world) + limit_us;
    while (world_now_us(g->world) < until_us) {
        pass(g, SECOND);
        if (overlay_is_ready(node_overlay(world_node(g->world, i)))) {
            return true;
        }
    }
    return false;
}

/* All bootstrap nodes are dead: who remembers its neighbors comes back through them, who does not
 * stays outside. */
Test(restart, neighbors_are_remembered_as_addresses_to_join_through, .timeout = 300)
{
    enum { BOOTSTRAPS = 4, RETURNS = 7 };
    /* Who has dialled nobody but bootstrap nodes remembers those who have dialled it: with 10, 37,
     * 39, 40 and 44 it came back to nobody. */
    static const uint64_t seeds[] = {9, 9, 10, 37, 39, 40, 44};
    for (size_t k = 0; k < ARRAY_COUNT(seeds); k++) {
        bool remembers = k != 0;
        struct stage g = open_stage(seeds[k]);
        start_all(&g);
        pass(&g, 80 * (uint64_t)SECOND); /* neighbors are noted once a minute */
        world_vanish(g.world, RETURNS);
        for (uint32_t i = 0; i < BOOTSTRAPS; i++) {
            world_vanish(g.world, i);
        }
        if (!remembers) {
            disk_crash(world_disk(g.world, RETURNS), false);
        }
        pass(&g, 60 * (uint64_t)SECOND);
        world_start(g.world, RETURNS);
        cr_expect_eq(is_ready(&g, RETURNS, 60 * (uint64_t)SECOND), remembers, "seed %lu: %d",
                     (unsigned long)seeds[k], remembers);
        close_stage(&g);
    }
}

/* The room for changes is too small for what comes: nodes fall behind, write everything once more,
 * and the promise holds again. */
Test(restart, nodes_that_fall_behind_catch_up, .timeout = 300)
{
    struct stage g = open_stage(7);
    start_all(&g);
    for (uint32_t i = 0; i < NODES; i++) {
        world_disk(g.world, i)->settings.pending_bytes = 3000; /* three Stores */
        world_disk(g.world, i)->settings.sync_us = 300000;
    }
    store(&g);
    cr_expect_gt(count(&g, METRIC_persist_behind), 0);
    pass(&g, 120 * SECOND);
    cr_expect_gt(count(&g, METRIC_persist_rewrites), 0);
    for (uint32_t i = 0; i < NODES; i++) {
        struct persist_status status;
        persist_status(world_node(g.world, i), &status);
        cr_expect(status.is_promised && status.durable == status.written, "node %u", i);
        world_vanish(g.world, i);
    }
    pass(&g, 5 * SECOND);
    start_all(&g);
    expect_all_there(&g, "after they had caught up");
    close_stage(&g);
}

/* A disk that takes a minute: the promise is off after limits.persist_patience_ms, and back when it
 * has caught up; nothing has to be written again. */
Test(restart, a_late_disk_is_not_waited_for, .timeout = 300)
{
    struct stage g = open_stage(8);
    start_all(&g);
    for (uint32_t i = 0; i < NODES; i++) {
        world_disk(g.world, i)->settings.sync_us = 60 * (uint64_t)SECOND;
    }
    store(&g);
    cr_expect_gt(count(&g, METRIC_persist_late), 0);
    cr_expect_gt(count(&g, METRIC_persist_acks_undurable), 0);
    for (uint32_t i = 0; i < NODES; i++) {
        world_disk(g.world, i)->settings.sync_us = 5000;
    }
    pass(&g, 120 * SECOND);
    for (uint32_t i = 0; i < NODES; i++) {
        struct persist_status status;
        persist_status(world_node(g.world, i), &status);
        cr_expect(status.is_promised, "node %u", i);
    }
    cr_expect_eq(count(&g, METRIC_persist_rewrites), 0);
    expect_all_there(&g, "as ever");
    close_stage(&g);
}

/* Full disks: the service goes on, the promise does not; with room again it holds again. */
Test(restart, full_disks_take_the_promise_and_give_it_back, .timeout = 300)
{
    struct stage g = open_stage(6);
    start_all(&g);
    for (uint32_t i = 0; i < NODES; i++) {
        disk_set_full(world_disk(g.world, i), true);
    }
    store(&g);
    cr_expect_gt(count(&g, METRIC_persist_behind), 0);
    cr_expect_gt(count(&g, METRIC_persist_acks_undurable), 0, "answers left all the same");
    expect_all_there(&g, "from memory");
    for (uint32_t i = 0; i < NODES; i++) {
        disk_set_full(world_disk(g.world, i), false);
    }
    pass(&g, 30 * SECOND);
    for (uint32_t i = 0; i < NODES; i++) {
        struct persist_status status;
        persist_status(world_node(g.world, i), &status);
        cr_expect(status.is_promised && !status.is_behind, "node %u", i);
        world_vanish(g.world, i);
    }
    pass(&g, 5 * SECOND);
    start_all(&g);
    expect_all_there(&g, "what was written once more");
    close_stage(&g);
}
