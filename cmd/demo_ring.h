/* SPDX-License-Identifier: Apache-2.0 */
/* demo_ring.h - the overlay of a demo as a whole: its peers, whether their ring is right, and where
 * records are.  Everything is asked of the peers; nothing is assumed.
 *
 * Owner: cmd_demo.c; one thread. */
#pragma once
#include "cmd/demo_peer.h"

enum { DEMO_RING_COPIES_CAP = 16 };

struct demo_ring {
    struct demo_place place;
    struct demo_peer_options options;
    struct demo_peer peers[DEMO_PEER_CAP];
    uint32_t peer_count, started;
};

/* Where the registration of an account is: the owner first, then those that hold a copy. */
struct demo_ring_record {
    char resource[2 * OVERLAY_RESOURCE_BYTES + 1];
    uint32_t peers[DEMO_RING_COPIES_CAP];
    uint32_t count;
    bool has_owner; /* else peers[0] is a copy too */
};

/* Ports, keystores and the overlay document of all peers. */
enum err demo_ring_enroll(struct demo_ring *r, char *why) MUST_USE;
/* Starts peers until the first `count` have been; they are not ready yet. */
enum err demo_ring_start(struct demo_ring *r, uint32_t count, char *why) MUST_USE;
/* Asks all peers that run for their state; how many of them answered. */
uint32_t demo_ring_refresh(struct demo_ring *r);
/* As of the last refresh. */
uint32_t demo_ring_running(const struct demo_ring *r);
bool demo_ring_is_ready(const struct demo_ring *r); /* every peer that runs */
bool demo_ring_is_ok(const struct demo_ring *r);    /* each node's successor is the next one */
/* The peer that is responsible for the record of `user`, asked at peer `at`; peer_count when it
 * cannot be told. */
uint32_t demo_ring_owner(struct demo_ring *r, uint32_t at, const char *user);
void demo_ring_locate(struct demo_ring *r, uint32_t at, const char *user,
                      struct demo_ring_record *out);
/* Can the registration of `user` be read at every peer that runs? */
bool demo_ring_is_readable(struct demo_ring *r, const char *user);
/* The setup of the last call that began at a node of this peer. */
struct sip_setup demo_ring_last_setup(const struct demo_ring *r, uint32_t peer);
/* The first peer that has ended without our doing, its log shown; false when all are well. */
bool demo_ring_has_lost_peer(struct demo_ring *r);
