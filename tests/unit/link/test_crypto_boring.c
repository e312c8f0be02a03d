/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, signatures and certificates: RFC 6940 6.3.4, 11.3, 11.3.1; catalogue ID-1 to ID-4, SG-4. */
#include "tests/unit/link/credentials.h"

#include "link/crypto_keys_boring.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <pthread.h>

static const enum crypto_algorithm all[] = {CRYPTO_ED25519, CRYPTO_ECDSA_SHA256, CRYPTO_RSA_SHA256};

static struct crypto_trust trust_in(const struct slice *roots, size_t count)
{
    return (struct crypto_trust){
        .roots = roots, .root_count = count, .overlay_name = OVERLAY, .node_id_length = 16};
}

static enum err judge(struct slice der, const struct crypto_trust *trust, uint64_t at_ms,
                      struct crypto_certificate *out)
{
    const char *why = NULL;
    enum err error = crypto_boring()->certificate(der, NULL, 0, trust, at_ms, out, &why);
    cr_assert_not_null(why);
    cr_assert((error == ERR_OK) == (strcmp(why, "ok") == 0), "%s", why);
    return error;
}

Test(crypto_boring, signs_and_verifies_with_every_algorithm)
{
    const struct crypto *c = crypto_boring();
    struct slice message = SLICE_LITERAL("a message to be signed");
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct crypto_key *key = NULL;
        uint8_t spki[CRYPTO_PUBLIC_KEY_CAP], signature[CRYPTO_SIGNATURE_CAP];
        size_t spki_len = 0, len = 0;
        cr_assert_eq(crypto_boring_key_make(all[i], &key), ERR_OK);
        cr_assert_eq(c->key_algorithm(key), all[i]);
        cr_assert_eq(crypto_boring_key_public(key, spki, sizeof(spki), &spki_len), ERR_OK);
        cr_assert_eq(c->sign(key, message, signature, &len), ERR_OK);
        struct slice public_key = slice_of(spki, spki_len);
        cr_assert_eq(c->verify(public_key, all[i], message, slice_of(signature, len)), ERR_OK);
        for (size_t other = 0; other < ARRAY_COUNT(all); other++) {
            enum err expected = other == i ? ERR_OK : ERR_BAD_SIGNATURE;
            cr_assert_eq(c->verify(public_key, all[other], message, slice_of(signature, len)),
                         expected);
        }
        cr_assert_neq(c->verify(public_key, all[i], SLICE_EMPTY, slice_of(signature, len)), ERR_OK);
        cr_assert_neq(c->verify(public_key, all[i], message, SLICE_EMPTY), ERR_OK);
        cr_assert_neq(c->verify(slice_sub(public_key, 0, spki_len - 1), all[i], message,
                                slice_of(signature, len)),
                      ERR_OK);
        signature[len / 2] ^= 1;
        cr_assert_neq(c->verify(public_key, all[i], message, slice_of(signature, len)), ERR_OK);
        crypto_boring_key_free(key);
    }
}

/* More keys than a thread keeps, each met again: none is taken for another. */
static void *meet_many(void *unused)
{
    enum { KEYS = CRYPTO_KEYS_BORING_CAP + 44 };
    static uint8_t spki[KEYS][CRYPTO_PUBLIC_KEY_CAP], signature[KEYS][CRYPTO_SIGNATURE_CAP];
    static size_t spki_len[KEYS], len[KEYS];
    const struct crypto *c = crypto_boring();
    struct slice message = SLICE_LITERAL("a message to be signed");
    cr_expect_eq(crypto_keys_boring_count(), 0);
    for (size_t i = 0; i < KEYS; i++) {
        struct crypto_key *key = NULL;
        cr_assert_eq(
            crypto_boring_key_make(i % 8 == 0 ? CRYPTO_ECDSA_SHA256 : CRYPTO_ED25519, &key),
            ERR_OK);
        cr_assert_eq(crypto_boring_key_public(key, spki[i], sizeof(spki[i]), &spki_len[i]), ERR_OK);
        cr_assert_eq(c->sign(key, message, signature[i], &len[i]), ERR_OK);
        crypto_boring_key_free(key);
    }
    for (size_t k = 0; k < 2 * KEYS; k++) {
        size_t i = k % KEYS;
        size_t other = (i + 8) % KEYS;
        enum crypto_algorithm algorithm = i % 8 == 0 ? CRYPTO_ECDSA_SHA256 : CRYPTO_ED25519;
        struct slice public_key = slice_of(spki[i], spki_len[i]);
        cr_expect_eq(c->verify(public_key, algorithm, message, slice_of(signature[i], len[i])),
                     ERR_OK, "%zu", k);
        cr_expect_eq(
            c->verify(public_key, algorithm, message, slice_of(signature[other], len[other])),
            ERR_BAD_SIGNATURE, "%zu", k);
    }
    size_t kept = crypto_keys_boring_count();
    cr_expect(kept > KEYS / 3 && kept <= CRYPTO_KEYS_BORING_CAP, "%zu", kept);
    cr_expect_null(crypto_keys_boring_find(SLICE_LITERAL("no key")));
    cr_expect_eq(crypto_keys_boring_count(), kept);
    crypto_boring_end_thread(); /* the leak check looks for what it held */
    cr_expect_eq(crypto_keys_boring_count(), 0);
    return unused;
}

