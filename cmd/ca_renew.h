/* SPDX-License-Identifier: Apache-2.0 */
/* ca_renew.h - a keystore's certificate made anew: the same user, Node-ID and key, another period.
 *
 * What the Node-ID stands for goes on: its place in the ring, its registrations, its data-dir.
 * Cold: used by `chordial ca renew`. */
#pragma once
#include "cmd/say.h"

struct ca_renew {
    const char *dir;  /* the authority's */
    const char *path; /* the keystore, replaced in one step */
    uint32_t days;
    uint64_t now_ms;
};

/* A keystore that has expired is renewed too.  ERR_NOT_FOUND: users.json knows no such credential;
 * otherwise as keystore_load and ca_issue.  *node_id_text (IDS_NODE_TEXT_CAP bytes) says whose. */
enum err ca_renew(const struct ca_renew *what, char *node_id_text, char *why) MUST_USE;
