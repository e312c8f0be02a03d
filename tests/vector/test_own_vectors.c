/* SPDX-License-Identifier: Apache-2.0 */
/* test_own_vectors.c - our own vectors, tests/vectors/own (see the README there): good ones both
 * ways and their signatures, malformed ones refused for the very reason and at the very byte; and
 * that the set is complete: each structure has some of both, each reason of codec/reject.def is
 * reached.  Run from the top of the tree. */
#include "cmd/wire.h"
#include "codec/show.h"
#include "tests/vector/run_structure.h"
#include "tests/vector/run_vector.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { TYPES_CAP = 256, GOOD_LEAST = 2, MALFORMED_LEAST = 3, TEXT_CAP = 1 << 18, WHY_CAP = 4096 };

static unsigned good_of[TYPES_CAP], malformed_of[TYPES_CAP], reached[REJECT_COUNT];
static unsigned again, again_taken;
static char why[WHY_CAP];

typedef void (*line_use)(void *ctx, const json_t *vector, int line);

/* Calls `use` for each line of tests/vectors/own/NAME.jsonl; gives how many there were. */
static int each(const char *name, line_use use)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "tests/vectors/own/%s.jsonl", name);
    int count = run_base_each(path, use, path, why, sizeof(why));
    cr_assert_gt(count, 0, "%s: run me from the top of the tree", why);
    return count;
}

static const char *name_of(const json_t *v)
{
    return run_base_text(v, "name");
}

/* ---- good ones ---- */

static void learn(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    cr_assert_not_null(v);
    run_base_learn(v);
}

static void run(void *ctx, const json_t *v, int line)
{
    cr_assert_not_null(v, "%s:%d", (const char *)ctx, line);
    cr_expect(run_vector(v, why, sizeof(why)), "%s: %s", name_of(v), why);
}

Test(own_vectors, good)
{
    (void)each("certificate", learn);
    cr_expect_eq(each("certificate", run), 5);
    cr_expect_gt(each("structure", run), 700);
    cr_expect_gt(each("message", run), 50);
    cr_expect_gt(each("data_signature", run), 10);
}

/* The sizes and bytes that other people worked out by hand, from the RFCs. */
static void run_golden(void *ctx, const json_t *v, int line)
{
    run(ctx, v, line);
    cr_expect(json_is_integer(json_object_get(v, "bytes")), "%s", name_of(v));
}

Test(own_vectors, golden)
{
    cr_expect_eq(each("golden", run_golden), 40);
}

/* Every bit that a signature covers: one turned over in what was signed, or in the signature. */
static void run_forged(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    static const size_t transaction_digit = 2 * 27;
    const char *hex = run_base_text(v, "hex");
    size_t len = strlen(hex);
    for (unsigned i = 0; i < 2; i++) {
        char *text = strdup(hex);
        size_t at = i == 0 ? transaction_digit : len - 1;
        text[at] = text[at] == '0' ? '1' : '0';
        json_t *forged = json_object();
        (void)json_object_update(forged, (json_t *)(uintptr_t)v);
        (void)json_object_del(forged, "fields");
        (void)json_object_set_new(forged, "hex", json_string(text));
        cr_expect(!run_vector(forged, why, sizeof(why)), "%s: digit %zu", name_of(v), at);
        json_decref(forged);
        free(text);
    }
}

Test(own_vectors, forged)
{
    (void)each("certificate", learn);
    (void)each("message", run_forged);
}

static struct show_context context_of(const json_t *v)
{
    enum stored_model model = STORED_SINGLE;
    const json_t *length = json_object_get(v, "node_id_length");
    cr_assert(run_base_model(v, &model), "%s: data_model", name_of(v));
    return (struct show_context){.params.node_id_length =
                                     length == NULL ? 16 : (uint8_t)json_integer_value(length),
                                 .model = model,
                                 .kinds = show_registered_kinds,
                                 .kind_count = show_registered_kind_count};
}

/* ---- malformed ones ---- */

/* The number of the vector's type in show_type(). */
static size_t number_of(const json_t *v)
{
    size_t i = 0;
    for (const char *type = NULL; (type = show_type(i)) != NULL; i++) {
        if (strcmp(type, run_base_text(v, "type")) == 0) {
            cr_assert_lt(i, TYPES_CAP);
            return i;
        }
    }
    cr_assert_fail("%s: no decoder for its type", name_of(v));
    return 0;
}

static enum reject reason_of(const char *name)
{
    enum reject reason = REJECT_NONE;
    for (enum reject i = REJECT_NONE; i < REJECT_COUNT; i++) {
        reason = strcmp(reject_name(i), name) == 0 ? i : reason;
    }
    return reason;
}

/* A second encoding needs a decoding: it is refused for the same reason.  Values whose data model
 * only a Kind tells, and the body of a message, are not looked into for it, and what frames them is
 * then told in other words. */
static void refuse_again(const json_t *v)
{
    static uint8_t out[TEXT_CAP];
    struct slice in;
    cr_assert(run_base_bytes(v, "hex", &in));
    struct show_context c = context_of(v);
    c.has_overlay = json_object_get(v, "overlay_name") != NULL;
    c.params.overlay = 0x9aa32b8d; /* overlay.example.org */
    struct show_fault fault = {REJECT_NONE, 0};
    struct wr w = wr_init(out, sizeof(out));
    enum reject want = reason_of(run_base_text(v, "reject"));
    if (show_again(&c, slice_text(run_base_text(v, "type")), in, &w, &fault) == ERR_OK) {
        cr_expect(slice_is_equal(wr_slice(&w), in), "%s: other bytes", name_of(v));
        again_taken++;
    } else {
        cr_expect(fault.why == want || want == REJECT_INNER_LENGTH, "%s: encoded again: %s",
                  name_of(v), reject_name(fault.why));
    }
    again++;
    run_base_free(&in);
}

