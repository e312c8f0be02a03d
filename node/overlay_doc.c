/* SPDX-License-Identifier: Apache-2.0 */
/* The elements are read first and the schema is asked afterwards: both must agree, and what we say
 * of a wrong element is easier to act upon than what a grammar says.
 *
 * Elements of other namespaces are passed over (CF-1); what mandatory-extension names is for
 * overlay_doc_join_check. */
#include "node/overlay_doc_inside.h"
#include "node/overlay_schema.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

bool overlay_doc_complain(struct overlay_doc_reading *r, const xmlNode *e, const char *format, ...)
{
    char what[80]; /* longer than any sentence of ours */
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    snprintf(r->why, OVERLAY_DOC_WHY_CAP, "line %ld: <%.40s>: %s", xmlGetLineNo(e),
             (const char *)e->name, what);
    return false;
}

void overlay_doc_make_printable(char *why)
{
    size_t len = strcspn(why, "\n");
    why[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (why[i] < ' ' || why[i] > '~') {
            why[i] = '?';
        }
    }
}

bool overlay_doc_number(struct overlay_doc_reading *r, xmlNode *e, uint64_t min, uint64_t max,
                        uint64_t *out)
{
    char text[32];
    if (overlay_xml_text(e, text, sizeof(text))) {
        size_t sign = text[0] == '+' ? 1 : 0;
        if (overlay_xml_number(slice_text(text + sign), max, out) && *out >= min) {
            return true;
        }
    }
    return overlay_doc_complain(r, e, "wants a whole number from %llu to %llu",
                                (unsigned long long)min, (unsigned long long)max);
}

/* ---- one element each ---- */

static bool boolean_of(struct overlay_doc_reading *r, xmlNode *e, bool *out)
{
    char text[16];
    if (overlay_xml_text(e, text, sizeof(text)) && overlay_xml_boolean(slice_text(text), out)) {
        return true;
    }
    return overlay_doc_complain(r, e, "wants true, false, 1 or 0");
}

static bool read_topology(struct overlay_doc_reading *r, xmlNode *e)
{
    return overlay_xml_copy(e, true, r->arena, &r->out->topology) && r->out->topology.len > 0
               ? true
               : overlay_doc_complain(r, e, "is empty");
}

static bool read_node_id_length(struct overlay_doc_reading *r, xmlNode *e)
{
    uint64_t value = 0;
    if (!overlay_doc_number(r, e, IDS_NODE_MIN, IDS_NODE_MAX, &value)) {
        return false;
    }
    r->out->config.node_id_length = (uint8_t)value;
    return true;
}

static bool read_root(struct overlay_doc_reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    if (d->root_count == OVERLAY_DOC_ROOTS_CAP) {
        return overlay_doc_complain(r, e, "more than %d of these", OVERLAY_DOC_ROOTS_CAP);
    }
    if (!overlay_xml_base64(e, r->arena, &d->roots[d->root_count])) {
        return overlay_doc_complain(r, e, "is not base64");
    }
    d->root_count++;
    return true;
}

static bool read_list(struct overlay_doc_reading *r, xmlNode *e, struct overlay_doc_list *list)
{
    if (list->count == OVERLAY_DOC_LIST_CAP) {
        return overlay_doc_complain(r, e, "more than %d of these", OVERLAY_DOC_LIST_CAP);
    }
    struct slice *text = &list->texts[list->count];
    if (!overlay_xml_copy(e, true, r->arena, text) || text->len == 0) {
        return overlay_doc_complain(r, e, "is empty");
    }
    list->count++;
    return true;
}

/* The text of 11.1 puts the address into a <url>, its grammar and example do not: the text
 * of the element is the same for both. */
