/* SPDX-License-Identifier: Apache-2.0 */
/* run_structure.c - the vector as a line of `chordial decode --batch` and of `encode --batch`. */
#include "tests/vector/run_structure.h"
#include "cmd/wire.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/secblock.h"
#include "codec/show.h"
#include "link/crypto_boring.h"
#include "link/stun_auth.h"

#include <stdlib.h>

static struct wire *wire;
static struct batch_out out;

/* What decode or encode answers to the vector's type, its context, and what `key` holds. */
static json_t *ask(const json_t *vector, const char *key, batch_one one)
{
    static const char *const context[] = {"type", "node_id_length", "kinds", "data_model",
                                          "overlay_name"};
    json_t *o = json_object();
    if (wire == NULL) {
        wire = wire_new();
        CHECK(wire != NULL);
    }
    for (size_t i = 0; i < ARRAY_COUNT(context); i++) {
        json_t *value = json_object_get(vector, context[i]);
        if (value != NULL) {
            (void)json_object_set(o, context[i], value);
        }
    }
    (void)json_object_set(o, key, json_object_get(vector, key));
    char *line = json_dumps(o, JSON_COMPACT);
    out.len = out.begin = 0;
    out.is_full = false;
    one(wire, slice_text(line), &out);
    json_t *answer = json_loadb(out.text, out.len, 0, NULL);
    free(line);
    json_decref(o);
    return answer;
}

