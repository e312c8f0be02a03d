/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_overlay_doc.c - the overlay configuration document, as it comes in a ConfigUpdate, and a
 * <kind-block> alone.
 *
 * Input: a byte of choices, then the text.
 *   bit 0     the arena has room; else it is one byte too small
 *   bit 1     the text is a <kind-block>, taken over into a fixed document
 *   bits 2-4  which <configuration> is read
 *   bit 5     every signature in it is replaced by one that holds, so that what comes after it is
 *             reached: by a listed signer (bit 6 clear) or by a stranger (set) */
#include "codec/secblock.h"
#include "fuzz/fuzz.h"
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"
#include "node/overlay_span.h"
#include "sim/crypto_fake.h"
#include <time.h>

enum {
    CHOICE_ROOM = 1,
    CHOICE_KIND = 2,
    CHOICE_POSITION_SHIFT = 2,
    CHOICE_SIGN = 0x20,
    CHOICE_STRANGER = 0x40,
    SECONDS_MAX = 5, /* of one input, sanitizers and all */
    BLOCK_BYTES = 1024,
};
#define AT_MS UINT64_C(1800000000000)

static struct overlay_schema *schema;
static struct rng rng;
static struct crypto crypto;
static struct crypto_fake_key key;
static uint8_t certificate[CRYPTO_FAKE_CERTIFICATE_BYTES];
static uint8_t node_id[IDS_NODE_MAX] = {1, 2, 3};
static const struct slice root = {(const uint8_t *)"root", 4};

static void set_up(void)
{
    struct crypto_fake_names names = {.user = SLICE_LITERAL("signer@a.example"),
                                      .node_id = node_id,
                                      .not_before_ms = AT_MS - 1000,
                                      .not_after_ms = AT_MS + 1000};
    if (schema != NULL) {
        return;
    }
    schema = overlay_schema_new();
    CHECK(schema != NULL);
    rng_init(&rng, 1);
    crypto_fake_init(&crypto, &rng);
    crypto_fake_key_make(&key, &rng);
    crypto_fake_issue(root, &key, &names, certificate);
}

static bool is_inside(struct slice s, const uint8_t *block, size_t len)
{
    return s.len == 0 || (s.data >= block && s.len <= len && s.data + s.len <= block + len);
}

/* What the parser reads, in an arena of exactly the size that it asks for. */
struct parsed {
    struct overlay_doc doc;
    struct arena arena;
    char why[OVERLAY_DOC_WHY_CAP];
    enum err error;
};

static void parse(struct parsed *p, struct slice xml, size_t position, bool has_room)
{
    size_t room = xml.len + OVERLAY_DOC_ARENA_EXTRA - (has_room ? 0 : 1);
    void *block = malloc(room);
    CHECK(block != NULL);
    arena_init(&p->arena, block, room);
    memset(p->why, 'x', sizeof(p->why));
    p->error = overlay_doc_parse_at(schema, xml, position, &p->arena, &p->doc, p->why);
    CHECK(p->error == ERR_OK || p->error == ERR_CONFIG || p->error == ERR_NOT_FOUND);
    CHECK(memchr(p->why, 0, sizeof(p->why)) != NULL);
    CHECK(has_room || p->error == ERR_CONFIG);
    CHECK(p->error == ERR_OK || p->why[0] != 0);
    for (const char *c = p->why; *c != 0; c++) {
        CHECK(*c >= ' ' && *c <= '~');
    }
}

static void check_list(const struct overlay_doc_list *list, const struct arena *arena)
{
    CHECK(list->count <= OVERLAY_DOC_LIST_CAP);
    for (size_t i = 0; i < list->count; i++) {
        CHECK(list->texts[i].len > 0);
        CHECK(is_inside(list->texts[i], arena->base, arena->used) ||
              slice_is_equal(list->texts[i], SLICE_LITERAL("TLS")));
    }
}

static void check_ids(const struct overlay_doc_ids *ids)
{
    CHECK(ids->count <= OVERLAY_DOC_IDS_CAP);
    for (size_t i = 0; i < ids->count; i++) {
        CHECK(ids->lens[i] > 0 && ids->lens[i] <= IDS_NODE_MAX);
    }
}

