/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_digest.h"
#include "codec/ids.h"
#include "sim/phone_digest.h"
#include <stdio.h>

enum { TEXT_CAP = 640 };

static bool keep(char *out, size_t cap, struct slice s)
{
    if (s.len >= cap || memchr(s.data, '\0', s.len) != NULL) {
        return false;
    }
    memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    return true;
}

bool load_digest_learn(struct load_digest *d, const struct crypto *crypto, const char *name,
                       const char *password, const struct sip_msg *response)
{
    struct sip_hdr_digest challenge;
    char text[TEXT_CAP];
    uint8_t random[4];
    d->is_known = false;
    if (!phone_digest_choose(response, &challenge, &d->is_sha256) ||
        !keep(d->realm, sizeof(d->realm), challenge.realm) ||
        !keep(d->nonce, sizeof(d->nonce), challenge.nonce)) {
        return false;
    }
    crypto->random(crypto, random, sizeof(random));
    ids_hex(slice_of(random, sizeof(random)), d->cnonce);
    int len = snprintf(text, sizeof(text), "%s:%s:%s", name, d->realm, password);
    ha1_hash(crypto, d->is_sha256, slice_text(text), d->ha1);
    d->count = 0;
    d->is_known = len > 0 && (size_t)len < sizeof(text);
    return d->is_known;
}

size_t load_digest_line(struct load_digest *d, const struct crypto *crypto, const char *name,
                        const char *method, const char *uri, char line[LOAD_DIGEST_LINE_CAP])
{
    char text[TEXT_CAP];
    char ha2[HA1_CAP];
    char answer[HA1_CAP];
    CHECK(d->is_known);
    d->count++;
    (void)snprintf(text, sizeof(text), "%s:%s", method, uri);
    ha1_hash(crypto, d->is_sha256, slice_text(text), ha2);
    (void)snprintf(text, sizeof(text), "%s:%s:%08x:%s:auth:%s", d->ha1, d->nonce, d->count,
                   d->cnonce, ha2);
    ha1_hash(crypto, d->is_sha256, slice_text(text), answer);
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
