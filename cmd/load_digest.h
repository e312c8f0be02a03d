/* SPDX-License-Identifier: Apache-2.0 */
/* load_digest.h - a phone's digest credentials, computed ahead and used again and again: one nonce,
 * a count that rises (RFC 7616 3.4, nonce-count).  Two hashes a request.
 *
 * Owner: a phone of the load generator. */
#pragma once
#include "codec/sip_msg.h"
#include "sip/ha1.h"

enum { LOAD_DIGEST_NONCE_CAP = 128, LOAD_DIGEST_LINE_CAP = 768 };

struct load_digest {
    bool is_known; /* a challenge has come */
    bool is_sha256;
    uint32_t count; /* of the nonce */
    char realm[CRYPTO_OVERLAY_CAP + 1];
    char nonce[LOAD_DIGEST_NONCE_CAP];
    char cnonce[9];
    char ha1[HA1_CAP];
};

/* Takes over the challenge of a 401 or 407, SHA-256 where it is offered.  False: there is none that
 * can be answered. */
bool load_digest_learn(struct load_digest *d, const struct crypto *crypto, const char *name,
                       const char *password, const struct sip_msg *response);
/* The whole (Proxy-)Authorization line with the next count; the length.  Not before a challenge. */
size_t load_digest_line(struct load_digest *d, const struct crypto *crypto, const char *name,
                        const char *method, const char *uri, char line[LOAD_DIGEST_LINE_CAP]);
