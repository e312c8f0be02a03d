/* SPDX-License-Identifier: Apache-2.0 */
/* subscribe.h - subscriptions to what this node knows of its phones (RFC 6665): events "presence"
 * (RFC 3856, sip/presence) for those whom the operator lets watch, "reg" (RFC 3680, sip/regevent)
 * and "presence.winfo" (RFC 3857, sip/winfo) for the account itself.  Other events are the phones'
 * own affair: their SUBSCRIBE is forwarded.
 *
 * A SUBSCRIBE takes the way of any request first (digest, right to speak for From, location), so
 * who watches is known.  Where it has been record-routed, we put an entry of our own on top, as the
 * proxy that we are, so that refreshes find this shard; NOTIFY goes back over the same connection.
 * One NOTIFY at a time for each subscription, SUBSCRIBE_PACE_MS apart (RFC 3856 6.10); what happens
 * in between goes into the next.  A NOTIFY that fails ends the subscription (6665 4.2.2).
 *
 * Owner:  struct sip; accounts whose home shard this is.
 * Limits: sip_subscriptions, of one watcher sip_subscriptions_per_source (by a hash of its AOR), to
 *         one account sip_subscriptions_per_account: beyond, 503.  SUBSCRIBE_TEXT_CAP bytes of a
 *         dialog (513).  They end by Expires. */
#pragma once
#include "sip/proxy.h"
#include "sip/reply.h"

enum {
    SUBSCRIBE_TEXT_CAP = 1280,
    SUBSCRIBE_TEXTS = 6,
    SUBSCRIBE_DOCUMENT_CAP = 12288,
    SUBSCRIBE_PACE_MS = 5000,
    SUBSCRIBE_SOURCES = 1024
};

/* `what` of timers of kind HANDLE_SIP_EVENT. */
enum subscribe_timer {
    SUBSCRIBE_TIMER_EXPIRY = 1,
    SUBSCRIBE_TIMER_NOTIFY,
    SUBSCRIBE_TIMER_PUBLICATION,
    SUBSCRIBE_TIMER_OFFLINE,
};

enum subscribe_event {
    SUBSCRIBE_PRESENCE = 1,
    SUBSCRIBE_REG = 2,
    SUBSCRIBE_ALL = 3,   /* that a registration changes */
    SUBSCRIBE_WINFO = 4, /* that a subscription to presence changes */
};

enum subscribe_text {
    SUBSCRIBE_CALL_ID,
    SUBSCRIBE_LOCAL, /* our From: their To with our tag */
    SUBSCRIBE_REMOTE,
    SUBSCRIBE_TARGET, /* their Contact */
    SUBSCRIBE_ROUTES,
    SUBSCRIBE_EVENT_ID,
};

struct subscription {
    struct wheel_timer expiry;
    struct wheel_timer notify;
    handle next;
    handle tx; /* the NOTIFY under way */
    struct flow_ref to;
    uint64_t expires_us;
    uint64_t notified_us; /* 0: never */
    uint32_t account;
    uint32_t cseq, remote_cseq;
    uint32_t version;
    uint16_t source;
    uint8_t event;
    bool is_dirty;   /* there is something to tell */
    bool is_ending;  /* the next NOTIFY is the last */
    bool is_sips;    /* asked for by a sips URI (RFC 5630 5.1.1.1) */
    bool is_dialing; /* waits for a connection to `to` */
    uint8_t key[16];
    uint16_t len[SUBSCRIBE_TEXTS];
    char text[SUBSCRIBE_TEXT_CAP]; /* one after the other */
};
STATIC_CHECK(sizeof(struct subscription) <= LIMITS_COST_sip_subscriptions);

struct slice subscribe_text(const struct subscription *x, enum subscribe_text which);
void subscribe_init(struct turn *t, struct sip *s, struct arena *arena);
size_t subscribe_bytes(const struct limits *l);
/* Is a request outside a dialog, for an account of this shard, to be answered here? */
bool subscribe_is_ours(const struct sip *s, const struct sip_rx *rx);
/* Answers it: the status that was sent, or that is to be noted when it is not 2xx (then *why). */
unsigned subscribe_serve(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                         uint32_t account, const char **why);
/* A SUBSCRIBE inside a dialog of ours: true when it was answered. */
bool subscribe_on_refresh(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx);
/* Something of an account has changed: `events`, of enum subscribe_event. */
void subscribe_changed(struct turn *t, struct sip *s, uint32_t account, unsigned events);
void subscribe_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
/* Of a NOTIFY: the final response, or 0 when there was none. */
void subscribe_on_answer(struct turn *t, struct sip *s, handle subscription, unsigned status);
/* The connection to `node` is up, or came to nothing. */
void subscribe_on_dialled(struct turn *t, struct sip *s, const struct node_id *node,
                          enum err error);
