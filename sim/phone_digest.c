/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/phone_digest.h"
#include <stdio.h>

enum { HEX_CAP = 2 * CRYPTO_SHA256_BYTES + 1, TEXT_CAP = 512 };

static void hash_hex(const struct crypto *c, bool is_sha256, const char *text, char out[HEX_CAP])
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    size_t len = is_sha256 ? CRYPTO_SHA256_BYTES : CRYPTO_MD5_BYTES;
    if (is_sha256) {
        c->sha256(slice_text(text), digest);
    } else {
        c->md5(slice_text(text), digest);
    }
    for (size_t i = 0; i < len; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static bool choose(const struct sip_msg *m, enum sip_hdr_id id, struct sip_hdr_digest *out,
                   bool *is_sha256)
{
    struct sip_msg_items it = sip_msg_items(m, id);
    struct slice item;
    struct sip_hdr_digest d;
    bool found = false;
    *is_sha256 = false;
    while (!*is_sha256 && sip_msg_items_next(&it, &item) == ERR_OK) {
        if (sip_hdr_digest_decode(item, &d) != ERR_OK || !d.is_digest) {
            continue;
        }
        bool sha = slice_is_equal_nocase(d.algorithm, SLICE_LITERAL("SHA-256"));
        bool md5 = d.algorithm.len == 0 || slice_is_equal_nocase(d.algorithm, SLICE_LITERAL("MD5"));
        if (sha || (md5 && !found)) {
            *out = d;
            *is_sha256 = sha;
            found = true;
        }
    }
    return found;
}

bool phone_digest_answer(const struct phone_digest *d, const struct sip_msg *response, char *line,
                         size_t cap)
{
    struct sip_hdr_digest challenge;
    char text[TEXT_CAP];
    char ha1[HEX_CAP];
    char ha2[HEX_CAP];
    char answer[HEX_CAP];
    uint8_t random[8];
    char cnonce[17];
    bool sha = false;
    bool is_proxy = response->status == 407;
    if (!choose(response, is_proxy ? SIP_HDR_PROXY_AUTHENTICATE : SIP_HDR_WWW_AUTHENTICATE,
                &challenge, &sha)) {
        return false;
    }
    int user_len = (int)strcspn(d->user, "@");
    int realm_len = (int)challenge.realm.len;
    const char *realm = (const char *)challenge.realm.data;
    int nonce_len = (int)challenge.nonce.len;
    const char *nonce = (const char *)challenge.nonce.data;
    d->crypto->random(d->crypto, random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        snprintf(cnonce + 2 * i, 3, "%02x", random[i]);
    }
    snprintf(text, sizeof(text), "%.*s:%.*s:%s", user_len, d->user, realm_len, realm, d->password);
    hash_hex(d->crypto, sha, text, ha1);
    snprintf(text, sizeof(text), "%s:%s", d->method, d->uri);
    hash_hex(d->crypto, sha, text, ha2);
    snprintf(text, sizeof(text), "%s:%.*s:00000001:%s:auth:%s", ha1, nonce_len, nonce, cnonce, ha2);
    hash_hex(d->crypto, sha, text, answer);
    int len =
        snprintf(line, cap,
                 "%s: Digest username=\"%.*s\", realm=\"%.*s\", nonce=\"%.*s\", uri=\"%s\", "
                 "algorithm=%s, qop=auth, nc=00000001, cnonce=\"%s\", response=\"%s\"\r\n",
                 is_proxy ? "Proxy-Authorization" : "Authorization", user_len, d->user, realm_len,
                 realm, nonce_len, nonce, d->uri, sha ? "SHA-256" : "MD5", cnonce, answer);
    return len > 0 && (size_t)len < cap;
}
