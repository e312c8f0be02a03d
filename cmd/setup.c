/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/setup.h"
#include "cmd/memory.h"
#include "dht/config_sequence.h"
#include "link/crypto_boring.h"
#include "link/crypto_roots_boring.h"
#include "node/overlay_schema.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DOC_ARENA_BYTES = 512 * 1024 };

/* ---- the overlay document
 * ------------------------------------------------------------------------ */

/* One file with a document. */
struct candidate {
    const char *path;
    struct slice xml;
    void *arena_block;
    struct overlay_doc doc;
};

static void candidate_free(struct candidate *c)
{
    free(c->arena_block);
    files_release(&c->xml);
    c->arena_block = NULL;
}

void setup_received_path(const struct config *c, char out[SETUP_RECEIVED_PATH_CAP])
{
    (void)snprintf(out, SETUP_RECEIVED_PATH_CAP, "%s.received", c->overlay_document);
}

static enum err judge_document(const struct setup *s, struct candidate *c, char *why)
{
    char sentence[OVERLAY_DOC_WHY_CAP];
    const char *reason = "";
    enum err e = overlay_doc_verify_first(&c->doc, crypto_boring(), s->at_ms, &reason);
    if (e != ERR_OK) {
        return say_why(why, e, "overlay document refused: %s: %s; fetch it anew", c->path, reason);
    }
    e = overlay_doc_join_check(&c->doc, s->at_ms, sentence);
    if (e == ERR_EXPIRED) {
        return say_why(why, e, "overlay document has expired: %s: fetch it anew", c->path);
    }
    if (e != ERR_OK) {
        return say_why(why, e, "this program cannot join the overlay: %s: %s", c->path, sentence);
    }
    overlay_doc_accept_kinds(&c->doc, crypto_boring(), s->at_ms);
    return ERR_OK;
}

