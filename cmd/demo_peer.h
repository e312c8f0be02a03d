/* SPDX-License-Identifier: Apache-2.0 */
/* demo_peer.h - one super-peer of a demo: `chordial run` as a process of its own.
 *
 * It dies with the demo (PR_SET_PDEATHSIG).  What it tells of itself comes over its control socket.
 * Owner: cmd_demo.c; one thread, which must be the one that started it. */
#pragma once
#include "cmd/demo_place.h"
#include "codec/ids.h"
#include "dht/overlay.h"
#include "sip/sip.h"
#include <jansson.h>

enum { DEMO_PEER_CAP = 64, DEMO_PEER_ASK_MS = 2000, DEMO_PEER_BACKEND_CAP = 100 };

/* One shard as it was when it was last asked. */
struct demo_peer_node {
    char id[IDS_NODE_TEXT_CAP];
    char successor[IDS_NODE_TEXT_CAP]; /* empty: none */
    uint32_t links, stored;
    bool is_ready;
    struct sip_setup last_setup;
};

struct demo_peer {
    char name[16];  /* "peer1" */
    pid_t pid;      /* 0: not running */
    bool is_killed; /* by us: it should be gone */
    uint32_t shards;
    struct address overlay; /* of node 0; node i listens at port + i */
    uint16_t overlay_sip_port;
    struct address sip;
    char backend[DEMO_PEER_BACKEND_CAP]; /* in use, as it says */
    struct demo_peer_node nodes[OVERLAY_SHARDS_CAP];
};

/* What all peers have in common. */
struct demo_peer_options {
    uint32_t shards;
    enum overlay_links links;
    const char *backend;      /* "auto", "io_uring" or "epoll" */
    struct address bootstrap; /* peer 1 */
};

/* Finds loopback ports that are free now for `count` peers. */
enum err demo_peer_ports(struct demo_peer *peers, uint32_t count, uint32_t shards,
                         char *why) MUST_USE;
/* The first of `count` loopback ports in a row that are free now; 0: there are none. */
uint16_t demo_peer_spare_ports(uint32_t count);
enum err demo_peer_start(struct demo_peer *peer, const struct demo_place *place,
                         const struct demo_peer_options *options, char *why) MUST_USE;
/* Asks for its status; false when it does not answer in time. */
bool demo_peer_refresh(struct demo_peer *peer, const struct demo_place *place);
bool demo_peer_is_ready(const struct demo_peer *peer);
/* True, once, when it has ended without our doing; *status is that of waitpid. */
bool demo_peer_has_died(struct demo_peer *peer, int *status);
void demo_peer_kill(struct demo_peer *peer); /* SIGKILL */
/* Ends those that run: SIGTERM twice (no draining), then SIGKILL.  Returns how many were not well:
 * died of a signal that was not ours or with a bad exit status; their logs are shown. */
uint32_t demo_peer_end_all(struct demo_peer *peers, uint32_t count, const struct demo_place *place);
/* The last lines of its log, on stderr. */
void demo_peer_say_log(const struct demo_peer *peer, const struct demo_place *place);

/* One request at its control socket: the answer, to be given to json_decref, or NULL. */
json_t *demo_peer_ask(const struct demo_peer *peer, const struct demo_place *place,
                      json_t *request);
