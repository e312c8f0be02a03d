/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/sip_cert.h"
#include "cmd/files.h"
#include "cmd/keystore.h"
#include "link/crypto_boring.h"
#include <stdio.h>
#include <stdlib.h>

bool sip_cert_is_wanted(const struct config *c)
{
    return c->sip.family != 0 && c->sip_tls_cert[0] != '\0';
}

static enum err read_chain(const char *path, struct sip_cert *out, char *why)
{
    struct slice text = SLICE_EMPTY;
    enum err e = files_read(path, &text, NULL);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot read sip-tls-cert: %s: %s", path,
                       e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    e = keystore_certificate(text, 0, &out->certificate);
    while (e == ERR_OK && out->intermediate_count < SIP_CERT_INTERMEDIATES_CAP &&
           keystore_certificate(text, out->intermediate_count + 1,
                                &out->intermediates[out->intermediate_count]) == ERR_OK) {
        out->intermediate_count++;
    }
    files_release(&text);
    return e == ERR_OK ? e
                       : say_why(why, ERR_MALFORMED,
                                 "no certificate in PEM: sip-tls-cert: %s: it wants the node's own "
                                 "first, then intermediates",
                                 path);
}

static enum err read_key(const char *path, struct sip_cert *out, char *why)
{
    struct slice text = SLICE_EMPTY;
    mode_t mode = 0;
    enum err e = files_read(path, &text, &mode);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot read sip-tls-key: %s: %s", path,
                       e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    if ((mode & 007) != 0) { /* a group of its own is what certificate tools use */
        e = say_why(why, ERR_FORBIDDEN,
                    "a private key that everybody can read (mode %04o): sip-tls-key: %s: chmod 600 "
                    "it",
                    (unsigned)mode, path);
    } else if (crypto_boring_key_load(text, &out->key) != ERR_OK) {
        e = say_why(
            why, ERR_MALFORMED,
            "no usable private key in PEM: sip-tls-key: %s: RSA of 2048 to 4096 bits, P-256, "
            "P-384 or Ed25519, not encrypted",
            path);
    }
    files_release(&text);
    return e;
}

/* RFC 5922 7: phones that look for our domain, or for the address that they dial, must find it. */
static bool is_named(const struct config *c, const char *domain, const struct crypto_sip *names)
{
    char text[ADDRESS_TEXT_CAP];
    const struct address *at[] = {&c->sip_advertise, &c->sip6_advertise};
    bool is_found = crypto_sip_boring_is_for(names, slice_text(domain));
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        if (at[i]->family != 0) {
            address_host_text(at[i], text);
            is_found = is_found || crypto_sip_boring_is_for(names, slice_text(text));
        }
    }
    return is_found;
}

static enum err judge(const struct config *c, const char *domain, uint64_t at_ms,
                      struct sip_cert *out, char *why)
{
    struct tls_boring *trial = NULL;
    if (crypto_sip_boring(out->certificate, &out->names) != ERR_OK) {
        return say_why(why, ERR_BAD_CERTIFICATE, "no certificate of X.509: sip-tls-cert: %s",
                       c->sip_tls_cert);
    }
    if (at_ms >= out->names.not_after_ms) {
        return say_why(why, ERR_EXPIRED, "the certificate has expired: sip-tls-cert: %s: renew it",
                       c->sip_tls_cert);
    }
    if (at_ms < out->names.not_before_ms) {
        return say_why(why, ERR_EXPIRED,
                       "the certificate is not valid yet: sip-tls-cert: %s: is the clock right?",
                       c->sip_tls_cert);
    }
    if (tls_boring_context_public(out->certificate, out->intermediates, out->intermediate_count,
                                  out->key, &trial) != ERR_OK) {
        return say_why(why, ERR_BAD_CERTIFICATE,
                       "the certificate is not that of the private key: sip-tls-cert: %s, "
                       "sip-tls-key: %s",
                       c->sip_tls_cert, c->sip_tls_key);
    }
    tls_boring_context_free(trial);
    out->is_for_domain = is_named(c, domain, &out->names);
    return ERR_OK;
}

enum err sip_cert_load(const struct config *c, const char *domain, uint64_t at_ms,
                       struct sip_cert *out, char *why)
{
    memset(out, 0, sizeof(*out));
    if (!sip_cert_is_wanted(c)) {
        return ERR_OK;
    }
    enum err e = read_chain(c->sip_tls_cert, out, why);
    if (e == ERR_OK) {
        e = read_key(c->sip_tls_key, out, why);
    }
    if (e == ERR_OK) {
        e = judge(c, domain, at_ms, out, why);
    }
    if (e != ERR_OK) {
        sip_cert_free(out);
    }
    return e;
}

void sip_cert_free(struct sip_cert *c)
{
    files_release(&c->certificate);
    for (size_t i = 0; i < c->intermediate_count; i++) {
        files_release(&c->intermediates[i]);
    }
    crypto_boring_key_free(c->key);
    memset(c, 0, sizeof(*c));
}

enum err sip_cert_context(const struct sip_cert *c, struct tls_boring **out, char *why)
{
    enum err e = tls_boring_context_public(c->certificate, c->intermediates, c->intermediate_count,
                                           c->key, out);
    return e == ERR_OK ? e : say_why(why, e, "cannot set up TLS for phones: %s", err_text(e));
}

void sip_cert_names(const struct sip_cert *c, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t at = 0; at < c->names.names_len; at += strlen(c->names.names + at) + 1) {
        int more =
            snprintf(out + len, cap - len, "%s%s", len == 0 ? "" : ", ", c->names.names + at);
        if (more < 0 || (size_t)more >= cap - len) {
            out[len] = '\0';
            return;
        }
        len += (size_t)more;
    }
}