static void check_kinds(const struct overlay_doc *doc, struct slice xml, const struct arena *arena)
{
    CHECK(doc->kind_count <= OVERLAY_DOC_KINDS_CAP && doc->config.kind_count == 0);
    for (size_t i = 0; i < doc->kind_count; i++) {
        const struct overlay_doc_kind *k = &doc->kinds[i];
        CHECK((k->name.len > 0) != (k->id != 0) && k->refusal != NULL);
        CHECK(is_inside(k->bytes, doc->configuration.data, doc->configuration.len));
        CHECK(k->bytes.len > 0 && k->bytes.data[0] == '<');
        CHECK(k->bytes.data[k->bytes.len - 1] == '>');
        CHECK(is_inside(k->signature, arena->base, arena->used) && k->signature.len > 0);
    }
    CHECK(is_inside(doc->configuration, xml.data, xml.len));
}

static void check_good(const struct parsed *p, struct slice xml)
{
    const struct overlay_doc *doc = &p->doc;
    const struct overlay_config *c = &doc->config;
    char why[OVERLAY_DOC_WHY_CAP];
    CHECK(doc->root_count <= OVERLAY_DOC_ROOTS_CAP);
    CHECK(doc->bootstrap_count <= OVERLAY_DOC_BOOTSTRAP_CAP);
    CHECK(doc->signature_count <= OVERLAY_DOC_SIGNATURES_CAP);
    check_ids(&doc->configuration_signers);
    check_ids(&doc->kind_signers);
    check_ids(&doc->bad_nodes);
    check_list(&doc->enrollment_servers, &p->arena);
    check_list(&doc->link_protocols, &p->arena);
    check_list(&doc->mandatory_extensions, &p->arena);
    check_kinds(doc, xml, &p->arena);
    CHECK(memchr(c->name, 0, sizeof(c->name)) != NULL && c->name[0] != 0);
    CHECK(c->node_id_length >= IDS_NODE_MIN && c->node_id_length <= IDS_NODE_MAX);
    CHECK(c->initial_ttl > 0 && c->reliability_timer_ms >= 200 && c->sequence < 65535);
    CHECK(doc->configuration.len > 0 && doc->link_protocols.count > 0);
    for (size_t i = 0; i < doc->signature_count; i++) {
        CHECK(is_inside(doc->signatures[i], p->arena.base, p->arena.used));
    }
    for (size_t i = 0; i < doc->root_count; i++) {
        CHECK(is_inside(doc->roots[i], p->arena.base, p->arena.used));
    }
    enum err e = overlay_doc_join_check(doc, AT_MS, why);
    CHECK(e == ERR_OK || e == ERR_UNSUPPORTED || e == ERR_EXPIRED);
    CHECK(e != ERR_OK || c->node_id_length == IDS_NODE_MIN);
    CHECK(overlay_schema_accepts(schema, xml, why, sizeof(why)));
}

/* ---- read again from its own bytes: the start of the document up to the root's start tag, the
 * bytes of <configuration>, the end tag ---- */

static void same_texts(const struct overlay_doc_list *a, const struct overlay_doc_list *b)
{
    CHECK(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        CHECK(slice_is_equal(a->texts[i], b->texts[i]));
    }
}

static void same_ids(const struct overlay_doc_ids *a, const struct overlay_doc_ids *b)
{
    CHECK(a->count == b->count && memcmp(a->ids, b->ids, a->count * sizeof(a->ids[0])) == 0);
    CHECK(memcmp(a->lens, b->lens, a->count) == 0);
}

static void same_kinds(const struct overlay_doc *a, const struct overlay_doc *b)
{
    CHECK(a->kind_count == b->kind_count);
    for (size_t i = 0; i < a->kind_count; i++) {
        const struct overlay_doc_kind *x = &a->kinds[i], *y = &b->kinds[i];
        CHECK(slice_is_equal(x->name, y->name) && x->id == y->id);
        CHECK(slice_is_equal(x->data_model, y->data_model));
        CHECK(slice_is_equal(x->access_control, y->access_control));
        CHECK(x->max_count == y->max_count && x->max_size_bytes == y->max_size_bytes);
        CHECK(x->max_node_multiple == y->max_node_multiple);
        CHECK(slice_is_equal(x->bytes, y->bytes) && slice_is_equal(x->signature, y->signature));
    }
}

