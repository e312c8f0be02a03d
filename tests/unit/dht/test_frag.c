/* SPDX-License-Identifier: Apache-2.0 */
/* test_frag.c - reassembly: what makes a message whole, what ends it, and that nobody fills the
 * table (RFC 6940 6.7; catalogue FR-5..FR-9, T7). */
#include "tests/model/frag_stage.h"

#include <criterion/criterion.h>

enum {
    PAYLOAD = 2000,
    PIECE = 500,
    PIECES = PAYLOAD / PIECE,
    ID = 77,
    MAX_BYTES = 5000,
    QUIET_MS = 1000
};

static const struct frag_settings roomy = {.messages = 16,
                                           .bytes = 64 * 1024,
                                           .max_message_bytes = MAX_BYTES,
                                           .quiet_us = QUIET_MS * 1000};

static uint8_t original[MAX_BYTES];

static struct slice payload(size_t len)
{
    for (size_t i = 0; i < sizeof(original); i++) {
        original[i] = (uint8_t)(i * 31 + i / 256);
    }
    return slice_of(original, len);
}

static uint64_t count(const struct frag_stage *s, enum metric which)
{
    return frag_stage_metric(s, which);
}

/* Any range of PAYLOAD bytes; true when that made the message whole, which then is right. */
static bool push_range(struct frag_stage *s, uint64_t id, size_t from, size_t len, unsigned hop)
{
    static uint8_t out[2 * MAX_BYTES];
    struct frag_stage_cut c = {.transaction_id = id,
                               .payload = payload(PAYLOAD),
                               .from = from,
                               .len = len,
                               .is_last = from + len == PAYLOAD,
                               .vias = (uint8_t)(hop + 1),
                               .ttl = (uint8_t)(10 + hop)};
    struct frag_message got;
    struct fwd h;
    if (!frag_stage_push(s, frag_stage_wr(s, &c, out, sizeof(out)), false, hop, &got)) {
        return false;
    }
    cr_assert_eq(fwd_decode(msgbuf_slice(got.buf), &s->params, &h), ERR_OK);
    cr_assert(fwd_is_whole(&h));
    cr_assert_eq(h.transaction_id, id);
    cr_assert(slice_is_equal(h.payload, payload(PAYLOAD)));
    msgbuf_release(&s->buffers, got.buf);
    return true;
}

static bool push_piece(struct frag_stage *s, uint64_t id, unsigned index, unsigned hop)
{
    return push_range(s, id, index * (size_t)PIECE, PIECE, hop);
}

static struct frag_totals totals(const struct frag_stage *s)
{
    struct frag_totals t;
    frag_totals(s->frag, &t);
    return t;
}

/* What makes a message whole */

Test(frag, fr5_any_order)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    static const unsigned orders[][PIECES] = {
        {0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        for (unsigned k = 0; k < PIECES; k++) {
            cr_assert_eq(push_piece(s, ID, orders[i][k], 0), k == PIECES - 1);
        }
        cr_assert_eq(totals(s).bytes, 0, "nothing is left of a message that was given");
        frag_stage_sleep(s, QUIET_MS);
        cr_assert(frag_stage_is_empty(s), "nor is it remembered for long");
    }
    cr_assert_eq(count(s, METRIC_dht_fragments), ARRAY_COUNT(orders) * PIECES);
    cr_assert_eq(count(s, METRIC_dht_reassembled), ARRAY_COUNT(orders));
    frag_stage_end(s);
}

Test(frag, fr7_duplicates_and_other_cuts)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_piece(s, ID, 1, 0));
    cr_assert_not(push_piece(s, ID, 1, 0));
    cr_assert_not(push_range(s, ID, 600, 300, 0), "inside of what is here");
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_repeated), 2);
    cr_assert_not(push_range(s, ID, 900, 1100, 0), "over its end, and up to the last byte");
    cr_assert_not(push_piece(s, ID, 3, 0));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_repeated), 3);
    cr_assert(push_range(s, ID, 0, 777, 0));
    frag_stage_end(s);
}

