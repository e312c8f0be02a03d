/* SPDX-License-Identifier: Apache-2.0 */
/* test_stored.c - stored values, blocks, specifiers, metadata (RFC 6940 7; catalogue 1.10, 1.15).
 */
#include "codec/stored.h"

#include "codec/msgs.h"
#include "tests/unit/codec/refusal.h"

#include <criterion/criterion.h>

static const struct rl_params params = {.node_id_length = 16};
static const uint8_t hash[32] = {0xaa, 0xaa, 0xaa};
static const enum stored_model models[] = {STORED_SINGLE, STORED_ARRAY, STORED_DICTIONARY};

static struct stored_data sample(enum stored_model model)
{
    return (struct stored_data){
        .storage_time_ms = 1700000000000,
        .lifetime_s = 3600,
        .value = {.model = model,
                  .exists = true,
                  .index = model == STORED_ARRAY ? 7 : 0,
                  .key = model == STORED_DICTIONARY ? SLICE_LITERAL("key") : SLICE_EMPTY,
                  .bytes = SLICE_LITERAL("abc")},
        .signature = {.algorithm = 0x0807,
                      .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                                   .hash_algorithm = SECBLOCK_HASH_SHA256,
                                   .hash = slice_of(hash, sizeof(hash))},
                      .value = SLICE_LITERAL("sig")},
    };
}

Test(stored, values_of_three_models)
{
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        uint8_t out[512];
        struct stored_data in = sample(models[i]);
        struct stored_data d;
        struct wr w = wr_init(out, sizeof(out));
        stored_wr(&w, &in);
        cr_assert_eq(stored_decode(wr_slice(&w), models[i], &d), ERR_OK);
        cr_assert_eq(d.storage_time_ms, in.storage_time_ms);
        cr_assert_eq(d.lifetime_s, 3600);
        cr_assert_eq(d.value.index, in.value.index);
        cr_assert(slice_is_equal(d.value.key, in.value.key));
        cr_assert(slice_is_equal(d.value.bytes, in.value.bytes));
        cr_assert_eq(d.wire.len, wr_len(&w));
        cr_assert_not(stored_is_synthetic(&d));
        /* the same bytes, another lifetime (ST-14) */
        uint8_t copy[512];
        struct wr v = wr_init(copy, sizeof(copy));
        stored_wr_copy(&v, &d, 59);
        struct stored_data again;
        cr_assert_eq(stored_decode(wr_slice(&v), models[i], &again), ERR_OK);
        cr_assert_eq(again.lifetime_s, 59);
        copy[12 + 3] = 0x10;
        copy[12 + 2] = 0x0e;
        cr_assert(slice_is_equal(wr_slice(&v), wr_slice(&w)));
        /* a list of two, and one cut */
        stored_wr(&w, &in);
        uint32_t count = 0;
        cr_assert_eq(stored_check(wr_slice(&w), models[i], &count), ERR_OK);
        cr_assert_eq(count, 2);
        struct slice cut = slice_sub(wr_slice(&w), 0, wr_len(&w) - 1);
        cr_assert_eq(stored_check(cut, models[i], NULL), ERR_MALFORMED);
    }
}

/* 7.1 and catalogue 1.15 */
Test(stored, what_is_signed)
{
    uint8_t resource[16], out[256];
    char text[512];
    size_t len = 0;
    cr_assert_eq(ids_unhex(SLICE_LITERAL("45a6b241a242c97f0492d382c390dfa3"), resource,
                           sizeof(resource), &len),
                 ERR_OK);
    struct stored_data d = sample(STORED_SINGLE);
    struct wr w = wr_init(out, sizeof(out));
    stored_wr_signature_input(&w, slice_of(resource, len), 0xf0000001, &d);
    static const char want[] = "45a6b241a242c97f0492d382c390dfa3f00000010000018bcfe568000100000003"
                               "6162630100220420aaaaaa";
    ids_hex(wr_slice(&w), text);
    cr_assert_eq(memcmp(text, want, sizeof(want) - 1), 0, "%s", text);
    /* Array index 0 always; lifetime not at all. */
    uint8_t at_7[256], at_9[256];
    d = sample(STORED_ARRAY);
    w = wr_init(at_7, sizeof(at_7));
    stored_wr_signature_input(&w, slice_of(resource, len), 3, &d);
    d.value.index = STORED_INDEX_APPEND;
    d.lifetime_s = 1;
    struct wr v = wr_init(at_9, sizeof(at_9));
    stored_wr_signature_input(&v, slice_of(resource, len), 3, &d);
    cr_assert(slice_is_equal(wr_slice(&w), wr_slice(&v)));
}

