/* SPDX-License-Identifier: Apache-2.0 */
/* transact.h - requests of ours until they are answered, and answers to those of others
 * (RFC 6940 6.2.1; catalogue TX-1..TX-9, A-04, A-17).
 *
 * A request is sent at 0, 3, 6, 9 and 12 s with identical bytes and given up at 15 s; but what is
 * for a resource whose owner is a neighbor goes by way of that one the first time, and later as the
 * topology routes it: then the Destination List is shorter by an entry.  It ends in exactly one
 * struct transact_result, which overlay.c hands to the `owner` named in the request;
 * none comes from inside transact_request.  Who makes a request names itself in enum transact_owner
 * and keeps what it needs under `tag`.
 *
 * Owner:   one for each overlay.
 * Limits:  `requests` outstanding, of which a quarter is kept for the topology's own; `deferred`
 *          answers outstanding, which are forgotten after 15 s. */
#pragma once
#include "core/pool.h"
#include "core/turn.h"
#include "dht/chord_table.h"
#include "dht/message.h"

enum transact_owner {
    TRANSACT_NOBODY,        /* the result is thrown away */
    TRANSACT_JOIN,          /* dht/chord_join */
    TRANSACT_STABILIZE,     /* dht/chord_stabilize */
    TRANSACT_ATTACH,        /* dht/attach */
    TRANSACT_APPATTACH,     /* dht/appattach */
    TRANSACT_PING,          /* overlay_ping_* */
    TRANSACT_ASK,           /* overlay_ask */
    TRANSACT_STORE,         /* overlay_store: StoreReq of sip/ and of operators */
    TRANSACT_FETCH,         /* overlay_fetch */
    TRANSACT_REPLICATE,     /* dht/replicate */
    TRANSACT_CERT_USAGE,    /* dht/cert_usage */
    TRANSACT_CONFIG_UPDATE, /* dht/config_update */
    TRANSACT_OWNER_COUNT
};

enum transact_target_type { TRANSACT_NODE, TRANSACT_RESOURCE };

struct transact_target {
    enum transact_target_type type;
    struct node_id node;
    struct ring_id resource;
};

struct transact_request {
    enum transact_owner owner;
    uint64_t tag;
    const struct ident *signer; /* NULL: the peer itself */
    struct transact_target target;
    struct node_id through;    /* go there first (AT-17); all zeros: nowhere */
    struct slice destinations; /* the Destination List as it is to be; empty: from the above */
    handle link;               /* leave by this link whatever the tables say; 0: as routed */
    uint16_t code;             /* enum content_code: a request */
    struct slice body;
    const struct slice *certificates; /* DER, besides the signer's own */
    size_t certificate_count;
    bool any_signer;       /* who answers is looked at by the caller */
    uint8_t transmissions; /* 0: five */
};

/* The end of a request. */
struct transact_result {
    enum transact_owner owner;
    uint64_t tag;
    handle request;
    enum err error;        /* ERR_TIMEOUT; ERR_REMOTE and the like: see reload_error */
    uint16_t reload_error; /* 0, or RFC 6940 14.9 */
    struct slice error_info;
    uint16_t code; /* of the request */
    uint32_t hops; /* transmissions from us to who answered; 0: ourselves */
    uint64_t elapsed_us;
    const struct message *answer; /* NULL when none came; its body is the answer's */
};

struct transact;

/* Signs and sends.  ERR_LIMIT, ERR_TOO_LARGE, ERR_NO_MEMORY; `request` may be NULL. */
enum err transact_request(struct turn *t, struct transact *tr, const struct transact_request *what,
                          handle *request) MUST_USE;
/* Forgets it: no result follows.  A handle that is over is allowed. */
void transact_cancel(struct turn *t, struct transact *tr, handle request);

/* Answers `m`, a request, with a positive answer (code + 1) signed by who was addressed.
 * `certificates`: DER of the signers of values inside (SG-2).  ERR_TOO_LARGE: beyond
 * max-message-size or max_response_length; the caller then sends transact_error 0xE. */
