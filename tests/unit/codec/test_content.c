/* SPDX-License-Identifier: Apache-2.0 */
/* test_content.c - MessageContents, error answers and the security block (RFC 6940 6.3.3, 6.3.4).
 */
#include "codec/content.h"
#include "codec/secblock.h"
#include "tests/unit/codec/refusal.h"

#include <criterion/criterion.h>

/* catalogue 1.15 */
Test(content, golden_ping)
{
    uint8_t out[64];
    char text[64];
    struct wr w = wr_init(out, sizeof(out));
    size_t mark = content_begin(&w, CONTENT_PING_REQ);
    wr_u16(&w, 0);
    content_end(&w, mark);
    cr_assert_str_eq(ids_hex(wr_slice(&w), text), "001700000002000000000000");
    wr_bytes(&w, SLICE_LITERAL("rest"));
    struct content c;
    struct slice rest;
    cr_assert_eq(content_decode(wr_slice(&w), &c, &rest), ERR_OK);
    cr_assert_eq(c.code, CONTENT_PING_REQ);
    cr_assert_eq(c.body.len, 2);
    cr_assert_eq(c.bytes.len, 12);
    cr_assert_not(c.has_critical);
    cr_assert(slice_is_equal(rest, SLICE_LITERAL("rest")));
}

Test(content, codes)
{
    for (unsigned code = 0; code <= 0xffff; code++) {
        uint8_t out[16];
        struct content c;
        struct slice rest;
        struct wr w = wr_init(out, sizeof(out));
        content_wr(&w, (uint16_t)code, SLICE_EMPTY, SLICE_EMPTY);
        bool is_good = (code > 0 && code < 0x8000) || code == 0xffff;
        enum err e = content_decode(wr_slice(&w), &c, &rest);
        cr_assert_eq(e, is_good ? ERR_OK : ERR_MALFORMED, "%x", code);
        uint16_t u = (uint16_t)code;
        cr_assert_eq(content_is_request(u) || content_is_answer(u), is_good, "%x", code);
        cr_assert_not(content_is_request(u) && content_is_answer(u));
    }
    cr_assert_str_eq(content_name(CONTENT_STORE_ANS), "store_ans");
    cr_assert_str_eq(content_name(0x5), "unknown");
}

