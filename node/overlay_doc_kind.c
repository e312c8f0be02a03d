/* SPDX-License-Identifier: Apache-2.0 */
/* <kind-block>: what a Kind is, and the bytes that its signature covers (RFC 6940 11.1). */
#include "dht/domain.h"
#include "node/overlay_doc_inside.h"

#define SIP_NS "urn:ietf:params:xml:ns:p2p:config-base:sip"

static bool copy_attribute(struct overlay_doc_reading *r, xmlNode *kind, const char *name,
                           struct slice *out)
{
    char text[64];
    if (!overlay_xml_attribute(kind, name, text, sizeof(text))) {
        return overlay_doc_complain(r, kind, "its %s is empty or has more than 63 characters",
                                    name);
    }
    size_t len = strlen(text);
    uint8_t *copy = ARENA_ARRAY(r->arena, uint8_t, len);
    memcpy(copy, text, len);
    *out = slice_of(copy, len);
    return true;
}

/* The name of an IANA Kind, or the number of a private one. */
static bool read_name(struct overlay_doc_reading *r, xmlNode *kind, struct overlay_doc_kind *out)
{
    char text[16];
    uint64_t id = 0;
    bool has_name = overlay_xml_has_attribute(kind, "name");
    if (has_name == overlay_xml_has_attribute(kind, "id")) {
        return overlay_doc_complain(r, kind, "wants exactly one of name and id");
    }
    if (has_name) {
        return copy_attribute(r, kind, "name", &out->name);
    }
    if (!overlay_xml_attribute(kind, "id", text, sizeof(text)) ||
        !overlay_xml_number(slice_text(text), UINT32_MAX, &id) || id == 0) {
        return overlay_doc_complain(r, kind, "id is not a number from 1 to 4294967295");
    }
    out->id = (uint32_t)id;
    return true;
}

static bool text_of(struct overlay_doc_reading *r, xmlNode *kind, const char *name,
                    struct slice *out)
{
    xmlNode *e = overlay_xml_child(kind, OVERLAY_DOC_BASE_NS, name);
    if (e == NULL) {
        return overlay_doc_complain(r, kind, "has no <%s>", name);
    }
    return overlay_xml_copy(e, true, r->arena, out) && out->len > 0
               ? true
               : overlay_doc_complain(r, e, "is empty");
}

static bool number_of(struct overlay_doc_reading *r, xmlNode *kind, const char *name, uint32_t *out)
{
    uint64_t value = 0;
    xmlNode *e = overlay_xml_child(kind, OVERLAY_DOC_BASE_NS, name);
    if (e == NULL) {
        return overlay_doc_complain(r, kind, "has no <%s>", name);
    }
    if (!overlay_doc_number(r, e, 0, INT32_MAX, &value)) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool read_multiple(struct overlay_doc_reading *r, xmlNode *kind,
                          struct overlay_doc_kind *out)
{
    uint64_t value = 0;
    xmlNode *e = overlay_xml_child(kind, OVERLAY_DOC_BASE_NS, "max-node-multiple");
    bool is_wanted = slice_is_equal(out->access_control, SLICE_LITERAL("NODE-MULTIPLE"));
    if (e == NULL) {
        return is_wanted ? overlay_doc_complain(r, kind, "NODE-MULTIPLE wants max-node-multiple")
                         : true;
    }
    if (!overlay_doc_number(r, e, 1, INT32_MAX, &value)) {
        return false;
    }
    out->max_node_multiple = (uint32_t)value;
    return true;
}

static bool add_pattern(struct overlay_doc_reading *r, xmlNode *e, struct domain_rules *rules)
{
    struct slice text;
    if (rules->count == DOMAIN_PATTERNS) {
        return overlay_doc_complain(r, e, "more than 8 patterns");
    }
    if (!overlay_xml_copy(e, true, r->arena, &text) || !domain_is_pattern(text)) {
        return overlay_doc_complain(r, e, "is no regular expression of at most 128 characters");
    }
    rules->patterns[rules->count++] = text;
    return true;
}

/* <sip:domain-restriction>, as the grammar of RFC 7904 3.4 has it, or -restrictions as its prose.
 */
static bool read_domains(struct overlay_doc_reading *r, xmlNode *kind, struct overlay_doc_kind *out)
{
    char text[8];
    xmlNode *e = overlay_xml_child(kind, SIP_NS, "domain-restriction");
    e = e == NULL ? overlay_xml_child(kind, SIP_NS, "domain-restrictions") : e;
    if (e == NULL) {
        return true;
    }
    for (size_t i = 0; i < r->out->kind_count; i++) {
        if (r->out->kinds[i].domains != NULL) { /* OVERLAY_DOC_ARENA_EXTRA has room for one */
            return overlay_doc_complain(r, e, "another Kind has one, too");
        }
    }
    /* The document is copied from place to place, and its name with it: a copy that stays. */
    size_t len = strlen(r->out->config.name);
    uint8_t *own = ARENA_ARRAY(r->arena, uint8_t, len);
    memcpy(own, r->out->config.name, len);
    struct domain_rules *rules = ARENA_ARRAY(r->arena, struct domain_rules, 1);
    *rules = (struct domain_rules){.own = slice_of(own, len)};
    if (overlay_xml_has_attribute(e, "enable") &&
        (!overlay_xml_attribute(e, "enable", text, sizeof(text)) ||
         !overlay_xml_boolean(slice_text(text), &rules->is_listed))) {
        return overlay_doc_complain(r, e, "enable is no boolean");
    }
    for (xmlNode *p = e->children; p != NULL; p = p->next) {
        if (overlay_xml_is(p, SIP_NS, "pattern") && !add_pattern(r, p, rules)) {
            return false;
        }
    }
    out->domains = rules;
    return true;
}

bool overlay_doc_kind_read(struct overlay_doc_reading *r, xmlNode *block,
                           struct overlay_doc_kind *out)
{
    struct overlay_span span;
    xmlNode *kind = overlay_xml_child(block, OVERLAY_DOC_BASE_NS, "kind");
    xmlNode *signature = overlay_xml_child(block, OVERLAY_DOC_BASE_NS, "kind-signature");
    *out = (struct overlay_doc_kind){.refusal = "not judged yet"};
    if (kind == NULL || signature == NULL) {
        return overlay_doc_complain(r, block, "has no <%s>",
                                    kind == NULL ? "kind" : "kind-signature");
    }
    if (!read_name(r, kind, out) || !text_of(r, kind, "data-model", &out->data_model) ||
        !text_of(r, kind, "access-control", &out->access_control) ||
        !number_of(r, kind, "max-count", &out->max_count) ||
        !number_of(r, kind, "max-size", &out->max_size_bytes) || !read_multiple(r, kind, out) ||
        !read_domains(r, kind, out)) {
        return false;
    }
    if (!overlay_xml_base64(signature, r->arena, &out->signature)) {
        return overlay_doc_complain(r, signature, "is not base64");
    }
    if (!overlay_xml_span(r->xml, kind, &span)) {
        return overlay_doc_complain(r, kind, "its bytes cannot be found in the document");
    }
    out->bytes = span.bytes;
    out->outside = overlay_doc_outside(kind, r->arena);
    return true;
}
