/* SPDX-License-Identifier: Apache-2.0 */
/* ca_document.h - writes and signs an overlay configuration document (RFC 6940 11.1, CF-1). */
#pragma once
#include "codec/ids.h"
#include "core/address.h"
#include "core/crypto.h"
#include "dht/domain.h"
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
    /* Those of an overlay that runs already; 0: as in a new one. */
    uint32_t max_message_bytes;
    uint8_t initial_ttl;
    uint32_t update_interval_s, ping_interval_s;
    const struct overlay_kind *kinds; /* private ones, beside the registered */
    size_t kind_count;
    const struct domain_rules *domains; /* of SIP-REGISTRATION; NULL: any */
    const struct node_id *bad_nodes;
    size_t bad_node_count;
};

/* The document as text without a NUL into `out` (CA_DOCUMENT_CAP bytes).  ERR_TOO_LARGE, or what
 * signing gave. */
enum err ca_document_write(const struct ca_document *d, const struct crypto *crypto, uint8_t *out,
                           size_t *len) MUST_USE;
/* As a document has them. */
const char *ca_document_model(enum overlay_data_model model);
const char *ca_document_access(enum overlay_access access);