Test(frag, fr7_a_link_repeats_what_was_given)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    for (unsigned k = 0; k < PIECES; k++) {
        cr_assert_eq(push_piece(s, ID, k, 0), k == PIECES - 1);
    }
    frag_stage_sleep(s, QUIET_MS - 1);
    for (unsigned k = 0; k < PIECES; k++) {
        cr_assert_not(push_piece(s, ID, k, 0), "is no second message");
    }
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_repeated), PIECES);
    frag_stage_sleep(s, 1);
    for (unsigned k = 0; k < PIECES; k++) {
        cr_assert_eq(push_piece(s, ID, k, 0), k == PIECES - 1, "the sender repeats it");
    }
    frag_stage_end(s);
}

Test(frag, what_was_given_makes_room)
{
    struct frag_settings fs = {.messages = 3, /* and shares are all one has */
                               .bytes = 64 * 1024,
                               .max_message_bytes = MAX_BYTES,
                               .quiet_us = QUIET_MS * 1000};
    for (fs.messages_per_source = 0; fs.messages_per_source <= 3; fs.messages_per_source += 3) {
        struct frag_stage *s = frag_stage_make(&fs);
        cr_assert_not(push_piece(s, ID, 0, 0));
        for (uint64_t id = 0; id < 20; id++) {
            for (unsigned k = 0; k < PIECES; k++) {
                cr_assert_eq(push_piece(s, id, k, 0), k == PIECES - 1);
            }
        }
        cr_assert_eq(totals(s).messages, 3);
        cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 0);
        cr_assert(push_range(s, ID, 500, 1500, 0), "was never in danger");
        frag_stage_end(s);
    }
}

Test(frag, fr6_an_answer_is_not_its_request)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    for (unsigned k = 0; k < PIECES - 1; k++) {
        cr_assert_not(push_piece(s, ID, k, 0));
    }
    struct frag_stage_cut c = {.transaction_id = ID,
                               .payload = payload(PAYLOAD),
                               .from = PAYLOAD - PIECE,
                               .len = PIECE,
                               .is_last = true};
    struct slice last = frag_stage_wr(s, &c, out, sizeof(out));
    cr_assert_not(frag_stage_push(s, last, true, 0, &got));
    cr_assert_eq(totals(s).messages, 2);
    cr_assert(frag_stage_push(s, last, false, 0, &got));
    msgbuf_release(&s->buffers, got.buf);
    frag_stage_end(s);
}

Test(frag, fr9_the_header_is_that_of_the_first_fragment)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got = {0};
    for (unsigned k = PIECES; k > 0; k--) { /* each with another Via List */
        struct frag_stage_cut c = {.transaction_id = ID,
                                   .payload = payload(PAYLOAD),
                                   .from = (k - 1) * (size_t)PIECE,
                                   .len = PIECE,
                                   .is_last = k == PIECES,
                                   .vias = (uint8_t)(2 * k),
                                   .ttl = (uint8_t)(20 + k)};
        struct slice fragment = frag_stage_wr(s, &c, out, sizeof(out));
        cr_assert_eq(frag_stage_push(s, fragment, false, 0, &got), k == 1);
    }
    struct slice message = msgbuf_slice(got.buf);
    struct fwd first, h;
    cr_assert_eq(fwd_decode_header(slice_of(out, sizeof(out)), &s->params, &first), ERR_OK);
    cr_assert_eq(fwd_decode(message, &s->params, &h), ERR_OK);
    cr_assert_eq(h.via_count, 2);
    cr_assert_eq(h.ttl, 21);
    cr_assert_eq(h.fragment, 0xc0000000);
    cr_assert_eq(h.length, h.header_bytes + PAYLOAD);
    cr_assert(slice_is_equal(slice_from(slice_sub(message, 0, h.header_bytes), 20),
                             slice_from(slice_of(out, first.header_bytes), 20)));
    cr_assert_eq(got.link, frag_stage_link(0));
    msgbuf_release(&s->buffers, got.buf);
    frag_stage_end(s);
}

