/* SPDX-License-Identifier: Apache-2.0 */
/* test_fwd.c - the forwarding header: golden bytes, what is refused, the rewrite of a hop
 * (RFC 6940 6.3.2; catalogue 1.15, RX, T2, T3). */
#include "codec/fwd.h"

#include "core/rng.h"

#include <criterion/criterion.h>

static const struct rl_params params = {.overlay = 0x9aa32b8d, .node_id_length = 16};

#define RESOURCE_HEX "45a6b241a242c97f0492d382c390dfa3"
#define GOLDEN                                                                                     \
    "d2454c4f9aa32b8d00160a1ec0000000000000390123456789abcdef000000000000001300000211"             \
    "10" RESOURCE_HEX
#define GOLDEN_NEXT                                                                                \
    "d2454c4f9aa32b8d00160a1dc00000000000004b0123456789abcdef000000000012001300000110"             \
    "000102030405060708090a0b0c0d0e0f021110" RESOURCE_HEX

static size_t unhex(const char *text, uint8_t *out, size_t cap)
{
    size_t len = 0;
    cr_assert_eq(ids_unhex(slice_text(text), out, cap, &len), ERR_OK);
    return len;
}

Test(fwd, golden_header)
{
    uint8_t bytes[128];
    uint8_t again[128];
    size_t len = unhex(GOLDEN, bytes, sizeof(bytes));
    struct fwd h;
    cr_assert_eq(fwd_decode(slice_of(bytes, len), &params, &h), ERR_OK);
    cr_assert_eq(h.configuration_sequence, 22);
    cr_assert_eq(h.ttl, 30);
    cr_assert_eq(h.transaction_id, 0x0123456789abcdefu);
    cr_assert_eq(h.first.type, FWD_DESTINATION_RESOURCE);
    cr_assert_eq(h.first.id.len, 16);
    cr_assert_eq(h.first.wire.len, 19);
    cr_assert_eq(h.destination_count, 1);
    cr_assert_eq(h.via_count, 0);
    cr_assert_eq(h.header_bytes, 57);
    cr_assert(fwd_is_whole(&h));
    cr_assert(fwd_is_last(&h));
    struct wr w = wr_init(again, sizeof(again));
    fwd_wr(&w, &h);
    cr_assert(slice_is_equal(wr_slice(&w), slice_of(bytes, len)));
}

Test(fwd, golden_hop)
{
    uint8_t buffer[256];
    uint8_t want[128];
    uint8_t via[FWD_NODE_BYTES_MAX];
    size_t want_len = unhex(GOLDEN_NEXT, want, sizeof(want));
    size_t len = unhex(GOLDEN, buffer + 64, 128);
    struct node_id previous = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    struct wr w = wr_init(via, sizeof(via));
    fwd_wr_node(&w, &params, &previous);
    struct fwd h;
    cr_assert_eq(fwd_decode(slice_of(buffer + 64, len), &params, &h), ERR_OK);
    struct fwd_rewrite how = {.via_append = wr_slice(&w)};
    uint8_t *start = NULL;
    size_t new_len = 0;
    cr_assert_eq(fwd_rewrite(buffer + 64, 64, &h, &how, &start, &new_len), ERR_OK);
    cr_assert_eq(start, buffer + 64 - 18);
    cr_assert(slice_is_equal(slice_of(start, new_len), slice_of(want, want_len)));
}

/* Writes entries and a payload behind a header; gives the message's length. */
static size_t build(uint8_t *out, size_t cap, struct slice via, struct slice destinations,
                    struct slice options, struct slice payload)
{
    struct fwd h = {.overlay = params.overlay,
                    .ttl = 9,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .via_list = via,
                    .destination_list = destinations,
                    .options = options};
    struct wr w = wr_init(out, cap);
    fwd_wr(&w, &h);
    wr_bytes(&w, payload);
    cr_assert(wr_ok(&w));
    fwd_put_length(out, (uint32_t)wr_len(&w));
    return wr_len(&w);
}

static struct slice random_list(struct rng *rng, uint8_t *out, size_t cap, unsigned count)
{
    struct wr w = wr_init(out, cap);
    for (unsigned i = 0; i < count; i++) {
        struct node_id id = {{0}};
        rng_fill(rng, id.bytes, 16);
        switch (rng_below(rng, 3)) {
        case 0:
            fwd_wr_node(&w, &params, &id);
            break;
        case 1:
            fwd_wr_opaque(&w, slice_of(id.bytes, rng_below(rng, 16)));
            break;
        default:
            fwd_wr_compact(&w, (uint16_t)(rng_next(rng) | 0x8000));
            break;
        }
    }
    cr_assert(wr_ok(&w));
    return wr_slice(&w);
}

