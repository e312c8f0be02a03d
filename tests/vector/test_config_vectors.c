/* SPDX-License-Identifier: Apache-2.0 */
/* test_config_vectors.c - beyond what test_vectors.c runs: the runners of configuration documents
 * notice what is changed, and reading a document is one thing, joining its overlay another
 * (RFC 6940 11.1).  Run from the top of the tree. */
#include "node/overlay_doc.h"
#include "node/overlay_schema.h"
#include "tests/vector/run_config.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { WHY_CAP = 1024 };

static char problem[WHY_CAP];

static void each(const char *name, void (*use)(void *, const json_t *, int))
{
    char path[128];
    (void)snprintf(path, sizeof(path), "tests/vectors/%s.jsonl", name);
    int count = run_base_each(path, use, NULL, problem, sizeof(problem));
    cr_assert_gt(count, 0, "%s: run me from the top of the tree", problem);
}

static void learn(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    run_base_learn(v);
}

/* ---- the runners notice ---- */

static void replace(json_t *v, const char *key, const char *from, const char *to)
{
    char text[1 << 16];
    const char *old = run_base_text(v, key);
    const char *at = strstr(old, from);
    cr_assert_not_null(at, "%s", from);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - old), old, to, at + strlen(from));
    json_object_set_new(v, key, json_string(text));
}

static void expect_noticed(json_t *v, const char *what)
{
    char why[WHY_CAP] = "";
    cr_expect_not(run_config(v, why, sizeof(why)), "%s", what);
    cr_expect_neq(why[0], '\0', "%s: says nothing", what);
}

static void spoil_config(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    if (strcmp(run_base_text(v, "name"), "config.rfc-example") != 0) {
        return;
    }
    static const char *const changes[][2] = {
        {"sequence=\"22\"", "sequence=\"23\""},
        {"> 20 <", "> 21 <"},
        {"192.0.2.2", "192.0.2.3"},
        {"<max-size>100<", "<max-size>101<"},
        {"YmFkIGNlcnQK", "YmFkIGNlcnQL"},
        {"> password <", ">password <"},
        {"<overlay-link-protocol>TLS<", "<overlay-link-protocol>TLT<"},
        {"47112162e84c69ba", "47112162e84c69bb"},
        {"</overlay>", "<configuration instance-name=\"third\"/></overlay>"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        json_t *copy = json_deep_copy(v);
        replace(copy, "xml", changes[i][0], changes[i][1]);
        expect_noticed(copy, changes[i][1]);
        json_decref(copy);
    }
    json_t *copy = json_deep_copy(v);
    json_object_del(json_array_get(json_object_get(copy, "expect"), 0), "no_ice");
    expect_noticed(copy, "a value that nobody expects");
    json_decref(copy);
}

static void spoil_bad(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    if (strcmp(run_base_text(v, "name"), "config.bad.density-256") == 0) {
        json_t *copy = json_deep_copy(v);
        replace(copy, "xml", "256", "255");
        expect_noticed(copy, "a good document among the bad ones");
        json_decref(copy);
    }
}

static void spoil_signature(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    if (strcmp(run_base_text(v, "name"), "configsig.good.p0") != 0) {
        return;
    }
    json_t *copy = json_deep_copy(v);
    replace(copy, "xml", "<initial-ttl>", "<initial-ttl> ");
    expect_noticed(copy, "a blank too many");
    json_decref(copy);
    copy = json_deep_copy(v);
    json_object_set(copy, "signature_valid", json_false());
    expect_noticed(copy, "a valid signature that should not be");
    json_decref(copy);
    copy = json_deep_copy(v);
    json_object_set_new(copy, "blob_sha256", json_string("00"));
    expect_noticed(copy, "other bytes");
    json_decref(copy);
    copy = json_deep_copy(v);
    replace(copy, "alt_signature_block_b64", "A1UA", "A1UB");
    expect_noticed(copy, "an alternative that is none");
    json_decref(copy);
}

Test(config_vectors, a_changed_vector_is_noticed)
{
    each("config", spoil_config);
    each("config_bad", spoil_bad);
    each("certificate", learn);
    each("config_signature", spoil_signature);
}

/* ---- reading is one thing, joining another (A-15) ---- */

static void check_join(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    static uint8_t block[1 << 17];
    static struct overlay_doc doc;
    char why[OVERLAY_DOC_WHY_CAP];
    struct arena arena;
    struct overlay_schema *schema = overlay_schema_new();
    arena_init(&arena, block, sizeof(block));
    enum err e = overlay_doc_parse(schema, slice_text(run_base_text(v, "xml")), SLICE_EMPTY, &arena,
                                   &doc, why);
    overlay_schema_free(schema);
    cr_assert_eq(e, ERR_OK, "%s: %s", run_base_text(v, "name"), why);
    e = overlay_doc_join_check(&doc, 0, why);
    bool can = doc.config.node_id_length == 16 && doc.mandatory_extensions.count == 0 &&
               doc.config.no_ice && !doc.has_shared_secret && doc.config.max_message_bytes <= 65535;
    cr_expect_eq(e, can ? ERR_OK : ERR_UNSUPPORTED, "%s: %s", run_base_text(v, "name"), why);
}

Test(config_vectors, what_can_be_joined)
{
    each("config", check_join);
}
