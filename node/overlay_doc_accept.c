/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken over from a document, and when (RFC 6940 6.5.4.2, 11.1; CF-2..CF-4, CU-4). */
#include "codec/content.h"
#include "dht/config_sequence.h"
#include "dht/kind.h"
#include "node/overlay_doc_inside.h"
#include "node/overlay_schema.h"
#include <libxml/parser.h>
#include <stdio.h>

/* ---- Kinds ---- */

static bool find_text(struct slice text, const char *const *names, size_t count, size_t *out)
{
    for (*out = 0; *out < count; ++*out) {
        if (slice_is_equal(text, slice_text(names[*out]))) {
            return true;
        }
    }
    return false;
}

/* What the Kind is to us, or why it is nothing.  What is registered wins over what a document says
 * of a registered Kind, but for its limits (11.1, A-63). */
static const char *resolve(const struct overlay_doc_kind *k, struct overlay_kind *out)
{
    static const char *const models[] = {[OVERLAY_SINGLE] = "SINGLE",
                                         [OVERLAY_ARRAY] = "ARRAY",
                                         [OVERLAY_DICTIONARY] = "DICTIONARY"};
    static const char *const policies[] = {[OVERLAY_USER_MATCH] = "USER-MATCH",
                                           [OVERLAY_NODE_MATCH] = "NODE-MATCH",
                                           [OVERLAY_USER_NODE_MATCH] = "USER-NODE-MATCH",
                                           [OVERLAY_NODE_MULTIPLE] = "NODE-MULTIPLE"};
    size_t model = 0;
    size_t policy = 0;
    if (k->name.len > 0) {
        if (!kind_named(k->name, out)) {
            return "a registered Kind that is not supported";
        }
        if (out->access == OVERLAY_NODE_MULTIPLE && k->max_node_multiple != 0) {
            out->max_node_multiple = k->max_node_multiple; /* a limit, too */
        }
    } else {
        if (kind_registered(k->id, out)) {
            return "its id is that of a registered Kind";
        }
        if (!find_text(k->data_model, models, ARRAY_COUNT(models), &model)) {
            return "its data model is not supported";
        }
        if (!find_text(k->access_control, policies, ARRAY_COUNT(policies), &policy)) {
            return "its access control policy is not supported"; /* AC-6 */
        }
        if (policy == OVERLAY_USER_NODE_MATCH && model != OVERLAY_DICTIONARY) {
            return "USER-NODE-MATCH is for dictionaries only"; /* AC-3 */
        }
        *out = (struct overlay_kind){.id = k->id,
                                     .data_model = (enum overlay_data_model)model,
                                     .access = (enum overlay_access)policy};
        out->max_node_multiple = policy == OVERLAY_NODE_MULTIPLE ? k->max_node_multiple : 0;
    }
    out->domains = out->id == OVERLAY_KIND_SIP_REGISTRATION ? k->domains : NULL;
    out->max_count = k->max_count;
    out->max_size_bytes = k->max_size_bytes;
    return NULL;
}

static struct overlay_kind *find_kind(struct overlay_config *config, uint32_t id)
{
    for (size_t i = 0; i < config->kind_count; i++) {
        if (config->kinds[i].id == id) {
            return &config->kinds[i];
        }
    }
    return NULL;
}

/* Whom the document lets sign Kinds (CF-3). */
static struct overlay_doc_signers kind_signers(const struct overlay_doc *doc)
{
    return (struct overlay_doc_signers){.trust = overlay_doc_trust(doc),
                                        .allowed = &doc->kind_signers};
}

void overlay_doc_accept_kinds(struct overlay_doc *doc, const struct crypto *crypto, uint64_t at_ms)
{
    struct overlay_config *c = &doc->config;
    struct overlay_doc_signers signers = kind_signers(doc);
    c->kind_count = 0;
    for (size_t i = 0; i < doc->kind_count; i++) {
        struct overlay_doc_kind *k = &doc->kinds[i];
        struct overlay_kind kind;
        k->refusal = resolve(k, &kind);
        if (k->refusal != NULL) {
            continue;
        }
        if (find_kind(c, kind.id) != NULL) {
            k->refusal = "it is defined twice";
            continue;
        }
        if (c->kind_count == OVERLAY_KINDS_CAP) {
            k->refusal = "more Kinds than this program takes (16)";
            continue;
        }
        const char *why = k->outside;
        if (why != NULL || overlay_doc_verify_block(k->signature, k->bytes, &signers, crypto, at_ms,
                                                    &k->signer, &why) != ERR_OK) {
            k->refusal = why;
            continue;
        }
        c->kinds[c->kind_count++] = kind;
    }
}

