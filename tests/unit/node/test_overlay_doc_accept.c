/* SPDX-License-Identifier: Apache-2.0 */
/* Who may say what an overlay is, what is taken over from a document, and what we can join
 * (RFC 6940 6.5.4.2, 11.1; catalogue CF-2..CF-4, CU-4, AC-6, A-15, A-21). */
#include "codec/base64.h"
#include "codec/content.h"
#include "codec/secblock.h"
#include "dht/domain.h"
#include "dht/kind.h"
#include "link/crypto_issue.h"
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

#define NAME "overlay.example.org"
#define NOW_MS UINT64_C(1800000000000)
#define YEAR_MS UINT64_C(31536000000)

enum { SIGNERS = 4, XML_CAP = 32 * 1024 };

/* A root, and signers whose Node-IDs are 0101.., 0202.., 0303..; the last has 0202.. and 1414.. */
struct person {
    struct crypto_key *key;
    uint8_t der[CRYPTO_BORING_CERTIFICATE_CAP];
    size_t der_len;
    uint8_t node_ids[2][20];
};

static struct person root, signers[SIGNERS], stranger;
static struct overlay_schema *schema;
static char why[OVERLAY_DOC_WHY_CAP];

static void make(struct person *p, const struct person *issuer, uint8_t byte, uint64_t until_ms,
                 size_t node_id_count)
{
    uint8_t public_key[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    cr_assert_eq(crypto_boring_key_make(CRYPTO_ED25519, &p->key), ERR_OK);
    cr_assert_eq(crypto_boring_key_public(p->key, public_key, sizeof(public_key), &len), ERR_OK);
    memset(p->node_ids[0], byte, 16);
    memset(p->node_ids[1], 10 * byte, 16);
    struct crypto_issue what = {.issuer_key = p->key,
                                .common_name = SLICE_LITERAL("root"),
                                .not_before_ms = NOW_MS - YEAR_MS,
                                .not_after_ms = until_ms,
                                .is_ca = issuer == NULL};
    if (issuer != NULL) {
        what.issuer_certificate = slice_of(issuer->der, issuer->der_len);
        what.issuer_key = issuer->key;
        what.public_key = slice_of(public_key, len);
        what.common_name = SLICE_EMPTY;
        what.user = SLICE_LITERAL("signer@" NAME);
        what.node_ids = p->node_ids;
        what.node_id_count = node_id_count;
        what.node_id_length = 16;
        what.overlay_name = SLICE_LITERAL(NAME);
    }
    cr_assert_eq(crypto_issue_certificate(&what, p->der, sizeof(p->der), &p->der_len), ERR_OK);
}

static void setup(void)
{
    static struct person other_root;
    schema = overlay_schema_new();
    make(&root, NULL, 0, NOW_MS + YEAR_MS, 0);
    make(&other_root, NULL, 0, NOW_MS + YEAR_MS, 0);
    for (uint8_t i = 0; i < SIGNERS - 1; i++) {
        make(&signers[i], &root, (uint8_t)(i + 1), NOW_MS + YEAR_MS, 1);
    }
    make(&signers[SIGNERS - 1], &root, 2, NOW_MS + YEAR_MS, 2);
    make(&stranger, &other_root, 1, NOW_MS + YEAR_MS,
         1); /* the Node-ID of signer 0, another root */
}

static void teardown(void)
{
    overlay_schema_free(schema);
}

TestSuite(overlay_doc_accept, .init = setup, .fini = teardown);

/* ---- documents in the making ---- */

struct draft {
    char text[XML_CAP];
    size_t len;
    size_t mark; /* where the next signed element begins */
};

static void PRINTF_LIKE(2, 3) put(struct draft *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(d->text + d->len, sizeof(d->text) - d->len, format, args);
    va_end(args);
    cr_assert(used >= 0 && d->len + (size_t)used < sizeof(d->text));
    d->len += (size_t)used;
}

static void put_base64(struct draft *d, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        char four[4];
        base64_four(slice_from(bytes, i), '=', four);
        put(d, "%.4s", four);
    }
}

/* How a SecurityBlock may be made wrong. */
enum form {
    FORM_GOOD,
    FORM_WITH_IDENTITY,
    FORM_NODE_ID_HASH,
    FORM_SHA1_HASH,
    FORM_SHA512_HASH,
    FORM_NO_CERTIFICATE,
    FORM_ANOTHER_FIRST,
    FORM_TOO_MANY
};

