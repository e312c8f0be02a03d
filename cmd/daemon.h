/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.h - from a loaded configuration to running shards: one pinned thread, one engine and one
 * node for each.
 *
 * Owner:   the control thread, which opens, starts and ends it; while it runs, a struct
 * daemon_shard belongs to its thread. Threads: `shards` and the caller's. */
#pragma once
#include "cmd/admin_shard.h"
#include "cmd/persist_thread.h"
#include "cmd/setup.h"
#include "core/os/mem.h"
#include "link/crypto_roots_boring.h"
#include "link/tls_boring.h"
#include <pthread.h>

struct daemon_shard {
    struct shard *shard;
    struct node *node;
    struct admin_shard admin;
    struct mem mem; /* of the node */
    struct limits limits;
    struct tls_boring *tls;
    struct tls_boring *sip_tls;     /* the first one for phones; NULL = none, or the node has it */
    struct tls_boring *foreign_tls; /* to other domains; NULL = none */
    struct crypto_roots *foreign_roots; /* whom that believes */
    const struct ident **publish;
    size_t publish_count;
    pthread_t thread;
    bool is_running; /* the thread was started */
};

struct daemon {
    const struct setup *setup;
    struct shard_group *group;
    struct daemon_shard *shards;
    uint32_t count;
    int keylog; /* descriptor, -1 = none */
    uint8_t secret[32];
    struct persist_thread *persist; /* NULL: records do not outlive the process */
};

/* A context for phones with `cert`, for one shard. */
enum err daemon_sip_context(struct daemon *d, const struct sip_cert *cert, struct tls_boring **out,
                            char *why) MUST_USE;
/* Binds all sockets and builds all nodes.  On failure nothing is left open. */
enum err daemon_open(struct daemon *d, const struct setup *setup, char *why) MUST_USE;
/* Starts the threads. */
enum err daemon_start(struct daemon *d, char *why) MUST_USE;
/* Ends the threads and gives everything back but the TLS objects of connections that were still
 * open: returns how many, they go with the process. */
uint64_t daemon_close(struct daemon *d);