/* The neighbor has come back by another link meanwhile. */
Test(frag, the_link_is_that_of_the_first_fragment)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    static uint8_t out[2 * MAX_BYTES];
    struct node_id hop = frag_stage_hop(0);
    struct frag_message got = {0};
    static const unsigned order[PIECES] = {2, 0, 3, 1};
    for (unsigned k = 0; k < PIECES; k++) {
        struct fwd h;
        struct frag_stage_cut c = {.transaction_id = ID,
                                   .payload = payload(PAYLOAD),
                                   .from = order[k] * (size_t)PIECE,
                                   .len = PIECE,
                                   .is_last = order[k] == PIECES - 1};
        struct frag_arrival a = {.message = frag_stage_wr(s, &c, out, sizeof(out)),
                                 .h = &h,
                                 .link = frag_stage_link(order[k]),
                                 .previous_hop = &hop};
        cr_assert_eq(fwd_decode(a.message, &s->params, &h), ERR_OK);
        frag_push(&s->turn, s->frag, &a);
    }
    cr_assert(frag_next(s->frag, &got));
    cr_assert_eq(got.link, frag_stage_link(0));
    cr_assert_not(frag_next(s->frag, &got));
    msgbuf_release(&s->buffers, got.buf);
    frag_stage_end(s);
}

Test(frag, reserved_bits_do_not_matter)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    for (unsigned k = 0; k < 2; k++) {
        struct frag_stage_cut c = {.transaction_id = ID,
                                   .payload = payload(PAYLOAD),
                                   .from = k * (size_t)PAYLOAD / 2,
                                   .len = PAYLOAD / 2,
                                   .is_last = k == 1};
        struct slice fragment = frag_stage_wr(s, &c, out, sizeof(out));
        out[12] |= 0x3f;
        cr_assert_eq(frag_stage_push(s, fragment, false, 0, &got), k == 1);
    }
    msgbuf_release(&s->buffers, got.buf);
    frag_stage_end(s);
}

/* What ends it */

Test(frag, fr5_fifteen_seconds)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_piece(s, ID, 0, 0));
    frag_stage_sleep(s, 14000);
    cr_assert_not(push_piece(s, ID, 1, 0), "does not make the time longer");
    frag_stage_sleep(s, 999);
    cr_assert_eq(totals(s).messages, 1);
    frag_stage_sleep(s, 1);
    cr_assert(frag_stage_is_empty(s));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_late), 1);
    cr_assert_not(push_piece(s, ID, 2, 0));
    cr_assert_not(push_piece(s, ID, 3, 0));
    frag_stage_end(s);
}

static bool push_spoiled(struct frag_stage *s, size_t from, size_t len, bool is_last, unsigned hop)
{
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    struct frag_stage_cut c = {.transaction_id = ID,
                               .payload = payload(PAYLOAD),
                               .from = from,
                               .len = len,
                               .is_last = is_last};
    struct slice fragment = frag_stage_wr(s, &c, out, sizeof(out));
    out[fragment.len - 1] ^= 1;
    if (!frag_stage_push(s, fragment, false, hop, &got)) {
        return false;
    }
    msgbuf_release(&s->buffers, got.buf);
    return true;
}

Test(frag, fr6_overlap_with_other_bytes)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_piece(s, ID, 0, 0));
    cr_assert_not(push_piece(s, ID, 2, 0));
    cr_assert_not(push_spoiled(s, 700, 400, false, 0), "one byte, in the second of two ranges");
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_overlap), 1);
    cr_assert(frag_stage_is_empty(s), "all of it is gone");
    for (unsigned k = 0; k < PIECES; k++) {
        cr_assert_eq(push_piece(s, ID, k, 0), k == PIECES - 1, "a repetition may still come");
    }
    frag_stage_end(s);
}

static bool push_with_end(struct frag_stage *s, size_t from, size_t len, bool is_last)
{
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    struct frag_stage_cut c = {.transaction_id = ID,
                               .payload = payload(MAX_BYTES),
                               .from = from,
                               .len = len,
                               .is_last = is_last};
    return frag_stage_push(s, frag_stage_wr(s, &c, out, sizeof(out)), false, 0, &got);
}

