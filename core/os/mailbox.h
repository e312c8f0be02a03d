/* SPDX-License-Identifier: Apache-2.0 */
/* mailbox.h - mail between shards: one single-producer single-consumer ring for each ordered pair
 * (a shard may mail itself: it arrives in its next turn).
 *
 * Members are the shards 0..n-1 and, as n, the control thread.  A mailed buffer stays the sender's:
 * the receiver reads it during one turn and gives it back; what is given back to one home goes
 * there as one chained item per turn, over the same rings.  Atomics stand in mailbox.c alone.
 * Limits: `cap` mails under way per pair; a full ring refuses. */
#pragma once
#include "core/arena.h"
#include "core/msgbuf.h"

struct mailbox;

struct mail {
    struct msgbuf *buf; /* may be NULL */
    uint64_t tag;
    uint16_t from; /* member */
    uint16_t mail; /* enum io_mail */
};

/* What an arena must have for mailbox_open. */
size_t mailbox_bytes(uint32_t shards, uint32_t cap);
/* NULL when the kernel gives no descriptors. */
struct mailbox *mailbox_open(struct arena *arena, uint32_t shards, uint32_t cap);
void mailbox_close(struct mailbox *m);

/* False when the ring is full; the buffer is then still the caller's.  The buffer must not be
 * shared (one reference): the receiver may write to it. */
bool mailbox_send(struct mailbox *m, uint32_t to, const struct mail *mail);
/* The next mail for `self`, or false.  Own buffers that came home are released into `pool`. */
bool mailbox_take(struct mailbox *m, uint32_t self, struct msgbuf_pool *pool, struct mail *out);
/* The receiver is done with the buffer of a mail (not for own mail: release that). */
void mailbox_give_back(struct mailbox *m, uint32_t self, uint32_t home, struct msgbuf *buf);
/* Sends home what was given back.  Call at the end of each turn, then mailbox_must_wake. */
void mailbox_flush(struct mailbox *m, uint32_t self);

bool mailbox_has_mail(struct mailbox *m, uint32_t self);

/* Going to sleep: announce, look once more, sleep only if there is nothing. */
bool mailbox_may_sleep(struct mailbox *m, uint32_t self);
void mailbox_awake(struct mailbox *m, uint32_t self);
/* True once for each sleep of `to`, for a sender that has mailed it since the last question. */
bool mailbox_must_wake(struct mailbox *m, uint32_t self, uint32_t to);

/* Waking: the ring of the sleeper (for MSG_RING), -1 when it has none; and its eventfd. */
void mailbox_set_ring(struct mailbox *m, uint32_t self, int ring);
int mailbox_ring(struct mailbox *m, uint32_t member);
int mailbox_descriptor(const struct mailbox *m, uint32_t member);
void mailbox_wake(struct mailbox *m, uint32_t member);

/* A flag that every member sees: the end. */
void mailbox_stop(struct mailbox *m);
bool mailbox_is_stopped(struct mailbox *m);
