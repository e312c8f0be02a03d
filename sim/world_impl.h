/* SPDX-License-Identifier: Apache-2.0 */
/* world_impl.h - the inside of struct world, shared by world.c, net.c and world_limits.c only. */
#pragma once
#include "core/buggify.h"
#include "sim/crypto_fake.h"
#include "sim/net.h"
#include "sim/world.h"
#include "sim/world_crypto.h"
#include "sim/world_disk.h"
#include "sim/world_phones.h"

enum { WORLD_OUTBOX = 2048 };

struct world_ident {
    struct ident ident;
    struct crypto_fake_key key;
    uint8_t certificate[CRYPTO_FAKE_CERTIFICATE_BYTES];
};

struct world_sent {
    handle conn;
    size_t len;
};

/* What each turn looks at stands in front. */
struct world_node {
    struct node *node;
    uint64_t due_us;      /* of the first timer */
    uint64_t wake_us;     /* when its next wake-up is in the queue; 0 = none */
    uint64_t ready_us;    /* 0: not yet */
    int64_t skew_ms;      /* of its wall clock */
    uint32_t incarnation; /* counts lives and deaths */
    bool is_alive;
    bool is_leaving;
    bool is_off;      /* its power failed: nothing answers there */
    bool has_work;    /* its queue of messages to be verified is not empty */
    bool has_answers; /* it stands in world.answering */
    uint64_t started_us;
    struct rng rng;
    struct wheel wheel;
    struct tls_fake_context tls;
    const struct ident *publish;
    struct arena arena;
    size_t arena_bytes; /* its cap when nothing is taken yet */
};

struct world {
    struct world_settings settings;
    uint64_t now_us;
    uint64_t events;
    uint64_t turns;
    uint64_t lives; /* how often somebody came or went */
    uint64_t fingerprint;
    struct turn turn;
    struct queue queue;
    struct net net;
    struct world_node *nodes;
    struct world_ident *idents;
    struct world_ident *accounts;
    struct slice root;
    struct crypto crypto;
    struct rng identity_rng, crypto_rng, scenario_rng;
    struct limits limits;
    uint8_t *scratch; /* of whichever node has its turn */
    size_t scratch_bytes;
    struct msgbuf_pool buffers;
    struct io_outbox outbox;
    struct world_sent *sent; /* of this turn: completions that are due at once */
    uint32_t sent_count;
    uint32_t *answering; /* nodes that have answers for whoever asked (workload) */
    uint32_t answering_count;
    struct tls_fake_table tls;   /* of a made-up world */
    struct world_crypto *real;   /* of a real one, else NULL */
    struct world_disks *disks;   /* NULL: none */
    struct world_phones *phones; /* NULL: none */
    world_tamper *tamper;
    void *tamper_context;
    world_watch *watch;
    void *watch_context;
    struct metrics metrics;
    struct log log;
    struct buggify buggify;
};

/* The limits of a simulated node: those of a small peer, so that many fit into one memory. */
void world_limits(const struct world_settings *s, struct limits *l);
/* The node is no more: its connections, buffers and TLS objects go. */
void world_bury(struct world *w, uint32_t i, bool is_told);
