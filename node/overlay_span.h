/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_span.h - where the bytes of an element stand in the text of a document.
 *
 * A signature covers exact bytes (RFC 6940 11.1, CF-1), which a parser does not give.  This scanner
 * finds tags and nothing else: it numbers elements in document order as libxml2's tree does, so
 * that element 17 here is element 17 there, whatever either is called.  Going by names instead
 * would let an element of the same name, nested in an extension, lend its signed bytes to another.
 * Owner: slices are borrowed.  Never reads outside of the text, however broken. */
#pragma once
#include "core/slice.h"

enum {
    OVERLAY_SPAN_DEPTH_CAP = 32,
    OVERLAY_SPAN_ELEMENTS_CAP = 8192,
    OVERLAY_SPAN_ATTRIBUTES_CAP = 64, /* of one element, namespaces included */
};

struct overlay_span {
    struct slice name;  /* as written, with its prefix */
    struct slice bytes; /* from the first '<' of the start tag to the last '>' of the end tag */
    size_t head_bytes;  /* of them are the start tag */
};

/* Before a parser sees the text: UTF-8 is what it says it is (or says nothing), there is no NUL, no
 * DOCTYPE, and no more tags, nesting and attributes than the caps allow.  The line of the fault in
 * *line, or 0; a static text for people in *why. */
bool overlay_span_check(struct slice xml, size_t *elements, size_t *line, const char **why);

/* Element `number` (from 0) of a text that is well-formed. */
bool overlay_span_find(struct slice xml, size_t number, struct overlay_span *out);
