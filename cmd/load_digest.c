/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_digest.h"
#include "codec/ids.h"
#include <stdio.h>

enum { TEXT_CAP = 640 };

static void hash_hex(const struct crypto *c, bool is_sha256, const char *text, char *out)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    if (is_sha256) {
        c->sha256(slice_text(text), digest);
    } else {
        c->md5(slice_text(text), digest);
    }
    ids_hex(slice_of(digest, is_sha256 ? CRYPTO_SHA256_BYTES : CRYPTO_MD5_BYTES), out);
}

static bool keep(char *out, size_t cap, struct slice s)
{
    if (s.len >= cap || memchr(s.data, '\0', s.len) != NULL) {
        return false;
    }
    memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    return true;
}

/* The best challenge of the response. */
static bool choose(const struct sip_msg *m, struct sip_hdr_digest *best, bool *is_sha256)
{
    enum sip_hdr_id id = m->status == 407 ? SIP_HDR_PROXY_AUTHENTICATE : SIP_HDR_WWW_AUTHENTICATE;
    bool found = false;
    *is_sha256 = false;
    for (unsigned next = m->first[id]; next != 0; next = m->headers[next - 1].next) {
        struct sip_hdr_digest d;
        if (sip_hdr_digest_decode(sip_msg_value(m, next - 1), &d) != ERR_OK || !d.is_digest) {
            continue;
        }
        bool sha = slice_is_equal_nocase(d.algorithm, SLICE_LITERAL("SHA-256"));
        bool md5 = d.algorithm.len == 0 || slice_is_equal_nocase(d.algorithm, SLICE_LITERAL("MD5"));
        if (sha || (md5 && !found)) {
            *best = d;
            *is_sha256 = sha;
            found = true;
        }
    }
    return found;
}

bool load_digest_learn(struct load_digest *d, const struct crypto *crypto, const char *name,
                       const char *password, const struct sip_msg *response)
{
    struct sip_hdr_digest challenge;
    char text[TEXT_CAP];
    uint8_t random[4];
    d->is_known = false;
    if (!choose(response, &challenge, &d->is_sha256) ||
        !keep(d->realm, sizeof(d->realm), challenge.realm) ||
        !keep(d->nonce, sizeof(d->nonce), challenge.nonce)) {
        return false;
    }
    crypto->random(crypto, random, sizeof(random));
    ids_hex(slice_of(random, sizeof(random)), d->cnonce);
    int len = snprintf(text, sizeof(text), "%s:%s:%s", name, d->realm, password);
    hash_hex(crypto, d->is_sha256, text, d->ha1);
    d->count = 0;
    d->is_known = len > 0 && (size_t)len < sizeof(text);
    return d->is_known;
}

size_t load_digest_line(struct load_digest *d, const struct crypto *crypto, const char *name,
                        const char *method, const char *uri, char line[LOAD_DIGEST_LINE_CAP])
{
    char text[TEXT_CAP];
    char ha2[2 * CRYPTO_SHA256_BYTES + 1];
    char answer[2 * CRYPTO_SHA256_BYTES + 1];
    CHECK(d->is_known);
    d->count++;
    (void)snprintf(text, sizeof(text), "%s:%s", method, uri);
    hash_hex(crypto, d->is_sha256, text, ha2);
    (void)snprintf(text, sizeof(text), "%s:%s:%08x:%s:auth:%s", d->ha1, d->nonce, d->count,
                   d->cnonce, ha2);
    hash_hex(crypto, d->is_sha256, text, answer);
    bool is_register = strcmp(method, "REGISTER") == 0;
    int len =
        snprintf(line, LOAD_DIGEST_LINE_CAP,
                 "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", "
                 "algorithm=%s, qop=auth, nc=%08x, cnonce=\"%s\", response=\"%s\"\r\n",
                 is_register ? "Authorization" : "Proxy-Authorization", name, d->realm, d->nonce,
                 uri, d->is_sha256 ? "SHA-256" : "MD5", d->count, d->cnonce, answer);
    CHECK(len > 0);
    return min_size((size_t)len, LOAD_DIGEST_LINE_CAP - 1);
}
