/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_doc_keep.h - the overlay document in force, and whether another may take its place
 * (RFC 6940 6.5.4.2, 11.1; catalogue CF-2..CF-4, CU-4..CU-6).
 *
 * Two places: the one in force, which peers borrow from, and one where the next is judged.  It
 * takes over when it is good; the former one stays readable until another judgement begins, so
 * that several peers may change over one after another: begin none before they all have.
 *
 * Owner:  the control thread of the daemon; whoever stands for it in a made-up world.  Cold.
 * Memory: overlay_doc_keep_bytes, for documents of at most `cap` bytes. */
#pragma once
#include "node/overlay_doc.h"

struct overlay_doc_keep_place {
    uint8_t *xml;
    size_t len;
    void *block; /* of the arena */
    struct overlay_doc doc;
};

struct overlay_doc_keep {
    const struct overlay_schema *schema;
    const struct crypto *crypto;
    size_t cap;
    struct overlay_doc_keep_place *places[2]; /* [0] is in force */
    /* Of the change to it: what peers need; what of it they cannot take over while they run ("" =
     * nothing), for people; and why this program cannot be a peer of the overlay any more ("" = it
     * can, CF-4). */
    struct overlay_change change;
    char restart[OVERLAY_DOC_WHY_CAP];
    char cannot[OVERLAY_DOC_WHY_CAP];
};

enum overlay_doc_keep_from {
    OVERLAY_DOC_KEEP_PEER, /* the signers of the document in force decide (CF-2) */
    OVERLAY_DOC_KEEP_HAND, /* the operator: its own signers will do, as for a first one (CU-6) */
};

struct overlay_doc_keep_settings {
    const struct overlay_schema *schema;
    const struct crypto *crypto;
    size_t cap;         /* of a document's text */
    struct slice first; /* the document in force, which has been judged before; copied */
    uint64_t at_ms;
};

size_t overlay_doc_keep_bytes(size_t cap);
/* ERR_CONFIG and what
 * overlay_doc_verify_first gives, with the reason in `why` (OVERLAY_DOC_WHY_CAP). */
enum err overlay_doc_keep_init(struct overlay_doc_keep *k, struct arena *arena,
                               const struct overlay_doc_keep_settings *s, char *why) MUST_USE;
/* ERR_OK: `xml` is in force now, and k->change says what peers need.  Else nothing has changed;
 * overlay_doc_accept_code makes a RELOAD error of it, and `why` one line for people. */
enum err overlay_doc_keep_judge(struct overlay_doc_keep *k, struct slice xml,
                                enum overlay_doc_keep_from from, uint64_t at_ms,
                                char *why) MUST_USE;
static inline const struct overlay_doc *overlay_doc_keep_now(const struct overlay_doc_keep *k)
{
    return &k->places[0]->doc;
}
static inline struct slice overlay_doc_keep_text(const struct overlay_doc_keep *k)
{
    return slice_of(k->places[0]->xml, k->places[0]->len);
}