static bool fail_json(char *why, size_t cap, const char *what, const json_t *got)
{
    char *text = json_dumps(got, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    (void)run_base_fail(why, cap, "%s: %s", what, text == NULL ? "none" : text);
    free(text);
    return false;
}

/* Has the vector no such key, or the answer the same under it? */
static bool is_same(const json_t *vector, const json_t *answer, const char *key)
{
    const json_t *want = json_object_get(vector, key);
    return want == NULL || json_equal(want, json_object_get(answer, key));
}

/* "message" names the method: ProbeReq is what we call probe_req. */
static bool is_method(const json_t *vector, const json_t *decoded)
{
    const json_t *contents = json_object_get(json_object_get(decoded, "fields"), "contents");
    const char *want = run_base_text(vector, "message");
    const char *name =
        content_name((uint16_t)json_integer_value(json_object_get(contents, "message_code")));
    while (*want != '\0' && *name != '\0') {
        name += *name == '_' ? 1 : 0;
        if (slice_lower((uint8_t)*want++) != (uint8_t)*name++) {
            return false;
        }
    }
    return *want == *name;
}

static bool run_good(const json_t *vector, char *why, size_t cap)
{
    static const char *const keys[] = {"fields", "body_type", "body"};
    json_t *decoded = ask(vector, "hex", wire_decode);
    json_t *encoded = ask(vector, "fields", wire_encode);
    bool good = true;
    if (decoded == NULL || json_object_get(decoded, "fields") == NULL) {
        good = fail_json(why, cap, "decoding", decoded);
    }
    for (size_t i = 0; good && i < ARRAY_COUNT(keys); i++) {
        good = is_same(vector, decoded, keys[i]) ||
               fail_json(why, cap, keys[i], json_object_get(decoded, keys[i]));
    }
    if (good && json_object_get(vector, "message") != NULL && !is_method(vector, decoded)) {
        good = run_base_fail(why, cap, "message: another method");
    }
    const json_t *canonical = json_object_get(vector, "canonical");
    bool is_encoding = is_same(vector, encoded, "hex");
    if (good && (canonical == NULL || json_is_true(canonical)) && !is_encoding) {
        good = fail_json(why, cap, "encoding", encoded);
    } else if (good && canonical != NULL && !json_is_true(canonical) && is_encoding) {
        good = run_base_fail(why, cap, "canonical: these bytes are the encoding");
    }
    json_decref(decoded);
    json_decref(encoded);
    return good;
}

static bool is_signature_input(const json_t *vector, struct wr *got, char *why, size_t cap)
{
    struct slice want;
    bool same = run_base_bytes(vector, "signature_input", &want) && wr_ok(got) &&
                slice_is_equal(wr_slice(got), want);
    run_base_free(&want);
    return same || run_base_fail(why, cap, "another signature_input");
}

/* 6.3.4 */
static bool run_message_input(const json_t *vector, struct slice in, char *why, size_t cap)
{
    const struct rl_params params = {.node_id_length = IDS_NODE_MIN};
    struct fwd h;
    struct content c;
    struct slice rest;
    struct secblock block;
    if (fwd_decode_header(in, &params, &h) != ERR_OK ||
        content_decode(h.payload, &c, &rest) != ERR_OK || secblock_decode(rest, &block) != ERR_OK) {
        return run_base_fail(why, cap, "rejected");
    }
    size_t len = 12 + c.bytes.len + SECBLOCK_IDENTITY_BYTES_MAX;
    uint8_t *input = malloc(len);
    struct wr w = wr_init(input, len);
    secblock_wr_message_input(&w, h.overlay, h.transaction_id, c.bytes, &block.signature.identity);
    bool same = is_signature_input(vector, &w, why, cap);
    free(input);
    return same;
}

/* 7.1, with the resource id raw and array indices taken as 0 */
static bool run_value_input(const json_t *vector, struct slice in, char *why, size_t cap)
{
    enum stored_model model = STORED_SINGLE;
    struct stored_data d;
    struct slice resource;
    if (!run_base_model(vector, &model) || stored_decode(in, model, &d) != ERR_OK ||
        !run_base_bytes(vector, "resource", &resource)) {
        return run_base_fail(why, cap, "StoredData or resource: malformed");
    }
    size_t len = resource.len + d.wire.len + 16;
    uint8_t *input = malloc(len);
    struct wr w = wr_init(input, len);
    stored_wr_signature_input(&w, resource,
                              (uint32_t)json_integer_value(json_object_get(vector, "kind")), &d);
    bool same = is_signature_input(vector, &w, why, cap);
    free(input);
    run_base_free(&resource);
    return same;
}

/* STUN, RFC 8489 9.1.3: does the integrity hold under this key? */
static bool run_integrity(const json_t *vector, struct slice in, char *why, size_t cap)
{
    const json_t *want = json_object_get(vector, "integrity");
    struct slice key = SLICE_EMPTY;
    struct stun m;
    if (want == NULL) {
        return true;
    }
    struct rd r = rd_init(in);
    stun_rd(&r, &m);
    bool holds = rd_ok(&r) && run_base_bytes(vector, "key", &key) &&
                 stun_auth_check(crypto_boring(), &m, key, STUN_AUTH_BOTH) == ERR_OK;
    run_base_free(&key);
    return (json_is_boolean(want) && holds == json_is_true(want)) ||
           run_base_fail(why, cap, "integrity: it %s", holds ? "holds" : "does not hold");
}

static bool run_input(const json_t *vector, struct slice in, char *why, size_t cap)
{
    if (strcmp(run_base_text(vector, "type"), "StunMessage") == 0) {
        return run_integrity(vector, in, why, cap);
    }
    if (json_object_get(vector, "signature_input") == NULL) {
        return true;
    }
    return strcmp(run_base_text(vector, "type"), "Message") == 0
               ? run_message_input(vector, in, why, cap)
               : run_value_input(vector, in, why, cap);
}

/* The reason of codec/reject.def in front of what decode says; REJECT_NONE: it could not even try,
 * because of what stands beside the bytes. */
static enum reject reason_of(const char *said)
{
    const char *colon = strchr(said, ':');
    size_t len = colon == NULL ? strlen(said) : (size_t)(colon - said);
    for (enum reject r = REJECT_NONE + 1; r < REJECT_COUNT; r++) {
        if (slice_is_equal(slice_of(said, len), slice_text(reject_name(r)))) {
            return r;
        }
    }
    return REJECT_NONE;
}

/* It was refused by a decoder; for the reason and at the byte that the vector tells, if it does. */
static bool check_refusal(const json_t *vector, const json_t *answer, size_t len, char *why,
                          size_t cap)
{
    const json_t *want = json_object_get(vector, "reject");
    const json_t *offset = json_object_get(answer, "offset");
    enum reject reason = reason_of(run_base_text(answer, "reject"));
    if (reason == REJECT_NONE) {
        return fail_json(why, cap, "no decoder has seen it", answer);
    }
    if (want != NULL &&
        (!json_is_string(want) || strcmp(reject_name(reason), json_string_value(want)) != 0)) {
        return fail_json(why, cap, "rejected for another reason", answer);
    }
    if (!json_is_integer(offset) || json_integer_value(offset) < 0 ||
        (size_t)json_integer_value(offset) > len) {
        return fail_json(why, cap, "rejected where nothing is", answer);
    }
    return is_same(vector, answer, "offset") || fail_json(why, cap, "rejected elsewhere", answer);
}

static bool run_bad(const json_t *vector, size_t len, char *why, size_t cap)
{
    const char *verdict = run_base_text(vector, "verdict");
    if (strcmp(verdict, "reject") != 0 && strcmp(verdict, "drop") != 0) {
        return run_base_fail(why, cap, "verdict \"%.40s\" and no fields: not understood", verdict);
    }
    json_t *answer = ask(vector, "hex", wire_decode);
    bool is_right = json_object_get(answer, "fields") != NULL
                        ? run_base_differs(vector, why, cap, "accepted, though malformed")
                        : check_refusal(vector, answer, len, why, cap);
    json_decref(answer);
    return is_right;
}

/* Fields are those of good bytes, and a verdict on them can only be that a signature is bad. */
static bool is_contradiction(const json_t *vector)
{
    const char *verdict = run_base_text(vector, "verdict");
    return json_object_get(vector, "fields") != NULL &&
           json_object_get(vector, "verdict") != NULL && strcmp(verdict, "accept") != 0 &&
           (strcmp(verdict, "reject") == 0 || json_object_get(vector, "signature_valid") == NULL);
}

static bool is_length(const json_t *vector, size_t len)
{
    const json_t *bytes = json_object_get(vector, "bytes");
    return bytes == NULL ||
           (json_is_integer(bytes) && json_integer_value(bytes) == (json_int_t)len);
}

bool run_structure_knows(const char *type)
{
    return show_has(slice_text(type));
}

bool run_structure_refuses(const json_t *vector, struct slice bytes)
{
    enum { ROOM = 1 << 18 };
    static char text[ROOM];
    const json_t *length = json_object_get(vector, "node_id_length");
    enum stored_model model = STORED_SINGLE;
    CHECK(run_base_model(vector, &model));
    struct show_context context = {.params.node_id_length =
                                       length == NULL ? 16 : (uint8_t)json_integer_value(length),
                                   .model = model};
    uint8_t *exact = malloc(bytes.len == 0 ? 1 : bytes.len);
    if (bytes.len > 0) {
        memcpy(exact, bytes.data, bytes.len);
    }
    struct show_fault fault = {REJECT_NONE, 0};
    struct wr w = wr_init(text, sizeof(text));
    enum err e = show_json(&context, slice_text(run_base_text(vector, "type")),
                           slice_of(exact, bytes.len), &w, &fault);
    free(exact);
    return e == ERR_MALFORMED && fault.why != REJECT_NONE && fault.offset <= bytes.len;
}

bool run_structure(const json_t *vector, char *why, size_t cap)
{
    struct slice in;
    const char *type = run_base_text(vector, "type");
    if (!run_structure_knows(type)) {
        return run_base_fail(why, cap, "type %s: unknown", type);
    }
    if (!run_base_bytes(vector, "hex", &in)) {
        return run_base_fail(why, cap, "hex: no hex digits");
    }
    bool is_right = false;
    if (!is_length(vector, in.len)) {
        (void)run_base_fail(why, cap, "bytes: there are %zu", in.len);
    } else if (is_contradiction(vector)) {
        (void)run_base_fail(why, cap, "fields, and a verdict that there are none");
    } else {
        is_right = json_object_get(vector, "fields") == NULL
                       ? run_bad(vector, in.len, why, cap)
                       : run_good(vector, why, cap) && run_input(vector, in, why, cap);
    }
    run_base_free(&in);
    return is_right;
}