/* So much of a Via List stays: all of it, or whole entries from its front. */
static size_t kept_of(struct rng *rng, struct slice list)
{
    struct rd r = rd_init(list);
    struct fwd_destination d;
    for (uint64_t left = rng_below(rng, 8); left > 0 && fwd_next(&r, &params, &d); left--) {}
    return list.len - (rng_below(rng, 3) == 0 ? rd_left(&r) : 0);
}

/* FW-13: in place, against a header built from nothing */
Test(fwd, rewrite_equals_building_anew)
{
    struct rng rng;
    rng_init(&rng, 1);
    for (unsigned round = 0; round < 3000; round++) {
        static uint8_t via[512], destinations[512], appended[64], prepended[256], message[2048];
        static uint8_t want_via[1024], want_destinations[1024], want[2048];
        struct slice v = random_list(&rng, via, sizeof(via), (unsigned)rng_below(&rng, 6));
        struct slice d =
            random_list(&rng, destinations, sizeof(destinations), 2 + (unsigned)rng_below(&rng, 5));
        struct slice a =
            random_list(&rng, appended, sizeof(appended), (unsigned)rng_below(&rng, 3));
        struct slice b =
            random_list(&rng, prepended, sizeof(prepended), (unsigned)rng_below(&rng, 4));
        struct slice payload = slice_of(want, rng_below(&rng, 100));
        struct slice options =
            rng_below(&rng, 2) == 0 ? SLICE_EMPTY : SLICE_LITERAL("\x80\x00\x00\x01z");
        memset(want, (int)round, sizeof(want));
        const size_t room = 600;
        size_t len = build(message + room, sizeof(message) - room, v, d, options, payload);
        struct fwd h;
        cr_assert_eq(fwd_decode(slice_of(message + room, len), &params, &h), ERR_OK);
        struct fwd_rewrite how = {.via_append = a, .destination_prepend = b};
        size_t via_kept = kept_of(&rng, v);
        how.via_drop_bytes = (uint16_t)(v.len - via_kept);
        uint32_t max_response = rng_below(&rng, 3) == 0 ? 3000 + round : 0;
        how.strip_bytes = rng_below(&rng, 2) == 0 ? 0 : (uint16_t)h.first.wire.len;

        struct wr w = wr_init(want_via, sizeof(want_via));
        wr_bytes(&w, slice_sub(v, 0, via_kept));
        wr_bytes(&w, a);
        struct slice new_via = wr_slice(&w);
        w = wr_init(want_destinations, sizeof(want_destinations));
        wr_bytes(&w, b);
        wr_bytes(&w, slice_from(d, how.strip_bytes));
        struct slice new_destinations = wr_slice(&w);
        uint8_t saved[128];
        memcpy(saved, payload.data, payload.len);
        payload.data = saved;
        size_t want_len = build(want, sizeof(want), new_via, new_destinations, options, payload);
        want[11] = 8; /* ttl */
        if (max_response != 0) {
            (void)wr_at32(want + 28, max_response);
        }

        uint8_t *start = NULL;
        size_t new_len = 0;
        cr_assert_eq(fwd_rewrite(message + room, room, &h, &how, &start, &new_len), ERR_OK);
        if (max_response != 0) {
            fwd_put_max_response_length(start, max_response);
        }
        cr_assert(slice_is_equal(slice_of(start, new_len), slice_of(want, want_len)));
    }
}

Test(fwd, rewrite_refuses_and_changes_nothing)
{
    uint8_t buffer[256];
    uint8_t before[256];
    uint8_t *start = NULL;
    size_t new_len = 0;
    struct fwd h;
    size_t len = unhex(GOLDEN, buffer + 17, 128);
    memcpy(before, buffer, sizeof(before));
    cr_assert_eq(fwd_decode(slice_of(buffer + 17, len), &params, &h), ERR_OK);
    static const uint8_t via[18] = {1, 16};
    struct fwd_rewrite how = {.via_append = slice_of(via, sizeof(via))};
    cr_assert_eq(fwd_rewrite(buffer + 17, 17, &h, &how, &start, &new_len), ERR_TOO_LARGE);
    struct fwd_rewrite strip = {.strip_bytes = 19};
    cr_assert_eq(fwd_rewrite(buffer + 17, 17, &h, &strip, &start, &new_len), ERR_MALFORMED);
    h.ttl = 0;
    struct fwd_rewrite nothing = {0};
    cr_assert_eq(fwd_rewrite(buffer + 17, 17, &h, &nothing, &start, &new_len), ERR_TTL);
    cr_assert_eq(memcmp(before, buffer, sizeof(before)), 0);
}

