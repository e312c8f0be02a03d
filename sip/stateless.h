/* SPDX-License-Identifier: Apache-2.0 */
/* stateless.h - requests forwarded without a transaction, and their responses (RFC 3261 16.11).
 *
 * A transaction gains something where a request forks, where somebody has to be told to wait, and
 * where one side of us is reliable and the other is not.  A request inside a dialog, other than
 * INVITE, from a datagram to a datagram, has none of this: it has one way, both parties repeat what
 * is lost, and RFC 4320 forbids us to say anything in between.  The same goes for the way from
 * datagram to datagram by way of the connection between two peers, where the first of them has
 * forwarded it statelessly, which its branch tells: then repetitions come through to the second.
 * Nor does an ACK of a 2xx gain anything: nobody answers it.
 *
 * The branch is a keyed hash of the request's own topmost Via and of what its response will carry
 * too, so a retransmission leaves with the same branch as the first transmission, and a response is
 * passed on only where we have forwarded its request: nobody can have us send what he likes to whom
 * he likes.  Branch: z9hG4bK, four hex digits of the shard, 24 of the hash, '.', 16 of the loop
 * mark.
 *
 * Owner: nobody. */
#pragma once
#include "sip/sip_state.h"

/* True: it was a request of this sort, and was forwarded, refused or (an ACK) dropped. */
bool stateless_request(struct turn *t, struct sip *s, const struct sip_rx *rx);
/* True: its topmost Via is of this sort; it was passed on, or dropped and counted.  False also when
 * the shard that is named there has to do it. */
bool stateless_response(struct turn *t, struct sip *s, const struct sip_rx *rx);