static void same_documents(const struct overlay_doc *a, const struct overlay_doc *b)
{
    CHECK(strcmp(a->config.name, b->config.name) == 0 && a->config.sequence == b->config.sequence);
    CHECK(a->has_sequence == b->has_sequence && a->expiration_ms == b->expiration_ms);
    CHECK(slice_is_equal(a->topology, b->topology));
    CHECK(a->config.initial_ttl == b->config.initial_ttl);
    CHECK(a->config.max_message_bytes == b->config.max_message_bytes);
    CHECK(a->config.node_id_length == b->config.node_id_length);
    CHECK(a->turn_density == b->turn_density && a->config.no_ice == b->config.no_ice);
    CHECK(slice_is_equal(a->shared_secret, b->shared_secret));
    CHECK(a->root_count == b->root_count && a->bootstrap_count == b->bootstrap_count);
    for (size_t i = 0; i < a->root_count; i++) {
        CHECK(slice_is_equal(a->roots[i], b->roots[i]));
    }
    same_texts(&a->enrollment_servers, &b->enrollment_servers);
    same_texts(&a->link_protocols, &b->link_protocols);
    same_texts(&a->mandatory_extensions, &b->mandatory_extensions);
    same_ids(&a->configuration_signers, &b->configuration_signers);
    same_ids(&a->kind_signers, &b->kind_signers);
    same_ids(&a->bad_nodes, &b->bad_nodes);
    same_kinds(a, b);
    CHECK(slice_is_equal(a->configuration, b->configuration));
}

static void append(uint8_t *out, size_t *len, struct slice s)
{
    memcpy(out + *len, s.data, s.len);
    *len += s.len;
}

static void read_again(const struct parsed *p, struct slice xml)
{
    static struct parsed again;
    struct overlay_span span;
    size_t len = 0;
    CHECK(overlay_span_find(xml, 0, &span));
    size_t head = (size_t)(span.bytes.data - xml.data) + span.head_bytes;
    CHECK(head < span.bytes.len + xml.len);
    uint8_t *text = malloc(xml.len + 64);
    CHECK(text != NULL);
    append(text, &len, slice_sub(xml, 0, head));
    append(text, &len, p->doc.configuration);
    append(text, &len, SLICE_LITERAL("</"));
    append(text, &len, span.name);
    append(text, &len, SLICE_LITERAL(">"));
    parse(&again, slice_of(text, len), 0, true);
    CHECK(again.error == ERR_OK);
    same_documents(&p->doc, &again.doc);
    CHECK(again.doc.signature_count == 0);
    free(again.arena.base);
    free(text);
}

/* ---- who says so ---- */

static struct slice sign(struct slice blob, uint8_t out[BLOCK_BYTES])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    size_t len = 0;
    struct slice der = slice_of(certificate, sizeof(certificate));
    const struct crypto_key *as_key = (const struct crypto_key *)&key;
    crypto.sha256(der, hash);
    CHECK(crypto.sign(as_key, blob, signature, &len) == ERR_OK);
    struct secblock_signature s = {
        .algorithm = (uint16_t)crypto.key_algorithm(as_key),
        .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                     .hash_algorithm = SECBLOCK_HASH_SHA256,
                     .hash = slice_of(hash, sizeof(hash))},
        .value = slice_of(signature, len),
    };
    struct wr w = wr_init(out, BLOCK_BYTES);
    secblock_wr_x509(&w, &der, 1, &s);
    CHECK(wr_ok(&w));
    return wr_slice(&w);
}

