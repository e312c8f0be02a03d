/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as long as an overlay permits, by as many peers as it takes (RFC 6940 6.1.2; catalogue
 * VL-1, A-53): each peer on the way adds to the Via List, and yet they arrive, and are answered. */
#include "codec/content.h"
#include "dht/overlay_impl.h"
#include "sim/world.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { NODES = 150, REQUESTS = 150 };

static struct world *world;

static uint64_t metric(enum metric which)
{
    return metric_read(world_metrics(world), which);
}

static void run_for(uint64_t us)
{
    world_run_until(world, world_now_us(world) + us);
}

static void *begin(uint64_t seed)
{
    struct world_settings s;
    struct arena arena;
    world_defaults(&s);
    s.nodes = NODES;
    s.seed = seed;
    size_t bytes = world_bytes(&s);
    void *block = calloc(1, bytes);
    cr_assert_not_null(block);
    arena_init(&arena, block, bytes);
    world = world_init(&arena, &s);
    for (uint32_t i = 0; i < NODES; i++) {
        world_start(world, i);
        run_for(300000);
    }
    run_for(120000000);
    for (uint32_t i = 0; i < NODES; i++) {
        cr_assert(overlay_is_ready(node_overlay(world_node(world, i))), "node %u", i);
    }
    return block;
}

/* Node i asks whoever has `at`, with so many bytes of padding. */
static enum err ask(uint32_t i, struct ring_id at, size_t padding)
{
    static uint8_t body[8192];
    struct wr w = wr_init(body, sizeof(body));
    wr_u16(&w, (uint16_t)padding);
    (void)wr_claim(&w, padding);
    const struct transact_request what = {.owner = TRANSACT_NOBODY,
                                          .target = {.type = TRANSACT_RESOURCE, .resource = at},
                                          .code = CONTENT_PING_REQ,
                                          .body = wr_slice(&w)};
    struct turn *t = world_begin_turn(world, i);
    enum err e = transact_request(t, node_overlay(world_node(world, i))->transact, &what, NULL);
    world_end_turn(world, i);
    return e;
}

Test(long_messages, come_through_and_are_answered, .timeout = 300)
{
    void *block = begin(5);
    uint64_t forwarded = metric(METRIC_dht_forwarded);
    uint64_t repeated = metric(METRIC_requests_repeated);
    uint64_t failed = metric(METRIC_requests_failed);
    uint64_t too_large = metric(METRIC_dht_drop_too_large);
    struct rng *rng = world_rng(world);
    for (uint32_t k = 0; k < REQUESTS; k++) {
        struct ring_id at = {rng_next(rng), rng_next(rng)};
        size_t padding = 5000;
        while (ask(k % NODES, at, padding) != ERR_OK) {
            padding--;
        }
        cr_assert_gt(padding, 4000);
        run_for(100000);
    }
    run_for(20000000);
    forwarded = metric(METRIC_dht_forwarded) - forwarded;
    cr_log_info("%lu passed on, %lu lists kept, %lu put back", (unsigned long)forwarded,
                (unsigned long)metric(METRIC_via_shortened),
                (unsigned long)metric(METRIC_via_restored));
    cr_expect_gt(forwarded, 2 * REQUESTS, "there and back, by more than one peer");
    cr_expect_gt(metric(METRIC_via_shortened), REQUESTS / 4);
    cr_expect_eq(metric(METRIC_via_restored), metric(METRIC_via_shortened));
    cr_expect_eq(metric(METRIC_requests_repeated), repeated);
    cr_expect_eq(metric(METRIC_requests_failed), failed);
    cr_expect_eq(metric(METRIC_dht_drop_too_large), too_large);
    cr_expect_eq(metric(METRIC_dht_drop_opaque), 0);
    world_end(world);
    free(block);
}
