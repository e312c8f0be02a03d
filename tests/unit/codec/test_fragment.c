/* SPDX-License-Identifier: Apache-2.0 */
/* test_fragment.c - cutting messages: equal pieces that fit, at their offsets, or none at all (RFC
 * 6940 6.7; catalogue FR-1..FR-4, T7). */
#include "codec/fragment.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const struct rl_params params = {.overlay = 0x01020304, .node_id_length = 16};

enum { BYTES_CAP = 20000, VIA_BYTES = 18 };

struct fixture {
    uint8_t bytes[BYTES_CAP];
    struct fwd h;
};

/* A decoded message with `via` entries in its Via List and `payload` bytes behind its header. */
static void make(struct fixture *f, unsigned via, size_t payload, uint32_t fragment)
{
    uint8_t list[64 * VIA_BYTES], destination[VIA_BYTES], options[8];
    struct wr v = wr_init(list, sizeof(list)), d = wr_init(destination, sizeof(destination));
    struct wr o = wr_init(options, sizeof(options));
    struct node_id id = {.bytes = {7}};
    for (unsigned i = 0; i < via; i++) {
        id.bytes[1] = (uint8_t)i;
        fwd_wr_node(&v, &params, &id);
    }
    fwd_wr_node(&d, &params, &id);
    fwd_wr_option(&o, 9, FWD_OPTION_RESPONSE_COPY, SLICE_LITERAL("opt"));
    struct fwd h = {.overlay = params.overlay,
                    .configuration_sequence = 3,
                    .ttl = 17,
                    .fragment = fragment,
                    .transaction_id = 0x1122334455667788,
                    .max_response_length = 999,
                    .via_list = wr_slice(&v),
                    .destination_list = wr_slice(&d),
                    .options = wr_slice(&o)};
    struct wr w = wr_init(f->bytes, sizeof(f->bytes));
    fwd_wr(&w, &h);
    uint8_t *p = wr_claim(&w, payload);
    for (size_t i = 0; i < payload; i++) {
        p[i] = (uint8_t)(i * 7 + i / 256);
    }
    cr_assert(wr_ok(&w));
    fwd_put_length(f->bytes, (uint32_t)wr_len(&w));
    cr_assert_eq(fwd_decode(wr_slice(&w), &params, &f->h), ERR_OK);
}

/* Piece `index` as it stands on the wire, decoded. */
static struct fwd piece(const struct fwd *h, const struct fragment_plan *p, uint32_t index,
                        uint8_t *out, size_t cap)
{
    struct wr w = wr_init(out, cap);
    struct slice payload;
    struct fwd got;
    fragment_wr(&w, h, p, index, &payload);
    wr_bytes(&w, payload);
    cr_assert(wr_ok(&w));
    cr_assert_eq(fwd_decode(wr_slice(&w), &params, &got), ERR_OK, "length is right (FR-4)");
    return got;
}

/* Every piece has what FR-2..FR-4 want, and together they are the payload. */
static void check_pieces(const struct fwd *h, size_t room, const struct fragment_plan *p)
{
    static uint8_t out[BYTES_CAP];
    size_t at = 0, shortest = SIZE_MAX, longest = 0;
    for (uint32_t i = 0; i < p->pieces; i++) {
        struct fwd got = piece(h, p, i, out, sizeof(out));
        cr_assert_eq(fwd_offset(&got), fwd_offset(h) + at);
        cr_assert_eq(fwd_is_last(&got), fwd_is_last(h) && i + 1 == p->pieces);
        cr_assert_leq(got.length + FRAGMENT_VIA_ROOM, room);
        cr_assert(slice_is_equal(got.payload, slice_sub(h->payload, at, got.payload.len)));
        cr_assert(slice_is_equal(got.via_list, h->via_list));
        cr_assert(slice_is_equal(got.destination_list, h->destination_list));
        cr_assert(slice_is_equal(got.options, h->options));
        cr_assert_eq(got.transaction_id, h->transaction_id);
        cr_assert_eq(got.ttl, h->ttl);
        cr_assert_eq(got.max_response_length, h->max_response_length);
        at += got.payload.len;
        shortest = min_size(shortest, got.payload.len);
        longest = max_size(longest, got.payload.len);
    }
    cr_assert_eq(at, h->payload.len);
    cr_assert_geq(shortest, FRAGMENT_PAYLOAD_MIN);
    cr_assert_leq(longest - shortest, 1, "equal (FR-3)");
}

Test(fragment, fr3_four_kilobytes_over_an_mtu_of_1280)
{
    enum { ROOM = 1280 - 40 - 8 - 37 - 8 }; /* less IPv6, UDP, a DTLS record, the frame */
    struct fixture f;
    struct fragment_plan p;
    make(&f, 4, 4096, FWD_FRAGMENT_WHOLE);
    cr_assert_eq(fragment_plan(&f.h, ROOM, &p), ERR_OK);
    cr_assert_eq(p.pieces, 5);
    check_pieces(&f.h, ROOM, &p);
}