/* The Kind of `doc` with this Kind-ID that is taken over. */
static const struct overlay_doc_kind *accepted(const struct overlay_doc *doc, uint32_t id)
{
    for (size_t i = 0; i < doc->kind_count; i++) {
        struct overlay_kind kind;
        if (doc->kinds[i].refusal == NULL && resolve(&doc->kinds[i], &kind) == NULL &&
            kind.id == id) {
            return &doc->kinds[i];
        }
    }
    return NULL;
}

size_t overlay_doc_accept_dropped(const struct overlay_doc *now, const struct overlay_doc *next,
                                  uint32_t out[OVERLAY_KINDS_CAP])
{
    size_t count = 0;
    for (size_t i = 0; i < now->config.kind_count; i++) {
        uint32_t id = now->config.kinds[i].id;
        struct overlay_kind registered;
        const struct overlay_doc_kind *old = accepted(now, id);
        bool is_kept = old != NULL && overlay_doc_lists(&next->kind_signers, &old->signer,
                                                        next->config.node_id_length);
        is_kept = is_kept && accepted(next, id) != NULL;
        if (!is_kept && !kind_registered(id, &registered)) {
            out[count++] = id;
        }
    }
    return count;
}

/* ---- a document after another ---- */

enum err overlay_doc_accept(const struct overlay_doc *now, struct overlay_doc *next,
                            const struct crypto *crypto, uint64_t at_ms, const char **why)
{
    struct overlay_doc_signers signers = {.trust = overlay_doc_trust(now),
                                          .allowed = &now->configuration_signers};
    /* The name's bytes make the overlay's identity. */
    *why = "the document is that of another overlay";
    if (strcmp(now->config.name, next->config.name) != 0) {
        return ERR_WRONG_OVERLAY;
    }
    *why = "the document is not newer than what is there";
    if (!config_sequence_is_newer(next->config.sequence, now->config.sequence)) {
        return ERR_STALE;
    }
    enum err e = overlay_doc_verify(next, &signers, crypto, at_ms, why);
    if (e != ERR_OK) {
        return e;
    }
    *why = "the document has expired";
    if (next->expiration.len > 0 && next->expiration_ms <= at_ms) {
        return ERR_EXPIRED;
    }
    *why = "";
    overlay_doc_accept_kinds(next, crypto, at_ms);
    return ERR_OK;
}

uint16_t overlay_doc_accept_code(enum err e)
{
    switch ((int)e) {
    case ERR_OK:
        return 0;
    case ERR_STALE:
    case ERR_EXPIRED:
        return CONTENT_ERROR_CONFIG_TOO_OLD;
    case ERR_CONFIG:
    case ERR_WRONG_OVERLAY:
        return CONTENT_ERROR_INVALID_MESSAGE;
    case ERR_LIMIT:
    case ERR_NO_MEMORY:
        return CONTENT_ERROR_MESSAGE_TOO_LARGE;
    case ERR_UNSUPPORTED:
        return CONTENT_ERROR_UNKNOWN_KIND;
    default: /* who has signed, and whether at all */
        return CONTENT_ERROR_FORBIDDEN;
    }
}

/* ---- a Kind alone ---- */

#define BEFORE                                                                                     \
    "<overlay xmlns='" OVERLAY_DOC_BASE_NS "'><configuration "                                     \
    "instance-name='kind'><required-kinds>"
#define AFTER "</required-kinds></configuration></overlay>"

static xmlNode *only_child(xmlNode *parent, const char *name)
{
    xmlNode *found = NULL;
    for (xmlNode *e = parent == NULL ? NULL : parent->children; e != NULL; e = e->next) {
        if (e->type == XML_ELEMENT_NODE && found != NULL) {
            return NULL;
        }
        found = e->type == XML_ELEMENT_NODE ? e : found;
    }
    return found != NULL && overlay_xml_is(found, OVERLAY_DOC_BASE_NS, name) ? found : NULL;
}

/* It is read inside of a document of its own, which gives it its default namespace; that nothing
 * but one <kind-block> stands there keeps it from closing our elements and opening others. */
