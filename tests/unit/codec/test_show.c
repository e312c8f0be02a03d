/* SPDX-License-Identifier: Apache-2.0 */
/* test_show.c - the JSON printers at their edges: what no vector can hold, since it has no fields.
 * The structures themselves are the business of tests/vector. */
#include "codec/content.h"
#include "codec/secblock.h"
#include "codec/show.h"

#include <criterion/criterion.h>

static const struct show_context context = {.params = {.node_id_length = 16}};

Test(show, unknown_types)
{
    uint8_t out[64];
    struct show_fault fault = {REJECT_NONE, 0};
    static const char *const names[] = {"", "message", "Messag", "MessageX", "StoreReq "};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct wr w = wr_init(out, sizeof(out));
        struct slice type = slice_text(names[i]);
        cr_assert_not(show_has(type));
        cr_assert_eq(show_json(&context, type, SLICE_EMPTY, &w, &fault), ERR_NOT_FOUND);
        cr_assert_eq(show_again(&context, type, SLICE_EMPTY, &w, &fault), ERR_NOT_FOUND);
        cr_assert_eq(wr_len(&w), 0);
    }
}

Test(show, types_are_told_once)
{
    size_t count = 0;
    for (; show_type(count) != NULL; count++) {
        cr_assert(show_has(slice_text(show_type(count))));
        for (size_t i = 0; i < count; i++) {
            cr_assert_str_neq(show_type(i), show_type(count));
        }
    }
    cr_assert_gt(count, 80);
    cr_assert_null(show_type(count + 1));
    cr_assert_not(show_has(SLICE_LITERAL("unknown")));
}

/* A method that nobody has defined yet is shown without a body; refused is only what its frame
 * forbids. */
Test(show, message_of_an_unknown_method)
{
    uint8_t message[256], out[2048];
    const struct fwd h = {
        .ttl = 1, .fragment = FWD_FRAGMENT_WHOLE, .destination_list = SLICE_LITERAL("\x80\x01")};
    const struct secblock_signature nobody = {.identity = {.type = SECBLOCK_IDENTITY_NONE}};
    struct wr w = wr_init(message, sizeof(message));
    fwd_wr(&w, &h);
    content_wr(&w, 0x25, SLICE_LITERAL("body"), SLICE_EMPTY);
    secblock_wr(&w, SLICE_EMPTY, &nobody);
    fwd_put_length(message, (uint32_t)wr_len(&w));
    struct show_fault fault = {REJECT_NONE, 0};
    struct wr text = wr_init(out, sizeof(out));
    cr_assert_eq(show_json(&context, SLICE_LITERAL("Message"), wr_slice(&w), &text, &fault),
                 ERR_OK);
    static const char end[] = ",\"body_type\":null,\"body\":null}";
    struct slice said = wr_slice(&text);
    cr_assert(slice_is_equal(slice_from(said, said.len - (sizeof(end) - 1)), SLICE_LITERAL(end)));
    struct wr again = wr_init(out, sizeof(out));
    cr_assert_eq(show_again(&context, SLICE_LITERAL("Message"), wr_slice(&w), &again, &fault),
                 ERR_OK);
    cr_assert(slice_is_equal(wr_slice(&again), wr_slice(&w)));
}