Test(frag, fr6_two_ends_and_bytes_behind_the_end)
{
    struct {
        size_t from, len;
        bool is_last;
    } pairs[][2] = {
        {{1000, 500, true}, {1000, 600, true}},  {{1000, 500, true}, {1000, 400, true}},
        {{1000, 500, true}, {1300, 300, false}}, {{1000, 500, true}, {2000, 300, false}},
        {{1000, 500, false}, {1000, 400, true}}, {{1000, 500, false}, {300, 300, true}},
    };
    struct frag_stage *s = frag_stage_make(&roomy);
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        cr_assert_not(push_with_end(s, pairs[i][0].from, pairs[i][0].len, pairs[i][0].is_last));
        cr_assert_not(push_with_end(s, pairs[i][1].from, pairs[i][1].len, pairs[i][1].is_last));
        cr_assert_eq(count(s, METRIC_dht_drop_fragment_end), i + 1);
        cr_assert(frag_stage_is_empty(s));
    }
    /* whole ranges of one message may end where the last began, or be the last themselves */
    cr_assert_not(push_with_end(s, 1000, 500, true));
    cr_assert_not(push_with_end(s, 1200, 300, false));
    cr_assert_eq(totals(s).messages, 1);
    frag_stage_end(s);
}

Test(frag, fr2_short_fragments)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_range(s, ID, 0, 255, 0));
    cr_assert_not(push_range(s, ID, 1999, 0, 0));
    cr_assert_not(push_range(s, ID, 2000, 0, 0), "the last, but nothing in it");
    cr_assert_not(push_range(s, ID, 0, 10, 0));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_short), 4);
    cr_assert(frag_stage_is_empty(s));
    cr_assert_not(push_range(s, ID, 0, 256, 0));
    cr_assert_not(push_range(s, ID, 1990, 10, 0), "the last may be short");
    cr_assert(push_range(s, ID, 256, 1734, 0));
    frag_stage_end(s);
}

Test(frag, fr6_larger_than_max_message_size)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_with_end(s, 0xffffff, 256, false)); /* nothing is there to send */
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    struct frag_stage_cut c = {
        .transaction_id = ID, .payload = payload(MAX_BYTES), .from = 4000, .len = 800};
    struct slice fragment = frag_stage_wr(s, &c, out, sizeof(out));
    cr_assert_not(frag_stage_push(s, fragment, false, 0, &got));
    cr_assert_eq(totals(s).messages, 1);
    static const uint32_t places[] = {0xffffff, MAX_BYTES - 800, MAX_BYTES - 856 + 1};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        out[13] = (uint8_t)(places[i] >> 16);
        out[14] = (uint8_t)(places[i] >> 8);
        out[15] = (uint8_t)places[i];
        cr_assert_not(frag_stage_push(s, fragment, false, 0, &got));
        cr_assert_eq(count(s, METRIC_dht_drop_fragment_large), i + 1);
        cr_assert(frag_stage_is_empty(s), "and what there was of it");
    }
    frag_stage_end(s);
}

/* whoever has cut it did not know how many would add themselves to the Via List. */
Test(frag, fr6_the_via_list_does_not_count)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    enum { ALONE = 56, VIAS = 40 };
    struct frag_stage_cut c = {.transaction_id = ID,
                               .payload = payload(MAX_BYTES),
                               .from = 300,
                               .len = MAX_BYTES - ALONE - 300,
                               .is_last = true,
                               .vias = VIAS};
    c.payload.len = MAX_BYTES - ALONE;
    cr_assert_not(frag_stage_push(s, frag_stage_wr(s, &c, out, sizeof(out)), false, 0, &got));
    c.from = 0;
    c.len = 300;
    c.is_last = false;
    cr_assert(frag_stage_push(s, frag_stage_wr(s, &c, out, sizeof(out)), false, 0, &got));
    cr_assert_eq(got.buf->len, MAX_BYTES + VIAS * 18);
    msgbuf_release(&s->buffers, got.buf);
    /* one byte more of all else does */
    c.payload.len = MAX_BYTES - ALONE + 1;
    c.transaction_id = ID + 1;
    c.from = 300;
    c.len = MAX_BYTES - ALONE - 300 + 1;
    c.is_last = true;
    cr_assert_not(frag_stage_push(s, frag_stage_wr(s, &c, out, sizeof(out)), false, 0, &got));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_large), 1);
    frag_stage_end(s);
}

/* By several ways */

