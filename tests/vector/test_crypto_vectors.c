/* SPDX-License-Identifier: Apache-2.0 */
/* test_crypto_vectors.c - link/crypto_boring against the golden certificates and signatures in
 * tests/vectors/: what must be accepted is, what must be refused is.  RFC 6940 6.3.4, 7.1, 11.3,
 * 11.3.1.  Run from the top of the tree. */
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/stored.h"
#include "link/crypto_boring.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_CAP = 1 << 17, INPUT_CAP = 1 << 16 };
#define AT_MS 1795392000000ull /* 2026-11-23, the `at` of the vectors */

static const struct rl_params params = {.overlay = 0x9aa32b8d, .node_id_length = 16};

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static bool is_true(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

/* Bytes of a hex string in an exact-size heap block, which the caller frees. */
static struct slice bytes_of(const json_t *o, const char *key)
{
    const char *text = text_of(o, key);
    size_t cap = strlen(text) / 2, len = 0;
    uint8_t *bytes = malloc(cap == 0 ? 1 : cap);
    cr_assert_eq(ids_unhex(slice_text(text), bytes, cap, &len), ERR_OK);
    return slice_of(bytes, len);
}

static void free_bytes(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

typedef void (*vector_use)(const json_t *v);

static unsigned each(const char *name, vector_use use)
{
    static char line[LINE_CAP];
    char path[128];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "tests/vectors/%s.jsonl", name);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s: run me from the top of the tree", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        json_t *v = json_loads(line, 0, NULL);
        cr_assert_not_null(v, "%s line %u", name, count + 1);
        use(v);
        json_decref(v);
        count++;
    }
    (void)fclose(f);
    return count;
}

/* ---- certificates ---- */

static uint8_t root_bytes[2048];
static struct slice root;

static void find_root(const json_t *v)
{
    if (strcmp(text_of(v, "type"), "RootCertificate") == 0) {
        struct slice der = bytes_of(v, "hex");
        cr_assert_leq(der.len, sizeof(root_bytes));
        memcpy(root_bytes, der.data, der.len);
        root = slice_of(root_bytes, der.len);
        free_bytes(der);
    }
}

static struct crypto_trust trust_of(const json_t *v)
{
    return (struct crypto_trust){.roots = &root,
                                 .root_count = root.len > 0 ? 1 : 0,
                                 .overlay_name = slice_text(text_of(v, "overlay_name")),
                                 .node_id_length = 16,
                                 .self_signed_permitted = is_true(v, "self_signed_permitted"),
                                 .self_signed_sha256 = strcmp(text_of(v, "digest"), "sha256") == 0};
}

static void check_names(const json_t *v, const struct crypto_certificate *got)
{
    char hex[IDS_NODE_TEXT_CAP];
    const json_t *ids = json_object_get(v, "node_ids");
    cr_assert_str_eq(got->user, text_of(v, "user"));
    cr_assert_eq(got->node_id_count, json_array_size(ids));
    for (size_t i = 0; i < got->node_id_count; i++) {
        cr_assert_str_eq(ids_hex(slice_of(got->node_ids[i], 16), hex),
                         json_string_value(json_array_get(ids, i)));
    }
}

static void judge(const json_t *v)
{
    static struct crypto_certificate got;
    if (strcmp(text_of(v, "type"), "Certificate") != 0) {
        return;
    }
    struct slice der = bytes_of(v, "hex");
    struct crypto_trust trust = trust_of(v);
    const char *why = NULL;
    enum err error = crypto_boring()->certificate(der, NULL, 0, &trust, AT_MS, &got, &why);
    free_bytes(der);
    if (!is_true(v, "valid") && strcmp(text_of(v, "strength"), "advisory") == 0) {
        cr_assert_eq(error, ERR_OK, "%s: issued like that in the wild", text_of(v, "name"));
        return;
    }
    cr_assert_eq(error == ERR_OK, is_true(v, "valid"), "%s: %s", text_of(v, "name"), why);
    if (error == ERR_OK) {
        check_names(v, &got);
    }
    if (strstr(text_of(v, "name"), "expired") != NULL) {
        cr_assert_eq(error, ERR_EXPIRED);
    }
}

Test(crypto_vectors, certificates)
{
    each("certificate", find_root);
    cr_assert_gt(root.len, 0);
    cr_assert_eq(each("certificate", judge), 16);
}

Test(crypto_vectors, self_signed_certificates)
{
    cr_assert_eq(each("certificate_selfsigned", judge), 4);
}

/* ---- signatures ---- */

