/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.h - the verification queue: messages for us that wait for their signature to be checked.
 *
 * Forwarding never waits behind it, since overlay_work drains it at the end of the turn within a
 * budget.  Two lanes: what keeps the ring together (and answers to us) goes first, but every fourth
 * message taken is of the other lane, so that neither starves.  What we send to ourselves goes
 * through here too: no recursion, one road for all.
 *
 * Limits:  `cap` messages, a quarter of which only the first lane may use; when a lane is full and
 * one link holds half of it, the newest of that link makes room for others; a request that has
 * waited for INBOX_AGE_US is dropped, since its sender has sent it again by then. */
#pragma once
#include "codec/fwd.h"
#include "core/turn.h"

enum { INBOX_AGE_US = 3000000, INBOX_LINKS = 256 /* links that are told apart */ };

enum inbox_lane { INBOX_FIRST, INBOX_SECOND, INBOX_LANES };

struct inbox_item {
    struct msgbuf *buf; /* the whole message */
    handle link;        /* 0: from ourselves */
    struct node_id previous_hop;
    uint64_t since_us;
    bool is_own;
    bool is_request;
};

struct inbox {
    struct inbox_item *items[INBOX_LANES];
    uint32_t cap[INBOX_LANES];
    uint32_t head[INBOX_LANES];
    uint32_t count[INBOX_LANES];
    uint32_t of_link[INBOX_LANES][INBOX_LINKS]; /* by index modulo: some may share */
    uint32_t taken;                             /* for taking turns between the lanes */
};

size_t inbox_bytes(uint32_t cap);
void inbox_init(struct inbox *in, struct arena *arena, uint32_t cap);

/* Copies `message`, whose decoded header is `h`; counted in a metric when there is no room. */
void inbox_push(struct turn *t, struct inbox *in, struct slice message, const struct fwd *h,
                handle link, const struct node_id *previous_hop);
/* A message of ours for ourselves; takes a reference to `buf`. */
void inbox_push_own(struct turn *t, struct inbox *in, struct msgbuf *buf, const struct fwd *h,
                    const struct node_id *self);
/* The next one; the caller releases out->buf. */
bool inbox_pop(struct turn *t, struct inbox *in, struct inbox_item *out);
uint32_t inbox_count(const struct inbox *in);
/* Message code of an unfragmented message, 0 when there is none. */
uint16_t inbox_code(const struct fwd *h);