Test(frag, fr9_fragments_by_two_ways)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_piece(s, ID, 0, 4));
    cr_assert_not(push_piece(s, ID, 2, 4));
    cr_assert_not(push_piece(s, ID, 3, 5));
    cr_assert_not(push_piece(s, ID, 3, 5));
    cr_assert(push_piece(s, ID, 1, 5), "whole with what the other has sent");
    cr_assert_not(push_range(s, ID, 900, 400, 5), "given once");
    cr_assert_eq(totals(s).messages, 2, "both stay, see frag.h");
    cr_assert_not(push_piece(s, ID, 1, 4));
    cr_assert(push_piece(s, ID, 3, 4), "the sender repeats, and all comes by one way");
    frag_stage_sleep(s, 15000);
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_late), 0, "nothing was lost");
    frag_stage_end(s);
}

Test(frag, a_stranger_spoils_his_own_only)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_spoiled(s, 0, 500, false, 9));
    cr_assert_not(push_piece(s, ID, 0, 0));
    cr_assert_not(push_spoiled(s, 400, 400, false, 8));
    cr_assert_not(push_spoiled(s, 700, 300, true, 7)); /* and there it ends */
    cr_assert_not(push_piece(s, ID, 1, 0));
    cr_assert_not(push_spoiled(s, 0, 600, false, 9)); /* contradicts himself */
    cr_assert_not(push_piece(s, ID, 3, 0));
    cr_assert_eq(totals(s).messages, 3);
    cr_assert(push_piece(s, ID, 2, 0));
    cr_assert_eq(count(s, METRIC_dht_reassembled), 1);
    frag_stage_end(s);
}

Test(frag, a_lie_that_is_joined_costs_nothing_but_a_look)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    cr_assert_not(push_spoiled(s, 0, 500, false, 9));
    cr_assert_not(push_piece(s, ID, 1, 0));
    cr_assert_not(push_piece(s, ID, 2, 0));
    uint64_t before = count(s, METRIC_dht_reassembled);
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    struct frag_stage_cut c = {.transaction_id = ID,
                               .payload = payload(PAYLOAD),
                               .from = 1500,
                               .len = 500,
                               .is_last = true};
    cr_assert(frag_stage_push(s, frag_stage_wr(s, &c, out, sizeof(out)), false, 0, &got));
    struct fwd h;
    cr_assert_eq(fwd_decode(msgbuf_slice(got.buf), &s->params, &h), ERR_OK);
    cr_assert_not(slice_is_equal(h.payload, payload(PAYLOAD)), "with the stranger's bytes");
    msgbuf_release(&s->buffers, got.buf);
    cr_assert(push_piece(s, ID, 0, 0), "and now without them");
    cr_assert_eq(count(s, METRIC_dht_reassembled), before + 2);
    frag_stage_end(s);
}

/* Caps */

static const struct frag_settings tight = {.messages = 12,
                                           .messages_per_source = 4,
                                           .bytes = 24 * 1024,
                                           .bytes_per_source = 8 * 1024,
                                           .max_message_bytes = MAX_BYTES,
                                           .quiet_us = QUIET_MS * 1000};

static void check_caps(const struct frag_stage *s)
{
    struct frag_totals t = totals(s);
    cr_assert_leq(t.messages, s->settings.messages);
    cr_assert_leq(t.bytes, s->settings.bytes);
    cr_assert_leq(t.sources, t.messages);
}

Test(frag, messages_per_source)
{
    struct frag_stage *s = frag_stage_make(&tight);
    for (uint64_t id = 0; id < 6; id++) {
        cr_assert_not(push_piece(s, id, 0, 0));
        check_caps(s);
    }
    cr_assert_eq(totals(s).messages, 4);
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_source), 2);
    cr_assert_not(push_piece(s, 0, 1, 1), "another neighbor is not concerned");
    cr_assert_eq(totals(s).messages, 5);
    frag_stage_sleep(s, 500);
    cr_assert_not(push_piece(s, 0, 1, 0)); /* id 0 is at work, 1 has been quiet for longest */
    frag_stage_sleep(s, 600);
    cr_assert_not(push_piece(s, 6, 0, 0));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 1);
    cr_assert_not(push_piece(s, 0, 2, 0));
    cr_assert(push_piece(s, 0, 3, 0), "was not the one to go");
    cr_assert_not(push_range(s, 1, 500, 1500, 0));
    cr_assert_eq(count(s, METRIC_dht_reassembled), 1, "its beginning is gone");
    frag_stage_end(s);
}

