/* SPDX-License-Identifier: Apache-2.0 */
/* parked.h - messages that cannot be passed on this moment, while the ring around us is changing:
 * a joiner that is not a member yet, a neighbor that is the only peer and believes the message
 * ours. Their turn comes again every PARKED_WAIT_US, at most PARKED_TRIES times; without that the
 * sender's retransmission would repair it 3 s later.
 *
 * Limits: PARKED_CAP messages, PARKED_PER_LINK from one link; more are dropped and counted as
 * before. */
#pragma once
#include "codec/ids.h"
#include "core/turn.h"

enum { PARKED_CAP = 32, PARKED_PER_LINK = 8, PARKED_TRIES = 10, PARKED_WAIT_US = 100000 };

struct parked_item {
    struct msgbuf *buf;
    handle link;
    struct node_id previous_hop;
    uint32_t tries;
};

struct parked {
    struct wheel_timer timer;
    struct parked_item items[PARKED_CAP];
    uint32_t count;
};

void parked_init(struct parked *p);
/* Copies the message; false when it must be dropped: no room, or tried often enough (`tries` is
 * what parked_take gave, 0 for a new one). */
bool parked_push(struct turn *t, struct parked *p, struct slice message, handle link,
                 const struct node_id *previous_hop, uint32_t tries);
/* The timer is due: all that is parked now, one by one; the caller releases out->buf.  Take `*left`
 * = parked_count first: what is pushed meanwhile waits for the next time. */
bool parked_take(struct parked *p, uint32_t *left, struct parked_item *out);
void parked_clear(struct turn *t, struct parked *p);
