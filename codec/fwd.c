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
    OFFSET_OVERLAY = 4,
    OFFSET_SEQUENCE = 8,
    OFFSET_VERSION = 10,
    OFFSET_TTL = 11,
    OFFSET_FRAGMENT = 12,
    OFFSET_LENGTH = 16,
    OFFSET_TRANSACTION = 20,
    OFFSET_MAX_RESPONSE = 28,
    OFFSET_VIA_LENGTH = 32,
    OFFSET_DESTINATION_LENGTH = 34,
    OFFSET_OPTIONS_LENGTH = 36,
    COMPACT_BIT = 0x80,
};

/* `id` from a value with a length byte of its own (resource, opaque). */
static inline void read_inner(struct rd *r, struct slice value, struct slice *id)
{
    struct rd inner = rd_init(value);
    *id = rd_opaque8(&inner);
    rd_close(r, &inner);
}

/* fwd_rd_destination, compiled into the loops that check a header: there the cursor stays in
 * registers, and what a loop does not ask for is not computed. */
static inline __attribute__((always_inline)) void
read_destination(struct rd *r, const struct rl_params *p, struct fwd_destination *out)
{
    const uint8_t *start = r->at;
    size_t left = rd_left(r);
    *out = (struct fwd_destination){0};
    if (UNLIKELY(left < 2)) {
        rd_reject_at(r, REJECT_SHORT, r->end);
        return;
    }
    uint8_t type = start[0];
    size_t len = (type & COMPACT_BIT) != 0 ? 0 : start[1];
    if (UNLIKELY(left - 2 < len)) {
        rd_reject_at(r, REJECT_SHORT, start + 2);
        return;
    }
    r->at = start + 2 + len;
    out->type = type;
    out->id = slice_of(start + 2, len);
    out->wire = slice_of(start, 2 + len);
    if (LIKELY(type == FWD_DESTINATION_NODE)) {
        if (UNLIKELY(len != p->node_id_length)) {
            rd_reject_at(r, REJECT_NODE_LENGTH, start + 1);
        }
    } else if ((type & COMPACT_BIT) != 0) {
        out->type = FWD_DESTINATION_OPAQUE;
        out->is_compact = true;
        out->id = out->wire;
    } else if (type == FWD_DESTINATION_RESOURCE || type == FWD_DESTINATION_OPAQUE) {
        read_inner(r, out->id, &out->id);
    } else if (type == 0) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
}

void fwd_rd_destination(struct rd *r, const struct rl_params *p, struct fwd_destination *out)
{
    read_destination(r, p, out);
}

