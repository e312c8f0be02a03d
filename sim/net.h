/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - the network of a made-up world: connections, delays, losses.
 *
 * Fulfils the promises of core/io.h.  Node i has the address 10.a.b.c with i in the last three
 * bytes; its overlay listeners are NET_PORT, its SIP listener for peers NET_PORT_SIP. */
#pragma once
#include "core/rng.h"
#include "sim/account.h"
#include "sim/queue.h"
#include "sim/underlay.h"

enum { NET_PORT = 6084, NET_PORT_SIP = 6184, NET_CONNS_PER_NODE = 192 };

struct world;
struct world_settings;

/* One end of a connection, at the index of its handle in the node's row. */
struct net_end {
    uint32_t generation; /* odd while in use */
    uint32_t far_node;
    uint32_t far_index;
    uint64_t arrives_us; /* of the last bytes towards the far end: streams keep their order */
};

struct net {
    struct net_end *ends; /* NET_CONNS_PER_NODE for each node */
    struct rng rng;
    struct underlay underlay;
    uint64_t stream_bytes;
    struct account account;
    uint64_t datagrams, datagrams_lost;
    bool is_instant; /* world_set_instant */
};

uint32_t net_conns_cap(uint32_t nodes);
size_t net_bytes(const struct world_settings *s);
void net_init(struct net *net, struct arena *arena, const struct world_settings *s);
struct address net_address(uint32_t node);
/* The turn of node i is over: what it asked for goes on its way. */
void net_carry_out(struct world *w, uint32_t i);
/* Node i is gone.  is_told: its kernel closes the connections; else the far ends find out when
 * their keep-alive has failed (design.md section 5: 8 s). */
void net_bury(struct world *w, uint32_t i, bool is_told);
/* Just before delivery: is the connection still there?  Also follows IO_CLOSED. */
bool net_admit(struct world *w, struct queue_event *e);
