/* SPDX-License-Identifier: Apache-2.0 */
/* strict.h - strict routers (RFC 2543), who put the next hop into the Request-URI, and the target
 * behind the last Route entry: before us (RFC 3261 16.4) and behind us (16.6 item 6).
 *
 * Before us: a request for a URI that this node has sealed as a Record-Route entry (sip/hop) is put
 * into the form that a loose router would have sent, and goes on as that: the entry comes back in
 * front of Route, the last entry becomes the Request-URI.
 *
 * Owner:  nobody.
 * Limits: STRICT_ROUTES_CAP bytes of Route before us, STRICT_TARGET_CAP of a Request-URI behind us;
 *         a longer one is left as it is. */
#pragma once
#include "sip/hop.h"

enum { STRICT_ROUTES_CAP = 2048, STRICT_TARGET_CAP = 1024 };

/* Did a strict router send it?  Then the request as it should be, in a buffer of the caller's;
 * NULL: no, or there is no room for it. */
struct msgbuf *strict_undo(struct turn *t, struct sip *s, const struct sip_rx *rx);
/* Where the first of the Route entries behind `ours` names a strict router: takes it, and ours, off
 * by way of `edit`, makes it the Request-URI, and puts `target` behind the others.  False: nothing
 * of it was done.  `last` has room for what `edit` borrows. */
bool strict_next(const struct sip_rx *rx, unsigned ours, struct slice target, struct sip_edit *edit,
                 char last[STRICT_TARGET_CAP]);