Test(frag, bytes_per_source)
{
    struct frag_stage *s = frag_stage_make(&tight);
    /* 8 KiB are 15 blocks of 520 bytes; 1900 bytes and a header take 5 */
    for (uint64_t id = 0; id < 3; id++) {
        cr_assert_not(push_range(s, id, 0, 1900, 0));
    }
    cr_assert_leq(totals(s).bytes, 8 * 1024);
    cr_assert_not(push_range(s, 3, 0, 1900, 0));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_source), 1);
    cr_assert_eq(totals(s).messages, 3);
    cr_assert(push_range(s, 1, 1500, 500, 0), "no new block is needed");
    cr_assert_not(push_range(s, 3, 0, 1900, 0), "its room is free");
    cr_assert_eq(totals(s).messages, 4, "id 1 is remembered");
    cr_assert_not(push_with_end(s, 2048, 800, false)); /* ID; the other three stay */
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_source), 2);
    frag_stage_end(s);
}

Test(frag, fr5_a_message_that_gets_no_more_room_is_dropped)
{
    struct frag_stage *s = frag_stage_make(&tight);
    for (uint64_t id = 0; id < 3; id++) {
        cr_assert_not(push_range(s, id, 256, 1024, 0)); /* 3 blocks each, 9 of 15 */
    }
    cr_assert_not(push_range(s, 0, 1280, 500, 0));   /* one more */
    cr_assert_not(push_with_end(s, 0, 2000, false)); /* and 5 */
    cr_assert_eq(totals(s).messages, 4);
    cr_assert_not(push_range(s, 1, 0, 400, 0)); /* one, for its header */
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_source), 1);
    cr_assert_eq(totals(s).messages, 3, "and what there was of it");
    frag_stage_end(s);
}

Test(frag, nobody_makes_room_for_himself)
{
    struct frag_stage *s = frag_stage_make(&tight);
    for (uint64_t id = 0; id < 3; id++) {
        cr_assert_not(push_range(s, id, 0, 1024, 0)); /* 3 blocks each, 9 of 15 */
    }
    cr_assert_not(push_with_end(s, 0, 2048, false)); /* and 5 */
    frag_stage_sleep(s, QUIET_MS);
    cr_assert_not(push_range(s, 0, 1024, 900, 0), "2 more, and it is the quietest itself");
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 1);
    cr_assert_eq(totals(s).messages, 3);
    cr_assert(push_range(s, 0, 1800, 200, 0));
    cr_assert(push_range(s, 2, 1024, 976, 0), "the next to it had to go");
    frag_stage_end(s);
}

Test(frag, messages_in_total)
{
    struct frag_stage *s = frag_stage_make(&tight);
    for (unsigned hop = 0; hop < 12; hop++) {
        cr_assert_not(push_piece(s, hop, 0, hop));
    }
    cr_assert_not(push_piece(s, 90, 0, 20), "everybody has one, and is busy");
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_full), 1);
    frag_stage_sleep(s, 1000);
    cr_assert_not(push_piece(s, 90, 0, 20));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 1);
    cr_assert_eq(totals(s).messages, 12);
    cr_assert(frag_stage_is_empty(s) == false);
    frag_stage_end(s);
}

Test(frag, who_holds_most_makes_room)
{
    struct frag_stage *s = frag_stage_make(&tight);
    for (uint64_t id = 0; id < 12; id++) {
        cr_assert_not(push_piece(s, id, 0, (unsigned)(id / 4)));
    }
    cr_assert_not(push_piece(s, 50, 0, 7));
    cr_assert_not(push_piece(s, 51, 0, 7));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 2, "at once");
    for (unsigned k = 1; k < PIECES; k++) {
        cr_assert_eq(push_piece(s, 50, k, 7), k == PIECES - 1);
        cr_assert_eq(push_piece(s, 51, k, 7), k == PIECES - 1);
        check_caps(s);
    }
    frag_stage_end(s);
}