Test(crypto_boring, public_keys_are_kept_by_each_thread)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, meet_many, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(crypto_keys_boring_count(), 0);
}

Test(crypto_boring, keys_survive_pem)
{
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct crypto_key *key = NULL, *again = NULL;
        static uint8_t pem[CRYPTO_BORING_KEY_PEM_CAP], a[CRYPTO_PUBLIC_KEY_CAP],
            b[CRYPTO_PUBLIC_KEY_CAP];
        size_t pem_len = 0, a_len = 0, b_len = 0;
        cr_assert_eq(crypto_boring_key_make(all[i], &key), ERR_OK);
        cr_assert_eq(crypto_boring_key_pem(key, pem, sizeof(pem), &pem_len), ERR_OK);
        cr_assert_eq(crypto_boring_key_load(slice_of(pem, pem_len), &again), ERR_OK);
        cr_assert_eq(crypto_boring_key_public(key, a, sizeof(a), &a_len), ERR_OK);
        cr_assert_eq(crypto_boring_key_public(again, b, sizeof(b), &b_len), ERR_OK);
        cr_assert(slice_is_equal(slice_of(a, a_len), slice_of(b, b_len)));
        crypto_boring_key_free(again);
        static uint8_t der[2048];
        size_t der_len = 0;
        cr_assert_eq(crypto_boring_pem_decode(slice_of(pem, pem_len), "PRIVATE KEY", 0, der,
                                              sizeof(der), &der_len),
                     ERR_OK);
        cr_assert_eq(crypto_boring_key_load(slice_of(der, der_len), &again), ERR_OK);
        crypto_boring_key_free(again);
        cr_assert_eq(crypto_boring_key_load(slice_of(der, der_len - 1), &again), ERR_MALFORMED);
        cr_assert_eq(crypto_boring_key_load(slice_of(pem, pem_len / 2), &again), ERR_MALFORMED);
        cr_assert_null(again);
        cr_assert_eq(crypto_boring_key_pem(key, pem, 40, &pem_len), ERR_TOO_LARGE);
        crypto_boring_key_free(key);
    }
    struct crypto_key *none = NULL;
    cr_assert_eq(crypto_boring_key_load(SLICE_EMPTY, &none), ERR_MALFORMED);
    crypto_boring_key_free(NULL);
}

