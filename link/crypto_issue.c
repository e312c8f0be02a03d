/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_issue.c - small certificates, since they travel in messages: an empty subject, the names
 * in a (therefore critical) subjectAltName, and only the extensions that somebody asks for. */
#include "link/crypto_issue.h"

#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { X509_VERSION_3_VALUE = 2, KEY_ID_BYTES = 8, KEY_USAGE_SIGN = 0, KEY_USAGE_CERT = 5 };

static bool set_serial(X509 *made, const uint8_t *given)
{
    uint8_t bytes[CRYPTO_ISSUE_SERIAL_BYTES];
    if (given != NULL) {
        memcpy(bytes, given, sizeof(bytes));
    } else {
        RAND_bytes(bytes, sizeof(bytes));
    }
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and always of the same length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(made)) != NULL;
    BN_free(number);
    return good;
}

static bool set_dates(X509 *made, const struct crypto_issue *what)
{
    return ASN1_TIME_set(X509_getm_notBefore(made), (time_t)(what->not_before_ms / 1000)) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(made), (time_t)(what->not_after_ms / 1000)) != NULL;
}

static bool set_subject(X509 *made, const struct crypto_issue *what)
{
    X509_NAME *name = X509_NAME_new();
    bool good = name != NULL;
    if (good && what->common_name.len > 0) {
        good =
            X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, what->common_name.data,
                                       (int)what->common_name.len, -1, 0) == 1;
    }
    good = good && X509_set_subject_name(made, name) == 1;
    X509_NAME_free(name);
    return good;
}

static enum err set_public_key(X509 *made, const struct crypto_issue *what)
{
    bool good = false;
    if (what->public_key.len == 0) {
        good = X509_set_pubkey(made, crypto_boring_key_object(what->issuer_key)) == 1;
    } else {
        CBS der;
        CBS_init(&der, what->public_key.data, what->public_key.len);
        EVP_PKEY *key = EVP_parse_public_key(&der);
        good = key != NULL && CBS_len(&der) == 0 && X509_set_pubkey(made, key) == 1;
        EVP_PKEY_free(key);
    }
    return good ? ERR_OK : ERR_MALFORMED;
}

/* RFC 5280 4.2.1.1: names the issuer's key, which matters when a CA renews it. */
static bool add_authority_key(X509 *made, const X509 *issuer)
{
    ASN1_OCTET_STRING *id = X509_get_ext_d2i(issuer, NID_subject_key_identifier, NULL, NULL);
    if (id == NULL) {
        return true; /* an issuer without one: then the name has to do */
    }
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    if (authority == NULL) {
        ASN1_OCTET_STRING_free(id);
        return false;
    }
    authority->keyid = id;
    bool good = X509_add1_ext_i2d(made, NID_authority_key_identifier, authority, 0, 0) == 1;
    AUTHORITY_KEYID_free(authority);
    return good;
}

/* RFC 5280 4.2.1.2; any short number that is unique will do. */
static bool add_subject_key(X509 *made)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(made);
    crypto_boring()->sha256(slice_of(ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits)),
                            digest);
    bool good = id != NULL && ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) == 1 &&
                X509_add1_ext_i2d(made, NID_subject_key_identifier, id, 0, 0) == 1;
    ASN1_OCTET_STRING_free(id);
    return good;
}

static enum err set_issuer(X509 *made, const struct crypto_issue *what)
{
    if (what->issuer_certificate.len == 0) {
        return X509_set_issuer_name(made, X509_get_subject_name(made)) == 1 ? ERR_OK
                                                                            : ERR_NO_MEMORY;
    }
    const uint8_t *at = what->issuer_certificate.data;
    X509 *issuer = d2i_X509(NULL, &at, (long)what->issuer_certificate.len);
    enum err error = ERR_MALFORMED;
    if (issuer != NULL && X509_set_issuer_name(made, X509_get_subject_name(issuer)) == 1) {
        EVP_PKEY *key = crypto_boring_key_object(what->issuer_key);
        error = X509_check_private_key(issuer, key) == 1 ? ERR_OK : ERR_STATE;
        if (error == ERR_OK && !add_authority_key(made, issuer)) {
            error = ERR_NO_MEMORY;
        }
    }
    X509_free(issuer);
    return error;
}