static struct slice block_over(struct slice blob, const struct person *by, enum form form)
{
    static uint8_t out[8192];
    static uint8_t input[XML_CAP];
    uint8_t hash_input[20 + CRYPTO_BORING_CERTIFICATE_CAP];
    uint8_t hash[CRYPTO_SHA512_BYTES];
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    size_t len = 0;
    struct slice der = slice_of(by->der, by->der_len);
    struct slice root_der = slice_of(root.der, root.der_len);
    const struct rl_params params = {.node_id_length = 16};
    struct node_id id;
    memcpy(id.bytes, by->node_ids[0], sizeof(id.bytes));
    enum secblock_identity_type type = form == FORM_NODE_ID_HASH
                                           ? SECBLOCK_IDENTITY_CERT_HASH_NODE_ID
                                           : SECBLOCK_IDENTITY_CERT_HASH;
    struct wr h = wr_init(hash_input, sizeof(hash_input));
    secblock_wr_identity_input(&h, &params, type, &id, der);
    crypto_boring()->sha256(wr_slice(&h), hash);
    struct secblock_signature s = {.algorithm = (uint16_t)crypto_boring()->key_algorithm(by->key),
                                   .identity = {.type = (uint8_t)type,
                                                .hash_algorithm = SECBLOCK_HASH_SHA256,
                                                .hash = slice_of(hash, CRYPTO_SHA256_BYTES)}};
    if (form == FORM_SHA1_HASH) {
        s.identity.hash_algorithm = SECBLOCK_HASH_SHA1;
        s.identity.hash.len = 20;
        crypto_boring()->sha1(der, hash);
    }
    if (form == FORM_SHA512_HASH) {
        s.identity.hash_algorithm = SECBLOCK_HASH_SHA512;
        s.identity.hash.len = CRYPTO_SHA512_BYTES;
        crypto_boring()->sha512(der, hash);
    }
    struct wr m = wr_init(input, sizeof(input));
    wr_bytes(&m, blob);
    if (form == FORM_WITH_IDENTITY) {
        secblock_wr_identity(&m, &s.identity); /* A-21 */
    }
    cr_assert_eq(crypto_boring()->sign(by->key, wr_slice(&m), signature, &len), ERR_OK);
    s.value = slice_of(signature, len);
    struct wr w = wr_init(out, sizeof(out));
    /* The signer's certificate stands last. */
    struct slice all[] = {slice_of(signers[2].der, signers[2].der_len), root_der, root_der,
                          root_der, der};
    size_t count = form == FORM_NO_CERTIFICATE  ? 0
                   : form == FORM_ANOTHER_FIRST ? 2
                   : form == FORM_TOO_MANY      ? 5
                                                : 1;
    all[1] = form == FORM_ANOTHER_FIRST ? der : root_der;
    all[0] = count == 1 ? der : all[0];
    secblock_wr_x509(&w, all, count, &s);
    cr_assert(wr_ok(&w));
    return wr_slice(&w);
}

static void put_signed(struct draft *d, const char *element, const struct person *by,
                       enum form form)
{
    struct slice blob = slice_of(d->text + d->mark, d->len - d->mark);
    put(d, "<%s>", element);
    put_base64(d, block_over(blob, by, form));
    put(d, "</%s>", element);
}

/* A <kind-block>; `what` holds the attribute. */
struct kind_draft {
    const char *what, *model, *policy;
    const struct person *by;
    unsigned max_count;
    enum form form;
};

struct kind_extra {
    const char *around; /* attributes of <kind-block> */
    const char *more;   /* elements */
};

static void put_kind(struct draft *d, const struct kind_draft *k, const struct kind_extra *extra)
{
    put(d, "<kind-block%s>", extra == NULL ? "" : extra->around);
    d->mark = d->len;
    put(d,
        "<kind %s><data-model>%s</data-model><access-control>%s</access-control><max-count>%u"
        "</max-count><max-size>100</max-size>%s%s</kind>",
        k->what, k->model, k->policy, k->max_count,
        strcmp(k->policy, "NODE-MULTIPLE") == 0 ? "<max-node-multiple>3</max-node-multiple>" : "",
        extra == NULL ? "" : extra->more);
    put_signed(d, "kind-signature", k->by, k->form);
    put(d, "</kind-block>");
}

/* What differs from document to document. */
struct plan {
    const char *name;
    int sequence;
    const char *head;   /* the start tag of <overlay> */
    const char *inside; /* more attributes of <configuration> */
    const char *more;   /* elements */
    const char *signer_ids[SIGNERS];
    const char *kind_signer;
    const struct kind_draft *kinds;
    const struct kind_extra *extras; /* NULL: none, or as many */
    size_t kind_count;
    const struct person *by;
    enum form form;
};

#define BASE "xmlns='urn:ietf:params:xml:ns:p2p:config-base'"
#define CHORD " xmlns:chord='urn:ietf:params:xml:ns:p2p:config-chord'"
#define OWN " xmlns:own='urn:chordial:params:xml:ns:config'"
#define ID0 "01010101010101010101010101010101"
#define ID1 "02020202020202020202020202020202"
#define ID2 "03030303030303030303030303030303"

static void write_document(struct draft *d, const struct plan *p)
{
    d->len = 0;
    put(d, "%s", p->head == NULL ? "<overlay " BASE CHORD ">" : p->head);
    size_t begin = d->len;
    put(d, "<configuration instance-name='%s' sequence='%d'%s><no-ice>true</no-ice><root-cert>",
        p->name == NULL ? NAME : p->name, p->sequence, p->inside == NULL ? "" : p->inside);
    put_base64(d, slice_of(root.der, root.der_len));
    put(d, "</root-cert>%s", p->more == NULL ? "" : p->more);
    for (size_t i = 0; i < SIGNERS && p->signer_ids[i] != NULL; i++) {
        put(d, "<configuration-signer>%s</configuration-signer>", p->signer_ids[i]);
    }
    if (p->kind_signer != NULL) {
        put(d, "<kind-signer>%s</kind-signer>", p->kind_signer);
    }
    put(d, "<required-kinds>");
    for (size_t i = 0; i < p->kind_count; i++) {
        put_kind(d, &p->kinds[i], p->extras == NULL ? NULL : &p->extras[i]);
    }
    put(d, "</required-kinds></configuration>");
    d->mark = begin;
    if (p->by != NULL) {
        put_signed(d, "signature", p->by, p->form);
    }
    put(d, "</overlay>");
}