static enum err load_candidate(const struct setup *s, struct candidate *c, char *why)
{
    char reason[OVERLAY_DOC_WHY_CAP];
    struct arena arena;
    enum err e = files_read(c->path, &c->xml, NULL);
    if (e != ERR_OK) {
        return say_why(why, e,
                       "cannot read the overlay document: %s: %s; copy overlay.xml of `chordial ca "
                       "init` there",
                       c->path, e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    c->arena_block = calloc(1, DOC_ARENA_BYTES);
    if (c->arena_block == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", c->path);
    }
    arena_init(&arena, c->arena_block, DOC_ARENA_BYTES);
    e = overlay_doc_parse(s->schema, c->xml, SLICE_EMPTY, &arena, &c->doc, reason);
    if (e != ERR_OK) {
        return say_why(why, e, "overlay document refused: %s: %s; fetch it anew", c->path, reason);
    }
    return judge_document(s, c, why);
}

/* May the received document stand for the configured one?  It was judged by its forerunner's
 * signers when it came; here it is a file like the other, which needs the same rights to be
 * changed.  A configured one that has expired may be followed by one that has not. */
static bool is_better(const struct candidate *configured, enum err e, struct candidate *received,
                      enum err received_e)
{
    bool is_usable = e == ERR_OK || e == ERR_EXPIRED;
    if (!is_usable || received_e == ERR_NOT_FOUND) {
        return false;
    }
    bool is_newer =
        received->arena_block != NULL &&
        strcmp(configured->doc.config.name, received->doc.config.name) == 0 &&
        config_sequence_is_newer(received->doc.config.sequence, configured->doc.config.sequence);
    /* One that this program cannot meet counts, too: then it must stay away (CF-4). */
    return is_newer && (received_e == ERR_OK || received_e == ERR_UNSUPPORTED);
}

static enum err choose(struct setup *s, struct candidate *configured, struct candidate *received,
                       char *why)
{
    char other[SAY_WHY_CAP];
    enum err e = load_candidate(s, configured, why);
    enum err received_e = load_candidate(s, received, other);
    s->is_received = is_better(configured, e, received, received_e);
    if (!s->is_received && received_e != ERR_OK && received_e != ERR_NOT_FOUND) {
        say_line("WARNING: %s; it is passed over", other);
    }
    if (s->is_received && received_e != ERR_OK) {
        return say_why(why, received_e, "%s", other);
    }
    return s->is_received ? ERR_OK : e;
}

static enum err load_document(struct setup *s, char *why)
{
    char path[SETUP_RECEIVED_PATH_CAP];
    struct candidate *both = calloc(2, sizeof(*both));
    s->schema = overlay_schema_new();
    if (both == NULL || s->schema == NULL) {
        free(both);
        return say_why(why, ERR_NO_MEMORY, "no memory: overlay document: free some");
    }
    setup_received_path(&s->config, path);
    both[0].path = s->config.overlay_document;
    both[1].path = path;
    enum err e = choose(s, &both[0], &both[1], why);
    struct candidate *best = &both[s->is_received ? 1 : 0];
    if (e == ERR_OK) {
        s->xml = best->xml;
        s->arena_block = best->arena_block;
        s->doc = best->doc;
        s->trust = overlay_doc_trust(&s->doc);
        (void)snprintf(s->document_path, sizeof(s->document_path), "%s", best->path);
        *best = (struct candidate){0};
    }
    candidate_free(&both[0]);
    candidate_free(&both[1]);
    free(both);
    return e;
}

/* ---- keystores
 * ----------------------------------------------------------------------------------- */

static enum err load_keystores(struct setup *s, const char *folder, struct keystore **out,
                               size_t *count, char *why)
{
    struct files_list files;
    struct keystore_rules rules = {
        .crypto = crypto_boring(), .trust = &s->trust, .at_ms = s->at_ms};
    enum err e = files_list(folder, ".pem", &files);
    if (e != ERR_OK) {
        return say_why(
            why, e,
            "cannot read a folder of keystores: %s: %s; `peers` and `accounts` name folders",
            folder, say_errno());
    }
    *out = calloc(files.count + 1, sizeof(**out));
    e = *out == NULL ? say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", folder) : ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < files.count; i++) {
        e = keystore_load(files.paths[i], &rules, &(*out)[i], why);
        *count += e == ERR_OK ? 1 : 0;
    }
    files_list_free(&files);
    return e;
}

/* One machine, one user name; each Node-ID once. */
static enum err judge_peers(const struct setup *s, char *why)
{
    const char *folder = s->config.peers;
    for (size_t i = 0; i < s->peer_count; i++) {
        const struct ident *a = &s->peers[i].ident;
        if (overlay_doc_lists(&s->doc.bad_nodes, &a->node_id, s->doc.config.node_id_length)) {
            return say_why(why, ERR_FORBIDDEN,
                           "a peer is excluded by the overlay document: %s: keystore %zu of %s",
                           folder, i + 1, a->user);
        }
        if (strcmp(a->user, s->peers[0].ident.user) != 0) {
            return say_why(why, ERR_CONFIG,
                           "peers under two user names: %s: %s and %s; one machine has one name",
                           folder, s->peers[0].ident.user, a->user);
        }
        for (size_t j = 0; j < i; j++) {
            if (ids_node_is_equal(&a->node_id, &s->peers[j].ident.node_id)) {
                return say_why(why, ERR_CONFIG, "one Node-ID twice: %s: keystores %zu and %zu",
                               folder, j + 1, i + 1);
            }
        }
    }
    return ERR_OK;
}

static enum err choose_shards(struct setup *s, uint32_t cores, char *why)
{
    const struct config *c = &s->config;
    if (s->peer_count == 0) {
        return say_why(why, ERR_CONFIG,
                       "no keystores: %s: chordial ca issue DIR --user host1@%s --out %s", c->peers,
                       s->doc.config.name, c->peers);
    }
    if (c->shards > s->peer_count) {
        return say_why(why, ERR_CONFIG,
                       "shards = %u, but only %zu credentials: %s: chordial ca issue DIR --user %s "
                       "--nodes %u --out NEW, and copy them there",
                       c->shards, s->peer_count, c->peers, s->peers[0].ident.user, c->shards);
    }
    size_t most = min_size(s->peer_count, OVERLAY_SHARDS_CAP);
    s->shards = c->shards != 0 ? c->shards : (uint32_t)min_size(most, max_size(cores, 1));
    return ERR_OK;
}

static int by_user(const void *a, const void *b)
{
    return strcmp(((const struct sip_account *)a)->user, ((const struct sip_account *)b)->user);
}

static enum err fill_accounts(struct setup *s, char *why)
{
    s->sip_accounts = calloc(s->account_count + 1, sizeof(*s->sip_accounts));
    if (s->sip_accounts == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: %s: free some", s->config.accounts);
    }
    for (size_t i = 0; i < s->account_count; i++) {
        const struct keystore *k = &s->accounts[i];
        struct sip_account *a = &s->sip_accounts[i];
        if (k->ha1_md5[0] == '\0' && k->ha1_sha256[0] == '\0') {
            return say_why(why, ERR_CONFIG,
                           "an account without a password: %s: %s; issue it with --password-stdin",
                           s->config.accounts, k->ident.user);
        }
        memcpy(a->user, k->ident.user, sizeof(a->user));
        memcpy(a->ha1_md5, k->ha1_md5, sizeof(a->ha1_md5));
        memcpy(a->ha1_sha256, k->ha1_sha256, sizeof(a->ha1_sha256));
        a->digest = k->has_digest ? k->digest : s->config.digest;
        a->ident = &k->ident;
    }
    if (s->account_count > 1) {
        qsort(s->sip_accounts, s->account_count, sizeof(*s->sip_accounts), by_user);
    }
    for (size_t i = 1; i < s->account_count; i++) {
        if (by_user(&s->sip_accounts[i - 1], &s->sip_accounts[i]) == 0) {
            return say_why(why, ERR_CONFIG,
                           "two credentials of one account: %s: %s; a node takes one of each",
                           s->config.accounts, s->sip_accounts[i].user);
        }
    }
    return ERR_OK;
}

static enum err load_accounts(struct setup *s, char *why)
{
    enum err e = ERR_OK;
    if (s->config.accounts[0] != '\0') {
        e = load_keystores(s, s->config.accounts, &s->accounts, &s->account_count, why);
    }
    return e == ERR_OK ? fill_accounts(s, why) : e;
}

/* ---- all
 * ----------------------------------------------------------------------------------------- */

/* Ports are a base and one for each shard. */
static enum err check_ports(const struct setup *s, char *why)
{
    const struct config *c = &s->config;
    uint32_t last = s->shards - 1;
    uint32_t a = c->overlay.port;
    uint32_t b = c->overlay_sip_port;
    if (a + last > 65535 || b + last > 65535) {
        return say_why(why, ERR_CONFIG,
                       "ports above 65535: overlay-port, overlay-sip-port: %u "
                       "shards need %u ports each",
                       s->shards, s->shards);
    }
    if (a <= b + last && b <= a + last) {
        return say_why(why, ERR_CONFIG,
                       "port ranges overlap: overlay-port %u, overlay-sip-port %u: %u ports each; "
                       "move one",
                       a, b, s->shards);
    }
    return ERR_OK;
}

/* What the pools may come to, against what there is: beyond, the kernel would end the process some
 * day, or at once when it touches its buffers, and say nothing to whoever looks for the reason. */
enum err setup_memory(const struct setup *s, char *why)
{
    enum { MIB = 1024 * 1024 };
    char where[FILES_PATH_CAP];
    size_t count = 0;
    uint64_t wanted = limits_budget(&s->config.limits, NULL, 0, &count) * s->shards;
    uint64_t allowed = memory_allowed("", where);
    if (wanted <= allowed) {
        return ERR_OK;
    }
    return say_why(why, ERR_CONFIG,
                   "more memory than there is: limits: %u shards may take %" PRIu64
                   " MiB, and %s allows %" PRIu64
                   " MiB: lower limits (`chordial check --limits` lists them) or shards, or "
                   "allow more",
                   s->shards, wanted / MIB, where, allowed / MIB);
}

enum err setup_roots(const struct config *c, struct crypto_roots **out, char *why)
{
    struct slice text = SLICE_EMPTY;
    size_t count = 0;
    enum err e = files_read(c->foreign_ca, &text, NULL);
    if (e != ERR_OK) {
        return say_why(why, e, "cannot read foreign-ca: %s: %s", c->foreign_ca,
                       e == ERR_TOO_LARGE ? err_text(e) : say_errno());
    }
    e = crypto_roots_boring_load(text, out, &count);
    files_release(&text);
    return e == ERR_OK ? e
                       : say_why(why, e,
                                 "no certificates in PEM: foreign-ca: %s: the authorities whom TLS "
                                 "to other domains believes (Debian: ca-certificates)",
                                 c->foreign_ca);
}

enum err setup_load(const char *path, uint64_t at_ms, uint32_t cores, struct setup *out, char *why)
{
    memset(out, 0, sizeof(*out));
    out->at_ms = at_ms;
    enum err e = config_load(path, &out->config, why);
    if (e == ERR_OK) {
        e = load_document(out, why);
    }
    if (e == ERR_OK) {
        e = load_keystores(out, out->config.peers, &out->peers, &out->peer_count, why);
    }
    if (e == ERR_OK) {
        e = judge_peers(out, why);
    }
    if (e == ERR_OK) {
        e = choose_shards(out, cores, why);
    }
    if (e == ERR_OK) {
        e = load_accounts(out, why);
    }
    if (e == ERR_OK) {
        e = sip_cert_load(&out->config, out->doc.config.name, at_ms, &out->sip_cert, why);
    }
    if (e == ERR_OK) {
        e = check_ports(out, why);
    }
    if (e == ERR_OK && out->config.foreign && out->config.foreign_ca[0] != '\0') {
        struct crypto_roots *trial = NULL;
        e = setup_roots(&out->config, &trial, why);
        crypto_roots_boring_free(trial);
    }
    if (e != ERR_OK) {
        setup_free(out);
    }
    return e;
}

void setup_free(struct setup *s)
{
    for (size_t i = 0; i < s->peer_count; i++) {
        keystore_free(&s->peers[i]);
    }
    for (size_t i = 0; i < s->account_count; i++) {
        keystore_free(&s->accounts[i]);
    }
    sip_cert_free(&s->sip_cert);
    free(s->peers);
    free(s->accounts);
    free(s->sip_accounts);
    free(s->arena_block);
    overlay_schema_free(s->schema);
    files_release(&s->xml);
    memset(s, 0, sizeof(*s));
}
