/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_overlay.h"
#include "cmd/ca.h"
#include "core/os/host.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARENA_BYTES = 512 * 1024, DAYS = 1 };

static void take_config(struct load_overlay *o)
{
    const struct overlay_config *c = &o->doc.config;
    uint8_t hash[CRYPTO_SHA1_BYTES];
    crypto_boring()->sha1(slice_text(c->name), hash);
    o->params.overlay = rd_at32(hash + CRYPTO_SHA1_BYTES - 4);
    o->params.node_id_length = c->node_id_length;
    o->initial_ttl = c->initial_ttl;
    o->configuration_sequence = c->sequence;
}

static enum err load_document(struct load_overlay *o, const char *path, char *why)
{
    char reason[OVERLAY_DOC_WHY_CAP];
    const char *said = "";
    struct arena arena;
    enum err e = files_read(path, &o->xml, NULL);
    if (e != ERR_OK) {
        return say_why(why, e,
                       "cannot read: %s: %s; the overlay document that `chordial ca init` "
                       "made is wanted",
                       path, say_errno());
    }
    o->arena_block = malloc(ARENA_BYTES);
    o->schema = overlay_schema_new();
    if (o->arena_block == NULL || o->schema == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", path);
    }
    arena_init(&arena, o->arena_block, ARENA_BYTES);
    e = overlay_doc_parse(o->schema, o->xml, SLICE_EMPTY, &arena, &o->doc, reason);
    if (e != ERR_OK) {
        return say_why(why, e, "overlay document refused: %s: %s", path, reason);
    }
    e = overlay_doc_verify_first(&o->doc, crypto_boring(), o->at_ms, &said);
    if (e != ERR_OK) {
        return say_why(why, e, "overlay document refused: %s: %s", path, said);
    }
    o->trust = overlay_doc_trust(&o->doc);
    take_config(o);
    return ERR_OK;
}

static enum err open_member(struct load_overlay *o, const char *path, char *why)
{
    struct load_overlay_member *m = &o->members[o->member_count];
    struct keystore_rules rules = {
        .crypto = crypto_boring(), .trust = &o->trust, .at_ms = o->at_ms};
    enum err e = keystore_load(path, &rules, &m->keys, why);
    if (e != ERR_OK) {
        return e;
    }
    o->member_count++;
    e = tls_boring_context_new(m->keys.ident.certificate, m->keys.intermediates,
                               m->keys.intermediate_count, m->keys.key, &m->context);
    return e == ERR_OK ? e : say_why(why, e, "no TLS with a credential: %s: %s", path, err_text(e));
}

/* load1@overlay, load2@overlay ...: each its own user, so that each has a record of its own. */
static enum err enroll(struct load_overlay *o, const char *folder, uint32_t number,
                       enum crypto_algorithm algorithm, char *why)
{
    char user[CRYPTO_OVERLAY_CAP + 24]; /* the authority refuses one that is too long */
    char path[FILES_PATH_CAP];
    (void)snprintf(user, sizeof(user), "load%u@%s", number, o->doc.config.name);
    struct ca_issue what = {.dir = o->target->ca,
                            .user = user,
                            .nodes = 1,
                            .algorithm = algorithm,
                            .days = DAYS,
                            .out = folder,
                            .now_ms = o->at_ms};
    enum err e = ca_issue(&what, NULL, NULL, why);
    if (e != ERR_OK) {
        return e;
    }
    (void)snprintf(path, sizeof(path), "%s/%s.1.pem", folder, user);
    e = open_member(o, path, why);
    (void)unlink(path);
    return e;
}

enum err load_overlay_open(struct load_overlay *o, const struct load_target *target,
                           uint32_t members, enum crypto_algorithm algorithm, char *why)
{
    char folder[] = "/tmp/chordial-load.XXXXXX";
    *o = (struct load_overlay){.target = target, .at_ms = host_wall_ms()};
    CHECK(members <= LOAD_OVERLAY_MEMBERS_CAP);
    if (target->overlay.family == 0 || target->ca[0] == '\0') {
        return say_why(why, ERR_CONFIG,
                       "no overlay: this kind needs it: give --demo FILE, or --overlay HOST:PORT "
                       "and --ca DIR");
    }
    o->members = calloc(members, sizeof(*o->members));
    if (o->members == NULL || mkdtemp(folder) == NULL) {
        free(o->members);
        o->members = NULL;
        return say_why(why, ERR_IO, "cannot make a folder: /tmp: %s", say_errno());
    }
    char path[FILES_PATH_CAP];
    enum err e = files_join(target->ca, "overlay.xml", path);
    e = e == ERR_OK ? load_document(o, path, why)
                    : say_why(why, e, "the name is too long: %s: give another", target->ca);
    for (uint32_t i = 0; e == ERR_OK && i < members; i++) {
        e = enroll(o, folder, i + 1, algorithm, why);
    }
    (void)rmdir(folder);
    if (e != ERR_OK) {
        load_overlay_close(o);
    }
    return e;
}

enum err load_overlay_join(struct load_overlay *o, const struct load_target *target,
                           const char *document, const char *keystore, char *why)
{
    *o = (struct load_overlay){.target = target, .at_ms = host_wall_ms()};
    o->members = calloc(1, sizeof(*o->members));
    enum err e = o->members == NULL
                     ? say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", keystore)
                     : load_document(o, document, why);
    e = e == ERR_OK ? open_member(o, keystore, why) : e;
    if (e != ERR_OK) {
        load_overlay_close(o);
    }
    return e;
}

void load_overlay_close(struct load_overlay *o)
{
    for (uint32_t i = 0; i < o->member_count; i++) {
        tls_boring_context_free(o->members[i].context);
        keystore_free(&o->members[i].keys);
    }
    free(o->members);
    o->members = NULL;
    o->member_count = 0;
    overlay_schema_free(o->schema);
    o->schema = NULL;
    files_release(&o->xml);
    free(o->arena_block);
    o->arena_block = NULL;
}
