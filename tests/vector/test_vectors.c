/* SPDX-License-Identifier: Apache-2.0 */
/* test_vectors.c - codec/ against the golden vectors in tests/vectors/ (see the README there).
 *
 * Structures go through cmd/wire, as a line of `chordial decode --batch` and `encode --batch` does.
 * Good ones: bytes -> fields as described, fields -> the same bytes.  Bad ones: refused.  All of
 * them, cut at every length: refused, from a heap block of exactly that size, so that an
 * AddressSanitizer build sees any look behind the end.  Run from the top of the tree. */
#include "cmd/wire.h"
#include "codec/content.h"
#include "codec/frame.h"
#include "codec/secblock.h"
#include "codec/show.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_CAP = 1 << 17, TEXT_CAP = 1 << 18 };

/* Lists that have no length in front: cut between two entries they are good. */
static bool may_be_cut(const char *type)
{
    return strcmp(type, "DestinationList") == 0;
}

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

static uint8_t *unhex(const char *text, size_t *len)
{
    size_t cap = strlen(text) / 2;
    uint8_t *bytes = malloc(cap == 0 ? 1 : cap);
    cr_assert_eq(ids_unhex(slice_text(text), bytes, cap, len), ERR_OK);
    return bytes;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static void set_context(struct vector *v)
{
    const json_t *length = json_object_get(v->json, "node_id_length");
    const char *model = text_of(v->json, "data_model");
    v->params.node_id_length = length == NULL ? 16 : (uint8_t)json_integer_value(length);
    v->params.overlay = 0x9aa32b8d; /* "overlay.example.org" */
    v->model = model[0] == 'a' ? STORED_ARRAY : model[0] == 'd' ? STORED_DICTIONARY : STORED_SINGLE;
}

typedef void (*vector_use)(struct vector *v);

/* Calls `use` for each line of tests/vectors/NAME.jsonl; gives how many there were. */
static unsigned each(const char *name, vector_use use)
{
    static char line[LINE_CAP];
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
        v.name = text_of(v.json, "name");
        v.type = text_of(v.json, "type");
        v.bytes = unhex(text_of(v.json, "hex"), &v.len);
        set_context(&v);
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

static void expect_equal(const struct vector *v, const char *what, const json_t *got,
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
static json_t *ask(struct vector *v, batch_one one)
{
    char *line = json_dumps(v->json, 0);
    v->out.len = v->out.begin = 0;
    one(v->wire, slice_text(line), &v->out);
    json_t *answer = json_loadb(v->out.text, v->out.len, 0, NULL);
    cr_assert_not_null(answer, "%s: %.*s", v->name, (int)v->out.len, v->out.text);
    free(line);
    return answer;
}

static void good(struct vector *v)
{
    json_t *decoded = ask(v, wire_decode), *encoded = ask(v, wire_encode);
    const json_t *fields = json_object_get(v->json, "fields");
    cr_assert_not_null(fields, "%s", v->name);
    expect_equal(v, "fields", json_object_get(decoded, "fields"), fields);
    cr_assert_str_eq(text_of(encoded, "hex"), text_of(v->json, "hex"), "%s", v->name);
    const json_t *body = json_object_get(v->json, "body");
    if (body != NULL) {
        expect_equal(v, "body", json_object_get(decoded, "body"), body);
    }
    const json_t *body_type = json_object_get(v->json, "body_type");
    if (body_type != NULL) {
        expect_equal(v, "body_type", json_object_get(decoded, "body_type"), body_type);
    }
    json_decref(decoded);
    json_decref(encoded);
}

static void bad(struct vector *v)
{
    json_t *answer = ask(v, wire_decode);
    cr_assert(show_has(slice_text(v->type)), "%s: no decoder for %s", v->name, v->type);
    cr_assert_not_null(json_object_get(answer, "reject"), "%s: accepted, %s", v->name,
                       text_of(v->json, "why"));
    cr_assert_leq((size_t)json_integer_value(json_object_get(answer, "offset")), v->len);
    json_decref(answer);
}

/* Every length below its own; the bytes must be gone where the decoder may not look. */
static void cut(struct vector *v)
{
    static char text[TEXT_CAP];
    struct show_context context = {.params = v->params, .model = v->model};
    for (size_t len = 0; len < v->len && !may_be_cut(v->type); len++) {
        uint8_t *exact = malloc(len == 0 ? 1 : len);
        memcpy(exact, v->bytes, len);
        struct show_fault fault = {REJECT_NONE, 0};
        struct wr w = wr_init(text, sizeof(text));
        enum err e = show_json(&context, slice_text(v->type), slice_of(exact, len), &w, &fault);
        cr_assert_eq(e, ERR_MALFORMED, "%s: accepted %zu of %zu bytes", v->name, len, v->len);
        cr_assert(fault.why != REJECT_NONE && fault.offset <= len, "%s: %zu", v->name, len);
        free(exact);
    }
}

static const char *const good_files[] = {"common", "header",  "contents", "security",
                                         "link",   "storage", "topology", "node_id_length"};

/* RFC 6940 6.3 to 6.6, 7, 9, 10; RFC 7904 3 */
Test(vectors, structures)
{
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(good_files); i++) {
        count += each(good_files[i], good);
    }
    cr_assert_eq(count, 510);
}

Test(vectors, structures_cut_at_every_length)
{
    for (size_t i = 0; i < ARRAY_COUNT(good_files); i++) {
        (void)each(good_files[i], cut);
    }
}

/* Strict everywhere: what a lenient decoder might let pass ("should", "advisory") is refused too.
 */
Test(vectors, malformed_structures)
{
    static const char *const files[] = {
        "malformed_common", "malformed_header",  "malformed_contents", "malformed_security",
        "malformed_link",   "malformed_storage", "malformed_topology", "malformed_message"};
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        count += each(files[i], bad);
    }
    cr_assert_eq(count, 3256);
}

/* The bytes that `key` gives in hex are what is signed. */
static void expect_signed(const struct vector *v, struct slice got)
{
    size_t len = 0;
    uint8_t *want = unhex(text_of(v->json, "signature_input"), &len);
    cr_assert(slice_is_equal(got, slice_of(want, len)), "%s: signature input", v->name);
    free(want);
}

/* RFC 6940 6.3.4 */
static void whole_message(struct vector *v)
{
    struct fwd h;
    struct content c;
    struct slice rest;
    struct secblock block;
    good(v);
    cr_assert_eq(fwd_decode(slice_of(v->bytes, v->len), &v->params, &h), ERR_OK);
    cr_assert_eq(content_decode(h.payload, &c, &rest), ERR_OK);
    cr_assert_eq(secblock_decode(rest, &block), ERR_OK);
    cr_assert(strcmp(content_name(c.code), "unknown") != 0, "%s", v->name);
    size_t cap = 12 + c.bytes.len + SECBLOCK_IDENTITY_BYTES_MAX;
    uint8_t *input = malloc(cap);
    struct wr w = wr_init(input, cap);
    secblock_wr_message_input(&w, h.overlay, h.transaction_id, c.bytes, &block.signature.identity);
    expect_signed(v, wr_slice(&w));
    free(input);
}

Test(vectors, messages)
{
    cr_assert_eq(each("message", whole_message), 90);
}

Test(vectors, messages_cut_at_every_length)
{
    (void)each("message", cut);
}

/* 7.1, with the resource id raw and array indices taken as 0 */
static void stored_data(struct vector *v)
{
    if (json_object_get(v->json, "fields") != NULL) {
        good(v);
    }
    if (json_object_get(v->json, "signature_input") == NULL) {
        return;
    }
    struct stored_data d;
    size_t resource_len = 0;
    uint8_t *resource = unhex(text_of(v->json, "resource"), &resource_len);
    uint32_t kind = (uint32_t)json_integer_value(json_object_get(v->json, "kind"));
    cr_assert_eq(stored_decode(slice_of(v->bytes, v->len), v->model, &d), ERR_OK);
    size_t cap = resource_len + d.wire.len + 16;
    uint8_t *input = malloc(cap);
    struct wr w = wr_init(input, cap);
    stored_wr_signature_input(&w, slice_of(resource, resource_len), kind, &d);
    expect_signed(v, wr_slice(&w));
    free(input);
    free(resource);
}

Test(vectors, signed_values)
{
    cr_assert_eq(each("data_signature", stored_data), 168);
}

/* 7.4.3.2: the hash itself is link/crypto's; here that the structure carries it. */
Test(vectors, stat_digests)
{
    cr_assert_eq(each("stat_digest", good), 9);
}

/* 6.6.2: feed sequence numbers, expect ACKs */
static void acknowledge(struct vector *v)
{
    struct frame_window window = {0, 0};
    size_t i = 0;
    json_t *f = NULL;
    json_array_foreach(json_object_get(v->json, "frames"), i, f)
    {
        uint32_t sequence = (uint32_t)json_integer_value(json_object_get(f, "sequence"));
        uint32_t want = (uint32_t)json_integer_value(json_object_get(f, "received"));
        uint32_t got = frame_window_note(&window, sequence);
        cr_assert_eq(got, want, "%s: frame %zu, %x for %x", v->name, i, got, want);
        uint8_t ack[FRAME_ACK_BYTES];
        char text[2 * FRAME_ACK_BYTES + 1];
        frame_put_ack(ack, sequence, got);
        cr_assert_str_eq(ids_hex(slice_of(ack, sizeof(ack)), text), text_of(f, "ack"));
    }
    cr_assert_gt(i, 0);
}

Test(vectors, acks)
{
    cr_assert_eq(each("ack", acknowledge), 12);
}
