/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_doc.h - the overlay configuration document (RFC 6940 11.1; catalogue CF-1..CF-5).
 *
 * Three questions, asked apart: what does it say (overlay_doc_parse: libxml2 and the schema of
 * node/overlay_schema), who says so (overlay_doc_verify, overlay_doc_accept and the functions for
 * Kinds), and can this program do what it asks (overlay_doc_join_check).
 *
 * No network, no entities, no DTD, bounded in size and depth.  The bytes of <configuration> and of
 * each <kind> are kept as they stood, since signatures cover exactly them (CF-1).  What a prefix in
 * them means must stand inside of them, or be known without a declaration: no signature counts
 * else. Cold path: runs at start and when a new document arrives. Owner:   `out` borrows from the
 * document's text and from the arena. Threads: as overlay_schema. */
#pragma once
#include "core/arena.h"
#include "dht/overlay.h"

enum {
    OVERLAY_DOC_BYTES_CAP = 256 * 1024,
    OVERLAY_DOC_ARENA_EXTRA = 1536, /* an arena needs the document's length and so much more */
    OVERLAY_DOC_CONFIGURATIONS_CAP = 16,
    OVERLAY_DOC_ROOTS_CAP = 8,
    OVERLAY_DOC_IDS_CAP = 64,  /* signers and bad nodes, each */
    OVERLAY_DOC_LIST_CAP = 16, /* enrollment servers, link protocols, extensions, each */
    OVERLAY_DOC_BOOTSTRAP_CAP = 64,
    OVERLAY_DOC_KINDS_CAP = 32,
    OVERLAY_DOC_SIGNATURES_CAP = 4,
    OVERLAY_DOC_WHY_CAP = 160,
};

/* Node-IDs as the document has them, in its order, zeros behind each.  One of another length than
 * the overlay's names nobody there (A-63; the RFC's own example has such). */
struct overlay_doc_ids {
    struct node_id ids[OVERLAY_DOC_IDS_CAP];
    uint8_t lens[OVERLAY_DOC_IDS_CAP];
    size_t count;
};

struct overlay_doc_list {
    struct slice texts[OVERLAY_DOC_LIST_CAP];
    size_t count;
};

struct overlay_doc_kind {
    struct slice name; /* registered with IANA; empty where there is an id instead */
    uint32_t id;       /* of the document; 0 where there is a name */
    struct slice data_model;
    struct slice access_control;
    uint32_t max_count;
    uint32_t max_size_bytes;
    uint32_t max_node_multiple;         /* 0: absent */
    const struct domain_rules *domains; /* RFC 7904 3.4; NULL: absent */
    struct slice bytes;                 /* of <kind>, in the document's text */
    struct slice signature;             /* SecurityBlock */
    const char *outside;                /* why no signature counts (namespaces); NULL: one may */
    /* Set by overlay_doc_accept_kinds. */
    const char *refusal;   /* why it is not taken over; NULL: it is */
    struct node_id signer; /* of a Kind that is taken over */
};

struct overlay_doc {
    struct overlay_config config; /* its Kinds: none before overlay_doc_accept_kinds */
    bool has_sequence;
    struct slice expiration; /* as written; empty: none */
    uint64_t expiration_ms;  /* since 1970 UTC */
    struct slice topology;
    struct slice roots[OVERLAY_DOC_ROOTS_CAP]; /* DER */
    size_t root_count;
    struct overlay_doc_list enrollment_servers;
    bool has_self_signed; /* the element is there */
    bool self_signed_permitted;
    bool self_signed_sha256;
    struct address bootstrap[OVERLAY_DOC_BOOTSTRAP_CAP];
    size_t bootstrap_count;
    uint8_t turn_density;
    bool clients_permitted;
    bool has_shared_secret;
    struct slice shared_secret; /* with its blanks */
    struct overlay_doc_list link_protocols;
    struct overlay_doc_ids configuration_signers;
    struct overlay_doc_ids kind_signers;
    struct overlay_doc_ids bad_nodes;
    struct node_id revoked[OVERLAY_DOC_IDS_CAP]; /* those of the overlay's length */
    size_t revoked_count;
    struct overlay_doc_list mandatory_extensions;
    struct overlay_doc_kind kinds[OVERLAY_DOC_KINDS_CAP];
    size_t kind_count;
    struct slice configuration; /* exact bytes of the element, in the document's text */
    struct slice signatures[OVERLAY_DOC_SIGNATURES_CAP]; /* decoded SecurityBlocks */
    size_t signature_count;
    const char *outside; /* why no signature counts (namespaces); NULL: one may */
};

struct overlay_schema;

/* Parses `xml` and fills `out` with the first <configuration> (or the one called `instance_name`
 * where that is not empty), defaults filled in.  On failure ERR_CONFIG and one line for people in
 * `why` (OVERLAY_DOC_WHY_CAP bytes, printable ASCII). */
