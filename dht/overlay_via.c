/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_via.c - a request that has become nearly as long as the overlay permits goes on without
 * its Via List, and what comes back gets it again (RFC 6940 6.1.2, 6.1.3; catalogue VL-1, VL-5). */
#include "dht/overlay_impl.h"

enum { SAVED_MIN = 2 * (2 + IDS_NODE_MIN) }; /* for less no list is kept, unless it must be */

/* What is sent back may be as long as ever when the list is in it again. */
static uint32_t response_room(const struct overlay *o, const struct fwd *h, size_t saved)
{
    uint32_t max = o->s.config.max_message_bytes;
    uint32_t room =
        h->max_response_length == 0 ? max : (uint32_t)min_size(h->max_response_length, max);
    return room > saved ? room - (uint32_t)saved : h->max_response_length;
}

uint32_t overlay_via_shorten(struct turn *t, struct overlay *o, const struct overlay_via_long *what,
                             struct fwd_rewrite *how, uint8_t *entry)
{
    const struct fwd *h = what->h;
    size_t own = how->via_append.len; /* the neighbor's entry, the last of what is kept */
    struct rd front = rd_init(h->via_list);
    struct fwd_destination d;
    while (rd_left(&front) + own > VIA_LIST_BYTES && fwd_next(&front, &o->params, &d)) {}
    struct slice end = rd_rest(&front);
    size_t replaced = end.len + own;
    size_t saved = replaced - VIA_ENTRY_BYTES;
    size_t max = o->s.config.max_message_bytes;
    if (saved < (what->len > max ? 1 : SAVED_MIN) || what->len > max + saved) {
        return h->max_response_length; /* not worth it, or in vain */
    }
    uint8_t list[VIA_LIST_BYTES];
    uint8_t id[VIA_ID_BYTES];
    struct wr w = wr_init(list, sizeof(list));
    wr_bytes(&w, end);
    wr_bytes(&w, how->via_append);
    if (!via_keep(t, &o->via, h->transaction_id, what->from, wr_slice(&w), id)) {
        return h->max_response_length;
    }
    w = wr_init(entry, VIA_ENTRY_BYTES);
    fwd_wr_opaque(&w, slice_of(id, sizeof(id)));
    how->via_drop_bytes = (uint16_t)end.len;
    how->via_append = wr_slice(&w);
    metric_add(t->metrics, METRIC_via_shortened, 1);
    return content_is_request(what->code) ? response_room(o, h, saved) : h->max_response_length;
}

/* `message` with VIA_LIST_BYTES of room in front, rewritten; NULL: counted. */
static struct msgbuf *rewritten(struct turn *t, struct slice message, const struct fwd *h,
                                const struct fwd_rewrite *how)
{
    struct msgbuf *buf = msgbuf_acquire(t->buffers, VIA_LIST_BYTES + message.len);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_dht_drop_no_buffer, 1);
        return NULL;
    }
    uint8_t *copy = msgbuf_data(buf) + VIA_LIST_BYTES;
    uint8_t *start = NULL;
    size_t len = 0;
    memcpy(copy, message.data, message.len);
    enum err e = fwd_rewrite(copy, VIA_LIST_BYTES, h, how, &start, &len);
    if (e != ERR_OK) {
        metric_add(t->metrics, METRIC_dht_drop_too_large, 1);
        msgbuf_release(t->buffers, buf);
        return NULL;
    }
    buf->start = (uint32_t)(start - buf->storage);
    buf->len = (uint32_t)len;
    return buf;
}

struct msgbuf *overlay_via_open(struct turn *t, const struct overlay *o, struct slice message,
                                const struct fwd *h)
{
    struct rd r = rd_init(h->via_list);
    struct fwd_destination d = {0};
    struct slice list;
    while (fwd_next(&r, &o->params, &d)) {}
    if (d.type != FWD_DESTINATION_OPAQUE || !via_find(t, &o->via, d.id, &list)) {
        return NULL;
    }
    const struct fwd_rewrite how = {
        .via_drop_bytes = (uint16_t)d.wire.len, .via_append = list, .keep_ttl = true};
    return rewritten(t, message, h, &how);
}

struct msgbuf *overlay_via_restore(struct turn *t, const struct overlay *o, struct slice message,
                                   const struct fwd *h, uint16_t strip_bytes, struct slice list)
{
    uint8_t reversed[VIA_LIST_BYTES];
    struct wr w = wr_init(reversed, sizeof(reversed));
    fwd_wr_reversed(&w, &o->params, list);
    CHECK(wr_ok(&w));
    struct fwd_rewrite how = {
        .strip_bytes = strip_bytes, .destination_prepend = wr_slice(&w), .keep_ttl = true};
    if (message.len + list.len > o->s.config.max_message_bytes + (size_t)strip_bytes) {
        metric_add(t->metrics, METRIC_dht_drop_too_large, 1);
        return NULL;
    }
    return rewritten(t, message, h, &how);
}