static bool read_enrollment_server(struct overlay_doc_reading *r, xmlNode *e)
{
    static const struct slice https = {(const uint8_t *)"https://", 8};
    struct overlay_doc_list *list = &r->out->enrollment_servers;
    if (!read_list(r, e, list)) {
        return false;
    }
    struct slice url = list->texts[list->count - 1];
    if (url.len <= https.len || !slice_is_equal_nocase(slice_sub(url, 0, https.len), https)) {
        return overlay_doc_complain(r, e, "is not an https address");
    }
    return true;
}

/* "TLS" stands for TLS and DTLS (11.1), the others are names of the registry in 14.10. */
static enum overlay_links links_of(const struct overlay_doc_list *list)
{
    bool trunk = false;
    bool datagram = false;
    for (size_t i = 0; i < list->count; i++) {
        bool both = slice_is_equal(list->texts[i], SLICE_LITERAL("TLS"));
        trunk |= both || slice_is_equal(list->texts[i], SLICE_LITERAL("TLS-TCP-FH-NO-ICE"));
        datagram |= both || slice_is_equal(list->texts[i], SLICE_LITERAL("DTLS-UDP-SR-NO-ICE"));
    }
    return !datagram ? OVERLAY_LINKS_TRUNK : trunk ? OVERLAY_LINKS_BOTH : OVERLAY_LINKS_DATAGRAM;
}

static bool read_link_protocol(struct overlay_doc_reading *r, xmlNode *e)
{
    return read_list(r, e, &r->out->link_protocols);
}

static bool read_extension(struct overlay_doc_reading *r, xmlNode *e)
{
    return read_list(r, e, &r->out->mandatory_extensions);
}

static bool read_shared_secret(struct overlay_doc_reading *r, xmlNode *e)
{
    r->out->has_shared_secret = true;
    return overlay_xml_copy(e, false, r->arena, &r->out->shared_secret)
               ? true
               : overlay_doc_complain(r, e, "is too long");
}

static bool read_self_signed(struct overlay_doc_reading *r, xmlNode *e)
{
    char digest[16];
    if (!boolean_of(r, e, &r->out->self_signed_permitted)) {
        return false;
    }
    if (!overlay_xml_attribute(e, "digest", digest, sizeof(digest)) ||
        (strcmp(digest, "sha1") != 0 && strcmp(digest, "sha256") != 0)) {
        return overlay_doc_complain(r, e, "digest must be sha1 or sha256");
    }
    r->out->has_self_signed = true;
    r->out->self_signed_sha256 = strcmp(digest, "sha256") == 0;
    return true;
}

static bool read_bootstrap(struct overlay_doc_reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    char host[ADDRESS_TEXT_CAP];
    char port_text[8];
    uint64_t port = 6084;
    if (!overlay_xml_attribute(e, "address", host, sizeof(host))) {
        return overlay_doc_complain(r, e, "has no address, or a long one");
    }
    if (overlay_xml_has_attribute(e, "port") &&
        (!overlay_xml_attribute(e, "port", port_text, sizeof(port_text)) ||
         !overlay_xml_number(slice_text(port_text), 65535, &port) || port == 0)) {
        return overlay_doc_complain(r, e, "port is not a number from 1 to 65535");
    }
    if (d->bootstrap_count == OVERLAY_DOC_BOOTSTRAP_CAP) {
        return overlay_doc_complain(r, e, "more than %d of these", OVERLAY_DOC_BOOTSTRAP_CAP);
    }
    struct address *a = &d->bootstrap[d->bootstrap_count];
    if (address_parse(slice_text(host), 0, a) != ERR_OK || a->port != 0) {
        return overlay_doc_complain(r, e, "address is not an IPv4 or IPv6 address");
    }
    a->port = (uint16_t)port;
    d->bootstrap_count++;
    return true;
}

