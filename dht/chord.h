/* SPDX-License-Identifier: Apache-2.0 */
/* chord.h - CHORD-RELOAD: this peer's place in the ring, how it gets there and keeps it
 * (RFC 6940 10; catalogue CH-1..CH-35, TM-1..TM-7).
 *
 *   IDLE -> SEEKING -> ASKING -> MEETING -> JOINING -> AWAITING -> MEMBER -> LEAVING -> LEFT
 *              ^          |         |          |           |          |
 *              +----------+---------+----------+-----------+----------+  again, after a while
 *
 *   SEEKING  looks for somebody in the ring: a sibling, or a bootstrap address
 *   ASKING   Attach to Resource-ID own + 1: who will admit us
 *   MEETING  Attaches to all who will be our neighbors, learnt from the admitting peer's Update
 *   JOINING  Join sent to the admitting peer
 *   AWAITING its copies arrive; its Update that names us makes us a member
 *
 * chord.c has the object and what comes in; chord_join.c the way in and admitting others;
 * chord_stabilize.c Updates, lost neighbors, fingers, the partition check.
 *
 * Owner:  one for each overlay; what overlay.c has to know is taken with chord_next. */
#pragma once
#include "dht/attach.h"
#include "dht/overlay.h"
#include "dht/route.h"
#include "dht/topo.h"

enum chord_state {
    CHORD_IDLE,
    CHORD_SEEKING,
    CHORD_ASKING,
    CHORD_MEETING,
    CHORD_JOINING,
    CHORD_AWAITING,
    CHORD_MEMBER,
    CHORD_LEAVING,
    CHORD_LEFT,
    CHORD_STATE_COUNT
};

enum {
    CHORD_LOST_CAP = 64,   /* nodes not to be attached to for a while (CH-20) */
    CHORD_UNMET_CAP = 2,   /* others that did not come: then we cannot be dialled */
    CHORD_JOINERS_CAP = 8, /* admitted at the same time */
};

enum chord_timer { CHORD_TIMER_STEP, CHORD_TIMER_UPDATE, CHORD_TIMER_PERIODIC, CHORD_TIMER_TICK };

enum chord_scope { CHORD_NOBODY, CHORD_NEAREST, CHORD_NEIGHBORS, CHORD_EVERYBODY };

enum chord_event_kind {
    CHORD_EVENT_READY,     /* joined or founded */
    CHORD_EVENT_LOST,      /* no neighbor left; seeking again */
    CHORD_EVENT_LEFT,      /* Leave was sent to all and is done */
    CHORD_EVENT_CHANGED,   /* `change`, for storage */
    CHORD_EVENT_HAND_OVER, /* `node_id` joins: give it what it will own, then chord_handed_over */
};

struct chord_event {
    enum chord_event_kind kind;
    struct node_id node_id;
    struct topo_change change;
};

struct chord_settings {
    const struct overlay_settings *overlay;
    const struct rl_params *params;
    struct chord_table *table;
    struct route *route;
    struct attach *attach;
    struct transact *transact;
    struct link_table *links;
};

/* A node that was lost, has left, or could not be reached. */
struct chord_lost {
    struct node_id id;
    uint64_t until_us;
    uint32_t tries;
    bool has_left; /* in good order: it is not called back */
};

/* Who answered an Attach of ours, so dials us, and did not come. */
struct chord_unmet {
    struct node_id node_id;
    uint64_t until_us; /* remembered so long */
};

struct chord_joiner {
    struct node_id id;
    bool is_used;
    bool is_told; /* overlay.c has been given CHORD_EVENT_HAND_OVER */
};

struct chord {
    struct chord_settings s;
    enum chord_state state;
    uint64_t started_us; /* of the daemon's life: uptime */
    /* the way in */
    struct wheel_timer step;
    uint64_t seeking_since_us;
    uint32_t attempts;   /* since we were last a member */
    uint32_t meet_tries; /* seconds in MEETING, where each attach may take some */
    uint32_t bootstrap_next;
    handle dial; /* link being dialled or used towards a bootstrap node */
    struct node_id bootstrap_ids[OVERLAY_BOOTSTRAP_CAP]; /* learnt; zeros: not yet */
    struct node_id admitting;
    handle join_request;
    bool was_admitted; /* AWAITING: only neighbors still to be met */
    bool is_early;     /* while ASKING an Update came, and nobody named in it was met */
    bool was_member;   /* ever: may found again when all others are gone */
    bool is_dialled;   /* by others, over the network: so we can be */
    struct chord_unmet unmet[CHORD_UNMET_CAP];
    bool is_going; /* chord_leave will be called: who is alone then is not lost */
    struct chord_joiner joiners[CHORD_JOINERS_CAP];
    /* stabilisation */
    struct wheel_timer update;
    struct wheel_timer periodic;
    uint32_t calm_s; /* until the next periodic Update: short after a change, then longer */
    struct wheel_timer tick;
    enum chord_scope scope;     /* who gets the next Update */
    uint64_t updates_next_us;   /* a change is made known then at the earliest */
    uint64_t everybody_next_us; /* those who are not neighbors get one a second at most */
    struct chord_lost lost[CHORD_LOST_CAP];
    uint32_t lost_end; /* behind the last of them that is in use */
    uint64_t finger_next_us[CHORD_TABLE_FINGERS];
    uint8_t finger_tries[CHORD_TABLE_FINGERS];
    uint64_t partition_next_us;
    uint64_t alarm_until_us; /* something has gone wrong, and the network may have fallen apart */
    uint64_t crowded_us;     /* when we last had two neighbors or more */
    uint32_t leaves_open;
    /* for chord_next */
    uint64_t seen_version;
    struct ring_id seen_from;
    struct topo_change change;
    bool has_change;
    bool is_ready_due;
    bool is_lost_due;
    bool is_left_due;
};

void chord_init(struct chord *c, const struct chord_settings *s);
void chord_start(struct turn *t, struct chord *c);
/* overlay_take_ring. */
void chord_take_ring(struct turn *t, struct chord *c);
/* Storage is being seen to: chord_leave will follow.  Whoever is alone by then has lost nothing. */
void chord_will_leave(struct chord *c);
/* Sends Leave to everybody, then CHORD_EVENT_LEFT; storage has been seen to before. */
void chord_leave(struct turn *t, struct chord *c);
/* Cancels timers, forgets everything under way. */
void chord_clear(struct turn *t, struct chord *c);

void chord_on_link(struct turn *t, struct chord *c, const struct link_event *event, uint64_t host);
void chord_on_timer(struct turn *t, struct chord *c, struct wheel_timer *timer);
void chord_on_result(struct turn *t, struct chord *c, const struct transact_result *result);
void chord_on_attached(struct turn *t, struct chord *c, const struct attach_event *event);
/* Join, Leave, Update and RouteQuery requests. */
void chord_on_request(struct turn *t, struct chord *c, const struct message *m);
/* The joiner has all it will own (or what could be given). */
void chord_handed_over(struct turn *t, struct chord *c, const struct node_id *joiner);

/* Once a turn: acts on changes of the table. */
void chord_settle(struct turn *t, struct chord *c);
bool chord_next(struct chord *c, struct chord_event *event);

uint32_t chord_fingers(const struct chord *c);

/* Between the three files. */

/* Shall we have this node as a neighbor? Then Attach, through `informer` (AT-17; NULL: nobody). */
void chord_consider(struct turn *t, struct chord *c, const struct node_id *id,
                    const struct node_id *informer);
void chord_consider_list(struct turn *t, struct chord *c, struct slice nodes,
                         const struct node_id *informer);
void chord_become_member(struct turn *t, struct chord *c);
