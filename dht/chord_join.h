/* SPDX-License-Identifier: Apache-2.0 */
/* chord_join.h - the way into the ring, and letting others in (RFC 6940 10.5, 6.4.2.1, 11.4).
 *
 * Part of dht/chord; its state is in struct chord.  Never gives up: after each failure it seeks
 * again, 0.3 s to 10 s later. */
#pragma once
#include "dht/chord.h"

void chord_join_start(struct turn *t, struct chord *c);
/* Something may have become possible: called at the end of each turn. */
void chord_join_step(struct turn *t, struct chord *c);
void chord_join_on_timer(struct turn *t, struct chord *c);
void chord_join_on_link_up(struct turn *t, struct chord *c, const struct link_event *event);
void chord_join_on_link_down(struct turn *t, struct chord *c, const struct link_event *event);
void chord_join_on_attached(struct turn *t, struct chord *c, const struct attach_event *event);
/* `id` answered our Attach, and did not come.  Who is dialled by nobody stays outside: two such
 * neighbors never meet, and then the ring is not right (an overlay without ICE, RFC 6940 6.5.1.5).
 * Forgotten after five minutes, since it may be they who cannot dial. */
void chord_join_note_unmet(struct turn *t, struct chord *c, const struct node_id *id);
void chord_join_on_result(struct turn *t, struct chord *c, const struct transact_result *result);
/* An Update from the admitting peer: are we among its predecessors? */
void chord_join_on_update(struct turn *t, struct chord *c, const struct node_id *from,
                          struct slice predecessors);
/* Are the peers that `from` names of interest?  On the way in those alone that the admitting peer
 * names: whoever is connected tells us of its own neighbors, and to meet all of them would take
 * more exchanges than there are, and longer than the admitting peer waits.  Who that is is not
 * known while we ask (chord.is_early). */
bool chord_join_is_of_use(const struct chord *c, const struct node_id *from);
/* Back to SEEKING. */
void chord_join_again(struct turn *t, struct chord *c);

/* As admitting peer */
void chord_join_on_request(struct turn *t, struct chord *c, const struct message *m);
/* The joiner has all it will own. */
void chord_join_handed_over(struct turn *t, struct chord *c, const struct node_id *joiner);
void chord_join_forget(struct chord *c, const struct node_id *joiner);

/* Dials the next bootstrap address whose node is not connected; false when there is none. */
bool chord_join_dial(struct turn *t, struct chord *c);
