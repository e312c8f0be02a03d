/* SPDX-License-Identifier: Apache-2.0 */
/* chord_stabilize.h - keeping the ring whole: Updates, lost neighbors, fingers, the partition check
 * (RFC 6940 10.7).
 *
 * Part of dht/chord; its state is in struct chord.  Reactive: a change of the neighbors is told
 * within CHORD_STABILIZE_UPDATE_MS, those that follow within a second in one Update. */
#pragma once
#include "dht/chord.h"

enum {
    CHORD_STABILIZE_UPDATE_MS = 100,
    CHORD_STABILIZE_TICK_MS = 1000,
    CHORD_STABILIZE_NEAREST = 4
};

void chord_stabilize_start(struct turn *t, struct chord *c);
void chord_stabilize_stop(struct turn *t, struct chord *c);
void chord_stabilize_on_timer(struct turn *t, struct chord *c, enum chord_timer what);

/* What is done once a second while there is something to do, begins now at the latest. */
void chord_stabilize_wake(struct turn *t, struct chord *c);
/* The neighbors have changed: periodic Updates come soon again. */
void chord_stabilize_excite(struct turn *t, struct chord *c);

/* Closes some links that nobody needs, where there are too many. */
void chord_stabilize_trim(struct turn *t, struct chord *c);

/* All has been as it is for long: no Update is due, the periodic ones come at their interval. */
void chord_stabilize_calm(struct turn *t, struct chord *c);

/* The next Update goes to these too. */
void chord_stabilize_mark(struct turn *t, struct chord *c, enum chord_scope scope);
/* An Update to one node, now. */
void chord_stabilize_update(struct turn *t, struct chord *c, const struct node_id *to,
                            bool is_full);
void chord_stabilize_on_update(struct turn *t, struct chord *c, const struct message *m);

void chord_stabilize_lose(struct turn *t, struct chord *c, const struct node_id *id, bool has_left);
bool chord_stabilize_is_lost(const struct turn *t, const struct chord *c, const struct node_id *id);
void chord_stabilize_found_again(struct chord *c, const struct node_id *id);

void chord_stabilize_on_finger(struct turn *t, struct chord *c, const struct attach_event *event);
uint32_t chord_stabilize_fingers(const struct chord *c);
/* A link to a bootstrap node is up while we are a member: is it in our ring? */
void chord_stabilize_check_partition(struct turn *t, struct chord *c, handle link,
                                     const struct node_id *bootstrap);
void chord_stabilize_on_partition(struct turn *t, struct chord *c,
                                  const struct transact_result *result);
/* LeaveReq to everybody in the Connection Table. */
void chord_stabilize_send_leaves(struct turn *t, struct chord *c);
