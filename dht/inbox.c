/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - two ring buffers of message buffers. */
#include "dht/inbox.h"

#include "codec/content.h"
#include "dht/budget.h"
#include "dht/upkeep.h"

STATIC_CHECK(sizeof(struct inbox_item) <= 128);

static uint32_t cap_of(uint32_t cap, enum inbox_lane lane)
{
    return lane == INBOX_FIRST ? cap / 4 + 1 : cap - cap / 4;
}

size_t inbox_bytes(uint32_t cap)
{
    return ((size_t)cap + 1) * sizeof(struct inbox_item) + BUDGET_SLACK;
}

void inbox_init(struct inbox *in, struct arena *arena, uint32_t cap)
{
    *in = (struct inbox){0};
    for (uint32_t lane = 0; lane < INBOX_LANES; lane++) {
        in->cap[lane] = cap_of(cap, (enum inbox_lane)lane);
        in->items[lane] = ARENA_ARRAY(arena, struct inbox_item, in->cap[lane]);
    }
}

uint16_t inbox_code(const struct fwd *h)
{
    if (!fwd_is_whole(h) || h->payload.len < 2) {
        return 0;
    }
    return (uint16_t)(h->payload.data[0] << 8 | h->payload.data[1]);
}

/* Storage, whatever else sip/ asks for, and documents go to the second lane. */
static enum inbox_lane lane_of(uint16_t code)
{
    switch (code) {
    case CONTENT_STORE_REQ:
    case CONTENT_FETCH_REQ:
    case CONTENT_FIND_REQ:
    case CONTENT_STAT_REQ:
    case CONTENT_APP_ATTACH_REQ:
    case CONTENT_PING_REQ:
    case CONTENT_PROBE_REQ:
    case CONTENT_CONFIG_UPDATE_REQ: /* large, and nothing in the ring waits for it */
        return INBOX_SECOND;
    default:
        return INBOX_FIRST;
    }
}

static uint32_t *held_by(struct inbox *in, enum inbox_lane lane, handle link)
{
    return &in->of_link[lane][handle_index(link) % INBOX_LINKS];
}

/* The newest item of a link that holds half of the full lane, dropped; NULL: there is none such, or
 * it is `link` itself. */
static struct inbox_item *make_room(struct turn *t, struct inbox *in, enum inbox_lane lane,
                                    handle link)
{
    const uint32_t *mine = held_by(in, lane, link);
    if (*mine * 2 >= in->cap[lane]) {
        return NULL;
    }
    for (uint32_t back = 1; back <= in->count[lane]; back++) {
        uint32_t index = (in->head[lane] + in->count[lane] - back) % in->cap[lane];
        struct inbox_item *item = &in->items[lane][index];
        uint32_t *theirs = held_by(in, lane, item->link);
        if (!item->is_own && *theirs * 2 >= in->cap[lane]) {
            msgbuf_release(t->buffers, item->buf);
            (*theirs)--;
            return item;
        }
    }
    return NULL;
}

static struct inbox_item *claim(struct turn *t, struct inbox *in, uint16_t code, handle link)
{
    enum inbox_lane lane = lane_of(code);
    struct inbox_item *item = NULL;
    if (in->count[lane] == in->cap[lane]) {
        metric_add(t->metrics, METRIC_dht_drop_queue_full, 1); /* this one, or another */
        item = make_room(t, in, lane, link);
        if (item == NULL) {
            return NULL;
        }
    } else {
        uint32_t index = (in->head[lane] + in->count[lane]) % in->cap[lane];
        in->count[lane]++;
        item = &in->items[lane][index];
    }
    (*held_by(in, lane, link))++;
    return item;
}

void inbox_push(struct turn *t, struct inbox *in, struct slice message, const struct fwd *h,
                handle link, const struct node_id *previous_hop)
{
    bool before = upkeep_begin(t->buffers, inbox_code(h));
    struct msgbuf *buf = msgbuf_acquire(t->buffers, message.len);
    msgbuf_open_reserve(t->buffers, before);
    if (buf == NULL) {
        metric_add(t->metrics,
                   message.len > MSGBUF_LARGE_BYTES ? METRIC_dht_drop_too_large
                                                    : METRIC_dht_drop_no_buffer,
                   1);
        return;
    }
    enum err e = msgbuf_append(buf, message);
    CHECK(e == ERR_OK);
    uint16_t code = inbox_code(h);
    struct inbox_item *item = claim(t, in, code, link);
    if (item == NULL) {
        msgbuf_release(t->buffers, buf);
        return;
    }
    *item = (struct inbox_item){.buf = buf,
                                .link = link,
                                .previous_hop = *previous_hop,
                                .since_us = t->now_us,
                                .is_request = content_is_request(code)};
    metric_add(t->metrics, METRIC_dht_local, 1);
}

void inbox_push_own(struct turn *t, struct inbox *in, struct msgbuf *buf, const struct fwd *h,
                    const struct node_id *self)
{
    uint16_t code = inbox_code(h);
    struct inbox_item *item = claim(t, in, code, 0);
    if (item == NULL) {
        return;
    }
    *item = (struct inbox_item){.buf = msgbuf_ref(buf),
                                .previous_hop = *self,
                                .since_us = t->now_us,
                                .is_own = true,
                                .is_request = content_is_request(code)};
}

static void take(struct inbox *in, enum inbox_lane lane, struct inbox_item *out)
{
    *out = in->items[lane][in->head[lane]];
    in->head[lane] = (in->head[lane] + 1) % in->cap[lane];
    in->count[lane]--;
    in->taken++;
    (*held_by(in, lane, out->link))--;
}

bool inbox_pop(struct turn *t, struct inbox *in, struct inbox_item *out)
{
    while (inbox_count(in) > 0) {
        enum inbox_lane lane = in->taken % 4 == 3 ? INBOX_SECOND : INBOX_FIRST;
        if (in->count[lane] == 0) {
            lane = lane == INBOX_FIRST ? INBOX_SECOND : INBOX_FIRST;
        }
        take(in, lane, out);
        if (!out->is_request || t->now_us - out->since_us < INBOX_AGE_US) {
            return true;
        }
        metric_add(t->metrics, METRIC_dht_drop_queue_old, 1);
        msgbuf_release(t->buffers, out->buf);
    }
    return false;
}

uint32_t inbox_count(const struct inbox *in)
{
    return in->count[INBOX_FIRST] + in->count[INBOX_SECOND];
}
