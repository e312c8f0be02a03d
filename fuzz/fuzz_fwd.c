/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_fwd.c - the forwarding header: decode, write again, and rewrite for the next hop.
 *
 * Input: Node-ID length, flags, two lists of entries to add, then the message. */
#include "codec/fwd.h"
#include "fuzz/fuzz.h"

enum {
    FLAG_OVERLAY = 1, /* the overlay is the one that the message names */
    FLAG_LENGTH = 2,  /* the length field is put right */
    FLAG_STRIP = 4,
    FLAG_DROP_VIA = 8,
    FLAG_SHORT = 16, /* hardly any headroom */
    HEADROOM = 512,
    ADDED_MAX = 255,
};

static uint8_t header[3 * 65536 + FWD_FIXED_BYTES];

/* The lists, walked and turned round twice. */
static void walk(const struct fwd *h, const struct rl_params *p)
{
    struct fwd_destination d;
    struct fwd_option option;
    size_t count = 0;
    struct rd r = rd_init(h->via_list);
    while (fwd_next(&r, p, &d)) {
        CHECK(fwd_destination_is_equal(&d, &d));
        struct wr w = wr_init(header, sizeof(header));
        fwd_wr_destination(&w, &d);
        fuzz_same(&w, d.wire);
        count++;
    }
    CHECK(rd_is_done(&r) && count == h->via_count);
    count = 0;
    for (r = rd_init(h->destination_list); fwd_next(&r, p, &d);) {
        count++;
    }
    CHECK(rd_is_done(&r) && count == h->destination_count);
    uint8_t flags = 0;
    for (r = rd_init(h->options); fwd_option_next(&r, &option);) {
        flags |= option.flags;
    }
    CHECK(rd_is_done(&r) && flags == h->option_flags);
    struct wr once = wr_init(header, 65536), twice = wr_init(header + 65536, 65536);
    fwd_wr_reversed(&once, p, h->via_list);
    fwd_wr_reversed(&twice, p, wr_slice(&once));
    fuzz_same(&twice, h->via_list);
    (void)fwd_has_duplicate(h->destination_list, p);
    struct wr w = wr_init(header, sizeof(header));
    fwd_wr_response_options(&w, h->options);
    CHECK(wr_ok(&w) && wr_len(&w) <= h->options.len);
}

static void joined(struct slice whole, struct slice first, struct slice second)
{
    CHECK(whole.len == first.len + second.len);
    CHECK(slice_is_equal(slice_sub(whole, 0, first.len), first));
    CHECK(slice_is_equal(slice_from(whole, first.len), second));
}

/* The message once more with the next hop's header, in a block of its own. */
static void rewrite(struct slice message, const struct rl_params *p, uint8_t flags,
                    const struct fwd_rewrite *how)
{
    size_t headroom = (flags & FLAG_SHORT) != 0 ? 7 : HEADROOM;
    uint8_t *block = malloc(headroom + message.len);
    CHECK(block != NULL);
    memcpy(block + headroom, message.data, message.len);
    struct fwd old, h, new;
    CHECK(fwd_decode(message, p, &old) == ERR_OK);
    CHECK(fwd_decode(slice_of(block + headroom, message.len), p, &h) == ERR_OK);
    uint8_t *at = NULL;
    size_t len = 0;
    enum err e = fwd_rewrite(block + headroom, headroom, &h, how, &at, &len);
    if (e != ERR_OK) {
        CHECK(e == ERR_TTL || e == ERR_TOO_LARGE || e == ERR_MALFORMED);
        CHECK((e == ERR_TTL) == (old.ttl == 0));
        CHECK(slice_is_equal(slice_of(block + headroom, message.len), message));
        free(block);
        return;
    }
    CHECK(at >= block && at + len == block + headroom + message.len);
    e = fwd_decode(slice_of(at, len), p, &new);
    CHECK(e == ERR_OK || e == ERR_LIMIT || e == ERR_MALFORMED); /* what was added may be anything */
    if (e == ERR_OK) {
        CHECK(new.ttl == old.ttl - 1 && new.length == len);
        CHECK(new.transaction_id == old.transaction_id &&new.fragment == old.fragment);
        CHECK(new.max_response_length == old.max_response_length);
        CHECK(slice_is_equal(new.options, old.options));
        CHECK(slice_is_equal(new.payload, old.payload));
        joined(new.via_list, how->drop_via ? SLICE_EMPTY : old.via_list, how->via_append);
        joined(new.destination_list, how->destination_prepend,
               slice_from(old.destination_list, how->strip_bytes));
    }
    free(block);
}

static void try(struct slice message, const struct rl_params *p, uint8_t flags, struct slice via,
                struct slice destination)
{
    struct fwd h;
    if (fwd_decode(message, p, &h) != ERR_OK) {
        return;
    }
    CHECK(h.length == message.len && h.header_bytes <= message.len);
    CHECK(h.header_bytes + h.payload.len == message.len);
    walk(&h, p);
    struct wr w = wr_init(header, sizeof(header));
    fwd_wr(&w, &h);
    fuzz_same(&w, slice_sub(message, 0, h.header_bytes));
    struct fwd_rewrite how = {
        .strip_bytes = (flags & FLAG_STRIP) != 0 ? (uint16_t)h.first.wire.len : 0,
        .drop_via = (flags & FLAG_DROP_VIA) != 0,
        .via_append = via,
        .destination_prepend = destination,
    };
    rewrite(message, p, flags, &how);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)};
    uint8_t flags = rd_u8(&r);
    struct slice via = fuzz_take(&r, ADDED_MAX), destination = fuzz_take(&r, ADDED_MAX);
    struct slice message = rd_rest(&r);
    uint8_t *copy = fuzz_copy(message);
    message = slice_of(copy, message.len);
    struct rd overlay = rd_init(slice_sub(message, 4, 4));
    p.overlay = (flags & FLAG_OVERLAY) != 0 ? rd_u32(&overlay) : 0x12345678;
    if ((flags & FLAG_LENGTH) != 0 && message.len >= FWD_FIXED_BYTES) {
        fwd_put_length(copy, (uint32_t)message.len);
    }
    try(message, &p, flags, via, destination);
    struct fwd h;
    (void)!fwd_decode_header(message, &p, &h);
    free(copy);
    return 0;
}
