/* SPDX-License-Identifier: Apache-2.0 */
/* stage_link.h - a link table on the stage, for targets of which it is all there is: its events,
 * timers and flushes, sending, and what must be left at the end.
 *
 * The first member of what stage.user points to is the struct stage_link. */
#pragma once
#include "fuzz/stage.h"
#include "link/link.h"

enum { STAGE_LINKS = 8 };

struct stage_link {
    struct link_table *table;
    handle up[STAGE_LINKS];
    uint32_t up_next;
    size_t max_message_bytes;
};

static inline void stage_link_take_events(struct stage *s)
{
    struct stage_link *l = s->user;
    struct link_event event;
    while (link_next(&s->turn, l->table, &event)) {
        if (event.kind == LINK_MESSAGE || event.kind == LINK_UNACKED) {
            CHECK(event.message_len <= l->max_message_bytes);
            uint8_t sum = 0;
            for (size_t i = 0; i < event.message_len; i++) {
                sum ^= event.message[i];
                event.message[i] = sum; /* ours to write */
            }
        }
        if (event.kind == LINK_UP) {
            CHECK(event.user.len > 0 && !ids_node_is_invalid(&event.node_id));
            l->up[l->up_next++ % STAGE_LINKS] = event.link;
        }
        CHECK(event.kind != LINK_DOWN || event.error != ERR_OK);
    }
}

static inline void stage_link_on_timers(struct stage *s)
{
    struct stage_link *l = s->user;
    struct wheel_timer *timer;
    while ((timer = wheel_take(&s->wheel, s->turn.now_us)) != NULL) {
        link_on_timer(&s->turn, l->table, timer);
        stage_link_take_events(s);
    }
}

static inline void stage_link_on_flush(struct stage *s)
{
    struct stage_link *l = s->user;
    link_flush(&s->turn, l->table);
    stage_link_take_events(s);
}

/* Makes the table of `l`, with the stage's identity and small caps; `more` has what is the target's
 * own: max_message_bytes, and what datagram links want. */
static inline void stage_link_init(struct stage *s, struct stage_link *l, struct link_settings more)
{
    more.tls = tls_fake_ops();
    more.tls_context = &s->contexts[0];
    more.trust = &s->trust;
    more.self = s->idents[0].ident.node_id;
    more.links = STAGE_LINKS;
    more.handshaking = STAGE_LINKS / 2;
    more.handshake_timeout_us = 5000000;
    more.retain_us = 8000000;
    more.queue_bytes = 65536;
    more.retained_bytes = 16384;
    *l = (struct stage_link){.table = link_table_init(&s->arena, &more),
                             .max_message_bytes = more.max_message_bytes};
    s->user = l;
    s->on_timers = stage_link_on_timers;
    s->on_flush = stage_link_on_flush;
}

/* A message that the input describes over one of the links, up to 64 times. */
static inline void stage_link_send(struct stage *s, struct rd *r)
{
    static const uint8_t zeros[5001];
    struct stage_link *l = s->user;
    handle link = l->up[rd_u8(r) % STAGE_LINKS];
    size_t len = min_size(rd_u16(r), min_size(sizeof(zeros), l->max_message_bytes + 1));
    uint8_t times = rd_u8(r) % 64;
    for (uint8_t i = 0; i <= times; i++) {
        size_t room = link_room(l->table, link);
        enum err e = link_send(&s->turn, l->table, link, slice_of(zeros, len / 3),
                               slice_of(zeros, len - len / 3));
        CHECK(e == ERR_OK || e == ERR_CLOSED || e == ERR_TOO_LARGE || e == ERR_LIMIT);
        CHECK((e == ERR_TOO_LARGE) <= (len > (room != 0 ? room : l->max_message_bytes)));
    }
    stage_event(s, NULL);
}

/* Every link has ended, and nothing is left. */
static inline void stage_link_expect_empty(const struct stage *s)
{
    const struct stage_link *l = s->user;
    CHECK(link_count_up(l->table) == 0);
    CHECK(tls_fake_in_use(&s->tls) == 0);
    CHECK(s->buffers.in_use[0] == 0 && s->buffers.in_use[1] == 0);
    CHECK(s->wheel.armed == 0);
}
