/* SPDX-License-Identifier: Apache-2.0 */
/* pidf.h - presence documents (RFC 3863) as far as composing them takes: well-formed, and what
 * stands directly inside the root.
 *
 * No parser of XML at large: a document type, any encoding but UTF-8 and entities of its own are
 * refused, so nothing can be expanded or fetched.  What the elements mean is the watchers' affair.
 *
 * Owner:   nobody; slices borrow from the document.
 * Limits:  PIDF_DEPTH elements within each other, PIDF_ATTRIBUTES in a tag. */
#pragma once
#include "codec/sip_write.h"

enum { PIDF_DEPTH = 16, PIDF_ATTRIBUTES = 24 };

struct pidf {
    struct slice root;   /* attributes of the root, from behind its name on */
    struct slice inside; /* all between its tags */
    struct slice rest;   /* of `inside`, for pidf_next */
};

/* ERR_MALFORMED: not well-formed, or the root is no <presence>; ERR_TOO_LARGE: beyond a limit. */
enum err pidf_read(struct slice document, struct pidf *out) MUST_USE;
/* The next element directly inside the root. */
bool pidf_next(struct pidf *p, struct slice *element);
/* Writes an element so that it may stand in another document: with the name spaces of its old root,
 * and where `prefix` is not empty with that in front of its id. */
void pidf_write(struct sip_writer *w, const struct pidf *p, struct slice element,
                struct slice prefix);
/* Text or the inside of an attribute. */
void pidf_write_text(struct sip_writer *w, struct slice text);
