/* SPDX-License-Identifier: Apache-2.0 */
/* A signature covers the bytes of an element; what a prefix in them means may be declared around
 * them, where whoever passes the document on can change it: an element then becomes foreign, is
 * passed over (CF-1), and the signature still holds.  So a declaration outside of the signed bytes
 * counts only where it says what everybody knows without it: then no other can be put in its place.
 * RFC 6940's own example (11.1) declares the default namespace and chord: on <overlay>. */
#include "node/overlay_doc_inside.h"
#include <stdio.h>

/* The prefixes of the RFCs' own schemas and examples (6940, 7904, 8076, 7363, 7374, 7263, 7851),
 * ours, and that of XML itself. */
static const struct {
    const char *prefix, *ns;
} known[] = {
    {"", OVERLAY_DOC_BASE_NS},
    {"chord", OVERLAY_DOC_CHORD_NS},
    {"own", OVERLAY_DOC_OWN_NS},
    {"sip", "urn:ietf:params:xml:ns:p2p:config-base:sip"},
    {"share", "urn:ietf:params:xml:ns:p2p:config-base:share"},
    {"self-tuning", "urn:ietf:params:xml:ns:p2p:self-tuning"},
    {"redir", "urn:ietf:params:xml:ns:p2p:redir"},
    {"route-mode", "urn:ietf:params:xml:ns:p2p:route-mode"},
    {"diag", "urn:ietf:params:xml:ns:p2p:config-diagnostics"},
    {"xml", (const char *)XML_XML_NAMESPACE},
};

static const char *prefix_of(const xmlNs *ns)
{
    return ns == NULL || ns->prefix == NULL ? "" : (const char *)ns->prefix;
}

static bool is_known(const xmlNs *ns)
{
    const char *href = ns == NULL || ns->href == NULL ? "" : (const char *)ns->href;
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (strcmp(known[i].prefix, prefix_of(ns)) == 0) {
            return strcmp(known[i].ns, href) == 0;
        }
    }
    return false;
}

static bool is_declared_inside(const xmlNs *ns, const xmlNode *e, const xmlNode *top)
{
    for (const xmlNode *n = e; n != NULL; n = n == top ? NULL : n->parent) {
        for (const xmlNs *d = n->nsDef; d != NULL; d = d->next) {
            if (d == ns) {
                return true;
            }
        }
    }
    return false;
}

/* The first prefix used in `e` itself that is settled neither way; NULL: none. */
static const char *find_unsettled(const xmlNode *e, const xmlNode *top)
{
    if (!is_known(e->ns) && !is_declared_inside(e->ns, e, top)) {
        return prefix_of(e->ns);
    }
    for (const xmlAttr *a = e->properties; a != NULL; a = a->next) {
        /* Without a prefix it is in no namespace, whatever stands outside. */
        if (a->ns != NULL && !is_known(a->ns) && !is_declared_inside(a->ns, e, top)) {
            return prefix_of(a->ns);
        }
    }
    return NULL;
}

static const char *explain(const char *prefix, const xmlNode *top, struct arena *arena)
{
    char text[OVERLAY_DOC_WHY_CAP];
    const char *name = (const char *)top->name;
    if (*prefix == '\0') {
        (void)snprintf(text, sizeof(text),
                       "default namespace: declare xmlns on <%s>: its meaning is outside of the "
                       "signature",
                       name);
    } else {
        (void)snprintf(text, sizeof(text),
                       "prefix %.24s: declare xmlns:%.24s on <%s>: its meaning is outside of the "
                       "signature",
                       prefix, prefix, name);
    }
    overlay_doc_make_printable(text);
    size_t bytes = strlen(text) + 1;
    if (arena->cap - arena->used < bytes) {
        return "a prefix is declared outside of the signed element only";
    }
    return memcpy(ARENA_ARRAY(arena, char, bytes), text, bytes);
}

const char *overlay_doc_outside(const xmlNode *signed_element, struct arena *arena)
{
    for (const xmlNode *e = signed_element; e != NULL; e = overlay_xml_next(e, signed_element)) {
        const char *prefix = find_unsettled(e, signed_element);
        if (prefix != NULL) {
            return explain(prefix, signed_element, arena);
        }
    }
    return NULL;
}