/* who made a message may take an entry off without counting down. */
Test(fwd, a17_a_header_that_has_not_been_on_its_way_keeps_its_ttl)
{
    uint8_t list[64];
    uint8_t bytes[256];
    struct node_id id = {.bytes = {1, 2, 3}};
    struct wr l = wr_init(list, sizeof(list));
    fwd_wr_node(&l, &params, &id);
    size_t first = wr_len(&l);
    fwd_wr_resource(&l, SLICE_LITERAL("0123456789abcdef"));
    struct fwd h = {.overlay = params.overlay,
                    .configuration_sequence = 1,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .destination_list = wr_slice(&l)};
    struct wr w = wr_init(bytes, sizeof(bytes));
    fwd_wr(&w, &h);
    wr_bytes(&w, SLICE_LITERAL("contents"));
    cr_assert(wr_ok(&w));
    fwd_put_length(bytes, (uint32_t)wr_len(&w));
    for (uint8_t ttl = 0; ttl < 3; ttl++) {
        uint8_t copy[256];
        uint8_t *start = NULL;
        size_t len = 0;
        memcpy(copy, bytes, sizeof(copy));
        copy[11] = ttl;
        cr_assert_eq(fwd_decode(slice_of(copy, wr_len(&w)), &params, &h), ERR_OK);
        struct fwd_rewrite how = {.strip_bytes = (uint16_t)first, .keep_ttl = true};
        cr_assert_eq(fwd_rewrite(copy, 0, &h, &how, &start, &len), ERR_OK);
        cr_expect_eq(start, copy + first);
        cr_assert_eq(fwd_decode(slice_of(start, len), &params, &h), ERR_OK);
        cr_expect_eq(h.ttl, ttl);
        cr_expect_eq(h.destination_count, 1);
        cr_expect(slice_is_equal(h.payload, SLICE_LITERAL("contents")));
    }
}

/* T2: one field wrong at a time */
Test(fwd, headers_that_are_refused)
{
    static const struct {
        size_t offset;
        uint8_t value;
        enum err want;
    } cases[] = {
        {0, 0x52, ERR_MALFORMED},
        {3, 0x4e, ERR_MALFORMED},
        {4, 0x9b, ERR_WRONG_OVERLAY},
        {10, 0x01, ERR_UNSUPPORTED},
        {10, 0x0b, ERR_UNSUPPORTED},
        {12, 0x40, ERR_MALFORMED},
        {12, 0x00, ERR_MALFORMED},
        {12, 0xff, ERR_OK},
        {19, 56, ERR_MALFORMED},
        {19, 58, ERR_MALFORMED},
        {33, 1, ERR_MALFORMED},
        {35, 0x12, ERR_MALFORMED},
        {35, 0, ERR_MALFORMED},
        {37, 1, ERR_MALFORMED},
        {38, 0, ERR_MALFORMED},
        {38, 1, ERR_MALFORMED},
        {38, 3, ERR_OK},
        {38, 4, ERR_OK},
        {39, 0x10, ERR_MALFORMED},
        {40, 0x0f, ERR_MALFORMED},
        {40, 0x11, ERR_MALFORMED},
        {11, 0, ERR_OK},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t bytes[128];
        struct fwd h;
        size_t len = unhex(GOLDEN, bytes, sizeof(bytes));
        bytes[cases[i].offset] = cases[i].value;
        enum err got = fwd_decode(slice_of(bytes, len), &params, &h);
        cr_assert_eq(got, cases[i].want, "case %zu: %d", i, (int)got);
    }
    struct fwd h;
    cr_assert_eq(fwd_decode(SLICE_EMPTY, &params, &h), ERR_MALFORMED);
}