/* A document that has been read, in memory of its own. */
struct read {
    struct draft draft;
    uint8_t block[2 * XML_CAP];
    struct arena arena;
    struct overlay_doc doc;
};

static struct overlay_doc *read_plan(struct read *r, const struct plan *p)
{
    write_document(&r->draft, p);
    arena_init(&r->arena, r->block, sizeof(r->block));
    enum err e = overlay_doc_parse(schema, slice_of(r->draft.text, r->draft.len), SLICE_EMPTY,
                                   &r->arena, &r->doc, why);
    cr_assert_eq(e, ERR_OK, "%s", why);
    return &r->doc;
}

static enum err verify_first(const struct plan *p)
{
    static struct read r;
    const char *reason = NULL;
    enum err e = overlay_doc_verify_first(read_plan(&r, p), crypto_boring(), NOW_MS, &reason);
    cr_assert_not_null(reason);
    return e;
}

/* ---- signatures of documents ---- */

Test(overlay_doc_accept, cf1_signatures)
{
    struct plan p = {.sequence = 1, .signer_ids = {ID1, ID0}, .by = &signers[0]};
    cr_expect_eq(verify_first(&p), ERR_OK);
    p.form = FORM_NODE_ID_HASH;
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE, "SG-3: its certificate has one Node-ID");
    p.by = &signers[3];
    cr_expect_eq(verify_first(&p), ERR_OK, "SG-3: the first of two Node-IDs");
    p.form = FORM_GOOD;
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE, "SG-3: of two, which one?");
    p.by = &signers[0];
    p.form = FORM_WITH_IDENTITY;
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE, "A-21: the blob alone");
    p.form = FORM_SHA512_HASH;
    cr_expect_eq(verify_first(&p), ERR_OK);
    p.form = FORM_SHA1_HASH;
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE);
    p.form = FORM_NO_CERTIFICATE;
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE);
    p.form = FORM_ANOTHER_FIRST;
    cr_expect_eq(verify_first(&p), ERR_OK);
    p.form = FORM_TOO_MANY;
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE, "work on hostile buckets is bounded");
    p.form = FORM_GOOD;
    p.by = &signers[2];
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE, "not listed");
    p.by = &stranger;
    cr_expect_eq(verify_first(&p), ERR_BAD_CERTIFICATE, "a listed Node-ID, but another root");
    p.by = NULL;
    cr_expect_eq(verify_first(&p), ERR_NOT_FOUND);
    p.by = &signers[0];
    p.more = "<bad-node>" ID0 "</bad-node>";
    cr_expect_eq(verify_first(&p), ERR_BAD_CERTIFICATE);
    p.more = "<bad-node>" ID1 "</bad-node><bad-node>0101</bad-node>";
    cr_expect_eq(verify_first(&p), ERR_OK);
    p.signer_ids[1] = "0101010101010101";
    cr_expect_eq(verify_first(&p), ERR_BAD_SIGNATURE, "A-63: an id of another length is nobody");
}

Test(overlay_doc_accept, cf1_every_byte_counts)
{
    static struct read r;
    struct plan p = {.sequence = 1, .signer_ids = {ID0}, .by = &signers[0]};
    const char *reason = NULL;
    struct overlay_doc *doc = read_plan(&r, &p);
    uint8_t *bytes = (uint8_t *)(uintptr_t)doc->configuration.data;
    for (size_t i = 0; i < doc->configuration.len; i++) {
        bytes[i] ^= 1;
        cr_assert_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason),
                     ERR_BAD_SIGNATURE, "byte %zu", i);
        bytes[i] ^= 1;
    }
    cr_assert_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason), ERR_OK);
    cr_assert_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS + 2 * YEAR_MS, &reason),
                 ERR_EXPIRED);
    uint8_t *block = (uint8_t *)(uintptr_t)doc->signatures[0].data;
    for (size_t i = 0; i < doc->signatures[0].len; i++) {
        block[i] ^= 1;
        cr_assert_neq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason), ERR_OK,
                      "byte %zu of the block", i);
        block[i] ^= 1;
    }
}

/* What a prefix means is not covered by the signature when it is declared on <overlay>: whoever
 * passes the document on may not take a setting out of it by another declaration there. */
