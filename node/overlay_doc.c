/* SPDX-License-Identifier: Apache-2.0 */
/* The document is read twice: once by libxml2, for its meaning, and once by a scanner of tags that
 * finds where the bytes of each <configuration> begin and end, because its signature is over
 * exactly those (CF-1) and a re-serialised copy would not verify.
 *
 * Elements of other namespaces are passed over, except where mandatory-extension names one that we
 * do not know: then the overlay must not be joined (11.1). */
#include "node/overlay_doc.h"
#include "node/overlay_xml.h"
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>

#define BASE_NS "urn:ietf:params:xml:ns:p2p:config-base"
#define CHORD_NS "urn:ietf:params:xml:ns:p2p:config-chord"
#define OWN_NS "urn:chordial:params:xml:ns:config"

/* What is registered wins over what a document says of a registered Kind (RFC 6940 11.1, A-63). */
static const struct {
    const char *name;
    struct overlay_kind kind;
} registry[] = {
    {"SIP-REGISTRATION",
     {OVERLAY_KIND_SIP_REGISTRATION, OVERLAY_DICTIONARY, OVERLAY_USER_NODE_MATCH, 32, 512, 0}},
    {"CERTIFICATE_BY_NODE",
     {OVERLAY_KIND_CERTIFICATE_BY_NODE, OVERLAY_ARRAY, OVERLAY_NODE_MATCH, 4, 2048, 0}},
    {"CERTIFICATE_BY_USER",
     {OVERLAY_KIND_CERTIFICATE_BY_USER, OVERLAY_ARRAY, OVERLAY_USER_MATCH, 16, 2048, 0}},
};

struct reading {
    struct overlay_doc *out;
    struct arena *arena;
    char *why;
};

static bool complain(struct reading *r, const char *what, const char *element)
{
    snprintf(r->why, OVERLAY_DOC_WHY_CAP, "<%s>: %s", element, what);
    return false;
}

