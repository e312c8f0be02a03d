/* SPDX-License-Identifier: Apache-2.0 */
/* fwd.c - see fwd.h.  HOT: each message in transit runs through fwd_decode and fwd_rewrite, and
 * through nothing else of codec/.
 *
 * A rewrite moves as little as it can.  Before and after, with A appended to the Via List and the
 * first entry D1 taken off:
 *
 *     [fixed][via    ][D1][D2 ...][options][payload]
 *   [fixed][via    ][A][D2 ...][options][payload]       D2 and all behind it stay where they are
 */
#include "codec/fwd.h"

enum {
    OFFSET_TTL = 11,
    OFFSET_LENGTH = 16,
    OFFSET_VIA_LENGTH = 32,
    OFFSET_DESTINATION_LENGTH = 34,
    COMPACT_BIT = 0x80,
};

/* `id` from a value with a length byte of its own (resource, opaque). */
static void read_inner(struct rd *r, struct slice value, struct slice *id)
{
    struct rd inner = rd_init(value);
    *id = rd_opaque8(&inner);
    rd_close(r, &inner);
}

void fwd_rd_destination(struct rd *r, const struct rl_params *p, struct fwd_destination *out)
{
    const uint8_t *start = r->at;
    uint8_t type = rd_u8(r);
    *out = (struct fwd_destination){.type = type};
    if ((type & COMPACT_BIT) != 0) {
        (void)rd_u8(r);
        out->type = FWD_DESTINATION_OPAQUE;
        out->is_compact = true;
        out->wire = out->id = rd_ok(r) ? slice_of(start, 2) : SLICE_EMPTY;
        return;
    }
    out->id = rd_opaque8(r);
    if (!rd_ok(r)) {
        return;
    }
    out->wire = slice_of(start, (size_t)(r->at - start));
    if (type == FWD_DESTINATION_NODE) {
        if (out->id.len != p->node_id_length) {
            rd_reject(r, REJECT_NODE_LENGTH);
        }
    } else if (type == FWD_DESTINATION_RESOURCE || type == FWD_DESTINATION_OPAQUE) {
        read_inner(r, out->id, &out->id);
    } else if (type == 0) {
        rd_reject(r, REJECT_ZERO_TYPE);
    }
}

bool fwd_next(struct rd *r, const struct rl_params *p, struct fwd_destination *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    fwd_rd_destination(r, p, out);
    return rd_ok(r);
}

enum err fwd_destination_node(const struct fwd_destination *d, const struct rl_params *p,
                              struct node_id *out)
{
    if (d->type != FWD_DESTINATION_NODE) {
        memset(out, 0, sizeof(*out));
        return ERR_MALFORMED;
    }
    return ids_node_of(d->id, p, out);
}

bool fwd_destination_is_equal(const struct fwd_destination *a, const struct fwd_destination *b)
{
    return a->type == b->type && slice_is_equal(a->id, b->id);
}

bool fwd_has_duplicate(struct slice list, const struct rl_params *p)
{
    struct rd outer = rd_init(list);
    struct fwd_destination a;
    while (fwd_next(&outer, p, &a)) {
        struct rd inner = outer;
        struct fwd_destination b;
        while (fwd_next(&inner, p, &b)) {
            if (fwd_destination_is_equal(&a, &b)) {
                return true;
            }
        }
    }
    return false;
}

bool fwd_option_next(struct rd *r, struct fwd_option *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    const uint8_t *start = r->at;
    *out = (struct fwd_option){.type = rd_u8(r)};
    out->flags = rd_u8(r);
    out->value = rd_opaque16(r);
    if (out->type == 0) {
        rd_reject(r, REJECT_ZERO_TYPE);
    }
    if (!rd_ok(r)) {
        return false;
    }
    out->wire = slice_of(start, (size_t)(r->at - start));
    return true;
}

/* The Via List: well-formed, not too long, free of resources (6.3.2.2). */
static enum err check_via(const struct rl_params *p, struct fwd *h)
{
    struct rd r = rd_init(h->via_list);
    struct fwd_destination d;
    while (fwd_next(&r, p, &d)) {
        if (d.type == FWD_DESTINATION_RESOURCE) {
            return ERR_MALFORMED;
        }
        if (h->via_count == FWD_ENTRIES_MAX) {
            return ERR_LIMIT;
        }
        h->via_count++;
    }
    return rd_ok(&r) ? ERR_OK : ERR_MALFORMED;
}