Test(overlay_doc_accept, prefixes_bound_outside)
{
    static struct read r;
    static const char more[] = "<chord:chord-ping-interval>77</chord:chord-ping-interval>"
                               "<own:replica-min-hosts>7</own:replica-min-hosts>";
    static const struct {
        const char *head, *inside, *prefix;
    } rows[] = {
        {"<overlay " BASE CHORD OWN ">", NULL, NULL},
        {"<overlay " BASE ">", CHORD OWN, NULL},
        {"<overlay " BASE " xmlns:own='urn:x' xmlns:chord='urn:x'>", CHORD OWN, NULL},
        {"<overlay " BASE CHORD " xmlns:own='urn:x'>", NULL, "own"},
        {"<overlay " BASE OWN " xmlns:chord='urn:x'>", NULL, "chord"},
        {"<overlay " BASE OWN " xmlns:chord='urn:chordial:params:xml:ns:config'>", NULL, "chord"},
        {"<overlay " BASE " xmlns:own='urn:x'>", CHORD, "own"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char expected[OVERLAY_DOC_WHY_CAP];
        const char *reason = "";
        struct plan p = {.sequence = 1,
                         .head = rows[i].head,
                         .inside = rows[i].inside,
                         .more = more,
                         .signer_ids = {ID0},
                         .by = &signers[0]};
        if (rows[i].prefix == NULL) {
            struct overlay_doc *doc = read_plan(&r, &p);
            cr_expect_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason), ERR_OK,
                         "row %zu: %s", i, reason);
            cr_expect_eq(doc->config.chord_ping_interval_s, 77);
            cr_expect_eq(doc->config.replica_min_hosts, 7);
            continue;
        }
        struct overlay_doc *doc = read_plan(&r, &p);
        cr_expect(doc->config.chord_ping_interval_s != 77 || doc->config.replica_min_hosts != 7,
                  "row %zu: a setting is gone", i);
        (void)snprintf(expected, sizeof(expected),
                       "prefix %s: declare xmlns:%s on <configuration>: its meaning is outside of "
                       "the signature",
                       rows[i].prefix, rows[i].prefix);
        cr_expect_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason),
                     ERR_BAD_SIGNATURE, "row %zu", i);
        cr_expect_str_eq(reason, expected, "row %zu", i);
        struct overlay_doc now = *doc;
        now.config.sequence = 0;
        cr_expect_eq(overlay_doc_accept(&now, doc, crypto_boring(), NOW_MS, &reason),
                     ERR_BAD_SIGNATURE, "row %zu", i);
        cr_expect_str_eq(reason, expected, "row %zu", i);
        doc->outside = NULL; /* what makes this a danger: the bytes alone are good */
        cr_expect_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason), ERR_OK);
    }
}

/* The whole document with `from` replaced by `to`, wherever it stands. */
static enum err parse_changed(struct read *r, const char *const changes[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        static struct draft old;
        const char *from = changes[i][0];
        old = r->draft;
        r->draft.len = 0;
        const char *at = old.text;
        for (const char *hit; (hit = strstr(at, from)) != NULL; at = hit + strlen(from)) {
            put(&r->draft, "%.*s%s", (int)(hit - at), at, changes[i][1]);
        }
        put(&r->draft, "%s", at);
    }
    arena_init(&r->arena, r->block, sizeof(r->block));
    return overlay_doc_parse(schema, slice_of(r->draft.text, r->draft.len), SLICE_EMPTY, &r->arena,
                             &r->doc, why);
}

/* The default namespace stands on <overlay> in the RFC's own example, so it may; another one there
 * leaves no <configuration>, or other bytes than the signed ones. */
Test(overlay_doc_accept, default_namespace_bound_outside)
{
    static struct read r;
    static const char *const prefixed[][2] = {
        {"<overlay " BASE CHORD ">", "<b:overlay xmlns:b='urn:ietf:params:xml:ns:p2p:config-base' "
                                     "xmlns='urn:x'>"},
        {"</overlay>", "</b:overlay>"},
        {"<signature>", "<b:signature>"},
        {"</signature>", "</b:signature>"},
        {"<configuration ", "<b:configuration "},
        {"</configuration>", "</b:configuration>"},
    };
    static const char *const other[][2] = {{BASE, "xmlns='urn:x'"}};
    struct plan p = {.sequence = 1, .signer_ids = {ID0}, .by = &signers[0]};
    const char *reason = "";
    static struct read now;
    struct overlay_doc *doc = read_plan(&now, &p);
    struct overlay_doc_signers by = {.trust = overlay_doc_trust(doc),
                                     .allowed = &doc->configuration_signers};
    read_plan(&r, &p);
    cr_expect_eq(overlay_doc_verify(&r.doc, &by, crypto_boring(), NOW_MS, &reason), ERR_OK, "%s",
                 reason);
    cr_expect_eq(parse_changed(&r, other, 1), ERR_CONFIG);
    read_plan(&r, &p);
    cr_expect_eq(parse_changed(&r, prefixed, 4), ERR_CONFIG, "no <configuration>");
    cr_expect_not_null(strstr(why, "configuration"), "%s", why);
    read_plan(&r, &p);
    cr_expect_eq(parse_changed(&r, prefixed, 6), ERR_OK, "%s", why);
    cr_expect_eq(r.doc.signature_count, 1);
    cr_expect_eq(overlay_doc_verify(&r.doc, &by, crypto_boring(), NOW_MS, &reason),
                 ERR_BAD_SIGNATURE);
    cr_expect_not_null(strstr(reason, "declare xmlns:b on <configuration>"), "%s", reason);
    r.doc.outside = NULL;
    cr_expect_eq(overlay_doc_verify(&r.doc, &by, crypto_boring(), NOW_MS, &reason),
                 ERR_BAD_SIGNATURE, "other bytes");
}

