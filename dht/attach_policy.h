/* SPDX-License-Identifier: Apache-2.0 */
/* attach_policy.h - what an Attach or AppAttach of a stranger may make us dial (design.md 6): the
 * four candidates of highest priority, of address ranges in which we stand ourselves, never ports
 * below 1024, and for one requester eight times a minute.  Trunks come before datagram links: they
 * carry more for less (AT-12).
 *
 * Limits: `requesters` remembered, the one seen longest ago gives way.  RFC 6940 6.5.1, 6.5.2. */
#pragma once
#include "codec/ids.h"
#include "core/address.h"
#include "core/turn.h"

enum { ATTACH_POLICY_DIALS = 4 };

/* What the overlay permits, and where we are ourselves. */
struct attach_policy_ours {
    const struct address *candidates;
    size_t candidate_count;
    bool trunks, datagrams;
};

struct attach_policy_dial {
    struct address address;
    bool is_datagram;
};

struct attach_policy_requester {
    struct node_id id;
    uint64_t used_us;
    struct bucket bucket;
};

struct attach_policy {
    struct attach_policy_requester *requesters;
    uint32_t cap;
    uint32_t count;
    uint32_t dials_per_minute;
};

size_t attach_policy_bytes(uint32_t requesters);
void attach_policy_init(struct attach_policy *ap, struct arena *arena, uint32_t requesters,
                        uint32_t dials_per_minute);

/* Takes one dial off the requester's allowance; false when it is used up. */
bool attach_policy_take(struct turn *t, struct attach_policy *ap, const struct node_id *requester);

/* May this address be dialled because somebody else has named it? */
bool attach_policy_allows(const struct attach_policy_ours *ours, const struct address *a);

/* The addresses worth dialling in an encoded candidate list, best first; 0 when there is none.
 * ERR_MALFORMED also for candidates with ICE (AT-4). */
enum err attach_policy_pick(struct slice candidates, const struct attach_policy_ours *ours,
                            struct attach_policy_dial out[ATTACH_POLICY_DIALS],
                            size_t *count) MUST_USE;
