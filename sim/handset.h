/* SPDX-License-Identifier: Apache-2.0 */
/* handset.h - the phone side of a made-up world: a small SIP user agent over UDP, without a socket.
 *
 * Registers with digest, places one call at a time, takes one at a time, retransmits as RFC 3261 17
 * asks of UDP.  Bytes and times come in, bytes leave through settings.send; what has come of it
 * stands in `news`, which whoever has read it clears.
 *
 * Owner: sim/phones.  Memory: none beside itself.  Every random number comes from its own stream.
 * RFC:   3261 8, 10, 12, 13, 15, 17, 22. */
#pragma once
#include "codec/sip_parser.h"
#include "core/address.h"
#include "core/crypto.h"
#include "core/rng.h"

enum {
    HANDSET_USER_CAP = 48,
    HANDSET_TAG_CAP = 72,
    HANDSET_CALL_ID_CAP = 40,
    HANDSET_TARGET_CAP = 200,
    HANDSET_ROUTES_CAP = 768,
    HANDSET_MESSAGE_CAP = 1800
};

struct handset;
typedef void handset_send(void *context, struct handset *h, struct slice message);

struct handset_settings {
    const char *domain;
    struct crypto crypto; /* its random numbers are replaced by the phone's own */
    uint64_t ring_us;     /* from 180 to 200, as callee */
    uint64_t patience_us; /* a call that is not answered, or never hung up, ends */
    handset_send *send;
    void *context;
    struct sip_parser *parser; /* one for all: it is large */
};

/* A request of its own under way. */
struct handset_request {
    bool is_open;
    enum sip_method method;
    uint32_t cseq;
    uint32_t tries; /* with credentials */
    uint64_t branch;
    uint64_t begun_us;
    uint64_t resend_us; /* UINT64_MAX: it is being worked on (17.1.1.2) */
    uint64_t interval_us;
    uint16_t len;
    uint8_t message[HANDSET_MESSAGE_CAP];
};

enum handset_state {
    HANDSET_IDLE,
    HANDSET_CALLING,
    HANDSET_TALKING, /* as caller; or as callee once it has answered */
    HANDSET_RINGING  /* as callee */
};

struct handset_dialog {
    enum handset_state state;
    bool is_caller;
    bool is_acked; /* callee: the ACK has come */
    char call_id[HANDSET_CALL_ID_CAP];
    char local_tag[20];
    char remote_tag[HANDSET_TAG_CAP];
    char peer[HANDSET_USER_CAP];
    char target[HANDSET_TARGET_CAP]; /* Contact of the other side */
    char routes[HANDSET_ROUTES_CAP]; /* Route lines, in order */
    uint16_t final;                  /* caller: the one final status */
    uint64_t since_us;
    /* callee */
    char branch[HANDSET_TAG_CAP]; /* of the INVITE */
    uint64_t answer_us;           /* the 200 is sent (again) then; UINT64_MAX: no more */
    uint64_t interval_us;
    uint16_t invite_len;
    uint8_t invite[HANDSET_MESSAGE_CAP];
};

/* What has happened; 0 or false: it has not. */
struct handset_news {
    uint16_t registered; /* final status of REGISTER; 408: nobody answered */
    uint32_t expires_s;  /* ... granted by a 200 */
    uint16_t answered;   /* final status of INVITE */
    uint16_t ended;      /* of BYE, as caller */
    bool rang;
    bool took;      /* as callee: a call has come */
    bool was_ended; /* as callee: the other side has hung up, or never told */
    uint32_t again; /* final answers to an INVITE that had another one before: must be 0 */
};

struct handset {
    const struct handset_settings *s;
    uint32_t index;
    char user[HANDSET_USER_CAP]; /* "p7@sim.example" */
    char password[HANDSET_USER_CAP];
    struct address local;
    struct rng rng;
    uint32_t cseq;
    uint32_t expires_s;
    char register_call_id[HANDSET_CALL_ID_CAP];
    char register_tag[20];
    struct handset_request reg;
    struct handset_request call;
    struct handset_dialog dialog;
    struct handset_news news;
};

/* `user` and `password` are copied. */
void handset_init(struct handset *h, const struct handset_settings *s, uint32_t index,
                  const struct address *local, uint64_t seed);
void handset_register(struct handset *h, uint64_t now_us, uint32_t expires_s);
/* Gives up a REGISTER that is under way. */
void handset_forget_register(struct handset *h);
/* `peer`: "p8@sim.example".  Only while handset_is_idle. */
void handset_call(struct handset *h, uint64_t now_us, const char *peer);
/* As the caller, while it talks. */
void handset_hang_up(struct handset *h, uint64_t now_us);
bool handset_is_idle(const struct handset *h);
void handset_receive(struct handset *h, uint64_t now_us, struct slice datagram);
/* When something is due; UINT64_MAX: nothing. */
uint64_t handset_due_us(const struct handset *h);
void handset_on_time(struct handset *h, uint64_t now_us);
