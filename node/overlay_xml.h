/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_xml.h - small helpers over libxml2 for the overlay configuration document.
 *
 * Texts are bounded, and trimmed where the RFC's types are; what is kept goes into the caller's
 * arena.  No network, no entities, no DTD; caps of overlay_span.h. */
#pragma once
#include "core/arena.h"
#include "node/overlay_span.h"
#include <libxml/tree.h>

/* Free it with xmlFreeDoc.  NULL: one line for people in `why`, which may quote the document. */
xmlDoc *overlay_xml_open(struct slice xml, char *why, size_t cap);
/* The element behind `e` in document order, inside of `top`; NULL at the end. */
const xmlNode *overlay_xml_next(const xmlNode *e, const xmlNode *top);
/* Elements in the document. */
size_t overlay_xml_count(const xmlDoc *doc);
/* The bytes of `e` in the text that its document was read from. */
bool overlay_xml_span(struct slice xml, const xmlNode *e, struct overlay_span *out);

bool overlay_xml_is(const xmlNode *node, const char *ns, const char *name);
xmlNode *overlay_xml_child(const xmlNode *parent, const char *ns, const char *name);
/* The element's text, trimmed, with a NUL; false when it is empty or does not fit. */
bool overlay_xml_text(const xmlNode *e, char *out, size_t cap);
/* A copy in the arena, which may be empty; false when there is no room. */
bool overlay_xml_copy(const xmlNode *e, bool trimmed, struct arena *arena, struct slice *out);
bool overlay_xml_has_attribute(const xmlNode *e, const char *name);
bool overlay_xml_attribute(const xmlNode *e, const char *name, char *out, size_t cap);
/* The element's text as base64, decoded into the arena. */
bool overlay_xml_base64(const xmlNode *e, struct arena *arena, struct slice *out);
/* Digits only, at most `max`. */
bool overlay_xml_number(struct slice text, uint64_t max, uint64_t *out);
/* xsd:boolean: true, false, 1, 0. */
bool overlay_xml_boolean(struct slice text, bool *out);
/* RFC 3339 in UTC, to ms since 1970. */
bool overlay_xml_time(struct slice text, uint64_t *out_ms);
