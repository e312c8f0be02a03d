/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_doc_inside.h - what the files that read a configuration document share. */
#pragma once
#include "node/overlay_doc.h"
#include "node/overlay_xml.h"

#define OVERLAY_DOC_BASE_NS "urn:ietf:params:xml:ns:p2p:config-base"
#define OVERLAY_DOC_CHORD_NS "urn:ietf:params:xml:ns:p2p:config-chord"
#define OVERLAY_DOC_OWN_NS "urn:chordial:params:xml:ns:config"

struct overlay_doc_reading {
    struct overlay_doc *out;
    struct slice xml;
    struct arena *arena;
    char *why; /* OVERLAY_DOC_WHY_CAP */
};

/* False, with the line, the element and what is wrong in `why`. */
bool overlay_doc_complain(struct overlay_doc_reading *r, const xmlNode *e, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* A whole number in the element; xsd:int may have a plus sign. */
bool overlay_doc_number(struct overlay_doc_reading *r, xmlNode *e, uint64_t min, uint64_t max,
                        uint64_t *out);
/* `why` may quote the document: what is not printable ASCII becomes '?'. */
void overlay_doc_make_printable(char *why);
/* Why no signature of `signed_element` can count: it uses a prefix that is declared outside of it
 * only, and not as everybody knows it.  NULL: there is no such.  In the arena, or static. */
const char *overlay_doc_outside(const xmlNode *signed_element, struct arena *arena);
/* Reads <kind-block>. */
bool overlay_doc_kind_read(struct overlay_doc_reading *r, xmlNode *block,
                           struct overlay_doc_kind *out);