/* Why, and at which byte. */
Test(fwd, refusals_say_why_and_where)
{
    static const struct {
        size_t offset;
        uint8_t value;
        enum reject why;
        size_t at;
    } cases[] = {
        {0, 0x52, REJECT_TOKEN, 0},
        {4, 0x9b, REJECT_OVERLAY, 4},
        {10, 0x0b, REJECT_VERSION, 10},
        {12, 0x40, REJECT_FRAGMENT_BIT, 12},
        {19, 56, REJECT_MESSAGE_LENGTH, 16},
        {33, 1, REJECT_SHORT, 39},           /* the Destination List does not fit any more */
        {35, 0x12, REJECT_INNER_LENGTH, 40}, /* its entry does not fit it */
        {35, 0, REJECT_EMPTY_LIST, 38},
        {37, 1, REJECT_SHORT, 57},
        {38, 0, REJECT_ZERO_TYPE, 38},
        {38, 1, REJECT_NODE_LENGTH, 39},
        {39, 0x10, REJECT_INNER_LENGTH, 41},
        {40, 0x0f, REJECT_INNER_LENGTH, 56},
        {40, 0x11, REJECT_INNER_LENGTH, 41},
        {12, 0xff, REJECT_NONE, 57},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t bytes[128];
        struct fwd h;
        struct rd r = rd_init(slice_of(bytes, unhex(GOLDEN, bytes, sizeof(bytes))));
        bytes[cases[i].offset] = cases[i].value;
        fwd_rd_message(&r, &params, &h);
        cr_assert_eq(r.why, cases[i].why, "case %zu: %s", i, reject_name(r.why));
        cr_assert_eq(r.at, bytes + cases[i].at, "case %zu: at %td", i, r.at - bytes);
    }
}

Test(fwd, cut_headers_are_short)
{
    uint8_t bytes[128];
    struct fwd h;
    size_t len = unhex(GOLDEN, bytes, sizeof(bytes));
    for (size_t cut = 0; cut < len; cut++) {
        struct rd r = rd_init(slice_of(bytes, cut));
        fwd_rd(&r, &params, &h);
        cr_assert_eq(r.why, REJECT_SHORT, "%zu: %s", cut, reject_name(r.why));
        cr_assert(r.at >= bytes && r.at <= bytes + cut, "%zu", cut);
    }
    /* A field is named by its first byte. */
    static const size_t fields[] = {0, 4, 8, 10, 11, 12, 16, 20, 28, 32, 34, 36, 38, 57};
    for (size_t i = 0; i + 1 < ARRAY_COUNT(fields); i++) {
        struct rd r = rd_init(slice_of(bytes, fields[i + 1] - 1));
        fwd_rd(&r, &params, &h);
        cr_assert_eq(r.at, bytes + fields[i], "field %zu: at %td", i, r.at - bytes);
    }
}

/* A header stands in front of something else: the cursor is left there. */
Test(fwd, a_header_is_left_at_its_payload)
{
    uint8_t bytes[128];
    struct fwd h;
    size_t len = unhex(GOLDEN "c0ffee", bytes, sizeof(bytes));
    struct rd r = rd_init(slice_of(bytes, len));
    fwd_rd(&r, &params, &h);
    cr_assert(rd_ok(&r));
    cr_assert_eq(r.at, bytes + 57);
    cr_assert_eq(rd_left(&r), 3);
    cr_assert(slice_is_equal(h.payload, slice_of(bytes + 57, 3)));
    cr_assert_eq(h.header_bytes, 57);
    r = rd_init(slice_of(bytes, len));
    fwd_rd_message(&r, &params, &h);
    cr_assert_eq(r.why, REJECT_MESSAGE_LENGTH);
}

/* a foreign overlay may have Node-IDs of another length, so it is told first. */
Test(fwd, a_foreign_overlay_is_told_before_its_lists)
{
    uint8_t bytes[128];
    struct fwd h;
    size_t len = unhex(GOLDEN, bytes, sizeof(bytes));
    bytes[38] = 1;
    bytes[7] ^= 1;
    cr_assert_eq(fwd_decode(slice_of(bytes, len), &params, &h), ERR_WRONG_OVERLAY);
    struct rd r = rd_init(slice_of(bytes, len));
    fwd_rd(&r, &params, &h);
    cr_assert_eq(r.why, REJECT_NODE_LENGTH, "read alone, a header has no overlay to be of");
}

Test(fwd, options_say_why_and_where)
{
    uint8_t message[128];
    struct fwd h;
    static const struct {
        const char *options;
        size_t len;
        enum reject why;
        size_t at;
    } cases[] = {
        {"\x02\x00\x00\x00", 4, REJECT_NONE, 44},
        {"\x00\x00\x00\x00", 4, REJECT_ZERO_TYPE, 40},
        {"\x02\x00\x00\x01", 4, REJECT_INNER_LENGTH, 44},
        {"\x02\x00\x00", 3, REJECT_INNER_LENGTH, 42},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct slice options = slice_of(cases[i].options, cases[i].len);
        size_t len = build(message, sizeof(message), SLICE_EMPTY, SLICE_LITERAL("\x80\x01"),
                           options, SLICE_EMPTY);
        struct rd r = rd_init(slice_of(message, len));
        fwd_rd_message(&r, &params, &h);
        cr_assert_eq(r.why, cases[i].why, "case %zu: %s", i, reject_name(r.why));
        cr_assert_eq(r.at, message + cases[i].at, "case %zu: at %td", i, r.at - message);
    }
}

