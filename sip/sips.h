/* SPDX-License-Identifier: Apache-2.0 */
/* sips.h - requests for sips URIs: over TLS at each hop, or not at all (RFC 3261 26.2.2, RFC 5630).
 *
 * Between peers all SIP is in TLS.  A phone that wants sips says so in the Contact that it
 * registers, over TLS; by a sip URI it is reachable as well.
 *
 * Owner: nobody. */
#pragma once
#include "sip/fork.h"
#include "sip/reply.h"

/* RFC 5630 6.1: the warn-code, then the text. */
#define SIPS_NOT_ALLOWED "380 SIPS Not Allowed: the callee is registered, but not by TLS"

/* A request that speaks of sips has come over TLS; false: it has not, and was answered. */
bool sips_may_come(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx);
/* May the request of `p` go to a phone over `to`?  *uri is the contact that it is for (empty: as it
 * came); a sips contact becomes a sip URI in `plain` (FORK_URI_CAP bytes) where the request is for
 * one. */
bool sips_may_go(const struct proxy *p, const struct flow_ref *to, struct slice *uri, char *plain);
