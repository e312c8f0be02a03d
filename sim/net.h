/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - the network of a made-up world: connections, delays, losses.
 *
 * Fulfils the promises of core/io.h.  Which address a node has, and who is let in there, says
 * sim/places; its overlay listeners are NET_PORT, its SIP listener for peers NET_PORT_SIP. */
#pragma once
#include "core/rng.h"
#include "sim/account.h"
#include "sim/places.h"
#include "sim/queue.h"
#include "sim/underlay.h"

enum { NET_PORT = 6084, NET_PORT_SIP = 6184, NET_CONNS_PER_NODE = 192 };
enum { NET_ROW = 8, NET_ROWS = NET_CONNS_PER_NODE / NET_ROW };

struct world;
struct world_settings;

/* One end of a connection: number index % NET_ROW of row index / NET_ROW of its node. */
struct net_end {
    uint32_t generation : 24; /* odd while in use */
    uint32_t is_dialled : 1;
    uint32_t is_void : 1; /* one of the two has moved: nothing arrives any more */
    uint32_t far_node;
    uint32_t far;      /* index and generation of the far end: its place may be another's by now */
    uint32_t captured; /* bytes of frames sent so far */
    uint64_t arrives_us;   /* of the last bytes towards the far end: streams keep their order */
    uint64_t held_us;      /* bytes towards this end wait until then: the way was cut */
    uint64_t cut_since_us; /* 0: there is a way, both there and back */
};

/* What is wrong with the network.  Nodes stand on sides; nothing passes from side a to side b while
 * cut[a][b], or out of or into a node that is clogged. */
enum { NET_SIDES = 4 };
struct net_faults {
    uint8_t *side; /* of each node */
    uint8_t *clog; /* of each node: NET_CLOG_ */
    bool cut[NET_SIDES][NET_SIDES];
    uint32_t extra_loss_ppm;
};
enum { NET_CLOG_OUT = 1, NET_CLOG_IN = 2 };

STATIC_CHECK(sizeof(struct net_end) == 40); /* there are 192 of each node */

struct net {
    /* Few nodes have many connections: rows are taken as they are needed, and stay theirs. */
    struct net_end *ends;
    uint32_t rows;       /* taken */
    uint32_t *rows_of;   /* NET_ROWS for each node: row + 1 */
    uint8_t *rows_count; /* of each node */
    struct rng rng;
    struct underlay underlay;
    struct places places;
    uint64_t stream_bytes;
    struct account account;
    uint64_t datagrams, datagrams_lost;
    bool is_instant; /* world_set_instant */
    uint64_t held;   /* pieces of streams that had to wait for a way */
    struct net_faults faults;
};

uint32_t net_conns_cap(uint32_t nodes);
size_t net_bytes(const struct world_settings *s);
void net_init(struct net *net, struct arena *arena, const struct world_settings *s);
/* Where a node is that has never moved. */
struct address net_address(uint32_t node);
/* Its address is another one now: its connections end when their keep-alive has failed. */
void net_move(struct world *w, uint32_t i);
/* The turn of node i is over: what it asked for goes on its way. */
void net_carry_out(struct world *w, uint32_t i);
/* Node i is gone.  is_told: its kernel closes the connections; else the far ends find out when
 * their keep-alive has failed (design.md section 5: 8 s). */
void net_bury(struct world *w, uint32_t i, bool is_told);
/* Just before delivery: is the connection still there?  Also follows IO_CLOSED. */
bool net_admit(struct world *w, struct queue_event *e);

/* The ways have changed (net->faults): connections that have none any more end when their
 * keep-alive has failed, unless there is a way again by then. */
void net_ways_changed(struct world *w);
/* Can something sent by `from` now reach `to`? */
bool net_has_way(const struct world *w, uint32_t from, uint32_t to);