Test(frag, bytes_in_total)
{
    struct frag_settings fs = tight;
    fs.bytes_per_source = 0;
    struct frag_stage *s = frag_stage_make(&fs);
    /* 24 KiB are 47 blocks; 4 KiB and a header take 9 */
    static uint8_t out[2 * MAX_BYTES];
    struct frag_message got;
    for (unsigned hop = 0; hop < 5; hop++) {
        struct frag_stage_cut c = {
            .transaction_id = hop, .payload = payload(MAX_BYTES), .len = 4096};
        struct slice fragment = frag_stage_wr(s, &c, out, sizeof(out));
        cr_assert_not(frag_stage_push(s, fragment, false, hop, &got));
        check_caps(s);
    }
    cr_assert_eq(totals(s).messages, 5);
    cr_assert_not(push_piece(s, 90, 0, 20), "2 blocks, where others have 9");
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 0, "that fitted");
    cr_assert_not(push_piece(s, 91, 0, 20));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_evicted), 1);
    cr_assert_eq(totals(s).messages, 6);
    for (unsigned k = 1; k < PIECES; k++) {
        cr_assert_eq(push_piece(s, 91, k, 20), k == PIECES - 1);
    }
    frag_stage_end(s);
}

Test(frag, none_at_all)
{
    struct frag_settings fs = {.max_message_bytes = MAX_BYTES};
    struct frag_stage *s = frag_stage_make(&fs);
    cr_assert_not(push_piece(s, ID, 0, 0));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_full), 1);
    fs.messages = 4; /* and not a byte */
    frag_stage_end(s);
    s = frag_stage_make(&fs);
    cr_assert_not(push_piece(s, ID, 0, 0));
    cr_assert_eq(count(s, METRIC_dht_drop_fragment_full), 1);
    cr_assert(frag_stage_is_empty(s));
    frag_stage_end(s);
}

Test(frag, no_message_buffer)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    s->buffers.fail_after = 0;
    for (unsigned k = 0; k < PIECES; k++) {
        cr_assert_not(push_piece(s, ID, k, 0));
    }
    cr_assert_eq(count(s, METRIC_dht_drop_no_buffer), 1);
    cr_assert(frag_stage_is_empty(s));
    frag_stage_end(s);
}

/* T7: a million first fragments with ids of their own. */
Test(frag, a_flood_leaves_others_alone, .timeout = 60)
{
    enum { FLOOD = 1000000 };
    static uint8_t out[2 * MAX_BYTES];
    struct frag_stage *s = frag_stage_make(&tight);
    struct node_id flooder = frag_stage_hop(30);
    struct fwd h;
    for (unsigned hop = 1; hop < 3; hop++) {
        cr_assert_not(push_piece(s, ID, 0, hop));
    }
    struct frag_stage_cut c = {.payload = payload(PAYLOAD), .len = PIECE};
    struct frag_arrival a = {.message = frag_stage_wr(s, &c, out, sizeof(out)),
                             .h = &h,
                             .link = frag_stage_link(30),
                             .previous_hop = &flooder};
    cr_assert_eq(fwd_decode(a.message, &s->params, &h), ERR_OK);
    for (uint64_t i = 0; i < FLOOD; i++) {
        h.transaction_id = 1000 + i;
        frag_push(&s->turn, s->frag, &a);
        if (i % 100000 == 0) {
            frag_stage_sleep(s, 1000); /* quiet ones of his own may go */
        }
        check_caps(s);
    }
    cr_assert_eq(totals(s).messages, 2 + tight.messages_per_source);
    cr_assert_eq(totals(s).sources, 3);
    cr_assert_gt(count(s, METRIC_dht_drop_fragment_source), FLOOD - 100);
    for (unsigned hop = 1; hop < 3; hop++) {
        for (unsigned k = 1; k < PIECES; k++) {
            cr_assert_eq(push_piece(s, ID, k, hop), k == PIECES - 1);
        }
    }
    frag_stage_end(s);
}

Test(frag, clear)
{
    struct frag_stage *s = frag_stage_make(&roomy);
    for (uint64_t id = 0; id < 9; id++) {
        cr_assert_not(push_piece(s, id / 2, 0, (unsigned)id));
    }
    frag_clear(&s->turn, s->frag);
    cr_assert(frag_stage_is_empty(s));
    frag_stage_end(s);
}
