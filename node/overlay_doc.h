/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_doc.h - the overlay configuration document (RFC 6940 11.1; catalogue CF-1..CF-5).
 *
 * Parsed with libxml2: no network, no entities, no DTD, bounded in size and depth.  The bytes of
 * the <configuration> element are kept as they stood, since the signature covers exactly them
 * (CF-1). Cold path: runs at start and when a new document arrives. Private Kinds (<kind id=...>)
 * are not taken over yet; their Store is answered Unknown_Kind. */
#pragma once
#include "core/arena.h"
#include "dht/overlay.h"

enum {
    OVERLAY_DOC_BYTES_CAP = 256 * 1024,
    OVERLAY_DOC_ROOTS_CAP = 8,
    OVERLAY_DOC_IDS_CAP = 64, /* signers and bad nodes, each */
    OVERLAY_DOC_WHY_CAP = 160,
};

struct overlay_doc_ids {
    struct node_id ids[OVERLAY_DOC_IDS_CAP];
    size_t count;
};

struct overlay_doc {
    struct overlay_config config;
    struct slice roots[OVERLAY_DOC_ROOTS_CAP]; /* DER, in the arena */
    size_t root_count;
    bool self_signed_permitted;
    bool self_signed_sha256;
    struct overlay_doc_ids configuration_signers;
    struct overlay_doc_ids kind_signers;
    struct overlay_doc_ids bad_nodes;
    struct address bootstrap[OVERLAY_BOOTSTRAP_CAP];
    size_t bootstrap_count;
    bool clients_permitted;
    bool has_expiration;
    uint64_t expiration_ms;     /* since 1970 UTC */
    struct slice configuration; /* exact bytes of the element, in `xml` */
    struct slice signature;     /* decoded SecurityBlock, in the arena; empty when there is none */
};

/* Parses `xml` and fills `out` with the first <configuration> (or the one called `instance_name`
 * where that is not empty), defaults filled in.  On failure ERR_CONFIG and one line for people in
 * `why` (OVERLAY_DOC_WHY_CAP bytes).  `out` borrows from `xml` and `arena`. */
enum err overlay_doc_parse(struct slice xml, struct slice instance_name, struct arena *arena,
                           struct overlay_doc *out, char *why) MUST_USE;

/* Checks <signature>: the signer's certificate must chain to a root of the document and hold a
 * Node-ID listed as configuration-signer; the signature covers the blob alone.
 * ERR_BAD_SIGNATURE, ERR_BAD_CERTIFICATE or ERR_NOT_FOUND (no signature). */
enum err overlay_doc_verify(const struct overlay_doc *doc, const struct crypto *crypto,
                            uint64_t at_ms, const char **why) MUST_USE;

/* The trust that certificates are judged by; borrows from `doc`. */
struct crypto_trust overlay_doc_trust(const struct overlay_doc *doc);
