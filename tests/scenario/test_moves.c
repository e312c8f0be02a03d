/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a node announce another address of its machine, and what does not (node/home). */
#include "core/handle.h"
#include "sim/net.h"
#include "sim/world.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { SECOND = 1000000, STRANGERS = 20 };

static uint64_t changes(const struct world *w)
{
    return metric_read(world_metrics(w), METRIC_address_changes);
}

/* Somebody's TCP connection to another address of the machine, which says nothing and ends. */
static void connect_and_go(struct world *w, uint32_t node, uint8_t last)
{
    struct io_event e = {.kind = IO_ACCEPTED,
                         .conn = handle_make(HANDLE_CONN, 1, NET_CONNS_PER_NODE - 1),
                         .listener = IO_LISTEN_OVERLAY,
                         .local = {.family = 4, .port = NET_PORT, .ip = {192, 168, 7, last}},
                         .remote = {.family = 4, .port = 40000, .ip = {192, 168, 7, 200}}};
    struct turn *t = world_begin_turn(w, node);
    node_on_event(t, world_node(w, node), &e);
    e.kind = IO_CLOSED;
    e.error = ERR_CLOSED;
    node_on_event(t, world_node(w, node), &e);
    world_end_turn(w, node);
}

/* No link is left that would hold the address; who connects has proved nothing. */
Test(moves, not_for_a_stranger)
{
    struct world_settings s;
    struct arena arena;
    world_defaults(&s);
    s.nodes = 2;
    size_t bytes = world_bytes(&s);
    void *block = calloc(1, bytes);
    cr_assert(block != NULL);
    arena_init(&arena, block, bytes);
    struct world *w = world_init(&arena, &s);
    world_start(w, 0);
    world_run_until(w, SECOND);
    world_start(w, 1);
    world_run_until(w, 20 * SECOND);
    cr_assert_neq(world_join_us(w, 1), UINT64_MAX, "it has joined: both have had a link");
    world_vanish(w, 1);
    world_run_until(w, 80 * SECOND);
    for (uint8_t i = 1; i <= STRANGERS; i++) {
        connect_and_go(w, 0, i);
    }
    cr_expect_eq(changes(w), 0, "a stranger has moved it");
    world_start(w, 1);
    world_run_until(w, 140 * SECOND);
    cr_expect_neq(world_join_us(w, 1), UINT64_MAX, "where it was all along");
    world_move(w, 1);
    world_run_until(w, 260 * SECOND);
    cr_expect_geq(changes(w), 1, "one that has moved says so still");
    world_end(w);
    free(block);
}
