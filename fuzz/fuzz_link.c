/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_link.c - a link table met by strangers and by neighbors with certificates: handshakes that
 * are none, records that are none, frames cut anywhere, lost acknowledgements, time.
 *
 * Input: a sequence of steps, each one byte and what it needs.  Nothing may be left in the pools
 * when every link has ended. */
#include "fuzz/stage_link.h"

enum { MESSAGE_BYTES = 5000 };

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
    struct stage_link link;
    handle of_conn[STAGE_CONNS];
};

static void on_event(struct stage *s, const struct io_event *e)
{
    struct door *d = s->user;
    struct turn *t = &s->turn;
    handle *of = &d->of_conn[e->conn == 0 ? 0 : handle_index(e->conn)];
    switch (e->kind) {
    case IO_ACCEPTED:
        if (link_on_accepted(t, d->link.table, e->conn, &e->remote, of) != ERR_OK) {
            *of = 0;
        }
        break;
    case IO_CONNECTED:
        if (e->error == ERR_OK) {
            *of = e->tag;
        }
        link_on_connected(t, d->link.table, e->tag, e->conn, e->error);
        break;
    case IO_STREAM:
        link_on_stream(t, d->link.table, *of, e->data, e->data_len);
        break;
    case IO_SENT:
        link_on_sent(t, d->link.table, *of, e->data_len);
        break;
    case IO_CLOSED:
        link_on_closed(t, d->link.table, *of, e->error);
        break;
    case IO_DATAGRAM:
    case IO_MAIL:
        break;
    }
    stage_link_take_events(s);
}

static void dial(struct stage *s, struct rd *r)
{
    struct door *d = s->user;
    uint8_t who = rd_u8(r);
    struct address to = stage_address(who);
    const struct node_id *expect =
        who % 8 < STAGE_IDENTS ? &s->idents[who % 8].ident.node_id : NULL;
    handle link = 0;
    if (link_dial(&s->turn, d->link.table, &to, expect, who, &link) == ERR_OK) {
        CHECK(link != 0);
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
        stage_link_send(s, r);
        break;
    case STEP_SENT:
        stage_sent(s, i);
        break;
    case STEP_CLOSE:
        stage_close(s, i, rd_u8(r) % 2 == 0 ? ERR_CLOSED : ERR_OK);
        break;
    case STEP_CLOSE_LINK:
        link_close(&s->turn, d->link.table, d->link.up[i % STAGE_LINKS]);
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
    stage_link_init(s, &door.link, (struct link_settings){.max_message_bytes = MESSAGE_BYTES});
    s->on_event = on_event;
    struct rd r = rd_init(slice_of(data, min_size(size, 8192)));
    while (rd_left(&r) > 0) {
        step(s, &r);
        CHECK(s->tls.connections.in_use <= STAGE_LINKS + STAGE_CONNS);
    }
    s->buffers.fail_after = UINT32_MAX;
    stage_hang_up(s);
    stage_sleep(s, 60000000);
    stage_link_expect_empty(s);
    return 0;
}
