/* SPDX-License-Identifier: Apache-2.0 */
/* Chains judged for a domain: right ones, and each thing that can be wrong with one.  Certificates
 * are made with BoringSSL's own builder. */
#include "link/crypto_roots_boring.h"
#include <criterion/criterion.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

/* A certificate and its key. */
struct made {
    X509 *x;
    EVP_PKEY *key;
    uint8_t *der;
    size_t len;
};

static void extend(X509 *x, int nid, const char *value)
{
    if (value != NULL) {
        X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, NULL, nid, (char *)(uintptr_t)value);
        cr_assert_not_null(e, "%s", value);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
}

/* Signed by `by`, or by itself; `usage` is that of extendedKeyUsage. */
static struct made make(const char *name, const struct made *by, bool is_authority,
                        const char *names, const char *usage)
{
    struct made m = {.x = X509_new(), .key = EVP_PKEY_new()};
    static long serial = 1;
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    cr_assert(EC_KEY_generate_key(ec) == 1 && EVP_PKEY_set1_EC_KEY(m.key, ec) == 1);
    EC_KEY_free(ec);
    X509_set_version(m.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m.x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(m.x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(m.x), 86400);
    X509_set_pubkey(m.x, m.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(m.x), "CN", MBSTRING_ASC,
                               (const uint8_t *)name, -1, -1, 0);
    X509_set_issuer_name(m.x, X509_get_subject_name(by == NULL ? m.x : by->x));
    extend(m.x, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    extend(m.x, NID_subject_alt_name, names);
    extend(m.x, NID_ext_key_usage, usage);
    cr_assert(X509_sign(m.x, by == NULL ? m.key : by->key, EVP_sha256()) > 0);
    int len = i2d_X509(m.x, &m.der);
    cr_assert_gt(len, 0);
    m.len = (size_t)len;
    return m;
}

static void drop(struct made *m)
{
    X509_free(m->x);
    EVP_PKEY_free(m->key);
    OPENSSL_free(m->der);
}

static struct crypto_roots *load(const struct made *authority)
{
    struct crypto_roots *roots = NULL;
    const uint8_t *text = NULL;
    size_t len = 0, count = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    cr_assert_eq(PEM_write_bio_X509(bio, authority->x), 1);
    cr_assert_eq(BIO_mem_contents(bio, &text, &len), 1);
    cr_assert_eq(crypto_roots_boring_load(slice_of(text, len), &roots, &count), ERR_OK);
    cr_expect_eq(count, 1);
    BIO_free(bio);
    return roots;
}

static enum err judge(struct crypto_roots *roots, const struct made *leaf,
                      const struct made *between, const char *domain, int64_t later_s)
{
    struct slice chain[2] = {slice_of(leaf->der, leaf->len)};
    if (between != NULL) {
        chain[1] = slice_of(between->der, between->len);
    }
    return crypto_roots_boring_judge(roots, chain, between == NULL ? 1 : 2, slice_text(domain),
                                     (uint64_t)((int64_t)time(NULL) + later_s) * 1000);
}

Test(crypto_roots, chains)
{
    struct made root = make("root", NULL, true, NULL, NULL);
    struct made other = make("other", NULL, true, NULL, NULL);
    struct made between = make("between", &root, true, NULL, NULL);
    struct made leaf = make("leaf", &between, false, "URI:sip:example.net", "serverAuth");
    struct made direct = make("direct", &root, false, "DNS:example.net", NULL);
    struct made client = make("client", &root, false, "DNS:example.net", "clientAuth");
    struct made strange = make("strange", &other, false, "DNS:example.net", NULL);
    struct made by_leaf = make("by leaf", &direct, false, "DNS:example.net", NULL);
    struct crypto_roots *roots = load(&root);
    cr_expect_eq(judge(roots, &leaf, &between, "example.net", 0), ERR_OK);
    cr_expect_eq(judge(roots, &direct, NULL, "Example.NET", 0), ERR_OK);
    cr_expect_eq(judge(roots, &direct, NULL, "a.example.net", 0), ERR_FORBIDDEN);
    cr_expect_eq(judge(roots, &leaf, NULL, "example.net", 0), ERR_BAD_CERTIFICATE);
    cr_expect_eq(judge(roots, &client, NULL, "example.net", 0), ERR_BAD_CERTIFICATE);
    cr_expect_eq(judge(roots, &strange, NULL, "example.net", 0), ERR_BAD_CERTIFICATE);
    cr_expect_eq(judge(roots, &strange, &other, "example.net", 0), ERR_BAD_CERTIFICATE);
    cr_expect_eq(judge(roots, &by_leaf, &direct, "example.net", 0), ERR_BAD_CERTIFICATE);
    cr_expect_eq(judge(roots, &direct, NULL, "example.net", 2 * 86400), ERR_BAD_CERTIFICATE);
    cr_expect_eq(judge(roots, &direct, NULL, "example.net", -86400), ERR_BAD_CERTIFICATE);
    struct slice garbage = SLICE_LITERAL("0 is no certificate");
    cr_expect_eq(crypto_roots_boring_judge(roots, &garbage, 1, SLICE_LITERAL("example.net"), 0),
                 ERR_BAD_CERTIFICATE);
    cr_expect_eq(crypto_roots_boring_judge(roots, NULL, 0, SLICE_LITERAL("example.net"), 0),
                 ERR_BAD_CERTIFICATE);
    crypto_roots_boring_free(roots);
    struct made *all[] = {&root, &other, &between, &leaf, &direct, &client, &strange, &by_leaf};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        drop(all[i]);
    }
}

Test(crypto_roots, files)
{
    struct crypto_roots *roots = NULL;
    size_t count = 0;
    cr_expect_eq(crypto_roots_boring_load(SLICE_LITERAL("no certificate\n"), &roots, &count),
                 ERR_NOT_FOUND);
    cr_expect_null(roots);
    cr_expect_eq(crypto_roots_boring_load(SLICE_LITERAL("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                                        "-----END CERTIFICATE-----\n"),
                                          &roots, &count),
                 ERR_MALFORMED);
    cr_expect_null(roots);
}