/* 7.4.2.2 */
Test(stored, synthetic_values)
{
    uint8_t out[64];
    char text[128];
    struct wr w = wr_init(out, sizeof(out));
    stored_wr_synthetic(&w, STORED_SINGLE, 0, SLICE_EMPTY);
    cr_assert_eq(wr_len(&w), STORED_SYNTHETIC_BYTES);
    cr_assert_str_eq(ids_hex(wr_slice(&w), text),
                     "0000001800000000000000000000000000000000000000030000"
                     "0000");
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        struct stored_data d;
        w = wr_init(out, sizeof(out));
        stored_wr_synthetic(&w, models[i], 5, SLICE_LITERAL("k"));
        cr_assert_eq(stored_decode(wr_slice(&w), models[i], &d), ERR_OK);
        cr_assert(stored_is_synthetic(&d));
        d.value.exists = true;
        cr_assert_not(stored_is_synthetic(&d));
        d.value.exists = false;
        d.signature.algorithm = 0x0401;
        cr_assert_not(stored_is_synthetic(&d));
    }
}

/* Each of the fields that make a value more than "nothing here". */
Test(stored, nearly_synthetic_values)
{
    const struct stored_data nothing = {.signature.identity.type = SECBLOCK_IDENTITY_NONE};
    struct stored_data d = nothing;
    cr_assert(stored_is_synthetic(&d));
    d.signature.value = SLICE_LITERAL("s");
    cr_assert_not(stored_is_synthetic(&d));
    d = nothing;
    d.signature.identity.type = SECBLOCK_IDENTITY_CERT_HASH;
    cr_assert_not(stored_is_synthetic(&d));
    d = nothing;
    d.value.bytes = SLICE_LITERAL("v");
    cr_assert_not(stored_is_synthetic(&d));
    d = nothing;
    d.storage_time_ms = 1;
    cr_assert_not(stored_is_synthetic(&d));
    d = nothing;
    d.lifetime_s = 1;
    cr_assert_not(stored_is_synthetic(&d));
}

Test(stored, blocks)
{
    uint8_t out[512];
    struct stored_data in = sample(STORED_SINGLE);
    struct wr w = wr_init(out, sizeof(out));
    size_t mark = stored_block_begin(&w, 1, 42);
    stored_wr(&w, &in);
    stored_block_end(&w, mark);
    struct stored_block empty = {.kind = 2, .generation = 43};
    stored_wr_block(&w, &empty);
    struct rd r = rd_init(wr_slice(&w));
    struct stored_block b;
    struct stored_data d;
    cr_assert(stored_block_next(&r, &b));
    cr_assert_eq(b.generation, 42);
    struct rd values = rd_init(b.values);
    cr_assert(stored_next(&values, STORED_SINGLE, &d));
    cr_assert_not(stored_next(&values, STORED_SINGLE, &d));
    cr_assert(rd_is_done(&values));
    cr_assert(stored_block_next(&r, &b));
    cr_assert_eq(b.kind, 2);
    cr_assert_not(stored_block_next(&r, &b));
    cr_assert(rd_is_done(&r));
}

Test(stored, responses)
{
    uint8_t out[128], nodes[32] = {0};
    nodes[16] = 9;
    struct stored_response in = {.kind = 1, .generation = 2, .replicas = slice_of(nodes, 32)};
    struct wr w = wr_init(out, sizeof(out));
    stored_wr_response(&w, &in);
    struct rd r = rd_init(wr_slice(&w));
    struct stored_response s;
    cr_assert(stored_response_next(&r, &params, &s));
    cr_assert_eq(msgs_node_count(s.replicas, &params), 2);
    cr_assert_eq(msgs_node_at(s.replicas, &params, 1).bytes[0], 9);
    in.replicas.len = 31;
    w = wr_init(out, sizeof(out));
    stored_wr_response(&w, &in);
    r = rd_init(wr_slice(&w));
    cr_assert_not(stored_response_next(&r, &params, &s));
    cr_assert_not(rd_ok(&r));
}