static int compare_draws(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

/* Of whatever lengths, and however often the stock is filled: no byte is given out twice. */
Test(crypto_boring, short_draws_do_not_repeat)
{
    enum { DRAWS = 4000 };
    static uint8_t drawn[DRAWS][8];
    const struct crypto *c = crypto_boring();
    uint8_t other[16];
    for (size_t i = 0; i < DRAWS; i++) {
        memset(other, 0, sizeof(other));
        c->random(c, other, i % 17);
        for (size_t at = i % 17; at < sizeof(other); at++) {
            cr_assert_eq(other[at], 0, "no more than was asked for");
        }
        c->random(c, drawn[i], sizeof(drawn[i]));
    }
    qsort(drawn, DRAWS, sizeof(drawn[0]), compare_draws);
    for (size_t i = 1; i < DRAWS; i++) {
        cr_assert_neq(memcmp(drawn[i - 1], drawn[i], sizeof(drawn[0])), 0, "draw %zu", i);
    }
}

Test(crypto_boring, hashes_known_answers)
{
    const struct crypto *c = crypto_boring();
    uint8_t out[CRYPTO_SHA256_BYTES];
    c->sha1(SLICE_LITERAL("abc"), out);
    cr_assert_eq(memcmp(out, "\xa9\x99\x3e\x36\x47\x06\x81\x6a", 8), 0);
    c->sha256(SLICE_LITERAL("abc"), out);
    cr_assert_eq(memcmp(out, "\xba\x78\x16\xbf\x8f\x01\xcf\xea", 8), 0);
    c->md5(SLICE_LITERAL("abc"), out);
    cr_assert_eq(memcmp(out, "\x90\x01\x50\x98\x3c\xd2\x4f\xb0", 8), 0);
    c->hmac_sha1(SLICE_LITERAL("Jefe"), SLICE_LITERAL("what do ya want for nothing?"), out);
    cr_assert_eq(memcmp(out, "\xef\xfc\xdf\x6a\xe5\xeb\x2f\xa2", 8), 0); /* RFC 2202 3 */
    c->hmac_sha1(SLICE_EMPTY, SLICE_EMPTY, out);
    cr_assert_eq(memcmp(out, "\xfb\xdb\x1d\x1b\x18\xaa\x6c\x08", 8), 0);
    c->hmac_sha256(SLICE_LITERAL("Jefe"), SLICE_LITERAL("what do ya want for nothing?"), out);
    cr_assert_eq(memcmp(out, "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e", 8), 0); /* RFC 4231 4.3 */
    c->hmac_sha256(SLICE_EMPTY, SLICE_EMPTY, out);
    cr_assert_eq(memcmp(out, "\xb6\x13\x67\x9a\x08\x14\xd9\xec", 8), 0);
    uint8_t a[32], b[32];
    c->random(c, a, sizeof(a));
    c->random(c, b, sizeof(b));
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
    /* keys that are longer than a block: RFC 2202 case 6, RFC 4231 case 6 */
    uint8_t key[131];
    struct slice text = SLICE_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First");
    memset(key, 0xaa, sizeof(key));
    c->hmac_sha1(slice_of(key, 80), text, out);
    cr_assert_eq(memcmp(out, "\xaa\x4a\xe5\xe1\x52\x72\xd0\x0e", 8), 0);
    c->hmac_sha256(slice_of(key, sizeof(key)), text, out);
    cr_assert_eq(memcmp(out, "\x60\xe4\x31\x59\x1e\xe0\xb6\x7f", 8), 0);
}

/* ID-1, ID-2, ID-3 */
Test(crypto_boring, judges_what_it_issued)
{
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        static struct credential ca, other, node;
        static struct crypto_certificate got;
        credential_root(&ca, all[i], "test CA");
        credential_root(&other, CRYPTO_ED25519, "test CA"); /* same name, another key */
        credential_node(&node, &ca, all[(i + 1) % 3], 7, NOW_MS);
        struct slice root = credential_der(&ca);
        struct crypto_trust trust = trust_in(&root, 1);
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1000, &got), ERR_OK);
        cr_assert_eq(got.algorithm, all[(i + 1) % 3]);
        cr_assert_eq(got.node_id_count, 1);
        cr_assert_eq(memcmp(got.node_ids[0], node.node_id, 20), 0);
        cr_assert_str_eq(got.user, node.user);
        cr_assert_eq(got.not_before_ms, NOW_MS);
        cr_assert_eq(got.not_after_ms, NOW_MS + DAY_MS);
        uint8_t spki[CRYPTO_PUBLIC_KEY_CAP];
        size_t len = 0;
        cr_assert_eq(crypto_boring_key_public(node.key, spki, sizeof(spki), &len), ERR_OK);
        cr_assert(
            slice_is_equal(slice_of(spki, len), slice_of(got.public_key, got.public_key_len)));
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS - 10000, &got), ERR_EXPIRED);
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 2 * DAY_MS, &got), ERR_EXPIRED);
        cr_assert_eq(judge(credential_der(&ca), &trust, NOW_MS, &got), ERR_BAD_CERTIFICATE);
        struct slice foreign = credential_der(&other);
        trust = trust_in(&foreign, 1);
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
        trust = trust_in(NULL, 0);
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
        struct slice both[2] = {foreign, root};
        trust = trust_in(both, 2);
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_OK);
        trust.overlay_name = SLICE_LITERAL("overlay.example.com");
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
        credential_free(&ca);
        credential_free(&other);
        credential_free(&node);
    }
}

/* Bytes of strangers: nothing but a refusal comes of them. */
Test(crypto_boring, refuses_damaged_certificates)
{
    static struct credential ca, node;
    static struct crypto_certificate got;
    credential_root(&ca, CRYPTO_ED25519, "test CA");
    credential_node(&node, &ca, CRYPTO_ED25519, 7, NOW_MS);
    struct slice root = credential_der(&ca);
    struct crypto_trust trust = trust_in(&root, 1);
    for (size_t len = 0; len < node.certificate_len; len++) {
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, node.certificate, len);
        cr_assert_neq(judge(slice_of(exact, len), &trust, NOW_MS + 1, &got), ERR_OK);
        free(exact);
    }
    for (size_t bit = 0; bit < 8 * node.certificate_len; bit += 3) {
        static uint8_t damaged[CRYPTO_BORING_CERTIFICATE_CAP];
        memcpy(damaged, node.certificate, node.certificate_len);
        damaged[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(judge(slice_of(damaged, node.certificate_len), &trust, NOW_MS + 1, &got),
                      ERR_OK, "bit %zu", bit);
    }
    static uint8_t longer[CRYPTO_BORING_CERTIFICATE_CAP] = {0};
    memcpy(longer, node.certificate, node.certificate_len);
    cr_assert_eq(judge(slice_of(longer, node.certificate_len + 1), &trust, NOW_MS + 1, &got),
                 ERR_MALFORMED);
    credential_free(&ca);
    credential_free(&node);
}