enum err overlay_doc_parse(const struct overlay_schema *schema, struct slice xml,
                           struct slice instance_name, struct arena *arena, struct overlay_doc *out,
                           char *why) MUST_USE;
/* The same for the <configuration> at `position` (from 0); ERR_NOT_FOUND behind the last one. */
enum err overlay_doc_parse_at(const struct overlay_schema *schema, struct slice xml,
                              size_t position, struct arena *arena, struct overlay_doc *out,
                              char *why) MUST_USE;

/* ---- who says so ---- */

/* Whose signatures count: what is listed in a document, by that document's trust. */
struct overlay_doc_signers {
    struct crypto_trust trust;
    const struct overlay_doc_ids *allowed;
};

/* The trust that certificates are judged by; borrows from `doc`. */
struct crypto_trust overlay_doc_trust(const struct overlay_doc *doc);
bool overlay_doc_lists(const struct overlay_doc_ids *ids, const struct node_id *id, uint8_t len);

/* Does one of the signatures of `doc` hold?  Signers are those of the previous document (CF-2), of
 * a first document its own.  The signer's certificate must chain to a root and hold a Node-ID that
 * is listed; the signature covers the blob alone.  *why may point into the arena of `doc`.
 * ERR_BAD_SIGNATURE, ERR_BAD_CERTIFICATE or
 * ERR_NOT_FOUND (no signature). */
enum err overlay_doc_verify(const struct overlay_doc *doc,
                            const struct overlay_doc_signers *signers, const struct crypto *crypto,
                            uint64_t at_ms, const char **why) MUST_USE;
/* A document that came from outside the overlay, by HTTPS or by hand: its own signers. */
enum err overlay_doc_verify_first(const struct overlay_doc *doc, const struct crypto *crypto,
                                  uint64_t at_ms, const char **why) MUST_USE;
/* One SecurityBlock over `blob`; the Node-ID that has signed goes to *signer. */
enum err overlay_doc_verify_block(struct slice block, struct slice blob,
                                  const struct overlay_doc_signers *signers,
                                  const struct crypto *crypto, uint64_t at_ms,
                                  struct node_id *signer, const char **why) MUST_USE;

/* ---- taking over ---- */

/* Fills doc->config.kinds with those Kinds whose signature is that of a kind-signer listed now
 * (CF-3) and whose data model and policy we have (AC-6), and says of each other one why not. */
void overlay_doc_accept_kinds(struct overlay_doc *doc, const struct crypto *crypto, uint64_t at_ms);

/* May `next` follow `now`?  Same overlay, newer sequence (CU-4, A-66), signed by a
 * configuration-signer of `now` (CF-2), not expired; then its Kinds are judged.  Whether we can
 * join it is another question (CF-4: who cannot, leaves).  ERR_OK, ERR_WRONG_OVERLAY, ERR_STALE,
 * ERR_EXPIRED, or what overlay_doc_verify gives. */
enum err overlay_doc_accept(const struct overlay_doc *now, struct overlay_doc *next,
                            const struct crypto *crypto, uint64_t at_ms, const char **why) MUST_USE;
/* The RELOAD error code for a ConfigUpdate that was refused with `e` (CU-4). */
uint16_t overlay_doc_accept_code(enum err e);
/* Kind-IDs that `now` has and `next` has not, or from another signer: they and what is stored of
 * them are discarded (CF-3).  At most OVERLAY_KINDS_CAP into `out`; returns how many. */
size_t overlay_doc_accept_dropped(const struct overlay_doc *now, const struct overlay_doc *next,
                                  uint32_t out[OVERLAY_KINDS_CAP]);
/* A <kind-block> alone, as a ConfigUpdate of type kind brings it (6.5.4.1: its default namespace is
 * config-base).  Parsed, judged and taken over into `doc`.  ERR_CONFIG, ERR_BAD_SIGNATURE,
 * ERR_BAD_CERTIFICATE, ERR_FORBIDDEN (known from another signer), ERR_UNSUPPORTED (data model or
 * policy), ERR_LIMIT; one line for people in `why`.  Each Kind taken over stays in the arena, also
 * when another takes its place: ERR_LIMIT when that is full, and the whole document is due. */
struct overlay_doc_kind_update {
    const struct overlay_schema *schema;
    struct slice xml;
    struct arena *arena; /* as long-lived as `doc` */
    const struct crypto *crypto;
    uint64_t at_ms;
};
enum err overlay_doc_accept_kind(struct overlay_doc *doc, const struct overlay_doc_kind_update *u,
                                 char *why) MUST_USE;

/* ---- can this program do it ---- */

/* ERR_UNSUPPORTED, with one line for people in `why` (OVERLAY_DOC_WHY_CAP), when the document asks
 * for what this program has not: another topology plug-in or Node-ID length, a mandatory
 * extension, ICE, other links, values beyond ours.  ERR_EXPIRED. */
enum err overlay_doc_join_check(const struct overlay_doc *doc, uint64_t at_ms, char *why) MUST_USE;
