/* SPDX-License-Identifier: Apache-2.0 */
/* dtls_peer.h - the far ends of datagram links for bench/dtls: a DTLS client on a UDP socket of its
 * own, frames by hand, trains in and out (core/os/gso.h).
 *
 * It repeats nothing: whoever drives it keeps so little under way that nothing is lost. */
#pragma once
#include "bench/transit_peer.h"
#include "core/io.h"

enum { DTLS_PEER_ACK_EVERY = 16, DTLS_PEER_BURST = 32 };

struct dtls_peer {
    struct transit_peer end;
    int fd;
    struct address local;
    struct frame_window window;
    uint32_t owed;               /* frames that no ACK has spoken for */
    struct frame_window numbers; /* of messages that have come */
    uint64_t repeats;            /* messages that have come again */
    uint64_t acks;               /* received */
    uint64_t acks_sent;          /* by us */
    uint64_t sent_to;            /* messages that others have sent to this one */
    uint64_t sent_to_sum;        /* of their transaction ids */
};

/* Binds a socket, towards `node`. */
void dtls_peer_open(struct dtls_peer *p, const struct transit_ca *ca, uint32_t number,
                    const struct address *node);
void dtls_peer_close(struct dtls_peer *p);
/* Shakes hands, waiting for it.  The node must have been told of p->local. */
void dtls_peer_shake(struct dtls_peer *p);
/* Sends `count` messages to another one, no two of them equal, as one train. */
void dtls_peer_send(struct dtls_peer *p, const struct transit_load *load, struct dtls_peer *to,
                    uint32_t count);
/* Takes what has come; after DTLS_PEER_ACK_EVERY frames an ACK leaves. */
void dtls_peer_receive(struct dtls_peer *p);
/* Sends the ACK that is owed, if one is. */
void dtls_peer_acknowledge(struct dtls_peer *p);
