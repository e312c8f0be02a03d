/* SPDX-License-Identifier: Apache-2.0 */
/* A document is turned into the JSON of tests/vectors/README.md and compared as a whole, so that a
 * value too many is noticed as well as one too few. */
#include "tests/vector/run_config.h"
#include "codec/secblock.h"
#include "link/crypto_boring.h"
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"
#include <stdio.h>
#include <stdlib.h>

enum { DER_TEXT_CAP = 2 * CRYPTO_SHA256_BYTES + 1 };

/* ---- documents ---- */

/* A document in memory of its own. */
struct loaded {
    struct overlay_schema *schema;
    struct overlay_doc *doc;
    struct arena arena;
    struct slice xml;
    char why[OVERLAY_DOC_WHY_CAP];
};

static void unload(struct loaded *l)
{
    overlay_schema_free(l->schema);
    free(l->doc);
    free(l->arena.base);
}

static bool load(struct loaded *l, const char *xml, size_t len)
{
    size_t room = len + OVERLAY_DOC_ARENA_EXTRA;
    *l = (struct loaded){.schema = overlay_schema_new(), .xml = slice_of(xml, len)};
    l->doc = malloc(sizeof(*l->doc));
    void *block = malloc(room);
    arena_init(&l->arena, block, block == NULL ? 0 : room);
    return l->schema != NULL && l->doc != NULL && block != NULL;
}

static bool load_vector(struct loaded *l, const json_t *v, char *why, size_t cap)
{
    const json_t *xml = json_object_get(v, "xml");
    *l = (struct loaded){.schema = NULL};
    if (!json_is_string(xml)) {
        return run_base_fail(why, cap, "the vector has no xml");
    }
    return load(l, json_string_value(xml), json_string_length(xml))
               ? true
               : run_base_fail(why, cap, "no memory");
}

static enum err parse_at(struct loaded *l, size_t position)
{
    l->arena.used = 0;
    return overlay_doc_parse_at(l->schema, l->xml, position, &l->arena, l->doc, l->why);
}

/* ---- config: a document as JSON ---- */

static json_t *json_slice(struct slice s)
{
    return json_stringn(s.len == 0 ? "" : (const char *)s.data, s.len);
}

static json_t *json_hash(struct slice bytes)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    char text[DER_TEXT_CAP];
    crypto_boring()->sha256(bytes, digest);
    return json_string(ids_hex(slice_of(digest, sizeof(digest)), text));
}

static json_t *json_list(const struct overlay_doc_list *list)
{
    json_t *all = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_array_append_new(all, json_slice(list->texts[i]));
    }
    return all;
}

static json_t *json_ids(const struct overlay_doc_ids *ids)
{
    json_t *all = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        char text[IDS_NODE_TEXT_CAP];
        json_array_append_new(
            all, json_string(ids_hex(slice_of(ids->ids[i].bytes, ids->lens[i]), text)));
    }
    return all;
}

static json_t *json_bootstrap(const struct overlay_doc *d)
{
    json_t *all = json_array();
    for (size_t i = 0; i < d->bootstrap_count; i++) {
        char host[ADDRESS_TEXT_CAP];
        json_array_append_new(all, json_pack("{s:s, s:i}", "address",
                                             address_host_text(&d->bootstrap[i], host), "port",
                                             d->bootstrap[i].port));
    }
    return all;
}

static json_t *json_kinds(const struct overlay_doc *d)
{
    json_t *all = json_array();
    for (size_t i = 0; i < d->kind_count; i++) {
        const struct overlay_doc_kind *k = &d->kinds[i];
        json_t *o = json_pack("{s:o, s:o, s:I, s:I}", "data_model", json_slice(k->data_model),
                              "access_control", json_slice(k->access_control), "max_count",
                              (json_int_t)k->max_count, "max_size", (json_int_t)k->max_size_bytes);
        if (k->name.len > 0) {
            json_object_set_new(o, "name", json_slice(k->name));
        } else {
            json_object_set_new(o, "id", json_integer(k->id));
        }
        if (k->max_node_multiple != 0) {
            json_object_set_new(o, "max_node_multiple", json_integer(k->max_node_multiple));
        }
        json_array_append_new(all, o);
    }
    return all;
}