static bool read_id(struct overlay_doc_reading *r, xmlNode *e, struct overlay_doc_ids *ids)
{
    char text[2 * IDS_NODE_MAX + 2];
    struct node_id id = {0};
    size_t len = 0;
    if (!overlay_xml_text(e, text, sizeof(text)) ||
        ids_unhex(slice_text(text), id.bytes, sizeof(id.bytes), &len) != ERR_OK || len == 0) {
        return overlay_doc_complain(r, e, "is not a Node-ID in hex");
    }
    if (ids->count == OVERLAY_DOC_IDS_CAP) {
        return overlay_doc_complain(r, e, "more than %d of these", OVERLAY_DOC_IDS_CAP);
    }
    ids->lens[ids->count] = (uint8_t)len;
    ids->ids[ids->count++] = id;
    return true;
}

static bool read_configuration_signer(struct overlay_doc_reading *r, xmlNode *e)
{
    return read_id(r, e, &r->out->configuration_signers);
}

static bool read_kind_signer(struct overlay_doc_reading *r, xmlNode *e)
{
    return read_id(r, e, &r->out->kind_signers);
}

static bool read_bad_node(struct overlay_doc_reading *r, xmlNode *e)
{
    return read_id(r, e, &r->out->bad_nodes);
}

static bool read_kinds(struct overlay_doc_reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    for (xmlNode *block = e->children; block != NULL; block = block->next) {
        if (!overlay_xml_is(block, OVERLAY_DOC_BASE_NS, "kind-block")) {
            continue;
        }
        if (d->kind_count == OVERLAY_DOC_KINDS_CAP) {
            return overlay_doc_complain(r, block, "more than %d of these", OVERLAY_DOC_KINDS_CAP);
        }
        if (!overlay_doc_kind_read(r, block, &d->kinds[d->kind_count])) {
            return false;
        }
        d->kind_count++;
    }
    return true;
}

/* ---- the list of elements ---- */

/* A number or boolean says where its value goes, any other element who reads it. */
struct element {
    const char *ns, *name;
    bool (*read)(struct overlay_doc_reading *r, xmlNode *e);
    bool is_many;
    uint8_t bytes; /* of the value; 0: a boolean */
    size_t offset;
    uint64_t min, max;
};

#define BASE OVERLAY_DOC_BASE_NS
#define CHORD OVERLAY_DOC_CHORD_NS
#define AT(member) offsetof(struct overlay_doc, member)
#define NUMBER(ns, name, size, member, min, max)                                                   \
    {                                                                                              \
        ns, name, NULL, false, size, AT(member), min, max                                          \
    }
#define BOOLEAN(ns, name, member)                                                                  \
    {                                                                                              \
        ns, name, NULL, false, 0, AT(member), 0, 0                                                 \
    }
#define ONE(name, function)                                                                        \
    {                                                                                              \
        BASE, name, function, false, 0, 0, 0, 0                                                    \
    }
#define MANY(name, function)                                                                       \
    {                                                                                              \
        BASE, name, function, true, 0, 0, 0, 0                                                     \
    }

/* TTL: more than 100 is the configuration's to allow (6.3.2). */
static const struct element elements[] = {
    NUMBER(BASE, "initial-ttl", 1, config.initial_ttl, 1, 255),
    NUMBER(BASE, "max-message-size", 4, config.max_message_bytes, 0, UINT32_MAX),
    NUMBER(BASE, "overlay-reliability-timer", 4, config.reliability_timer_ms, 200, INT32_MAX),
    NUMBER(CHORD, "chord-update-interval", 4, config.chord_update_interval_s, 1, INT32_MAX),
    NUMBER(CHORD, "chord-ping-interval", 4, config.chord_ping_interval_s, 1, INT32_MAX),
    BOOLEAN(CHORD, "chord-reactive", config.chord_reactive),
    NUMBER(OVERLAY_DOC_OWN_NS, "replica-min-hosts", 4, config.replica_min_hosts, 1, 8),
    NUMBER(BASE, "turn-density", 1, turn_density, 0, 255),
    BOOLEAN(BASE, "clients-permitted", clients_permitted),
    BOOLEAN(BASE, "no-ice", config.no_ice),
    ONE("topology-plugin", read_topology),
    ONE("topology-plug-in", read_topology),
    ONE("node-id-length", read_node_id_length),
    ONE("shared-secret", read_shared_secret),
    ONE("self-signed-permitted", read_self_signed),
    ONE("required-kinds", read_kinds),
    MANY("root-cert", read_root),
    MANY("enrollment-server", read_enrollment_server),
    MANY("bootstrap-node", read_bootstrap),
    MANY("overlay-link-protocol", read_link_protocol),
    MANY("configuration-signer", read_configuration_signer),
    MANY("kind-signer", read_kind_signer),
    MANY("bad-node", read_bad_node),
    MANY("mandatory-extension", read_extension),
};

