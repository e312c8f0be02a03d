/* SPDX-License-Identifier: Apache-2.0 */
/* test_frame.c - frames in a stream and the ACK window (RFC 6940 6.6.2, catalogue T1). */
#include "codec/frame.h"

#include "codec/ids.h"

#include <criterion/criterion.h>

/* T1.3: two frames and an ACK, cut at every byte */
Test(frame, a_stream_cut_anywhere)
{
    uint8_t stream[64];
    struct wr w = wr_init(stream, sizeof(stream));
    struct frame in[] = {
        {.type = FRAME_DATA, .sequence = 7, .message = SLICE_LITERAL("hello")},
        {.type = FRAME_ACK, .sequence = 0xfffffffe, .received = 0x3e},
        {.type = FRAME_DATA, .sequence = 8},
    };
    size_t ends[3];
    for (size_t i = 0; i < ARRAY_COUNT(in); i++) {
        frame_wr(&w, &in[i]);
        ends[i] = wr_len(&w);
    }
    cr_assert_eq(ends[0], 13);
    cr_assert_eq(ends[1], 22);
    for (size_t len = 0; len <= ends[2]; len++) {
        struct slice rest = slice_of(stream, len);
        struct frame f;
        size_t consumed = 0;
        size_t found = 0;
        enum err e;
        while ((e = frame_scan(rest, 100, &f, &consumed)) == ERR_OK) {
            cr_assert_eq(f.type, in[found].type);
            cr_assert_eq(f.sequence, in[found].sequence);
            cr_assert_eq(f.received, in[found].received);
            cr_assert(slice_is_equal(f.message, in[found].message));
            rest = slice_from(rest, consumed);
            found++;
        }
        cr_assert_eq(e, ERR_MORE);
        cr_assert_gt(consumed, rest.len, "asks for more than it has");
        for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
            cr_assert_eq(found > i, len >= ends[i], "length %zu", len);
        }
    }
}

/* T1.3, T1.4 */
Test(frame, faults_of_a_stream)
{
    struct frame f;
    size_t consumed = 0;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t byte = (uint8_t)type;
        enum err want = type == 0x80 || type == 0x81 ? ERR_MORE : ERR_MALFORMED;
        cr_assert_eq(frame_scan(slice_of(&byte, 1), 100, &f, &consumed), want);
    }
    static const uint8_t huge[] = {0x80, 0, 0, 0, 0, 0xff, 0xff, 0xff};
    cr_assert_eq(frame_scan(slice_of(huge, 8), 5000, &f, &consumed), ERR_TOO_LARGE);
    cr_assert_eq(frame_scan(slice_of(huge, 8), FRAME_MESSAGE_MAX, &f, &consumed), ERR_MORE);
    cr_assert_eq(consumed, 8 + FRAME_MESSAGE_MAX);
    static const uint8_t exact[] = {0x80, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 0x80};
    cr_assert_eq(frame_scan(slice_of(exact, 10), 2, &f, &consumed), ERR_OK);
    cr_assert_eq(frame_scan(slice_of(exact, 10), 1, &f, &consumed), ERR_TOO_LARGE);
    cr_assert_eq(frame_decode(slice_of(exact, 10), &f), ERR_OK);
    cr_assert_eq(frame_decode(slice_of(exact, 9), &f), ERR_MALFORMED);
    cr_assert_eq(frame_decode(slice_of(exact, 11), &f), ERR_MALFORMED);
}

Test(frame, headers_in_place)
{
    uint8_t header[FRAME_DATA_HEADER];
    char text[2 * FRAME_ACK_BYTES + 1];
    frame_put_data_header(header, 0x01020304, 0x0a0b0c);
    cr_assert_str_eq(ids_hex(slice_of(header, sizeof(header)), text), "80010203040a0b0c");
    uint8_t ack[FRAME_ACK_BYTES];
    frame_put_ack(ack, 5, 0x3e);
    cr_assert_str_eq(ids_hex(slice_of(ack, sizeof(ack)), text), "81000000050000003e");
}

/* T1.1, T1.2 */
Test(frame, the_window_of_acks)
{
    static const struct {
        uint32_t sequences[8];
        size_t count;
        uint32_t received; /* in the ACK of the last */
    } cases[] = {
        {{0, 1, 2, 3, 4, 5}, 6, 0x3e},
        {{0, 2}, 2, 0x4},
        {{0xffffffff, 0}, 2, 0x2},
        {{0xfffffffe, 0, 0xffffffff}, 3, 0x2},
        {{5}, 1, 0},
        {{5, 5}, 2, 0},
        {{0, 31}, 2, 0x80000000},
        {{0, 32}, 2, 0},
        {{0, 1, 500}, 3, 0},
        {{0, 500, 1}, 3, 0},        /* too late for our memory: nothing is claimed */
        {{10, 11, 70, 12}, 4, 0x6}, /* late, but remembered */
        {{0, 1, 0x90000000}, 3, 0}, /* more than half the circle ahead is behind */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct frame_window window = {0, 0};
        uint32_t got = 0;
        for (size_t k = 0; k < cases[i].count; k++) {
            got = frame_window_note(&window, cases[i].sequences[k]);
            cr_assert_eq(got & 1, 0);
        }
        cr_assert_eq(got, cases[i].received, "case %zu: %x", i, got);
        uint32_t last = cases[i].sequences[cases[i].count - 1];
        cr_assert_eq(frame_window_received(&window, last), got);
    }
    struct frame_window empty = {0, 0};
    cr_assert_eq(frame_window_received(&empty, 3), 0);
}

Test(frame, refusals_say_why_and_where)
{
    static const struct {
        struct slice bytes;
        enum reject why;
        size_t at;
    } cases[] = {
        {SLICE_LITERAL("\x80\0\0\0\1\0\0\2hi next"), REJECT_NONE, 10},
        {SLICE_LITERAL("\x81\0\0\0\1\0\0\0\2 next"), REJECT_NONE, 9},
        {SLICE_LITERAL("\x82\0\0\0\1\0\0\2hi"), REJECT_FRAME_TYPE, 0},
        {SLICE_LITERAL(""), REJECT_SHORT, 0},
        {SLICE_LITERAL("\x80\0\0\0"), REJECT_SHORT, 1},
        {SLICE_LITERAL("\x80\0\0\0\1\0\0"), REJECT_SHORT, 5},
        {SLICE_LITERAL("\x80\0\0\0\1\0\0\3hi"), REJECT_SHORT, 8},
        {SLICE_LITERAL("\x81\0\0\0\1\0\0\0"), REJECT_SHORT, 5},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rd r = rd_init(cases[i].bytes);
        struct frame f;
        frame_rd(&r, &f);
        cr_assert_eq(r.why, cases[i].why, "case %zu: %s", i, reject_name(r.why));
        cr_assert_eq(r.at, cases[i].bytes.data + cases[i].at, "case %zu", i);
        struct slice exact = slice_sub(cases[i].bytes, 0, cases[i].at);
        if (r.why == REJECT_NONE) {
            cr_assert_eq(frame_decode(cases[i].bytes, &f), ERR_MALFORMED, "more than a frame");
            cr_assert_eq(frame_decode(exact, &f), ERR_OK);
        }
    }
}
