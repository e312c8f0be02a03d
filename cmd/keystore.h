/* SPDX-License-Identifier: Apache-2.0 */
/* keystore.h - one credential as a text file of mode 0600 (design.md section 6).
 *
 *   user: alice@example.org
 *   node-id: 02e1...
 *   digest: sha-256 md5        with a password only, as are the next two
 *   ha1-md5: <hex>
 *   ha1-sha256: <hex>
 *   -----BEGIN CERTIFICATE-----   its own, then intermediates
 *   -----BEGIN PRIVATE KEY-----
 *
 * A keystore that does not hold together is refused with the reason: `ident` is safe to use.
 * Owner: whoever loaded it; keystore_free.  A struct keystore must not be moved. */
#pragma once
#include "cmd/say.h"
#include "dht/ident.h"
#include "sip/sip.h"

enum { KEYSTORE_INTERMEDIATES_CAP = 3, KEYSTORE_TEXT_CAP = 32 * 1024 };

struct keystore {
    struct ident ident;
    bool has_digest;
    enum sip_digest digest;
    char ha1_md5[33]; /* lower-case hex; empty = none */
    char ha1_sha256[65];
    struct crypto_key *key;
    struct slice intermediates[KEYSTORE_INTERMEDIATES_CAP];
    size_t intermediate_count;
};

/* What the credential is judged by. */
struct keystore_rules {
    const struct crypto *crypto;
    const struct crypto_trust *trust;
    uint64_t at_ms;
};

/* `name` is for the reason in `why`.  ERR_MALFORMED, ERR_BAD_CERTIFICATE, ERR_EXPIRED,
 * ERR_FORBIDDEN (file mode), ERR_NOT_FOUND, ERR_IO. */
enum err keystore_parse(struct slice text, const char *name, const struct keystore_rules *rules,
                        struct keystore *out, char *why) MUST_USE;
enum err keystore_load(const char *path, const struct keystore_rules *rules, struct keystore *out,
                       char *why) MUST_USE;
void keystore_free(struct keystore *k);
/* The index-th certificate of a PEM text as DER, to be given to free. */
enum err keystore_certificate(struct slice text, size_t index, struct slice *out) MUST_USE;

/* What keystore_write makes a text of. */
struct keystore_fields {
    const char *user;
    struct slice node_id;
    const char *digest; /* NULL = no password: no digest and HA1 lines */
    const char *ha1_md5;
    const char *ha1_sha256;
    struct slice certificate; /* DER */
    const struct crypto_key *key;
};
/* Text without a NUL; KEYSTORE_TEXT_CAP bytes are enough.  ERR_TOO_LARGE. */
enum err keystore_write(const struct keystore_fields *f, uint8_t *out, size_t cap,
                        size_t *len) MUST_USE;