/* The Destination List: well-formed, not empty, not too long, a resource only at its end. */
static enum err check_destinations(const struct rl_params *p, struct fwd *h)
{
    struct rd r = rd_init(h->destination_list);
    struct fwd_destination d;
    while (fwd_next(&r, p, &d)) {
        if (d.type == FWD_DESTINATION_RESOURCE && rd_left(&r) != 0) {
            return ERR_MALFORMED;
        }
        if (h->destination_count == FWD_ENTRIES_MAX) {
            return ERR_LIMIT;
        }
        if (h->destination_count == 0) {
            h->first = d;
        }
        h->destination_count++;
    }
    return rd_ok(&r) && h->destination_count > 0 ? ERR_OK : ERR_MALFORMED;
}

static enum err check_options(struct fwd *h)
{
    struct rd r = rd_init(h->options);
    struct fwd_option o;
    while (fwd_option_next(&r, &o)) {
        h->option_flags |= o.flags;
    }
    return rd_ok(&r) ? ERR_OK : ERR_MALFORMED;
}

/* Fields and lists as slices; `out` is zeroed. */
static enum err read_fields(struct slice message, struct fwd *out)
{
    struct rd r = rd_init(message);
    memset(out, 0, sizeof(*out));
    if (rd_u32(&r) != FWD_TOKEN) {
        return ERR_MALFORMED;
    }
    out->overlay = rd_u32(&r);
    out->configuration_sequence = rd_u16(&r);
    out->version = rd_u8(&r);
    if (rd_ok(&r) && out->version != FWD_VERSION) {
        return ERR_UNSUPPORTED;
    }
    out->ttl = rd_u8(&r);
    out->fragment = rd_u32(&r);
    out->length = rd_u32(&r);
    out->transaction_id = rd_u64(&r);
    out->max_response_length = rd_u32(&r);
    size_t via_len = rd_u16(&r);
    size_t destination_len = rd_u16(&r);
    size_t options_len = rd_u16(&r);
    out->via_list = rd_bytes(&r, via_len);
    out->destination_list = rd_bytes(&r, destination_len);
    out->options = rd_bytes(&r, options_len);
    if (!rd_ok(&r) || (out->fragment & FWD_FRAGMENT_ALWAYS) == 0) {
        return ERR_MALFORMED;
    }
    out->header_bytes = (uint32_t)(FWD_FIXED_BYTES + via_len + destination_len + options_len);
    out->payload = rd_rest(&r);
    return ERR_OK;
}

enum err fwd_decode_header(struct slice message, const struct rl_params *p, struct fwd *out)
{
    enum err e = read_fields(message, out);
    if (e == ERR_OK) {
        e = check_via(p, out);
    }
    if (e == ERR_OK) {
        e = check_destinations(p, out);
    }
    return e == ERR_OK ? check_options(out) : e;
}

enum err fwd_decode(struct slice message, const struct rl_params *p, struct fwd *out)
{
    enum err e = fwd_decode_header(message, p, out);
    /* A foreign overlay may have Node-IDs of another length: say so rather than "malformed". */
    if ((e == ERR_OK || e == ERR_MALFORMED) && out->header_bytes != 0 &&
        out->overlay != p->overlay) {
        return ERR_WRONG_OVERLAY;
    }
    if (e == ERR_OK && out->length != message.len) {
        return ERR_MALFORMED;
    }
    return e;
}

void fwd_wr_node(struct wr *w, const struct rl_params *p, const struct node_id *id)
{
    wr_u8(w, FWD_DESTINATION_NODE);
    wr_opaque8(w, ids_node_slice(id, p));
}

/* A value with a length byte of its own inside the outer one. */
static void write_inner(struct wr *w, uint8_t type, struct slice id)
{
    wr_u8(w, type);
    size_t mark = wr_begin(w, 1);
    wr_opaque8(w, id);
    wr_end(w, 1, mark);
}

void fwd_wr_resource(struct wr *w, struct slice resource)
{
    write_inner(w, FWD_DESTINATION_RESOURCE, resource);
}

void fwd_wr_opaque(struct wr *w, struct slice opaque)
{
    write_inner(w, FWD_DESTINATION_OPAQUE, opaque);
}

void fwd_wr_compact(struct wr *w, uint16_t compact)
{
    CHECK((compact & 0x8000) != 0);
    wr_u16(w, compact);
}

void fwd_wr_destination(struct wr *w, const struct fwd_destination *d)
{
    if (d->is_compact) {
        wr_bytes(w, d->id);
    } else if (d->type == FWD_DESTINATION_RESOURCE || d->type == FWD_DESTINATION_OPAQUE) {
        write_inner(w, d->type, d->id);
    } else {
        wr_u8(w, d->type);
        wr_opaque8(w, d->id);
    }
}

