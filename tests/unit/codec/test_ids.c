/* SPDX-License-Identifier: Apache-2.0 */
/* test_ids.c - Node-IDs of 16 to 20 bytes, the ring, reload URIs. */
#include "codec/ids.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct rl_params p16 = {.overlay = 0x9aa32b8d, .node_id_length = 16};
static const struct rl_params p20 = {.overlay = 0x9aa32b8d, .node_id_length = 20};

Test(ids, node_ids_have_the_length_of_the_overlay)
{
    static const uint8_t bytes[21] = {1, 2, 3};
    for (size_t length = IDS_NODE_MIN; length <= IDS_NODE_MAX; length++) {
        const struct rl_params p = {.node_id_length = (uint8_t)length};
        for (size_t len = 0; len <= sizeof(bytes); len++) {
            struct node_id id;
            enum err want = len == length ? ERR_OK : ERR_MALFORMED;
            cr_assert_eq(ids_node_of(slice_of(bytes, len), &p, &id), want);
        }
    }
}

Test(ids, special_node_ids)
{
    struct node_id zero = {{0}};
    struct node_id all = ids_node_wildcard(&p16);
    cr_assert(ids_node_is_invalid(&zero));
    cr_assert_not(ids_node_is_invalid(&all));
    cr_assert(ids_node_is_wildcard(&all, &p16));
    cr_assert_not(ids_node_is_wildcard(&all, &p20), "its last four bytes are missing");
    cr_assert_eq(all.bytes[15], 0xff);
    cr_assert_eq(all.bytes[16], 0);
    all.bytes[3] = 0xfe;
    cr_assert_not(ids_node_is_wildcard(&all, &p16));
}

Test(ids, node_ids_as_fields)
{
    static const uint8_t bytes[20] = {9, 8, 7, 6, 5};
    const struct rl_params *const params[] = {&p16, &p20};
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        struct rd r = rd_init(slice_of(bytes, params[i]->node_id_length));
        struct node_id id;
        uint8_t out[20];
        struct wr w = wr_init(out, sizeof(out));
        ids_rd_node(&r, params[i], &id);
        cr_assert(rd_is_done(&r));
        ids_wr_node(&w, params[i], &id);
        cr_assert_eq(wr_len(&w), params[i]->node_id_length);
        cr_assert_eq(memcmp(out, bytes, wr_len(&w)), 0);
        r = rd_init(slice_of(bytes, params[i]->node_id_length - 1u));
        ids_rd_node(&r, params[i], &id);
        cr_assert_not(rd_ok(&r));
        cr_assert(ids_node_is_invalid(&id));
    }
}

Test(ids, hex)
{
    static const uint8_t bytes[] = {0x00, 0x9f, 0xa0, 0xff};
    char text[IDS_NODE_TEXT_CAP];
    uint8_t back[4];
    size_t len = 0;
    cr_assert_str_eq(ids_hex(slice_of(bytes, 4), text), "009fa0ff");
    cr_assert_eq(ids_unhex(SLICE_LITERAL("009fA0Ff"), back, 4, &len), ERR_OK);
    cr_assert_eq(len, 4);
    cr_assert_eq(memcmp(back, bytes, 4), 0);
    cr_assert_eq(ids_unhex(SLICE_LITERAL("009"), back, 4, &len), ERR_MALFORMED);
    cr_assert_eq(ids_unhex(SLICE_LITERAL("0g"), back, 4, &len), ERR_MALFORMED);
    cr_assert_eq(ids_unhex(SLICE_LITERAL("/0"), back, 4, &len), ERR_MALFORMED);
    cr_assert_eq(ids_unhex(SLICE_LITERAL("0011223344"), back, 4, &len), ERR_TOO_LARGE);
    struct node_id id = {{0xab}};
    cr_assert_str_eq(ids_node_text(&id, &p16, text), "ab000000000000000000000000000000");
}