/* Every line of content.def: a name of its own, and a way back from what an error means. */
Test(content, every_code_of_the_tables)
{
    static const uint16_t codes[] = {
#define CONTENT(name, code, text) (code),
#include "codec/content.def"
#undef CONTENT
    };
    static const struct {
        uint16_t code;
        enum err meaning;
        const char *name;
    } errors[] = {
#define CONTENT_ERR(name, code, meaning, text) {(code), ERR_##meaning, text},
#include "codec/content.def"
#undef CONTENT_ERR
    };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        cr_assert_str_neq(content_name(codes[i]), "unknown", "%x", codes[i]);
        cr_assert(content_is_request(codes[i]) != content_is_answer(codes[i]), "%x", codes[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
        cr_assert_str_eq(content_error_name(errors[i].code), errors[i].name);
        cr_assert_eq(content_err_of(errors[i].code), errors[i].meaning, "%s", errors[i].name);
        /* what we send for it means the same to whoever gets it */
        uint16_t sent = content_error_code_of(errors[i].meaning);
        cr_assert(errors[i].meaning == ERR_REMOTE || content_err_of(sent) == errors[i].meaning,
                  "%s", errors[i].name);
    }
    static const enum err forbidden[] = {ERR_BAD_SIGNATURE, ERR_BAD_CERTIFICATE,
                                         ERR_UNAUTHENTICATED, ERR_EXPIRED, ERR_REFUSED};
    for (size_t i = 0; i < ARRAY_COUNT(forbidden); i++) {
        cr_assert_eq(content_error_code_of(forbidden[i]), CONTENT_ERROR_FORBIDDEN);
    }
}

Test(content, extensions)
{
    uint8_t list[64], out[128];
    struct content c;
    struct slice rest;
    for (unsigned critical = 0; critical < 3; critical++) {
        struct wr w = wr_init(list, sizeof(list));
        struct content_extension quiet = {.type = 2, .contents = SLICE_LITERAL("x")};
        content_wr_extension(&w, &quiet);
        content_wr_extension(&w, &quiet);
        list[10] = (uint8_t)critical;
        struct slice extensions = wr_slice(&w);
        w = wr_init(out, sizeof(out));
        content_wr(&w, CONTENT_PING_REQ, SLICE_EMPTY, extensions);
        enum err e = content_decode(wr_slice(&w), &c, &rest);
        cr_assert_eq(e, critical < 2 ? ERR_OK : ERR_MALFORMED);
        cr_assert(e != ERR_OK || c.has_critical == (critical == 1));
    }
    struct rd r = rd_init(SLICE_EMPTY);
    struct content_extension none;
    cr_assert_not(content_extension_next(&r, &none));
    cr_assert(rd_ok(&r));
}

Test(content, errors)
{
    uint8_t out[32];
    char text[64];
    struct wr w = wr_init(out, sizeof(out));
    content_wr_error(&w, CONTENT_ERROR_UNKNOWN_KIND, SLICE_LITERAL("\x04\xf0\x00\x00\x01"));
    cr_assert_str_eq(ids_hex(wr_slice(&w), text), "000c000504f0000001", "catalogue 1.15");
    struct content_error e;
    cr_assert_eq(content_error_decode(wr_slice(&w), &e), ERR_OK);
    cr_assert_eq(e.code, 0xc);
    wr_u8(&w, 0);
    cr_assert_eq(content_error_decode(wr_slice(&w), &e), ERR_MALFORMED);
    cr_assert_str_eq(content_error_name(0xa), "ttl_exceeded");
    cr_assert_str_eq(content_error_name(0x77), "unknown");
    /* What we send for a reason means that reason again when it is received. */
    static const enum err both_ways[] = {
        ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_TIMEOUT,   ERR_WRONG_OVERLAY, ERR_UNSUPPORTED,
        ERR_LIMIT,     ERR_STALE,     ERR_TTL,       ERR_TOO_LARGE,     ERR_CONFIG,
        ERR_EXISTS,    ERR_STATE,     ERR_MALFORMED,
    };
    for (size_t i = 0; i < ARRAY_COUNT(both_ways); i++) {
        uint16_t code = content_error_code_of(both_ways[i]);
        cr_assert_eq(content_err_of(code), both_ways[i], "%zu", i);
    }
    cr_assert_eq(content_error_code_of(ERR_BAD_SIGNATURE), CONTENT_ERROR_FORBIDDEN);
    cr_assert_eq(content_error_code_of(ERR_REMOTE), CONTENT_ERROR_INVALID_MESSAGE);
    cr_assert_eq(content_error_code_of(ERR_IO), CONTENT_ERROR_INVALID_MESSAGE);
    cr_assert_eq(content_err_of(0x77), ERR_REMOTE);
}

static const uint8_t hash[32] = {0xaa};

/* 6.3.4 */
Test(secblock, what_a_message_signs)
{
    uint8_t out[128];
    char text[256];
    struct secblock_identity signer = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                                       .hash_algorithm = SECBLOCK_HASH_SHA256,
                                       .hash = slice_of(hash, sizeof(hash))};
    struct wr w = wr_init(out, sizeof(out));
    secblock_wr_message_input(&w, 0x9aa32b8d, 0x0123456789abcdef,
                              SLICE_LITERAL("\x00\x17\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00"),
                              &signer);
    cr_assert_eq(wr_len(&w), 12 + 12 + 37);
    ids_hex(wr_slice(&w), text);
    cr_assert_eq(memcmp(text,
                        "9aa32b8d0123456789abcdef001700000002000000000000010022"
                        "0420aa00",
                        62),
                 0, "%s", text);
}

