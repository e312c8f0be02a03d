/* SPDX-License-Identifier: Apache-2.0 */
/* targets.h - where a request goes: the target set of RFC 3261 16.5, and its branches.
 *
 * Each adds branches to a proxy whose state is PROXY_FORKING, or notes why there are none; who says
 * "settles" has asked fork_settle, so the proxy may be gone.
 *
 * Owner:  nobody; sip/fork has the branches. */
#pragma once
#include "sip/location.h"
#include "sip/proxy.h"

/* The contacts registered here, for AOR `account`; those of less than `top` come later, and 0 is
 * the highest of them. */
void targets_bindings(struct turn *t, struct sip *s, struct proxy *p, uint32_t account,
                      uint16_t top);
/* Whoever is registered here by that name: contacts, who keeps messages, who serves subscriptions.
 */
void targets_aor(struct turn *t, struct sip *s, struct proxy *p, struct slice aor, uint16_t top);
/* Nobody was there: the message is kept, where this node does that for the callee. */
void targets_keep(struct turn *t, struct sip *s, struct proxy *p);
/* What the Request-URI, a GRUU, says.  Settles. */
void targets_gruu(struct turn *t, struct sip *s, struct proxy *p);
/* What the overlay has said.  Settles. */
void targets_located(struct turn *t, struct sip *s, struct proxy *p, const struct location *l);