/* 7.4.2.1 */
Test(stored, specifiers)
{
    uint8_t out[128];
    const struct stored_range ranges[] = {{0, 3}, {9, UINT32_MAX}};
    const struct slice keys[] = {SLICE_LITERAL("alice"), SLICE_EMPTY};
    struct wr w = wr_init(out, sizeof(out));
    stored_wr_specifier_single(&w, 2, 0);
    stored_wr_specifier_array(&w, 3, 1, ranges, 2);
    stored_wr_specifier_dictionary(&w, 1, 2, keys, 2);
    stored_wr_specifier_dictionary(&w, 1, 2, NULL, 0);
    struct rd r = rd_init(wr_slice(&w));
    struct stored_specifier s[4];
    for (size_t i = 0; i < ARRAY_COUNT(s); i++) {
        cr_assert(stored_specifier_next(&r, &s[i]));
    }
    cr_assert(rd_is_done(&r));
    cr_assert_eq(s[0].what.len, 0);
    cr_assert_eq(s[1].what.len, 2 + 16);
    cr_assert_eq(s[2].what.len, 2 + 2 + 5 + 2);
    static const enum stored_model right[] = {STORED_SINGLE, STORED_ARRAY, STORED_DICTIONARY,
                                              STORED_DICTIONARY};
    for (size_t i = 0; i < ARRAY_COUNT(s); i++) {
        cr_assert_eq(stored_specifier_check(&s[i], right[i]), ERR_OK);
    }
    cr_assert_eq(stored_specifier_check(&s[0], STORED_ARRAY), ERR_MALFORMED);
    cr_assert_eq(stored_specifier_check(&s[1], STORED_SINGLE), ERR_MALFORMED);
    cr_assert_eq(stored_specifier_check(&s[2], STORED_ARRAY), ERR_MALFORMED);
    struct rd items = stored_specifier_items(&s[1], STORED_ARRAY);
    struct stored_range range;
    cr_assert(stored_range_next(&items, &range));
    cr_assert(stored_range_next(&items, &range));
    cr_assert_eq(range.last, UINT32_MAX, "unsigned (A-42)");
    cr_assert_not(stored_range_next(&items, &range));
    items = stored_specifier_items(&s[2], STORED_DICTIONARY);
    struct slice key;
    cr_assert(stored_key_next(&items, &key));
    cr_assert(slice_is_equal(key, keys[0]));
    cr_assert(stored_key_next(&items, &key));
    cr_assert_eq(key.len, 0);
    cr_assert_not(stored_key_next(&items, &key));
    items = stored_specifier_items(&s[3], STORED_DICTIONARY);
    cr_assert_not(stored_key_next(&items, &key));
    cr_assert(rd_is_done(&items));
}

/* 7.4.3.2, A-43 */
Test(stored, metadata)
{
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        uint8_t out[128], bare[128];
        struct stored_meta m = {.storage_time_ms = 5,
                                .lifetime_s = 6,
                                .model = models[i],
                                .index = 7,
                                .key = SLICE_LITERAL("k"),
                                .exists = true,
                                .value_length = 8,
                                .hash_algorithm = SECBLOCK_HASH_SHA256,
                                .hash = slice_of(hash, sizeof(hash))};
        struct stored_meta got;
        struct wr w = wr_init(out, sizeof(out));
        struct wr v = wr_init(bare, sizeof(bare));
        stored_wr_meta(&w, &m);
        stored_wr_metadata(&v, &m);
        cr_assert_eq(wr_len(&w), 4 + 12 + wr_len(&v));
        cr_assert_eq(out[3], 12 + wr_len(&v), "the first field is the structure's length");
        cr_assert_eq(stored_meta_decode(wr_slice(&w), models[i], &got), ERR_OK);
        cr_assert_eq(got.value_length, 8);
        cr_assert(slice_is_equal(got.hash, m.hash));
        struct rd r = rd_init(wr_slice(&v));
        stored_rd_metadata(&r, models[i], &got);
        cr_assert(rd_is_done(&r));
        stored_wr_meta(&w, &m);
        r = rd_init(wr_slice(&w));
        cr_assert(stored_meta_next(&r, models[i], &got));
        cr_assert(stored_meta_next(&r, models[i], &got));
        cr_assert_not(stored_meta_next(&r, models[i], &got));
        cr_assert(rd_ok(&r));
    }
}

Test(stored, bare_values)
{
    uint8_t out[64];
    struct stored_value in = sample(STORED_DICTIONARY).value;
    struct stored_value v;
    struct wr w = wr_init(out, sizeof(out));
    stored_wr_value(&w, &in);
    struct rd r = rd_init(wr_slice(&w));
    stored_rd_value(&r, STORED_DICTIONARY, &v);
    cr_assert(rd_is_done(&r));
    cr_assert(slice_is_equal(v.key, in.key));
    cr_assert(v.exists);
}

#define TIMES "\0\0\0\0\0\0\0\1\0\0\0\2"
#define UNSIGNED "\0\0\3\0\0\0\0"