enum err transact_answer(struct turn *t, struct transact *tr, const struct message *m,
                         struct slice body, const struct slice *certificates,
                         size_t certificate_count) MUST_USE;
/* The same, written where it leaves from: the body goes to `w`, then transact_send_draft.  False
 * when that is not possible; for methods without effects only, whose answers are not kept.  Nothing
 * else may be sent in between; a draft that is not sent is forgotten.  ERR_TOO_LARGE also where
 * another way of answering may have more room. */
struct transact_draft {
    struct wr w;
    handle link;
    size_t contents; /* where MessageContents begin */
    size_t mark;
};
bool transact_begin_draft(struct turn *t, struct transact *tr, const struct message *m,
                          struct transact_draft *d) MUST_USE;
enum err transact_send_draft(struct turn *t, struct transact *tr, const struct message *m,
                             struct transact_draft *d, const struct slice *certificates,
                             size_t certificate_count) MUST_USE;
/* The same without certificates, and an answer that is too large becomes error 0xE by itself
 * (TX-9).
 */
enum err transact_reply(struct turn *t, struct transact *tr, const struct message *m,
                        struct slice body);
/* `error_code`: enum content_error_code; `info` may be empty.  Best effort. */
void transact_error(struct turn *t, struct transact *tr, const struct message *m,
                    uint16_t error_code, struct slice info);

/* Keeps what answering `m` takes beyond this turn; 0 when the table is full: answer now. */
handle transact_defer(struct turn *t, struct transact *tr, const struct message *m);
/* As above, but an answer that is too large becomes error 0xE by itself; the handle is over
 * afterwards.  ERR_NOT_FOUND when it was before. */
enum err transact_answer_later(struct turn *t, struct transact *tr, handle deferred,
                               struct slice body, const struct slice *certificates,
                               size_t certificate_count) MUST_USE;
void transact_error_later(struct turn *t, struct transact *tr, handle deferred, uint16_t error_code,
                          struct slice info);

/* Requests outstanding. */
uint32_t transact_open(const struct transact *tr);

/* The rest is for dht/overlay. */

struct answer_cache;
struct outgoing;
struct transact_settings {
    uint32_t requests;
    uint32_t deferred;
    uint32_t max_message_bytes;
    uint64_t reliability_timer_us;
    uint16_t configuration_sequence;
    uint8_t initial_ttl;
    const struct ident *self;
    const struct rl_params *params;
    struct sign *sign;
    const struct chord_table *table;
    struct outgoing *out;
    struct answer_cache *answers;
};

struct overlay_config;
/* Sequence, TTL, timer and size of another document; `max_message_bytes` at most as at first. */
void transact_set_config(struct transact *tr, const struct overlay_config *config);

size_t transact_bytes(const struct transact_settings *s);
struct transact *transact_init(struct turn *t, struct arena *arena,
                               const struct transact_settings *s);

/* A verified answer: true when it ends one of our requests, `result` borrows from it. */
bool transact_on_answer(struct turn *t, struct transact *tr, const struct message *answer,
                        struct transact_result *result);
/* `message` was under way over a link that is gone.  True when it was a request of ours that named
 * the owner at its end: it goes on without. */
bool transact_on_unacked(struct turn *t, struct transact *tr, struct slice message,
                         handle dead_link);
/* True when a request has failed for good. */
bool transact_on_timer(struct turn *t, struct transact *tr, struct wheel_timer *timer,
                       struct transact_result *result);
/* Answers a retransmission with what was answered before. */
void transact_repeat(struct turn *t, struct transact *tr, const struct message *m,
                     struct slice payload);
/* Ends one open request with ERR_CLOSED, false when there is none; for the end of the overlay. */
bool transact_abort(struct turn *t, struct transact *tr, struct transact_result *result);
/* Forgets all deferred answers. */
void transact_forget_deferred(struct turn *t, struct transact *tr);
/* Is one of ours waiting for this? Asked before an answer's signature is looked at. */
bool transact_is_expected(const struct transact *tr, uint64_t transaction_id);
