/* SPDX-License-Identifier: Apache-2.0 */
/* offline.h - MESSAGE for a phone that is not there (RFC 3428 4, usages B.9): 202, kept, delivered
 * when it registers again.  Only where the operator wants it (offline-messages).
 *
 * The message stays at the node that serves the account, in its memory: nowhere else is anybody who
 * could give it to the phone, and the overlay has no access policy by which a stranger may leave
 * something at another's Resource-ID (RFC 6940 7.3).  So that senders elsewhere find this node
 * while the phone is away, its record stays in the overlay, with contact_prefs that say what is
 * there: an automaton that takes MESSAGE (sip/registrar).
 *
 * While the account is not here, its record is looked up every sip_offline_look_s: when it is
 * registered at another node, the messages are handed over, one after the other.  That node takes
 * them, because the account's own record names this one (sip/proxy).  A message does not go from
 * one mailbox to another.
 *
 * Owner:  struct sip; accounts whose home shard this is.
 * Limits: sip_offline messages, of OFFLINE_CAP bytes, to one account sip_offline_per_account, of
 * one sender sip_offline_per_source (by a hash of its AOR): beyond, 480 as without this.  Each
 *         lasts as long as its Expires says, settings.offline_s at most; one that was handed over
 *         because its phone was there, and has gone again, for what is left of that. */
#pragma once
#include "sip/proxy.h"

enum { OFFLINE_CAP = 3072, OFFLINE_SOURCES = 1024 };

/* "Chordial-Kept: SECONDS": for how long those who have handed a message over had kept it. */
#define OFFLINE_KEPT "Chordial-Kept"

struct offline {
    struct wheel_timer timer;
    handle next;  /* of the account, the oldest first */
    handle proxy; /* under way */
    uint64_t since_us, until_us;
    struct flow_ref from;
    uint32_t account;
    uint16_t source;
    uint16_t len;
    bool is_elsewhere; /* under way to another node */
    uint8_t message[OFFLINE_CAP];
};
STATIC_CHECK(sizeof(struct offline) <= LIMITS_COST_sip_offline);

void offline_init(struct sip *s, struct arena *arena);
size_t offline_bytes(const struct limits *l);
/* Keeps the request; false: not a message to be kept, or no room. */
bool offline_keep(struct turn *t, struct sip *s, const struct sip_rx *rx, uint32_t account);
/* The account has registered: one after the other goes out. */
void offline_deliver(struct turn *t, struct sip *s, uint32_t account);
/* The request that delivers it; NULL: no room. */
struct msgbuf *offline_request(struct turn *t, struct sip *s, const struct offline *x);
/* What came of one: `status` of the best answer. */
void offline_on_answer(struct turn *t, struct sip *s, handle message, unsigned status);
void offline_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer);
