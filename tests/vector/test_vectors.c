/* SPDX-License-Identifier: Apache-2.0 */
/* test_vectors.c - codec/ against the golden vectors in tests/vectors/ (see the README there).
 *
 * Good ones: bytes -> fields as described, fields -> the same bytes.  Bad ones: refused.  All of
 * them, cut at every length: refused, from a heap block of exactly that size, so that an
 * AddressSanitizer build sees any look behind the end.  Run from the top of the tree. */
#include "tests/vector/transcode.h"

#include <criterion/criterion.h>

enum { LINE_CAP = 1 << 17 };

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
    struct transcode *t;
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

/* What a decoder of this vector must know. */
static void set_context(struct vector *v)
{
    struct transcode *t = v->t;
    const json_t *length = json_object_get(v->json, "node_id_length");
    const char *model = text_of(v->json, "data_model");
    const json_t *header = json_object_get(json_object_get(v->json, "fields"), "header");
    memset(t, 0, sizeof(*t));
    t->params.node_id_length = length == NULL ? 16 : (uint8_t)json_integer_value(length);
    t->params.overlay = 0x9aa32b8d; /* "overlay.example.org" */
    if (header != NULL) {
        t->params.overlay = (uint32_t)strtoul(text_of(header, "overlay"), NULL, 16);
    }
    t->kinds = json_object_get(v->json, "kinds");
    t->model = model[0] == 'a' ? STORED_ARRAY : model[0] == 'd' ? STORED_DICTIONARY : STORED_SINGLE;
}

typedef void (*vector_use)(struct vector *v);

/* Calls `use` for each line of tests/vectors/NAME.jsonl; gives how many there were. */
static unsigned each(const char *name, vector_use use)
{
    static char line[LINE_CAP];
    static struct transcode t;
    char path[128];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "tests/vectors/%s.jsonl", name);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s: run me from the top of the tree", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        struct vector v = {.json = json_loads(line, 0, NULL), .t = &t};
        cr_assert_not_null(v.json, "%s line %u", name, count + 1);
        v.name = text_of(v.json, "name");
        v.type = text_of(v.json, "type");
        v.bytes = unhex(text_of(v.json, "hex"), &v.len);
        set_context(&v);
        use(&v);
        transcode_fini(&t);
        free(v.bytes);
        json_decref(v.json);
        count++;
    }
    (void)fclose(f);
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

/* `type` read from `in` and written again; the fields are compared with `want` where there is one.
 */
static void expect_good(struct vector *v, const char *type, struct slice in, const json_t *want)
{
    uint8_t *out = malloc(in.len == 0 ? 1 : in.len);
    size_t written = 0;
    cr_assert(transcode_has(type), "%s: no codec for %s", v->name, type);
    json_t *got = transcode(v->t, type, in, out, &written);
    cr_assert_not_null(got, "%s: %s refused", v->name, type);
    cr_assert_eq(written, in.len, "%s: wrote %zu of %zu bytes", v->name, written, in.len);
    cr_assert_eq(memcmp(out, in.data, in.len), 0, "%s: other bytes", v->name);
    if (want != NULL) {
        expect_equal(v, type, got, want);
    }
    json_decref(got);
    free(out);
}

static void expect_bad(struct vector *v, const char *type, struct slice in, const char *why)
{
    uint8_t *exact = malloc(in.len == 0 ? 1 : in.len);
    uint8_t *out = malloc(in.len == 0 ? 1 : in.len);
    size_t written = 0;
    if (in.len > 0) {
        memcpy(exact, in.data, in.len);
    }
    json_t *got = transcode(v->t, type, slice_of(exact, in.len), out, &written);
    cr_assert_null(got, "%s: accepted, %s", v->name, why);
    free(out);
    free(exact);
}

static void good(struct vector *v)
{
    const json_t *fields = json_object_get(v->json, "fields");
    cr_assert_not_null(fields, "%s", v->name);
    expect_good(v, v->type, slice_of(v->bytes, v->len), fields);
}

static void bad(struct vector *v)
{
    cr_assert(transcode_has(v->type), "%s: no codec for %s", v->name, v->type);
    expect_bad(v, v->type, slice_of(v->bytes, v->len), text_of(v->json, "why"));
}

/* Every length below its own; the bytes must be gone where the decoder may not look. */
static void cut(struct vector *v)
{
    if (may_be_cut(v->type)) {
        return;
    }
    for (size_t len = 0; len < v->len; len++) {
        expect_bad(v, v->type, slice_of(v->bytes, len), "though cut");
        transcode_fini(v->t);
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
    good(v);
    expect_signed(v, v->t->signed_part);
    struct fwd h;
    struct content c;
    struct slice rest;
    cr_assert_eq(fwd_decode(slice_of(v->bytes, v->len), &v->t->params, &h), ERR_OK);
    cr_assert_eq(content_decode(h.payload, &c, &rest), ERR_OK);
    const char *name = content_name(c.code);
    cr_assert(strcmp(name, "unknown") != 0, "%s", v->name);
    expect_good(v, text_of(v->json, "body_type"), c.body, json_object_get(v->json, "body"));
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
    const json_t *fields = json_object_get(v->json, "fields");
    expect_good(v, "StoredData", slice_of(v->bytes, v->len), fields);
    if (json_object_get(v->json, "signature_input") == NULL) {
        return;
    }
    struct stored_data d;
    size_t resource_len = 0;
    uint8_t *resource = unhex(text_of(v->json, "resource"), &resource_len);
    uint32_t kind = (uint32_t)json_integer_value(json_object_get(v->json, "kind"));
    cr_assert_eq(stored_decode(slice_of(v->bytes, v->len), v->t->model, &d), ERR_OK);
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