/* Does this certificate answer to the signer's identity? (6.3.4, SG-3, SG-6) */
static bool is_signer(const struct secblock_identity *who, struct slice der,
                      const struct crypto_certificate *c)
{
    static uint8_t input[8192];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    bool with_node_id = who->type == SECBLOCK_IDENTITY_CERT_HASH_NODE_ID;
    if (who->hash_algorithm == 6) {
        return true; /* SHA-512: which identities are taken is for dht/sign to say */
    }
    if ((who->type != SECBLOCK_IDENTITY_CERT_HASH && !with_node_id) ||
        who->hash_algorithm != SECBLOCK_HASH_SHA256 || with_node_id != (c->node_id_count > 1)) {
        return false;
    }
    for (size_t i = 0; i < c->node_id_count; i++) {
        struct node_id id;
        memcpy(id.bytes, c->node_ids[i], sizeof(id.bytes));
        struct wr w = wr_init(input, sizeof(input));
        secblock_wr_identity_input(&w, &params, (enum secblock_identity_type)who->type, &id, der);
        cr_assert(wr_ok(&w));
        crypto_boring()->sha256(wr_slice(&w), hash);
        if (slice_is_equal(who->hash, slice_of(hash, sizeof(hash)))) {
            return true;
        }
    }
    return false;
}

static bool is_signed(const struct secblock_signature *s, struct slice der, struct slice input)
{
    static struct crypto_certificate c;
    struct crypto_trust trust = {.roots = &root,
                                 .root_count = 1,
                                 .overlay_name = SLICE_LITERAL("overlay.example.org"),
                                 .node_id_length = 16};
    const struct crypto *crypto = crypto_boring();
    return crypto->certificate(der, NULL, 0, &trust, AT_MS, &c, NULL) == ERR_OK &&
           is_signer(&s->identity, der, &c) &&
           crypto->verify(slice_of(c.public_key, c.public_key_len),
                          (enum crypto_algorithm)s->algorithm, input, s->value) == ERR_OK;
}

static bool is_message_signed(struct slice message)
{
    static uint8_t input[INPUT_CAP];
    struct fwd header;
    struct content content;
    struct secblock block;
    struct slice rest;
    if (fwd_decode_header(message, &params, &header) != ERR_OK ||
        content_decode(header.payload, &content, &rest) != ERR_OK ||
        secblock_decode(rest, &block) != ERR_OK) {
        return false;
    }
    struct wr w = wr_init(input, sizeof(input));
    secblock_wr_message_input(&w, header.overlay, header.transaction_id, content.bytes,
                              &block.signature.identity);
    cr_assert(wr_ok(&w));
    struct rd r = rd_init(block.certificates);
    struct secblock_certificate one;
    while (secblock_certificate_next(&r, &one)) {
        if (one.type == SECBLOCK_CERTIFICATE_X509 &&
            is_signed(&block.signature, one.der, wr_slice(&w))) {
            return true;
        }
    }
    return false;
}

static void check_message(const json_t *v)
{
    struct slice message = bytes_of(v, "hex");
    cr_assert_eq(is_message_signed(message), is_true(v, "signature_valid"), "%s",
                 text_of(v, "name"));
    free_bytes(message);
}

Test(crypto_vectors, message_signatures)
{
    each("certificate", find_root);
    cr_assert_eq(each("signature_good", check_message), 6);
    cr_assert_eq(each("signature_bad", check_message), 36);
    cr_assert_eq(each("message", check_message), 90);
}

static void check_data(const json_t *v)
{
    static uint8_t input[INPUT_CAP];
    const char *model = text_of(v, "data_model");
    struct slice bytes = bytes_of(v, "hex"), der = bytes_of(v, "certificate");
    struct slice resource = bytes_of(v, "resource");
    struct stored_data data;
    enum err error = stored_decode(bytes,
                                   model[0] == 'a'   ? STORED_ARRAY
                                   : model[0] == 'd' ? STORED_DICTIONARY
                                                     : STORED_SINGLE,
                                   &data);
    cr_assert_eq(error, ERR_OK, "%s", text_of(v, "name"));
    struct wr w = wr_init(input, sizeof(input));
    stored_wr_signature_input(&w, resource,
                              (uint32_t)json_integer_value(json_object_get(v, "kind")), &data);
    cr_assert(wr_ok(&w));
    cr_assert_eq(is_signed(&data.signature, der, wr_slice(&w)), is_true(v, "signature_valid"), "%s",
                 text_of(v, "name"));
    free_bytes(bytes);
    free_bytes(der);
    free_bytes(resource);
}

Test(crypto_vectors, data_signatures)
{
    each("certificate", find_root);
    cr_assert_eq(each("data_signature", check_data), 168);
}