static void set_scalars(json_t *o, const struct overlay_doc *d)
{
    const struct overlay_config *c = &d->config;
    const struct {
        const char *name;
        json_int_t value;
    } numbers[] = {
        {"node_id_length", c->node_id_length},
        {"turn_density", d->turn_density},
        {"chord_update_interval", c->chord_update_interval_s},
        {"chord_ping_interval", c->chord_ping_interval_s},
        {"max_message_size", c->max_message_bytes},
        {"initial_ttl", c->initial_ttl},
        {"overlay_reliability_timer", c->reliability_timer_ms},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        json_object_set_new(o, numbers[i].name, json_integer(numbers[i].value));
    }
    json_object_set_new(o, "clients_permitted", json_boolean(d->clients_permitted));
    json_object_set_new(o, "no_ice", json_boolean(c->no_ice));
    json_object_set_new(o, "chord_reactive", json_boolean(c->chord_reactive));
}

static json_t *json_of(const struct overlay_doc *d)
{
    json_t *o = json_object();
    json_t *roots = json_array();
    for (size_t i = 0; i < d->root_count; i++) {
        json_array_append_new(roots, json_hash(d->roots[i]));
    }
    set_scalars(o, d);
    json_object_set_new(o, "instance_name", json_string(d->config.name));
    json_object_set_new(o, "sequence",
                        d->has_sequence ? json_integer(d->config.sequence) : json_null());
    json_object_set_new(o, "expiration",
                        d->expiration.len > 0 ? json_slice(d->expiration) : json_null());
    json_object_set_new(o, "topology_plugin", json_slice(d->topology));
    json_object_set_new(o, "root_certs", roots);
    json_object_set_new(o, "enrollment_servers", json_list(&d->enrollment_servers));
    json_object_set_new(o, "self_signed_permitted",
                        d->has_self_signed
                            ? json_pack("{s:b, s:s}", "value", d->self_signed_permitted, "digest",
                                        d->self_signed_sha256 ? "sha256" : "sha1")
                            : json_null());
    json_object_set_new(o, "bootstrap_nodes", json_bootstrap(d));
    json_object_set_new(o, "shared_secret",
                        d->has_shared_secret ? json_slice(d->shared_secret) : json_null());
    json_object_set_new(o, "overlay_link_protocols", json_list(&d->link_protocols));
    json_object_set_new(o, "kind_signers", json_ids(&d->kind_signers));
    json_object_set_new(o, "configuration_signers", json_ids(&d->configuration_signers));
    json_object_set_new(o, "bad_nodes", json_ids(&d->bad_nodes));
    json_object_set_new(o, "mandatory_extensions", json_list(&d->mandatory_extensions));
    json_object_set_new(o, "kinds", json_kinds(d));
    return o;
}

/* An address is compared as what it means: 2001:DB8::1 is 2001:db8::1 (RFC 5952). */
static json_t *normalised(const json_t *expect)
{
    json_t *copy = json_deep_copy(expect);
    json_t *nodes = json_object_get(copy, "bootstrap_nodes");
    size_t i = 0;
    json_t *node = NULL;
    json_array_foreach(nodes, i, node)
    {
        struct address a;
        char host[ADDRESS_TEXT_CAP];
        if (address_parse(slice_text(run_base_text(node, "address")), 0, &a) == ERR_OK) {
            json_object_set_new(node, "address", json_string(address_host_text(&a, host)));
        }
    }
    return copy;
}

/* Where two objects differ. */
static void say_difference(const json_t *got, const json_t *expect, char *why, size_t cap)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_t *mutable = json_copy((json_t *)(uintptr_t)expect);
    json_object_foreach(mutable, key, value)
    {
        const json_t *ours = json_object_get(got, key);
        if (ours == NULL || !json_equal(ours, value)) {
            char *a = json_dumps(ours, JSON_ENCODE_ANY | JSON_COMPACT);
            char *b = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            run_base_fail(why, cap, "%s: is %s, expected %s", key, a == NULL ? "missing" : a, b);
            free(a);
            free(b);
            break;
        }
    }
    if (key == NULL && json_object_size(got) != json_object_size(mutable)) {
        run_base_fail(why, cap, "%zu values instead of %zu", json_object_size(got),
                      json_object_size(mutable));
    }
    json_decref(mutable);
}

static bool compare_all(struct loaded *l, const json_t *expect, char *why, size_t cap)
{
    size_t count = json_array_size(expect);
    for (size_t i = 0; i < count; i++) {
        enum err e = parse_at(l, i);
        if (e != ERR_OK) {
            return run_base_fail(why, cap, "configuration %zu: refused: %s", i, l->why);
        }
        json_t *got = json_of(l->doc);
        json_t *wanted = normalised(json_array_get(expect, i));
        bool same = json_equal(got, wanted);
        if (!same) {
            run_base_fail(why, cap, "configuration %zu: differs", i);
            say_difference(got, wanted, why, cap);
        }
        json_decref(got);
        json_decref(wanted);
        if (!same) {
            return false;
        }
    }
    return parse_at(l, count) == ERR_NOT_FOUND
               ? true
               : run_base_fail(why, cap, "more configurations than the %zu expected", count);
}

