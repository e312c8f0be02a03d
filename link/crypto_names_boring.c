/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_names_boring.c - what a certificate says about its owner.
 *
 * The subject is not looked at: 11.3 wants it empty, but CAs in the wild fill it, and nothing here
 * relies on it. */
#include "link/crypto_names_boring.h"

#include <openssl/asn1.h>
#include <openssl/x509v3.h>

/* Milliseconds since 1970; what lies before is 0.  False when it is no time. */
static bool read_time(const ASN1_TIME *from, uint64_t *out)
{
    int days = 0;
    int seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool good = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, from) == 1;
    ASN1_TIME_free(epoch);
    int64_t total_s = (int64_t)days * 86400 + seconds;
    *out = total_s < 0 ? 0 : (uint64_t)total_s * 1000;
    return good;
}

static bool read_user(const ASN1_IA5STRING *from, struct crypto_certificate *out)
{
    struct slice user = slice_of(from->data, (size_t)from->length);
    if (user.len == 0 || user.len > CRYPTO_USER_CAP) {
        return false;
    }
    for (size_t i = 0; i < user.len; i++) {
        if (user.data[i] <= ' ' || user.data[i] >= 0x7f) {
            return false; /* an embedded NUL or a newline would fool whoever prints or compares */
        }
    }
    memcpy(out->user, user.data, user.len);
    out->user_len = (uint16_t)user.len;
    return true;
}

static bool read_hex(struct slice text, uint8_t *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = slice_lower(text.data[i]);
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        uint8_t value = (uint8_t)(digit ? c - '0' : c - 'a' + 10);
        out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
    }
    return text.len % 2 == 0;
}

static bool is_filled_with(const uint8_t *bytes, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

/* reload://01LL<hex>@overlay/ with exactly one node Destination (14.15).  A missing slash at the
 * end is forgiven. */
static bool read_node_id(const ASN1_IA5STRING *from, const struct crypto_trust *trust,
                         struct crypto_certificate *out)
{
    static const struct slice scheme = SLICE_LITERAL("reload://");
    struct slice uri = slice_of(from->data, (size_t)from->length);
    size_t hex_len = 4 + 2 * (size_t)trust->node_id_length;
    uint8_t destination[2 + 20];
    if (uri.len > 0 && uri.data[uri.len - 1] == '/') {
        uri.len--;
    }
    if (uri.len != scheme.len + hex_len + 1 + trust->overlay_name.len ||
        !slice_is_equal_nocase(slice_sub(uri, 0, scheme.len), scheme) ||
        !read_hex(slice_sub(uri, scheme.len, hex_len), destination) ||
        uri.data[scheme.len + hex_len] != '@' ||
        !slice_is_equal(slice_from(uri, scheme.len + hex_len + 1), trust->overlay_name)) {
        return false;
    }
    const uint8_t *id = destination + 2;
    if (destination[0] != 1 || destination[1] != trust->node_id_length ||
        is_filled_with(id, trust->node_id_length, 0) ||
        is_filled_with(id, trust->node_id_length, 0xff)) {
        return false; /* all zeros and all ones are nobody's Node-ID (6.3.1) */
    }
    memcpy(out->node_ids[out->node_id_count], id, trust->node_id_length);
    out->node_id_count++;
    return true;
}

static const char *read_name(const GENERAL_NAME *name, const struct crypto_trust *trust,
                             struct crypto_certificate *out)
{
    if (name->type == GEN_EMAIL) {
        if (out->user_len > 0) {
            return "more than one rfc822Name";
        }
        return read_user(name->d.rfc822Name, out) ? NULL : "unacceptable rfc822Name";
    }
    if (name->type == GEN_URI) {
        if (out->node_id_count == CRYPTO_NODE_IDS_CAP) {
            return "too many Node-IDs";
        }
        return read_node_id(name->d.uniformResourceIdentifier, trust, out)
                   ? NULL
                   : "a URI is no reload URI of this overlay";
    }
    return "a name of another type";
}

static bool is_bad_node(const struct crypto_certificate *c, const struct crypto_trust *trust)
{
    for (size_t i = 0; i < trust->bad_node_count; i++) {
        for (size_t k = 0; k < c->node_id_count; k++) {
            if (memcmp(trust->bad_nodes + 20 * i, c->node_ids[k], sizeof(c->node_ids[k])) == 0) {
                return true;
            }
        }
    }
    return false;
}

bool crypto_names_boring_period(const X509 *certificate, uint64_t *not_before_ms,
                                uint64_t *not_after_ms)
{
    return read_time(X509_get0_notBefore(certificate), not_before_ms) &&
           read_time(X509_get0_notAfter(certificate), not_after_ms);
}

enum err crypto_names_boring(X509 *certificate, const struct crypto_trust *trust,
                             struct crypto_certificate *out, const char **why)
{
    CHECK(trust->node_id_length >= 16 && trust->node_id_length <= 20);
    if (!crypto_names_boring_period(certificate, &out->not_before_ms, &out->not_after_ms)) {
        *why = "no validity period";
        return ERR_BAD_CERTIFICATE;
    }
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    if (names == NULL) {
        *why = "no subjectAltName";
        return ERR_BAD_CERTIFICATE;
    }
    out->node_id_length = trust->node_id_length;
    const char *wrong = NULL;
    for (size_t i = 0; wrong == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        wrong = read_name(sk_GENERAL_NAME_value(names, i), trust, out);
    }
    GENERAL_NAMES_free(names);
    if (wrong == NULL && out->user_len == 0) {
        wrong = "no rfc822Name";
    }
    if (wrong == NULL && out->node_id_count == 0) {
        wrong = "no Node-ID";
    }
    if (wrong == NULL && is_bad_node(out, trust)) {
        wrong = "the overlay has banned its Node-ID";
    }
    *why = wrong;
    return wrong == NULL ? ERR_OK : ERR_BAD_CERTIFICATE;
}