Test(stored, refusals_say_why_and_where)
{
    static const struct refusal singles[] = {
        REFUSAL("\0\0\0\x19" TIMES "\1\0\0\0\1v" UNSIGNED "next", NONE, 29),
        REFUSAL("\0\0\0\x18" TIMES "\1\0\0\0\1v" UNSIGNED, INNER_LENGTH, 27),
        REFUSAL("\0\0\0\x1a" TIMES "\1\0\0\0\1v" UNSIGNED "x", INNER_LENGTH, 29),
        REFUSAL("\0\0\0\x19" TIMES "\2\0\0\0\1v" UNSIGNED, BOOLEAN, 16),
        REFUSAL("\0\0\0\x19" TIMES "\1\0\0\0\1v\0\0\0\0\0\0\0", ZERO_TYPE, 24),
        REFUSAL("\0\0\0\x1a" TIMES "\1\0\0\0\1v" UNSIGNED, SHORT, 4),
        REFUSAL("\0\0\0", SHORT, 0),
    };
    for (size_t i = 0; i < ARRAY_COUNT(singles); i++) {
        struct rd r = rd_init(slice_of(singles[i].bytes, singles[i].len));
        struct stored_data d;
        stored_rd(&r, STORED_SINGLE, &d);
        expect_refusal(&singles[i], &r, i);
    }
    static const struct refusal keyed[] = {
        REFUSAL("\0\0\0\x1c" TIMES "\0\1k\1\0\0\0\1v" UNSIGNED, NONE, 32),
        REFUSAL("\0\0\0\x1c" TIMES "\0\xffk\1\0\0\0\1v" UNSIGNED, INNER_LENGTH, 18),
    };
    for (size_t i = 0; i < ARRAY_COUNT(keyed); i++) {
        struct rd r = rd_init(slice_of(keyed[i].bytes, keyed[i].len));
        struct stored_data d;
        stored_rd(&r, STORED_DICTIONARY, &d);
        expect_refusal(&keyed[i], &r, i);
    }
    static const struct refusal metas[] = {
        REFUSAL("\0\0\0\x13" TIMES "\1\0\0\0\1\4\0", NONE, 23),
        REFUSAL("\0\0\0\x14" TIMES "\1\0\0\0\1\4\0x", INNER_LENGTH, 23),
        REFUSAL("\0\0\0\x13" TIMES "\3\0\0\0\1\4\0", BOOLEAN, 16),
    };
    for (size_t i = 0; i < ARRAY_COUNT(metas); i++) {
        struct rd r = rd_init(slice_of(metas[i].bytes, metas[i].len));
        struct stored_meta m;
        stored_rd_meta(&r, STORED_SINGLE, &m);
        expect_refusal(&metas[i], &r, i);
    }
}

Test(stored, model_names_are_whole_words)
{
    static const char *const names[] = {"single", "array", "dictionary"};
    static const char *const others[] = {"", "s", "Single", "arrayx", "arra", "dictionary "};
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        enum stored_model got = STORED_SINGLE;
        cr_expect(stored_model_named(slice_text(names[i]), &got), "%s", names[i]);
        cr_expect_eq(got, models[i], "%s", names[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        enum stored_model got = STORED_ARRAY;
        cr_expect(!stored_model_named(slice_text(others[i]), &got), "%s", others[i]);
        cr_expect_eq(got, STORED_ARRAY, "%s", others[i]);
    }
}

Test(stored, lists_say_why_and_where)
{
#define KIND_GENERATION "\0\0\0\1\0\0\0\0\0\0\0\2"
    static const struct refusal blocks[] = {
        REFUSAL(KIND_GENERATION "\0\0\0\1v.", NONE, 17),
        REFUSAL(KIND_GENERATION "\0\0\0\2v", SHORT, 16),
    };
    static const struct refusal responses[] = {
        REFUSAL(KIND_GENERATION "\0\x10"
                                "0123456789abcdef",
                NONE, 30),
        REFUSAL(KIND_GENERATION "\0\x11"
                                "0123456789abcdefg",
                NODE_LIST, 30),
    };
    static const struct refusal specifiers[] = {
        REFUSAL(KIND_GENERATION "\0\2\0\0", NONE, 16),
        REFUSAL(KIND_GENERATION "\0\3\0\0", SHORT, 14),
    };
    for (size_t i = 0; i < 2; i++) {
        struct rd r = rd_init(slice_of(blocks[i].bytes, blocks[i].len));
        struct stored_block b;
        stored_rd_block(&r, &b);
        expect_refusal(&blocks[i], &r, i);
        r = rd_init(slice_of(responses[i].bytes, responses[i].len));
        struct stored_response s;
        stored_rd_response(&r, &params, &s);
        expect_refusal(&responses[i], &r, i);
        r = rd_init(slice_of(specifiers[i].bytes, specifiers[i].len));
        struct stored_specifier what;
        stored_rd_specifier(&r, &what);
        expect_refusal(&specifiers[i], &r, i);
    }
}
