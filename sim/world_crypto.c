/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world_crypto.h"
#include "core/hash.h"
#include "link/crypto_issue.h"
#include "sim/world_impl.h"
#include <stdio.h>

enum { SEED_BYTES = 32, NODE_ID_BYTES = 16 };
#define LIFE_MS (365ULL * 24 * 3600 * 1000)

struct made {
    struct crypto_key *key;
    uint8_t certificate[WORLD_CRYPTO_REAL_CERTIFICATE];
};

struct world_crypto {
    struct made root;
    struct made *made; /* of nodes, accounts and phones, as they came */
    uint32_t count, cap;
    struct tls_real_table table;
    struct tls_real_context *contexts; /* of nodes */
    size_t sealed;                     /* in this turn; its bytes are in the outbox */
};

static uint32_t tls_cap(const struct world_settings *s)
{
    enum { SIP_PEERS = 96 }; /* TLS objects for SIP between nodes */
    return 2 * net_conns_cap(s->nodes) + (s->phones.count > 0 ? s->nodes * SIP_PEERS : 0);
}

/* Their certificates, and some that nobody has issued. */
static uint32_t tls_peers(const struct world_settings *s)
{
    return s->nodes + s->accounts + 64;
}

static uint32_t idents_cap(const struct world_settings *s)
{
    return s->nodes + s->accounts + s->phones.count * WORLD_PHONES_HOMES;
}

uint32_t world_crypto_certificate_bytes(const struct world_settings *s)
{
    return s->is_real ? WORLD_CRYPTO_REAL_CERTIFICATE : CRYPTO_FAKE_CERTIFICATE_BYTES;
}

size_t world_crypto_bytes(const struct world_settings *s)
{
    if (!s->is_real) {
        return tls_fake_table_bytes(tls_cap(s), tls_peers(s));
    }
    return sizeof(struct world_crypto) + idents_cap(s) * sizeof(struct made) +
           s->nodes * sizeof(struct tls_real_context) + tls_real_table_bytes(tls_cap(s)) + 512;
}

/* ---- a real world ---- */

/* PKCS#8 (RFC 8410 7) around the 32 bytes that an Ed25519 key is. */
static struct crypto_key *draw_key(struct rng *rng)
{
    uint8_t der[16 + SEED_BYTES] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                    0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    struct crypto_key *key = NULL;
    rng_fill(rng, der + 16, SEED_BYTES);
    enum err e = crypto_boring_key_load(slice_of(der, sizeof(der)), &key);
    CHECK(e == ERR_OK);
    return key;
}

static struct slice issue(struct world *w, struct made *out, struct crypto_issue *what)
{
    uint8_t serial[CRYPTO_ISSUE_SERIAL_BYTES];
    size_t len = 0;
    rng_fill(&w->identity_rng, serial, sizeof(serial));
    what->serial = serial;
    what->overlay_name = slice_text(w->settings.config.name);
    what->not_before_ms = w->settings.start_wall_ms - 3600000;
    what->not_after_ms = w->settings.start_wall_ms + LIFE_MS;
    enum err e = crypto_issue_certificate(what, out->certificate, sizeof(out->certificate), &len);
    CHECK(e == ERR_OK);
    return slice_of(out->certificate, len);
}

static void random_of_world(const struct crypto *self, void *out, size_t len)
{
    rng_fill(self->state, out, len);
}

static void make_root(struct world *w)
{
    struct made *root = &w->real->root;
    root->key = draw_key(&w->identity_rng);
    struct crypto_issue what = {.issuer_key = root->key,
                                .common_name = SLICE_LITERAL("the root of sim.example"),
                                .is_ca = true};
    w->root = issue(w, root, &what);
}

/* What a node says and hears: the first is accounted for, the second tells the run. */
static void hear(void *of, const struct tls_real_plain *what)
{
    struct world *w = of;
    if (what->is_heard) {
        uint64_t seen[3] = {w->now_us, what->node, w->fingerprint};
        w->fingerprint = hash_64(slice_of(seen, sizeof(seen)), hash_64(what->plain, 0));
    } else if (!what->is_datagram && what->sealed_bytes > 0) {
        account_plain(&w->net.account, what->plain, what->sealed_bytes);
        w->real->sealed += what->sealed_bytes;
    }
}

static void make_real(struct arena *arena, struct world *w)
{
    const struct world_settings *s = &w->settings;
    struct world_crypto *r = ARENA_ARRAY(arena, struct world_crypto, 1);
    w->real = r;
    r->cap = idents_cap(s);
    r->made = ARENA_ARRAY(arena, struct made, r->cap);
    r->contexts = ARENA_ARRAY(arena, struct tls_real_context, s->nodes);
    tls_real_table_init(&r->table, arena, tls_cap(s));
    r->table.ear = hear;
    r->table.ear_of = w;
    w->crypto = *crypto_boring();
    w->crypto.random = random_of_world;
    w->crypto.state = &w->crypto_rng;
    make_root(w);
}

