/* SPDX-License-Identifier: Apache-2.0 */
/* replicate_inside.h - what replicate.c (requests, events), replicate_op.c (ours to others),
 * replicate_ack.c (StoreAns that wait), replicate_result.c (what became of ours) and
 * replicate_walk.c (who lacks what) share.  Nobody else includes it.
 *
 * Owner: the replicator. */
#pragma once
#include "dht/replicate.h"
#include "dht/store_fetch.h"
#include "dht/store_put.h"

enum {
    REPLICATE_INSIDE_OVERHEAD = 1400, /* of a message around its values: headers, two signatures */
    REPLICATE_INSIDE_NO_MEMBER = STORE_MEMBERS_CAP,
    REPLICATE_INSIDE_WITNESSES = 2 * CHORD_TABLE_NEIGHBORS, /* as many as topo_owner can name */
};

/* A peer that we place copies on; its number is a bit in store_set.placed. */
struct replicate_member {
    struct node_id id;
    struct ring_id at;
    uint64_t host;
    bool is_used;
    bool is_target;      /* one of topo_replicas() */
    bool is_joiner;      /* about to own what lies up to it */
    bool is_pass_whole;  /* joiner: was there when the walk began its present pass */
    bool is_missing;     /* joiner: lacked something in this pass */
    bool is_handed_over; /* for replicate_next, with `error` */
    enum err error;
    uint32_t under_way;     /* requests to it */
    uint32_t failures;      /* in a row */
    uint64_t since_us;      /* a link to it that is younger leads to another life of it */
    uint64_t hold_until_us; /* no old copies before: it comes in for one that failed (CH-19) */
    uint64_t not_before_us; /* ... after a failure */
    uint64_t refused_us;    /* when it last refused one; its next Update may change its mind */
    uint64_t deadline_us;   /* joiner */
    uint64_t kept_until_us; /* neither target nor joiner: what it has is remembered so long */
};

enum replicate_what {
    REPLICATE_FRESH,  /* values just stored, to a target; a StoreAns may wait for it */
    REPLICATE_COPY,   /* a whole set, to a target or joiner */
    REPLICATE_RETURN, /* a whole set, to its owner, because we no longer are */
    REPLICATE_NEWER,  /* Fetch: somebody has newer values than we */
};

struct replicate_op {
    enum replicate_what what;
    uint32_t member; /* or REPLICATE_INSIDE_NO_MEMBER */
    handle set;
    handle ack;
    handle request;
    uint64_t since;  /* stamp: values from here on are sent */
    uint64_t stamp;  /* of the store when sent: newer values are not in it */
    uint32_t from;   /* where the next message goes on, 0 = this is the last */
    uint16_t kinds;  /* of ack's that it brings, as bits */
    bool was_placed; /* FRESH: the member had everything else */
    struct node_id to;
};

/* A StoreAns that waits. */
struct replicate_ack {
    struct wheel_timer timer;
    handle deferred;
    struct msgbuf *body;
    uint32_t waiting;  /* ops */
    uint16_t kinds;    /* in the order of the request, as bits: of these no copy stands yet */
    uint64_t sequence; /* that the disk must have, 0 = none */
    bool needs_other_host;
    bool is_copied; /* no copy has to be waited for, or not any more */
};

/* Leaving: an owner of whom some set of ours says that he has it.  Has he answered since? */
struct replicate_witness {
    struct ring_id at;
    uint64_t asked_us;
    bool has_answered;
};

STATIC_CHECK(STORE_KINDS_CAP <= 16);

enum {
    REPLICATE_ANSWER_BYTES = STORE_KINDS_CAP * (4 + 8 + 2 + TOPO_REPLICAS_CAP * IDS_NODE_MAX) + 2,
};

