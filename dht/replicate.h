/* SPDX-License-Identifier: Apache-2.0 */
/* replicate.h - copies: where values must stand, and getting them there.
 *
 * One idea: each set knows which *members* (peers that we place copies on) have all of it. Whatever
 * happens - a Store, a join, a failure, a new range - only changes who should have it; a paced walk
 * over the sets sends what is missing until nothing is.  So nothing has to be remembered of an
 * event, and what got lost on the way is sent again.
 *
 *   owner of R:      all of topo_replicas() have R's sets (CH-6, CH-25, design.md 1)
 *   owner no more:   the new owner has them (ST-18)
 *   not even replica, for 60 s: offered to the owner once more, then dropped (CH-26)
 *   joiner (AP):     has all sets that it will own before it is told so (CH-12)
 *   leaving:         all copies of the sets that we own are where they belong, and the owners of
 *                    the others have answered since the ring last changed
 *
 * After a failure new members wait 30 s for their copies (CH-19); values stored meanwhile go there
 * at once.  A copy that is newer elsewhere (0x5, 0x9) is fetched (ST-16).
 *
 * StoreAns (settings.ack): leaves when a replica on another host has answered (any replica where
 * the neighbor table shows no other host), when all have failed, when there is none, or after 500
 * ms.  With OVERLAY_ACK_DISK it waits besides for the disk, and so does the answer to a copy, so
 * that whoever is told that it stands elsewhere may forget it.  Where the disk is late or fails the
 * promise is off, and answers leave as with OVERLAY_ACK_REPLICA (replicate_on_durable).
 *
 * Owner:  one for each overlay.  Requests go out as TRANSACT_REPLICATE.
 * Limits: `ops` requests under way, REPLICATE_PER_MEMBER to one member; `acks` answers that wait.
 */
#pragma once
#include "dht/store.h"
#include "dht/topo.h"
#include "dht/transact.h"

enum {
    REPLICATE_PER_MEMBER = 8,
    REPLICATE_JOINERS_CAP = 4,
    REPLICATE_ACK_MS = 500,
    REPLICATE_HOLD_DOWN_S = 30,
    REPLICATE_UNWANTED_S = 60,
    REPLICATE_HAND_OVER_S = 20, /* a joiner waits no longer */
    REPLICATE_LEAVE_S = 10,
};

struct replicate_settings {
    const struct rl_params *params;
    const struct ident *self;
    uint32_t max_message_bytes;
    struct store *store;
    struct sign *sign;
    struct transact *transact;
    const struct topo *topo;
    enum overlay_storage_ack ack;
    uint32_t ops;
    uint32_t acks;
};

enum replicate_event_kind {
    REPLICATE_HANDED_OVER, /* node_id has what it will own (error: as far as possible) */
    REPLICATE_LEFT,        /* our sets stand elsewhere: Leave may be sent */
};

struct replicate_event {
    enum replicate_event_kind kind;
    enum err error; /* ERR_TIMEOUT: some of it may be missing */
    struct node_id node_id;
};

struct replicate;

size_t replicate_bytes(const struct replicate_settings *s);
struct replicate *replicate_init(struct turn *t, struct arena *arena,
                                 const struct replicate_settings *s);

/* Verified requests for us; each is answered here, at once or later.  A Store with many values may
 * be false: nothing was done, it has to come again in another turn (sign_begin_message). */
bool replicate_on_store(struct turn *t, struct replicate *r, const struct message *m) MUST_USE;
/* And Stat.  False: what it asks for has to be proved first (dht/store_restore). */
bool replicate_on_fetch(struct turn *t, struct replicate *r, const struct message *m) MUST_USE;
void replicate_on_find(struct turn *t, struct replicate *r, const struct message *m);

/* What ended with owner TRANSACT_REPLICATE. */
void replicate_on_result(struct turn *t, struct replicate *r, const struct transact_result *result);
/* STORE_TIMER_REPLICATE and STORE_TIMER_REPLICATE_ACK. */
void replicate_on_timer(struct turn *t, struct replicate *r, struct wheel_timer *timer);
/* Everything up to `sequence` (dht/store_log) is on the disk; is_promised: waiting for the rest
 * makes sense. */
void replicate_on_durable(struct turn *t, struct replicate *r, uint64_t sequence, bool is_promised);
/* The topology has settled into something else. */
void replicate_on_change(struct turn *t, struct replicate *r, const struct topo_change *change);

/* As admitting peer: sends `joiner` all it will own, then REPLICATE_HANDED_OVER.  ERR_LIMIT: too
 * many join at once. */
enum err replicate_hand_over(struct turn *t, struct replicate *r,
                             const struct node_id *joiner) MUST_USE;
/* Makes sure of our sets elsewhere, then REPLICATE_LEFT, after REPLICATE_LEAVE_S at the latest. */
void replicate_leave(struct turn *t, struct replicate *r);
/* Another max-message-size; more than at first counts as that. */
void replicate_set_message_bytes(struct replicate *r, uint32_t max_message_bytes);
bool replicate_next(struct replicate *r, struct replicate_event *event);

/* Forgets everything under way and answers what waits: the overlay stops. */
void replicate_clear(struct turn *t, struct replicate *r);
/* Nothing under way and nothing missing as far as known, for checkers. */
bool replicate_is_settled(const struct replicate *r);