/* Bytes are written four at a time: each in each place, against printf. */
Test(ids, hex_of_each_byte)
{
    enum { BYTES = 11 };
    for (size_t len = 0; len <= BYTES; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                uint8_t bytes[BYTES];
                char expected[2 * BYTES + 1] = "", text[2 * BYTES + 2];
                memset(bytes, 0xc3, sizeof(bytes));
                bytes[at] = (uint8_t)byte;
                for (size_t i = 0; i < len; i++) {
                    snprintf(expected + 2 * i, 3, "%02x", bytes[i]);
                }
                memset(text, '!', sizeof(text));
                cr_assert_str_eq(ids_hex(slice_of(bytes, len), text), expected);
                cr_assert_eq(text[2 * len + 1], '!');
            }
        }
    }
}

/* RFC 6940 10.1: arithmetic modulo 2^128 */
Test(ids, ring_arithmetic)
{
    struct ring_id zero = {0, 0};
    struct ring_id one = {0, 1};
    struct ring_id top = {UINT64_MAX, UINT64_MAX};
    struct ring_id carry = {1, 0};
    cr_assert(ids_ring_is_equal(ids_ring_plus(top, one), zero));
    cr_assert(ids_ring_is_equal(ids_ring_minus(zero, one), top));
    cr_assert(ids_ring_is_equal(ids_ring_minus(carry, one), (struct ring_id){0, UINT64_MAX}));
    cr_assert(ids_ring_is_equal(ids_ring_plus((struct ring_id){0, UINT64_MAX}, one), carry));
    cr_assert(ids_ring_is_less(one, carry));
    cr_assert_not(ids_ring_is_less(carry, carry));
    cr_assert(ids_ring_is_less(carry, top));
}

Test(ids, ring_intervals_are_half_open_and_wrap)
{
    /* x, from, to, inside (from, to] */
    static const struct {
        uint64_t x, from, to;
        bool is_in;
    } cases[] = {
        {5, 3, 7, true}, {3, 3, 7, false}, {7, 3, 7, true}, {8, 3, 7, false},
        {8, 7, 3, true}, {2, 7, 3, true},  {3, 7, 3, true}, {5, 7, 3, false},
        {5, 5, 5, true}, {6, 5, 5, true},  {4, 5, 5, true}, {6, 5, 6, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct ring_id x = {cases[i].x, 0};
        struct ring_id from = {cases[i].from, 0};
        struct ring_id to = {cases[i].to, 0};
        cr_assert_eq(ids_ring_is_between(x, from, to), cases[i].is_in, "hi, case %zu", i);
        struct ring_id lo_x = {0, cases[i].x};
        struct ring_id lo_from = {0, cases[i].from};
        struct ring_id lo_to = {0, cases[i].to};
        cr_assert_eq(ids_ring_is_between(lo_x, lo_from, lo_to), cases[i].is_in, "lo %zu", i);
    }
}

Test(ids, ring_positions_of_ids)
{
    struct node_id id = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe}};
    struct ring_id ring = ids_ring_of_node(&id);
    cr_assert_eq(ring.hi, 0x0123456789abcdefu);
    cr_assert_eq(ring.lo, 0xfe00000000000000u);
    struct node_id back = ids_node_of_ring(ring);
    cr_assert(ids_node_is_equal(&id, &back));
    struct ring_id same;
    cr_assert_eq(ids_ring_of_resource(slice_of(id.bytes, 16), &same), ERR_OK);
    cr_assert(ids_ring_is_equal(ring, same));
    cr_assert_eq(ids_ring_of_resource(slice_of(id.bytes, 15), &same), ERR_MALFORMED);
    cr_assert_eq(ids_ring_of_resource(SLICE_EMPTY, &same), ERR_MALFORMED);
    uint8_t bytes[IDS_RING_BYTES];
    ids_ring_bytes(ring, bytes);
    cr_assert_eq(memcmp(bytes, id.bytes, sizeof(bytes)), 0);
}

#define NODE_HEX "0123456789abcdef0123456789abcdef"

