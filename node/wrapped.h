/* SPDX-License-Identifier: Apache-2.0 */
/* wrapped.h - connections of phones whose SIP stands in TLS, in WebSocket, or in both.
 *
 *   IO_ACCEPTED -> wrapped_accepted -> sip_flow_accepted, TLS begins
 *   IO_STREAM -> wrapped_stream -> TLS (link/stream_tls) -> WebSocket (link/ws_conn) ->
 *                sip_on_stream, or sip_on_web for each message
 *   SIP_SEND -> wrapped_send -> WebSocket -> TLS -> IO_OP_SEND
 *
 * The flow is there from the beginning, so sip/flow's deadlines cover handshakes too: 5 s until the
 * first SIP message, 30 s until it is known who it is, 15 minutes of silence.
 *
 * Owner:  struct node.
 * Limits: sip_wrapped, and those of sip/flow; handshakes_per_s and handshakes_per_host_s TLS
 *         handshakes begun.  RFC: 3261 26.3.1, 7118. */
#pragma once
#include "core/pool.h"
#include "link/pace.h"
#include "link/stream_tls.h"
#include "link/ws_conn.h"

struct node;
struct node_settings;

struct wrapped {
    handle conn;
    handle flow;            /* of sip/; 0 = it is over there */
    struct stream_tls *tls; /* NULL: none */
    handle outward;         /* of node/outward, until TLS is up; 0 = a phone's */
    bool is_outward;
    bool is_web;
    bool is_up; /* TLS handshake done, or none needed */
    struct ws_conn web;
};
STATIC_CHECK(sizeof(struct wrapped) <= 512); /* of LIMITS_COST_sip_wrapped */

struct wrapped_all {
    struct pool pool;
    struct stream_tls_table *streams;
    struct stream_tls_table *outward; /* of connections to other domains */
    struct pace pace;
};

size_t wrapped_bytes(const struct node_settings *s);
void wrapped_init(struct node *n, struct arena *arena, uint64_t secret);
/* The former credential, for the caller to retire. */
void *wrapped_use(struct node *n, void *tls_context);

void wrapped_accepted(struct turn *t, struct node *n, const struct io_event *event);
/* TLS as a client to `host`, for outward `who`.  False: no room, and the connection is the
 * caller's. */
bool wrapped_outward(struct turn *t, struct node *n, handle conn, handle who, const char *host);
/* Ends one that does not come up. */
void wrapped_give_up(struct turn *t, struct node *n, handle conn);
void wrapped_stream(struct turn *t, struct node *n, handle who, uint8_t *data, size_t len);
void wrapped_send(struct turn *t, struct node *n, handle who, struct slice message);
/* sip/ has closed the flow. */
void wrapped_close(struct turn *t, struct node *n, handle who);
/* The connection is gone. */
void wrapped_gone(struct turn *t, struct node *n, handle who);
