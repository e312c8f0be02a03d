/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/phone_digest.h"
#include "sip/ha1.h"
#include <stdio.h>

enum { TEXT_CAP = 512 };

bool phone_digest_choose(const struct sip_msg *response, struct sip_hdr_digest *out,
                         bool *is_sha256)
{
    bool is_proxy = response->status == 407;
    struct sip_msg_items it =
        sip_msg_items(response, is_proxy ? SIP_HDR_PROXY_AUTHENTICATE : SIP_HDR_WWW_AUTHENTICATE);
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
    char ha1[HA1_CAP];
    char ha2[HA1_CAP];
    char answer[HA1_CAP];
    uint8_t random[8];
    char cnonce[17];
    bool sha = false;
    bool is_proxy = response->status == 407;
    if (!phone_digest_choose(response, &challenge, &sha)) {
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
    ha1_hash(d->crypto, sha, slice_text(text), ha1);
    snprintf(text, sizeof(text), "%s:%s", d->method, d->uri);
    ha1_hash(d->crypto, sha, slice_text(text), ha2);
    snprintf(text, sizeof(text), "%s:%.*s:00000001:%s:auth:%s", ha1, nonce_len, nonce, cnonce, ha2);
    ha1_hash(d->crypto, sha, slice_text(text), answer);
    int len =
        snprintf(line, cap,
                 "%s: Digest username=\"%.*s\", realm=\"%.*s\", nonce=\"%.*s\", uri=\"%s\", "
                 "algorithm=%s, qop=auth, nc=00000001, cnonce=\"%s\", response=\"%s\"\r\n",
                 is_proxy ? "Proxy-Authorization" : "Authorization", user_len, d->user, realm_len,
                 realm, nonce_len, nonce, d->uri, sha ? "SHA-256" : "MD5", cnonce, answer);
    return len > 0 && (size_t)len < cap;
}
