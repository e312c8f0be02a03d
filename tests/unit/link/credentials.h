/* SPDX-License-Identifier: Apache-2.0 */
/* credentials.h - a throw-away CA and the certificates of a few nodes, for tests. */
#pragma once
#include "link/crypto_issue.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define OVERLAY SLICE_LITERAL("overlay.example.org")
enum { DAY_MS = 86400000 };
#define NOW_MS (1800000000000ull)

struct credential {
    struct crypto_key *key;
    uint8_t certificate[CRYPTO_BORING_CERTIFICATE_CAP];
    size_t certificate_len;
    uint8_t node_id[20];
    char user[64];
};

static inline struct slice credential_der(const struct credential *c)
{
    return slice_of(c->certificate, c->certificate_len);
}

/* A self-signed root of its own. */
static inline void credential_root(struct credential *root, enum crypto_algorithm algorithm,
                                   const char *name)
{
    memset(root, 0, sizeof(*root));
    cr_assert_eq(crypto_boring_key_make(algorithm, &root->key), ERR_OK);
    struct crypto_issue what = {.issuer_key = root->key,
                                .common_name = slice_text(name),
                                .not_before_ms = NOW_MS - DAY_MS,
                                .not_after_ms = NOW_MS + 3650ull * DAY_MS,
                                .is_ca = true};
    cr_assert_eq(crypto_issue_certificate(&what, root->certificate, sizeof(root->certificate),
                                          &root->certificate_len),
                 ERR_OK);
}

/* Node number `number`, whose Node-ID begins with that byte; valid from `from_ms` for a day. */
static inline void credential_node(struct credential *node, const struct credential *ca,
                                   enum crypto_algorithm algorithm, uint8_t number,
                                   uint64_t from_ms)
{
    memset(node, 0, sizeof(*node));
    cr_assert_eq(crypto_boring_key_make(algorithm, &node->key), ERR_OK);
    memset(node->node_id, 0x11, 16);
    node->node_id[0] = number;
    snprintf(node->user, sizeof(node->user), "host%d@overlay.example.org", number);
    uint8_t spki[CRYPTO_PUBLIC_KEY_CAP];
    size_t spki_len = 0;
    cr_assert_eq(crypto_boring_key_public(node->key, spki, sizeof(spki), &spki_len), ERR_OK);
    struct crypto_issue what = {.issuer_certificate = credential_der(ca),
                                .issuer_key = ca->key,
                                .public_key = slice_of(spki, spki_len),
                                .user = slice_text(node->user),
                                .node_ids = (const uint8_t(*)[20]) & node->node_id,
                                .node_id_count = 1,
                                .node_id_length = 16,
                                .overlay_name = OVERLAY,
                                .not_before_ms = from_ms,
                                .not_after_ms = from_ms + DAY_MS};
    cr_assert_eq(crypto_issue_certificate(&what, node->certificate, sizeof(node->certificate),
                                          &node->certificate_len),
                 ERR_OK);
}

static inline void credential_free(struct credential *c)
{
    crypto_boring_key_free(c->key);
    c->key = NULL;
}
