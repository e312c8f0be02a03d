/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ca_update.h"
#include "cmd/ca_document.h"
#include "cmd/ca_users.h"
#include "cmd/keystore.h"
#include "dht/config_sequence.h"
#include "dht/kind.h"
#include "link/crypto_boring.h"
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS UINT64_C(86400000)

struct updating {
    const struct ca_update *what;
    struct overlay_schema *schema;
    struct slice xml;
    void *arena_block;
    struct overlay_doc doc; /* the one that is there */
    struct crypto_trust trust;
    struct keystore signer;
    struct overlay_kind kinds[OVERLAY_KINDS_CAP];
    size_t kind_count;
    struct node_id bad[OVERLAY_DOC_IDS_CAP];
    size_t bad_count;
    struct domain_rules domains;
    char *why;
};

static enum err load(struct updating *u)
{
    char path[FILES_PATH_CAP];
    char reason[OVERLAY_DOC_WHY_CAP];
    struct arena arena;
    const char *dir = u->what->dir;
    enum err e = files_join(dir, "overlay.xml", path);
    e = e == ERR_OK ? files_read(path, &u->xml, NULL) : e;
    if (e != ERR_OK) {
        return say_why(u->why, e,
                       "cannot read: %s/overlay.xml: %s; is this a folder of `chordial ca init`?",
                       dir, say_errno());
    }
    size_t bytes = u->xml.len + OVERLAY_DOC_ARENA_EXTRA;
    u->arena_block = calloc(1, bytes);
    u->schema = overlay_schema_new();
    if (u->arena_block == NULL || u->schema == NULL) {
        return say_why(u->why, ERR_NO_MEMORY, "no memory: %s: free some", path);
    }
    arena_init(&arena, u->arena_block, bytes);
    e = overlay_doc_parse(u->schema, u->xml, SLICE_EMPTY, &arena, &u->doc, reason);
    if (e != ERR_OK) {
        return say_why(u->why, e, "not a document: %s: %s", path, reason);
    }
    u->trust = overlay_doc_trust(&u->doc);
    overlay_doc_accept_kinds(&u->doc, crypto_boring(), u->what->now_ms);
    struct keystore_rules rules = {
        .crypto = crypto_boring(), .trust = &u->trust, .at_ms = u->what->now_ms};
    e = files_join(dir, "signer.pem", path);
    return e == ERR_OK ? keystore_load(path, &rules, &u->signer, u->why) : e;
}

static struct overlay_kind *find_kind(struct updating *u, uint32_t id)
{
    for (size_t i = 0; i < u->kind_count; i++) {
        if (u->kinds[i].id == id) {
            return &u->kinds[i];
        }
    }
    return NULL;
}

/* The private Kinds of before, less those dropped, and those added. */
static enum err choose_kinds(struct updating *u)
{
    const struct overlay_config *c = &u->doc.config;
    struct overlay_kind registered;
    for (size_t i = 0; i < c->kind_count; i++) {
        if (!kind_registered(c->kinds[i].id, &registered)) {
            u->kinds[u->kind_count++] = c->kinds[i];
        }
    }
    for (size_t i = 0; i < u->what->dropped_count; i++) {
        struct overlay_kind *k = find_kind(u, u->what->dropped[i]);
        if (k == NULL) {
            return say_why(u->why, ERR_CONFIG,
                           "no such private Kind: --drop-kind 0x%x: see overlay.xml",
                           u->what->dropped[i]);
        }
        *k = u->kinds[--u->kind_count];
    }
    for (size_t i = 0; i < u->what->added_count; i++) {
        const struct overlay_kind *added = &u->what->added[i];
        struct overlay_kind *k = find_kind(u, added->id);
        if (kind_registered(added->id, &registered)) {
            return say_why(
                u->why, ERR_CONFIG,
                "a registered Kind: --add-kind 0x%x: its RFC says how it is stored; take "
                "a number from 0xf0000001 to 0xfffffffe (RFC 6940 14.6)",
                added->id);
        }
        if (k == NULL && u->kind_count == OVERLAY_KINDS_CAP) {
            return say_why(u->why, ERR_LIMIT, "too many Kinds: --add-kind 0x%x: at most %d",
                           added->id, OVERLAY_KINDS_CAP);
        }
        *(k != NULL ? k : &u->kinds[u->kind_count++]) = *added;
    }
    return ERR_OK;
}

static enum err choose_bad_nodes(struct updating *u)
{
    memcpy(u->bad, u->doc.revoked, u->doc.revoked_count * sizeof(u->bad[0]));
    u->bad_count = u->doc.revoked_count;
    for (size_t i = 0; i < u->what->excluded_count; i++) {
        if (u->bad_count == OVERLAY_DOC_IDS_CAP) {
            return say_why(u->why, ERR_LIMIT, "too many: --bad-node: a document takes %d",
                           OVERLAY_DOC_IDS_CAP);
        }
        u->bad[u->bad_count++] = u->what->excluded[i];
    }
    return ERR_OK;
}