/* RX-5, T3.3: where a resource may stand */
Test(fwd, a_resource_stands_last_or_nowhere)
{
    uint8_t node[32], resource[32], both[64], message[256];
    struct node_id id = {{7}};
    struct fwd h;
    struct wr w = wr_init(node, sizeof(node));
    fwd_wr_node(&w, &params, &id);
    struct slice n = wr_slice(&w);
    w = wr_init(resource, sizeof(resource));
    fwd_wr_resource(&w, SLICE_LITERAL("FOO"));
    struct slice r = wr_slice(&w);
    cr_assert(slice_is_equal(r, SLICE_LITERAL("\x02\x04\x03"
                                              "FOO")));
    const struct {
        struct slice via, first, second;
        enum reject want;
        size_t at;
    } cases[] = {
        {SLICE_EMPTY, n, r, REJECT_NONE, 62},
        {SLICE_EMPTY, r, n, REJECT_RESOURCE_NOT_LAST, 38},
        {SLICE_EMPTY, r, r, REJECT_RESOURCE_NOT_LAST, 38},
        {n, n, n, REJECT_NONE, 38 + 3 * 18},
        {r, n, SLICE_EMPTY, REJECT_VIA_RESOURCE, 38},
        {n, SLICE_EMPTY, SLICE_EMPTY, REJECT_EMPTY_LIST, 38 + 18},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        w = wr_init(both, sizeof(both));
        wr_bytes(&w, cases[i].first);
        wr_bytes(&w, cases[i].second);
        size_t len =
            build(message, sizeof(message), cases[i].via, wr_slice(&w), SLICE_EMPTY, SLICE_EMPTY);
        struct rd reader = rd_init(slice_of(message, len));
        fwd_rd_message(&reader, &params, &h);
        cr_assert_eq(reader.why, cases[i].want, "%zu: %s", i, reject_name(reader.why));
        cr_assert_eq(reader.at, message + cases[i].at, "%zu: %td", i, reader.at - message);
        enum err want = cases[i].want == REJECT_NONE ? ERR_OK : ERR_MALFORMED;
        cr_assert_eq(fwd_decode(slice_of(message, len), &params, &h), want, "%zu", i);
    }
}

/* fwd_decode has a quick way for what most messages are: what it says must not depend on that. */
static void is_as_slow(const uint8_t *message, size_t len)
{
    static uint8_t fields[2][FWD_FIXED_BYTES + 1024];
    struct fwd quick, slow;
    struct rd r = rd_init(slice_of(message, len));
    fwd_rd_message(&r, &params, &slow);
    enum err e = fwd_decode(slice_of(message, len), &params, &quick);
    cr_assert_eq(e == ERR_OK, rd_ok(&r), "%d, %s", e, reject_name(r.why));
    struct wr a = wr_init(fields[0], sizeof(fields[0])), b = wr_init(fields[1], sizeof(fields[1]));
    fwd_wr(&a, &quick);
    fwd_wr(&b, &slow);
    cr_assert(slice_is_equal(wr_slice(&a), wr_slice(&b)));
    cr_assert(quick.version == slow.version && quick.header_bytes == slow.header_bytes);
    cr_assert(quick.via_count == slow.via_count && quick.option_flags == slow.option_flags);
    cr_assert_eq(quick.destination_count, slow.destination_count);
    cr_assert(quick.payload.data == slow.payload.data && quick.payload.len == slow.payload.len);
    const struct fwd_destination *f = &quick.first, *g = &slow.first;
    cr_assert(f->type == g->type && f->is_compact == g->is_compact);
    cr_assert(f->id.data == g->id.data && f->id.len == g->id.len);
    cr_assert(f->wire.data == g->wire.data && f->wire.len == g->wire.len);
}