static bool read_kind_block(struct overlay_doc_reading *r, const struct overlay_schema *schema,
                            struct overlay_doc_kind *out)
{
    xmlDoc *doc = overlay_xml_open(r->xml, r->why, OVERLAY_DOC_WHY_CAP);
    if (doc == NULL) {
        return false;
    }
    xmlNode *configuration = only_child(xmlDocGetRootElement(doc), "configuration");
    xmlNode *block = only_child(only_child(configuration, "required-kinds"), "kind-block");
    bool ok = block != NULL;
    if (!ok) {
        snprintf(r->why, OVERLAY_DOC_WHY_CAP, "not one <kind-block>");
    }
    ok = ok && overlay_doc_kind_read(r, block, out) &&
         overlay_schema_is_valid(schema, doc, r->why, OVERLAY_DOC_WHY_CAP);
    xmlFreeDoc(doc);
    return ok;
}

static enum err parse_kind(const struct overlay_doc_kind_update *u, struct overlay_doc_kind *out,
                           char *why)
{
    size_t room = u->arena->cap - u->arena->used;
    size_t len = sizeof(BEFORE) - 1 + u->xml.len + sizeof(AFTER) - 1;
    if (u->xml.len > UINT16_MAX || room < 2 * len + OVERLAY_DOC_ARENA_EXTRA) {
        snprintf(why, OVERLAY_DOC_WHY_CAP, "the <kind-block> is larger than the memory for it");
        return ERR_LIMIT;
    }
    uint8_t *text = ARENA_ARRAY(u->arena, uint8_t, len);
    memcpy(text, BEFORE, sizeof(BEFORE) - 1);
    if (u->xml.len > 0) {
        memcpy(text + sizeof(BEFORE) - 1, u->xml.data, u->xml.len);
    }
    memcpy(text + sizeof(BEFORE) - 1 + u->xml.len, AFTER, sizeof(AFTER) - 1);
    struct overlay_doc_reading r = {.xml = slice_of(text, len), .arena = u->arena, .why = why};
    bool ok = read_kind_block(&r, u->schema, out);
    overlay_doc_make_printable(why);
    return ok ? ERR_OK : ERR_CONFIG;
}

static enum err refuse(char *why, enum err e, const char *reason)
{
    snprintf(why, OVERLAY_DOC_WHY_CAP, "%s", reason);
    return e;
}

/* Puts `k` in the place of what is known under its Kind-ID, or behind all. */
static enum err take_kind(struct overlay_doc *doc, const struct overlay_doc_kind *k,
                          const struct overlay_kind *kind, char *why)
{
    struct overlay_kind *slot = find_kind(&doc->config, kind->id);
    const struct overlay_doc_kind *known = accepted(doc, kind->id);
    if (known != NULL && !ids_node_is_equal(&known->signer, &k->signer)) {
        return refuse(why, ERR_FORBIDDEN, "the Kind is known, signed by another");
    }
    if ((slot == NULL && doc->config.kind_count == OVERLAY_KINDS_CAP) ||
        (known == NULL && doc->kind_count == OVERLAY_DOC_KINDS_CAP)) {
        return refuse(why, ERR_LIMIT, "more Kinds than this program takes");
    }
    doc->kinds[known != NULL ? (size_t)(known - doc->kinds) : doc->kind_count++] = *k;
    *(slot != NULL ? slot : &doc->config.kinds[doc->config.kind_count++]) = *kind;
    return ERR_OK;
}

enum err overlay_doc_accept_kind(struct overlay_doc *doc, const struct overlay_doc_kind_update *u,
                                 char *why)
{
    struct overlay_doc_kind k;
    struct overlay_kind kind;
    struct overlay_doc_signers signers = kind_signers(doc);
    const char *reason = "";
    size_t used = u->arena->used;
    why[0] = '\0';
    enum err e = parse_kind(u, &k, why);
    if (e == ERR_OK && k.outside != NULL) {
        e = refuse(why, ERR_BAD_SIGNATURE, k.outside);
    }
    if (e == ERR_OK) {
        e = overlay_doc_verify_block(k.signature, k.bytes, &signers, u->crypto, u->at_ms, &k.signer,
                                     &reason);
        e = e == ERR_OK ? ERR_OK : refuse(why, e, reason);
    }
    if (e == ERR_OK) {
        k.refusal = resolve(&k, &kind);
        e = k.refusal != NULL ? refuse(why, ERR_UNSUPPORTED, k.refusal)
                              : take_kind(doc, &k, &kind, why);
    }
    if (e != ERR_OK) {
        u->arena->used = used; /* what is refused costs nothing that stays */
    }
    return e;
}
