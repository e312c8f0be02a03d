/* SPDX-License-Identifier: Apache-2.0 */
/* appattach.h - AppAttach: asking a node to dial our SIP listener, and being asked
 * (RFC 6940 6.5.2; catalogue AA-1..AA-4; RFC 7904 5.1).
 *
 * Only the exchange of candidates happens here; the connection is dialled and accepted by node/.
 * No state: the request is transact's, the dial node's. */
#pragma once
#include "dht/attach_policy.h"
#include "dht/overlay.h"
#include "dht/transact.h"

struct appattach {
    const struct rl_params *params;
    struct transact *transact;
    struct attach_policy *policy;
    const struct address *candidates; /* where our overlay SIP listener is reached */
    size_t candidate_count;
};

/* Asks `node_id` to dial us; the result has owner TRANSACT_APPATTACH and `tag`. */
enum err appattach_request(struct turn *t, const struct appattach *aa,
                           const struct node_id *node_id, uint16_t application,
                           uint64_t tag) MUST_USE;
/* Answers a request.  True: `event` (OVERLAY_APPATTACH_DIAL) says whom to dial. */
bool appattach_on_request(struct turn *t, const struct appattach *aa, const struct message *m,
                          struct overlay_event *event);
