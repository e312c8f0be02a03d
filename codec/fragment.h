/* SPDX-License-Identifier: Apache-2.0 */
/* fragment.h - cutting a message for a link that carries only so many bytes at once (RFC 6940 6.7;
 * catalogue FR-1..FR-4).
 *
 * Arithmetic only: fragment_plan says into how many pieces, fragment_wr writes the header of each
 * and names its bytes, in the two parts that link_send wants.  A fragment in transit is cut like a
 * whole message; its pieces keep their place in the message that it is a part of.  Putting together
 * again: dht/frag.  Trunks are TLS and carry whole messages; dht/cut calls this for datagram links.
 *
 * Owner: slices are borrowed from the message. */
#pragma once
#include "codec/fwd.h"

enum {
    FRAGMENT_PAYLOAD_MIN = 256, /* FR-2: every fragment carries so many bytes of the message */
    FRAGMENT_VIA_ROOM = 32,     /* FR-3: left free in each piece, since the Via List grows */
};

struct fragment_plan {
    uint32_t pieces;      /* 1: the message goes as it is */
    uint32_t piece_bytes; /* payload of a piece */
    uint32_t longer;      /* so many, the first ones, carry one byte more */
};

/* How to send the decoded message `h` over a link on which a message may have `room` bytes: what
 * the PMTU leaves behind the headers of IP and UDP, the DTLS record and the frame; 0: any number.
 * The pieces are equal to within one byte and have at most room - FRAGMENT_VIA_ROOM bytes each.
 * ERR_TOO_LARGE: no such pieces with FRAGMENT_PAYLOAD_MIN bytes each.  Then it is sent whole, and
 * IP may fragment it (FR-2). */
enum err fragment_plan(const struct fwd *h, size_t room, struct fragment_plan *out) MUST_USE;

/* Writes the header of piece `index` and gives the bytes that belong behind it. */
void fragment_wr(struct wr *w, const struct fwd *h, const struct fragment_plan *p, uint32_t index,
                 struct slice *payload);

/* Turns the header at `message`, that of a fragment, into that of a whole message of `length`
 * bytes. */
void fragment_put_whole(uint8_t *message, uint32_t length);
