/* SPDX-License-Identifier: Apache-2.0 */
/* stun_auth.c - see stun_auth.h. */
#include "link/stun_auth.h"

STATIC_CHECK((int)STUN_SHA1_BYTES == (int)CRYPTO_SHA1_BYTES);
STATIC_CHECK((int)STUN_SHA256_BYTES == (int)CRYPTO_SHA256_BYTES);

/* Looks at every byte whatever it finds, so that the time it takes tells nothing about how much of
 * a guess was right. */
static bool is_same_mac(struct slice a, const uint8_t *b)
{
    uint8_t differences = 0;
    for (size_t i = 0; i < a.len; i++) {
        differences |= a.data[i] ^ b[i];
    }
    return differences == 0;
}

enum stun_auth_use stun_auth_answer(const struct stun *request)
{
    if (stun_has(request, STUN_HAS_MESSAGE_INTEGRITY_SHA256)) {
        return STUN_AUTH_SHA256;
    }
    return stun_has(request, STUN_HAS_MESSAGE_INTEGRITY) ? STUN_AUTH_SHA1 : STUN_AUTH_NONE;
}

enum err stun_auth_check(const struct crypto *c, const struct stun *m, struct slice key,
                         enum stun_auth_use accepted)
{
    uint8_t input[STUN_AUTH_INPUT_CAP];
    uint8_t expected[CRYPTO_SHA256_BYTES];
    enum stun_auth_use use = stun_auth_answer(m);
    if (use == STUN_AUTH_NONE) {
        return ERR_UNAUTHENTICATED;
    }
    if ((use & accepted) == 0) {
        return ERR_UNSUPPORTED;
    }
    bool is_sha1 = use == STUN_AUTH_SHA1;
    struct wr w = wr_init(input, sizeof(input));
    stun_wr_integrity_input(
        &w, m, is_sha1 ? STUN_ATTR_MESSAGE_INTEGRITY : STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
    if (!wr_ok(&w)) {
        return ERR_TOO_LARGE;
    }
    if (is_sha1) {
        c->hmac_sha1(key, wr_slice(&w), expected);
    } else {
        c->hmac_sha256(key, wr_slice(&w), expected);
    }
    struct slice got = is_sha1 ? m->message_integrity : m->message_integrity_sha256;
    bool is_whole = is_sha1 || got.len == STUN_SHA256_BYTES;
    return is_whole && is_same_mac(got, expected) ? ERR_OK : ERR_BAD_SIGNATURE;
}

void stun_auth_seal(const struct crypto *c, struct wr *w, size_t start, struct slice key,
                    enum stun_auth_use use)
{
    struct slice input;
    uint8_t *mac = NULL;
    if ((use & STUN_AUTH_SHA1) != 0) {
        mac = stun_wr_integrity(w, start, STUN_ATTR_MESSAGE_INTEGRITY, &input);
        if (mac != NULL) {
            c->hmac_sha1(key, input, mac);
        }
    }
    if ((use & STUN_AUTH_SHA256) != 0) {
        mac = stun_wr_integrity(w, start, STUN_ATTR_MESSAGE_INTEGRITY_SHA256, &input);
        if (mac != NULL) {
            c->hmac_sha256(key, input, mac);
        }
    }
    stun_wr_fingerprint(w, start);
}