/* The same input where the contents stand in a message. */
Test(secblock, what_a_message_signs_in_place)
{
    enum { FRONT = 20, CONTENTS = 12, IDENTITY = 37, CAP = FRONT + CONTENTS + IDENTITY };
    uint8_t expected[128];
    uint8_t out[CAP];
    const struct slice contents = SLICE_LITERAL("\x00\x17\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00");
    struct secblock_identity signer = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                                       .hash_algorithm = SECBLOCK_HASH_SHA256,
                                       .hash = slice_of(hash, sizeof(hash))};
    struct wr e = wr_init(expected, sizeof(expected));
    secblock_wr_message_input(&e, 0x9aa32b8d, 0x0123456789abcdef, contents, &signer);
    memset(out, 0x55, sizeof(out));
    struct wr w = wr_init(out, sizeof(out));
    (void)wr_claim(&w, FRONT);
    wr_bytes(&w, contents);
    struct slice input =
        secblock_put_message_input(&w, FRONT, 0x9aa32b8d, 0x0123456789abcdef, &signer);
    cr_assert(wr_ok(&w));
    cr_assert(slice_is_equal(input, wr_slice(&e)));
    cr_assert_eq(wr_len(&w), FRONT + CONTENTS);
    cr_assert_eq(out[FRONT - SECBLOCK_INPUT_FRONT - 1], 0x55, "no more than that gives way");
    cr_assert(slice_is_equal(slice_of(out + FRONT, CONTENTS), contents));
    /* a byte less behind, or in front */
    struct wr narrow = wr_init(out, sizeof(out) - 1);
    (void)wr_claim(&narrow, FRONT + CONTENTS);
    input = secblock_put_message_input(&narrow, FRONT, 1, 2, &signer);
    cr_assert(!wr_ok(&narrow) && input.len == 0);
    struct wr low = wr_init(out, sizeof(out));
    (void)wr_claim(&low, SECBLOCK_INPUT_FRONT - 1);
    input = secblock_put_message_input(&low, SECBLOCK_INPUT_FRONT - 1, 1, 2, &signer);
    cr_assert(!wr_ok(&low) && input.len == 0);
}

Test(secblock, built_and_read)
{
    uint8_t out[256];
    const struct slice der[] = {SLICE_LITERAL("first"), SLICE_LITERAL("second")};
    struct secblock_signature in = {
        .algorithm = 0x0807,
        .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH_NODE_ID,
                     .hash_algorithm = SECBLOCK_HASH_SHA256,
                     .hash = slice_of(hash, sizeof(hash))},
        .value = SLICE_LITERAL("signature"),
    };
    struct wr w = wr_init(out, sizeof(out));
    secblock_wr_x509(&w, der, 2, &in);
    struct secblock s;
    cr_assert_eq(secblock_decode(wr_slice(&w), &s), ERR_OK);
    cr_assert_eq(s.certificate_count, 2);
    cr_assert_eq(s.signature.algorithm, 0x0807);
    cr_assert_eq(s.signature.identity.type, SECBLOCK_IDENTITY_CERT_HASH_NODE_ID);
    cr_assert(slice_is_equal(s.signature.identity.hash, in.identity.hash));
    cr_assert(slice_is_equal(s.signature.value, in.value));
    struct rd r = rd_init(s.certificates);
    struct secblock_certificate c;
    cr_assert(secblock_certificate_next(&r, &c));
    cr_assert(slice_is_equal(c.der, der[0]));
    cr_assert(secblock_certificate_next(&r, &c));
    cr_assert_not(secblock_certificate_next(&r, &c));
    uint8_t again[256];
    struct wr v = wr_init(again, sizeof(again));
    secblock_wr(&v, s.certificates, &s.signature);
    cr_assert(slice_is_equal(wr_slice(&v), wr_slice(&w)));
}

Test(secblock, what_an_identity_hashes)
{
    const struct rl_params p = {.node_id_length = 16};
    struct node_id id = {{1}};
    uint8_t out[64];
    struct wr w = wr_init(out, sizeof(out));
    secblock_wr_identity_input(&w, &p, SECBLOCK_IDENTITY_CERT_HASH, &id, SLICE_LITERAL("der"));
    cr_assert(slice_is_equal(wr_slice(&w), SLICE_LITERAL("der")));
    secblock_wr_identity_input(&w, &p, SECBLOCK_IDENTITY_CERT_HASH_NODE_ID, &id,
                               SLICE_LITERAL("der"));
    cr_assert_eq(wr_len(&w), 3 + 16 + 3);
}