/* Takes over `text`, which may be NULL. */
static bool push_name(GENERAL_NAMES *names, int type, ASN1_IA5STRING *text)
{
    GENERAL_NAME *name = text == NULL ? NULL : GENERAL_NAME_new();
    if (name == NULL) {
        ASN1_IA5STRING_free(text);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static ASN1_IA5STRING *make_text(const void *bytes, size_t len)
{
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    if (text != NULL && ASN1_STRING_set(text, bytes, (int)len) != 1) {
        ASN1_IA5STRING_free(text);
        return NULL;
    }
    return text;
}

/* reload://0110<hex>@overlay/ (14.15) */
static ASN1_IA5STRING *make_uri(const struct crypto_issue *what, const uint8_t *id)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t uri[9 + 4 + 40 + 1 + CRYPTO_OVERLAY_CAP + 1] = "reload://";
    size_t len = 9;
    uint8_t destination[22] = {1, what->node_id_length};
    memcpy(destination + 2, id, what->node_id_length);
    for (size_t i = 0; i < 2 + (size_t)what->node_id_length; i++) {
        uri[len++] = (uint8_t)digits[destination[i] >> 4];
        uri[len++] = (uint8_t)digits[destination[i] & 15];
    }
    uri[len++] = '@';
    memcpy(uri + len, what->overlay_name.data, what->overlay_name.len);
    len += what->overlay_name.len;
    uri[len++] = '/';
    return make_text(uri, len);
}

static bool add_names(X509 *made, const struct crypto_issue *what)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool good = names != NULL;
    for (size_t i = 0; good && i < what->node_id_count; i++) {
        good = push_name(names, GEN_URI, make_uri(what, what->node_ids[i]));
    }
    good = good && push_name(names, GEN_EMAIL, make_text(what->user.data, what->user.len));
    /* RFC 5280 4.2.1.6: critical where the subject is empty */
    good = good &&
           X509_add1_ext_i2d(made, NID_subject_alt_name, names, what->common_name.len == 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return good;
}

static bool add_constraints(X509 *made, bool is_ca)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool good = constraints != NULL && usage != NULL;
    if (good) {
        constraints->ca = is_ca ? 0xff : 0;
        good = X509_add1_ext_i2d(made, NID_basic_constraints, constraints, 1, 0) == 1 &&
               ASN1_BIT_STRING_set_bit(usage, KEY_USAGE_SIGN, 1) == 1 &&
               (!is_ca || ASN1_BIT_STRING_set_bit(usage, KEY_USAGE_CERT, 1) == 1) &&
               X509_add1_ext_i2d(made, NID_key_usage, usage, 1, 0) == 1;
    }
    BASIC_CONSTRAINTS_free(constraints);
    ASN1_BIT_STRING_free(usage);
    return good;
}

static bool sign_certificate(X509 *made, const struct crypto_key *key)
{
    bool is_ed25519 = crypto_boring()->key_algorithm(key) == CRYPTO_ED25519;
    return X509_sign(made, crypto_boring_key_object(key), is_ed25519 ? NULL : EVP_sha256()) > 0;
}

static enum err put_der(X509 *made, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t *bytes = NULL;
    int bytes_len = i2d_X509(made, &bytes);
    if (bytes_len <= 0) {
        return ERR_NO_MEMORY;
    }
    enum err error = (size_t)bytes_len > cap ? ERR_TOO_LARGE : ERR_OK;
    if (error == ERR_OK) {
        memcpy(out, bytes, (size_t)bytes_len);
        *len = (size_t)bytes_len;
    }
    OPENSSL_free(bytes);
    return error;
}

static enum err fill(X509 *made, const struct crypto_issue *what)
{
    if (X509_set_version(made, X509_VERSION_3_VALUE) != 1 || !set_serial(made, what->serial) ||
        !set_dates(made, what) || !set_subject(made, what)) {
        return ERR_MALFORMED;
    }
    enum err error = set_issuer(made, what);
    if (error == ERR_OK) {
        error = set_public_key(made, what);
    }
    if (error != ERR_OK) {
        return error;
    }
    bool good = add_constraints(made, what->is_ca) && (!what->is_ca || add_subject_key(made)) &&
                (what->user.len == 0 || add_names(made, what)) &&
                sign_certificate(made, what->issuer_key);
    return good ? ERR_OK : ERR_MALFORMED;
}

enum err crypto_issue_certificate(const struct crypto_issue *what, uint8_t *out, size_t cap,
                                  size_t *len)
{
    *len = 0;
    CHECK(what->issuer_key != NULL);
    CHECK(what->node_id_count == 0 || (what->node_id_length >= 16 && what->node_id_length <= 20));
    if (what->user.len > CRYPTO_USER_CAP || what->overlay_name.len > CRYPTO_OVERLAY_CAP ||
        what->node_id_count > CRYPTO_NODE_IDS_CAP || what->common_name.len > 64) {
        return ERR_TOO_LARGE;
    }
    X509 *made = X509_new();
    enum err error = made == NULL ? ERR_NO_MEMORY : fill(made, what);
    if (error == ERR_OK) {
        error = put_der(made, out, cap, len);
    }
    X509_free(made);
    ERR_clear_error();
    return error;
}

void crypto_issue_self_node_id(struct slice public_key, size_t index, size_t count, bool sha256,
                               uint8_t node_id_length, uint8_t out[20])
{
    CHECK(public_key.len <= CRYPTO_PUBLIC_KEY_CAP);
    CHECK(node_id_length >= 16 && node_id_length <= 20 && index < count);
    uint8_t input[4 + CRYPTO_PUBLIC_KEY_CAP] = {0, 0, 0, (uint8_t)(index + 1)};
    uint8_t digest[CRYPTO_SHA256_BYTES];
    memcpy(input + 4, public_key.data, public_key.len);
    size_t skip = count == 1 ? 4 : 0;
    struct slice bytes = slice_of(input + skip, 4 - skip + public_key.len);
    if (sha256) {
        crypto_boring()->sha256(bytes, digest);
    } else {
        crypto_boring()->sha1(bytes, digest);
    }
    memset(out, 0, 20);
    memcpy(out, digest, node_id_length);
}