struct replicate {
    struct replicate_settings s;
    struct replicate_member members[STORE_MEMBERS_CAP];
    struct pool ops;
    struct pool acks;
    struct wheel_timer timer;
    uint32_t walk_at; /* pool index of the next set */
    uint64_t durable; /* the disk has everything up to here */
    bool is_promised; /* ... and will have the rest */
    bool is_dirty;    /* something may be missing */
    bool is_missing;  /* something was, in this pass */
    bool is_again;    /* something changed during this pass */
    uint64_t next_pass_us;
    uint64_t return_after_us; /* owners that did not answer are left alone for a while */
    /* leaving */
    bool is_leaving;
    bool is_leave_pass; /* the pass began after we decided to leave */
    bool is_leave_missing;
    uint64_t leave_deadline_us;
    uint32_t witness_count; /* since the ring last changed */
    struct replicate_witness witnesses[REPLICATE_INSIDE_WITNESSES];
    bool may_tell;    /* some member may be handed over: replicate_next is asked in each turn */
    bool is_left;     /* for replicate_next */
    bool is_sweeping; /* the store is large: the next part of it soon */
    enum err left_error;
    uint8_t *answer; /* REPLICATE_ANSWER_BYTES */
    uint32_t scratch_bytes;
    uint8_t *scratch;
};

static inline uint16_t replicate_inside_bit(uint32_t member)
{
    return (uint16_t)(member < STORE_MEMBERS_CAP ? 1u << member : 0u);
}

/* Times of sets, which have no room for more. */
static inline uint32_t replicate_inside_seconds(const struct turn *t)
{
    return (uint32_t)(t->now_us / 1000000);
}

static inline uint32_t replicate_inside_mark(struct ring_id owner)
{
    return (uint32_t)(owner.hi >> 32) | 1;
}

static inline bool replicate_inside_is_vouched_by(const struct store_set *set, struct ring_id owner)
{
    return set->vouched_by == replicate_inside_mark(owner);
}

/* The owner at this place has this set now. */
static inline void replicate_inside_vouch(const struct turn *t, struct store_set *set,
                                          struct ring_id owner)
{
    set->vouched_by = replicate_inside_mark(owner);
    set->when_s = replicate_inside_seconds(t);
}

/* The witness at this place, NULL when he has not been asked. */
struct replicate_witness *replicate_inside_witness(struct replicate *r, struct ring_id at);
/* The walk: looks at sets within a budget, sends what is missing. */
void replicate_walk(struct turn *t, struct replicate *r);
/* Who are members now? */
void replicate_walk_members(struct turn *t, struct replicate *r);
/* Makes `joiner` a member; REPLICATE_INSIDE_NO_MEMBER when there are too many. */
uint32_t replicate_walk_joiner(struct turn *t, struct replicate *r, const struct node_id *joiner);
/* Something may be missing: walk soon, and once more to the end. */
void replicate_walk_dirty(struct turn *t, struct replicate *r);

/* replicate_op.c */

struct replicate_op *replicate_op_new(struct replicate *r, enum replicate_what what,
                                      uint32_t member, const struct store_set *set);
void replicate_op_end(struct replicate *r, struct replicate_op *op);
/* Sends what `op` says, from op->from on.  False: not sent; nothing has changed. */
bool replicate_op_send(struct turn *t, struct replicate *r, struct replicate_op *op, uint32_t from);
/* Everything that was sent to this member is forgotten. */
void replicate_op_cancel(struct turn *t, struct replicate *r, uint32_t member);

/* replicate_ack.c */

/* An original Store was carried out: copies leave first, the answer when one stands. */
void replicate_ack_original(struct turn *t, struct replicate *r, const struct message *m,
                            const struct store_put_outcome *out);
/* A copy was stored for somebody else; `body` is the answer. */
void replicate_ack_copy(struct turn *t, struct replicate *r, const struct message *m,
                        struct slice body);
/* `op` has ended, at a peer of `host`; it may be released already. */
void replicate_ack_result(struct turn *t, struct replicate *r, const struct replicate_op *op,
                          bool is_ok, uint64_t host);
/* What the disk has, or promises, has changed. */
void replicate_ack_durable(struct turn *t, struct replicate *r);
/* All that waits leaves now, but for what may not be said. */
void replicate_ack_clear(struct turn *t, struct replicate *r);
void replicate_ack_on_timer(struct turn *t, struct replicate *r, const struct wheel_timer *timer);

/* replicate_result.c: `op`, which is released already, has ended so; is_ok: all of its messages. */
void replicate_result_take(struct turn *t, struct replicate *r, const struct replicate_op *op,
                           const struct transact_result *result, bool is_ok);