/* One of several signatures is enough, and the first need not be it. */
Test(overlay_doc_accept, several_signatures)
{
    static struct read r;
    const char *reason = NULL;
    struct plan p = {.sequence = 1, .signer_ids = {ID0}};
    write_document(&r.draft, &p);
    r.draft.len -= strlen("</overlay>");
    struct slice blob = slice_of(r.draft.text + r.draft.mark, r.draft.len - r.draft.mark);
    const struct person *const by[] = {&signers[1], &signers[0]};
    for (size_t i = 0; i < ARRAY_COUNT(by); i++) {
        put(&r.draft, "<signature>");
        put_base64(&r.draft, block_over(blob, by[i], FORM_GOOD));
        put(&r.draft, "</signature>");
    }
    put(&r.draft, "</overlay>");
    arena_init(&r.arena, r.block, sizeof(r.block));
    cr_assert_eq(overlay_doc_parse(schema, slice_of(r.draft.text, r.draft.len), SLICE_EMPTY,
                                   &r.arena, &r.doc, why),
                 ERR_OK, "%s", why);
    cr_assert_eq(overlay_doc_verify_first(&r.doc, crypto_boring(), NOW_MS, &reason), ERR_OK);
}

/* ---- Kinds ---- */

#define PRIVATE "id='4026531841'"

Test(overlay_doc_accept, cf3_kinds)
{
    static struct read r;
    const struct person *good = &signers[1];
    const struct kind_draft kinds[] = {
        {"name='SIP-REGISTRATION'", "SINGLE", "USER-MATCH", good, 9, FORM_GOOD},
        {PRIVATE, "ARRAY", "NODE-MULTIPLE", good, 5, FORM_GOOD},
        {"id='4026531842'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
        {"id='4026531843'", "SINGLE", "USER-CHAIN-ACL", good, 5, FORM_GOOD},
        {"id='4026531844'", "TREE", "USER-MATCH", good, 5, FORM_GOOD},
        {"id='4026531845'", "SINGLE", "USER-NODE-MATCH", good, 5, FORM_GOOD},
        {"id='1'", "SINGLE", "USER-MATCH", good, 5, FORM_GOOD},
        {"name='NO-SUCH-KIND'", "SINGLE", "USER-MATCH", good, 5, FORM_GOOD},
        {PRIVATE, "SINGLE", "USER-MATCH", good, 5, FORM_GOOD},
        {"id='4026531846'", "SINGLE", "USER-MATCH", good, 5, FORM_WITH_IDENTITY},
        {"id='4026531847'", "DICTIONARY", "USER-NODE-MATCH", good, 5, FORM_GOOD},
    };
    static const char *const refusals[] = {NULL,
                                           NULL,
                                           "not one of",
                                           "policy",
                                           "model",
                                           "dictionaries",
                                           "registered Kind",
                                           "not supported",
                                           "twice",
                                           "does not fit",
                                           NULL};
    struct plan p = {.sequence = 1,
                     .signer_ids = {ID0},
                     .kind_signer = ID1,
                     .kinds = kinds,
                     .kind_count = ARRAY_COUNT(kinds),
                     .by = &signers[0]};
    struct overlay_doc *doc = read_plan(&r, &p);
    overlay_doc_accept_kinds(doc, crypto_boring(), NOW_MS);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        const char *refusal = doc->kinds[i].refusal;
        cr_expect(refusals[i] == NULL ? refusal == NULL
                                      : refusal != NULL && strstr(refusal, refusals[i]) != NULL,
                  "%zu: %s", i, refusal);
    }
    struct overlay_kind kind;
    cr_assert_eq(doc->config.kind_count, 3);
    cr_assert(kind_find(&doc->config, 1, &kind));
    /* A-63: what is registered wins, the document's sizes hold. */
    cr_expect(kind.data_model == OVERLAY_DICTIONARY && kind.access == OVERLAY_USER_NODE_MATCH);
    cr_expect(kind.max_count == 9 && kind.max_size_bytes == 100);
    /* ... and so does its domain-restriction (RFC 7904 3.4). */
    const struct domain_rules *rules = &(const struct domain_rules){.is_listed = true};
    for (size_t i = 0; i < doc->config.kind_count; i++) {
        doc->config.kinds[i].domains = doc->config.kinds[i].id == 1 ? rules : NULL;
    }
    cr_assert(kind_find(&doc->config, 1, &kind));
    cr_expect_eq(kind.domains, rules);
    cr_assert(kind_find(&doc->config, 4026531841u, &kind));
    cr_expect(kind.data_model == OVERLAY_ARRAY && kind.access == OVERLAY_NODE_MULTIPLE);
    cr_expect(kind.max_node_multiple == 3 && kind.max_count == 5);
    cr_assert(kind_find(&doc->config, 4026531847u, &kind));
    cr_expect_eq(kind.max_node_multiple, 0);
    cr_assert_not(kind_find(&doc->config, 4026531843u, &kind), "AC-6");
    cr_expect_eq(memcmp(doc->kinds[1].signer.bytes, good->node_ids[0], 20), 0);
    /* A changed byte, or a signer who is bad. */
    ((uint8_t *)(uintptr_t)doc->kinds[0].bytes.data)[doc->kinds[0].bytes.len - 20] ^= 1;
    overlay_doc_accept_kinds(doc, crypto_boring(), NOW_MS);
    cr_assert_eq(doc->config.kind_count, 2);
    p.more = "<bad-node>" ID1 "</bad-node>";
    doc = read_plan(&r, &p);
    overlay_doc_accept_kinds(doc, crypto_boring(), NOW_MS);
    cr_assert_eq(doc->config.kind_count, 0);
}

