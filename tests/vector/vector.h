/* SPDX-License-Identifier: Apache-2.0 */
/* vector.h - what the tests of tests/vectors share: reading a file of JSON lines, asking decode and
 * encode about a line.  Run from the top of the tree. */
#pragma once
#include "cmd/wire.h"
#include "codec/show.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { VECTOR_LINE_CAP = 1 << 17 };

struct vector {
    json_t *json;
    const char *name;
    const char *type;
    uint8_t *bytes; /* exact-size heap block */
    size_t len;
    struct wire *wire;
    struct batch_out out;
    struct rl_params params;
    enum stored_model model;
};

static inline uint8_t *vector_unhex(const char *text, size_t *len)
{
    size_t cap = strlen(text) / 2;
    uint8_t *bytes = malloc(cap == 0 ? 1 : cap);
    cr_assert_eq(ids_unhex(slice_text(text), bytes, cap, len), ERR_OK);
    return bytes;
}

static inline const char *vector_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static inline void vector_set_context(struct vector *v)
{
    const json_t *length = json_object_get(v->json, "node_id_length");
    const char *model = vector_text(v->json, "data_model");
    v->params.node_id_length = length == NULL ? 16 : (uint8_t)json_integer_value(length);
    v->params.overlay = 0x9aa32b8d; /* "overlay.example.org" */
    v->model = model[0] == 'a' ? STORED_ARRAY : model[0] == 'd' ? STORED_DICTIONARY : STORED_SINGLE;
}

typedef void (*vector_use)(struct vector *v);

/* Calls `use` for each line of tests/vectors/NAME.jsonl; gives how many there were. */
static inline unsigned vector_each(const char *name, vector_use use)
{
    static char line[VECTOR_LINE_CAP];
    char path[128];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "tests/vectors/%s.jsonl", name);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s: run me from the top of the tree", path);
    struct wire *wire = wire_new();
    struct batch_out out = {0};
    while (fgets(line, sizeof(line), f) != NULL) {
        struct vector v = {.json = json_loads(line, 0, NULL), .wire = wire, .out = out};
        cr_assert_not_null(v.json, "%s line %u", name, count + 1);
        v.name = vector_text(v.json, "name");
        v.type = vector_text(v.json, "type");
        v.bytes = vector_unhex(vector_text(v.json, "hex"), &v.len);
        vector_set_context(&v);
        use(&v);
        out = v.out; /* its buffer may have grown */
        free(v.bytes);
        json_decref(v.json);
        count++;
    }
    (void)fclose(f);
    free(out.text);
    wire_free(wire);
    cr_assert_gt(count, 0);
    return count;
}

static inline void vector_expect_equal(const struct vector *v, const char *what, const json_t *got,
                                       const json_t *want)
{
    if (json_equal(got, want)) {
        return;
    }
    char *got_text = json_dumps(got, JSON_SORT_KEYS);
    char *want_text = json_dumps(want, JSON_SORT_KEYS);
    cr_assert_fail("%s %s\n got %s\nwant %s", v->name, what, got_text, want_text);
}

/* What decode or encode answers to the vector's own line. */
static inline json_t *vector_ask(struct vector *v, batch_one one)
{
    char *line = json_dumps(v->json, 0);
    v->out.len = v->out.begin = 0;
    one(v->wire, slice_text(line), &v->out);
    json_t *answer = json_loadb(v->out.text, v->out.len, 0, NULL);
    cr_assert_not_null(answer, "%s: %.*s", v->name, (int)v->out.len, v->out.text);
    free(line);
    return answer;
}

static inline void vector_good(struct vector *v)
{
    json_t *decoded = vector_ask(v, wire_decode), *encoded = vector_ask(v, wire_encode);
    const json_t *fields = json_object_get(v->json, "fields");
    cr_assert_not_null(fields, "%s", v->name);
    vector_expect_equal(v, "fields", json_object_get(decoded, "fields"), fields);
    cr_assert_str_eq(vector_text(encoded, "hex"), vector_text(v->json, "hex"), "%s", v->name);
    const json_t *body = json_object_get(v->json, "body");
    if (body != NULL) {
        vector_expect_equal(v, "body", json_object_get(decoded, "body"), body);
    }
    const json_t *body_type = json_object_get(v->json, "body_type");
    if (body_type != NULL) {
        vector_expect_equal(v, "body_type", json_object_get(decoded, "body_type"), body_type);
    }
    json_decref(decoded);
    json_decref(encoded);
}
