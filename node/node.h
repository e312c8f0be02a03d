/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - one shard of a super-peer: a peer of the overlay and its share of the phones.
 *
 * The same object runs on a core under core/os/shard and by the hundred in sim/world.  It does no
 * I/O: io events and expired timers come in, operations leave through turn->out.
 * Read node/path.c first: it tells each journey from top to bottom. */
#pragma once
#include "dht/overlay.h"
#include "sip/sip.h"

struct node_settings {
    struct overlay_settings overlay;
    struct sip_settings sip; /* account_count 0 and advertised.family 0: a storage-only peer */
    const struct tls_ops *tls;
    void *tls_context;
    const struct limits *limits;
};

struct node;

size_t node_bytes(const struct node_settings *s);
struct node *node_init(struct turn *t, struct arena *arena, const struct node_settings *s);
/* Begins to join the overlay. */
void node_start(struct turn *t, struct node *n);
/* Graceful end: new calls are refused, open transactions finish (at most drain_us), the peer leaves.
 * node_is_stopped says when. */
void node_stop(struct turn *t, struct node *n, uint64_t drain_us);
bool node_is_stopped(const struct node *n);

/* A turn is: node_on_event for each event, node_on_timers, node_on_flush. */
void node_on_event(struct turn *t, struct node *n, const struct io_event *event);
void node_on_timers(struct turn *t, struct node *n);
/* True: there is work left (the verification queue): do not wait before the next turn. */
bool node_on_flush(struct turn *t, struct node *n);

struct overlay *node_overlay(struct node *n);
struct sip *node_sip(struct node *n);
struct link_table *node_links(struct node *n);

/* Operations for people (ctl, resolve, fetch, ping) and for checkers.  Each that returned ERR_OK ends
 * in one answer with its tag (the low 32 bits are the caller's).  ERR_LIMIT: NODE_ANSWERS are open. */
enum { NODE_ANSWERS = 8, NODE_ANSWER_VALUES = 16, NODE_ANSWER_BYTES = 4096 };

struct node_answer {
    uint32_t tag;
    enum overlay_event_kind kind; /* OVERLAY_FETCHED, OVERLAY_PONG or OVERLAY_STORED */
    enum err error;
    uint16_t reload_error;
    uint32_t hops;
    uint64_t elapsed_us;
    struct node_id node_id;
    size_t value_count;  /* of `values`: those that fitted */
    size_t value_total;  /* that there were */
    struct overlay_value values[NODE_ANSWER_VALUES]; /* slices into `bytes` */
    uint8_t bytes[NODE_ANSWER_BYTES];
    size_t bytes_used;
};

enum err node_fetch(struct turn *t, struct node *n, const struct overlay_resource *resource,
                    uint32_t kind, uint32_t tag) MUST_USE;
enum err node_store(struct turn *t, struct node *n, const struct overlay_store *what,
                    uint32_t tag) MUST_USE;
enum err node_ping(struct turn *t, struct node *n, const struct overlay_resource *resource,
                   uint32_t tag) MUST_USE;
enum err node_ping_node(struct turn *t, struct node *n, const struct node_id *node_id,
                        uint32_t tag) MUST_USE;
/* The next finished answer, valid until the next node call; NULL when there is none. */
const struct node_answer *node_next_answer(struct node *n);
