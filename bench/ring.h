/* SPDX-License-Identifier: Apache-2.0 */
/* ring.h - a few real nodes in one process and one thread, with real certificates, real TLS and
 * real signatures, for bench/signed, bench/cluster and bench/saturate.
 *
 * A node has its turns one at a time, and the CPU time of each is added up.  Connections are either
 * pieces of memory (what they cost a kernel is left out) or TCP over loopback (it is in).  The
 * clock of the nodes is the ring's own: it stands still until somebody moves it. */
#pragma once
#include "core/os/mem.h"
#include "link/crypto_issue.h"
#include "link/tls_boring.h"
#include "node/answer.h"

enum {
    RING_NODES_CAP = 16,
    RING_CONNS = 64,
    RING_KIND = 0xf0000001, /* one value for each user, who signs it (USER-MATCH) */
    RING_BYTES_CAP = 4 << 20,
};

struct ring_ident {
    struct ident ident;
    struct crypto_key *key;
    uint8_t certificate[1536];
};

/* One end of a connection. */
struct ring_conn {
    handle self;
    bool is_open;
    bool is_told; /* its node knows of it */
    bool is_dialled;
    uint64_t tag;
    uint32_t other_node, other_conn;
    int fd;         /* loopback only */
    uint8_t *bytes; /* for this end */
    size_t at;      /* of which so many have been given */
    size_t len;     /* those that have not */
    uint32_t taken; /* bytes sent that the node has not been told of */
};

struct ring_node {
    struct ring_ident identity;
    struct tls_boring *tls;
    const struct ident *publish;
    struct node_settings settings;
    struct node *node;
    struct turn turn;
    struct rng rng;
    struct wheel wheel;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct metrics metrics;
    struct log log;
    struct mem shard_mem, mem; /* what is a shard's: buffers, outbox; and the node's */
    struct ring_conn conns[RING_CONNS];
    bool has_work;
    uint32_t short_turns; /* in a row, as in core/os/shard_turn.c */
    uint32_t first;       /* connection that is looked at */
    uint64_t busy_ns;     /* CPU time of all its turns */
    uint64_t turns;
};

struct ring_settings {
    uint32_t nodes;
    enum crypto_algorithm algorithms[RING_NODES_CAP]; /* of the nodes' keys */
    enum crypto_algorithm account_algorithm;
    uint32_t accounts;     /* users whose records can be stored */
    uint32_t certificates; /* known by their hash; 0: as many as without being told otherwise */
    bool is_loopback;
};

struct ring {
    struct ring_settings settings;
    struct limits limits;
    struct crypto_key *root_key;
    uint8_t root[CRYPTO_BORING_CERTIFICATE_CAP];
    struct slice root_der;
    struct ring_ident *accounts;
    struct ring_node *nodes;
    uint64_t now_us, wall_ms;
    int listener; /* loopback only */
};

/* Says what is wrong and ends the program. */
void ring_require(bool is_right, const char *what);
uint64_t ring_cpu_ns(void); /* of this thread */

/* All nodes have joined when it returns. */
void ring_open(struct ring *r, const struct ring_settings *s);
void ring_close(struct ring *r);
/* The turn of node i for calls from outside; ring_turn carries out what they ask for. */
struct turn *ring_begin(struct ring *r, uint32_t i);
/* One turn of node i: what has arrived, as far as a shard's turn takes it, its timers, its queue,
 * its output.  Its CPU time in ns. */
uint64_t ring_turn(struct ring *r, uint32_t i);
/* Bytes that have come for node i from node `from` and that it has not taken. */
size_t ring_coming(const struct ring *r, uint32_t i, uint32_t from);
/* Has node i bytes, timers or work to see to? */
bool ring_is_due(const struct ring *r, uint32_t i);
/* Turns of all nodes until none has anything to do at this time. */
void ring_settle(struct ring *r);
/* Lets `us` pass, with all timers. */
void ring_pass(struct ring *r, uint64_t us);

struct overlay_resource ring_resource(struct ring *r, uint32_t account);
/* Stores the record of each account, 100 bytes, through one node or another. */
void ring_store_all(struct ring *r);
uint64_t ring_metric(const struct ring *r, uint32_t i, enum metric which);

/* A FetchReq for the record of `account`, signed by node `from`; returns its length. */
size_t ring_make_fetch(struct ring *r, uint32_t from, uint32_t account, uint64_t transaction_id,
                       uint8_t *out, size_t cap);
