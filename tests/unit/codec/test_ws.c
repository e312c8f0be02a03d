/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of RFC 6455: its own examples (5.7), every header cut short, and what it forbids. */
#include "codec/ws.h"
#include <criterion/criterion.h>
#include <stdio.h>

#define BYTES(...) ((uint8_t[]){__VA_ARGS__})

static enum err read_bytes(const uint8_t *bytes, size_t len, struct ws_frame *f)
{
    return ws_frame_read(slice_of(bytes, len), f);
}

/* 5.7: "Hello", unmasked, masked, and the first of two fragments. */
Test(ws, the_examples_of_rfc_6455)
{
    struct ws_frame f;
    uint8_t masked[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    cr_assert_eq(read_bytes(BYTES(0x81, 0x05, 0x48), 3, &f), ERR_OK);
    cr_assert(f.is_final && !f.is_masked && f.opcode == WS_TEXT && f.len == 5);
    cr_assert_eq(f.header_len, 2);
    cr_assert_eq(read_bytes(masked, sizeof(masked), &f), ERR_OK);
    cr_assert(f.is_final && f.is_masked && f.len == 5 && f.header_len == 6);
    ws_mask(masked + 6, 5, f.mask);
    cr_assert_eq(memcmp(masked + 6, "Hello", 5), 0);
    cr_assert_eq(read_bytes(BYTES(0x01, 0x03, 0x48), 3, &f), ERR_OK);
    cr_assert(!f.is_final && f.opcode == WS_TEXT);
    cr_assert_eq(read_bytes(BYTES(0x80, 0x02), 2, &f), ERR_OK);
    cr_assert(f.is_final && f.opcode == WS_CONTINUATION);
    cr_assert_eq(read_bytes(BYTES(0x82, 0x7e, 0x01, 0x00), 4, &f), ERR_OK);
    cr_assert(f.opcode == WS_BINARY && f.len == 256 && f.header_len == 4);
    cr_assert_eq(read_bytes(BYTES(0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0), 10, &f), ERR_OK);
    cr_assert(f.len == 65536 && f.header_len == 10);
}

Test(ws, a_header_cut_short_wants_more)
{
    static const uint8_t whole[] = {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4};
    struct ws_frame f;
    for (size_t len = 0; len < sizeof(whole); len++) {
        cr_assert_eq(read_bytes(whole, len, &f), ERR_MORE, "%zu bytes", len);
    }
    cr_assert_eq(read_bytes(whole, sizeof(whole), &f), ERR_OK);
    cr_assert_eq(f.header_len, WS_HEADER_CAP);
}

Test(ws, what_is_forbidden)
{
    struct ws_frame f;
    static const struct {
        uint8_t bytes[10];
        size_t len;
    } bad[] = {
        {{0xc1, 0x00}, 2},                                /* reserved bits */
        {{0xa1}, 1},                                      /* already in the first byte */
        {{0x91}, 1},                                      /* ... each of them */
        {{0x83}, 1},                                      /* opcodes of no meaning */
        {{0x87}, 1},                                      /* ... */
        {{0x8b}, 1},                                      /* ... of control frames */
        {{0x8f}, 1},                                      /* ... */
        {{0x09, 0x00}, 2},                                /* a Ping in pieces */
        {{0x89, 0x7e}, 2},                                /* a long Ping */
        {{0x81, 0x7e, 0x00, 0x7d}, 4},                    /* a longer length than needed */
        {{0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 10}, /* ... */
        {{0x81, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, 10},    /* the top bit */
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert_eq(read_bytes(bad[i].bytes, bad[i].len, &f), ERR_MALFORMED, "%zu", i);
    }
}

Test(ws, what_is_written_is_read)
{
    static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 1 << 20};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        uint8_t out[WS_OUT_HEADER_CAP];
        struct ws_frame f;
        size_t len = ws_frame_write(WS_BINARY, lengths[i], out);
        cr_assert_eq(read_bytes(out, len, &f), ERR_OK);
        cr_assert(f.is_final && !f.is_masked && f.opcode == WS_BINARY);
        cr_assert_eq(f.len, lengths[i]);
        cr_assert_eq(f.header_len, len);
    }
}

Test(ws, masks_of_every_length)
{
    const uint8_t mask[] = {0x11, 0x22, 0x33, 0xf4};
    for (size_t len = 0; len < 40; len++) {
        uint8_t data[41], want[41];
        for (size_t i = 0; i < sizeof(data); i++) {
            data[i] = (uint8_t)(i * 7);
            want[i] = i < len ? (uint8_t)(data[i] ^ mask[i % 4]) : data[i];
        }
        ws_mask(data, len, mask);
        cr_assert_eq(memcmp(data, want, sizeof(data)), 0, "%zu", len);
    }
}

Test(ws, utf_8)
{
    static const char *const good[] = {"",
                                       "plain ASCII, longer than a word",
                                       "\xce\xba\xcf\x8c\xcf\x83\xce\xbc\xce\xb5",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xc2",
        "\xe0\x9f\xbf", "\xed\xa0\x80",     "\xed\xbf\xbf",     "\xe1\x80",
        "\xe1\x80\x7f", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "12345678\xff",     "\xf1\x80\x80\xc0"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        cr_assert(ws_is_utf8(slice_text(good[i])), "%zu", i);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        cr_assert_not(ws_is_utf8(slice_text(bad[i])), "%zu", i);
    }
}

/* 7.4: which codes may be sent. */
Test(ws, close_codes)
{
    static const struct {
        uint16_t code;
        bool is_good;
    } rows[] = {{0, false},    {999, false},  {1000, true},  {1001, true}, {1003, true},
                {1004, false}, {1005, false}, {1006, false}, {1007, true}, {1014, true},
                {1015, false}, {2999, false}, {3000, true},  {4999, true}, {5000, false}};
    enum ws_status status;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t payload[] = {(uint8_t)(rows[i].code >> 8), (uint8_t)rows[i].code, 'b', 'y', 'e'};
        cr_assert_eq(ws_close_read(slice_of(payload, 5), &status), rows[i].is_good, "%u",
                     rows[i].code);
        cr_assert_eq((unsigned)status, rows[i].code);
    }
    cr_assert(ws_close_read(SLICE_EMPTY, &status));
    cr_assert_eq(status, WS_STATUS_NONE);
    cr_assert_not(ws_close_read(SLICE_LITERAL("\x03"), &status));
    cr_assert_not(ws_close_read(SLICE_LITERAL("\x03\xe8\xff"), &status));
    uint8_t out[2];
    ws_close_write(WS_STATUS_TOO_BIG, out);
    cr_assert(ws_close_read(slice_of(out, 2), &status) && status == WS_STATUS_TOO_BIG);
}
