/* SPDX-License-Identifier: Apache-2.0 */
/* fork.h - the branches of a forwarded request (RFC 3261 16.6 to 16.10).
 *
 * All targets are tried at once; contacts of this node and other nodes (sip/grade) that differ in
 * q, in groups (16.6): the next lower q when all of a group have failed, or rung for FORK_GROUP_S
 * (their CANCEL first; another node has that for each of its own groups).  That is for INVITE: what
 * is not answered at once has no time for two.  A branch waits for a connection to its peer, then
 * has a client transaction, then a result.  2xx go up as they come and end the others with CANCEL;
 * of failures the best goes up when all branches are over; 6xx ends the others. The request's
 * Max-Breadth is shared out among the branches (RFC 5393 5.3.3).
 *
 * A phone that has said nothing cannot be cancelled (9.1) and may be switched off.  When nobody
 * waits for it any more, it has FORK_SILENT_MS left, none if somebody else has answered at this
 * node; its transaction goes on without the branch, and cancels what rings late.
 *
 * Owner:  struct sip.  Limits: sip_branches; timer C FORK_TIMER_C_S. */
#pragma once
#include "sip/proxy.h"

enum {
    FORK_TIMER_C_S = 200,
    FORK_GROUP_S = 20,
    FORK_SILENT_MS =
        4 * TX_T1_MS, /* two retransmissions: a phone that is there has said something */
    FORK_AGAIN = 3,   /* connections, each after the loss of the one before */
    FORK_URI_CAP = 255,
    FORK_TIMER_C = 1,
    FORK_BREADTH = 60
};

enum fork_state {
    FORK_HELD /* a group of lower q */,
    FORK_WAITING,
    FORK_SENT,
    FORK_OVER,
    FORK_STATE_COUNT
};

struct fork_branch {
    struct wheel_timer timer_c;
    handle next;
    handle proxy;
    handle tx;
    handle binding;     /* to a phone of ours: whose Path goes with it */
    struct flow_ref to; /* WAITING: only `node` */
    uint8_t state;
    bool is_cancelled;
    bool is_last;     /* nobody waits for its end */
    bool is_late;     /* has rung for as long as it may */
    bool is_peer;     /* HELD, WAITING: to the peer to.node */
    bool is_mailbox;  /* HELD: asked only when nobody is there */
    uint8_t steps;    /* groups that it has time for; 0 = one */
    bool is_counted;  /* by sip/peer_share */
    bool is_lost;     /* SENT, and waits for another connection to the same peer */
    bool is_anew;     /* the same INVITE went over such a connection */
    uint8_t again;    /* so many were asked for: FORK_AGAIN at most */
    uint16_t q_milli; /* HELD */
    uint16_t uri_len;
    char uri[FORK_URI_CAP + 1]; /* the Request-URI; empty = as it came */
};
STATIC_CHECK(sizeof(struct fork_branch) <= LIMITS_COST_sip_branches);

/* There will be `count` branches at most.  False: Max-Breadth does not suffice, noted as 440. */
bool fork_expect(struct turn *t, struct sip *s, struct proxy *p, unsigned count);
/* A branch to a contact registered here, to be tried at once or (`is_held`) when those of higher q
 * have failed; false: it is none for a sips request. */
struct registrar_binding;
bool fork_add_binding(struct turn *t, struct sip *s, struct proxy *p,
                      const struct registrar_binding *b, bool is_held);
/* Adds a branch and tries it: to `to`, or where that is NULL to the peer `node`.  Call fork_settle
 * (below) when all are added: a branch may be over at once. */
void fork_add(struct turn *t, struct sip *s, struct proxy *p, const struct flow_ref *to,
              const struct node_id *node, struct slice uri);
/* To the peer of a target; `is_held` as above. */
struct location_target;
void fork_add_target(struct turn *t, struct sip *s, struct proxy *p,
                     const struct location_target *target, struct slice uri, bool is_held);
/* How long the request would be that a branch to `to` sends. */
size_t fork_measure(struct turn *t, struct sip *s, struct proxy *p, const struct flow_ref *to);
/* Asks whether all is over, and then settles the proxy. */
void fork_settle(struct turn *t, struct sip *s, struct proxy *p);
/* CANCELs every branch that has no final response. */
void fork_cancel(struct turn *t, struct sip *s, struct proxy *p);
void fork_release_all(struct turn *t, struct sip *s, struct proxy *p);
/* A failure of our own making, as if a branch had answered so. */
void fork_note(struct turn *t, struct sip *s, struct proxy *p, unsigned status, const char *why);

/* Does it say that nobody was there, rather than what a device wanted to say? */
bool fork_is_absence(unsigned status);

/* A response for a client transaction. */
void fork_on_response(struct turn *t, struct sip *s, struct tx *tx, const struct sip_msg *m);
/* A client transaction got no answer (408) or lost its transport. */
void fork_on_failed(struct turn *t, struct sip *s, handle branch, enum tx_does how);
void fork_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
/* The connection to `node` is up, or came to nothing. */
void fork_on_dialled(struct turn *t, struct sip *s, const struct node_id *node, enum err error);
void fork_on_flow_closed(struct turn *t, struct sip *s, handle flow);