/* RFC 6940 14.15, 11.3 */
Test(ids, uri_of_a_certificate)
{
    struct node_id id;
    struct slice name;
    struct slice good = SLICE_LITERAL("reload://0110" NODE_HEX "@overlay.example.org/");
    cr_assert_eq(ids_uri_node(good, &p16, &id, &name), ERR_OK);
    cr_assert(slice_is_equal(name, SLICE_LITERAL("overlay.example.org")));
    cr_assert_eq(id.bytes[1], 0x23);
    uint8_t text[128];
    struct wr w = wr_init(text, sizeof(text));
    ids_uri_wr_node(&w, &p16, &id, name);
    cr_assert(slice_is_equal(wr_slice(&w), good));
    cr_assert_eq(ids_uri_node(SLICE_LITERAL("RELOAD://0110" NODE_HEX "@o/"), &p16, &id, &name),
                 ERR_OK);

    static const char *const bad[] = {
        "",
        "reload:/",
        "sip:alice@example.org",
        "reload://" NODE_HEX "@overlay.example.org/", /* A-25: no Destination around it */
        "reload://0110" NODE_HEX "@overlay.example.org",
        "reload://0110" NODE_HEX "@/",
        "reload://0110" NODE_HEX "@",
        "reload://",
        "reload://0110" NODE_HEX,
        "reload://@overlay.example.org/",
        "reload://0110" NODE_HEX "@overlay.example.org/00",
        "reload://0110" NODE_HEX "0110" NODE_HEX "@overlay.example.org/",
        "reload://0210" NODE_HEX "@overlay.example.org/",
        "reload://010f" NODE_HEX "@overlay.example.org/",
        "reload://0111" NODE_HEX "00@overlay.example.org/",
        "reload://0110" NODE_HEX "0@overlay.example.org/",
        "reload://01 0" NODE_HEX "@overlay.example.org/",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert_eq(ids_uri_node(slice_text(bad[i]), &p16, &id, &name), ERR_MALFORMED, "%s",
                     bad[i]);
    }
    cr_assert_eq(ids_uri_node(good, &p20, &id, &name), ERR_MALFORMED);
}

Test(ids, uri_in_general)
{
    struct ids_uri uri;
    cr_assert_eq(ids_uri_parse(SLICE_LITERAL("reload://8001@o.example/00AAff"), &uri), ERR_OK);
    cr_assert_eq(uri.destinations_len, 2);
    cr_assert_eq(uri.destinations[0], 0x80);
    cr_assert(slice_is_equal(uri.specifier, SLICE_LITERAL("00AAff")));
    cr_assert_eq(ids_uri_parse(SLICE_LITERAL("reload://8001@o.example/xy"), &uri), ERR_MALFORMED);
    char text[2 * IDS_URI_CAP + 64];
    char *at = text + sizeof("reload://") - 1;
    memcpy(text, "reload://", sizeof("reload://") - 1);
    memset(at, '0', 2 * IDS_URI_CAP + 2);
    memcpy(at + 2 * IDS_URI_CAP, "@o/", 4);
    cr_assert_eq(ids_uri_parse(slice_text(text), &uri), ERR_OK);
    memcpy(at + 2 * IDS_URI_CAP, "00@o/", 6);
    cr_assert_eq(ids_uri_parse(slice_text(text), &uri), ERR_TOO_LARGE);
}

/* Digits are read eight at a time: each byte in each place, against what a digit is worth. */
Test(ids, hex_digits_everywhere)
{
    enum { DIGITS = 10 }; /* one run of eight, and one that is not full */
    static const char worth[] = "0123456789abcdef0123456789ABCDEF";
    for (unsigned at = 0; at < DIGITS; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[DIGITS + 1] = "5a5a5a5a5a";
            uint8_t back[DIGITS / 2] = {0}, expected[DIGITS / 2];
            size_t len = 0;
            const char *digit = byte == 0 ? NULL : strchr(worth, (int)byte);
            unsigned value = digit == NULL ? 0 : (unsigned)(digit - worth) % 16;
            memset(expected, 0x5a, sizeof(expected));
            expected[at / 2] = (uint8_t)(at % 2 == 0 ? value << 4 | 0x0a : 0x50 | value);
            text[at] = (char)byte;
            enum err e = ids_unhex(slice_of(text, DIGITS), back, sizeof(back), &len);
            cr_assert_eq(e, digit == NULL ? ERR_MALFORMED : ERR_OK, "%u at %u", byte, at);
            cr_assert(digit == NULL || memcmp(back, expected, sizeof(back)) == 0, "%u at %u", byte,
                      at);
        }
    }
}