Test(fragment, what_fits_goes_as_it_is)
{
    struct fixture f;
    struct fragment_plan p;
    static uint8_t out[BYTES_CAP];
    make(&f, 2, 1000, FWD_FRAGMENT_WHOLE);
    static const size_t rooms[] = {0, 1, 5000};
    for (size_t i = 0; i < ARRAY_COUNT(rooms); i++) {
        size_t room = rooms[i] == 1 ? f.h.length : rooms[i]; /* 1: to the byte */
        cr_assert_eq(fragment_plan(&f.h, room, &p), ERR_OK);
        cr_assert_eq(p.pieces, 1);
        struct fwd got = piece(&f.h, &p, 0, out, sizeof(out));
        cr_assert(fwd_is_whole(&got));
        cr_assert(slice_is_equal(slice_of(out, got.length), slice_of(f.bytes, f.h.length)));
    }
    cr_assert_eq(fragment_plan(&f.h, f.h.length - 1, &p), ERR_OK);
    cr_assert_eq(p.pieces, 2, "one byte too long, and room for the Via List to grow");
    check_pieces(&f.h, f.h.length - 1, &p);
}

Test(fragment, fr2_no_piece_below_256_bytes)
{
    struct fixture f;
    struct fragment_plan p;
    /* 511 bytes make no two pieces of 256 */
    make(&f, 0, 511, FWD_FRAGMENT_WHOLE);
    cr_assert_eq(fragment_plan(&f.h, f.h.length - 1, &p), ERR_TOO_LARGE);
    cr_assert_eq(p.pieces, 1, "then it goes whole");
    make(&f, 0, 512, FWD_FRAGMENT_WHOLE);
    cr_assert_eq(fragment_plan(&f.h, f.h.length - 1, &p), ERR_OK);
    check_pieces(&f.h, f.h.length - 1, &p);
    /* a header that leaves too little room */
    make(&f, 40, 2000, FWD_FRAGMENT_WHOLE);
    size_t least = f.h.header_bytes + FRAGMENT_VIA_ROOM + FRAGMENT_PAYLOAD_MIN;
    cr_assert_eq(fragment_plan(&f.h, least - 1, &p), ERR_TOO_LARGE);
    make(&f, 40, 8 * FRAGMENT_PAYLOAD_MIN, FWD_FRAGMENT_WHOLE);
    cr_assert_eq(fragment_plan(&f.h, least, &p), ERR_OK);
    cr_assert_eq(p.pieces, 8);
    check_pieces(&f.h, least, &p);
    /* a header alone is longer than the room: nothing to cut */
    make(&f, 10, 0, FWD_FRAGMENT_WHOLE);
    cr_assert_eq(fragment_plan(&f.h, 100, &p), ERR_TOO_LARGE);
}

Test(fragment, fr1_a_fragment_is_cut_again_in_its_place)
{
    static const uint32_t fragments[] = {
        FWD_FRAGMENT_ALWAYS | 4000, FWD_FRAGMENT_WHOLE | 4000, FWD_FRAGMENT_ALWAYS,
        FWD_FRAGMENT_ALWAYS | 0x3f000000 | 4000, /* reserved bits are not passed on */
    };
    for (size_t i = 0; i < ARRAY_COUNT(fragments); i++) {
        struct fixture f;
        struct fragment_plan p;
        make(&f, 3, 2000, fragments[i]);
        cr_assert_eq(fragment_plan(&f.h, 800, &p), ERR_OK);
        cr_assert_eq(p.pieces, 4);
        check_pieces(&f.h, 800, &p);
        static uint8_t out[BYTES_CAP];
        struct fwd got = piece(&f.h, &p, 3, out, sizeof(out));
        cr_assert_eq(got.fragment & 0x3f000000, 0);
    }
}

Test(fragment, offsets_have_24_bits)
{
    struct fixture f;
    struct fragment_plan p;
    make(&f, 0, 2000, FWD_FRAGMENT_ALWAYS | (FWD_FRAGMENT_OFFSET - 1999));
    cr_assert_eq(fragment_plan(&f.h, 800, &p), ERR_TOO_LARGE);
    make(&f, 0, 2000, FWD_FRAGMENT_ALWAYS | (FWD_FRAGMENT_OFFSET - 2000));
    cr_assert_eq(fragment_plan(&f.h, 800, &p), ERR_OK);
    check_pieces(&f.h, 800, &p);
}

Test(fragment, every_size_and_room)
{
    struct fixture f;
    struct fragment_plan p;
    for (size_t payload = 0; payload < 5000; payload += 61) {
        make(&f, (unsigned)(payload % 5), payload, FWD_FRAGMENT_WHOLE);
        for (size_t room = 300; room < 2000; room += 37) {
            enum err e = fragment_plan(&f.h, room, &p);
            size_t most = room - min_size(room, f.h.header_bytes + FRAGMENT_VIA_ROOM);
            if (f.h.length <= room) {
                cr_assert(e == ERR_OK && p.pieces == 1);
            } else if (e == ERR_OK) {
                check_pieces(&f.h, room, &p);
                cr_assert_lt((p.pieces - 1) * most, payload, "as few as can be");
            } else { /* none of these numbers of pieces does */
                for (size_t n = 1; n <= payload; n++) {
                    cr_assert((payload + n - 1) / n > most || payload / n < FRAGMENT_PAYLOAD_MIN);
                }
            }
        }
    }
}

Test(fragment, a_fragment_becomes_a_whole_message)
{
    struct fixture f;
    make(&f, 1, 700, FWD_FRAGMENT_ALWAYS);
    fragment_put_whole(f.bytes, f.h.length - 100);
    struct fwd got;
    cr_assert_eq(fwd_decode(slice_of(f.bytes, f.h.length - 100), &params, &got), ERR_OK);
    cr_assert_eq(got.fragment, 0xc0000000);
}
