/* SPDX-License-Identifier: Apache-2.0 */
/* ca_users.h - users.json of an enrollment authority: who has which credentials.
 *
 *   {"overlay": NAME, "key": "ed25519", "digest": "sha-256 md5",
 *    "users": {"alice@NAME": {"digest", "ha1_md5", "ha1_sha256",
 *                             "credentials": [{"node_id", "issued_ms", "not_after_ms"}]}}}
 *
 * Passwords are not kept, their HA1 (user:realm:password, the realm being NAME) are.  Mode 0600. */
#pragma once
#include "cmd/files.h"
#include <jansson.h>

enum err ca_users_create(const char *dir, const char *overlay, const char *key, const char *digest,
                         char *why) MUST_USE;
/* Whoever reads the authority's files and then replaces them does so alone, from before it reads:
 * waits for another process.  *lock is to be given to ca_users_unlock; -1 where there is no
 * authority, of which ca_users_load has the word. */
enum err ca_users_lock(const char *dir, int *lock, char *why) MUST_USE;
void ca_users_unlock(int lock);
/* To be given to json_decref. */
enum err ca_users_load(const char *dir, json_t **out, char *why) MUST_USE;
enum err ca_users_save(const char *dir, json_t *users, char *why) MUST_USE;
/* The entry of a user, made where there is none; borrowed.  NULL: no memory or a broken file. */
json_t *ca_users_entry(json_t *users, const char *user);
/* A string of the database; NULL when it is not there. */
const char *ca_users_text(const json_t *object, const char *key);
enum err ca_users_add(json_t *entry, const char *node_id, uint64_t issued_ms,
                      uint64_t not_after_ms) MUST_USE;
/* The credential of this Node-ID gets another period.  ERR_NOT_FOUND where the user has none such.
 */
enum err ca_users_renew(json_t *entry, const char *node_id, uint64_t issued_ms,
                        uint64_t not_after_ms) MUST_USE;