bool fwd_next(struct rd *r, const struct rl_params *p, struct fwd_destination *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    read_destination(r, p, out);
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

void fwd_rd_option(struct rd *r, struct fwd_option *out)
{
    const uint8_t *start = r->at;
    *out = (struct fwd_option){.type = rd_u8(r)};
    out->flags = rd_u8(r);
    out->value = rd_opaque16(r);
    if (out->type == 0) {
        rd_reject_at(r, REJECT_ZERO_TYPE, start);
    }
    if (rd_ok(r)) {
        out->wire = slice_of(start, (size_t)(r->at - start));
    }
}

bool fwd_option_next(struct rd *r, struct fwd_option *out)
{
    if (rd_left(r) == 0) {
        return false;
    }
    fwd_rd_option(r, out);
    return rd_ok(r);
}

/* The Via List: well-formed, not too long, free of resources (6.3.2.2). */
static void check_via(struct rd *r, const struct rl_params *p, struct fwd *h)
{
    struct rd list = rd_init(h->via_list);
    unsigned count = 0;
    while (rd_left(&list) != 0) {
        struct fwd_destination d;
        read_destination(&list, p, &d);
        if (UNLIKELY(d.type == FWD_DESTINATION_RESOURCE)) {
            rd_reject_at(&list, REJECT_VIA_RESOURCE, d.wire.data);
        } else if (UNLIKELY(count == FWD_ENTRIES_MAX)) {
            rd_reject_at(&list, REJECT_TOO_MANY, d.wire.data);
        }
        count++;
    }
    h->via_count = (uint16_t)count;
    rd_close(r, &list);
}

/* The Destination List: well-formed, not empty, not too long, a resource only at its end. */
static void check_destinations(struct rd *r, const struct rl_params *p, struct fwd *h)
{
    struct rd list = rd_init(h->destination_list);
    if (UNLIKELY(rd_left(&list) == 0)) {
        rd_reject_at(&list, REJECT_EMPTY_LIST, list.at);
    }
    read_destination(&list, p, &h->first);
    const uint8_t *start = h->first.wire.data;
    uint8_t type = h->first.type;
    unsigned count = 1;
    while (rd_left(&list) != 0) {
        struct fwd_destination d;
        if (UNLIKELY(type == FWD_DESTINATION_RESOURCE)) {
            rd_reject_at(&list, REJECT_RESOURCE_NOT_LAST, start);
        } else if (UNLIKELY(count == FWD_ENTRIES_MAX)) {
            rd_reject_at(&list, REJECT_TOO_MANY, list.at);
        }
        read_destination(&list, p, &d);
        start = d.wire.data;
        type = d.type;
        count++;
    }
    h->destination_count = (uint16_t)count;
    rd_close(r, &list);
}

static void check_options(struct rd *r, struct fwd *h)
{
    struct rd list = rd_init(h->options);
    struct fwd_option o;
    while (fwd_option_next(&list, &o)) {
        h->option_flags |= o.flags;
    }
    rd_close(r, &list);
}

/* Fewer bytes are left than the fixed fields have: names the field that is cut. */
static void reject_short(struct rd *r)
{
    static const uint8_t widths[] = {4, 4, 2, 1, 1, 4, 4, 8, 4, 2, 2, 2};
    for (size_t i = 0; i < ARRAY_COUNT(widths); i++) {
        (void)rd_take(r, widths[i]);
    }
}

/* Fields and lists as slices, not yet looked into; leaves `r` behind the header.  Each field of
 * `out` is written once: to zero it first would cost as much as to decode it. */
static void read_fields(struct rd *r, struct fwd *out)
{
    const uint8_t *start = r->at;
    if (UNLIKELY(rd_left(r) < FWD_FIXED_BYTES)) {
        reject_short(r);
        return;
    }
    if (UNLIKELY(rd_at32(start) != FWD_TOKEN)) {
        rd_reject_at(r, REJECT_TOKEN, start);
    } else if (UNLIKELY(start[OFFSET_VERSION] != FWD_VERSION)) {
        rd_reject_at(r, REJECT_VERSION, start + OFFSET_VERSION);
    } else if (UNLIKELY((rd_at32(start + OFFSET_FRAGMENT) & FWD_FRAGMENT_ALWAYS) == 0)) {
        rd_reject_at(r, REJECT_FRAGMENT_BIT, start + OFFSET_FRAGMENT);
    }
    const uint8_t *lists = start + FWD_FIXED_BYTES;
    size_t via_len = rd_at16(start + OFFSET_VIA_LENGTH);
    size_t destination_len = rd_at16(start + OFFSET_DESTINATION_LENGTH);
    size_t options_len = rd_at16(start + OFFSET_OPTIONS_LENGTH);
    size_t header_len = FWD_FIXED_BYTES + via_len + destination_len + options_len;
    if (UNLIKELY(rd_left(r) < header_len)) {
        (void)rd_take(r, FWD_FIXED_BYTES); /* one of these names the list that is cut */
        (void)rd_take(r, via_len);
        (void)rd_take(r, destination_len);
        (void)rd_take(r, options_len);
        return;
    }
    out->overlay = rd_at32(start + OFFSET_OVERLAY);
    out->configuration_sequence = rd_at16(start + OFFSET_SEQUENCE);
    out->version = FWD_VERSION;
    out->ttl = start[OFFSET_TTL];
    out->fragment = rd_at32(start + OFFSET_FRAGMENT);
    out->length = rd_at32(start + OFFSET_LENGTH);
    out->transaction_id = rd_at64(start + OFFSET_TRANSACTION);
    out->max_response_length = rd_at32(start + OFFSET_MAX_RESPONSE);
    out->via_list = slice_of(lists, via_len);
    out->destination_list = slice_of(lists + via_len, destination_len);
    out->options = slice_of(lists + via_len + destination_len, options_len);
    out->header_bytes = (uint32_t)header_len;
    out->option_flags = 0;
    out->payload = slice_of(start + header_len, rd_left(r) - header_len);
    r->at = start + header_len;
}

/* Looks into the lists, unless something was wrong before; `out` is all zeros when something is. */
static void check_lists(struct rd *r, const struct rl_params *p, struct fwd *out)
{
    if (LIKELY(rd_ok(r))) {
        check_via(r, p, out);
        check_destinations(r, p, out);
        check_options(r, out);
    }
    if (UNLIKELY(!rd_ok(r))) {
        memset(out, 0, sizeof(*out));
    }
}

void fwd_rd(struct rd *r, const struct rl_params *p, struct fwd *out)
{
    read_fields(r, out);
    check_lists(r, p, out);
}

void fwd_rd_message(struct rd *r, const struct rl_params *p, struct fwd *out)
{
    const uint8_t *start = r->at;
    size_t len = rd_left(r);
    read_fields(r, out);
    if (LIKELY(rd_ok(r))) {
        if (UNLIKELY(out->overlay != p->overlay)) {
            /* Before the lists: a foreign overlay may have Node-IDs of another length. */
            rd_reject_at(r, REJECT_OVERLAY, start + OFFSET_OVERLAY);
        } else if (UNLIKELY(out->length != len)) {
            rd_reject_at(r, REJECT_MESSAGE_LENGTH, start + OFFSET_LENGTH);
        }
    }
    check_lists(r, p, out);
}

static enum err err_of(enum reject why)
{
    if (LIKELY(why == REJECT_NONE)) {
        return ERR_OK;
    }
    return why == REJECT_VERSION    ? ERR_UNSUPPORTED
           : why == REJECT_TOO_MANY ? ERR_LIMIT
           : why == REJECT_OVERLAY  ? ERR_WRONG_OVERLAY
                                    : ERR_MALFORMED;
}

enum err fwd_decode_header(struct slice message, const struct rl_params *p, struct fwd *out)
{
    struct rd r = rd_init(message);
    fwd_rd(&r, p, out);
    return err_of(r.why);
}

/* How many entries a list of nodes alone has; more than FWD_ENTRIES_MAX: it is another list, or one
 * with a fault. */
static inline unsigned count_nodes(const uint8_t *at, size_t len, const struct rl_params *p)
{
    size_t entry = 2u + p->node_id_length;
    unsigned head = (unsigned)FWD_DESTINATION_NODE << 8 | p->node_id_length;
    unsigned count = 0;
    while (len >= entry && count < FWD_ENTRIES_MAX && rd_at16(at) == head) {
        at += entry;
        len -= entry;
        count++;
    }
    return len == 0 ? count : FWD_ENTRIES_MAX + 1;
}

/* A list of one resource, whose two lengths say so: type and outer length are compared as one. */
static inline bool is_one_resource(const uint8_t *at, size_t len)
{
    return len - 3 <= UINT8_MAX - 1 && rd_at16(at) == (FWD_DESTINATION_RESOURCE << 8) + len - 2 &&
           at[2] == len - 3;
}

/* The message that most are, right in every way: its Via List has nodes alone, its Destination List
 * one resource or nodes alone, and there are no options.  Each field is looked at and written once,
 * without a cursor.  False: it is another, or has a fault, and fwd_rd_message tells. */
static inline bool decode_usual(struct slice message, const struct rl_params *p, struct fwd *out)
{
    const uint8_t *start = message.data;
    if (message.len < FWD_FIXED_BYTES || rd_at32(start) != FWD_TOKEN ||
        start[OFFSET_VERSION] != FWD_VERSION) {
        return false;
    }
    uint32_t overlay = rd_at32(start + OFFSET_OVERLAY);
    uint32_t fragment = rd_at32(start + OFFSET_FRAGMENT);
    uint32_t length = rd_at32(start + OFFSET_LENGTH);
    size_t via_len = rd_at16(start + OFFSET_VIA_LENGTH);
    size_t destination_len = rd_at16(start + OFFSET_DESTINATION_LENGTH);
    size_t header_len = FWD_FIXED_BYTES + via_len + destination_len;
    if ((fragment & FWD_FRAGMENT_ALWAYS) == 0 || overlay != p->overlay || length != message.len ||
        rd_at16(start + OFFSET_OPTIONS_LENGTH) != 0 || header_len > message.len) {
        return false;
    }
    const uint8_t *via = start + FWD_FIXED_BYTES;
    const uint8_t *destinations = via + via_len;
    size_t first_len = 2u + p->node_id_length;
    unsigned via_count = count_nodes(via, via_len, p);
    unsigned destination_count = 1;
    if (LIKELY(is_one_resource(destinations, destination_len))) {
        first_len = destination_len;
        out->first.type = FWD_DESTINATION_RESOURCE;
        out->first.id = slice_of(destinations + 3, destination_len - 3);
    } else {
        destination_count = count_nodes(destinations, destination_len, p);
        out->first.type = FWD_DESTINATION_NODE;
        out->first.id = slice_of(destinations + 2, p->node_id_length);
    }
    if (via_count > FWD_ENTRIES_MAX || destination_count - 1 >= FWD_ENTRIES_MAX) {
        return false; /* 0 of the latter too */
    }
    out->overlay = overlay;
    out->configuration_sequence = rd_at16(start + OFFSET_SEQUENCE);
    out->version = FWD_VERSION;
    out->ttl = start[OFFSET_TTL];
    out->fragment = fragment;
    out->length = length;
    out->transaction_id = rd_at64(start + OFFSET_TRANSACTION);
    out->max_response_length = rd_at32(start + OFFSET_MAX_RESPONSE);
    out->via_list = slice_of(via, via_len);
    out->destination_list = slice_of(destinations, destination_len);
    out->options = slice_of(start + header_len, 0);
    out->first.is_compact = false;
    out->first.wire = slice_of(destinations, first_len);
    out->header_bytes = (uint32_t)header_len;
    out->via_count = (uint16_t)via_count;
    out->destination_count = (uint16_t)destination_count;
    out->option_flags = 0;
    out->payload = slice_of(start + header_len, message.len - header_len);
    return true;
}

static NOINLINE enum err decode_any(struct slice message, const struct rl_params *p,
                                    struct fwd *out)
{
    struct rd r = rd_init(message);
    fwd_rd_message(&r, p, out);
    return err_of(r.why);
}

enum err fwd_decode(struct slice message, const struct rl_params *p, struct fwd *out)
{
    return LIKELY(decode_usual(message, p, out)) ? ERR_OK : decode_any(message, p, out);
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

/* Usually all entries are nodes, and those have one length. */
static inline bool reverse_nodes(uint8_t *out, struct slice list)
{
    enum { ENTRY = 2 + IDS_NODE_MIN, HEAD = FWD_DESTINATION_NODE << 8 | IDS_NODE_MIN };
    size_t at = 0;
    for (; list.len - at >= ENTRY; at += ENTRY) {
        if (rd_at16(list.data + at) != HEAD) {
            return false;
        }
        memcpy(out + list.len - at - ENTRY, list.data + at, ENTRY);
    }
    return at == list.len;
}

static NOINLINE bool reverse_any(const struct rl_params *p, uint8_t *out, struct slice list)
{
    struct rd r = rd_init(list);
    struct fwd_destination d;
    size_t left = list.len;
    while (fwd_next(&r, p, &d)) {
        left -= d.wire.len;
        memcpy(out + left, d.wire.data, d.wire.len);
    }
    return rd_ok(&r);
}

/* `list` to `out`, which has room for it; false when it is not a list. */
static inline __attribute__((always_inline)) bool reverse(const struct rl_params *p, uint8_t *out,
                                                          struct slice list)
{
    return (p->node_id_length == IDS_NODE_MIN && LIKELY(reverse_nodes(out, list))) ||
           reverse_any(p, out, list);
}

void fwd_wr_reversed(struct wr *w, const struct rl_params *p, struct slice list)
{
    uint8_t *out = wr_claim(w, list.len);
    if (out != NULL && !reverse(p, out, list)) {
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

static inline __attribute__((always_inline)) uint8_t *put_fields(uint8_t *p, const struct fwd *h)
{
    p = wr_at32(p, FWD_TOKEN);
    p = wr_at32(p, h->overlay);
    p = wr_at16(p, h->configuration_sequence);
    *p++ = FWD_VERSION;
    *p++ = h->ttl;
    p = wr_at32(p, h->fragment | FWD_FRAGMENT_ALWAYS);
    p = wr_at32(p, h->length);
    p = wr_at64(p, h->transaction_id);
    p = wr_at32(p, h->max_response_length);
    p = wr_at16(p, (uint16_t)h->via_list.len);
    p = wr_at16(p, (uint16_t)h->destination_list.len);
    return wr_at16(p, (uint16_t)h->options.len);
}

void fwd_wr(struct wr *w, const struct fwd *h)
{
    size_t longest = max_size(h->via_list.len, max_size(h->destination_list.len, h->options.len));
    size_t lists = h->via_list.len + h->destination_list.len + h->options.len;
    uint8_t *p = longest > UINT16_MAX ? NULL : wr_claim(w, FWD_FIXED_BYTES + lists);
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    p = put_fields(p, h);
    p = wr_at_bytes(p, h->via_list);
    p = wr_at_bytes(p, h->destination_list);
    (void)wr_at_bytes(p, h->options);
}

static inline size_t first_bytes(const struct rl_params *p, const struct fwd_return *in)
{
    return in->first == NULL ? 0 : 2u + p->node_id_length;
}

void fwd_wr_return(struct wr *w, const struct rl_params *p, const struct fwd_return *in)
{
    size_t list_len = first_bytes(p, in) + in->via_list.len;
    struct fwd h; /* as much of it as is written */
    h.overlay = in->overlay;
    h.configuration_sequence = in->configuration_sequence;
    h.ttl = in->ttl;
    h.fragment = FWD_FRAGMENT_WHOLE;
    h.length = in->length;
    h.transaction_id = in->transaction_id;
    h.max_response_length = 0;
    h.via_list.len = 0;
    h.destination_list.len = list_len;
    h.options.len = 0;
    uint8_t *at = list_len > UINT16_MAX ? NULL : wr_claim(w, FWD_FIXED_BYTES + list_len);
    if (UNLIKELY(at == NULL)) {
        wr_fail(w);
        return;
    }
    uint8_t *list = put_fields(at, &h);
    if (in->first != NULL) {
        *list++ = FWD_DESTINATION_NODE;
        *list++ = p->node_id_length;
        if (LIKELY(p->node_id_length == IDS_NODE_MIN)) { /* copying a constant number is quick */
            memcpy(list, in->first->bytes, IDS_NODE_MIN);
        } else {
            memcpy(list, in->first->bytes, p->node_id_length);
        }
        list += p->node_id_length;
    }
    if (in->via_list.len > 0 && UNLIKELY(!reverse(p, list, in->via_list))) {
        wr_fail(w);
    }
    if (UNLIKELY(in->options.len > 0)) {
        struct wr options = *w;                         /* the caller's stays in registers */
        fwd_wr_response_options(&options, in->options); /* no longer than what it is taken from */
        (void)wr_at16(at + OFFSET_OPTIONS_LENGTH, (uint16_t)(wr_len(&options) - wr_len(w)));
        *w = options;
    }
}

void fwd_put_length(uint8_t *message, uint32_t length)
{
    (void)wr_at32(message + OFFSET_LENGTH, length);
}

void fwd_put_max_response_length(uint8_t *message, uint32_t length)
{
    (void)wr_at32(message + OFFSET_MAX_RESPONSE, length);
}

enum err fwd_rewrite(uint8_t *message, size_t headroom, const struct fwd *h,
                     const struct fwd_rewrite *how, uint8_t **new_message, size_t *new_len)
{
    CHECK((how->strip_bytes <= h->destination_list.len) & (how->via_drop_bytes <= h->via_list.len));
    size_t via_kept = h->via_list.len - how->via_drop_bytes;
    size_t via_len = via_kept + how->via_append.len;
    size_t destination_len =
        h->destination_list.len - how->strip_bytes + how->destination_prepend.len;
    size_t grown = how->via_append.len + how->destination_prepend.len;
    size_t shrunk = (size_t)how->strip_bytes + how->via_drop_bytes;
    if (h->ttl == 0 && !how->keep_ttl) {
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
    start[OFFSET_TTL] = (uint8_t)(h->ttl - (how->keep_ttl ? 0 : 1));
    fwd_put_length(start, (uint32_t)*new_len);
    w = wr_init(start + OFFSET_VIA_LENGTH, 4);
    wr_u16(&w, (uint16_t)via_len);
    wr_u16(&w, (uint16_t)destination_len);
    return ERR_OK;
}