static uint32_t either(uint32_t wanted, uint32_t before)
{
    return wanted != 0 ? wanted : before;
}

static void fill(struct updating *u, struct ca_document *d)
{
    const struct ca_update *what = u->what;
    const struct overlay_config *c = &u->doc.config;
    bool has_bootstrap = what->bootstrap_count > 0;
    *d = (struct ca_document){
        .overlay = c->name,
        .sequence = what->sequence == CA_UPDATE_NEXT ? config_sequence_next(c->sequence)
                                                     : (uint16_t)what->sequence,
        .expiration_ms = what->now_ms + what->days * DAY_MS,
        .root = u->doc.roots[0],
        .signer_certificate = u->signer.ident.certificate,
        .signer = u->signer.ident.node_id,
        .signer_key = u->signer.key,
        .bootstrap = has_bootstrap ? what->bootstrap : u->doc.bootstrap,
        .bootstrap_count = has_bootstrap ? what->bootstrap_count : u->doc.bootstrap_count,
        .links = c->links,
        .replica_min_hosts = either(what->replica_min_hosts, c->replica_min_hosts),
        .max_message_bytes = either(what->max_message_bytes, c->max_message_bytes),
        .initial_ttl = (uint8_t)either(what->initial_ttl, c->initial_ttl),
        .update_interval_s = either(what->update_interval_s, c->chord_update_interval_s),
        .ping_interval_s = either(what->ping_interval_s, c->chord_ping_interval_s),
        .kinds = u->kinds,
        .kind_count = u->kind_count,
        .bad_nodes = u->bad,
        .bad_node_count = u->bad_count,
    };
    for (size_t i = 0; i < c->kind_count; i++) {
        if (c->kinds[i].id == OVERLAY_KIND_CERTIFICATE_BY_USER) {
            d->max_credentials = c->kinds[i].max_count;
        } else if (c->kinds[i].id == OVERLAY_KIND_SIP_REGISTRATION) {
            d->domains = ca_domains_choose(&what->domains, c->kinds[i].domains, &u->domains);
        }
    }
}

static enum err write_next(struct updating *u, const struct ca_document *d)
{
    char path[FILES_PATH_CAP];
    size_t len = 0;
    uint8_t *text = malloc(CA_DOCUMENT_CAP);
    enum err e = text == NULL ? ERR_NO_MEMORY : ca_document_write(d, crypto_boring(), text, &len);
    if (e != ERR_OK) {
        free(text);
        return say_why(u->why, e, "cannot make the document: %s: %s", u->what->dir, err_text(e));
    }
    e = u->what->out == NULL ? files_join(u->what->dir, "overlay.xml", path)
                             : (snprintf(path, sizeof(path), "%s", u->what->out) < (int)sizeof(path)
                                    ? ERR_OK
                                    : ERR_TOO_LARGE);
    if (e == ERR_OK) {
        e = files_write(path, slice_of(text, len), 0644, true);
    }
    free(text);
    return e == ERR_OK ? e : say_why(u->why, e, "cannot write: %s: %s", path, say_errno());
}

/* What this program writes can only be what it knows. */
static enum err check_whole(const struct updating *u)
{
    const struct overlay_doc *d = &u->doc;
    bool is_ours = d->root_count == 1 && d->has_sequence && d->mandatory_extensions.count == 0 &&
                   d->configuration_signers.count == 1 && d->kind_signers.count == 1 &&
                   !d->has_self_signed && !d->has_shared_secret;
    return is_ours ? ERR_OK
                   : say_why(u->why, ERR_UNSUPPORTED,
                             "not a document of `chordial ca`: %s/overlay.xml: it holds what would "
                             "be lost: edit and sign it by hand",
                             u->what->dir);
}

enum err ca_update(const struct ca_update *what, uint16_t *before, uint16_t *sequence, char *why)
{
    struct ca_document d;
    struct updating *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", what->dir);
    }
    u->what = what;
    u->why = why;
    int lock = -1;
    enum err e = ca_users_lock(what->dir, &lock, why);
    e = e == ERR_OK ? load(u) : e;
    e = e == ERR_OK ? check_whole(u) : e;
    e = e == ERR_OK ? choose_kinds(u) : e;
    e = e == ERR_OK ? choose_bad_nodes(u) : e;
    if (e == ERR_OK) {
        fill(u, &d);
        *before = u->doc.config.sequence;
        *sequence = d.sequence;
        e = write_next(u, &d);
    }
    keystore_free(&u->signer);
    overlay_schema_free(u->schema);
    free(u->arena_block);
    files_release(&u->xml);
    free(u);
    ca_users_unlock(lock);
    return e;
}