static bool read_value(struct overlay_doc_reading *r, xmlNode *e, const struct element *what)
{
    uint8_t *at = (uint8_t *)r->out + what->offset;
    uint64_t value = 0;
    if (what->bytes == 0) {
        return boolean_of(r, e, (bool *)at);
    }
    if (!overlay_doc_number(r, e, what->min, what->max, &value)) {
        return false;
    }
    uint32_t wide = (uint32_t)value;
    uint8_t narrow = (uint8_t)value;
    memcpy(at, what->bytes == 4 ? (const void *)&wide : &narrow, what->bytes);
    return true;
}

static bool read_element(struct overlay_doc_reading *r, xmlNode *e, uint32_t *seen)
{
    STATIC_CHECK(ARRAY_COUNT(elements) <= 32);
    for (size_t i = 0; i < ARRAY_COUNT(elements); i++) {
        const struct element *what = &elements[i];
        if (!overlay_xml_is(e, what->ns, what->name)) {
            continue;
        }
        if (!what->is_many && (*seen & UINT32_C(1) << i) != 0) {
            return overlay_doc_complain(r, e, "stands twice");
        }
        *seen |= UINT32_C(1) << i;
        return what->read != NULL ? what->read(r, e) : read_value(r, e, what);
    }
    const char *name = (const char *)e->name;
    if (e->ns == NULL || overlay_xml_is(e, BASE, name) || overlay_xml_is(e, CHORD, name)) {
        return overlay_doc_complain(r, e, "is not an element of a configuration");
    }
    return true;
}

/* ---- a configuration ---- */

static void set_defaults(struct overlay_doc *d)
{
    memset(d, 0, sizeof(*d)); /* too large for a literal on the stack */
    d->clients_permitted = true;
    d->turn_density = 1;
    d->topology = SLICE_LITERAL("CHORD-RELOAD");
    struct overlay_config *c = &d->config;
    c->node_id_length = 16;
    c->initial_ttl = 100;
    c->max_message_bytes = 5000;
    c->reliability_timer_ms = 3000;
    c->chord_update_interval_s = 600;
    c->chord_ping_interval_s = 3600;
    c->chord_reactive = true;
    c->replica_min_hosts = 2;
}

/* instance-name becomes part of file names, realms and log lines: DNS-legal characters only. */
static bool is_dns_name(const char *name)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return name[0] != '\0' && strspn(name, legal) == strlen(name);
}

static bool read_attributes(struct overlay_doc_reading *r, xmlNode *e)
{
    struct overlay_doc *d = r->out;
    char text[40];
    uint64_t sequence = 0;
    if (!overlay_xml_attribute(e, "instance-name", d->config.name, sizeof(d->config.name)) ||
        !is_dns_name(d->config.name)) {
        return overlay_doc_complain(r, e, "instance-name is missing or not a DNS name");
    }
    if (overlay_xml_has_attribute(e, "sequence")) {
        if (!overlay_xml_attribute(e, "sequence", text, sizeof(text)) ||
            !overlay_xml_number(slice_text(text + (text[0] == '+' ? 1 : 0)), 65534, &sequence)) {
            return overlay_doc_complain(r, e, "sequence is not a number from 0 to 65534");
        }
        d->config.sequence = (uint16_t)sequence;
        d->has_sequence = true;
    }
    if (overlay_xml_has_attribute(e, "expiration")) {
        if (!overlay_xml_attribute(e, "expiration", text, sizeof(text)) ||
            !overlay_xml_time(slice_text(text), &d->expiration_ms)) {
            return overlay_doc_complain(r, e, "expiration is not a time like 2030-01-31T12:00:00Z");
        }
        uint8_t *copy = ARENA_ARRAY(r->arena, uint8_t, sizeof(text));
        memcpy(copy, text, sizeof(text));
        d->expiration = slice_text((const char *)copy);
    }
    return true;
}

