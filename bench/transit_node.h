/* SPDX-License-Identifier: Apache-2.0 */
/* transit_node.h - the node under test: a real node/ with real TLS and a real overlay that it has
 * founded.  Its far ends (transit_peer) are attached to it as clients, so a message from one to the
 * other goes link -> route -> link.
 *
 * transit_world drives one in process: bytes are handed over in memory, in pieces as large as the
 * engine's, and only the node's own turns are timed.  transit_live drives one through core/os. */
#pragma once
#include "bench/transit_peer.h"
#include "core/os/mem.h"
#include "core/turn.h"
#include "node/node.h"

struct transit_node {
    struct transit_identity identity;
    struct tls_boring *tls;
    struct limits limits;
    struct node_settings settings;
    struct mem mem;
    struct node *node;
    const struct ident *publish;
};

/* Limits with room for so many links. */
void transit_node_limits(struct limits *l, uint32_t links);
void transit_node_open(struct transit_node *n, struct turn *t, const struct transit_ca *ca,
                       const struct limits *limits);
void transit_node_close(struct transit_node *n);
void transit_node_drop_log(void *context, enum log_level level, const char *line, size_t len);

/* ---- in process ---- */

struct transit_end {
    struct transit_peer peer;
    handle conn;
    uint32_t unsaid; /* bytes taken from the node since it was told */
    uint8_t *bytes;  /* for the node */
    size_t len;
    bool is_active; /* stands in the world's list */
};

struct transit_world {
    struct turn turn;
    struct rng rng;
    struct wheel wheel;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct metrics metrics;
    struct log log;
    struct mem mem;
    struct transit_node node;
    struct transit_end *ends;
    uint32_t count;
    struct mem bytes; /* of all ends */
    uint32_t *active; /* ends with something to say, or to acknowledge */
    uint32_t active_count;
    /* of the node's turns */
    uint64_t busy_ns;
    uint64_t turns;
    uint64_t allocations;
    uint64_t records; /* that the node has opened or sealed */
};

/* A node and `count` far ends, numbered from 1 to `count`, all of them up. */
void transit_world_open(struct transit_world *w, const struct transit_ca *ca, uint32_t count);
void transit_world_close(struct transit_world *w);
/* The far ends and their memory are gone, without a word to the node; then only close. */
void transit_world_drop_ends(struct transit_world *w);
/* Notes that an end has sealed something. */
void transit_world_note(struct transit_world *w, uint32_t end);
/* What the far ends have sealed goes to the node; one turn of it, timed; what it says goes to the
 * far ends, which acknowledge in their next turn. */
void transit_world_turn(struct transit_world *w);
/* As if `us` had passed, one turn. */
void transit_world_pass(struct transit_world *w, uint64_t us);
/* Turns until nobody has anything to say. */
void transit_world_settle(struct transit_world *w);
uint64_t transit_world_metric(const struct transit_world *w, enum metric which);
/* CPU time of the calling thread. */
uint64_t transit_world_cpu_ns(void);
