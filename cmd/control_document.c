/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/control_document.h"
#include "codec/content.h"
#include "core/os/host.h"
#include "link/crypto_boring.h"
#include <stdio.h>
#include <stdlib.h>

/* About what a ConfigUpdate needs beside the document. */
enum { AROUND_BYTES = 1000 };

static const struct overlay_config *now_of(const struct control_document *cd)
{
    return &overlay_doc_keep_now(&cd->keep)->config;
}

enum err control_document_open(struct control_document *cd, struct daemon *d, char *why)
{
    char reason[OVERLAY_DOC_WHY_CAP];
    struct arena arena;
    const struct setup *s = d->setup;
    size_t bytes = overlay_doc_keep_bytes(OVERLAY_DOC_BYTES_CAP);
    *cd = (struct control_document){.daemon = d};
    bucket_init(&cd->bucket, CONTROL_DOCUMENT_PER_S * 1000, CONTROL_DOCUMENT_AT_ONCE,
                host_now_us());
    cd->block = calloc(1, bytes);
    if (cd->block == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: overlay document: free some");
    }
    arena_init(&arena, cd->block, bytes);
    (void)snprintf(cd->from, sizeof(cd->from), "%s %s", s->is_received ? "received file" : "file",
                   s->document_path);
    const struct overlay_doc_keep_settings settings = {.schema = s->schema,
                                                       .crypto = crypto_boring(),
                                                       .cap = OVERLAY_DOC_BYTES_CAP,
                                                       .first = s->xml,
                                                       .at_ms = s->at_ms};
    enum err e = overlay_doc_keep_init(&cd->keep, &arena, &settings, reason);
    return e == ERR_OK ? e : say_why(why, e, "overlay document refused: %s", reason);
}

void control_document_close(struct control_document *cd)
{
    free(cd->block);
    cd->block = NULL;
}

/* ---- to the shards ---- */

static bool is_busy(const struct control_document *cd)
{
    for (uint32_t i = 0; i < cd->daemon->count; i++) {
        if (cd->waits[i]) {
            return true;
        }
    }
    return false;
}

static enum err mail(const struct control_document *cd, uint32_t shard,
                     const struct admin_request *r)
{
    return shard_control_send(cd->daemon->group, shard, IO_MAIL_CONTROL, 0,
                              slice_of(r, sizeof(*r)));
}

/* Mails the change to those that have not got it; tried again at the next tick. */
static void tell(struct control_document *cd)
{
    struct admin_request r = {.verb = ADMIN_SET_CONFIG, .change = &cd->keep.change};
    for (uint32_t i = 0; i < cd->daemon->count; i++) {
        if (cd->untold[i] && mail(cd, i, &r) == ERR_OK) {
            cd->untold[i] = false;
        }
    }
}

void control_document_on_taken(struct control_document *cd, uint32_t shard)
{
    CHECK(shard < cd->daemon->count);
    cd->waits[shard] = false;
}

/* ---- what a change means ---- */

/* So that a restart begins with it.  A disk that does not take it is no reason to refuse it. */
static void save(const struct control_document *cd)
{
    char path[SETUP_RECEIVED_PATH_CAP];
    setup_received_path(&cd->daemon->setup->config, path);
    if (files_write(path, overlay_doc_keep_text(&cd->keep), 0644, true) != ERR_OK) {
        say_line("WARNING: cannot write the overlay document: %s: %s: a restart begins with the "
                 "former one",
                 path, say_errno());
    }
}

static bool excludes_us(const struct control_document *cd)
{
    const struct overlay_doc *doc = overlay_doc_keep_now(&cd->keep);
    for (uint32_t i = 0; i < cd->daemon->count; i++) {
        if (overlay_doc_lists(&doc->bad_nodes, &cd->daemon->setup->peers[i].ident.node_id,
                              doc->config.node_id_length)) {
            return true;
        }
    }
    return false;
}

/* The one in force is a new one.  True: leave. */
static bool take_over(struct control_document *cd, const struct node_id *from, const char *by)
{
    static const struct node_id nobody;
    struct overlay_change *c = &cd->keep.change;
    const struct overlay_doc *doc = overlay_doc_keep_now(&cd->keep);
    c->from = from == NULL ? nobody : *from;
    if (cd->daemon->setup->config.bootstrap_count > 0) {
        c->bootstrap_count = 0; /* the file names others */
    }
    (void)snprintf(cd->from, sizeof(cd->from), "%s", by);
    cd->has_said_expired = false;
    say_line("overlay document %u is in force now, from %s", c->config.sequence, by);
    for (size_t i = 0; i < c->dropped_count; i++) {
        say_line("Kind %u is gone or another's now: what was stored of it is discarded",
                 c->dropped[i]);
    }
    for (size_t i = 0; i < doc->kind_count; i++) {
        if (doc->kinds[i].refusal != NULL) {
            say_line("a Kind of the document is not taken: %.*s %u: %s",
                     (int)doc->kinds[i].name.len, (const char *)doc->kinds[i].name.data,
                     doc->kinds[i].id, doc->kinds[i].refusal);
        }
    }
    if (cd->keep.restart[0] != '\0') {
        say_line("WARNING: the overlay document asks for %s: RESTART this node for that",
                 cd->keep.restart);
    }
    if (overlay_doc_keep_text(&cd->keep).len + AROUND_BYTES > c->config.max_message_bytes) {
        say_line(
            "WARNING: the document does not fit into one message: give it to each node by hand");
    }
    save(cd);
    for (uint32_t i = 0; i < cd->daemon->count; i++) {
        cd->untold[i] = true;
        cd->waits[i] = true;
    }
    tell(cd);
    if (cd->keep.cannot[0] != '\0') {
        say_line("WARNING: this program cannot be a peer under that document: %s: LEAVING",
                 cd->keep.cannot);
        return true;
    }
    if (excludes_us(cd)) {
        say_line("WARNING: the document excludes a peer of this node: LEAVING");
        return true;
    }
    return false;
}