/* The document as if our signer had signed it and stood in it, or not. */
static void judge(struct overlay_doc *doc, uint8_t choices)
{
    static uint8_t blocks[1 + OVERLAY_DOC_KINDS_CAP][BLOCK_BYTES];
    static struct overlay_doc now;
    const char *why = NULL;
    uint32_t dropped[OVERLAY_KINDS_CAP];
    bool is_listed = (choices & CHOICE_SIGN) != 0 && (choices & CHOICE_STRANGER) == 0;
    if ((choices & CHOICE_SIGN) != 0) {
        doc->signatures[0] = sign(doc->configuration, blocks[0]);
        doc->signature_count = 1;
        for (size_t i = 0; i < doc->kind_count; i++) {
            doc->kinds[i].signature = sign(doc->kinds[i].bytes, blocks[1 + i]);
        }
        doc->roots[0] = root;
        doc->root_count = 1;
        doc->revoked_count = 0;
        doc->config.node_id_length = IDS_NODE_MIN;
    }
    if (is_listed) {
        memcpy(doc->configuration_signers.ids[0].bytes, node_id, sizeof(node_id));
        doc->configuration_signers.lens[0] = IDS_NODE_MIN;
        doc->configuration_signers.count = 1;
        doc->kind_signers = doc->configuration_signers;
    }
    enum err e = overlay_doc_verify_first(doc, &crypto, AT_MS, &why);
    struct node_id id;
    memcpy(id.bytes, node_id, sizeof(node_id));
    CHECK(why != NULL && (e == ERR_OK || !is_listed || doc->outside != NULL));
    CHECK(e != ERR_OK || doc->outside == NULL);
    CHECK(e != ERR_OK || overlay_doc_lists(&doc->configuration_signers, &id, IDS_NODE_MIN));
    overlay_doc_accept_kinds(doc, &crypto, AT_MS);
    CHECK(doc->config.kind_count <= OVERLAY_KINDS_CAP);
    CHECK(doc->config.kind_count <= doc->kind_count);
    CHECK(doc->config.kind_count == 0 || overlay_doc_lists(&doc->kind_signers, &id, IDS_NODE_MIN));
    now = *doc;
    now.config.sequence = (uint16_t)((now.config.sequence + 65534u) % 65535);
    e = overlay_doc_accept(&now, doc, &crypto, AT_MS, &why);
    CHECK(!is_listed || e == ERR_OK || e == ERR_EXPIRED || doc->outside != NULL);
    CHECK(overlay_doc_accept(doc, &now, &crypto, AT_MS, &why) == ERR_STALE);
    CHECK(overlay_doc_accept_dropped(&now, doc, dropped) == 0);
}

/* ---- a <kind-block> alone ---- */

static void try_kind(struct slice xml, bool has_room)
{
    static struct overlay_doc doc;
    char why[OVERLAY_DOC_WHY_CAP];
    size_t room = has_room ? 3 * xml.len + 8192 : 64;
    void *block = malloc(room);
    struct arena arena;
    CHECK(block != NULL);
    arena_init(&arena, block, room);
    memset(&doc, 0, sizeof(doc));
    doc.config.node_id_length = IDS_NODE_MIN;
    struct overlay_doc_kind_update u = {
        .schema = schema, .xml = xml, .arena = &arena, .crypto = &crypto, .at_ms = AT_MS};
    enum err e = overlay_doc_accept_kind(&doc, &u, why);
    CHECK(e != ERR_OK); /* nobody is listed */
    CHECK(memchr(why, 0, sizeof(why)) != NULL && why[0] != 0);
    CHECK(doc.kind_count == 0 && doc.config.kind_count == 0 && arena.used == 0);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parsed p;
    struct rd r = rd_init(slice_of(data, size));
    uint8_t choices = rd_u8(&r);
    struct slice xml = rd_rest(&r);
    uint8_t *copy = fuzz_copy(xml);
    clock_t began = clock();
    xml = slice_of(copy, xml.len);
    set_up();
    if ((choices & CHOICE_KIND) != 0) {
        try_kind(xml, (choices & CHOICE_ROOM) != 0);
    } else {
        parse(&p, xml, choices >> CHOICE_POSITION_SHIFT & 7, (choices & CHOICE_ROOM) != 0);
        if (p.error == ERR_OK) {
            check_good(&p, xml);
            read_again(&p, xml);
            judge(&p.doc, choices);
        }
        free(p.arena.base);
    }
    CHECK(clock() - began < SECONDS_MAX * CLOCKS_PER_SEC);
    free(copy);
    return 0;
}