Test(fwd, the_quick_way_says_what_the_slow_one_says)
{
    enum { LISTS = 260, ROUNDS = 8 };
    uint8_t via[LISTS] = {0}, to[2 * LISTS], message[1024], changed[1024];
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct wr w = wr_init(to, sizeof(to));
        struct node_id id = {{(uint8_t)round}};
        for (unsigned i = 0; i < round % 4; i++) {
            fwd_wr_node(&w, &params, &id);
        }
        if (round % 4 == 0 || round > 4) {
            fwd_wr_resource(&w, slice_of(via, 16));
        }
        struct slice destinations = wr_slice(&w);
        w = wr_init(via, sizeof(via));
        for (unsigned i = 0; i < round % 3; i++) {
            fwd_wr_node(&w, &params, &id);
        }
        size_t len = build(message, sizeof(message), wr_slice(&w), destinations, SLICE_EMPTY,
                           SLICE_LITERAL("payload"));
        is_as_slow(message, len);
        for (size_t at = 0; at < len; at++) { /* each byte, to each value */
            for (unsigned value = 0; value < 256; value++) {
                memcpy(changed, message, len);
                changed[at] = (uint8_t)value;
                is_as_slow(changed, len);
            }
        }
        for (size_t cut = 0; cut < len; cut++) {
            is_as_slow(message, cut);
        }
    }
    /* The longest resource, one that would be longer, and a type that looks like its length. */
    for (unsigned resource = 250; resource < 260; resource++) {
        for (unsigned type = 1; type < 5; type++) {
            memset(to, 0, sizeof(to));
            to[0] = (uint8_t)type;
            to[1] = (uint8_t)(resource + 1);
            to[2] = (uint8_t)resource;
            size_t len = build(message, sizeof(message), SLICE_EMPTY, slice_of(to, resource + 3),
                               SLICE_EMPTY, SLICE_EMPTY);
            is_as_slow(message, len);
        }
    }
}

