/* SPDX-License-Identifier: Apache-2.0 */
/* ha1.h - the hashes of digest authentication as hex digits (RFC 7616 3.4): for the node that
 * checks them, the authority that makes them of passwords, and phones of ours that answer. */
#pragma once
#include "core/crypto.h"

enum { HA1_CAP = 2 * CRYPTO_SHA256_BYTES + 1 };

/* SHA-256 (64 digits) or MD5 (32) of `text`, lower case, and a NUL. */
void ha1_hash(const struct crypto *c, bool is_sha256, struct slice text, char *hex);
