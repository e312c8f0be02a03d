/* SPDX-License-Identifier: Apache-2.0 */
/* peer_share.h - how many requests other than INVITE wait for one peer's answer, and for how many
 * of them one source waits.
 *
 * A peer says 100 to an INVITE, so one that is behind is known (flow_is_behind); to a MESSAGE it
 * says nothing until a phone has (RFC 4320 4.1), so nothing tells a flood from slow phones but
 * their number.  What belongs to a dialog is not counted: it goes first.
 *
 * Owner:  struct sip.  Limits: sip_asks_per_peer, sip_asks_per_source of them; beyond, 503 and
 *         METRIC_sip_refused_asks.  Counters are found by a hash: who shares one gets less, never
 *         more. */
#pragma once
#include "sip/flow.h"

enum { PEER_SHARES = 4096 };

size_t peer_share_bytes(void);
void peer_share_init(struct sip *s, struct arena *arena);
/* One more for `node`; false: too many.  `source` as struct proxy.source, 0: nobody's. */
bool peer_share_take(struct turn *t, struct sip *s, const struct node_id *node,
                     uint16_t source) MUST_USE;
/* It is answered, or over. */
void peer_share_give(struct sip *s, const struct node_id *node, uint16_t source);
