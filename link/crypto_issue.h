/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_issue.h - makes certificates for an overlay (RFC 6940 11.3, 11.3.1).
 *
 * Used by `chordial ca`, by demos and by tests, never on a hot path.  Keys come from
 * link/crypto_boring. */
#pragma once
#include "link/crypto_boring.h"

enum { CRYPTO_ISSUE_SERIAL_BYTES = 16 };

struct crypto_issue {
    struct slice issuer_certificate;     /* DER; empty: self-signed (a root, or 11.3.1) */
    const struct crypto_key *issuer_key; /* self-signed: the subject's own */
    struct slice public_key;             /* of the subject, DER; empty: the issuer_key's */
    struct slice common_name;            /* of a root or CA; empty in node certificates (11.3) */
    struct slice user;                   /* rfc822Name; empty for a CA */
    const uint8_t (*node_ids)[20];
    size_t node_id_count; /* at most CRYPTO_NODE_IDS_CAP */
    uint8_t node_id_length;
    struct slice overlay_name;
    uint64_t not_before_ms;
    uint64_t not_after_ms;
    bool is_ca;
    const uint8_t *serial; /* CRYPTO_ISSUE_SERIAL_BYTES; NULL: drawn */
};

/* The certificate as DER; CRYPTO_BORING_CERTIFICATE_CAP bytes are enough.  ERR_TOO_LARGE for names
 * beyond core/crypto.h's caps, ERR_MALFORMED when BoringSSL refuses a name or the issuer's
 * certificate, ERR_STATE when issuer_key is not the issuer's. */
enum err crypto_issue_certificate(const struct crypto_issue *what, uint8_t *out, size_t cap,
                                  size_t *len) MUST_USE;

/* The Node-ID number `index` (from 0) of `count` that a self-signed certificate for this key must
 * carry (11.3.1): 20 bytes, zero padded behind node_id_length. */
void crypto_issue_self_node_id(struct slice public_key, size_t index, size_t count, bool sha256,
                               uint8_t node_id_length, uint8_t out[20]);
