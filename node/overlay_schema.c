/* SPDX-License-Identifier: Apache-2.0 */
/* libxml2 says what is wrong in several steps, from the inside out; the first one that knows its
 * place is what people can use. */
#include "node/overlay_schema.h"
#include "node/overlay_doc_inside.h"
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <stdio.h>

static const char text[] =
#define LINE(line) line "\n"
#include "node/overlay_schema.def"
#undef LINE
    ;

struct overlay_schema; /* an xmlRelaxNG: nothing else is kept */

struct fault {
    char *why;
    size_t cap;
    bool has_text, has_place;
};

struct slice overlay_schema_text(void)
{
    return slice_of(text, sizeof(text) - 1);
}

static void ignore(void *context, xmlErrorPtr error)
{
    (void)context;
    (void)error;
}

static void note(void *context, xmlErrorPtr error)
{
    struct fault *f = context;
    char said[96];
    if (f->has_place || error == NULL || error->message == NULL) {
        return;
    }
    const xmlNode *e = error->node;
    bool has_place = e != NULL && e->type == XML_ELEMENT_NODE;
    if (f->has_text && !has_place) {
        return; /* no better than the first */
    }
    f->has_place = has_place;
    /* The first text is the innermost, the first place is the best one there is. */
    if (!f->has_text) {
        snprintf(f->why, f->cap, "%s", error->message);
    }
    f->has_text = true;
    if (has_place) {
        snprintf(said, sizeof(said), "%.*s", (int)strcspn(f->why, "\n"), f->why);
        snprintf(f->why, f->cap, "line %ld: <%.40s>: %s", xmlGetLineNo(e), (const char *)e->name,
                 said);
    }
}

/* Takes away what the grammar lets stand whatever it holds ("foreign-elements": anything): libxml2
 * would walk through it, in a time that grows with the square of what stands there. */
static void drop_foreign(xmlNode *parent)
{
    xmlNode *next = NULL;
    for (xmlNode *e = parent->children; e != NULL; e = next) {
        const char *name = (const char *)e->name;
        next = e->next;
        if (e->type == XML_ELEMENT_NODE && e->ns != NULL && e->ns->href != NULL &&
            !overlay_xml_is(e, OVERLAY_DOC_BASE_NS, name) &&
            !overlay_xml_is(e, OVERLAY_DOC_CHORD_NS, name)) {
            xmlUnlinkNode(e);
            xmlFreeNode(e);
        }
    }
}

static void drop_all_foreign(xmlNode *root)
{
    for (xmlNode *c = root->children; c != NULL; c = c->next) {
        if (!overlay_xml_is(c, OVERLAY_DOC_BASE_NS, "configuration")) {
            continue;
        }
        drop_foreign(c);
        for (xmlNode *e = c->children; e != NULL; e = e->next) {
            xmlNode *block = e->type == XML_ELEMENT_NODE ? e->children : NULL;
            for (; block != NULL; block = block->next) {
                xmlNode *kind = block->type == XML_ELEMENT_NODE
                                    ? overlay_xml_child(block, OVERLAY_DOC_BASE_NS, "kind")
                                    : NULL;
                if (kind != NULL) {
                    drop_foreign(kind);
                }
            }
        }
    }
}

struct overlay_schema *overlay_schema_new(void)
{
    xmlInitParser();
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewMemParserCtxt(text, (int)sizeof(text) - 1);
    if (parser == NULL) {
        return NULL;
    }
    xmlRelaxNGSetParserStructuredErrors(parser, ignore, NULL);
    xmlRelaxNG *schema = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    return (struct overlay_schema *)schema;
}

void overlay_schema_free(struct overlay_schema *schema)
{
    xmlRelaxNGFree((xmlRelaxNG *)schema);
}

bool overlay_schema_is_valid(const struct overlay_schema *schema, xmlDoc *doc, char *why,
                             size_t cap)
{
    struct fault fault = {.why = why, .cap = cap};
    xmlRelaxNGValidCtxt *valid = xmlRelaxNGNewValidCtxt((xmlRelaxNG *)(uintptr_t)schema);
    if (valid == NULL) {
        snprintf(why, cap, "no memory to judge the document");
        return false;
    }
    xmlRelaxNGSetValidStructuredErrors(valid, note, &fault);
    xmlNode *root = xmlDocGetRootElement(doc);
    if (root != NULL) {
        drop_all_foreign(root);
    }
    int result = xmlRelaxNGValidateDoc(valid, doc);
    xmlRelaxNGFreeValidCtxt(valid);
    if (result != 0 && !fault.has_text) {
        snprintf(why, cap, "the document is not valid");
    }
    return result == 0;
}

bool overlay_schema_accepts(const struct overlay_schema *schema, struct slice xml, char *why,
                            size_t cap)
{
    xmlDoc *doc = overlay_xml_open(xml, why, cap);
    bool ok = doc != NULL && overlay_schema_is_valid(schema, doc, why, cap);
    xmlFreeDoc(doc);
    return ok;
}
