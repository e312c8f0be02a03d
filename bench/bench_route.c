/* SPDX-License-Identifier: Apache-2.0 */
/* bench_route.c - where a message in transit goes next, for a node that knows 64 peers of a ring:
 * a Destination List of one resource, as a Fetch has it, or of one Node-ID, as its answer has. */
#include "bench/bench.h"
#include "core/rng.h"
#include "dht/route.h"

#include <stdlib.h>
#include <string.h>

enum { PEERS = 64, ID_BYTES = 16, ARENA_BYTES = 1 << 16, HEADER_CAP = 128 };

struct world {
    struct rl_params params;
    struct chord_table table;
    struct ident self;
    struct route route;
    struct node_id peers[PEERS];
    uint8_t messages[BENCH_SLOTS][HEADER_CAP];
    struct fwd headers[BENCH_SLOTS];
    uint64_t want[BENCH_SLOTS]; /* the link that it leaves by */
};

static uint8_t block[ARENA_BYTES];

/* How far `to` is from `from`, clockwise; the first bytes of random ids are enough. */
static uint64_t distance(const uint8_t *from, const uint8_t *to)
{
    uint64_t a = 0;
    uint64_t b = 0;
    for (unsigned i = 0; i < sizeof(uint64_t); i++) {
        a = a << 8 | from[i];
        b = b << 8 | to[i];
    }
    return b - a;
}

/* RFC 6940 10.3 without a sorted table: our successor if the resource lies before it, else the
 * peer that is farthest from us and not beyond the resource. */
static uint64_t link_by_looking_at_all(const struct world *w, const uint8_t *resource)
{
    const uint8_t *self = w->self.node_id.bytes;
    size_t successor = 0;
    size_t best = PEERS;
    uint64_t goal = distance(self, resource);
    for (size_t i = 0; i < PEERS; i++) {
        uint64_t at = distance(self, w->peers[i].bytes);
        successor = at < distance(self, w->peers[successor].bytes) ? i : successor;
        if (at <= goal && (best == PEERS || at > distance(self, w->peers[best].bytes))) {
            best = i;
        }
    }
    return 1 + (best == PEERS ? successor : best);
}

static void add_peers(struct world *w, struct rng *rng)
{
    for (size_t i = 0; i < PEERS; i++) {
        rng_fill(rng, w->peers[i].bytes, ID_BYTES);
        struct chord_table_node node = {
            .id = w->peers[i], .link = 1 + i, .host = i, .state = CHORD_TABLE_PEER};
        bench_require(chord_table_add(&w->table, &node) == ERR_OK, "a peer is added");
    }
}

/* A header without Via entries to `destination`. */
static void build(struct world *w, size_t i, struct slice destination)
{
    struct fwd made = {.overlay = w->params.overlay,
                       .ttl = 30,
                       .fragment = FWD_FRAGMENT_WHOLE,
                       .transaction_id = i + 1,
                       .destination_list = destination};
    struct wr out = wr_init(w->messages[i], HEADER_CAP);
    fwd_wr(&out, &made);
    fwd_put_length(w->messages[i], (uint32_t)wr_len(&out));
    bench_require(fwd_decode(wr_slice(&out), &w->params, &w->headers[i]) == ERR_OK, "a header");
}

/* A destination that is not ours: a resource or a peer. */
static void add_destination(struct world *w, struct rng *rng, size_t i)
{
    uint8_t list[2 + FWD_NODE_BYTES_MAX];
    struct wr out = wr_init(list, sizeof(list));
    size_t peer = rng_below(rng, PEERS);
    struct ring_id at = {0};
    uint8_t id[ID_BYTES];
    do {
        rng_fill(rng, id, sizeof(id));
        bench_require(ids_ring_of_resource(slice_of(id, sizeof(id)), &at) == ERR_OK, "an id");
    } while (chord_table_is_responsible(&w->table, at));
    if (i % 2 == 0) {
        fwd_wr_resource(&out, slice_of(id, sizeof(id)));
    } else {
        fwd_wr_node(&out, &w->params, &w->peers[peer]);
    }
    build(w, i, wr_slice(&out));
    w->want[i] = i % 2 == 0 ? link_by_looking_at_all(w, id) : 1 + peer;
}

static uint64_t want(const void *state, size_t input)
{
    return ((const struct world *)state)->want[input];
}

static uint64_t run(void *state, uint64_t iterations)
{
    struct world *w = state;
    struct route_from from = {.link = 1000, .may_wait = true};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct route_decision d = {0};
        route_decide(&w->route, &w->headers[i % BENCH_SLOTS], &from, &d);
        bench_keep(&d);
        sum += d.verdict == ROUTE_FORWARD ? d.link : 0;
    }
    return sum;
}

static void *setup(void)
{
    static struct world w;
    struct arena arena;
    struct rng rng;
    rng_init(&rng, 11);
    memset(&w, 0, sizeof(w));
    memset(block, 0, sizeof(block));
    arena_init(&arena, block, sizeof(block));
    w.params = (struct rl_params){.overlay = 7, .node_id_length = ID_BYTES};
    rng_fill(&rng, w.self.node_id.bytes, ID_BYTES);
    chord_table_init(&w.table, &arena, PEERS, &w.self.node_id, PEERS);
    w.table.is_member = true;
    w.route = (struct route){.params = &w.params, .table = &w.table, .self = &w.self};
    add_peers(&w, &rng);
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        add_destination(&w, &rng, i);
    }
    return &w;
}

const struct bench bench_route_list[] = {
    {"route/decide", ID_BYTES, BENCH_SLOTS, setup, run, want},
    {0},
};
