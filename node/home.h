/* SPDX-License-Identifier: Apache-2.0 */
/* home.h - the address of this machine changes while it runs.
 *
 * RFC 6940 6.5.1.3 has candidates gathered for each Attach; ours come from the configuration.
 * Where that names an address of this machine (links have had it on our side: no NAT, no forwarded
 * port), no link has it any more, and another begins from a new one, the machine has moved, and
 * what we announce is where it is now.  A machine with several addresses keeps what it announces as
 * long as one link is there that has it, and the configured address is announced again as soon as a
 * link has it.  Listeners must be bound to any address, as they are by default.
 *
 * Owner: struct node.  Nothing is announced: family 0. */
#pragma once
#include "core/address.h"
#include "core/turn.h"

struct overlay;

struct home {
    struct address configured;
    struct address announced;
    uint32_t stay;  /* how often it was another one, from 1 */
    bool is_proved; /* a link has had it */
};

void home_init(struct home *h, const struct address *configured);
static inline bool home_is_at(const struct home *h, const struct address *local)
{
    return address_is_same_host(local, &h->announced);
}
/* A link has begun from `local`, which is not what we announce; no link that does is left, or
 * is_held. */
bool home_has_moved(const struct home *h, const struct address *local, bool is_held);
void home_move(struct turn *t, struct home *h, struct overlay *o, const struct address *to);
