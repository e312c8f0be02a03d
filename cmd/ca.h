/* SPDX-License-Identifier: Apache-2.0 */
/* ca.h - the enrollment authority of an overlay: a folder with the root key, the signed overlay
 * configuration document and the user database (design.md section 6).
 *
 *   root.key root.crt    the overlay's root
 *   signer.pem           keystore of the config signer
 *   overlay.xml          the signed document, public
 *   users.json           ca_users.h
 *   lock                 held by the one process that is changing any of them
 *
 * Everything but root.crt and overlay.xml has mode 0600.  Cold: used by commands only. */
#pragma once
#include "cmd/ca_domains.h"
#include "cmd/files.h"
#include "core/address.h"
#include "core/crypto.h"
#include "dht/overlay.h"

enum {
    CA_BOOTSTRAP_CAP = 16,
    CA_NODES_CAP = 256,
    CA_DAYS_ROOT = 3650,
    CA_DAYS = 365,
    CA_SERIAL_TEXT_CAP = 24
};

struct ca_init {
    const char *dir;
    const char *overlay;
    struct address bootstrap[CA_BOOTSTRAP_CAP];
    size_t bootstrap_count;
    const char *digest; /* "sha-256 md5" or "md5": for accounts that say nothing else */
    enum crypto_algorithm algorithm;
    enum overlay_links links;
    uint32_t replica_min_hosts;
    uint32_t max_credentials; /* of one user name: max-count of CERTIFICATE_BY_USER */
    struct ca_domains domains;
    uint64_t now_ms;
};

/* "both", "tls" or "dtls"; ERR_NOT_FOUND for anything else. */
enum err ca_links(const char *text, enum overlay_links *links) MUST_USE;
/* ERR_EXISTS where there is an authority already; `why` is SAY_WHY_CAP bytes. */
enum err ca_init(const struct ca_init *what, char *why) MUST_USE;

struct ca_issue {
    const char *dir;
    const char *user;                /* alice@example.org; NULL: those of `list` */
    const char *list;                /* a file of "name@overlay password" lines */
    const char *password;            /* NULL: that of an earlier issue, or none (a peer) */
    const char *digest;              /* NULL: that of an earlier issue, or of the overlay */
    uint32_t nodes;                  /* how many credentials */
    enum crypto_algorithm algorithm; /* NONE: the overlay's */
    uint32_t days;
    const char *out; /* folder; files <user>.<i>.pem, i from 1 */
    uint64_t now_ms;
};

typedef void ca_on_file(void *context, const char *path, const char *node_id);
/* `on_file` (may be NULL) hears of each keystore written.  With a list the first fault ends it;
 * what was issued until then is on record. */
enum err ca_issue(const struct ca_issue *what, ca_on_file *on_file, void *context,
                  char *why) MUST_USE;

/* "ed25519", "p256" or "rsa2048". */
enum err ca_algorithm(const char *text, enum crypto_algorithm *out) MUST_USE;
const char *ca_algorithm_text(enum crypto_algorithm algorithm);
