/* SPDX-License-Identifier: Apache-2.0 */
/* relay.h - the message that goes out for the one that came in (RFC 3261 16.6, 16.7).
 *
 * Requests: Request-URI, Max-Forwards, our Via, Record-Route, our Route entries off, our
 * challenge's credentials off, the received mark.  Responses: our Via off.  All else stays byte for
 * byte. */
#pragma once
#include "sip/hop.h"

struct relay {
    const struct flow_ref *to;
    struct slice request_uri; /* empty: as it came */
    const char *branch;       /* TX_BRANCH_CAP bytes */
    struct slice path;        /* becomes Route (RFC 3327 5.3); may be empty */
    uint8_t max_breadth;
    unsigned pop_routes;
    bool drop_routes; /* outside a dialog: all Route headers */
    bool is_beyond;   /* what is left of Route is for others than our peers */
    bool record_route;
    bool drop_credentials;
};

enum { RELAY_VIA_CAP = 64 + TX_BRANCH_CAP + SIP_STATE_HOST_CAP };
/* Our Via towards `to`. */
struct slice relay_via(const struct sip *s, const struct flow_ref *to, const char *branch,
                       char out[RELAY_VIA_CAP]);
/* NULL: it does not fit, or no buffer (counted). */
struct msgbuf *relay_request(struct turn *t, struct sip *s, const struct sip_rx *rx,
                             const struct relay *how);
/* Does it say LOCATION_UNPROVED? */
bool relay_is_unproved(const struct sip_msg *m);

/* NULL also when no Via is left: the response was for us alone.  What peers alone say in a Warning,
 * LOCATION_UNPROVED, is not relayed for anybody else. */
struct msgbuf *relay_response(struct turn *t, struct sip *s, const struct sip_msg *m,
                              const struct flow_ref *from);
