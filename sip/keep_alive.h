/* SPDX-License-Identifier: Apache-2.0 */
/* keep_alive.h - STUN on the port of the phones: how a phone keeps its NAT binding over UDP, and
 * learns that it has changed (RFC 5626 4.4.2, 8; RFC 8489 12).
 *
 * Told apart by the first byte and the magic cookie.  An answer goes to where the request came
 * from, nothing is kept; it is 12 bytes (IPv6: 24) longer than the shortest request.  Whoever
 * presents credentials gets the same answer: there is nothing to protect.
 *
 * Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

/* Could it be STUN?  SIP never begins so. */
static inline bool keep_alive_is_stun(const uint8_t *data, size_t len)
{
    return len > 0 && data[0] <= 3;
}
void keep_alive_on_stun(struct turn *t, struct sip *s, const struct flow_ref *from,
                        struct slice datagram);
