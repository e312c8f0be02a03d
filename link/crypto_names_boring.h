/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_names_boring.h - the names and dates in a certificate (RFC 6940 11.3; ID-2).
 *
 * Only for link/crypto_boring.c. */
#pragma once
#include "core/crypto.h"
#include <openssl/x509.h>

/* Reads validity, user name and Node-IDs: subjectAltName must hold exactly one rfc822Name, one to
 * CRYPTO_NODE_IDS_CAP reload URIs of this overlay, and nothing else.  ERR_BAD_CERTIFICATE and *why
 * otherwise. */
enum err crypto_names_boring(X509 *certificate, const struct crypto_trust *trust,
                             struct crypto_certificate *out, const char **why) MUST_USE;
/* When it is valid, in milliseconds since 1970; false when that is not to be read. */
bool crypto_names_boring_period(const X509 *certificate, uint64_t *not_before_ms,
                                uint64_t *not_after_ms) MUST_USE;