static enum err issue_below(const struct credential *issuer, struct credential *made, bool is_ca,
                            const char *name)
{
    memset(made, 0, sizeof(*made));
    cr_assert_eq(crypto_boring_key_make(CRYPTO_ED25519, &made->key), ERR_OK);
    uint8_t spki[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    cr_assert_eq(crypto_boring_key_public(made->key, spki, sizeof(spki), &len), ERR_OK);
    struct crypto_issue what = {.issuer_certificate = credential_der(issuer),
                                .issuer_key = issuer->key,
                                .public_key = slice_of(spki, len),
                                .common_name = slice_text(name),
                                .not_before_ms = NOW_MS - DAY_MS,
                                .not_after_ms = NOW_MS + DAY_MS,
                                .is_ca = is_ca};
    return crypto_issue_certificate(&what, made->certificate, sizeof(made->certificate),
                                    &made->certificate_len);
}

/* ID-1: BasicConstraints of every issuer count. */
Test(crypto_boring, follows_chains_of_authorities_only)
{
    for (int is_ca = 0; is_ca <= 1; is_ca++) {
        static struct credential ca, middle, node;
        static struct crypto_certificate got;
        const char *why = NULL;
        credential_root(&ca, CRYPTO_ED25519, "root");
        cr_assert_eq(issue_below(&ca, &middle, is_ca == 1, "middle"), ERR_OK);
        credential_node(&node, &middle, CRYPTO_ED25519, 9, NOW_MS);
        struct slice root = credential_der(&ca);
        struct slice helper = credential_der(&middle);
        struct crypto_trust trust = trust_in(&root, 1);
        enum err error = crypto_boring()->certificate(credential_der(&node), &helper, 1, &trust,
                                                      NOW_MS + 1, &got, &why);
        cr_assert_eq(error, is_ca == 1 ? ERR_OK : ERR_BAD_CERTIFICATE, "%s", why);
        cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
        credential_free(&ca);
        credential_free(&middle);
        credential_free(&node);
    }
}

/* One more extension, and the signature of its issuer again. */
static void extend(struct credential *c, const struct credential *issuer, int nid,
                   struct slice value)
{
    const uint8_t *at = c->certificate;
    uint8_t *out = c->certificate;
    X509 *x = d2i_X509(NULL, &at, (long)c->certificate_len);
    ASN1_OCTET_STRING *bytes = ASN1_OCTET_STRING_new();
    cr_assert_eq(ASN1_OCTET_STRING_set(bytes, value.data, (int)value.len), 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, nid, 0, bytes);
    cr_assert_eq(X509_add_ext(x, extension, -1), 1);
    cr_assert_gt(X509_sign(x, crypto_boring_key_object(issuer->key), NULL), 0);
    int len = i2d_X509(x, NULL);
    cr_assert(len > 0 && (size_t)len <= sizeof(c->certificate));
    c->certificate_len = (size_t)i2d_X509(x, &out);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(bytes);
    X509_free(x);
}

/* Authorities with names or constraints on names cost a stranger nothing and us milliseconds: they
 * are none of a chain, whoever signed them; nor is what carries a load of extensions. */
Test(crypto_boring, authorities_have_no_names)
{
    static uint8_t load[2048];
    static const struct slice comment = SLICE_LITERAL("c");
    const struct {
        int nid;
        struct slice value;
        size_t times;
        bool is_good;
    } cases[] = {
        {NID_netscape_comment, comment, 1, true},
        {NID_subject_alt_name, SLICE_LITERAL("\x30\x03\x82\x01\x61"), 1, false},
        {NID_name_constraints, SLICE_LITERAL("\x30\x07\xa1\x05\x30\x03\x82\x01\x62"), 1, false},
        {NID_netscape_comment, slice_of(load, 1800), 1, true},
        {NID_netscape_comment, slice_of(load, sizeof(load)), 1, false},
        {NID_netscape_comment, comment, 16, false},
    };
    static struct credential ca, middle, node;
    static struct crypto_certificate got;
    const char *why = NULL;
    credential_root(&ca, CRYPTO_ED25519, "root");
    struct slice root = credential_der(&ca);
    struct crypto_trust trust = trust_in(&root, 1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_assert_eq(issue_below(&ca, &middle, true, "middle"), ERR_OK);
        for (size_t k = 0; k < cases[i].times; k++) {
            extend(&middle, &ca, cases[i].nid, cases[i].value);
        }
        credential_node(&node, &middle, CRYPTO_ED25519, 9, NOW_MS);
        struct slice helper = credential_der(&middle);
        enum err error = crypto_boring()->certificate(credential_der(&node), &helper, 1, &trust,
                                                      NOW_MS + 1, &got, &why);
        cr_expect_eq(error, cases[i].is_good ? ERR_OK : ERR_BAD_CERTIFICATE, "%zu: %s", i, why);
        credential_free(&middle);
        credential_free(&node);
    }
    credential_free(&ca);
}

/* Only roots are asked whose name the chain ends in; a signature tells those apart that have the
 * same name, and a certificate that calls itself like a root does not lead elsewhere. */
Test(crypto_boring, roots_go_by_name)
{
    static struct credential a, again, b, middle, node, cross;
    static struct crypto_certificate got;
    const char *why = NULL;
    credential_root(&a, CRYPTO_ED25519, "a");
    credential_root(&again, CRYPTO_ED25519, "a");
    credential_root(&b, CRYPTO_ED25519, "b");
    cr_assert_eq(issue_below(&a, &middle, true, "middle"), ERR_OK);
    cr_assert_eq(issue_below(&b, &cross, true, "a"), ERR_OK);
    credential_node(&node, &middle, CRYPTO_ED25519, 9, NOW_MS);
    struct slice bucket[] = {credential_der(&cross), credential_der(&middle)};
    struct slice roots[] = {credential_der(&b), credential_der(&again), credential_der(&a)};
    const struct {
        size_t first, count;
        const char *why;
    } cases[] = {
        {0, 3, "ok"},
        {1, 2, "ok"},
        {0, 1, NULL},
        {0, 2, "unable to get local issuer certificate"},
        {0, 0, "no root certificates"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct crypto_trust trust = trust_in(roots + cases[i].first, cases[i].count);
        enum err error = crypto_boring()->certificate(credential_der(&node), bucket, 2, &trust,
                                                      NOW_MS + 1, &got, &why);
        bool is_good = cases[i].why != NULL && strcmp(cases[i].why, "ok") == 0;
        cr_expect_eq(error, is_good ? ERR_OK : ERR_BAD_CERTIFICATE, "%zu: %s", i, why);
        cr_expect(cases[i].why == NULL || strcmp(why, cases[i].why) == 0, "%zu: %s", i, why);
    }
    struct crypto_trust trust = trust_in(roots, 1);
    (void)crypto_boring()->certificate(credential_der(&node), bucket + 1, 1, &trust, NOW_MS + 1,
                                       &got, &why);
    cr_expect_str_eq(why, "unable to get local issuer certificate");
    credential_free(&a);
    credential_free(&again);
    credential_free(&b);
    credential_free(&middle);
    credential_free(&node);
    credential_free(&cross);
}

/* ID-3: what is given back is the time in which the whole chain is valid. */
Test(crypto_boring, nobody_is_valid_for_longer_than_his_issuer)
{
    static struct credential ca, middle, node;
    static struct crypto_certificate got;
    const char *why = NULL;
    credential_root(&ca, CRYPTO_ED25519, "root");
    cr_assert_eq(issue_below(&ca, &middle, true, "middle"), ERR_OK); /* a day each way */
    struct slice root = credential_der(&ca);
    struct slice helper = credential_der(&middle);
    struct crypto_trust trust = trust_in(&root, 1);
    const struct {
        uint64_t from_ms, at_ms, not_before_ms, not_after_ms;
    } cases[] = {
        {NOW_MS - 1000, NOW_MS, NOW_MS - 1000, NOW_MS - 1000 + DAY_MS},
        {NOW_MS + 1000, NOW_MS + 2000, NOW_MS + 1000, NOW_MS + DAY_MS},
        {NOW_MS - DAY_MS - 1000, NOW_MS - 2000, NOW_MS - DAY_MS, NOW_MS - 1000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        credential_node(&node, &middle, CRYPTO_ED25519, 9, cases[i].from_ms);
        cr_assert_eq(crypto_boring()->certificate(credential_der(&node), &helper, 1, &trust,
                                                  cases[i].at_ms, &got, &why),
                     ERR_OK, "%s", why);
        cr_expect_eq(got.not_before_ms, cases[i].not_before_ms, "%zu", i);
        cr_expect_eq(got.not_after_ms, cases[i].not_after_ms, "%zu", i);
        credential_free(&node);
    }
    credential_free(&ca);
    credential_free(&middle);
}

/* 11.3.1, ID-4, EN-12 */
/* The issuers are found wherever they stand among the certificates of others; a chain has a longest
 * length. */
Test(crypto_boring, finds_issuers_in_a_full_bucket)
{
    enum { MOST = 5, BUCKET = 16 };
    static struct credential chain[MOST + 1], node, others[BUCKET];
    static struct crypto_certificate got;
    struct slice bucket[BUCKET + MOST];
    const char *why = NULL;
    credential_root(&chain[0], CRYPTO_ED25519, "level 0");
    struct slice root = credential_der(&chain[0]);
    struct crypto_trust trust = trust_in(&root, 1);
    for (size_t i = 0; i < BUCKET; i++) {
        credential_node(&others[i], &chain[0], CRYPTO_ED25519, (uint8_t)(100 + i), NOW_MS);
        bucket[i] = credential_der(&others[i]);
    }
    for (size_t levels = 1; levels <= MOST; levels++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "level %zu", levels);
        cr_assert_eq(issue_below(&chain[levels - 1], &chain[levels], true, name), ERR_OK);
        bucket[BUCKET + levels - 1] = credential_der(&chain[levels]);
        credential_node(&node, &chain[levels], CRYPTO_ED25519, 9, NOW_MS);
        enum err error = crypto_boring()->certificate(
            credential_der(&node), bucket, BUCKET + levels, &trust, NOW_MS + 1, &got, &why);
        cr_expect_eq(error == ERR_OK, levels <= 4, "%zu: %s", levels, why);
        error = crypto_boring()->certificate(credential_der(&node), bucket, BUCKET + levels - 1,
                                             &trust, NOW_MS + 1, &got, &why);
        cr_expect_eq(error, ERR_BAD_CERTIFICATE, "one is missing");
        credential_free(&node);
    }
    for (size_t i = 0; i < BUCKET; i++) {
        credential_free(&others[i]);
    }
    for (size_t i = 0; i <= MOST; i++) {
        credential_free(&chain[i]);
    }
}

/* An RSA key of any size, of which only the public half need be right. */
static size_t rsa_spki(unsigned bits, uint8_t *out, size_t cap)
{
    uint8_t modulus[1024] = {0};
    size_t bytes = (bits + 7) / 8;
    cr_assert_leq(bytes, sizeof(modulus));
    memset(modulus, 0xa5, bytes);
    modulus[0] = (uint8_t)(0xff >> (8 * bytes - bits));
    RSA *rsa = RSA_new();
    cr_assert_eq(
        RSA_set0_key(rsa, BN_bin2bn(modulus, bytes, NULL), BN_bin2bn(modulus, 1, NULL), NULL), 1);
    cr_assert_eq(BN_set_word((BIGNUM *)(uintptr_t)RSA_get0_e(rsa), 65537), 1);
    EVP_PKEY *key = EVP_PKEY_new();
    cr_assert_eq(EVP_PKEY_assign_RSA(key, rsa), 1);
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    cr_assert(len > 0 && (size_t)len <= cap);
    memcpy(out, der, (size_t)len);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return (size_t)len;
}

/* Keys that are too short prove nothing, keys that are too long cost too much. */
Test(crypto_boring, accepts_keys_of_some_sizes)
{
    static const struct {
        unsigned bits;
        bool is_good;
    } sizes[] = {{1024, false}, {2047, false}, {2048, true}, {3072, true},
                 {4096, true},  {4097, false}, {8192, false}};
    static struct credential ca, node;
    static struct crypto_certificate got;
    credential_root(&ca, CRYPTO_ED25519, "test CA");
    credential_node(&node, &ca, CRYPTO_ED25519, 7, NOW_MS);
    struct slice root = credential_der(&ca);
    struct crypto_trust trust = trust_in(&root, 1);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint8_t spki[2048], der[CRYPTO_BORING_CERTIFICATE_CAP];
        size_t len = 0;
        struct crypto_issue what = {.issuer_certificate = root,
                                    .issuer_key = ca.key,
                                    .public_key =
                                        slice_of(spki, rsa_spki(sizes[i].bits, spki, sizeof(spki))),
                                    .user = slice_text(node.user),
                                    .node_ids = (const uint8_t(*)[20]) & node.node_id,
                                    .node_id_count = 1,
                                    .node_id_length = 16,
                                    .overlay_name = OVERLAY,
                                    .not_before_ms = NOW_MS,
                                    .not_after_ms = NOW_MS + DAY_MS};
        cr_assert_eq(crypto_issue_certificate(&what, der, sizeof(der), &len), ERR_OK, "%u",
                     sizes[i].bits);
        enum err error = judge(slice_of(der, len), &trust, NOW_MS + 1, &got);
        cr_expect_eq(error, sizes[i].is_good ? ERR_OK : ERR_BAD_CERTIFICATE, "%u", sizes[i].bits);
    }
    credential_free(&ca);
    credential_free(&node);
}

/* ID-3: who is banned has no certificate, for links, messages and values alike. */
Test(crypto_boring, banned_nodes)
{
    static struct credential ca, node;
    static struct crypto_certificate got;
    uint8_t banned[2][20] = {{0}};
    credential_root(&ca, CRYPTO_ED25519, "test CA");
    credential_node(&node, &ca, CRYPTO_ED25519, 7, NOW_MS);
    struct slice root = credential_der(&ca);
    struct crypto_trust trust = trust_in(&root, 1);
    trust.bad_nodes = banned[0];
    trust.bad_node_count = 2;
    cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_OK);
    memcpy(banned[1], node.node_id, sizeof(banned[1]));
    cr_assert_eq(judge(credential_der(&node), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
    credential_free(&ca);
    credential_free(&node);
}

Test(crypto_boring, self_signed_node_ids_are_digests_of_the_key)
{
    for (int round = 0; round < 8; round++) {
        bool sha256 = (round & 1) != 0, several = (round & 2) != 0, thief = (round & 4) != 0;
        struct crypto_key *key = NULL;
        static uint8_t spki[CRYPTO_PUBLIC_KEY_CAP], ids[3][20], der[CRYPTO_BORING_CERTIFICATE_CAP];
        size_t spki_len = 0, len = 0, count = several ? 3 : 1;
        cr_assert_eq(crypto_boring_key_make(CRYPTO_ED25519, &key), ERR_OK);
        cr_assert_eq(crypto_boring_key_public(key, spki, sizeof(spki), &spki_len), ERR_OK);
        for (size_t i = 0; i < count; i++) {
            crypto_issue_self_node_id(slice_of(spki, spki_len), i, count, sha256, 16, ids[i]);
        }
        ids[count - 1][15] ^= thief ? 1 : 0;
        struct crypto_issue what = {.issuer_key = key,
                                    .user = SLICE_LITERAL("self@overlay.example.org"),
                                    .node_ids = (const uint8_t(*)[20])ids,
                                    .node_id_count = count,
                                    .node_id_length = 16,
                                    .overlay_name = OVERLAY,
                                    .not_before_ms = NOW_MS,
                                    .not_after_ms = NOW_MS + DAY_MS};
        cr_assert_eq(crypto_issue_certificate(&what, der, sizeof(der), &len), ERR_OK);
        struct crypto_trust trust = trust_in(NULL, 0);
        static struct crypto_certificate got;
        cr_assert_eq(judge(slice_of(der, len), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
        trust.self_signed_permitted = true;
        trust.self_signed_sha256 = sha256;
        cr_assert_eq(judge(slice_of(der, len), &trust, NOW_MS + 1, &got),
                     thief ? ERR_BAD_CERTIFICATE : ERR_OK);
        cr_assert_eq(got.node_id_count, count);
        cr_assert_eq(judge(slice_of(der, len), &trust, NOW_MS + 2 * DAY_MS, &got),
                     thief ? ERR_BAD_CERTIFICATE : ERR_EXPIRED);
        trust.self_signed_sha256 = !sha256;
        cr_assert_eq(judge(slice_of(der, len), &trust, NOW_MS + 1, &got), ERR_BAD_CERTIFICATE);
        crypto_boring_key_free(key);
    }
}

/* The simulator's certificates come out of a seed: an Ed25519 signature draws nothing. */
Test(crypto_boring, the_same_serial_is_the_same_certificate)
{
    static const uint8_t serial[CRYPTO_ISSUE_SERIAL_BYTES] = {0xff, 7};
    static struct credential ca;
    static uint8_t out[3][CRYPTO_BORING_CERTIFICATE_CAP];
    size_t len[3] = {0};
    credential_root(&ca, CRYPTO_ED25519, "a");
    for (size_t i = 0; i < 3; i++) {
        struct crypto_issue what = {.issuer_key = ca.key,
                                    .common_name = SLICE_LITERAL("a"),
                                    .not_before_ms = NOW_MS,
                                    .not_after_ms = NOW_MS + DAY_MS,
                                    .is_ca = true,
                                    .serial = i < 2 ? serial : NULL};
        cr_assert_eq(crypto_issue_certificate(&what, out[i], sizeof(out[i]), &len[i]), ERR_OK);
    }
    cr_assert(slice_is_equal(slice_of(out[0], len[0]), slice_of(out[1], len[1])));
    cr_assert_not(slice_is_equal(slice_of(out[0], len[0]), slice_of(out[2], len[2])));
    credential_free(&ca);
}

Test(crypto_boring, issuing_refuses_what_cannot_work)
{
    static struct credential ca, other;
    static uint8_t out[CRYPTO_BORING_CERTIFICATE_CAP];
    size_t len = 0;
    credential_root(&ca, CRYPTO_ED25519, "a");
    credential_root(&other, CRYPTO_ED25519, "b");
    struct crypto_issue what = {.issuer_certificate = credential_der(&ca),
                                .issuer_key = other.key,
                                .not_before_ms = NOW_MS,
                                .not_after_ms = NOW_MS + DAY_MS};
    cr_assert_eq(crypto_issue_certificate(&what, out, sizeof(out), &len), ERR_STATE);
    what.issuer_key = ca.key;
    what.issuer_certificate = slice_sub(credential_der(&ca), 0, 20);
    cr_assert_eq(crypto_issue_certificate(&what, out, sizeof(out), &len), ERR_MALFORMED);
    what.issuer_certificate = credential_der(&ca);
    what.public_key = SLICE_LITERAL("no key");
    cr_assert_eq(crypto_issue_certificate(&what, out, sizeof(out), &len), ERR_MALFORMED);
    what.public_key = SLICE_EMPTY;
    cr_assert_eq(crypto_issue_certificate(&what, out, 100, &len), ERR_TOO_LARGE);
    what.user = slice_of(out, CRYPTO_USER_CAP + 1);
    cr_assert_eq(crypto_issue_certificate(&what, out, sizeof(out), &len), ERR_TOO_LARGE);
    credential_free(&ca);
    credential_free(&other);
}

Test(crypto_boring, pem_holds_several_blocks)
{
    static uint8_t text[2048], out[64];
    size_t a = 0, b = 0, len = 0;
    cr_assert_eq(
        crypto_boring_pem_encode(SLICE_LITERAL("\x01\x02\x03"), "CERTIFICATE", text, 1024, &a),
        ERR_OK);
    cr_assert_eq(
        crypto_boring_pem_encode(SLICE_LITERAL("\x04\x05"), "CERTIFICATE", text + a, 1024, &b),
        ERR_OK);
    struct slice all_text = slice_of(text, a + b);
    cr_assert_eq(crypto_boring_pem_decode(all_text, "CERTIFICATE", 1, out, sizeof(out), &len),
                 ERR_OK);
    cr_assert(slice_is_equal(slice_of(out, len), SLICE_LITERAL("\x04\x05")));
    cr_assert_eq(crypto_boring_pem_decode(all_text, "CERTIFICATE", 2, out, sizeof(out), &len),
                 ERR_NOT_FOUND);
    cr_assert_eq(crypto_boring_pem_decode(all_text, "X", 0, out, sizeof(out), &len), ERR_NOT_FOUND);
    cr_assert_eq(crypto_boring_pem_decode(all_text, "CERTIFICATE", 0, out, 2, &len), ERR_TOO_LARGE);
    cr_assert_eq(crypto_boring_pem_decode(SLICE_EMPTY, "X", 0, out, sizeof(out), &len),
                 ERR_NOT_FOUND);
}

Test(crypto_boring, takes_the_key_of_any_certificate)
{
    static struct credential ca;
    uint8_t a[CRYPTO_PUBLIC_KEY_CAP], b[CRYPTO_PUBLIC_KEY_CAP];
    size_t a_len = 0, b_len = 0;
    enum crypto_algorithm algorithm = CRYPTO_ALGORITHM_NONE;
    credential_root(&ca, CRYPTO_ECDSA_SHA256, "root");
    cr_assert_eq(
        crypto_boring_certificate_key(credential_der(&ca), a, sizeof(a), &a_len, &algorithm),
        ERR_OK);
    cr_assert_eq(algorithm, CRYPTO_ECDSA_SHA256);
    cr_assert_eq(crypto_boring_key_public(ca.key, b, sizeof(b), &b_len), ERR_OK);
    cr_assert(slice_is_equal(slice_of(a, a_len), slice_of(b, b_len)));
    cr_assert_eq(
        crypto_boring_certificate_key(SLICE_LITERAL("0"), a, sizeof(a), &a_len, &algorithm),
        ERR_MALFORMED);
    credential_free(&ca);
}
