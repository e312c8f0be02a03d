/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - digest authentication of phones (RFC 3261 22, RFC 7616, RFC 8760).
 *
 * Nonces are stateless: time, random and a keyed hash of both and of the network that asked (IPv4
 * /24, IPv6 /48: a NAT may take another address of its own).  What is remembered, in a small
 * direct-mapped table, is the highest nonce count seen with a nonce and the 64 below it, so that a
 * request that is played again is challenged once more (stale).  So is one with a nonce that may
 * have been pushed out of the table: each place remembers the youngest nonce that it has lost, and
 * none that is not younger gets in.  (Digests say nothing of Contact or body: what one hears in a
 * network could be played again there, with another Contact.)
 *
 * Owner: struct sip.  Limits: DIGEST_SEEN nonces, DIGEST_NONCE_S of age. */
#pragma once
#include "sip/reply.h"

enum { DIGEST_SEEN = 4096, DIGEST_NONCE_S = 300 };

struct digest_seen {
    uint8_t nonce[16];
    uint64_t bits; /* bit i: count highest - i was used */
    uint32_t highest;
    uint32_t lost; /* when the youngest was made that stood here before */
    bool has_lost;
};

/* The hash of the last REGISTER's method and Request-URI. */
struct digest_a2 {
    char text[126];
    uint8_t len; /* 0: none */
    bool is_sha256;
    char hex[2 * CRYPTO_SHA256_BYTES + 1]; /* and its NUL */
};

enum digest_result {
    DIGEST_OK,
    DIGEST_NONE,  /* no credentials for our realm */
    DIGEST_STALE, /* for a nonce that is old or not his, or a used count */
    DIGEST_WRONG, /* wrong password, or a scheme that was not offered */
    DIGEST_OTHER, /* somebody else's name */
    DIGEST_LATER, /* not looked at: too many wrong ones before (sip/guess) */
};

/* Judges the credentials of a request in header `id` against the account of that index. */
enum digest_result digest_check(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                enum sip_hdr_id id, uint32_t account);
/* Answers what is not DIGEST_OK, statelessly, so that `tx` is over: 403 with the warning `other`
 * for credentials of another name, 503 after too many wrong ones, else a challenge (401 to
 * REGISTER, or 407) for each hash that the account's policy names. */
void digest_answer(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                   uint32_t account, enum digest_result result, const char *other);
/* Answers a request in the name of `aor`, which is no account of this node, as it would be answered
 * if it were one and nobody knew the password: challenge, 403 with the warning `other` for
 * credentials of another name, 503 after too many.  So neither content nor time of the answers tell
 * who is served here. */
void digest_deny(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                 struct slice aor, const char *other);
