/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/ha1.h"
#include "codec/ids.h"

void ha1_hash(const struct crypto *c, bool is_sha256, struct slice text, char *hex)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    if (is_sha256) {
        c->sha256(text, hash);
    } else {
        c->md5(text, hash);
    }
    ids_hex(slice_of(hash, is_sha256 ? CRYPTO_SHA256_BYTES : CRYPTO_MD5_BYTES), hex);
}