static void make_real_ident(struct world *w, struct world_ident *out)
{
    struct world_crypto *r = w->real;
    CHECK(r->count < r->cap);
    struct made *made = &r->made[r->count++];
    struct ident *id = &out->ident;
    uint8_t node_ids[1][20] = {{0}};
    uint8_t public_key[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    made->key = draw_key(&w->identity_rng);
    memcpy(node_ids[0], id->node_id.bytes, NODE_ID_BYTES);
    enum err e = crypto_boring_key_public(made->key, public_key, sizeof(public_key), &len);
    CHECK(e == ERR_OK);
    struct crypto_issue what = {.issuer_certificate = w->root,
                                .issuer_key = r->root.key,
                                .public_key = slice_of(public_key, len),
                                .user = slice_of(id->user, id->user_len),
                                .node_ids = (const uint8_t(*)[20])node_ids,
                                .node_id_count = 1,
                                .node_id_length = NODE_ID_BYTES};
    id->certificate = issue(w, made, &what);
    id->key = made->key;
}

/* The context of a node is made when it starts for the first time, and serves all its lives. */
static struct tls_real_context *context_of(struct world *w, uint32_t i)
{
    struct tls_real_context *c = &w->real->contexts[i];
    const struct ident *id = &w->idents[i].ident;
    if (c->credential == NULL) {
        *c = (struct tls_real_context){.table = &w->real->table, .node = i};
        enum err e = tls_boring_context_new(id->certificate, NULL, 0, id->key, &c->credential);
        CHECK(e == ERR_OK);
    }
    return c;
}

void world_crypto_end(struct world *w)
{
    struct world_crypto *r = w->real;
    if (r == NULL) {
        return;
    }
    for (uint32_t i = 0; i < w->settings.nodes; i++) {
        tls_boring_context_free(r->contexts[i].credential);
        r->contexts[i].credential = NULL;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        crypto_boring_key_free(r->made[i].key);
    }
    r->count = 0;
    crypto_boring_key_free(r->root.key);
    crypto_boring_end_thread();
}

/* ---- either ---- */

void world_crypto_init(struct arena *arena, struct world *w)
{
    if (w->settings.is_real) {
        make_real(arena, w);
        return;
    }
    w->root = SLICE_LITERAL("the root of sim.example");
    crypto_fake_init(&w->crypto, &w->crypto_rng);
    tls_fake_table_init(&w->tls, arena, tls_cap(&w->settings), tls_peers(&w->settings));
}

static void make_fake_ident(struct world *w, struct world_ident *out)
{
    struct ident *id = &out->ident;
    struct crypto_fake_names names = {.user = slice_of(id->user, id->user_len),
                                      .node_id = id->node_id.bytes,
                                      .not_before_ms = id->not_before_ms,
                                      .not_after_ms = id->not_after_ms};
    crypto_fake_issue(w->root, &out->key, &names, out->certificate);
    id->certificate = slice_of(out->certificate, sizeof(out->certificate));
    id->key = (const struct crypto_key *)(const void *)&out->key;
}

void world_crypto_make_ident(struct world *w, struct world_ident *out, const char *user,
                             const struct node_id *given)
{
    struct ident *id = &out->ident;
    (void)snprintf(id->user, sizeof(id->user), "%s", user);
    id->user_len = strlen(id->user);
    id->algorithm = CRYPTO_ED25519;
    id->not_before_ms = w->settings.start_wall_ms - 3600000;
    id->not_after_ms = w->settings.start_wall_ms + LIFE_MS;
    crypto_fake_key_make(&out->key, &w->identity_rng); /* drawn in both: the Node-IDs are alike */
    rng_fill(&w->identity_rng, id->node_id.bytes, NODE_ID_BYTES);
    id->node_id = given == NULL ? id->node_id : *given;
    if (w->settings.is_real) {
        make_real_ident(w, out);
    } else {
        make_fake_ident(w, out);
    }
    w->crypto.sha256(id->certificate, id->certificate_sha256);
}

void world_crypto_settings(struct world *w, uint32_t i, struct node_settings *out)
{
    struct world_node *n = &w->nodes[i];
    if (w->settings.is_real) {
        out->tls = tls_real_ops();
        out->tls_context = context_of(w, i);
        return;
    }
    n->tls =
        (struct tls_fake_context){.table = &w->tls, .certificate = w->idents[i].ident.certificate};
    out->tls = tls_fake_ops();
    out->tls_context = &n->tls;
}

void world_crypto_bury(struct world *w, uint32_t i)
{
    if (w->settings.is_real) {
        tls_real_bury(&w->real->contexts[i]);
    } else {
        tls_fake_bury(&w->nodes[i].tls);
    }
}

uint32_t world_crypto_in_use(const struct world *w)
{
    return w->settings.is_real ? w->real->table.connections.in_use : tls_fake_in_use(&w->tls);
}

void world_crypto_account(struct world *w, struct slice bytes)
{
    if (!w->settings.is_real) {
        account_stream(&w->net.account, bytes);
        return;
    }
    size_t sealed = min_size(bytes.len, w->real->sealed);
    w->real->sealed -= sealed;
    account_handshake(&w->net.account, bytes.len - sealed);
}

void world_crypto_turn_over(struct world *w)
{
    if (w->settings.is_real) {
        w->real->sealed = 0;
    }
}

bool world_crypto_is_told_by_bytes(const struct world *w, const struct io_event *event)
{
    bool is_link = event->kind == IO_STREAM ||
                   (event->kind == IO_DATAGRAM && event->listener == IO_LISTEN_OVERLAY_UDP);
    return !w->settings.is_real || !is_link;
}
