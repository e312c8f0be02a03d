/* SPDX-License-Identifier: Apache-2.0 */
/* setup.h - everything that a node needs from files, loaded and judged: what `chordial run` starts
 * from and what `chordial check` checks.  Opens no socket. */
#pragma once
#include "cmd/config.h"
#include "cmd/keystore.h"
#include "cmd/sip_cert.h"
#include "node/overlay_doc.h"

struct setup {
    struct config config;
    struct overlay_schema *schema; /* for this document and those that follow it */
    struct overlay_doc doc;
    struct crypto_trust trust;
    uint32_t shards;
    struct keystore *peers; /* the first `shards` are used, in the order of the file names */
    size_t peer_count;
    struct keystore *accounts;
    size_t account_count;
    struct sip_account *sip_accounts; /* account_count of them */
    struct sip_cert sip_cert;         /* for phones by TLS; empty where there is none */
    uint64_t at_ms;
    bool is_received; /* the document is that of setup_received_path, newer than the configured */
    char document_path[FILES_PATH_CAP + 16];
    /* storage */
    struct slice xml;
    void *arena_block;
};

/* The reason in `why` (SAY_WHY_CAP) when something is wrong; nothing is left to free then. */
enum err setup_load(const char *path, uint64_t at_ms, uint32_t cores, struct setup *out,
                    char *why) MUST_USE;
/* ERR_CONFIG when the pools of all shards may take more than there is (cmd/memory.h). */
enum err setup_memory(const struct setup *s, char *why) MUST_USE;
/* Where a node keeps the document that it has taken over while running. */
enum { SETUP_RECEIVED_PATH_CAP = FILES_PATH_CAP + 16 };
void setup_received_path(const struct config *c, char out[SETUP_RECEIVED_PATH_CAP]);
/* The authorities of foreign-ca. */
struct crypto_roots;
enum err setup_roots(const struct config *c, struct crypto_roots **out, char *why) MUST_USE;
void setup_free(struct setup *s);
