/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_sip_boring.c - see crypto_sip_boring.h. */
#include "link/crypto_sip_boring.h"
#include "core/address.h"
#include "link/crypto_names_boring.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { SCHEME_LEN = 4 /* "sip:" */, V4_BYTES = 4, V6_BYTES = 16 };

/* A text with an embedded NUL or a control character in it would fool whoever prints it. */
static bool is_clean(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

static void add(struct crypto_sip *out, struct slice name)
{
    if (!is_clean(name) || name.len + 1 > sizeof(out->names) - out->names_len) {
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        out->names[out->names_len++] = (char)slice_lower(name.data[i]);
    }
    out->names[out->names_len++] = 0;
}

/* The hostpart of a sip URI without a user. */
static bool read_uri(struct slice uri, struct slice *host)
{
    size_t end = SCHEME_LEN;
    if (!slice_is_equal_nocase(slice_sub(uri, 0, SCHEME_LEN), SLICE_LITERAL("sip:")) ||
        memchr(uri.data, '@', uri.len) != NULL) {
        return false;
    }
    bool is_reference = end < uri.len && uri.data[end] == '[';
    while (end < uri.len && uri.data[end] != ';' && uri.data[end] != '?' &&
           (is_reference || uri.data[end] != ':')) {
        is_reference = is_reference && uri.data[end] != ']';
        end++;
    }
    *host = slice_between(uri, SCHEME_LEN, end);
    return true;
}

/* An iPAddress entry is none of RFC 5922's, but phones that dial an address look for it. */
static void add_ip(struct crypto_sip *out, struct slice ip)
{
    char text[ADDRESS_TEXT_CAP];
    struct address a = {.family = ip.len == V4_BYTES ? 4 : 6};
    if (ip.len == V4_BYTES || ip.len == V6_BYTES) {
        memcpy(a.ip, ip.data, ip.len);
        address_host_text(&a, text);
        add(out, slice_text(text));
    }
}

static void read_names(const GENERAL_NAMES *names, struct crypto_sip *out)
{
    for (size_t i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct slice host;
        if (name->type == GEN_URI) {
            const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
            if (read_uri(slice_of(uri->data, (size_t)uri->length), &host)) {
                out->has_sip_uri = true;
                add(out, host);
            }
        }
    }
    for (size_t i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS && !out->has_sip_uri) {
            add(out, slice_of(name->d.dNSName->data, (size_t)name->d.dNSName->length));
        } else if (name->type == GEN_IPADD) {
            add_ip(out, slice_of(name->d.iPAddress->data, (size_t)name->d.iPAddress->length));
        }
    }
}

/* Where there is no subjectAltName at all (7.1 rule 2). */
static void read_common_name(const X509 *x, struct crypto_sip *out)
{
    char text[256];
    int len =
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof(text));
    if (len > 0 && (size_t)len < sizeof(text)) {
        add(out, slice_of(text, (size_t)len));
    }
}

enum err crypto_sip_boring(struct slice der, struct crypto_sip *out)
{
    const uint8_t *at = der.data;
    memset(out, 0, sizeof(*out));
    X509 *x = der.len > INT32_MAX ? NULL : d2i_X509(NULL, &at, (long)der.len);
    bool good = x != NULL && at == der.data + der.len &&
                crypto_names_boring_period(x, &out->not_before_ms, &out->not_after_ms);
    if (good) {
        int critical = 0;
        GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
        if (names != NULL) {
            read_names(names, out);
            GENERAL_NAMES_free(names);
        } else if (critical == -1) { /* absent, not broken */
            read_common_name(x, out);
        }
    }
    X509_free(x);
    ERR_clear_error();
    return good ? ERR_OK : ERR_BAD_CERTIFICATE;
}

bool crypto_sip_boring_is_for(const struct crypto_sip *c, struct slice host)
{
    for (size_t at = 0; at < c->names_len; at += strlen(c->names + at) + 1) {
        if (slice_is_equal_nocase(slice_text(c->names + at), host)) {
            return true;
        }
    }
    return false;
}
