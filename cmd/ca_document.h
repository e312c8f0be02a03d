/* SPDX-License-Identifier: Apache-2.0 */
/* ca_document.h - writes and signs an overlay configuration document (RFC 6940 11.1, CF-1). */
#pragma once
#include "codec/ids.h"
#include "core/address.h"
#include "core/crypto.h"
#include "dht/overlay.h"

enum { CA_DOCUMENT_CAP = 64 * 1024 };

struct ca_document {
    const char *overlay;
    uint16_t sequence;
    uint64_t expiration_ms;
    struct slice root;               /* DER */
    struct slice signer_certificate; /* DER */
    struct node_id signer;
    const struct crypto_key *signer_key;
    const struct address *bootstrap;
    size_t bootstrap_count;
    enum overlay_links links;
    uint32_t replica_min_hosts;
    uint32_t max_credentials;
};

/* The document as text without a NUL into `out` (CA_DOCUMENT_CAP bytes).  ERR_TOO_LARGE, or what
 * signing gave. */
enum err ca_document_write(const struct ca_document *d, const struct crypto *crypto, uint8_t *out,
                           size_t *len) MUST_USE;
