/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - requests to domains that are not of the overlay (RFC 7904 4.1, RFC 3263).
 *
 * Off unless settings.foreign.  Only phones of this node may send there: outside a dialog with
 * digest, as to everybody; inside one, because the request comes over a flow of theirs, or with
 * digest.  What another peer asks for is refused as ever, so no node is a relay for strangers.
 *
 * A request is one struct foreign, which finds targets one after another (sip/resolve) and makes a
 * branch for each: the next when one says 503, does not answer at all or cannot be connected to
 * (RFC 3263 4.3), or after FOREIGN_PATIENCE_S of silence beside it.  While it looks for a target
 * or waits for a connection it counts as an open branch of its proxy.
 *
 * What is longer than FOREIGN_DATAGRAM_CAP goes by TCP where UDP was found, and by UDP only if no
 * connection can be had (RFC 3261 18.1.1).
 *
 * Connections (TCP, TLS) are dialled with an event SIP_DIAL, shared by all who want the same
 * address and, of TLS, the same domain, and kept as those of phones are, sip_foreign_flows of them:
 * of too many the one unused for longest is closed.  Never dialled: ports
 * below 1024, multicast and the like, ourselves, and ranges (private, loopback) that our own
 * address does not lie in.
 *
 * In a dialog our Record-Route entry of that side has a token without a flow (sip/hop): what a
 * phone sends with it goes to the next Route entry or else to the Request-URI, as 16.12 has it.
 *
 * Owner:  struct sip.  Limits: sip_foreign requests, of one source sip_foreign_per_source;
 *         sip_foreign_dials connections being set up, of one source a quarter of them;
 *         sip_foreign_flows connections, of one source sip_foreign_flows_per_source;
 *         FOREIGN_TRIES targets for one request. */
#pragma once
#include "sip/proxy.h"
#include "sip/resolve.h"

enum {
    FOREIGN_DATAGRAM_CAP = 1300,
    FOREIGN_TRIES = 6,
    FOREIGN_PATIENCE_S = 6,
    FOREIGN_WAIT_S = 15
};
enum foreign_timer { FOREIGN_TIMER = 1 };

struct foreign {
    struct wheel_timer timer;
    handle proxy;
    handle branch; /* the newest */
    handle dial;   /* that is waited for */
    uint16_t source;
    uint8_t tries;
    bool is_open;       /* counts as a branch */
    bool is_number;     /* in a dialog the host is one: see foreign.c, find_flow */
    uint8_t proved[16]; /* then: the domain that the dialog was made with, as struct flow.domain */
    bool is_instead;    /* TCP, since the request is too long for the UDP that was found */
    bool is_back;       /* and that came to nothing: UDP after all */
    bool was_refused;   /* a target that is not dialled from here */
    struct resolve_target target;
    char domain[DNS_NAME_CAP]; /* of the URI: what TLS has to prove */
    struct resolve resolve;
};
STATIC_CHECK(sizeof(struct foreign) <= LIMITS_COST_sip_foreign);

struct foreign_dial {
    struct resolve_target target;
    uint16_t source;
    uint8_t key[16]; /* of the domain, for TLS */
};
STATIC_CHECK(sizeof(struct foreign_dial) <= 128); /* of LIMITS_COST_sip_foreign_dials */

size_t foreign_bytes(const struct limits *l);
void foreign_init(struct sip *s, struct arena *arena);

/* Is `uri` of another domain, and may be asked for? */
bool foreign_is_wanted(const struct sip *s, const struct sip_uri *uri);
/* Sends the proxy's request to wherever `uri` leads; the proxy may be over afterwards.  `side`: in
 * a dialog what our token says of that side (sip/hop), else NULL. */
void foreign_begin(struct turn *t, struct sip *s, struct proxy *p, const struct sip_uri *uri,
                   const struct flow_ref *side);
/* A branch has ended with 503, or with nothing.  Call fork_settle afterwards. */
void foreign_on_failed(struct turn *t, struct sip *s, struct proxy *p, handle branch);
/* No further targets: it is cancelled, or somebody has answered. */
void foreign_stop(struct turn *t, struct sip *s, struct proxy *p);
void foreign_release(struct turn *t, struct sip *s, struct proxy *p);
/* Does the request come from a phone of this node, as far as its flow tells? */
bool foreign_is_from_phone(struct turn *t, struct sip *s, const struct sip_rx *rx);
/* sip_dialled and sip_on_dns (sip.h). */
handle foreign_dialled(struct turn *t, struct sip *s, handle tag, handle conn);
void foreign_on_dns(struct turn *t, struct sip *s, uint64_t tag, uint8_t *data, size_t len);
void foreign_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