/* T3.4 */
Test(fwd, lists_are_capped)
{
    uint8_t list[2 * (FWD_ENTRIES_MAX + 1)], message[1024];
    struct fwd h;
    memset(list, 0x80, sizeof(list));
    struct slice most = slice_of(list, 2 * FWD_ENTRIES_MAX);
    struct slice more = slice_of(list, sizeof(list));
    struct slice one = slice_of(list, 2);
    size_t len = build(message, sizeof(message), most, most, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_eq(fwd_decode(slice_of(message, len), &params, &h), ERR_OK);
    cr_assert_eq(h.via_count, FWD_ENTRIES_MAX);
    len = build(message, sizeof(message), more, one, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_eq(fwd_decode(slice_of(message, len), &params, &h), ERR_LIMIT);
    len = build(message, sizeof(message), SLICE_EMPTY, more, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_eq(fwd_decode(slice_of(message, len), &params, &h), ERR_LIMIT);
    cr_assert_eq(fwd_decode_header(slice_of(message, len), &params, &h), ERR_LIMIT);
    struct rd r = rd_init(slice_of(message, len));
    fwd_rd(&r, &params, &h);
    cr_assert_eq(r.why, REJECT_TOO_MANY);
    cr_assert_eq(r.at, message + FWD_FIXED_BYTES + 2 * FWD_ENTRIES_MAX);
}

static struct fwd_destination destination_of(const char *hex, uint8_t *bytes, size_t cap)
{
    struct rd r = rd_init(slice_of(bytes, unhex(hex, bytes, cap)));
    struct fwd_destination d;
    fwd_rd_destination(&r, &params, &d);
    cr_assert(rd_is_done(&r));
    return d;
}

/* T3.1 */
Test(fwd, destinations_are_compared_by_meaning)
{
    uint8_t a[32], b[32], c[32];
    struct fwd_destination compact = destination_of("8001", a, sizeof(a));
    struct fwd_destination opaque = destination_of("0303028001", b, sizeof(b));
    struct fwd_destination other = destination_of("0303028002", c, sizeof(c));
    cr_assert(fwd_destination_is_equal(&compact, &opaque));
    cr_assert_not(fwd_destination_is_equal(&opaque, &other));
    uint8_t out[64];
    struct wr w = wr_init(out, sizeof(out));
    fwd_wr_destination(&w, &compact);
    fwd_wr_destination(&w, &other);
    cr_assert_not(fwd_has_duplicate(wr_slice(&w), &params));
    fwd_wr_destination(&w, &opaque);
    cr_assert(fwd_has_duplicate(wr_slice(&w), &params));
    struct node_id id;
    cr_assert_eq(fwd_destination_node(&opaque, &params, &id), ERR_MALFORMED);
    struct fwd_destination node = destination_of("0110" RESOURCE_HEX, a, sizeof(a));
    cr_assert_eq(fwd_destination_node(&node, &params, &id), ERR_OK);
    cr_assert_eq(id.bytes[0], 0x45);
}

Test(fwd, opaque_ids_have_at_most_254_bytes)
{
    uint8_t id[255] = {0}, out[300];
    struct wr w = wr_init(out, sizeof(out));
    fwd_wr_opaque(&w, slice_of(id, FWD_OPAQUE_MAX));
    cr_assert(wr_ok(&w));
    fwd_wr_opaque(&w, slice_of(id, FWD_OPAQUE_MAX + 1));
    cr_assert_not(wr_ok(&w));
}

/* VL-3, VL-4 */
Test(fwd, a_via_list_reversed)
{
    struct rng rng;
    rng_init(&rng, 2);
    for (unsigned count = 0; count < 20; count++) {
        uint8_t list[512], back[512], again[512];
        struct slice l = random_list(&rng, list, sizeof(list), count);
        struct wr w = wr_init(back, l.len);
        fwd_wr_reversed(&w, &params, l);
        cr_assert(wr_ok(&w));
        struct slice b = wr_slice(&w);
        cr_assert_eq(b.len, l.len);
        w = wr_init(again, l.len);
        fwd_wr_reversed(&w, &params, b);
        cr_assert(slice_is_equal(wr_slice(&w), l), "twice is once");
    }
    uint8_t back[8];
    struct wr w = wr_init(back, sizeof(back));
    fwd_wr_reversed(&w, &params, SLICE_LITERAL("\x80\x01\x80\x02"));
    cr_assert(slice_is_equal(wr_slice(&w), SLICE_LITERAL("\x80\x02\x80\x01")));
    fwd_wr_reversed(&w, &params, SLICE_LITERAL("\x80\x01\x01"));
    cr_assert_not(wr_ok(&w));
}

/* The header of an answer is what its parts make, whoever writes it. */
Test(fwd, the_header_of_an_answer)
{
    struct rng rng;
    rng_init(&rng, 3);
    struct node_id first = {.bytes = {1, 2, 3}};
    uint8_t options[64];
    struct wr o = wr_init(options, sizeof(options));
    fwd_wr_option(&o, 200, FWD_OPTION_RESPONSE_COPY, SLICE_LITERAL("a"));
    fwd_wr_option(&o, 201, FWD_OPTION_DESTINATION_CRITICAL, SLICE_LITERAL("b"));
    for (unsigned count = 0; count < 40; count++) {
        uint8_t list[512], lists[1024], want[1024], got[1024];
        struct fwd_return in = {.overlay = params.overlay,
                                .length = 1000 + count,
                                .configuration_sequence = 9,
                                .ttl = 77,
                                .transaction_id = 0x0102030405060708 + count,
                                .first = count % 3 == 0 ? NULL : &first,
                                .via_list = random_list(&rng, list, sizeof(list), count / 2),
                                .options = count % 2 == 0 ? SLICE_EMPTY : wr_slice(&o)};
        struct wr l = wr_init(lists, sizeof(lists));
        if (in.first != NULL) {
            fwd_wr_node(&l, &params, in.first);
        }
        fwd_wr_reversed(&l, &params, in.via_list);
        size_t destination_len = wr_len(&l);
        fwd_wr_response_options(&l, in.options);
        struct fwd h = {.overlay = in.overlay,
                        .configuration_sequence = in.configuration_sequence,
                        .ttl = in.ttl,
                        .fragment = FWD_FRAGMENT_WHOLE,
                        .length = in.length,
                        .transaction_id = in.transaction_id,
                        .destination_list = slice_of(lists, destination_len),
                        .options = slice_from(wr_slice(&l), destination_len)};
        struct wr w = wr_init(want, sizeof(want));
        fwd_wr(&w, &h);
        struct wr g = wr_init(got, sizeof(got));
        fwd_wr_return(&g, &params, &in);
        cr_assert(wr_ok(&g));
        cr_assert(slice_is_equal(wr_slice(&g), wr_slice(&w)), "%u entries", count / 2);
        for (size_t cap = 0; cap < wr_len(&w); cap++) {
            g = wr_init(got, cap);
            fwd_wr_return(&g, &params, &in);
            cr_assert_not(wr_ok(&g), "it does not fit into %zu", cap);
        }
    }
    static uint8_t large[UINT16_MAX + 3], out[2 * UINT16_MAX];
    memset(large, 0x80, sizeof(large));
    struct fwd_return in = {.first = &first, .via_list = slice_of(large, UINT16_MAX - 1)};
    struct wr w = wr_init(out, sizeof(out));
    fwd_wr_return(&w, &params, &in);
    cr_assert_not(wr_ok(&w), "longer than its length can say");
}

/* FW-14 */
Test(fwd, options_of_the_answer)
{
    uint8_t list[64], out[64], want[64];
    struct wr w = wr_init(list, sizeof(list));
    fwd_wr_option(&w, 200, FWD_OPTION_RESPONSE_COPY | FWD_OPTION_FORWARD_CRITICAL,
                  SLICE_LITERAL("a"));
    fwd_wr_option(&w, 201, FWD_OPTION_DESTINATION_CRITICAL, SLICE_LITERAL("b"));
    fwd_wr_option(&w, 202, FWD_OPTION_RESPONSE_COPY, SLICE_EMPTY);
    struct slice options = wr_slice(&w);
    w = wr_init(out, sizeof(out));
    fwd_wr_response_options(&w, options);
    struct slice got = wr_slice(&w);
    w = wr_init(want, sizeof(want));
    fwd_wr_option(&w, 200, 0, SLICE_LITERAL("a"));
    fwd_wr_option(&w, 202, 0, SLICE_EMPTY);
    cr_assert(slice_is_equal(got, wr_slice(&w)));

    uint8_t message[128];
    struct fwd h;
    size_t len = build(message, sizeof(message), SLICE_EMPTY, SLICE_LITERAL("\x80\x01"), options,
                       SLICE_EMPTY);
    cr_assert_eq(fwd_decode(slice_of(message, len), &params, &h), ERR_OK);
    cr_assert_eq(h.option_flags, FWD_OPTION_FLAGS);
    struct rd r = rd_init(h.options);
    struct fwd_option o;
    unsigned count = 0;
    while (fwd_option_next(&r, &o)) {
        count++;
    }
    cr_assert_eq(count, 3);
    cr_assert(rd_is_done(&r));
}

/* What cannot be said in 16 bits, or does not fit, is refused as a whole. */
Test(fwd, too_much_to_write)
{
    static uint8_t large[UINT16_MAX + 3], out[3 * UINT16_MAX];
    memset(large, 0x80, sizeof(large));
    struct fwd h = {.overlay = params.overlay,
                    .ttl = 9,
                    .destination_list = SLICE_LITERAL("\x80\x01"),
                    .via_list = slice_of(large, UINT16_MAX + 1)};
    struct wr w = wr_init(out, sizeof(out));
    fwd_wr(&w, &h);
    cr_assert_not(wr_ok(&w));
    w = wr_init(out, 3);
    fwd_wr_reversed(&w, &params, SLICE_LITERAL("\x80\x01\x80\x02"));
    cr_assert_not(wr_ok(&w));
    w = wr_init(out, sizeof(out));
    fwd_wr_response_options(&w, SLICE_LITERAL("\x02\x04\x00\x09"));
    cr_assert_not(wr_ok(&w));
    /* a hop that makes a list longer than its length can say changes nothing */
    h.via_list = slice_of(large, UINT16_MAX - 1);
    w = wr_init(out + 16, sizeof(out) - 16);
    fwd_wr(&w, &h);
    h.length = (uint32_t)wr_len(&w);
    struct fwd_rewrite how = {.via_append = SLICE_LITERAL("\x80\x05")};
    uint8_t *start = NULL;
    size_t len = 0;
    cr_assert_eq(fwd_rewrite(out + 16, 16, &h, &how, &start, &len), ERR_TOO_LARGE);
    how = (struct fwd_rewrite){.via_drop_bytes = UINT16_MAX - 1,
                               .destination_prepend = slice_of(large, UINT16_MAX)};
    cr_assert_eq(fwd_rewrite(out + 16, 16, &h, &how, &start, &len), ERR_TOO_LARGE);
    cr_assert_eq(out[16 + 11], 9, "the ttl has not changed");
}

Test(fwd, fragments)
{
    struct fwd h = {.fragment = FWD_FRAGMENT_ALWAYS | 1234};
    cr_assert_not(fwd_is_whole(&h));
    cr_assert_not(fwd_is_last(&h));
    cr_assert_eq(fwd_offset(&h), 1234);
    h.fragment |= FWD_FRAGMENT_LAST;
    cr_assert_not(fwd_is_whole(&h));
    cr_assert(fwd_is_last(&h));
    h.fragment = FWD_FRAGMENT_WHOLE | 0x3f000000; /* reserved bits are not looked at */
    cr_assert(fwd_is_whole(&h));
}
