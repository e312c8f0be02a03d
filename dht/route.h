/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - where a message goes next: to us, over a link, or nowhere (RFC 6940 6.1, 10.3;
 * catalogue FW-1..FW-9, A-11, A-54).
 *
 * Looks at the Destination List only.  A plain function of the tables: no output, no state.
 * An opaque id leads nowhere here: who may have given it away (dht/via) puts in its place what it
 * stands for, and asks again (VL-5). */
#pragma once
#include "codec/fwd.h"
#include "core/metric.h"
#include "dht/chord_table.h"
#include "dht/ident.h"

struct route {
    const struct rl_params *params;
    const struct chord_table *table;
    const struct ident *self;
    const struct ident *const *accounts; /* others that live here: phones (design.md 6) */
    size_t account_count;
    handle way_in; /* until we are in the ring, messages of ours leave by this link */
};

enum route_verdict { ROUTE_LOCAL, ROUTE_FORWARD, ROUTE_DROP };

struct route_decision {
    enum route_verdict verdict;
    handle link;             /* FORWARD */
    struct node_id next_hop; /* FORWARD: at the other end of link */
    uint16_t strip_bytes;    /* entries naming ourselves, to be taken off the front (FW-2); also
                                where an opaque id stands behind them (DROP) */
    const struct ident *to;  /* LOCAL: who is addressed */
    bool to_resource;        /* LOCAL */
    struct ring_id resource; /* LOCAL and to_resource */
    enum metric why;         /* DROP: the one to count */
};

struct route_from {
    handle link; /* it is not sent back there unless that is where its Node-ID lives; 0: none */
    const struct slice *via_list; /* of a request: where it was; NULL: nowhere */
    bool is_own;                  /* made by ourselves: may leave by way_in */
    /* Rather nowhere, for a moment, than past a peer that disagrees about whose the message is. */
    bool may_wait;
};

/* Would a message of ours with this Destination List come to ourselves? */
bool route_is_ours(const struct route *r, struct slice destination_list);

/* What most messages that come in are, told quickly: to a Resource-ID alone that we are responsible
 * for; then *resource is its place.  False: route_decide says. */
static inline bool route_is_for_us(const struct route *r, const struct fwd *h,
                                   struct ring_id *resource)
{
    const struct fwd_destination *d = &h->first;
    if (h->destination_count != 1 || d->type != FWD_DESTINATION_RESOURCE ||
        d->id.len != IDS_RING_BYTES) {
        return false;
    }
    resource->hi = rd_at64(d->id.data);
    resource->lo = rd_at64(d->id.data + sizeof(uint64_t));
    return chord_table_is_responsible(r->table, *resource);
}

HOT void route_decide(const struct route *r, const struct fwd *h, const struct route_from *from,
                      struct route_decision *out);
