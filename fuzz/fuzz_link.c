/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_link.c - a link table met by strangers and by neighbors with certificates: handshakes that
 * are none, records that are none, frames cut anywhere, lost acknowledgements, time.
 *
 * Input: a sequence of steps, each one byte and what it needs.  Nothing may be left in the pools
 * when every link has ended. */
#include "fuzz/stage.h"
#include "link/link.h"

enum { LINKS = 8, MESSAGE_BYTES = 5000 };

enum step {
    STEP_ACCEPT,
    STEP_DIAL,
    STEP_ANSWER_DIAL,
    STEP_HANDSHAKE,
    STEP_BYTES,
    STEP_PLAIN,
    STEP_FRAME,
    STEP_ACK,
    STEP_SEND,
    STEP_SENT,
    STEP_CLOSE,
    STEP_CLOSE_LINK,
    STEP_SLEEP,
    STEP_DRY, /* the pools run dry for a while */
    STEP_COUNT
};

struct door {
    struct link_table *links;
    handle of_conn[STAGE_CONNS];
    handle up[LINKS];
    uint32_t up_next;
    bool is_retaining;
};

static void take_events(struct stage *s)
{
    struct door *d = s->user;
    struct link_event event;
    while (link_next(&s->turn, d->links, &event)) {
        if (event.kind == LINK_MESSAGE || event.kind == LINK_UNACKED) {
            CHECK(event.message_len <= MESSAGE_BYTES);
            uint8_t sum = 0;
            for (size_t i = 0; i < event.message_len; i++) {
                sum ^= event.message[i];
                event.message[i] = sum; /* ours to write */
            }
        }
        if (event.kind == LINK_UP) {
            CHECK(event.user.len > 0 && !ids_node_is_invalid(&event.node_id));
            d->up[d->up_next++ % LINKS] = event.link;
        }
        CHECK(event.kind != LINK_DOWN || event.error != ERR_OK);
    }
}

static void on_event(struct stage *s, const struct io_event *e)
{
    struct door *d = s->user;
    struct turn *t = &s->turn;
    handle *of = &d->of_conn[e->conn == 0 ? 0 : handle_index(e->conn)];
    switch (e->kind) {
    case IO_ACCEPTED:
        if (link_on_accepted(t, d->links, e->conn, &e->remote, of) != ERR_OK) {
            *of = 0;
        }
        break;
    case IO_CONNECTED:
        if (e->error == ERR_OK) {
            *of = e->tag;
        }
        link_on_connected(t, d->links, e->tag, e->conn, e->error);
        break;
    case IO_STREAM:
        link_on_stream(t, d->links, *of, e->data, e->data_len);
        break;
    case IO_SENT:
        link_on_sent(t, d->links, *of, e->data_len);
        break;
    case IO_CLOSED:
        link_on_closed(t, d->links, *of, e->error);
        break;
    case IO_DATAGRAM:
    case IO_MAIL:
        break;
    }
    take_events(s);
}

static void on_timers(struct stage *s)
{
    struct door *d = s->user;
    struct wheel_timer *timer;
    while ((timer = wheel_take(&s->wheel, s->turn.now_us)) != NULL) {
        link_on_timer(&s->turn, d->links, timer);
        take_events(s);
    }
}

static void on_flush(struct stage *s)
{
    struct door *d = s->user;
    link_flush(&s->turn, d->links);
    take_events(s);
}

static void dial(struct stage *s, struct rd *r)
{
    struct door *d = s->user;
    uint8_t who = rd_u8(r);
    struct address to = stage_address(who);
    const struct node_id *expect =
        who % 8 < STAGE_IDENTS ? &s->idents[who % 8].ident.node_id : NULL;
    handle link = 0;
    if (link_dial(&s->turn, d->links, &to, expect, who, &link) == ERR_OK) {
        CHECK(link != 0);
    }
    stage_event(s, NULL);
}

