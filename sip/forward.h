/* SPDX-License-Identifier: Apache-2.0 */
/* forward.h - a user's own forward: AOR to AOR (RFC 7904 3.1).
 *
 * A REGISTER with a Contact that is another address of record of this overlay
 * (<sip:bob@example.org>) says that calls go there.  While it lasts, the account's record names
 * that AOR (sip_registration_uri) instead of this peer, callers follow it themselves
 * (sip/location), and the account's contacts here are not called.  The record is signed by the
 * account's own credential, so nobody forwards anybody else; whom it leads to is not asked
 * (RFC 7904 3.3).
 *
 * A record has one value for each credential, so there is one forward, and no route beside it: from
 * this node the account cannot call, since nothing in the overlay says that this peer may speak for
 * it (design.md section 6).
 *
 * Owner:  nobody: it is a binding of the registrar, and counts as one.
 * Limits: one forward of an account. */
#pragma once
#include "sip/asked.h"

/* Is that contact of `owner` a forward?  Its own AOR is none. */
bool forward_is_one(const struct sip *s, const struct sip_uri *contact,
                    const struct sip_uri *owner);
/* The one that is in force; NULL: none. */
const struct registrar_binding *forward_now(const struct turn *t, const struct sip *s,
                                            uint32_t account);
/* The AOR to be stored when `asked` (NULL: nothing) will have been applied; false: a route. */
bool forward_wanted(const struct sip *s, uint32_t account, const struct asked *asked,
                    char aor[SIP_STATE_AOR_CAP], size_t *len);
