/* SPDX-License-Identifier: Apache-2.0 */
/* real_tls.h - contexts of the real TLS, for the targets that have both ends of a connection. */
#pragma once
#include "fuzz/fuzz.h"
#include "link/crypto_boring.h"
#include "link/crypto_issue.h"
#include "link/tls_boring.h"

/* With a self-signed certificate of that name, for as long as the process runs. */
static inline struct tls_boring *real_tls_context(const char *name)
{
    static uint8_t certificate[CRYPTO_BORING_CERTIFICATE_CAP];
    struct crypto_key *key = NULL;
    struct tls_boring *context = NULL;
    size_t len = 0;
    CHECK(crypto_boring_key_make(CRYPTO_ED25519, &key) == ERR_OK);
    struct crypto_issue what = {.issuer_key = key,
                                .common_name = slice_text(name),
                                .not_before_ms = 1700000000000,
                                .not_after_ms = 2000000000000,
                                .is_ca = true};
    CHECK(crypto_issue_certificate(&what, certificate, sizeof(certificate), &len) == ERR_OK);
    CHECK(tls_boring_context_new(slice_of(certificate, len), NULL, 0, key, &context) == ERR_OK);
    crypto_boring_key_free(key);
    return context;
}
