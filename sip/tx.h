/* SPDX-License-Identifier: Apache-2.0 */
/* tx.h - transactions: the table, the branch ids, the timers (RFC 3261 17, RFC 6026).
 *
 * tx_client and tx_server hold the state machines.  Nothing is called back: a step says what the
 * transaction user has to do (enum tx_does), and a transaction that is done is released at the end
 * of the call that finished it.
 *
 * One that is answered (and acknowledged) stays for up to 32 s to absorb retransmissions.  Under
 * load that is most of the table: when it is full, or too many messages are kept for this, the
 * oldest of these are forgotten before their timer.  When there are none, an INVITE that was
 * refused and whose ACK does not come goes before its timer; never one that waits for an answer.
 *
 * Branch ids of ours: z9hG4bK, four hex digits of the shard, 24 of unguessable random, '-', 16 of
 * the loop mark (sip/loop).
 *
 * Owner:   struct sip; shard-local.  Limits: sip_transactions, sip_retained. */
#pragma once
#include "sip/flow.h"

struct sip_rx;

enum {
    TX_T1_MS = 500,
    TX_T2_MS = 4000,
    TX_T4_MS = 5000,
    TX_64_T1_MS = 64 * TX_T1_MS,
    TX_TRYING_MS = 200, /* RFC 3261 17.2.1: nobody waits longer for a first response */
    TX_D_MS = 32000,
    TX_KEY_BYTES = 16,
    TX_LOOP_BYTES = 8,
    TX_BRANCH_CAP = 7 + 4 + 24 + 1 + 2 * TX_LOOP_BYTES
};

enum tx_kind { TX_INVITE_CLIENT, TX_CLIENT, TX_INVITE_SERVER, TX_SERVER, TX_KIND_COUNT };

enum tx_state {
    TX_TRYING, /* "calling" for an INVITE client */
    TX_PROCEEDING,
    TX_COMPLETED,
    TX_CONFIRMED,
    TX_ACCEPTED,
    TX_DONE,
    TX_STATE_COUNT
};

enum tx_event {
    TX_EVENT_PROVISIONAL, /* 1xx received (client) or to be sent (server) */
    TX_EVENT_SUCCESS,     /* 2xx */
    TX_EVENT_FAILURE,     /* 3xx-6xx */
    TX_EVENT_REQUEST,     /* server: a retransmission */
    TX_EVENT_ACK,
    TX_EVENT_RETRY,   /* timer A, E or G, or that of the 100 */
    TX_EVENT_TIMEOUT, /* timer B, D, F, H, I, J, K, L or M */
    TX_EVENT_BROKEN,  /* the transport is gone */
};

enum tx_does {
    TX_IGNORE,
    TX_PASS,       /* client: pass the response on; server: send the response */
    TX_RESEND,     /* send tx->message again */
    TX_SAY_TRYING, /* server of an INVITE: nothing was said so far: 100 */
    TX_GIVE_UP,    /* nobody answered: 408 */
    TX_LOST        /* the transport failed: 503 */
};

/* RFC names; a timer's `what`. */
enum tx_timer {
    TX_TIMER_A = 1,
    TX_TIMER_B,
    TX_TIMER_D,
    TX_TIMER_E,
    TX_TIMER_F,
    TX_TIMER_G,
    TX_TIMER_H,
    TX_TIMER_I,
    TX_TIMER_J,
    TX_TIMER_K,
    TX_TIMER_L,
    TX_TIMER_M,
    TX_TIMER_TRYING
};

struct tx {
    struct wheel_timer retry; /* A, E, G, TRYING */
    struct wheel_timer end;   /* all others */
    handle user;              /* client: the branch; server: proxy or register; 0 = nobody */
    handle server;            /* client of an INVITE: its server transaction, for later 2xx */
    struct msgbuf *message;   /* client: the request; server: the last response */
    struct flow_ref peer;
    uint32_t interval_ms;
    uint32_t asked_ms; /* client of an INVITE to a peer: when */
    uint8_t key[TX_KEY_BYTES];
    uint8_t kind;
    uint8_t state;
    uint8_t method;
    bool is_reliable;
    uint16_t status;       /* of the last response */
    uint16_t source;       /* server: whose it is (sip/proxy.h), 0: nobody's; its buffers count */
    bool is_cancelled;     /* client: CANCEL was sent, */
    bool is_elsewhere;     /* because somebody else has answered (RFC 3326) */
    bool is_ended;         /* in the list of those that only absorb retransmissions */
    bool is_retained;      /* the same, and keeps a message for them */
    bool is_unanswered;    /* client of an INVITE to a peer: counted in its flow */
    bool is_unsent;        /* server: its last response waits for a connection to its peer */
    uint32_t older, newer; /* there: index + 1, 0 = none */
};
STATIC_CHECK(sizeof(struct tx) <= LIMITS_COST_sip_transactions);

