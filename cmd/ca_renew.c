/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ca_renew.h"

#include "cmd/ca_holder.h"
#include "cmd/ca_users.h"
#include <stdlib.h>

enum { LAST_MS = 1000 };

struct renewing {
    const struct ca_renew *what;
    json_t *users;
    json_t *entry;
    struct ca_holder root;
    struct keystore old;
    char *node_id;
    char *why;
};

/* Judged as of a time at which it is, or was, valid: all else must hold. */
static enum err parse(struct renewing *r, struct slice text)
{
    uint64_t period_ms[2];
    struct slice root = ca_holder_der(&r->root);
    struct crypto_trust trust = {.roots = &root,
                                 .root_count = 1,
                                 .overlay_name = slice_text(ca_users_text(r->users, "overlay")),
                                 .node_id_length = IDS_NODE_MIN};
    struct keystore_rules rules = {
        .crypto = crypto_boring(), .trust = &trust, .at_ms = r->what->now_ms};
    uint8_t *der = malloc(CRYPTO_BORING_CERTIFICATE_CAP);
    size_t len = 0;
    if (der != NULL &&
        crypto_boring_pem_decode(text, "CERTIFICATE", 0, der, CRYPTO_BORING_CERTIFICATE_CAP,
                                 &len) == ERR_OK &&
        crypto_boring_period(slice_of(der, len), period_ms) == ERR_OK &&
        rules.at_ms >= period_ms[1] && period_ms[1] > LAST_MS) {
        rules.at_ms = period_ms[1] - LAST_MS;
    }
    free(der);
    return keystore_parse(text, r->what->path, &rules, &r->old, r->why);
}

static enum err load(struct renewing *r)
{
    struct slice text = SLICE_EMPTY;
    enum err e = ca_users_load(r->what->dir, &r->users, r->why);
    if (e == ERR_OK) {
        e = ca_holder_load_root(r->what->dir, &r->root, r->why);
    }
    if (e != ERR_OK) {
        return e;
    }
    e = files_read(r->what->path, &text, NULL);
    if (e != ERR_OK) {
        return say_why(r->why, e, "cannot read a keystore: %s: %s: name one that `ca issue` made",
                       r->what->path, e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    e = parse(r, text);
    files_release(&text);
    return e;
}

/* Withdrawn by taking it out of users.json, or of another authority of the same name. */
static enum err find(struct renewing *r, const uint64_t period_ms[2])
{
    r->entry = json_object_get(json_object_get(r->users, "users"), r->old.ident.user);
    ids_hex(slice_of(r->old.ident.node_id.bytes, IDS_NODE_MIN), r->node_id);
    enum err e = r->entry == NULL
                     ? ERR_NOT_FOUND
                     : ca_users_renew(r->entry, r->node_id, r->what->now_ms, period_ms[1]);
    return e == ERR_OK ? e
                       : say_why(r->why, e,
                                 "not on record: %s: users.json of %s has no Node-ID %s of %s; "
                                 "issue a new one with `chordial ca issue`",
                                 r->what->path, r->what->dir, r->node_id, r->old.ident.user);
}

static enum err write(struct renewing *r, const uint64_t period_ms[2])
{
    static const char *const digests[] = {
        [SIP_DIGEST_SHA256_MD5] = "sha-256 md5", [SIP_DIGEST_MD5] = "md5"};
    const struct keystore *old = &r->old;
    struct ca_holder h = {.key = old->key};
    struct crypto_issue what = {.user = slice_text(old->ident.user),
                                .overlay_name = slice_text(ca_users_text(r->users, "overlay")),
                                .not_before_ms = period_ms[0],
                                .not_after_ms = period_ms[1]};
    struct keystore_fields fields = {.user = old->ident.user};
    memcpy(h.node_id, old->ident.node_id.bytes, sizeof(h.node_id));
    if (old->has_digest) {
        fields.digest = digests[old->digest];
        fields.ha1_md5 = old->ha1_md5;
        fields.ha1_sha256 = old->ha1_sha256;
    }
    enum err e = ca_holder_certify_member(&h, &what, CRYPTO_ALGORITHM_NONE, &r->root);
    if (e == ERR_OK) {
        const struct ca_holder_file file = {".", r->what->path, 0600, true};
        e = ca_holder_write_keystore(&file, &fields, &h, r->why);
    } else {
        e = say_why(r->why, e, "cannot issue a certificate: %s: %s", r->what->path, err_text(e));
    }
    h.key = NULL; /* the keystore's */
    ca_holder_free(&h);
    return e;
}

enum err ca_renew(const struct ca_renew *what, char *node_id_text, char *why)
{
    struct renewing r = {.what = what, .node_id = node_id_text, .why = why};
    const uint64_t period_ms[2] = {what->now_ms - CA_HOLDER_EARLIER_MS,
                                   what->now_ms + what->days * CA_HOLDER_DAY_MS};
    int lock = -1;
    enum err e = ca_users_lock(what->dir, &lock, why);
    e = e == ERR_OK ? load(&r) : e;
    if (e == ERR_OK) {
        e = find(&r, period_ms);
    }
    if (e == ERR_OK) {
        e = write(&r, period_ms);
    }
    if (e == ERR_OK) {
        e = ca_users_save(what->dir, r.users, why);
    }
    keystore_free(&r.old);
    ca_holder_free(&r.root);
    json_decref(r.users);
    ca_users_unlock(lock);
    return e;
}
