/* SPDX-License-Identifier: Apache-2.0 */
/* test_own_vectors.c - codec/ against our own vectors, tests/vectors/own (see the README there):
 * good ones both ways, malformed ones refused for the very reason and at the very byte; and that
 * the set is complete: each structure has some of both, each reason of codec/reject.def is reached.
 * Run from the top of the tree. */
#include "tests/vector/vector.h"

enum { TYPES_CAP = 256, GOOD_LEAST = 2, MALFORMED_LEAST = 3, TEXT_CAP = 1 << 18 };

static unsigned good_of[TYPES_CAP], malformed_of[TYPES_CAP], reached[REJECT_COUNT];

/* The number of the vector's type in show_type(). */
static size_t number_of(const struct vector *v)
{
    size_t i = 0;
    for (const char *type = NULL; (type = show_type(i)) != NULL; i++) {
        if (strcmp(type, v->type) == 0) {
            cr_assert_lt(i, TYPES_CAP);
            return i;
        }
    }
    cr_assert_fail("%s: no decoder for %s", v->name, v->type);
    return 0;
}

static void count_good(struct vector *v)
{
    good_of[number_of(v)]++;
}

static enum reject reason_of(const char *name)
{
    enum reject why = REJECT_NONE;
    for (enum reject i = REJECT_NONE; i < REJECT_COUNT; i++) {
        why = strcmp(reject_name(i), name) == 0 ? i : why;
    }
    return why;
}

static void malformed(struct vector *v)
{
    json_t *answer = vector_ask(v, wire_decode);
    const char *got = vector_text(answer, "reject"), *want = vector_text(v->json, "reject");
    size_t len = strlen(want);
    cr_assert(strncmp(got, want, len) == 0 && got[len] == ':', "%s (%s): %s is due, decode says %s",
              v->name, vector_text(v->json, "why"), want, got[0] == '\0' ? "nothing" : got);
    cr_assert_eq(json_integer_value(json_object_get(answer, "offset")),
                 json_integer_value(json_object_get(v->json, "offset")), "%s: offset", v->name);
    cr_assert_neq(reason_of(want), REJECT_NONE, "%s: %s", v->name, want);
    reached[reason_of(want)]++;
    malformed_of[number_of(v)]++;
    json_decref(answer);
}

Test(own_vectors, structures)
{
    cr_assert_gt(vector_each("own/structure", vector_good), 700);
}

/* The sizes and bytes that other people worked out by hand, from the RFCs. */
static void golden(struct vector *v)
{
    vector_good(v);
    cr_assert_eq(v->len, (size_t)json_integer_value(json_object_get(v->json, "bytes")), "%s",
                 v->name);
}

Test(own_vectors, golden)
{
    cr_assert_eq(vector_each("own/golden", golden), 40);
}

Test(own_vectors, malformed)
{
    cr_assert_gt(vector_each("own/malformed_structure", malformed), 1200);
    cr_assert_gt(vector_each("own/malformed_message", malformed), 100);
}

/* Reasons of another protocol, which test_stun_vectors.c holds to the same. */
static bool is_elsewhere(enum reject why)
{
    return strncmp(reject_name(why), "stun_", 5) == 0;
}

Test(own_vectors, every_reason_is_reached)
{
    char missing[1024] = "";
    (void)vector_each("own/malformed_structure", malformed);
    (void)vector_each("own/malformed_message", malformed);
    for (enum reject i = REJECT_NONE + 1; i < REJECT_COUNT; i++) {
        size_t at = strlen(missing);
        if (reached[i] == 0 && !is_elsewhere(i)) {
            (void)snprintf(missing + at, sizeof(missing) - at, " %s", reject_name(i));
        }
    }
    cr_assert_str_eq(missing, "", "no malformed vector for:%s", missing);
}

/* SIP is not RELOAD: it has vectors of its own kind. */
static bool is_sip(const char *type)
{
    static const char *const names[] = {"SipMessage", "SipStream", "SipUriPair"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

Test(own_vectors, every_structure_has_some)
{
    static const char *const good_files[] = {"own/structure", "own/message", "own/golden"};
    for (size_t i = 0; i < ARRAY_COUNT(good_files); i++) {
        (void)vector_each(good_files[i], count_good);
    }
    (void)vector_each("own/malformed_structure", malformed);
    (void)vector_each("own/malformed_message", malformed);
    const char *type = NULL;
    for (size_t i = 0; (type = show_type(i)) != NULL; i++) {
        cr_assert(is_sip(type) || (good_of[i] >= GOOD_LEAST && malformed_of[i] >= MALFORMED_LEAST),
                  "%s: %u good and %u malformed vectors", type, good_of[i], malformed_of[i]);
    }
}

/* Every answer of the printer fits or is refused as a whole: at each size of the buffer, from an
 * exact heap block, so that a sanitizer sees a byte too far. */
static void printed_into_too_little(struct vector *v)
{
    static char whole[TEXT_CAP];
    if (json_object_get(v->json, "kinds") != NULL) {
        return; /* the line's own data models are read by cmd/wire alone */
    }
    struct show_context c = {.params = v->params,
                             .model = v->model,
                             .kinds = show_registered_kinds,
                             .kind_count = show_registered_kind_count};
    struct show_fault fault = {REJECT_NONE, 0};
    struct slice in = slice_of(v->bytes, v->len), type = slice_text(v->type);
    struct wr w = wr_init(whole, sizeof(whole));
    cr_assert_eq(show_json(&c, type, in, &w, &fault), ERR_OK, "%s", v->name);
    size_t needed = wr_len(&w), step = needed < 200 ? 1 : needed / 60;
    for (size_t cap = 0; cap < needed; cap += step) {
        uint8_t *exact = malloc(cap == 0 ? 1 : cap);
        w = wr_init(exact, cap);
        cr_assert_eq(show_json(&c, type, in, &w, &fault), ERR_TOO_LARGE, "%s: %zu", v->name, cap);
        free(exact);
    }
    for (size_t cap = 0; cap < v->len; cap += v->len / 40 + 1) {
        uint8_t *exact = malloc(cap == 0 ? 1 : cap);
        w = wr_init(exact, cap);
        cr_assert_eq(show_again(&c, type, in, &w, &fault), ERR_TOO_LARGE, "%s: %zu", v->name, cap);
        free(exact);
    }
}

Test(own_vectors, too_small_buffers)
{
    (void)vector_each("own/golden", printed_into_too_little);
    (void)vector_each("own/structure", printed_into_too_little);
}