/* The length may be told behind the Node-IDs. */
static void find_revoked(struct overlay_doc *d)
{
    for (size_t i = 0; i < d->bad_nodes.count; i++) {
        if (d->bad_nodes.lens[i] == d->config.node_id_length) {
            d->revoked[d->revoked_count++] = d->bad_nodes.ids[i];
        }
    }
}

static bool read_configuration(struct overlay_doc_reading *r, xmlNode *e)
{
    struct overlay_span span;
    uint32_t seen = 0;
    if (!read_attributes(r, e)) {
        return false;
    }
    for (xmlNode *child = e->children; child != NULL; child = child->next) {
        if (child->type == XML_ELEMENT_NODE && !read_element(r, child, &seen)) {
            return false;
        }
    }
    find_revoked(r->out);
    if (r->out->link_protocols.count == 0) { /* the default, which any element replaces */
        r->out->link_protocols.texts[r->out->link_protocols.count++] = SLICE_LITERAL("TLS");
    }
    r->out->config.links = links_of(&r->out->link_protocols);
    if (!overlay_xml_span(r->xml, e, &span)) {
        return overlay_doc_complain(r, e, "its bytes cannot be found in the document");
    }
    r->out->configuration = span.bytes;
    r->out->outside = overlay_doc_outside(e, r->arena);
    return true;
}

/* The <signature> elements right behind a <configuration>. */
static bool read_signatures(struct overlay_doc_reading *r, xmlNode *configuration)
{
    struct overlay_doc *d = r->out;
    for (xmlNode *e = configuration->next; e != NULL; e = e->next) {
        if (e->type != XML_ELEMENT_NODE) {
            continue;
        }
        if (!overlay_xml_is(e, BASE, "signature")) {
            return true; /* the next configuration's business */
        }
        if (d->signature_count == OVERLAY_DOC_SIGNATURES_CAP) {
            return overlay_doc_complain(r, e, "more than %d of these", OVERLAY_DOC_SIGNATURES_CAP);
        }
        if (!overlay_xml_base64(e, r->arena, &d->signatures[d->signature_count])) {
            return overlay_doc_complain(r, e, "is not base64");
        }
        d->signature_count++;
    }
    return true;
}

/* ---- a document ---- */

/* Which <configuration> is wanted: the one with this name, or the one that stands there. */
struct wanted {
    struct slice name;
    size_t position;
};

static xmlNode *choose(xmlNode *root, const struct wanted *wanted, size_t *count)
{
    xmlNode *found = NULL;
    *count = 0;
    for (xmlNode *e = root->children; e != NULL; e = e->next) {
        if (!overlay_xml_is(e, BASE, "configuration")) {
            continue;
        }
        char name[CRYPTO_OVERLAY_CAP + 1] = "";
        bool is_it = wanted->name.len == 0
                         ? *count == wanted->position
                         : overlay_xml_attribute(e, "instance-name", name, sizeof(name)) &&
                               slice_is_equal(slice_text(name), wanted->name);
        found = found == NULL && is_it ? e : found;
        ++*count;
    }
    return found;
}

