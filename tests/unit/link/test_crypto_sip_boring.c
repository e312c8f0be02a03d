/* SPDX-License-Identifier: Apache-2.0 */
/* SIP domain identities of certificates (RFC 5922 7.1, 7.2); the certificates are made with
 * BoringSSL's own builder. */
#include "link/crypto_sip_boring.h"
#include <criterion/criterion.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

/* A self-signed certificate, valid for a day around now, with this subjectAltName (NULL = none). */
static size_t make(const char *names, const char *common_name, uint8_t **der)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    X509 *x = X509_new();
    cr_assert(EC_KEY_generate_key(ec) == 1 && EVP_PKEY_set1_EC_KEY(key, ec) == 1);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *)common_name, -1, -1, 0);
    if (names != NULL) {
        X509_EXTENSION *e =
            X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name, (char *)(uintptr_t)names);
        cr_assert_not_null(e, "%s", names);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    cr_assert(X509_sign(x, key, EVP_sha256()) > 0);
    *der = NULL;
    int len = i2d_X509(x, der);
    cr_assert_gt(len, 0);
    X509_free(x);
    EVP_PKEY_free(key);
    EC_KEY_free(ec);
    return (size_t)len;
}

static struct crypto_sip read_names(const char *names)
{
    uint8_t *der = NULL;
    struct crypto_sip c;
    size_t len = make(names, "common.example", &der);
    cr_assert_eq(crypto_sip_boring(slice_of(der, len), &c), ERR_OK);
    cr_assert_eq(c.not_after_ms - c.not_before_ms, UINT64_C(90000000));
    OPENSSL_free(der);
    return c;
}

static bool is_for(const struct crypto_sip *c, const char *host)
{
    return crypto_sip_boring_is_for(c, slice_text(host));
}

Test(crypto_sip, a_sip_uri_rules_out_dns_names)
{
    struct crypto_sip c = read_names("URI:sip:Example.COM,DNS:other.example,URI:sips:no.example,"
                                     "URI:sip:alice@user.example,URI:https://web.example");
    cr_assert(c.has_sip_uri);
    cr_assert(is_for(&c, "example.com") && is_for(&c, "EXAMPLE.com"));
    cr_assert_not(is_for(&c, "other.example"));
    cr_assert_not(is_for(&c, "user.example"));
    cr_assert_not(is_for(&c, "no.example"));
    cr_assert_not(is_for(&c, "web.example"));
    cr_assert_not(is_for(&c, "common.example"));
}

Test(crypto_sip, dns_names_and_addresses)
{
    struct crypto_sip c = read_names("DNS:a.example,DNS:*.b.example,IP:192.0.2.1,IP:2001:db8::1");
    cr_assert_not(c.has_sip_uri);
    cr_assert(is_for(&c, "a.example"));
    cr_assert_not(is_for(&c, "x.b.example")); /* no wildcards (7.2) */
    cr_assert(is_for(&c, "192.0.2.1"));
    cr_assert(is_for(&c, "2001:db8::1"));
    cr_assert_not(is_for(&c, "common.example"));
    cr_assert_not(is_for(&c, ""));
}

Test(crypto_sip, a_uri_with_port_and_parameters)
{
    struct crypto_sip c = read_names("URI:sip:a.example:5061;transport=tls");
    cr_assert(is_for(&c, "a.example"));
    cr_assert_not(is_for(&c, "a.example:5061"));
    c = read_names("URI:sip:[2001:db8::2]:5061");
    cr_assert(is_for(&c, "[2001:db8::2]"));
}

Test(crypto_sip, the_common_name_only_where_there_is_nothing_else)
{
    struct crypto_sip c = read_names(NULL);
    cr_assert(is_for(&c, "common.example"));
    c = read_names("email:a@b.example");
    cr_assert_eq(c.names_len, 0);
}

Test(crypto_sip, what_is_no_certificate)
{
    struct crypto_sip c;
    uint8_t *der = NULL;
    size_t len = make("DNS:a.example", "x", &der);
    cr_assert_eq(crypto_sip_boring(slice_of(der, len - 1), &c), ERR_BAD_CERTIFICATE);
    cr_assert_eq(crypto_sip_boring(SLICE_EMPTY, &c), ERR_BAD_CERTIFICATE);
    cr_assert_eq(crypto_sip_boring(SLICE_LITERAL("nonsense"), &c), ERR_BAD_CERTIFICATE);
    OPENSSL_free(der);
}