static void send(struct stage *s, struct rd *r)
{
    static const uint8_t zeros[MESSAGE_BYTES + 1];
    struct door *d = s->user;
    handle link = d->up[rd_u8(r) % LINKS];
    size_t len = min_size(rd_u16(r), sizeof(zeros));
    uint8_t times = rd_u8(r) % 64;
    for (uint8_t i = 0; i <= times; i++) {
        enum err e = link_send(&s->turn, d->links, link, slice_of(zeros, len / 3),
                               slice_of(zeros, len - len / 3));
        CHECK(e == ERR_OK || e == ERR_CLOSED || e == ERR_TOO_LARGE || e == ERR_LIMIT);
        CHECK((e == ERR_TOO_LARGE) <= (len > MESSAGE_BYTES));
    }
    stage_event(s, NULL);
}

static void acknowledge(struct stage *s, uint32_t i, uint8_t how)
{
    static uint8_t message[MESSAGE_BYTES];
    struct frame frame;
    while (stage_heard(&s->conns[i], message, sizeof(message), &frame)) {
        if (frame.type == FRAME_DATA && (how & 1) == 0) {
            stage_ack(s, i, frame.sequence + (how >> 1));
        }
    }
}

static void step(struct stage *s, struct rd *r)
{
    struct door *d = s->user;
    enum step what = (enum step)(rd_u8(r) % STEP_COUNT);
    uint32_t i = rd_u8(r) % STAGE_CONNS;
    switch (what) {
    case STEP_ACCEPT:
        stage_accept(s, IO_LISTEN_OVERLAY, (uint8_t)i);
        break;
    case STEP_DIAL:
        dial(s, r);
        break;
    case STEP_ANSWER_DIAL:
        stage_answer_dial(s, (i & 3) != 0);
        break;
    case STEP_HANDSHAKE:
        stage_handshake(s, i, rd_u8(r));
        break;
    case STEP_BYTES:
        stage_stream(s, i, fuzz_take(r, 4096));
        break;
    case STEP_PLAIN:
        stage_say(s, i, fuzz_take(r, 4096));
        break;
    case STEP_FRAME:
        stage_frame(s, i, fuzz_take(r, MESSAGE_BYTES + 100));
        break;
    case STEP_ACK:
        acknowledge(s, i, rd_u8(r));
        break;
    case STEP_SEND:
        send(s, r);
        break;
    case STEP_SENT:
        stage_sent(s, i);
        break;
    case STEP_CLOSE:
        stage_close(s, i, rd_u8(r) % 2 == 0 ? ERR_CLOSED : ERR_OK);
        break;
    case STEP_CLOSE_LINK:
        link_close(&s->turn, d->links, d->up[i % LINKS]);
        stage_event(s, NULL);
        break;
    case STEP_SLEEP:
        stage_sleep(s, (uint64_t)rd_u8(r) * rd_u8(r) * 1000);
        break;
    case STEP_DRY:
        s->buffers.fail_after = rd_u8(r) % 2 == 0 ? UINT32_MAX : rd_u8(r) % 8;
        break;
    case STEP_COUNT:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stage *s = stage_init();
    struct door door = {0};
    struct link_settings settings = {
        .tls = tls_fake_ops(),
        .tls_context = &s->contexts[0],
        .trust = &s->trust,
        .self = s->idents[0].ident.node_id,
        .max_message_bytes = MESSAGE_BYTES,
        .links = LINKS,
        .handshaking = LINKS / 2,
        .handshake_timeout_us = 5000000,
        .retain_us = 8000000,
        .queue_bytes = 65536,
        .retained_bytes = 16384,
    };
    door.links = link_table_init(&s->arena, &settings);
    s->user = &door;
    s->on_event = on_event;
    s->on_timers = on_timers;
    s->on_flush = on_flush;
    struct rd r = rd_init(slice_of(data, min_size(size, 8192)));
    while (rd_left(&r) > 0) {
        step(s, &r);
        CHECK(s->tls.connections.in_use <= LINKS + STAGE_CONNS);
    }
    s->buffers.fail_after = UINT32_MAX;
    stage_hang_up(s);
    stage_sleep(s, 60000000);
    CHECK(link_count_up(door.links) == 0);
    CHECK(tls_fake_in_use(&s->tls) == 0);
    CHECK(s->buffers.in_use[0] == 0 && s->buffers.in_use[1] == 0);
    CHECK(s->wheel.armed == 0);
    return 0;
}
