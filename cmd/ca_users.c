/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ca_users.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "users.json"

static enum err no_memory(char *why)
{
    return say_why(why, ERR_NO_MEMORY, "no memory: " FILE_NAME ": free some");
}

static enum err write_json(const char *dir, json_t *users, bool may_replace, char *why)
{
    char path[FILES_PATH_CAP];
    char *text = json_dumps(users, JSON_INDENT(1));
    if (text == NULL) {
        return no_memory(why);
    }
    enum err e = files_join(dir, FILE_NAME, path);
    if (e == ERR_OK) {
        size_t len = strlen(text);
        text[len] = '\n'; /* in place of the NUL */
        e = files_write(path, slice_of(text, len + 1), 0600, may_replace);
    }
    free(text);
    return e == ERR_OK ? e
                       : say_why(why, e, "cannot write the user database: %s/" FILE_NAME ": %s",
                                 dir, say_errno());
}

enum err ca_users_create(const char *dir, const char *overlay, const char *key, const char *digest,
                         char *why)
{
    json_t *users = json_pack("{s:s, s:s, s:s, s:{}}", "overlay", overlay, "key", key, "digest",
                              digest, "users");
    if (users == NULL) {
        return no_memory(why);
    }
    enum err e = write_json(dir, users, false, why);
    json_decref(users);
    return e;
}

enum err ca_users_lock(const char *dir, int *lock, char *why)
{
    char path[FILES_PATH_CAP];
    *lock = -1;
    if (files_join(dir, FILE_NAME, path) != ERR_OK || access(path, F_OK) != 0) {
        return ERR_OK;
    }
    enum err e = files_lock(dir, true, lock);
    return e == ERR_OK ? e
                       : say_why(why, e, "cannot lock the authority: %s/lock: %s", dir,
                                 e == ERR_TOO_LARGE ? err_text(e) : say_errno());
}

void ca_users_unlock(int lock)
{
    if (lock >= 0) {
        close(lock);
    }
}

enum err ca_users_load(const char *dir, json_t **out, char *why)
{
    char path[FILES_PATH_CAP];
    json_error_t error;
    *out = NULL;
    enum err e = files_join(dir, FILE_NAME, path);
    if (e == ERR_OK && access(path, R_OK) != 0) {
        e = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    if (e != ERR_OK) {
        return say_why(why, e,
                       "no user database: %s/" FILE_NAME ": %s; run `chordial ca init` first", dir,
                       say_errno());
    }
    /* Of any size: it grows with the accounts, and is the authority's own. */
    *out = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (*out == NULL || ca_users_text(*out, "overlay") == NULL ||
        ca_users_text(*out, "digest") == NULL || ca_users_text(*out, "key") == NULL ||
        !json_is_object(json_object_get(*out, "users"))) {
        json_decref(*out);
        *out = NULL;
        return say_why(why, ERR_MALFORMED,
                       "the user database is broken: %s: restore it from a backup", path);
    }
    return ERR_OK;
}

enum err ca_users_save(const char *dir, json_t *users, char *why)
{
    return write_json(dir, users, true, why);
}

json_t *ca_users_entry(json_t *users, const char *user)
{
    json_t *all = json_object_get(users, "users");
    json_t *entry = json_object_get(all, user);
    if (entry == NULL) {
        json_t *made = json_pack("{s:[]}", "credentials");
        if (json_object_set_new(all, user, made) != 0) {
            return NULL;
        }
        entry = made;
    }
    return json_is_array(json_object_get(entry, "credentials")) ? entry : NULL;
}

const char *ca_users_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

enum err ca_users_add(json_t *entry, const char *node_id, uint64_t issued_ms, uint64_t not_after_ms)
{
    json_t *credential = json_pack("{s:s, s:I, s:I}", "node_id", node_id, "issued_ms",
                                   (json_int_t)issued_ms, "not_after_ms", (json_int_t)not_after_ms);
    json_t *list = json_object_get(entry, "credentials");
    return json_array_append_new(list, credential) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

enum err ca_users_renew(json_t *entry, const char *node_id, uint64_t issued_ms,
                        uint64_t not_after_ms)
{
    size_t i;
    json_t *credential;
    json_array_foreach(json_object_get(entry, "credentials"), i, credential)
    {
        const char *id = ca_users_text(credential, "node_id");
        if (id != NULL && strcmp(id, node_id) == 0) {
            bool is_set = json_object_set_new(credential, "issued_ms",
                                              json_integer((json_int_t)issued_ms)) == 0 &&
                          json_object_set_new(credential, "not_after_ms",
                                              json_integer((json_int_t)not_after_ms)) == 0;
            return is_set ? ERR_OK : ERR_NO_MEMORY;
        }
    }
    return ERR_NOT_FOUND;
}