static void refuse(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    static struct wire *wire;
    static struct batch_out out;
    wire = wire != NULL ? wire : wire_new();
    char *text = json_dumps(v, JSON_COMPACT);
    out.len = out.begin = 0;
    wire_decode(wire, slice_text(text), &out);
    json_t *answer = json_loadb(out.text, out.len, 0, NULL);
    const char *got = run_base_text(answer, "reject"), *want = run_base_text(v, "reject");
    size_t len = strlen(want);
    cr_expect(strncmp(got, want, len) == 0 && got[len] == ':', "%s (%s): %s is due, decode says %s",
              name_of(v), run_base_text(v, "why"), want, got[0] == '\0' ? "nothing" : got);
    cr_expect(json_equal(json_object_get(answer, "offset"), json_object_get(v, "offset")),
              "%s: offset", name_of(v));
    cr_assert_neq(reason_of(want), REJECT_NONE, "%s: %s", name_of(v), want);
    reached[reason_of(want)]++;
    malformed_of[number_of(v)]++;
    refuse_again(v);
    json_decref(answer);
    free(text);
}

static void refuse_all(void)
{
    cr_assert_gt(each("malformed_structure", refuse), 1200);
    cr_assert_gt(each("malformed_message", refuse), 100);
}

Test(own_vectors, malformed)
{
    refuse_all();
    cr_expect_lt(again_taken, again / 8, "%u of %u are encoded again", again_taken, again);
}

/* ---- is it all? ---- */

/* Reasons of another protocol, which test_stun_vectors.c holds to the same. */
static bool is_elsewhere(enum reject reason)
{
    return strncmp(reject_name(reason), "stun_", 5) == 0;
}

Test(own_vectors, every_reason_is_reached)
{
    char missing[1024] = "";
    refuse_all();
    for (enum reject i = REJECT_NONE + 1; i < REJECT_COUNT; i++) {
        size_t at = strlen(missing);
        if (reached[i] == 0 && !is_elsewhere(i)) {
            (void)snprintf(missing + at, sizeof(missing) - at, " %s", reject_name(i));
        }
    }
    cr_assert_str_eq(missing, "", "no malformed vector for:%s", missing);
}

/* Types that are no RELOAD and have vectors of their own kind. */
static bool is_other_protocol(const char *type)
{
    static const char *const names[] = {"SipMessage", "SipStream", "SipUriPair", "StunMessage"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void count_good(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    good_of[number_of(v)]++;
}

Test(own_vectors, every_structure_has_some)
{
    static const char *const good_files[] = {"structure", "message", "golden"};
    for (size_t i = 0; i < ARRAY_COUNT(good_files); i++) {
        (void)each(good_files[i], count_good);
    }
    refuse_all();
    const char *type = NULL;
    for (size_t i = 0; (type = show_type(i)) != NULL; i++) {
        cr_expect(is_other_protocol(type) ||
                      (good_of[i] >= GOOD_LEAST && malformed_of[i] >= MALFORMED_LEAST),
                  "%s: %u good and %u malformed vectors", type, good_of[i], malformed_of[i]);
    }
}

/* ---- buffers and cuts ---- */

/* The text fits or is refused as a whole: at each size of the buffer, from an exact heap block, so
 * that a sanitizer sees a byte too far.  The same for the bytes of a second encoding. */
static void into_too_little(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    static char whole[TEXT_CAP];
    struct slice in, type = slice_text(run_base_text(v, "type"));
    if (json_object_get(v, "kinds") != NULL) {
        return; /* the line's own data models are read by cmd/wire alone */
    }
    cr_assert(run_base_bytes(v, "hex", &in));
    struct show_context c = context_of(v);
    struct show_fault fault = {REJECT_NONE, 0};
    struct wr w = wr_init(whole, sizeof(whole));
    cr_assert_eq(show_json(&c, type, in, &w, &fault), ERR_OK, "%s", name_of(v));
    size_t needed = wr_len(&w), step = needed < 200 ? 1 : needed / 60;
    for (size_t cap = 0; cap < needed; cap += step) {
        uint8_t *exact = malloc(cap == 0 ? 1 : cap);
        w = wr_init(exact, cap);
        cr_assert_eq(show_json(&c, type, in, &w, &fault), ERR_TOO_LARGE, "%s: %zu", name_of(v),
                     cap);
        free(exact);
    }
    for (size_t cap = 0; cap < in.len; cap += in.len / 40 + 1) {
        uint8_t *exact = malloc(cap == 0 ? 1 : cap);
        w = wr_init(exact, cap);
        cr_assert_eq(show_again(&c, type, in, &w, &fault), ERR_TOO_LARGE, "%s: %zu", name_of(v),
                     cap);
        free(exact);
    }
    run_base_free(&in);
}

Test(own_vectors, too_small_buffers)
{
    (void)each("golden", into_too_little);
    (void)each("structure", into_too_little);
}

static void cut(void *ctx, const json_t *v, int line)
{
    (void)ctx, (void)line;
    struct slice bytes;
    cr_assert(run_base_bytes(v, "hex", &bytes));
    for (size_t len = 0; len < bytes.len; len++) {
        cr_assert(run_structure_refuses(v, slice_of(bytes.data, len)), "%s cut to %zu bytes",
                  name_of(v), len);
    }
    run_base_free(&bytes);
}

Test(own_vectors, messages_cut_at_every_length)
{
    (void)each("message", cut);
}
