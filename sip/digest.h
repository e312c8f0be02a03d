/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - digest authentication of phones (RFC 3261 22, RFC 7616, RFC 8760).
 *
 * Nonces are stateless: time, random and a keyed hash of both.  What is remembered, in a small
 * direct-mapped table, is the highest nonce count seen with a nonce and the 64 below it, so that a
 * request that is played again is challenged once more (stale).  A nonce that was pushed out of the
 * table counts as fresh: its time limits what that can be used for.
 *
 * Owner: struct sip.  Limits: DIGEST_SEEN nonces, DIGEST_NONCE_S of age. */
#pragma once
#include "sip/reply.h"

enum { DIGEST_SEEN = 4096, DIGEST_NONCE_S = 300 };

struct digest_seen {
    uint8_t nonce[16];
    uint64_t bits; /* bit i: count highest - i was used */
    uint32_t highest;
};

enum digest_result {
    DIGEST_OK,
    DIGEST_NONE,  /* no credentials for our realm */
    DIGEST_STALE, /* right, but for an old nonce or a used count */
    DIGEST_WRONG, /* wrong password, or a scheme that was not offered */
    DIGEST_OTHER, /* somebody else's name */
};

/* Judges the credentials of a request in header `id` against `account`. */
enum digest_result digest_check(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                enum sip_hdr_id id, const struct sip_account *account);
/* 401 (REGISTER) or 407, with a challenge for each hash that the account's policy names.
 * Sent statelessly; `tx` is over. */
void digest_challenge(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                      const struct sip_account *account, bool is_stale);