/* ---- what comes ---- */

static uint16_t judge(struct control_document *cd, const struct node_id *from, struct slice xml,
                      bool *must_leave)
{
    char id[IDS_NODE_TEXT_CAP];
    char by[CONTROL_DOCUMENT_FROM_CAP];
    char reason[OVERLAY_DOC_WHY_CAP];
    const struct rl_params params = {.node_id_length = now_of(cd)->node_id_length};
    if (is_busy(cd) || !bucket_take(&cd->bucket, 1, host_now_us())) {
        return CONTENT_ERROR_IN_PROGRESS;
    }
    ids_node_text(from, &params, id);
    enum err e =
        overlay_doc_keep_judge(&cd->keep, xml, OVERLAY_DOC_KEEP_PEER, host_wall_ms(), reason);
    if (e != ERR_OK) {
        say_line("overlay document of node %s refused: %s", id, reason);
        return overlay_doc_accept_code(e);
    }
    (void)snprintf(by, sizeof(by), "node %s", id);
    *must_leave = take_over(cd, from, by);
    return 0;
}

bool control_document_on_mail(struct control_document *cd, uint32_t shard, struct slice bytes)
{
    struct node_id from;
    bool must_leave = false;
    struct admin_request r = {.verb = ADMIN_JUDGED};
    CHECK(bytes.len >= sizeof(from));
    memcpy(&from, bytes.data, sizeof(from));
    r.number = judge(cd, &from, slice_from(bytes, sizeof(from)), &must_leave);
    enum err e = mail(cd, shard, &r);
    (void)e; /* the shard takes another one when this judgement does not come */
    return must_leave;
}

bool control_document_is_in_force(const struct control_document *cd)
{
    struct slice xml = SLICE_EMPTY;
    if (files_read(cd->daemon->setup->config.overlay_document, &xml, NULL) != ERR_OK) {
        return false; /* control_document_reload says why */
    }
    bool is_same = slice_is_equal(xml, overlay_doc_keep_text(&cd->keep));
    files_release(&xml);
    return is_same;
}

enum err control_document_reload(struct control_document *cd, bool *must_leave, char *why)
{
    char by[CONTROL_DOCUMENT_FROM_CAP];
    char reason[OVERLAY_DOC_WHY_CAP];
    struct slice xml = SLICE_EMPTY;
    const char *path = cd->daemon->setup->config.overlay_document;
    *must_leave = false;
    if (is_busy(cd)) {
        return say_why(why, ERR_LIMIT, "another document is being taken over: %s: try again", path);
    }
    enum err e = files_read(path, &xml, NULL);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot read the overlay document: %s: %s", path,
                       e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    e = overlay_doc_keep_judge(&cd->keep, xml, OVERLAY_DOC_KEEP_HAND, host_wall_ms(), reason);
    files_release(&xml);
    if (e != ERR_OK) {
        return say_why(why, e, "overlay document not taken: %s: %s", path, reason);
    }
    (void)snprintf(by, sizeof(by), "reloaded file %s", path);
    *must_leave = take_over(cd, NULL, by);
    return ERR_OK;
}

void control_document_tick(struct control_document *cd)
{
    const struct overlay_doc *doc = overlay_doc_keep_now(&cd->keep);
    tell(cd);
    if (doc->expiration.len > 0 && doc->expiration_ms <= host_wall_ms() && !cd->has_said_expired) {
        say_line("WARNING: overlay document %u has EXPIRED: a newer one is due: fetch it, then "
                 "`chordial ctl reload`",
                 doc->config.sequence);
        cd->has_said_expired = true;
    }
}

void control_document_describe(const struct control_document *cd, struct jot *j)
{
    const struct overlay_doc *doc = overlay_doc_keep_now(&cd->keep);
    jot_add(j, "\"configuration_sequence\":%u,\"configuration_from\":", doc->config.sequence);
    jot_string(j, slice_text(cd->from));
    jot_add(j, ",\"configuration_expires\":");
    jot_string(j, doc->expiration);
    jot_add(j, ",\"configuration_kinds\":%zu,\"restart_needed_for\":", doc->config.kind_count);
    jot_string(j, slice_text(cd->keep.restart));
    jot_add(j, ",");
}