/* What the schema alone says: `relaxng`, and `schema` in a line of our own. */
static bool check_schema(const struct loaded *l, const json_t *v, char *why, size_t cap)
{
    char said[OVERLAY_DOC_WHY_CAP] = "";
    const json_t *relaxng = json_object_get(v, "relaxng"), *schema = json_object_get(v, "schema");
    const char *word = run_base_text(v, "relaxng");
    bool is_word = strcmp(word, "accepts") == 0 || strcmp(word, "rejects") == 0;
    if ((relaxng != NULL && !is_word) || (schema != NULL && !json_is_boolean(schema))) {
        return run_base_fail(why, cap, "relaxng or schema: not understood");
    }
    bool accepts = (relaxng != NULL || schema != NULL) &&
                   overlay_schema_accepts(l->schema, l->xml, said, sizeof(said));
    if ((relaxng != NULL && accepts != (*word == 'a')) ||
        (schema != NULL && accepts != json_is_true(schema))) {
        return run_base_fail(why, cap, "the schema %s%s%s", accepts ? "accepts" : "rejects",
                             accepts ? "" : ": ", said);
    }
    return true;
}

bool run_config_good(const json_t *v, char *why, size_t cap)
{
    struct loaded l;
    const json_t *expect = json_object_get(v, "expect");
    bool ok = load_vector(&l, v, why, cap);
    if (ok && json_array_size(expect) == 0) {
        ok = run_base_fail(why, cap, "the vector expects nothing");
    }
    if (ok && json_object_get(v, "verdict") != NULL) {
        ok = run_base_fail(why, cap, "valid, and a verdict that it is not");
    }
    ok = ok && compare_all(&l, expect, why, cap) && check_schema(&l, v, why, cap);
    unload(&l);
    return ok;
}

/* ---- config_bad ---- */

