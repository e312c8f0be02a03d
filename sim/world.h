/* SPDX-License-Identifier: Apache-2.0 */
/* world.h - many nodes on a virtual clock and a virtual network, out of one seed.
 *
 * The nodes are the daemon's own object files; what stands in for the world is core/io.h (sim/net),
 * core/crypto.h and link/tls.h (sim/world_crypto).  Integer arithmetic only, events
 * in (time, sequence) order: the same seed and the same build give the same run, which
 * world_fingerprint proves.
 *
 * Owner: one thread.  Memory: one arena, world_bytes tells how much. */
#pragma once
#include "node/node.h"
#include "sim/places.h"
#include "sim/underlay.h"

enum {
    WORLD_NODES_CAP = 1000000,
    WORLD_USER_CAP = 48,
    WORLD_BOOTSTRAPS_CAP = 8,
    /* From here on memory counts: tables that the ring does not live by are small. */
    WORLD_TIGHT_NODES = 5000,
};

/* RELOAD frames that go from one node to another, as they leave. */
struct world_captured {
    uint64_t wall_us;
    struct address from, to;
    bool is_datagram;
    uint32_t sequence; /* of streams: plaintext bytes that went this way before */
    struct slice frames;
};
typedef void world_capture(void *context, const struct world_captured *what);

/* Phones (sim/world_phones.h); count 0: none, and nodes have no SIP. */
struct world_phone_settings {
    uint32_t count;
    uint32_t homes; /* processes that serve each */
    uint32_t nodes; /* the first so many nodes do */
    uint64_t delay_us;
    uint32_t loss_ppm;
};

struct world_settings {
    uint64_t seed;
    uint32_t nodes;
    uint32_t shards;   /* peers of one machine: nodes i*shards .. share a host name */
    uint32_t accounts; /* user identities beside the nodes' own, for records */
    struct underlay_settings underlay;
    uint32_t loss_ppm; /* of transmissions: a datagram is gone, a stream waits one retransmission */
    uint64_t start_wall_ms;  /* wall clock at time 0 */
    uint32_t datagram_bytes; /* link_datagram_bytes */
    uint32_t stored_values;  /* room of one node */
    uint32_t bootstraps;     /* addresses that who joins is told: those of the first nodes */
    struct overlay_config config;
    /* As it was signed; borrowed.  Not empty: nodes take others, and whoever runs the world judges
     * them (node_next_document). */
    struct slice document;
    uint32_t buggify_percent; /* of the chances in core/buggify.def */
    bool is_real;             /* cryptography; docs/simulator.md says what that costs */
    bool is_ready;            /* nodes do not join: sim/ready makes them a ring */
    bool has_disks;           /* what nodes store survives them, and is acknowledged when it does */
    uint64_t disk_sync_us;    /* what a sync takes */
    uint32_t disk_lost_percent; /* of deaths take the disk along */
    struct world_phone_settings phones;
    struct places_settings places;
    bool is_publishing;        /* nodes publish certificates, their accounts' too (0x3, 0x10) */
    const struct node_id *ids; /* of the first nodes; the others draw theirs */
    uint32_t id_count;
    world_capture *capture; /* NULL: nobody looks */
    void *capture_context;
};

/* A ring of `nodes` with the daemon's defaults and an overlay called "sim.example". */
void world_defaults(struct world_settings *s);

struct world;

size_t world_bytes(const struct world_settings *s);
struct world *world_init(struct arena *arena, const struct world_settings *s);

/* Starts node i: it joins (node 0 founds).  Again after it was killed: a new life with the same
 * identity, and an empty store but for what its disk has (sim/world_disk.h); without a disk it
 * knows the bootstrap nodes and remembers four peers. */
void world_start(struct world *w, uint32_t i);
/* kill -9 of the process in which node i runs, with all its peers: its connections are reset by its
 * kernel, all else is gone. */
void world_kill(struct world *w, uint32_t i);
/* The power fails: nobody is told; the others notice by their own timers. */
void world_vanish(struct world *w, uint32_t i);
/* The address of the process changes while it runs; its connections carry nothing more. */
void world_move(struct world *w, uint32_t i);
/* Leaves in good order. */
void world_stop(struct world *w, uint32_t i);

/* The network takes no time: to set a world up. */
void world_set_instant(struct world *w, bool is_instant);
/* How long node i took from its start until it was in the ring; UINT64_MAX: it is not, or has never
 * been started. */
uint64_t world_join_us(const struct world *w, uint32_t i);

/* The world ends: all are gone at once, and nobody is told. */
void world_end(struct world *w);

/* Lets everything happen until `at_us`. */
void world_run_until(struct world *w, uint64_t at_us);
uint64_t world_now_us(const struct world *w);

bool world_is_alive(const struct world *w, uint32_t i);
bool world_is_leaving(const struct world *w, uint32_t i); /* in good order */
uint32_t world_alive_count(const struct world *w);
uint64_t world_lives(const struct world *w); /* changes whenever somebody comes or goes */
/* A node that has had answers since it was last named here; UINT32_MAX: none. */
uint32_t world_take_answering(struct world *w);
uint32_t world_incarnation(const struct world *w, uint32_t i); /* changes with life and death */
struct node *world_node(struct world *w, uint32_t i);
const struct places *world_places(const struct world *w);
struct net_faults;                                    /* sim/net.h */
struct net_faults *world_net_faults(struct world *w); /* then world_ways_changed */
void world_ways_changed(struct world *w);
/* Somebody who sees, and may change, the bytes of each stream just before a node does. */
typedef void world_tamper(void *context, struct world *w, uint32_t node, uint8_t *bytes,
                          size_t len);
void world_set_tamper(struct world *w, world_tamper *tamper, void *context);
/* Somebody who looks at a node after each event that came to it; it may be gone then. */
typedef void world_watch(void *context, struct world *w, uint32_t node);
/* Points at which product code may go wrong; they are off until is_on says otherwise. */
struct buggify *world_buggify(struct world *w);
void world_set_watch(struct world *w, world_watch *watch, void *context);
/* Its wall clock goes wrong by so much; its timers do not. */
void world_set_skew(struct world *w, uint32_t i, int64_t skew_ms);
const struct world_settings *world_settings_of(const struct world *w);
const struct ident *world_ident(const struct world *w, uint32_t i);   /* the node's */
const struct ident *world_account(const struct world *w, uint32_t i); /* user "u<i>@sim.example" */
const struct crypto *world_crypto(const struct world *w);
/* A turn of node i for calls from outside (answer_fetch, answer_store); world_end_turn carries out
 * what the node asked for. */
struct turn *world_begin_turn(struct world *w, uint32_t i);
void world_end_turn(struct world *w, uint32_t i);
/* Where choices of the scenario come from: a stream of its own. */
struct rng *world_rng(struct world *w);

uint64_t world_fingerprint(const struct world *w); /* over all events delivered so far */
uint64_t world_events(const struct world *w);
uint64_t world_turns(const struct world *w);                /* with those of timers */
const struct metrics *world_metrics(const struct world *w); /* of all nodes together */
/* Buffers, TLS connections and chunks that are in use: back to nothing once all nodes are gone. */
uint32_t world_buffers_in_use(const struct world *w);
struct account; /* sim/account.h */
const struct account *world_account_of_links(const struct world *w);
uint64_t world_stream_bytes(const struct world *w); /* carried, all nodes together */
uint64_t world_datagrams(const struct world *w, uint64_t *lost);
