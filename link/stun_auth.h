/* SPDX-License-Identifier: Apache-2.0 */
/* stun_auth.h - message integrity of STUN with a key that both ends know (RFC 8489 9.1, 14.5,
 * 14.6).  For the connectivity checks of ICE, which the node does not do yet.
 *
 * The key of a short-term credential is the password as it is: the passwords of ICE are ASCII, on
 * which OpaqueString changes nothing.  (For a long-term credential it is the hash of 9.2.2.)
 *
 * Owner:  stateless.
 * Limits: a message whose integrity stands further than STUN_AUTH_INPUT_CAP bytes from its start is
 *         refused; over UDP none is that long. */
#pragma once
#include "codec/stun_wr.h"
#include "core/crypto.h"

enum { STUN_AUTH_INPUT_CAP = 2048 };

/* Which integrity attributes: a set of bits. */
enum stun_auth_use {
    STUN_AUTH_NONE = 0,
    STUN_AUTH_SHA1 = 1,
    STUN_AUTH_SHA256 = 2,
    STUN_AUTH_BOTH = 3,
};

/* Is the integrity of `m` made with `key`?  MESSAGE-INTEGRITY-SHA256 counts where both are there
 * (9.1.3).  `accepted` are those that may decide: both in a request, in a response those that the
 * request had (9.1.4).
 * ERR_UNAUTHENTICATED: it has none; ERR_UNSUPPORTED: the one that counts is not accepted;
 * ERR_BAD_SIGNATURE: it is wrong, or truncated, which no usage of ours permits (14.6);
 * ERR_TOO_LARGE.  What a server answers: 400 to the first (also where there is no USERNAME), 401 to
 * a wrong one. */
enum err stun_auth_check(const struct crypto *c, const struct stun *m, struct slice key,
                         enum stun_auth_use accepted) MUST_USE;

/* Ends the message that begins at `start` of `w`: the integrity attributes of `use`, FINGERPRINT.
 */
void stun_auth_seal(const struct crypto *c, struct wr *w, size_t start, struct slice key,
                    enum stun_auth_use use);

/* The one attribute that a response to an authenticated request has (9.1.3). */
enum stun_auth_use stun_auth_answer(const struct stun *request);
