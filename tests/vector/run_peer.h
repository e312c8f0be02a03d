/* SPDX-License-Identifier: Apache-2.0 */
/* run_peer.h - one real peer among made-up neighbours: what a neighbour sends arrives as bytes of a
 * connection, through link/ and dht/ as in the daemon, and what the peer sends is caught.
 *
 * Real are framing, forwarding, requests, storage and all of the cryptography; made up are TLS
 * (sim/tls_fake) and the neighbours' certificates, of which only the Node-ID counts. */
#pragma once
#include "dht/overlay.h"

enum { RUN_PEER_NEIGHBORS_CAP = 8, RUN_PEER_SENT_CAP = 64 };

struct run_peer_spec {
    struct node_id self;
    struct overlay_config config;
    struct crypto_trust trust;
    uint64_t at_ms;
    struct slice document; /* of the overlay: what a ConfigUpdate carries */
    struct node_id neighbors[RUN_PEER_NEIGHBORS_CAP];
    uint32_t neighbor_count;
    /* Alone in the ring, the neighbours being clients; else they are peers, and nothing but its
     * own Node-ID is its business. */
    bool is_responsible;
};

struct run_peer_sent {
    uint32_t to; /* index of a neighbour */
    struct slice message;
};

struct run_peer;

/* NULL: it could not be set up (a Node-ID twice). */
struct run_peer *run_peer_make(const struct run_peer_spec *spec);
void run_peer_free(struct run_peer *p);

/* A message comes from a neighbour, and everything that follows in the same moment is done. */
void run_peer_deliver(struct run_peer *p, uint32_t from, struct slice message);

/* What has been sent since the last call of run_peer_forget. */
uint32_t run_peer_sent(const struct run_peer *p, const struct run_peer_sent **list);
void run_peer_forget(struct run_peer *p);
bool run_peer_is_closed(const struct run_peer *p, uint32_t neighbor);
/* The latest OVERLAY_CONFIG_RECEIVED, bytes included; false when there was none. */
bool run_peer_config(const struct run_peer *p, struct slice *document);
uint64_t run_peer_metric(const struct run_peer *p, enum metric which);
/* Is this signature of a message of the peer's its own? */
bool run_peer_has_signed(const struct run_peer *p, struct slice message);
const struct rl_params *run_peer_params(const struct run_peer *p);
