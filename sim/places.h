/* SPDX-License-Identifier: Apache-2.0 */
/* places.h - where nodes are to be found in a made-up network: addresses that change, and nodes
 * behind NATs.
 *
 * Node i has the address 10.a.b.c: i in the last 20 bits, and before it how often it has moved, in
 * 4 bits (after 16 moves it is where it began).  A NAT stands before one machine and keeps ports:
 *
 *   forwarded        the operator lets everything in: as if there were none
 *   full cone        datagrams of anybody come in once one has gone out from that port
 *   restricted       ... of addresses to which one has gone out
 *   port restricted  ... of address and port
 *   symmetric        ... and others see another port for each of those
 *
 * A mapping ends `mapping_us` after the last datagram that went out.  Nobody can open a TCP
 * connection to a node behind any of the last four: a connection that goes out maps its own port,
 * not that of the listener (RFC 5382).
 *
 * Owner: sim/net.  Limits: PLACES_MAPPINGS of a node; the oldest goes. */
#pragma once
#include "core/address.h"
#include "core/arena.h"

enum places_nat {
    PLACES_OPEN,
    PLACES_FORWARDED,
    PLACES_FULL_CONE,
    PLACES_RESTRICTED,
    PLACES_PORT_RESTRICTED,
    PLACES_SYMMETRIC,
    PLACES_NATS
};

struct places_settings {
    enum places_nat nat; /* of the nodes from `first` on */
    uint32_t first;
    uint64_t mapping_us;
};

enum { PLACES_MAPPINGS = 64, PLACES_PORT = 30000 /* first of a symmetric NAT's */ };

struct places_mapping {
    struct address remote;
    uint64_t used_us; /* 0: none */
};

struct places {
    struct places_settings s;
    uint32_t nodes;
    uint16_t port; /* of their listeners */
    uint8_t *moved;
    struct places_mapping *mappings; /* PLACES_MAPPINGS of each node behind a NAT */
    uint64_t streams_refused, datagrams_refused;
};

size_t places_bytes(const struct places_settings *s, uint32_t nodes);
void places_init(struct places *p, struct arena *arena, const struct places_settings *s,
                 uint32_t nodes, uint16_t port);
/* Where its listeners are now. */
struct address places_address(const struct places *p, uint32_t node);
void places_move(struct places *p, uint32_t node);
bool places_is_behind(const struct places *p, uint32_t node);
/* Whose address it is: true when it is there; *node is also set when it has been there. */
bool places_find(const struct places *p, const struct address *a, uint32_t *node);
/* Does a SYN from anybody reach the listener?  Counted when it does not. */
bool places_admits_stream(struct places *p, uint32_t node);
/* Node `from` sends a datagram to `to`: where it seems to come from. */
struct address places_datagram_out(struct places *p, uint64_t now_us, uint32_t from,
                                   const struct address *to);
/* It comes to node `node` at `to`: is it let in?  Counted when it is not. */
bool places_datagram_in(struct places *p, uint64_t now_us, uint32_t node, const struct address *to,
                        const struct address *seen);
