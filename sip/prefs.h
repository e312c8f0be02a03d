/* SPDX-License-Identifier: Apache-2.0 */
/* prefs.h - which of a callee's devices the caller would like (RFC 3841), by what the devices said
 * of themselves when they registered (RFC 3840).
 *
 * Exact where the device is registered: prefs_judge drops contacts and gives the others a rank.
 * Elsewhere only what cannot be is left out: prefs_is_possible asks the predicate that the callee's
 * node has put into the overlay's record (contact_prefs of RFC 7904, in the syntax of RFC 2533),
 * and the node judges its contacts itself.
 *
 * Owner:  nobody; pure functions.
 * Limits: PREFS_* below.  What is beyond them counts as no preference and as no restriction. */
#pragma once
#include "sip/sip_state.h"

enum {
    PREFS_ITEMS = 16,          /* predicates of a request, */
    PREFS_BYTES = 1024,        /* and bytes of them together */
    PREFS_PREDICATE_CAP = 512, /* bytes of contact_prefs that we heed, */
    PREFS_WRITE_CAP = 384,     /* and that we write: documents allow values of 512 at least */
    PREFS_DEPTH = 8,           /* of parentheses */
    PREFS_FULL = 1000          /* rank of a perfect match, and of who is immune */
};

enum prefs_verdict {
    PREFS_KEEP,
    PREFS_DROP,          /* the caller has said so */
    PREFS_DROP_IMPLICIT, /* only by method or event: dropped where others are left (7.2.4) */
};

/* Judges a contact by its header parameters (";audio;methods=\"INVITE\""); *rank is Qa. */
enum prefs_verdict prefs_judge(const struct sip_msg *m, struct slice params, uint16_t *rank);
/* May a device behind this contact_prefs be what the request requires?  Doubt is yes. */
bool prefs_is_possible(const struct sip_msg *m, struct slice predicate);
/* Request-Disposition: no-fork (9.1). */
bool prefs_is_no_fork(const struct sip_msg *m);

/* The header parameters of a Contact that are worth keeping (features, +sip.instance, reg-id), as
 * far as they fit: returns their length. */
size_t prefs_keep(struct slice params, char *out, size_t cap);
/* One device's conjunction, "(&(sip.audio=TRUE)...)"; false: it has said nothing, or no room. */
bool prefs_write(struct sip_writer *w, struct slice params);
