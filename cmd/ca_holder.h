/* SPDX-License-Identifier: Apache-2.0 */
/* ca_holder.h - a certificate with its key, and the files of an authority; shared by what `ca`
 * does. Cold.  `why` is SAY_WHY_CAP bytes everywhere. */
#pragma once
#include "cmd/files.h"
#include "cmd/keystore.h"
#include "link/crypto_issue.h"

enum { CA_HOLDER_EARLIER_MS = 3600 * 1000 /* valid since: clocks differ */ };
#define CA_HOLDER_DAY_MS UINT64_C(86400000)

struct ca_holder {
    struct crypto_key *key;
    uint8_t *der; /* CRYPTO_BORING_CERTIFICATE_CAP bytes */
    size_t der_len;
    uint8_t node_id[20];
};

struct slice ca_holder_der(const struct ca_holder *h);
void ca_holder_free(struct ca_holder *h);

/* Its certificate, and a fresh key where it has none; `issuer` NULL: self-signed. */
enum err ca_holder_certify(struct ca_holder *h, struct crypto_issue *what,
                           enum crypto_algorithm algorithm,
                           const struct ca_holder *issuer) MUST_USE;
/* One user name, and h->node_id (RFC 6940 11.3). */
enum err ca_holder_certify_member(struct ca_holder *h, struct crypto_issue *what,
                                  enum crypto_algorithm algorithm,
                                  const struct ca_holder *root) MUST_USE;

/* root.key and root.crt of the folder, to be given to ca_holder_free. */
enum err ca_holder_load_root(const char *dir, struct ca_holder *root, char *why) MUST_USE;

/* A file of this name in `dir`; ERR_EXISTS where there is one that must stay. */
struct ca_holder_file {
    const char *dir;
    const char *name;
    mode_t mode;
    bool may_replace;
};
enum err ca_holder_write(const struct ca_holder_file *f, struct slice bytes, char *why) MUST_USE;
/* `fields` gets the holder's Node-ID, certificate and key. */
enum err ca_holder_write_keystore(const struct ca_holder_file *f, struct keystore_fields *fields,
                                  const struct ca_holder *h, char *why) MUST_USE;
