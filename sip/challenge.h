/* SPDX-License-Identifier: Apache-2.0 */
/* challenge.h - the challenges of several branches in one response (RFC 3261 16.7 step 7).
 *
 * A request that two devices challenge has to answer both: what goes up is the last of the 401 and
 * 407 responses with the challenges of all of them.  Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

/* Response `m`, relayed, with the challenges that `best` holds added.  NULL: it does not fit
 * (counted). */
struct msgbuf *challenge_merge(struct turn *t, struct sip *s, const struct sip_msg *m,
                               const struct msgbuf *best);