Test(secblock, identities_of_the_future_and_of_nobody)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool is_good;
    } cases[] = {
        {"\x03\x00\x00", 3, true},         {"\x03\x00\x01x", 4, false}, /* "none" carries nothing */
        {"\x04\x00\x02xy", 5, true},       {"\x00\x00\x00", 3, false},
        {"\x01\x00\x02\x04\x00", 5, true}, {"\x01\x00\x03\x04\x00z", 6, false},
        {"\x01\x00\x01\x04", 4, false},    {"\x02\x00\x03\x04\x02z", 6, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rd r = rd_init(slice_of(cases[i].bytes, cases[i].len));
        struct secblock_identity id;
        secblock_rd_identity(&r, &id);
        cr_assert_eq(rd_is_done(&r), cases[i].is_good, "case %zu", i);
    }
    uint8_t out[8];
    struct wr w = wr_init(out, sizeof(out));
    struct secblock_signature none = {.identity = {.type = SECBLOCK_IDENTITY_NONE}};
    secblock_wr_signature(&w, &none);
    cr_assert_eq(wr_len(&w), 2 + 3 + 2);
    struct rd r = rd_init(wr_slice(&w));
    secblock_rd_signature(&r, &none);
    cr_assert(rd_is_done(&r));
    w = wr_init(out, sizeof(out));
    secblock_wr_certificate(&w, SECBLOCK_CERTIFICATE_X509, SLICE_LITERAL("d"));
    secblock_wr_identity(&w, &none.identity);
    cr_assert_eq(wr_len(&w), 4 + 3);
}

Test(content, refusals_say_why_and_where)
{
    static const struct refusal cases[] = {
        REFUSAL("\0\x17\0\0\0\1a\0\0\0\0behind", NONE, 11),
        REFUSAL("\0\0\0\0\0\0\0\0\0\0", ZERO_TYPE, 0),
        REFUSAL("\x80\0\0\0\0\0\0\0\0\0", RESERVED_CODE, 0),
        REFUSAL("\0", SHORT, 0),
        REFUSAL("\0\x17\0\0\0\2a", SHORT, 6),
        REFUSAL("\0\x17\0\0\0\1a\0\0\0", SHORT, 7),
        REFUSAL("\0\x17\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0", ZERO_TYPE, 10),
        REFUSAL("\0\x17\0\0\0\0\0\0\0\7\0\1\2\0\0\0\0", BOOLEAN, 12),
        REFUSAL("\0\x17\0\0\0\0\0\0\0\7\0\1\0\0\0\0\1", INNER_LENGTH, 17),
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rd r = rd_init(slice_of(cases[i].bytes, cases[i].len));
        struct content c;
        content_rd(&r, &c);
        expect_refusal(&cases[i], &r, i);
        cr_assert_eq(c.bytes.len, i == 0 ? 11 : 0);
    }
    struct rd r = rd_init(SLICE_LITERAL("\0\2\0\1ab"));
    struct content_error e;
    content_rd_error(&r, &e);
    cr_assert(rd_ok(&r));
    cr_assert_eq(rd_left(&r), 1);
    cr_assert_eq(rd_finish(&r), ERR_MALFORMED);
    cr_assert_eq(r.why, REJECT_TRAILING);
}

Test(secblock, refusals_say_why_and_where)
{
    static const struct refusal cases[] = {
        REFUSAL("\0\4\0\0\1c\4\1\1\0\3\4\1h\0\1s", NONE, 17),
        REFUSAL("\0\4\0\0\1c\4\1\1\0\3\4\1h\0\1sx", TRAILING, 17),
        REFUSAL("\0\4\0\0\2c\4\1\1\0\3\4\1h\0\1s", INNER_LENGTH, 5),
        REFUSAL("\0\0\4\1\0\0\0\0\0", ZERO_TYPE, 4),
        REFUSAL("\0\0\4\1\3\0\1x\0\0", INNER_LENGTH, 7), /* "none" has no value */
        REFUSAL("\0\0\4\1\1\0\3\4\2h\0\0", INNER_LENGTH, 9),
        REFUSAL("\0\0\4\1\x09\0\3\4\2h\0\0", NONE, 12), /* unknown: by its length */
        REFUSAL("\0\0\4\1\1\0\3\4\1h\0\2s", SHORT, 12),
        REFUSAL("\0\1", SHORT, 2),
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rd r = rd_init(slice_of(cases[i].bytes, cases[i].len));
        struct secblock s;
        secblock_rd(&r, &s);
        enum err e = rd_finish(&r);
        expect_refusal(&cases[i], &r, i);
        cr_assert_eq(secblock_decode(slice_of(cases[i].bytes, cases[i].len), &s), e);
    }
}
