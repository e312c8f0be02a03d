/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_xml.h - small helpers over libxml2 for the overlay configuration document.
 *
 * Every text is white-space trimmed and bounded; nothing here keeps or returns libxml2's memory. */
#pragma once
#include "core/arena.h"
#include "core/slice.h"
#include <libxml/tree.h>

bool overlay_xml_is(const xmlNode *node, const char *ns, const char *name);
xmlNode *overlay_xml_child(const xmlNode *parent, const char *ns, const char *name);
/* The element's text, trimmed, with a NUL; false when it is empty or does not fit. */
bool overlay_xml_text(const xmlNode *e, char *out, size_t cap);
bool overlay_xml_has_attribute(const xmlNode *e, const char *name);
bool overlay_xml_attribute(const xmlNode *e, const char *name, char *out, size_t cap);
/* The element's text as base64, decoded into the arena. */
bool overlay_xml_base64(const xmlNode *e, struct arena *arena, struct slice *out);
/* Digits only, at most `max`. */
bool overlay_xml_number(struct slice text, uint64_t max, uint64_t *out);
/* xsd:boolean: true, false, 1, 0. */
bool overlay_xml_boolean(struct slice text, bool *out);
/* RFC 3339, UTC or with an offset, to ms since 1970. */
bool overlay_xml_time(struct slice text, uint64_t *out_ms);
/* The bytes from the first '<' of the start tag to the last '>' of the end tag of the element
 * called `name` that stands at `position` (from 0) among those of that name, outside of comments,
 * CDATA and processing instructions.  Elements of that name must not be nested. */
bool overlay_xml_span(struct slice xml, const char *name, size_t position, struct slice *out);