/* Legal edges: tx_edges[kind][state] has bit `next`. */
extern const uint8_t tx_edges[TX_KIND_COUNT][TX_STATE_COUNT];
#ifdef CHORDIAL_DEBUG
extern uint8_t tx_edges_taken[TX_KIND_COUNT][TX_STATE_COUNT]; /* for tests */
#endif

struct tx *tx_acquire(struct turn *t, struct sip *s, enum tx_kind kind, enum sip_method method,
                      const struct flow_ref *peer, const uint8_t key[TX_KEY_BYTES]);
struct tx *tx_find(const struct sip *s, const uint8_t key[TX_KEY_BYTES]);
void tx_release(struct turn *t, struct sip *s, struct tx *tx);
/* From now on it is spoken over another connection of the same peer. */
void tx_move(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *peer);
/* The INVITE of `tx` has gone to a peer; the peer has said something to it, or never will. */
void tx_asked(struct turn *t, struct sip *s, struct tx *tx);
void tx_heard(struct turn *t, struct sip *s, struct tx *tx, bool is_said);
/* To be called after each step of a transaction that goes on: notes that it has ended. */
void tx_settle(struct turn *t, struct sip *s, struct tx *tx);
void tx_enter(struct turn *t, struct tx *tx, enum tx_state next);
void tx_arm_retry(struct turn *t, struct tx *tx, enum tx_timer what, uint32_t delay_ms);
void tx_arm_end(struct turn *t, struct tx *tx, enum tx_timer what, uint32_t delay_ms);
void tx_keep(struct turn *t, struct tx *tx, struct msgbuf *message); /* NULL: lets it go */
handle tx_handle(const struct sip *s, const struct tx *tx);
struct tx *tx_get(const struct sip *s, handle h);
/* A timer of a transaction; *tx is NULL when it is over.  TX_GIVE_UP is for the caller to act on;
 * the transaction is then in TX_DONE and the caller releases it; so is TX_SAY_TRYING. */
enum tx_does tx_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer, struct tx **tx);

/* Writes a fresh branch into `out` (TX_BRANCH_CAP bytes). */
void tx_branch_make(struct turn *t, const struct sip *s, const uint8_t loop[TX_LOOP_BYTES],
                    char *out);
/* All of one but its middle, which is 24 digits and a separator (sip/stateless). */
void tx_branch_begin(const struct sip *s, const uint8_t loop[TX_LOOP_BYTES], char *out);
/* Is it one of ours?  *key may be NULL. */
bool tx_branch_read(struct slice branch, enum sip_method method, uint16_t *shard, uint8_t *key);

/* ---- tx_server */
/* Key of the server transaction that `method` (INVITE for ACK and CANCEL look-ups) belongs to. */
void tx_server_key(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                   enum sip_method method, uint8_t key[TX_KEY_BYTES]);
enum tx_does tx_server_step(struct turn *t, struct tx *tx, enum tx_event event);
/* A request that belongs to `tx`: retransmission or ACK. */
void tx_server_recv(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *from,
                    bool is_ack);
/* Sends a response; the caller keeps its reference. */
void tx_server_respond(struct turn *t, struct sip *s, struct tx *tx, unsigned status,
                       struct msgbuf *response);
/* The user has nothing to say any more: no response was or will be sent through it. */
void tx_server_forget(struct turn *t, struct sip *s, struct tx *tx);
/* The connection to `node` is up, or came to nothing. */
void tx_server_on_dialled(struct turn *t, struct sip *s, const struct node_id *node,
                          enum err error);
/* Where the responses to a request go (18.2.2, 3581). */
struct flow_ref tx_server_return(const struct sip_msg_core *core, const struct flow_ref *from);

/* ---- tx_client */
enum tx_does tx_client_step(struct turn *t, struct tx *tx, enum tx_event event);
/* Starts a client transaction and sends `request` (the caller keeps its reference).  NULL: no room
 * or the transport is gone: *error says which. */
struct tx *tx_client_start(struct turn *t, struct sip *s, enum sip_method method,
                           const struct flow_ref *peer, const char *branch, struct msgbuf *request,
                           enum err *error);
/* A response for `tx`: sends the ACK where one is due; TX_PASS: the user wants it. */
enum tx_does tx_client_recv(struct turn *t, struct sip *s, struct tx *tx, const struct sip_msg *m);
/* Its connection was lost before the final response: sends the request, and the CANCEL that
 * followed it, once more over `peer`.  The branch is the same, so the other side takes it for a
 * retransmission (17.2.3), where it knows the first.  What is cancelled lives no longer for it. */
void tx_client_again(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *peer);
/* Sends CANCEL for the INVITE transaction `tx` (in TX_PROCEEDING). */
void tx_client_cancel(struct turn *t, struct sip *s, struct tx *tx);
