/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - requests on their way: who may ask, where to, what came of it (RFC 3261 16).
 *
 * Owner:  struct sip; one struct proxy a forwarded request, until its last branch is over.
 * Limits: sip_proxies, of one account sip_proxies_per_account, of another source
 *         sip_proxies_per_source, and of each sip_branches_per_source.  A source is an account, the
 *         peers of one user, or, inside dialogs, an address; two may share one, since it is a hash.
 *         The buffers of its requests and of responses that are kept count to it (core/msgbuf.h).
 *         proxy.c explains how a dialog's requests find their way. */
#pragma once
#include "sip/location.h"

enum proxy_state { PROXY_ASKING, PROXY_LOCATING, PROXY_FORKING, PROXY_STATE_COUNT };

struct proxy {
    handle tx;              /* the server transaction; 0 for an ACK */
    struct msgbuf *request; /* as it came */
    struct msgbuf *best;    /* the best failure so far, ready to be sent; NULL = made by us */
    const char *why;        /* of a best failure made by us */
    handle first;           /* branch */
    handle foreign;         /* sip/foreign: where it goes in another domain */
    handle kept;            /* sip/offline: the message that this delivers */
    struct flow_ref from;
    uint32_t account;     /* of the caller, when it is a phone of ours; else UINT32_MAX */
    uint16_t source;      /* in sip.sources; 0 = none: a sibling */
    uint16_t best_status; /* 0 = none yet */
    uint16_t open;        /* branches without a final response, */
    uint16_t held;        /* and those of them that are not tried yet */
    uint8_t breadth;      /* Max-Breadth (RFC 5393) that is left, */
    uint8_t breadth_in;   /* came with the request */
    uint8_t breadth_each; /* and goes with each branch */
    uint8_t state;
    uint8_t method;
    bool is_in_dialog;
    bool is_sips; /* of the Request-URI: each hop in TLS (RFC 3261 26.2.2) */
    bool is_cancelled;
    bool is_elsewhere; /* cancelled, because somebody else has answered (RFC 3326) */
    bool is_answered;  /* a final response has gone up */
    bool is_refetched; /* the second and last look-up */
    bool is_cached;    /* the first came from the cache, */
    bool is_fresh;     /* where it had not been for long */
    bool has_lost;     /* a peer could not be reached */
    bool has_mailbox;  /* kept here, if nobody elsewhere is there (sip/offline) */
    bool is_unproved;  /* the callee's peer did not find that we may speak for the caller */
    bool is_heard;     /* but another device has seen the request */
    bool is_handed;    /* asked whether the callee's own record names the peer */
    uint64_t begun_us; /* of an INVITE that still waits for its first 18x or 2xx */
    uint8_t loop[TX_LOOP_BYTES];
    bool is_gruu; /* the Request-URI is one: one device, one peer */
    uint16_t pop_routes;
    uint8_t aor_len; /* the callee */
    char aor[SIP_ACCOUNT_USER_CAP];
};
STATIC_CHECK(sizeof(struct proxy) <= LIMITS_COST_sip_proxies);

enum { PROXY_SOURCES = 1024 };
STATIC_CHECK((int)PROXY_SOURCES <= (int)MSGBUF_ACCOUNTS);
struct proxy_source {
    uint32_t proxies;
    uint32_t branches;
    uint32_t dials; /* being set up */
};

/* The checks of 16.3; writes the loop mark.  False: was answered (or dropped, an ACK). */
bool proxy_is_sound(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                    uint8_t mark[TX_LOOP_BYTES]);
/* The 100 to an INVITE of a peer, for which nothing has come so far. */
void proxy_say_trying(struct turn *t, struct sip *s, struct tx *tx);
/* A final answer of our own to a forwarded request. */
void proxy_answer(struct turn *t, struct sip *s, struct proxy *p, unsigned status, const char *why);
/* Any request that is for this shard to handle. */
void proxy_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx);
/* Sends a kept message to the contacts of its account; offline_on_answer follows. */
struct offline;
void proxy_send_kept(struct turn *t, struct sip *s, handle message, struct offline *x);
/* From OVERLAY_FETCHED. */
void proxy_on_fetched(struct turn *t, struct sip *s, const struct overlay_event *event);
/* All branches are over: sends the best response, or looks once more; then forgets the proxy. */
void proxy_settle(struct turn *t, struct sip *s, struct proxy *p);
/* RFC 5393 5.3.3: 60 where none came, and at most. */
uint8_t proxy_breadth(const struct sip_rx *rx);