static enum err parse_all(struct loaded *l)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK; i++) {
        e = parse_at(l, i);
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

bool run_config_bad(const json_t *v, char *why, size_t cap)
{
    struct loaded l;
    bool ok = load_vector(&l, v, why, cap);
    if (ok && strcmp(run_base_text(v, "verdict"), "reject") != 0) {
        ok = run_base_fail(why, cap, "verdict: not understood");
    }
    if (ok && parse_all(&l) == ERR_OK) {
        bool is_advice = strcmp(run_base_text(v, "strength"), "advisory") == 0;
        ok = is_advice ? run_base_differs(v, why, cap, "taken")
                       : run_base_fail(why, cap, "taken, but: %s", run_base_text(v, "why"));
    }
    ok = ok && check_schema(&l, v, why, cap);
    unload(&l);
    return ok;
}

/* ---- config_signature ---- */

static bool read_signers(const json_t *list, struct overlay_doc_ids *out)
{
    size_t i = 0;
    json_t *id = NULL;
    *out = (struct overlay_doc_ids){.count = 0};
    json_array_foreach(list, i, id)
    {
        size_t len = 0;
        const char *text = json_string_value(id);
        if (i == OVERLAY_DOC_IDS_CAP || text == NULL ||
            ids_unhex(slice_text(text), out->ids[i].bytes, IDS_NODE_MAX, &len) != ERR_OK) {
            return false;
        }
        out->lens[i] = (uint8_t)len;
        out->count++;
    }
    return out->count > 0;
}

/* Whose signatures count: `terms` and what the vector lists.  The certificates of these vectors are
 * of one overlay, whatever the document is of. */
struct signing {
    struct verify_terms terms;
    struct overlay_doc_ids allowed;
    struct overlay_doc_signers signers;
};

static bool read_signing(const json_t *v, struct signing *out, char *why, size_t cap)
{
    const char *name = run_base_text(v, "overlay_name");
    if (!run_base_terms(v, run_base_text(v, "trust"), &out->terms)) {
        return run_base_fail(why, cap, "no root certificate has been shown");
    }
    if (!read_signers(json_object_get(v, "configuration_signers"), &out->allowed)) {
        return run_base_fail(why, cap, "the vector's configuration_signers are no Node-IDs");
    }
    out->signers = (struct overlay_doc_signers){
        .trust = {.roots = out->terms.roots,
                  .root_count = out->terms.root_count,
                  .overlay_name = slice_text(*name != '\0' ? name : "overlay.example.org"),
                  .node_id_length = out->allowed.lens[0]},
        .allowed = &out->allowed};
    return true;
}

static bool judge_signature(struct loaded *l, const json_t *v, const struct signing *s, char *why,
                            size_t cap)
{
    const char *reason = "";
    const char *hash = run_base_text(v, "blob_sha256");
    const json_t *valid = json_object_get(v, "signature_valid");
    if (!json_is_boolean(valid)) {
        return run_base_fail(why, cap, "the vector does not say whether it is valid");
    }
    if (parse_at(l, 0) != ERR_OK) {
        return run_base_fail(why, cap, "refused: %s", l->why);
    }
    json_t *ours = json_hash(l->doc->configuration);
    bool is_same = *hash == '\0' || strcmp(json_string_value(ours), hash) == 0;
    json_decref(ours);
    if (!is_same) {
        return run_base_fail(why, cap, "the signed bytes are others than those of %s", hash);
    }
    enum err e = overlay_doc_verify(l->doc, &s->signers, crypto_boring(), s->terms.at_ms, &reason);
    return (e == ERR_OK) == json_is_true(valid)
               ? true
               : run_base_fail(why, cap, "%s",
                               e == ERR_OK ? "the signature holds, but should not" : reason);
}

/* Does the first signature of `doc` hold over its bytes, with its SignerIdentity behind them? */
static bool holds_with_identity(const struct overlay_doc *doc, const struct signing *s)
{
    struct secblock block;
    struct node_id signer;
    const char *reason = "";
    size_t room = doc->configuration.len + SECBLOCK_IDENTITY_BYTES_MAX;
    uint8_t *input = malloc(room);
    bool holds = input != NULL && doc->signature_count > 0 &&
                 secblock_decode(doc->signatures[0], &block) == ERR_OK;
    if (holds) {
        struct wr w = wr_init(input, room);
        wr_bytes(&w, doc->configuration);
        secblock_wr_identity(&w, &block.signature.identity);
        holds = wr_ok(&w) && overlay_doc_verify_block(doc->signatures[0], wr_slice(&w), &s->signers,
                                                      crypto_boring(), s->terms.at_ms, &signer,
                                                      &reason) == ERR_OK;
    }
    free(input);
    return holds;
}

/* The document with the other form of the signature in the place of its own. */
static bool refuses_other_form(const struct loaded *l, const json_t *v, const struct signing *s,
                               char *why, size_t cap)
{
    static const char begin[] = "<signature>";
    const char *xml = (const char *)l->xml.data;
    const char *other = run_base_text(v, "alt_signature_block_b64");
    const char *at = strstr(xml, begin);
    const char *end = at == NULL ? NULL : strstr(at, "</signature>");
    const char *reason = "";
    struct loaded changed;
    if (*other == '\0') {
        return true;
    }
    if (end == NULL) {
        return run_base_fail(why, cap, "the vector's document has no <signature>");
    }
    size_t head = (size_t)(at - xml) + sizeof(begin) - 1;
    size_t len = head + strlen(other) + strlen(end);
    char *text = malloc(len + 1);
    if (text == NULL) {
        return run_base_fail(why, cap, "no memory");
    }
    (void)snprintf(text, len + 1, "%.*s%s%s", (int)head, xml, other, end);
    bool ok = load(&changed, text, len) && parse_at(&changed, 0) == ERR_OK;
    if (!ok) {
        run_base_fail(why, cap, "the other form: refused before its signature: %s", changed.why);
    } else if (overlay_doc_verify(changed.doc, &s->signers, crypto_boring(), s->terms.at_ms,
                                  &reason) == ERR_OK) {
        ok = run_base_fail(why, cap, "a signature over bytes and SignerIdentity is taken");
    } else if (!holds_with_identity(changed.doc, s)) {
        ok = run_base_fail(why, cap, "the other form is not over bytes and SignerIdentity");
    }
    unload(&changed);
    free(text);
    return ok;
}

bool run_config_signature(const json_t *v, char *why, size_t cap)
{
    static struct signing s;
    struct loaded l;
    bool ok = load_vector(&l, v, why, cap) && read_signing(v, &s, why, cap) &&
              judge_signature(&l, v, &s, why, cap) && refuses_other_form(&l, v, &s, why, cap);
    unload(&l);
    return ok;
}

/* ---- any ---- */

bool run_config_knows(const char *type)
{
    return strcmp(type, "OverlayConfiguration") == 0 || strcmp(type, "SignedConfiguration") == 0;
}

bool run_config(const json_t *v, char *why, size_t cap)
{
    if (strcmp(run_base_text(v, "type"), "SignedConfiguration") == 0) {
        return run_config_signature(v, why, cap);
    }
    return json_is_true(json_object_get(v, "valid")) ? run_config_good(v, why, cap)
                                                     : run_config_bad(v, why, cap);
}