/* A <kind> is signed apart from the <configuration> around it. */
Test(overlay_doc_accept, prefixes_of_kinds_bound_outside)
{
    static struct read r;
    static const struct kind_draft kinds[] = {
        {"id='4026531841'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
        {"id='4026531842'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
        {"id='4026531843'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
        {"id='4026531844'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
    };
    static const struct kind_extra extras[] = {
        {"", "<e:limit>1</e:limit>"},
        {"", "<e:limit xmlns:e='urn:e'>1</e:limit>"},
        {"", "<sip:domain-restriction enable='true'/>"},
        {" xmlns:sip='urn:x'", "<sip:domain-restriction enable='true'/>"},
    };
    struct plan p = {.sequence = 1,
                     .inside = " xmlns:e='urn:e' "
                               "xmlns:sip='urn:ietf:params:xml:ns:p2p:config-base:sip'",
                     .signer_ids = {ID0},
                     .kind_signer = ID0,
                     .kinds = kinds,
                     .extras = extras,
                     .kind_count = ARRAY_COUNT(kinds),
                     .by = &signers[0]};
    const char *reason = "";
    struct overlay_doc *doc = read_plan(&r, &p);
    cr_expect_eq(overlay_doc_verify_first(doc, crypto_boring(), NOW_MS, &reason), ERR_OK, "%s",
                 reason);
    overlay_doc_accept_kinds(doc, crypto_boring(), NOW_MS);
    cr_expect_eq(doc->config.kind_count, 2);
    cr_expect_str_eq(
        doc->kinds[0].refusal,
        "prefix e: declare xmlns:e on <kind>: its meaning is outside of the signature");
    cr_expect_null(doc->kinds[1].refusal);
    cr_expect_null(doc->kinds[2].refusal);
    cr_expect_str_eq(
        doc->kinds[3].refusal,
        "prefix sip: declare xmlns:sip on <kind>: its meaning is outside of the signature");
}

Test(overlay_doc_accept, kinds_have_a_cap)
{
    static struct read r;
    struct kind_draft kinds[OVERLAY_KINDS_CAP + 1];
    char ids[OVERLAY_KINDS_CAP + 1][24];
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "id='%zu'", 4026531841 + i);
        kinds[i] = (struct kind_draft){ids[i], "SINGLE", "USER-MATCH", &signers[0], 1, FORM_GOOD};
    }
    struct plan p = {
        .sequence = 1, .kind_signer = ID0, .kinds = kinds, .kind_count = ARRAY_COUNT(kinds)};
    struct overlay_doc *doc = read_plan(&r, &p);
    overlay_doc_accept_kinds(doc, crypto_boring(), NOW_MS);
    cr_assert_eq(doc->config.kind_count, OVERLAY_KINDS_CAP);
    cr_assert_not_null(strstr(doc->kinds[OVERLAY_KINDS_CAP].refusal, "more Kinds"));
}

/* ---- one document after another ---- */

Test(overlay_doc_accept, cf2_the_previous_document_says_who_signs)
{
    static struct read now, next;
    static const struct {
        int sequence;
        size_t by;
        const char *name;
        enum err expected;
        uint16_t code;
    } rows[] = {
        {101, 0, NULL, ERR_OK, 0},
        {100 + 32767, 0, NULL, ERR_OK, 0},
        {100, 0, NULL, ERR_STALE, CONTENT_ERROR_CONFIG_TOO_OLD},
        {99, 0, NULL, ERR_STALE, CONTENT_ERROR_CONFIG_TOO_OLD},
        {100 + 32768, 0, NULL, ERR_STALE, CONTENT_ERROR_CONFIG_TOO_OLD},
        {101, 1, NULL, ERR_BAD_SIGNATURE, CONTENT_ERROR_FORBIDDEN},
        {101, 0, "Overlay.example.org", ERR_WRONG_OVERLAY, CONTENT_ERROR_INVALID_MESSAGE},
    };
    struct plan before = {.sequence = 100, .signer_ids = {ID0}, .by = &signers[0]};
    read_plan(&now, &before);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *reason = NULL;
        /* It names a new signer, who does not count before it is taken over. */
        struct plan after = {.name = rows[i].name,
                             .sequence = rows[i].sequence,
                             .signer_ids = {ID1},
                             .by = &signers[rows[i].by]};
        read_plan(&next, &after);
        enum err e = overlay_doc_accept(&now.doc, &next.doc, crypto_boring(), NOW_MS, &reason);
        cr_expect_eq(e, rows[i].expected, "row %zu: %s", i, reason);
        cr_expect_eq(overlay_doc_accept_code(e), rows[i].code, "row %zu", i);
    }
    /* After 65534 comes 0 (A-66). */
    const char *reason = NULL;
    struct plan last = {.sequence = 65534, .signer_ids = {ID0}};
    struct plan zero = {.sequence = 0, .signer_ids = {ID0}, .by = &signers[0]};
    cr_assert_eq(overlay_doc_accept(read_plan(&now, &last), read_plan(&next, &zero),
                                    crypto_boring(), NOW_MS, &reason),
                 ERR_OK, "%s", reason);
    cr_assert_eq(overlay_doc_accept(read_plan(&now, &zero), read_plan(&next, &last),
                                    crypto_boring(), NOW_MS, &reason),
                 ERR_STALE);
    cr_assert_eq(overlay_doc_accept_code(ERR_CONFIG), CONTENT_ERROR_INVALID_MESSAGE, "unparsable");
    cr_assert_eq(overlay_doc_accept_code(ERR_BAD_CERTIFICATE), CONTENT_ERROR_FORBIDDEN);
    cr_assert_eq(overlay_doc_accept_code(ERR_NOT_FOUND), CONTENT_ERROR_FORBIDDEN);
    cr_assert_eq(overlay_doc_accept_code(ERR_UNSUPPORTED), CONTENT_ERROR_UNKNOWN_KIND);
    cr_assert_eq(overlay_doc_accept_code(ERR_LIMIT), CONTENT_ERROR_MESSAGE_TOO_LARGE);
}

Test(overlay_doc_accept, cf3_kinds_of_former_signers_are_dropped)
{
    static struct read now, next;
    const struct kind_draft before_kinds[] = {
        {"name='SIP-REGISTRATION'", "DICTIONARY", "USER-NODE-MATCH", &signers[0], 5, FORM_GOOD},
        {"id='4026531841'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
        {"id='4026531842'", "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD},
    };
    const struct kind_draft kept[] = {
        {"id='4026531842'", "SINGLE", "USER-MATCH", &signers[0], 6, FORM_GOOD}};
    const struct kind_draft by_another[] = {
        {"id='4026531842'", "SINGLE", "USER-MATCH", &signers[1], 6, FORM_GOOD}};
    uint32_t dropped[OVERLAY_KINDS_CAP];
    const char *reason = NULL;
    struct plan before = {.sequence = 1,
                          .signer_ids = {ID0},
                          .kind_signer = ID0,
                          .kinds = before_kinds,
                          .kind_count = 3};
    struct plan after = {.sequence = 2,
                         .signer_ids = {ID0},
                         .kind_signer = ID0,
                         .kinds = kept,
                         .kind_count = 1,
                         .by = &signers[0]};
    overlay_doc_accept_kinds(read_plan(&now, &before), crypto_boring(), NOW_MS);
    cr_assert_eq(now.doc.config.kind_count, 3);
    cr_assert_eq(
        overlay_doc_accept(&now.doc, read_plan(&next, &after), crypto_boring(), NOW_MS, &reason),
        ERR_OK, "%s", reason);
    cr_assert_eq(next.doc.config.kinds[0].max_count, 6, "CF-4: the new limits hold");
    cr_assert_eq(overlay_doc_accept_dropped(&now.doc, &next.doc, dropped), 1);
    cr_assert_eq(dropped[0], 4026531841u);
    after.kind_signer = ID1;
    after.kinds = by_another;
    cr_assert_eq(
        overlay_doc_accept(&now.doc, read_plan(&next, &after), crypto_boring(), NOW_MS, &reason),
        ERR_OK, "%s", reason);
    cr_assert_eq(next.doc.config.kind_count, 1);
    cr_assert_eq(overlay_doc_accept_dropped(&now.doc, &next.doc, dropped), 2);
}

/* ---- a Kind alone (6.5.4.1) ---- */

static struct arena arena;

static enum err update(struct overlay_doc *doc, const char *xml)
{
    static uint8_t block[64 * 1024];
    if (arena.base == NULL) {
        arena_init(&arena, block, sizeof(block));
    }
    struct overlay_doc_kind_update u = {.schema = schema,
                                        .xml = slice_text(xml),
                                        .arena = &arena,
                                        .crypto = crypto_boring(),
                                        .at_ms = NOW_MS};
    return overlay_doc_accept_kind(doc, &u, why);
}

static enum err update_extra(struct overlay_doc *doc, const struct kind_draft *k,
                             const struct kind_extra *extra)
{
    static struct draft d;
    d.len = 0;
    put_kind(&d, k, extra);
    return update(doc, d.text);
}

static enum err update_kind(struct overlay_doc *doc, const struct kind_draft *k)
{
    return update_extra(doc, k, NULL);
}

Test(overlay_doc_accept, cu4_kind_updates)
{
    static struct read r;
    static struct draft d;
    struct plan p = {.sequence = 1, .kind_signer = ID0};
    struct overlay_doc *doc = read_plan(&r, &p);
    struct overlay_kind kind;
    struct kind_draft k = {PRIVATE, "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD};
    cr_assert_eq(update_kind(doc, &k), ERR_OK, "%s", why);
    cr_assert(kind_find(&doc->config, 4026531841u, &kind));
    k.max_count = 6;
    cr_assert_eq(update_kind(doc, &k), ERR_OK, "%s", why);
    cr_assert(kind_find(&doc->config, 4026531841u, &kind) && kind.max_count == 6);
    cr_assert(doc->config.kind_count == 1 && doc->kind_count == 1);
    k.by = &signers[1];
    cr_assert_eq(update_kind(doc, &k), ERR_BAD_SIGNATURE, "not a kind-signer");
    /* Two kind-signers: the second may not change what the first has defined. */
    doc->kind_signers.ids[1] = doc->kind_signers.ids[0];
    memset(doc->kind_signers.ids[1].bytes, 2, 16);
    doc->kind_signers.lens[1] = 16;
    doc->kind_signers.count = 2;
    cr_assert_eq(update_kind(doc, &k), ERR_FORBIDDEN, "%s", why);
    k.what = "id='4026531842'";
    cr_assert_eq(update_kind(doc, &k), ERR_OK, "%s", why);
    k.policy = "USER-CHAIN-ACL";
    cr_assert_eq(update_kind(doc, &k), ERR_UNSUPPORTED, "%s", why);
    k.policy = "NODE-MATCH";
    k.form = FORM_WITH_IDENTITY;
    cr_assert_eq(update_kind(doc, &k), ERR_BAD_SIGNATURE, "%s", why);
    k.form = FORM_GOOD;
    struct kind_extra extra = {" xmlns:sip='urn:x'", "<sip:x/>"};
    cr_assert_eq(update_extra(doc, &k, &extra), ERR_BAD_SIGNATURE);
    cr_assert_not_null(strstr(why, "declare xmlns:sip on <kind>"), "%s", why);
    extra.around = "";
    cr_assert_eq(update_extra(doc, &k, &extra), ERR_CONFIG, "declared nowhere");
    cr_assert_not_null(strstr(why, "prefix sip"), "%s", why);
    d.len = 0;
    put_kind(&d, &k, NULL);
    put_kind(&d, &k, NULL);
    static const char *const bad[] = {
        "",
        "<kind-block/>",
        "text",
        "<kind-block xmlns='urn:other'/>",
        "</required-kinds></configuration><configuration instance-name='b'><required-kinds>",
        "<?xml version='1.0'?><kind-block/>",
        "<kind-block><kind id='1'><data-model>SINGLE</data-model></kind></kind-block>",
    };
    size_t used = arena.used;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert_eq(update(doc, bad[i]), ERR_CONFIG, "case %zu", i);
        cr_assert_neq(why[0], '\0');
    }
    cr_assert_eq(update(doc, d.text), ERR_CONFIG, "two at once");
    cr_assert_eq(arena.used, used, "what is refused costs nothing that stays");
    cr_assert(doc->config.kind_count == 2 && doc->kind_count == 2);
}

Test(overlay_doc_accept, kind_updates_have_a_cap)
{
    static struct read r;
    struct plan p = {.sequence = 1, .kind_signer = ID0};
    struct overlay_doc *doc = read_plan(&r, &p);
    char what[24];
    for (size_t i = 0; i <= OVERLAY_KINDS_CAP; i++) {
        (void)snprintf(what, sizeof(what), "id='%zu'", 4026531841 + i);
        struct kind_draft k = {what, "SINGLE", "USER-MATCH", &signers[0], 5, FORM_GOOD};
        cr_assert_eq(update_kind(doc, &k), i < OVERLAY_KINDS_CAP ? ERR_OK : ERR_LIMIT, "%zu: %s", i,
                     why);
    }
}

/* ---- can we be there ---- */

Test(overlay_doc_accept, what_we_can_join)
{
    static const struct {
        const char *more, *hint;
        enum err expected;
    } rows[] = {
        {"", "", ERR_OK},
        {"<mandatory-extension>urn:ietf:params:xml:ns:p2p:config-chord</mandatory-extension>", "",
         ERR_OK},
        {"<mandatory-extension>urn:ietf:params:xml:ns:p2p:config-Chord</mandatory-extension>",
         "mandatory extension", ERR_UNSUPPORTED},
        {"<mandatory-extension>urn:ietf:params:xml:ns:p2p:self-tuning</mandatory-extension>",
         "self-tuning", ERR_UNSUPPORTED},
        {"<topology-plugin>CHORD-SELF-TUNING</topology-plugin>", "CHORD-SELF-TUNING",
         ERR_UNSUPPORTED},
        {"<node-id-length>20</node-id-length>", "16 bytes", ERR_UNSUPPORTED},
        {"<overlay-link-protocol>DTLS-UDP-SR</overlay-link-protocol>", "link-protocol",
         ERR_UNSUPPORTED},
        {"<overlay-link-protocol>X</overlay-link-protocol>"
         "<overlay-link-protocol>TLS</overlay-link-protocol>",
         "", ERR_OK},
        {"<overlay-link-protocol>DTLS-UDP-SR-NO-ICE</overlay-link-protocol>", "", ERR_OK},
        {"<shared-secret>x</shared-secret>", "shared-secret", ERR_UNSUPPORTED},
        {"<max-message-size>999</max-message-size>", "max-message-size", ERR_UNSUPPORTED},
        {"<max-message-size>65536</max-message-size>", "1000 to 65535", ERR_UNSUPPORTED},
        {"<overlay-reliability-timer>60001</overlay-reliability-timer>", "timer", ERR_UNSUPPORTED},
        {"<chord:chord-ping-interval>86401</chord:chord-ping-interval>", "ping", ERR_UNSUPPORTED},
    };
    static struct read r;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct plan p = {.sequence = 1, .more = rows[i].more};
        enum err e = overlay_doc_join_check(read_plan(&r, &p), NOW_MS, why);
        cr_expect_eq(e, rows[i].expected, "row %zu: %s", i, why);
        cr_expect(e == ERR_OK || strstr(why, rows[i].hint) != NULL, "row %zu: %s", i, why);
    }
    struct plan p = {.sequence = 1};
    read_plan(&r, &p);
    r.doc.config.no_ice = false;
    cr_expect_eq(overlay_doc_join_check(&r.doc, NOW_MS, why), ERR_UNSUPPORTED);
    r.doc.config.no_ice = true;
    r.doc.expiration = SLICE_LITERAL("then");
    r.doc.expiration_ms = NOW_MS;
    cr_expect_eq(overlay_doc_join_check(&r.doc, NOW_MS, why), ERR_EXPIRED);
}