static bool number_of(struct reading *r, xmlNode *e, uint64_t min, uint64_t max, uint64_t *out)
{
    char text[32];
    if (!overlay_xml_text(e, text, sizeof(text)) ||
        !overlay_xml_number(slice_text(text), max, out) || *out < min) {
        snprintf(r->why, OVERLAY_DOC_WHY_CAP, "<%s>: wants a whole number from %llu to %llu",
                 (const char *)e->name, (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    return true;
}

static bool boolean_of(struct reading *r, xmlNode *e, bool *out)
{
    char text[16];
    if (overlay_xml_text(e, text, sizeof(text)) && overlay_xml_boolean(slice_text(text), out)) {
        return true;
    }
    return complain(r, "wants true, false, 1 or 0", (const char *)e->name);
}

static bool read_root(struct reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    if (d->root_count == OVERLAY_DOC_ROOTS_CAP) {
        return complain(r, "more root certificates than this program takes (8)", "root-cert");
    }
    if (!overlay_xml_base64(e, r->arena, &d->roots[d->root_count])) {
        return complain(r, "is not base64", "root-cert");
    }
    d->root_count++;
    return true;
}

/* kind-signer, configuration-signer, bad-node: hex Node-IDs.  One of another length cannot name a
 * node of this overlay: it is passed over, bad hex is not. */
static bool read_id(struct reading *r, xmlNode *e, struct overlay_doc_ids *ids)
{
    char text[2 * IDS_NODE_MAX + 2];
    struct node_id id = {0};
    size_t len = 0;
    if (!overlay_xml_text(e, text, sizeof(text)) ||
        ids_unhex(slice_text(text), id.bytes, sizeof(id.bytes), &len) != ERR_OK) {
        return complain(r, "is not a Node-ID in hex", (const char *)e->name);
    }
    if (len != r->out->config.node_id_length) {
        return true;
    }
    if (ids->count == OVERLAY_DOC_IDS_CAP) {
        return complain(r, "more of these than this program takes (64)", (const char *)e->name);
    }
    ids->ids[ids->count++] = id;
    return true;
}

static bool read_bootstrap(struct reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    char host[ADDRESS_TEXT_CAP];
    char port_text[8];
    uint64_t port = 6084;
    if (!overlay_xml_attribute(e, "address", host, sizeof(host))) {
        return complain(r, "has no address", "bootstrap-node");
    }
    if (overlay_xml_has_attribute(e, "port") &&
        (!overlay_xml_attribute(e, "port", port_text, sizeof(port_text)) ||
         !overlay_xml_number(slice_text(port_text), 65535, &port) || port == 0)) {
        return complain(r, "port is not a number from 1 to 65535", "bootstrap-node");
    }
    if (d->bootstrap_count == OVERLAY_BOOTSTRAP_CAP) {
        return true; /* sixteen ways in are enough */
    }
    struct address *a = &d->bootstrap[d->bootstrap_count];
    if (address_parse(slice_text(host), 0, a) != ERR_OK || a->port != 0) {
        return complain(r, "address is not an IPv4 or IPv6 address", "bootstrap-node");
    }
    a->port = (uint16_t)port;
    d->bootstrap_count++;
    return true;
}

static bool read_self_signed(struct reading *r, xmlNode *e)
{
    char digest[16];
    if (!boolean_of(r, e, &r->out->self_signed_permitted)) {
        return false;
    }
    if (!overlay_xml_attribute(e, "digest", digest, sizeof(digest)) ||
        (strcmp(digest, "sha1") != 0 && strcmp(digest, "sha256") != 0)) {
        return complain(r, "digest must be sha1 or sha256", "self-signed-permitted");
    }
    r->out->self_signed_sha256 = strcmp(digest, "sha256") == 0;
    return true;
}

static bool read_extension(struct reading *r, xmlNode *e)
{
    char uri[128];
    if (!overlay_xml_text(e, uri, sizeof(uri))) {
        return complain(r, "is empty or too long", "mandatory-extension");
    }
    if (strcmp(uri, CHORD_NS) != 0 && strcmp(uri, OWN_NS) != 0) {
        snprintf(r->why, OVERLAY_DOC_WHY_CAP, "<mandatory-extension>: %.110s is not supported",
                 uri);
        return false;
    }
    return true;
}

/* Every <kind> must be whole, registered or not; only registered ones are taken over. */
static bool read_kind(struct reading *r, xmlNode *e)
{
    char name[64] = "";
    char model[16];
    uint64_t count = 0;
    uint64_t size = 0;
    uint64_t multiple = 0;
    xmlNode *c = overlay_xml_child(e, BASE_NS, "max-count");
    xmlNode *s = overlay_xml_child(e, BASE_NS, "max-size");
    xmlNode *m = overlay_xml_child(e, BASE_NS, "data-model");
    xmlNode *a = overlay_xml_child(e, BASE_NS, "access-control");
    xmlNode *x = overlay_xml_child(e, BASE_NS, "max-node-multiple");
    bool named = overlay_xml_attribute(e, "name", name, sizeof(name));
    if (named == overlay_xml_has_attribute(e, "id")) {
        return complain(r, "wants exactly one of name and id", "kind");
    }
    if (m == NULL || a == NULL || c == NULL || s == NULL) {
        return complain(r, "lacks data-model, access-control, max-count or max-size", "kind");
    }
    char policy[32];
    if (!overlay_xml_text(m, model, sizeof(model)) ||
        !overlay_xml_text(a, policy, sizeof(policy))) {
        return complain(r, "data-model or access-control is empty or too long", "kind");
    }
    if (!number_of(r, c, 0, UINT32_MAX, &count) || !number_of(r, s, 0, UINT32_MAX, &size) ||
        (x != NULL && !number_of(r, x, 1, UINT32_MAX, &multiple))) {
        return false;
    }
    if (strcmp(policy, "NODE-MULTIPLE") == 0 && x == NULL) {
        return complain(r, "NODE-MULTIPLE wants max-node-multiple", "kind");
    }
    struct overlay_config *config = &r->out->config;
    for (size_t i = 0; named && i < config->kind_count; i++) {
        if (strcmp(registry[i].name, name) == 0) {
            config->kinds[i].max_count = (uint32_t)count;
            config->kinds[i].max_size_bytes = (uint32_t)size;
        }
    }
    return true;
}

static bool read_kinds(struct reading *r, xmlNode *e)
{
    for (xmlNode *block = e->children; block != NULL; block = block->next) {
        if (!overlay_xml_is(block, BASE_NS, "kind-block")) {
            continue;
        }
        xmlNode *kind = overlay_xml_child(block, BASE_NS, "kind");
        if (kind == NULL) {
            return complain(r, "has no <kind>", "kind-block");
        }
        if (!read_kind(r, kind)) {
            return false;
        }
    }
    return true;
}

static bool read_topology(struct reading *r, xmlNode *e)
{
    char text[64];
    if (overlay_xml_text(e, text, sizeof(text)) && strcmp(text, "CHORD-RELOAD") == 0) {
        return true;
    }
    return complain(r, "only CHORD-RELOAD is supported", (const char *)e->name);
}

/* Numbers and booleans of the configuration: one row each.  *known tells whether `e` is one. */
static bool read_scalar(struct reading *r, xmlNode *e, bool *known)
{
    struct overlay_config *c = &r->out->config;
    bool ignored = false;
    const struct {
        const char *ns, *name;
        uint64_t min, max;
        uint8_t *u8;
        uint32_t *u32;
        bool *flag;
    } rows[] = {
        {BASE_NS, "initial-ttl", 1, 100, &c->initial_ttl, NULL, NULL},
        {BASE_NS, "max-message-size", 1000, 65535, NULL, &c->max_message_bytes, NULL},
        {BASE_NS, "overlay-reliability-timer", 200, 60000, NULL, &c->reliability_timer_ms, NULL},
        {CHORD_NS, "chord-update-interval", 1, 86400, NULL, &c->chord_update_interval_s, NULL},
        {CHORD_NS, "chord-ping-interval", 1, 86400, NULL, &c->chord_ping_interval_s, NULL},
        {CHORD_NS, "chord-reactive", 0, 0, NULL, NULL, &c->chord_reactive},
        {OWN_NS, "replica-min-hosts", 1, 8, NULL, &c->replica_min_hosts, NULL},
        {BASE_NS, "turn-density", 0, 255, NULL, NULL, NULL},
        {BASE_NS, "clients-permitted", 0, 0, NULL, NULL, &r->out->clients_permitted},
        {BASE_NS, "no-ice", 0, 0, NULL, NULL, &c->no_ice},
    };
    *known = true;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t value = 0;
        if (!overlay_xml_is(e, rows[i].ns, rows[i].name)) {
            continue;
        }
        if (rows[i].max == 0) {
            return boolean_of(r, e, rows[i].flag != NULL ? rows[i].flag : &ignored);
        }
        if (!number_of(r, e, rows[i].min, rows[i].max, &value)) {
            return false;
        }
        if (rows[i].u8 != NULL) {
            *rows[i].u8 = (uint8_t)value;
        }
        if (rows[i].u32 != NULL) {
            *rows[i].u32 = (uint32_t)value;
        }
        return true;
    }
    *known = false;
    return true;
}

static bool read_element(struct reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    const char *name = (const char *)e->name;
    bool known = false;
    bool ok = read_scalar(r, e, &known);
    if (known || !overlay_xml_is(e, BASE_NS, name)) {
        return ok;
    }
    if (strcmp(name, "topology-plugin") == 0 || strcmp(name, "topology-plug-in") == 0) {
        return read_topology(r, e);
    }
    if (strcmp(name, "root-cert") == 0) {
        return read_root(r, e);
    }
    if (strcmp(name, "bootstrap-node") == 0) {
        return read_bootstrap(r, e);
    }
    if (strcmp(name, "self-signed-permitted") == 0) {
        return read_self_signed(r, e);
    }
    if (strcmp(name, "configuration-signer") == 0) {
        return read_id(r, e, &d->configuration_signers);
    }
    if (strcmp(name, "kind-signer") == 0) {
        return read_id(r, e, &d->kind_signers);
    }
    if (strcmp(name, "bad-node") == 0) {
        return read_id(r, e, &d->bad_nodes);
    }
    if (strcmp(name, "mandatory-extension") == 0) {
        return read_extension(r, e);
    }
    if (strcmp(name, "required-kinds") == 0) {
        return read_kinds(r, e);
    }
    return true; /* enrollment-server, shared-secret, overlay-link-protocol: not acted upon here */
}

static void set_defaults(struct overlay_doc *d)
{
    memset(d, 0, sizeof(*d)); /* too large for a literal on the stack */
    d->clients_permitted = true;
    struct overlay_config *c = &d->config;
    c->node_id_length = 16;
    c->initial_ttl = 100;
    c->max_message_bytes = 5000;
    c->reliability_timer_ms = 3000;
    c->chord_update_interval_s = 600;
    c->chord_ping_interval_s = 3600;
    c->chord_reactive = true;
    c->replica_min_hosts = 2;
    for (size_t i = 0; i < ARRAY_COUNT(registry); i++) {
        c->kinds[c->kind_count++] = registry[i].kind;
    }
}

/* instance-name becomes part of file names, realms and log lines: DNS-legal characters only. */
static bool is_dns_name(const char *name)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return name[0] != '\0' && strspn(name, legal) == strlen(name);
}

static bool read_attributes(struct reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    char text[40];
    uint64_t sequence = 0;
    if (!overlay_xml_attribute(e, "instance-name", d->config.name, sizeof(d->config.name)) ||
        !is_dns_name(d->config.name)) {
        return complain(r, "instance-name is missing or not a DNS name", "configuration");
    }
    if (overlay_xml_has_attribute(e, "sequence")) {
        if (!overlay_xml_attribute(e, "sequence", text, sizeof(text)) ||
            !overlay_xml_number(slice_text(text), 65534, &sequence)) {
            return complain(r, "sequence is not a number from 0 to 65534", "configuration");
        }
        d->config.sequence = (uint16_t)sequence;
    }
    if (overlay_xml_has_attribute(e, "expiration")) {
        if (!overlay_xml_attribute(e, "expiration", text, sizeof(text)) ||
            !overlay_xml_time(slice_text(text), &d->expiration_ms)) {
            return complain(r, "expiration is not a time like 2030-01-31T12:00:00Z",
                            "configuration");
        }
        d->has_expiration = true;
    }
    return true;
}

static bool read_configuration(struct reading *r, xmlNode *e)
{
    set_defaults(r->out);
    if (!read_attributes(r, e)) {
        return false;
    }
    /* The length first: Node-IDs in other elements are judged by it, wherever it stands. */
    xmlNode *length = overlay_xml_child(e, BASE_NS, "node-id-length");
    uint64_t value = 16;
    if (length != NULL && !number_of(r, length, 16, 20, &value)) {
        return false;
    }
    r->out->config.node_id_length = (uint8_t)value;
    for (xmlNode *child = e->children; child != NULL; child = child->next) {
        if (child->type == XML_ELEMENT_NODE && !read_element(r, child)) {
            return false;
        }
    }
    if (value != 16) {
        return complain(r, "CHORD-RELOAD takes Node-IDs of 16 bytes only", "node-id-length");
    }
    return true;
}

/* The <configuration> wanted, its position among all, and the <signature> right behind it. */
static xmlNode *choose(xmlNode *root, struct slice instance_name, size_t *position)
{
    size_t seen = 0;
    for (xmlNode *e = root->children; e != NULL; e = e->next) {
        if (!overlay_xml_is(e, BASE_NS, "configuration")) {
            continue;
        }
        char name[CRYPTO_OVERLAY_CAP + 1] = "";
        *position = seen++;
        if (instance_name.len == 0 ||
            (overlay_xml_attribute(e, "instance-name", name, sizeof(name)) &&
             slice_is_equal(slice_text(name), instance_name))) {
            return e;
        }
    }
    return NULL;
}

static bool read_document(struct reading *r, xmlDoc *doc, struct slice xml, struct slice name)
{
    size_t position = 0;
    xmlNode *root = xmlDocGetRootElement(doc);
    if (root == NULL || !overlay_xml_is(root, BASE_NS, "overlay")) {
        return complain(r, "is not the root element", "overlay");
    }
    xmlNode *e = choose(root, name, &position);
    if (e == NULL) {
        return complain(r, "none for this overlay in the document", "configuration");
    }
    if (!read_configuration(r, e)) {
        return false;
    }
    if (!overlay_xml_span(xml, "configuration", position, &r->out->configuration)) {
        return complain(r, "its bytes cannot be found in the document", "configuration");
    }
    xmlNode *next = e->next;
    while (next != NULL && next->type != XML_ELEMENT_NODE) {
        next = next->next;
    }
    if (next != NULL && overlay_xml_is(next, BASE_NS, "signature") &&
        !overlay_xml_base64(next, r->arena, &r->out->signature)) {
        return complain(r, "is not base64", "signature");
    }
    return true;
}

enum err overlay_doc_parse(struct slice xml, struct slice instance_name, struct arena *arena,
                           struct overlay_doc *out, char *why)
{
    struct reading r = {.out = out, .arena = arena, .why = why};
    why[0] = '\0';
    memset(out, 0, sizeof(*out));
    if (xml.len > OVERLAY_DOC_BYTES_CAP) {
        snprintf(why, OVERLAY_DOC_WHY_CAP, "the document has more than 256 KiB");
        return ERR_CONFIG;
    }
    /* A document type brings entities, and no RELOAD document needs one. */
    if (memmem(xml.data, xml.len, "<!DOCTYPE", 9) != NULL) {
        snprintf(why, OVERLAY_DOC_WHY_CAP, "the document has a DOCTYPE; none is accepted");
        return ERR_CONFIG;
    }
    xmlDoc *doc = xmlReadMemory((const char *)xml.data, (int)xml.len, NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (doc == NULL) {
        const xmlError *last = xmlGetLastError();
        snprintf(why, OVERLAY_DOC_WHY_CAP, "not well-formed XML at line %d",
                 last != NULL ? last->line : 0);
        return ERR_CONFIG;
    }
    bool ok = read_document(&r, doc, xml, instance_name);
    xmlFreeDoc(doc);
    return ok ? ERR_OK : ERR_CONFIG;
}

struct crypto_trust overlay_doc_trust(const struct overlay_doc *doc)
{
    STATIC_CHECK(sizeof(doc->bad_nodes.ids[0]) == sizeof(doc->bad_nodes.ids[0].bytes));
    return (struct crypto_trust){
        .roots = doc->roots,
        .root_count = doc->root_count,
        .overlay_name = slice_text(doc->config.name),
        .node_id_length = doc->config.node_id_length,
        .self_signed_permitted = doc->self_signed_permitted,
        .self_signed_sha256 = doc->self_signed_sha256,
        .bad_nodes = doc->bad_nodes.ids[0].bytes,
        .bad_node_count = doc->bad_nodes.count,
    };
}
