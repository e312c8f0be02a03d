/* SPDX-License-Identifier: Apache-2.0 */
/* home.h - the address of this machine changes while it runs.
 *
 * RFC 6940 6.5.1.3 has candidates gathered for each Attach; ours come from the configuration.
 * Where that names an address of this machine (links have had it on our side: no NAT, no forwarded
 * port), no link has it any more, and another comes up from a new one, the machine has moved, and
 * what we announce is where it is now.  Up: the other end has proved who it is, for anybody may
 * connect to any address of ours.  A machine with several addresses keeps what it announces as
 * long as one link is there that has it, and the configured address is announced again as soon as a
 * link has it.  Listeners must be bound to any address, as they are by default.
 *
 * Addresses at which links begin are numbered, for a number is all that a connection's record
 * keeps; the last HOME_PLACES_CAP are known, and to what is forgotten nobody moves.
 *
 * Owner: struct node.  Nothing is announced: family 0. */
#pragma once
#include "core/address.h"
#include "core/turn.h"

struct overlay;

enum { HOME_PLACES_CAP = 8 };

struct home {
    struct address configured;
    struct address announced;
    struct address places[HOME_PLACES_CAP]; /* number n at n % HOME_PLACES_CAP */
    uint32_t last;                          /* number given, from 1 */
    uint32_t place;                         /* of what is announced */
    bool is_proved;                         /* a link has had it */
};

void home_init(struct home *h, const struct address *configured);
static inline bool home_is_at(const struct home *h, const struct address *local)
{
    return address_is_same_host(local, &h->announced);
}
/* The number of the address at which a link has begun. */
uint32_t home_place(struct home *h, const struct address *local);
/* NULL: of what is announced, or no longer known. */
const struct address *home_elsewhere(const struct home *h, uint32_t place);
/* A link is up from `local`, which is not what we announce; no link that does is left, or
 * is_held. */
bool home_has_moved(const struct home *h, const struct address *local, bool is_held);
void home_move(struct turn *t, struct home *h, struct overlay *o, const struct address *to);
