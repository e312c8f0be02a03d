/* SPDX-License-Identifier: Apache-2.0 */
/* phone_digest.h - the client's side of digest authentication (RFC 7616), for phones of ours. */
#pragma once
#include "codec/sip_msg.h"
#include "core/crypto.h"

struct phone_digest {
    const struct crypto *crypto;
    const char *user; /* "alice@demo.example": the part before @ is what is sent */
    const char *password;
    const char *method;
    const char *uri;
};

/* The challenge of a 401 or 407 to answer: SHA-256 where it is offered.  False: there is none that
 * can be answered. */
bool phone_digest_choose(const struct sip_msg *response, struct sip_hdr_digest *out,
                         bool *is_sha256);
/* Writes the whole (Proxy-)Authorization line that answers the challenge in `response`, SHA-256
 * where it is offered.  False: no challenge that can be answered, or `cap` is too small. */
bool phone_digest_answer(const struct phone_digest *d, const struct sip_msg *response, char *line,
                         size_t cap);
