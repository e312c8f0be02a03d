/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_schema.h - the RELAX NG schema of a configuration document (RFC 6940 11.1.1).
 *
 * Its text is compiled in (overlay_schema.def) and parsed once by whoever keeps the program's
 * settings; nothing is read from a disk or a network.  libxml2 also sets itself up in
 * overlay_schema_new, so call it before there are threads.
 * Owner:   the caller of overlay_schema_new.
 * Threads: one at a time; libxml2 notes what it learns of a definition inside the schema. */
#pragma once
#include "core/slice.h"

struct overlay_schema;
struct _xmlDoc; /* libxml2's, so that users of this header need none of its own */

/* NULL: no memory. */
struct overlay_schema *overlay_schema_new(void);
void overlay_schema_free(struct overlay_schema *schema);

/* True when `doc` is valid.  Else one line for people in `why` (`cap` bytes).  Elements of other
 * namespaces are gone from `doc` afterwards. */
bool overlay_schema_is_valid(const struct overlay_schema *schema, struct _xmlDoc *doc, char *why,
                             size_t cap);

/* The same for a document's text, which may also be no document at all. */
bool overlay_schema_accepts(const struct overlay_schema *schema, struct slice xml, char *why,
                            size_t cap);

/* The schema's text, for whoever wants to read it; the lines of overlay_schema.def. */
struct slice overlay_schema_text(void);
