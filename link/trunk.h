/* SPDX-License-Identifier: Apache-2.0 */
/* trunk.h - one link over TLS and TCP, TLS-TCP-FH-NO-ICE (RFC 6940 6.6.5); for files of link/ only.
 *
 * Nothing here removes a link: an end is a state (DOWN), and link_next takes it from there. */
#pragma once
#include "link/link_table.h"

enum trunk_timer {
    TRUNK_TIMER_HANDSHAKE, /* not authenticated in time */
    TRUNK_TIMER_SILENCE,   /* the oldest frame without ACK is one RTO old; suspect for too long */
    TRUNK_TIMER_DRAIN,     /* the loser of a glare has had time to run dry */
};

enum {
    TRUNK_DRAIN_US = 2000000,
    TRUNK_DRAIN_ACCEPTED_US = 3 * TRUNK_DRAIN_US,
    TRUNK_RECORD_OVERHEAD = 64, /* no cipher suite adds more to a record */
    TRUNK_ACK_BACKLOG = 16384,  /* bytes not taken, beyond which no ACK leaves alone */
};

/* A connection is there: begins TLS in the role that is_dialled says. */
void trunk_start(struct turn *t, struct link_table *lt, struct link *l, handle conn);
/* Begins to wait for the ACK of the oldest frame, if there is one. */
void trunk_arm_silence(struct turn *t, struct link *l);
void trunk_on_stream(struct turn *t, struct link_table *lt, struct link *l, uint8_t *data,
                     size_t len);
void trunk_on_timer(struct turn *t, struct link_table *lt, struct link *l);
/* The next message that has come, false when there is none (now). */
bool trunk_read(struct turn *t, struct link_table *lt, struct link *l, uint8_t **message,
                size_t *len);
enum err trunk_send(struct turn *t, struct link_table *lt, struct link *l, struct slice head,
                    struct slice body) MUST_USE;
/* See link_claim. */
uint8_t *trunk_claim(struct turn *t, struct link_table *lt, struct link *l, size_t room,
                     size_t *cap);
void trunk_commit(struct turn *t, struct link_table *lt, struct link *l, size_t len);
/* Everything gathered leaves, and the ACK that is owed. True: nothing is left to do. */
bool trunk_flush(struct turn *t, struct link_table *lt, struct link *l);
uint32_t trunk_queued(const struct link *l);
