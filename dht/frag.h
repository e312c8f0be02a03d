/* SPDX-License-Identifier: Apache-2.0 */
/* frag.h - reassembly: fragments that are for us, until their message is whole (RFC 6940 6.7;
 * catalogue FR-5..FR-9).  What it gives is an unsigned claim like any message that has just come
 * in: it goes the same way, and its signature is looked at behind the verification queue (SG-1).
 *
 * A message is known by its transaction id, whether it answers us (an id and its answer are the
 * same number), and by the neighbor that hands us the fragments.  The last keeps strangers out of
 * each other's way: whoever knows the id can spoil what comes through himself, nothing else.
 * Fragments of one message may still come by two ways, since routes change: what two neighbors have
 * sent is joined when it makes one message and agrees in every byte that both have sent.  It is
 * given once, and both keep what they have, so that a liar costs the honest no more than one
 * signature checked in vain.  Fragments that contradict what the same neighbor sent before end the
 * message.
 *
 * The header is that of the first fragment with offset 0 (FR-9).
 *
 * Owner:  one for each overlay.
 * A message that was given is remembered, without its bytes, for quiet_us: fragments that a link
 * delivers twice are no second message.  Later the sender may be repeating it.
 *
 * Limits: max_message_bytes without the Via List, which grows on the way; FRAG_HOLD_BYTES in all.
 *         Messages and bytes, in total and for each neighbor; FRAG_LIFE_US from the first fragment
 *         to the last.  A neighbor that has its share loses a message that was given, or the one
 *         that nothing was heard of for longest if that is quiet_us or more, and is refused
 *         otherwise: the sender will repeat all of it.  Where the total is used up, the neighbor
 *         that holds more than the newcomer would loses one in any case. */
#pragma once
#include "codec/fwd.h"
#include "core/turn.h"

enum { FRAG_LIFE_US = 15000000 };

struct frag_settings {
    uint32_t messages;
    uint32_t messages_per_source; /* 0: any number */
    uint32_t bytes;
    uint32_t bytes_per_source; /* 0: any number */
    uint32_t max_message_bytes;
    uint64_t quiet_us; /* less than it takes senders to repeat a message */
};

struct frag;

size_t frag_bytes(const struct frag_settings *s);
struct overlay_config;
/* Another max-message-size and timer. */
void frag_set_config(struct frag *fg, const struct overlay_config *config);
struct frag *frag_init(struct turn *t, struct arena *arena, const struct frag_settings *s);

struct frag_arrival {
    struct slice message; /* one fragment, whose decoded header is `h` */
    const struct fwd *h;
    bool is_answer; /* a request of ours waits under this transaction id (FR-6) */
    handle link;
    const struct node_id *previous_hop;
};
/* Takes a copy of the fragment, or drops it and counts why.  Call frag_next afterwards. */
void frag_push(struct turn *t, struct frag *fg, const struct frag_arrival *a);

struct frag_message {
    struct msgbuf *buf; /* the whole message; the caller releases it */
    handle link;        /* that the header came by */
    struct node_id previous_hop;
};
/* The message that the last frag_push completed; false when it did not. */
bool frag_next(struct frag *fg, struct frag_message *out);

void frag_on_timer(struct turn *t, struct frag *fg, struct wheel_timer *timer);
void frag_clear(struct turn *t, struct frag *fg);

struct frag_totals {
    uint32_t messages, sources, bytes;
};
void frag_totals(const struct frag *fg, struct frag_totals *out);
