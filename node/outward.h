/* SPDX-License-Identifier: Apache-2.0 */
/* outward.h - connections to SIP servers of other domains, from SIP_DIAL to the flow.
 *
 *   SIP_DIAL -> outward_dial -> IO_OP_CONNECT -> IO_CONNECTED -> outward_connected
 *     TCP: -> sip_dialled, and from then on it is like a phone's
 *     TLS: -> wrapped_outward (handshake, we are the client) -> outward_up: settings.outward judges
 *             the certificate for the domain that was asked for (RFC 5922 7) -> sip_dialled
 *
 * Whatever happens, sip_dialled is told once.
 *
 * Owner:  struct node.
 * Limits: sip_foreign_dials; OUTWARD_DEADLINE_S for connecting and TLS together. */
#pragma once
#include "core/pool.h"
#include "link/stream_tls.h"
#include "sip/sip.h"

enum { OUTWARD_DEADLINE_S = 10 };

struct node;
struct node_settings;

/* Who may be at the other end of TLS; `judge` NULL: no TLS to other domains. */
struct outward_trust {
    enum err (*judge)(void *context, const struct slice *chain, size_t count, struct slice domain,
                      uint64_t wall_ms);
    void *context;
    void *tls_context; /* a client's without a certificate */
};

struct outward {
    struct wheel_timer deadline;
    handle tag;  /* of sip_dialled */
    handle conn; /* 0: not connected yet */
    struct sip_dial dial;
};
STATIC_CHECK(sizeof(struct outward) <= 384); /* of LIMITS_COST_sip_foreign_dials */

size_t outward_bytes(const struct node_settings *s);
void outward_init(struct node *n, struct arena *arena);

/* Takes over the reference to `buf`. */
void outward_dial(struct turn *t, struct node *n, handle tag, struct msgbuf *buf);
void outward_connected(struct turn *t, struct node *n, const struct io_event *event);
/* TLS is up.  The flow; 0: whoever it is is not who was asked for, or nobody wants it. */
handle outward_up(struct turn *t, struct node *n, handle who, const struct stream_tls *tls);
/* The connection came to nothing. */
void outward_failed(struct turn *t, struct node *n, handle who);
void outward_on_timer(struct turn *t, struct node *n, struct wheel_timer *timer);
