/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing.h - the way out for messages of our own, and the way back for answers.
 *
 * A whole encoded message is routed like any other; when it turns out to be for ourselves it goes
 * to the verification queue without touching a link.
 * RFC 6940 6.2.1, 6.2.2 (VL-2..VL-4, FW-10). */
#pragma once
#include "core/turn.h"
#include "dht/inbox.h"
#include "dht/route.h"
#include "link/link.h"

struct outgoing {
    const struct route *route;
    struct inbox *inbox;
    struct link_table *links;
};

/* Sends `buf` (which stays the caller's).  `link`: leave by it, 0: as routed; `avoid`: a link not
 * to be taken.  What cannot be sent is counted; retransmission repairs it. */
void outgoing_send(struct turn *t, struct outgoing *og, struct msgbuf *buf, handle link,
                   handle avoid);

/* The same message of `who`, signed, of `max_bytes` at most, for what was left open
 * (sign_leave_open) since it was for ourselves and has to leave now.  In a buffer of its own, which
 * is the caller's, since the open one may still wait to be read.  NULL, and counted: no room. */
struct msgbuf *outgoing_seal(struct turn *t, const struct outgoing *og, struct sign *sign,
                             const struct ident *who, const struct msgbuf *open, size_t max_bytes);

/* A message that was passed on or made here and never acknowledged by a link that is gone: once
 * more, by the next-best way (design.md 5).  False: nothing was done, since it is for ourselves by
 * now (the dead peer was our predecessor), where it has to be received. */
bool outgoing_send_again(struct turn *t, struct outgoing *og, struct slice message,
                         handle dead_link);

/* The Destination List of an answer: who handed us the request, then its Via List from the last to
 * the first (VL-3).  Ourselves as previous hop (a message that came back to us when a link died)
 * are left out where others follow. */
void outgoing_wr_return(struct wr *w, const struct rl_params *p, const struct node_id *self,
                        const struct node_id *previous_hop, struct slice via_list);

/* Is there a way back at all?  One entry more stands in the answer's Destination List than in the
 * Via List, and that may be one too many. */
bool outgoing_has_return(const struct rl_params *p, struct slice via_list);
