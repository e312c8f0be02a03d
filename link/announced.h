/* SPDX-License-Identifier: Apache-2.0 */
/* announced.h - no reflector: who may be answered over UDP before he has proved anything (design.md
 * 6).
 *
 * BoringSSL has no cookie exchange, so a ClientHello is answered only towards an address that an
 * Attach has announced (the candidates of an AttachAns, which is signed).  It may come before the
 * answer that names its address (AT-15): then it is parked, unanswered.
 *
 * Owner:  embedded in a link_table; for files of link/ only.   Time: an argument.
 * Limits: `cap` announcements, ANNOUNCED_PER_NODE of one node, the oldest gives way;
 *         `parked_cap` parked datagrams of at most ANNOUNCED_PARKED_BYTES, one of an address,
 *         ANNOUNCED_PARKED_PER_HOST of a host, kept ANNOUNCED_PARKED_US: what exceeds that is
 *         dropped and counted. */
#pragma once
#include "codec/ids.h"
#include "core/arena.h"
#include "core/turn.h"

enum {
    ANNOUNCED_US = 8000000,       /* as long as an Attach waits for the link */
    ANNOUNCED_GRACE_US = 8000000, /* and whoever has begun to shake hands then is still known */
    ANNOUNCED_PER_NODE = 8,
    ANNOUNCED_PARKED_US = 2000000,
    ANNOUNCED_PARKED_PER_HOST = 4,
    ANNOUNCED_PARKED_BYTES = 1280,
};

struct announced_entry {
    struct address address;
    struct node_id node_id;
    uint64_t since_us;
};

struct announced_parked {
    struct address remote; /* family 0: taken out */
    uint16_t len;
    uint64_t since_us;
    uint8_t bytes[ANNOUNCED_PARKED_BYTES];
};

struct announced {
    struct announced_entry *entries; /* rings, in order of age */
    uint32_t cap, head, count;
    struct announced_parked *parked;
    uint32_t parked_cap, parked_head, parked_count;
};

size_t announced_bytes(uint32_t cap, uint32_t parked_cap);
void announced_init(struct announced *a, struct arena *arena, uint32_t cap, uint32_t parked_cap);

/* `id` has said, signed, that it can be met at `address`. */
void announced_add(struct turn *t, struct announced *a, const struct node_id *id,
                   const struct address *address);
/* May a ClientHello from there be answered? */
bool announced_has(const struct announced *a, uint64_t now_us, const struct address *address);
/* Was it `id` who announced it, lately? */
bool announced_is_by(const struct announced *a, uint64_t now_us, const struct address *address,
                     const struct node_id *id);

/* A ClientHello from an address that nobody has announced (yet). */
void announced_park(struct turn *t, struct announced *a, const struct address *remote,
                    struct slice datagram);
/* The one that waits from there, into `out`; empty when there is none. */
struct slice announced_take(struct turn *t, struct announced *a, const struct address *remote,
                            uint8_t out[ANNOUNCED_PARKED_BYTES]);