static enum err read_document(struct overlay_doc_reading *r, const struct overlay_schema *schema,
                              xmlDoc *doc, const struct wanted *wanted)
{
    size_t count = 0;
    xmlNode *root = xmlDocGetRootElement(doc);
    if (root == NULL || !overlay_xml_is(root, BASE, "overlay")) {
        snprintf(r->why, OVERLAY_DOC_WHY_CAP, "line 1: the root element is not <overlay> of " BASE);
        return ERR_CONFIG;
    }
    xmlNode *e = choose(root, wanted, &count);
    if (count > OVERLAY_DOC_CONFIGURATIONS_CAP) {
        overlay_doc_complain(r, root, "more than %d configurations",
                             OVERLAY_DOC_CONFIGURATIONS_CAP);
        return ERR_CONFIG;
    }
    if (e != NULL && (!read_configuration(r, e) || !read_signatures(r, e))) {
        return ERR_CONFIG;
    }
    if (!overlay_schema_is_valid(schema, doc, r->why, OVERLAY_DOC_WHY_CAP)) {
        return ERR_CONFIG;
    }
    if (e == NULL) {
        overlay_doc_complain(r, root, "has no <configuration> for this overlay");
        return ERR_NOT_FOUND;
    }
    return ERR_OK;
}

static enum err parse(const struct overlay_schema *schema, const struct wanted *wanted,
                      struct overlay_doc_reading *r)
{
    r->why[0] = '\0';
    set_defaults(r->out);
    if (r->xml.len > OVERLAY_DOC_BYTES_CAP) {
        snprintf(r->why, OVERLAY_DOC_WHY_CAP, "the document has more than %d KiB",
                 OVERLAY_DOC_BYTES_CAP / 1024);
        return ERR_CONFIG;
    }
    /* What is copied is never longer than what stands in the text. */
    if (r->arena->cap - r->arena->used < r->xml.len + OVERLAY_DOC_ARENA_EXTRA) {
        snprintf(r->why, OVERLAY_DOC_WHY_CAP, "the document is larger than the memory for it");
        return ERR_CONFIG;
    }
    xmlDoc *doc = overlay_xml_open(r->xml, r->why, OVERLAY_DOC_WHY_CAP);
    enum err e = ERR_CONFIG;
    if (doc != NULL) {
        e = read_document(r, schema, doc, wanted);
        xmlFreeDoc(doc);
    }
    overlay_doc_make_printable(r->why);
    return e;
}

enum err overlay_doc_parse(const struct overlay_schema *schema, struct slice xml,
                           struct slice instance_name, struct arena *arena, struct overlay_doc *out,
                           char *why)
{
    struct wanted wanted = {.name = instance_name};
    struct overlay_doc_reading r = {.out = out, .xml = xml, .arena = arena, .why = why};
    enum err e = parse(schema, &wanted, &r);
    return e == ERR_OK ? ERR_OK : ERR_CONFIG;
}

enum err overlay_doc_parse_at(const struct overlay_schema *schema, struct slice xml,
                              size_t position, struct arena *arena, struct overlay_doc *out,
                              char *why)
{
    struct wanted wanted = {.position = position};
    struct overlay_doc_reading r = {.out = out, .xml = xml, .arena = arena, .why = why};
    return parse(schema, &wanted, &r);
}

struct crypto_trust overlay_doc_trust(const struct overlay_doc *doc)
{
    STATIC_CHECK(sizeof(doc->revoked[0]) == sizeof(doc->revoked[0].bytes));
    return (struct crypto_trust){
        .roots = doc->roots,
        .root_count = doc->root_count,
        .overlay_name = slice_text(doc->config.name),
        .node_id_length = doc->config.node_id_length,
        .self_signed_permitted = doc->self_signed_permitted,
        .self_signed_sha256 = doc->self_signed_sha256,
        .bad_nodes = doc->revoked[0].bytes,
        .bad_node_count = doc->revoked_count,
    };
}

bool overlay_doc_lists(const struct overlay_doc_ids *ids, const struct node_id *id, uint8_t len)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->lens[i] == len && ids_node_is_equal(&ids->ids[i], id)) {
            return true;
        }
    }
    return false;
}
