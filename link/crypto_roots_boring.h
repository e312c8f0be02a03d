/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_roots_boring.h - whom TLS to other domains believes: a bundle of certificate authorities,
 * and a chain judged by it for a domain (RFC 5922 7.2 to 7.4, RFC 5280 6).
 *
 * Cold: at start, and once for each connection.
 *
 * Owner:   whoever loaded it.  Threads: one.
 * Limits:  CRYPTO_ROOTS_CAP authorities; chains of TLS_CHAIN_CAP. */
#pragma once
#include "core/crypto.h"

enum { CRYPTO_ROOTS_CAP = 1024 };

struct crypto_roots;

/* All certificates of a text in PEM.  ERR_MALFORMED: one of them is none; ERR_NOT_FOUND: there is
 * none at all. */
enum err crypto_roots_boring_load(struct slice pem, struct crypto_roots **out,
                                  size_t *count) MUST_USE;
void crypto_roots_boring_free(struct crypto_roots *r);
/* For outward_trust.judge: `context` is a struct crypto_roots.  ERR_BAD_CERTIFICATE: it does not
 * lead to an authority, is not for a TLS server, or is out of its time; ERR_FORBIDDEN: it is not
 * `domain`'s. */
enum err crypto_roots_boring_judge(void *context, const struct slice *chain, size_t count,
                                   struct slice domain, uint64_t wall_ms) MUST_USE;