void fwd_wr_option(struct wr *w, uint8_t type, uint8_t flags, struct slice value)
{
    wr_u8(w, type);
    wr_u8(w, flags);
    wr_opaque16(w, value);
}

void fwd_wr_reversed(struct wr *w, const struct rl_params *p, struct slice list)
{
    uint8_t *out = wr_claim(w, list.len);
    struct rd r = rd_init(list);
    struct fwd_destination d;
    size_t left = list.len;
    while (out != NULL && fwd_next(&r, p, &d)) {
        left -= d.wire.len;
        memcpy(out + left, d.wire.data, d.wire.len);
    }
    if (!rd_ok(&r)) {
        wr_fail(w);
    }
}

void fwd_wr_response_options(struct wr *w, struct slice options)
{
    struct rd r = rd_init(options);
    struct fwd_option o;
    while (fwd_option_next(&r, &o)) {
        if ((o.flags & FWD_OPTION_RESPONSE_COPY) != 0) {
            fwd_wr_option(w, o.type, o.flags & (uint8_t)~FWD_OPTION_FLAGS, o.value);
        }
    }
    if (!rd_ok(&r)) {
        wr_fail(w);
    }
}

void fwd_wr(struct wr *w, const struct fwd *h)
{
    size_t longest = max_size(h->via_list.len, max_size(h->destination_list.len, h->options.len));
    if (longest > UINT16_MAX) {
        wr_fail(w);
    }
    wr_u32(w, FWD_TOKEN);
    wr_u32(w, h->overlay);
    wr_u16(w, h->configuration_sequence);
    wr_u8(w, FWD_VERSION);
    wr_u8(w, h->ttl);
    wr_u32(w, h->fragment | FWD_FRAGMENT_ALWAYS);
    wr_u32(w, h->length);
    wr_u64(w, h->transaction_id);
    wr_u32(w, h->max_response_length);
    wr_u16(w, (uint16_t)h->via_list.len);
    wr_u16(w, (uint16_t)h->destination_list.len);
    wr_u16(w, (uint16_t)h->options.len);
    wr_bytes(w, h->via_list);
    wr_bytes(w, h->destination_list);
    wr_bytes(w, h->options);
}

void fwd_put_length(uint8_t *message, uint32_t length)
{
    struct wr w = wr_init(message + OFFSET_LENGTH, sizeof(length));
    wr_u32(&w, length);
}

enum err fwd_rewrite(uint8_t *message, size_t headroom, const struct fwd *h,
                     const struct fwd_rewrite *how, uint8_t **new_message, size_t *new_len)
{
    CHECK(how->strip_bytes <= h->destination_list.len);
    size_t via_kept = how->drop_via ? 0 : h->via_list.len;
    size_t via_len = via_kept + how->via_append.len;
    size_t destination_len =
        h->destination_list.len - how->strip_bytes + how->destination_prepend.len;
    size_t grown = how->via_append.len + how->destination_prepend.len;
    size_t shrunk = how->strip_bytes + (h->via_list.len - via_kept);
    if (h->ttl == 0) {
        return ERR_TTL;
    }
    if (destination_len == 0) {
        return ERR_MALFORMED;
    }
    if (grown > headroom + shrunk || via_len > UINT16_MAX || destination_len > UINT16_MAX) {
        return ERR_TOO_LARGE;
    }
    /* What stays begins behind the stripped entries; the new front ends there. */
    uint8_t *stays = message + FWD_FIXED_BYTES + h->via_list.len + how->strip_bytes;
    uint8_t *start = stays - how->destination_prepend.len - via_len - FWD_FIXED_BYTES;
    memmove(start, message, FWD_FIXED_BYTES + via_kept);
    struct wr w = wr_init(start + FWD_FIXED_BYTES + via_kept, grown);
    wr_bytes(&w, how->via_append);
    wr_bytes(&w, how->destination_prepend);

    *new_message = start;
    *new_len = h->length + grown - shrunk;
    start[OFFSET_TTL] = (uint8_t)(h->ttl - 1);
    fwd_put_length(start, (uint32_t)*new_len);
    w = wr_init(start + OFFSET_VIA_LENGTH, 4);
    wr_u16(&w, (uint16_t)via_len);
    wr_u16(&w, (uint16_t)destination_len);
    return ERR_OK;
}
