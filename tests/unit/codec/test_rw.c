/* SPDX-License-Identifier: Apache-2.0 */
/* test_rw.c - the cursors: what sticks, what is refused, what is patched. */
#include "codec/rw.h"

#include <criterion/criterion.h>

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};

Test(rw, reads_big_endian)
{
    struct rd r = rd_init(slice_of(bytes, sizeof(bytes)));
    cr_assert_eq(rd_u8(&r), 0x01);
    cr_assert_eq(rd_u16(&r), 0x0203);
    cr_assert_eq(rd_u24(&r), 0x040506u);
    cr_assert_eq(rd_u32(&r), 0x0708090au);
    cr_assert_eq(rd_u64(&r), 0x0b0c0d0e0f101112u);
    cr_assert(rd_is_done(&r));
    cr_assert_eq(rd_left(&r), 0);
}

Test(rw, a_fault_sticks)
{
    struct rd r = rd_init(slice_of(bytes, 3));
    cr_assert_eq(rd_u32(&r), 0);
    cr_assert_not(rd_ok(&r));
    cr_assert_eq(rd_u8(&r), 0, "though a byte is there");
    cr_assert_eq(rd_bytes(&r, 0).len, 0);
    cr_assert_not(rd_is_done(&r));
    struct rd sub = rd_sub(&r, 0);
    cr_assert_not(rd_ok(&sub), "a region of something broken is broken");
}

Test(rw, empty_input_without_an_address)
{
    struct rd r = rd_init(SLICE_EMPTY);
    cr_assert(rd_is_done(&r));
    cr_assert_eq(rd_rest(&r).len, 0);
    cr_assert_eq(rd_u8(&r), 0);
    cr_assert_not(rd_ok(&r));
}

/* RFC 6940 6.3.1 */
Test(rw, a_boolean_is_0_or_1)
{
    for (unsigned v = 0; v < 256; v++) {
        uint8_t byte = (uint8_t)v;
        struct rd r = rd_init(slice_of(&byte, 1));
        cr_assert_eq(rd_bool(&r), v == 1);
        cr_assert_eq(rd_is_done(&r), v < 2);
    }
}

Test(rw, length_prefixes_are_bounded_by_what_is_there)
{
    static const uint8_t max[] = {0xff, 0xff, 0xff, 0xff, 1, 2};
    struct slice (*const reads[])(struct rd *) = {rd_opaque8, rd_opaque16, rd_opaque24,
                                                  rd_opaque32};
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
        struct rd r = rd_init(slice_of(max, sizeof(max)));
        cr_assert_eq(reads[i](&r).len, 0);
        cr_assert_not(rd_ok(&r));
        uint8_t good[] = {0, 0, 0, 0, 'a', 'b'};
        good[i] = 2;
        good[i + 1] = 'a';
        good[i + 2] = 'b';
        r = rd_init(slice_of(good, i + 3));
        cr_assert(slice_is_equal(reads[i](&r), SLICE_LITERAL("ab")));
        cr_assert(rd_is_done(&r));
    }
}

Test(rw, regions_end_where_they_say)
{
    struct rd r = rd_init(slice_of(bytes, 5));
    struct rd sub = rd_sub(&r, 3);
    cr_assert_eq(rd_left(&sub), 3);
    cr_assert_eq(rd_left(&r), 2);
    cr_assert_eq(rd_u32(&sub), 0);
    cr_assert(rd_ok(&r), "a fault inside is the region's own");
}

Test(rw, writes_what_it_reads)
{
    uint8_t out[sizeof(bytes)];
    struct wr w = wr_init(out, sizeof(out));
    wr_u8(&w, 0x01);
    wr_u16(&w, 0x0203);
    wr_u24(&w, 0x040506);
    wr_u32(&w, 0x0708090a);
    wr_u64(&w, 0x0b0c0d0e0f101112);
    cr_assert(wr_ok(&w));
    cr_assert(slice_is_equal(wr_slice(&w), slice_of(bytes, sizeof(bytes))));
    wr_u8(&w, 0);
    cr_assert_not(wr_ok(&w));
    cr_assert_eq(wr_slice(&w).len, 0);
}

Test(rw, a_full_buffer_stays_as_it_was)
{
    uint8_t out[8] = {0};
    struct wr w = wr_init(out, 3);
    wr_u16(&w, 0xaaaa);
    wr_u16(&w, 0xbbbb);
    wr_u8(&w, 0xcc);
    cr_assert_not(wr_ok(&w));
    cr_assert_eq(out[2], 0, "not even half of it");
    cr_assert_eq(out[3], 0);
}

Test(rw, lengths_are_never_cut_short)
{
    static uint8_t big[1 << 17];
    static uint8_t out[sizeof(big) + 8];
    struct {
        void (*write)(struct wr *, struct slice);
        size_t len;
        bool is_good;
    } const cases[] = {
        {wr_opaque8, 255, true},     {wr_opaque8, 256, false},   {wr_opaque16, 65535, true},
        {wr_opaque16, 65536, false}, {wr_opaque24, 70000, true}, {wr_opaque32, 70000, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct wr w = wr_init(out, sizeof(out));
        cases[i].write(&w, slice_of(big, cases[i].len));
        cr_assert_eq(wr_ok(&w), cases[i].is_good, "case %zu", i);
        cr_assert_eq(wr_len(&w) > cases[i].len, cases[i].is_good);
    }
    struct wr w = wr_init(out, sizeof(out));
    wr_u24(&w, 0x1000000);
    cr_assert_not(wr_ok(&w));
}

Test(rw, regions_are_patched_at_their_end)
{
    uint8_t out[600];
    for (unsigned width = 1; width <= 4; width++) {
        struct wr w = wr_init(out, sizeof(out));
        size_t outer = wr_begin(&w, width);
        size_t inner = wr_begin(&w, 1);
        wr_bytes(&w, SLICE_LITERAL("abc"));
        wr_end(&w, 1, inner);
        wr_end(&w, width, outer);
        cr_assert_eq(wr_len(&w), width + 4);
        cr_assert_eq(out[width - 1], 4);
        cr_assert_eq(out[width], 3);
    }
    struct wr w = wr_init(out, sizeof(out));
    size_t mark = wr_begin(&w, 1);
    cr_assert_not_null(wr_claim(&w, 256));
    wr_end(&w, 1, mark);
    cr_assert_not(wr_ok(&w), "256 does not go into one byte");
    w = wr_init(out, 1);
    mark = wr_begin(&w, 2);
    wr_end(&w, 2, mark);
    cr_assert_not(wr_ok(&w));
    w = wr_init(NULL, 0);
    wr_bytes(&w, SLICE_EMPTY);
    cr_assert(wr_ok(&w));
    cr_assert_eq(wr_left(&w), 0);
    wr_bool(&w, true);
    cr_assert_not(wr_ok(&w));
}
