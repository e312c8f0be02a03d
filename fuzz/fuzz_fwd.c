/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_fwd.c - the forwarding header: decode, write again, and rewrite for the next hop.
 *
 * Input: Node-ID length, flags, two lists of entries to add, then the message. */
#include "codec/fwd.h"
#include "fuzz/mutate.h"

FUZZ_UNCOUNTED

enum {
    FLAG_OVERLAY = 1, /* the overlay is the one that the message names */
    FLAG_LENGTH = 2,  /* the length field is put right */
    FLAG_STRIP = 4,
    FLAG_DROP_VIA = 8,
    FLAG_SHORT = 16, /* hardly any headroom */
    ADDED_MAX = 255,
    DUPLICATES_MAX = 12, /* each is compared with each: nothing new with more, but slow */
};

static uint8_t header[3 * 65536 + FWD_FIXED_BYTES];
static struct fuzz_block block;

/* The lists, walked and turned round twice. */
static void walk(const struct fwd *h, const struct rl_params *p)
{
    struct fwd_destination d;
    struct fwd_option option;
    size_t count = 0;
    struct rd r = rd_init(h->via_list);
    struct wr w = wr_init(header, sizeof(header));
    while (fwd_next(&r, p, &d)) {
        CHECK(fwd_destination_is_equal(&d, &d));
        fwd_wr_destination(&w, &d);
        count++;
    }
    CHECK(rd_is_done(&r) && count == h->via_count);
    fuzz_same(&w, h->via_list);
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
    if (h->destination_count <= DUPLICATES_MAX) {
        (void)fwd_has_duplicate(h->destination_list, p);
    }
    w = wr_init(header, sizeof(header));
    fwd_wr_response_options(&w, h->options);
    CHECK(wr_ok(&w) && wr_len(&w) <= h->options.len);
}

static void joined(struct slice whole, struct slice first, struct slice second)
{
    CHECK(whole.len == first.len + second.len);
    CHECK(slice_is_equal(slice_sub(whole, 0, first.len), first));
    CHECK(slice_is_equal(slice_from(whole, first.len), second));
}

/* `s`, a part of the message that stood at `was`, as it is in `kept`. */
static struct slice part(struct slice s, const uint8_t *was, struct slice kept)
{
    return s.len == 0 ? SLICE_EMPTY : slice_sub(kept, (size_t)(s.data - was), s.len);
}

/* What came out against what went in: `kept` are the bytes of the message at `was`. */
static void compare(const struct fwd *new, const struct fwd *old, const uint8_t *was,
                    struct slice kept, const struct fwd_rewrite *how)
{
    struct slice via = part(old->via_list, was, kept);
    via.len -= how->via_drop_bytes;
    struct slice destinations = part(old->destination_list, was, kept);
    CHECK(new->ttl == old->ttl - 1);
    CHECK(new->transaction_id == old->transaction_id &&new->fragment == old->fragment);
    CHECK(new->max_response_length == old->max_response_length);
    CHECK(slice_is_equal(new->options, part(old->options, was, kept)));
    CHECK(slice_is_equal(new->payload, part(old->payload, was, kept)));
    joined(new->via_list, via, how->via_append);
    joined(new->destination_list, how->destination_prepend,
           slice_from(destinations, how->strip_bytes));
}

/* Rewrites the message where it stands, in the block. */
static void rewrite(uint8_t *message, size_t headroom, const struct rl_params *p,
                    const struct fwd *old, struct slice kept, const struct fwd_rewrite *how)
{
    struct fwd new;
    uint8_t *at = NULL;
    size_t len = 0;
    enum err e = fwd_rewrite(message, headroom, old, how, &at, &len);
    if (e != ERR_OK) {
        CHECK(e == ERR_TTL || e == ERR_TOO_LARGE || e == ERR_MALFORMED);
        CHECK((e == ERR_TTL) == (old->ttl == 0));
        CHECK(slice_is_equal(slice_of(message, kept.len), kept));
        return;
    }
    CHECK(at >= message - headroom && at + len == message + kept.len);
    e = fwd_decode(slice_of(at, len), p, &new);
    CHECK(e == ERR_OK || e == ERR_LIMIT || e == ERR_MALFORMED); /* what was added may be anything */
    if (e == ERR_OK) {
        CHECK(new.length == len);
        compare(&new, old, message, kept, how);
    }
}

/* Of the Via List: all of it, or what stands behind the first entry. */
static size_t dropped_bytes(const struct fwd *h, const struct rl_params *p)
{
    struct rd r = rd_init(h->via_list);
    struct fwd_destination first;
    bool is_some = h->via_count % 2 == 0 && fwd_next(&r, p, &first);
    return is_some ? rd_left(&r) : h->via_list.len;
}

static void try(uint8_t *message, struct slice kept, const struct rl_params *p, uint8_t flags,
                struct fwd_rewrite how)
{
    struct fwd h;
    if (fwd_decode(slice_of(message, kept.len), p, &h) != ERR_OK) {
        return;
    }
    CHECK(h.length == kept.len && h.header_bytes + h.payload.len == kept.len);
    walk(&h, p);
    struct wr w = wr_init(header, sizeof(header));
    fwd_wr(&w, &h);
    fuzz_same(&w, slice_sub(kept, 0, h.header_bytes));
    how.strip_bytes = (flags & FLAG_STRIP) != 0 ? (uint16_t)h.first.wire.len : 0;
    if ((flags & FLAG_DROP_VIA) != 0) {
        how.via_drop_bytes = (uint16_t)dropped_bytes(&h, p);
    }
    size_t headroom = (flags & FLAG_SHORT) != 0 ? 8 : FUZZ_BLOCK_ROOM;
    fuzz_open_front(&block, headroom);
    rewrite(message, headroom, p, &h, kept, &how);
    fuzz_close_front(&block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t fixed[FUZZ_BLOCK_MAX];
    struct rd r = rd_init(slice_of(data, min_size(size, FUZZ_BLOCK_MAX)));
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)};
    uint8_t flags = rd_u8(&r);
    struct fwd_rewrite how = {.via_append = fuzz_take(&r, ADDED_MAX)};
    how.destination_prepend = fuzz_take(&r, ADDED_MAX);
    struct slice kept = rd_rest(&r);
    struct rd overlay = rd_init(slice_sub(kept, 4, 4));
    p.overlay = (flags & FLAG_OVERLAY) != 0 ? rd_u32(&overlay) : 0x12345678;
    if ((flags & FLAG_LENGTH) != 0 && kept.len >= FWD_FIXED_BYTES) {
        memcpy(fixed, kept.data, kept.len);
        fwd_put_length(fixed, (uint32_t)kept.len);
        kept.data = fixed;
    }
    try(fuzz_exact(&block, kept), kept, &p, flags, how);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t made[MUTATE_OUT];
    struct rd r = rd_init(slice_of(data, size));
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)};
    (void)rd_u8(&r);
    (void)fuzz_take(&r, ADDED_MAX);
    (void)fuzz_take(&r, ADDED_MAX);
    size_t head = size - rd_left(&r);
    if (!rd_ok(&r) || mutate_is_plain(seed, size, head) || seed % 4 == 1) {
        return mutate_plain(data, size, max_size);
    }
    struct mutate g = mutate_begin(seed, &p);
    struct wr w = wr_init(made, sizeof(made));
    mutate_fwd(&g, rd_rest(&r), 0, &w);
    return mutate_end(&w, data, size, head, max_size);
}

FUZZ_COUNTED
