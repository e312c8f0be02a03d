/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - one shard of a super-peer: a peer of the overlay and its share of the phones.
 *
 * The same object runs on a core under core/os/shard and by the hundred in sim/world.  It does no
 * I/O: io events and expired timers come in, operations leave through turn->out.
 * Read node/path.c first: it tells each journey from top to bottom. */
#pragma once
#include "dht/overlay.h"
#include "link/link.h"
#include "node/outward.h"
#include "node/persist.h"
#include "sip/sip.h"

struct node_settings {
    struct overlay_settings overlay;
    struct sip_settings sip; /* account_count 0 and advertised.family 0: a storage-only peer */
    const struct tls_ops *tls;
    void *tls_context;
    void *sip_tls_context;        /* for phones by TLS: a server's alone; NULL = none */
    const char *sip_ws_origins;   /* that browsers may come from, separated by spaces; "" = any */
    struct outward_trust outward; /* TLS to other domains */
    const struct limits *limits;
    const struct persist_ops *persist; /* NULL: what is stored does not outlive the process */
    void *persist_context;
};

struct node;

size_t node_bytes(const struct node_settings *s);
struct node *node_init(struct turn *t, struct arena *arena, const struct node_settings *s);
/* Begins to join the overlay. */
/* For whoever drives many nodes in one thread, as the simulator does: asks the memory for what the
 * next turn of this one will read, which may be about connection `conn` (0: it is not).  Steps are
 * taken in this order, the one before at least some hundred nanoseconds earlier.  Changes nothing.
 */
enum node_ahead { NODE_AHEAD_NODE, NODE_AHEAD_TABLES, NODE_AHEAD_LINK };
void node_fetch_ahead(const struct node *n, handle conn, enum node_ahead step);
void node_start(struct turn *t, struct node *n);
/* Graceful end: new calls are refused, open transactions finish (at most drain_us), the peer
 * leaves. node_is_stopped says when. */
void node_stop(struct turn *t, struct node *n, uint64_t drain_us);
bool node_is_stopped(const struct node *n);

/* A turn is: node_on_event for each event, node_on_timers, node_on_flush. */
void node_on_event(struct turn *t, struct node *n, const struct io_event *event);
void node_on_timers(struct turn *t, struct node *n);
/* True: there is work left (the verification queue): do not wait before the next turn. */
bool node_on_flush(struct turn *t, struct node *n);

/* An overlay document that another node has sent, to be judged by whoever can (takes_documents of
 * the settings); false: none.  Each is given once; `document` is good until it is judged, and
 * another one comes only then. */
bool node_next_document(struct node *n, struct node_id *from, struct slice *document);
/* 0: it is ours now, and node_set_config has said so; else the RELOAD error to be answered. */
void node_document_judged(struct turn *t, struct node *n, uint16_t error_code);
/* Another document takes effect (overlay_set_config). */
void node_set_config(struct turn *t, struct node *n, const struct overlay_change *c);

/* Another credential for phones that connect from now on; gives back the former one. */
void *node_set_sip_tls(struct node *n, void *tls_context);

struct overlay *node_overlay(struct node *n);
struct sip *node_sip(struct node *n);
struct link_table *node_links(struct node *n);
