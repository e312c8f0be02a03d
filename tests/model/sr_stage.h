/* SPDX-License-Identifier: Apache-2.0 */
/* sr_stage.h - datagram links over made-up lines in virtual time; for test_sr_model.c only.
 *
 * An end is a machine of link/sr, or a peer written from the letter of RFC 6940 6.6.3.1 without a
 * line of ours: it stops and waits as a sender, and acknowledges each frame by itself.  Timers of
 * the machines fire on whole milliseconds, as those of core/wheel do. */
#pragma once
#include "link/sr.h"
#include "sim/narrow.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STAGE_ENDS = 8,
    STAGE_EVENTS = 16384,
    STAGE_BUFFERS = 4096,
    STAGE_IDS = 1 << 19,
    STAGE_NUMBERS = 1 << 20, /* sequence numbers told apart */
    STAGE_UDP_IP_DTLS = 65,
    STAGE_MS = 1000,
    STAGE_S = 1000000,
};

enum stage_kind {
    STAGE_SR,
    STAGE_STRICT, /* bitmaps all zero */
    STAGE_ONES,   /* bitmaps all ones, as some implementations have it */
};

/* A datagram under way; its place in the heap is by time, then by order. */
struct stage_event {
    uint64_t at_us;
    uint64_t order;
    uint32_t to;
    bool is_ack;
    uint32_t sequence;
    uint32_t received;
    uint32_t id;
};

/* 6.6.3.1: one message at a time. */
struct stage_strict {
    bool is_waiting;
    uint32_t id;
    uint32_t next_sequence;
    uint32_t first_sequence; /* of this message */
    uint32_t sent;
    uint64_t due_us; /* next retransmission, or when the next message may leave */
    bool is_dead;
};

struct stage_end {
    enum stage_kind kind;
    struct turn turn;
    struct metrics metrics;
    struct rng rng;
    struct sr sr;
    struct stage_strict strict;
    struct narrow *line; /* outwards */
    uint32_t far;

    /* what it sends: `total` messages of `len` bytes, one each interval_us (0: as fast as they
     * go, with `backlog` of them queued) */
    uint32_t total;
    uint32_t len;
    uint32_t backlog;
    uint64_t interval_us;
    uint64_t starts_us;
    uint32_t offered;
    uint32_t refused;
    bool is_full; /* refused; until something is acknowledged, or time for the next one */
    uint32_t transmissions;
    uint64_t tick_us;      /* its turns begin at multiples of it; 0: with each datagram */
    uint32_t most_at_once; /* frames of one turn, after the first `settle_us` */
    uint64_t settle_us;
    uint8_t *given; /* by id */

    /* what it has received from the far end */
    uint8_t *passed;  /* by id: how often it was passed on */
    uint64_t *number; /* by sequence modulo STAGE_NUMBERS: the last one passed on, plus 1 */
    uint32_t distinct;
    uint32_t twice; /* passed on although it had been before: left for those above */
    uint32_t acks;
};

struct stage {
    uint64_t now_us;
    uint64_t order;
    struct arena arena;
    struct msgbuf_pool pool;
    struct stage_event events[STAGE_EVENTS];
    uint32_t event_count;
    struct stage_end ends[STAGE_ENDS];
    uint32_t end_count;
};

/* ---- datagrams under way ---- */

static bool stage_is_before(const struct stage_event *a, const struct stage_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void stage_post(struct stage *s, const struct stage_event *event)
{
    cr_assert_lt(s->event_count, STAGE_EVENTS, "too many datagrams under way");
    uint32_t at = s->event_count++;
    s->events[at] = *event;
    s->events[at].order = s->order++;
    while (at > 0 && stage_is_before(&s->events[at], &s->events[(at - 1) / 2])) {
        struct stage_event up = s->events[(at - 1) / 2];
        s->events[(at - 1) / 2] = s->events[at];
        s->events[at] = up;
        at = (at - 1) / 2;
    }
}

static struct stage_event stage_take(struct stage *s)
{
    struct stage_event first = s->events[0];
    s->events[0] = s->events[--s->event_count];
    for (uint32_t at = 0;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < s->event_count && stage_is_before(&s->events[child], &s->events[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        struct stage_event down = s->events[least];
        s->events[least] = s->events[at];
        s->events[at] = down;
        at = least;
    }
}

static void stage_send(struct stage *s, struct stage_end *from, struct stage_event event,
                       size_t frame_len)
{
    struct narrow_fate fate =
        narrow_enter(from->line, s->now_us, (uint32_t)frame_len + STAGE_UDP_IP_DTLS);
    event.to = from->far;
    for (uint32_t i = 0; i < fate.copies; i++) {
        uint64_t tick_us = max_u64(1, s->ends[event.to].tick_us);
        event.at_us = (fate.arrives_us[i] + tick_us - 1) / tick_us * tick_us;
        stage_post(s, &event);
    }
}

/* ---- making one ---- */

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof(*s));
    size_t bytes = (size_t)STAGE_BUFFERS * (2048 + 256 + 64) + 4096;
    arena_init(&s->arena, calloc(1, bytes), bytes);
    msgbuf_pool_init(&s->pool, &s->arena, STAGE_BUFFERS, 0);
    return s;
}

static struct stage_end *stage_add(struct stage *s, enum stage_kind kind, struct narrow *line,
                                   uint32_t far)
{
    struct stage_end *e = &s->ends[s->end_count++];
    struct sr_limits limits = SR_LIMITS_DEFAULT;
    *e = (struct stage_end){.kind = kind, .line = line, .far = far, .len = 1000, .backlog = 300};
    e->turn = (struct turn){.rng = &e->rng, .buffers = &s->pool, .metrics = &e->metrics};
    rng_init(&e->rng, s->end_count);
    e->given = calloc(STAGE_IDS, 1);
    e->passed = calloc(STAGE_IDS, 1);
    e->number = calloc(STAGE_NUMBERS, sizeof(*e->number));
    sr_init(&e->turn, &e->sr, &limits);
    return e;
}

/* Ends 2k and 2k+1 are a link: there and back over these lines. */
static struct stage_end *stage_link(struct stage *s, enum stage_kind a, enum stage_kind b,
                                    struct narrow *there, struct narrow *back)
{
    uint32_t first = s->end_count;
    stage_add(s, a, there, first + 1);
    stage_add(s, b, back, first);
    return &s->ends[first];
}

static void stage_free(struct stage *s)
{
    for (uint32_t i = 0; i < s->end_count; i++) {
        sr_fini(&s->ends[i].turn, &s->ends[i].sr);
        free(s->ends[i].given);
        free(s->ends[i].passed);
        free(s->ends[i].number);
    }
    cr_assert_eq(s->pool.in_use[0], 0);
    free(s->arena.base);
    free(s);
}

/* Both directions of a link begin to count shortly before the wrap. */
static void stage_start_at(struct stage_end *e, uint32_t sequence)
{
    e->sr.next_sequence = sequence;
    e->sr.acked_top = sequence - 1;
    e->sr.sent_count = sequence;
}

/* ---- a turn of an end ---- */

static void stage_pass(struct stage_end *e, uint32_t sequence, uint32_t id)
{
    uint64_t *last = &e->number[sequence % STAGE_NUMBERS];
    cr_assert(e->kind != STAGE_SR || *last != (uint64_t)sequence + 1, "number %u passed on twice",
              sequence);
    *last = (uint64_t)sequence + 1;
    cr_assert_lt(id, STAGE_IDS);
    e->distinct += e->passed[id] == 0;
    e->twice += e->passed[id] > 0;
    e->passed[id]++;
}

static void stage_send_acks(struct stage *s, struct stage_end *e, bool is_urgent)
{
    while (sr_owes_ack(&e->sr, is_urgent)) {
        uint8_t bytes[FRAME_ACK_BYTES];
        struct frame frame;
        sr_put_ack(&e->sr, bytes);
        cr_assert_eq(frame_decode(slice_of(bytes, sizeof(bytes)), &frame), ERR_OK);
        struct stage_event ack = {
            .is_ack = true, .sequence = frame.sequence, .received = frame.received};
        stage_send(s, e, ack, sizeof(bytes));
        e->acks++;
    }
}

static void stage_receive_sr(struct stage *s, struct stage_end *e, const struct stage_event *in)
{
    if (in->is_ack) {
        enum err error = sr_on_ack(&e->turn, &e->sr, in->sequence, in->received);
        cr_assert_neq(error, ERR_NOT_FOUND);
        e->is_full = false;
        return;
    }
    if (sr_on_data(&e->turn, &e->sr, in->sequence, slice_of(&in->id, sizeof(in->id))) == SR_FRESH) {
        stage_pass(e, in->sequence, in->id);
    }
    stage_send_acks(s, e, true);
}

static void stage_receive_strict(struct stage *s, struct stage_end *e, const struct stage_event *in)
{
    struct stage_strict *w = &e->strict;
    if (!in->is_ack) {
        struct stage_event ack = {.is_ack = true,
                                  .sequence = in->sequence,
                                  .received = e->kind == STAGE_ONES ? UINT32_MAX : 0};
        stage_pass(e, in->sequence, in->id);
        stage_send(s, e, ack, FRAME_ACK_BYTES);
        e->acks++;
    } else if (w->is_waiting && in->sequence - w->first_sequence < w->sent) {
        w->is_waiting = false;
        w->due_us = s->now_us + 10 * STAGE_MS; /* LK-4e */
    }
}

static void stage_flush_sr(struct stage *s, struct stage_end *e)
{
    sr_on_time(&e->turn, &e->sr);
    e->is_full = e->is_full && e->interval_us == 0;
    stage_send_acks(s, e, false);
    while (sr_state(&e->sr) != SR_DEAD && !e->is_full && e->offered < e->total &&
           s->now_us >= e->starts_us &&
           (e->interval_us == 0 ? sr_unacked(&e->sr) < e->backlog
                                : s->now_us >= e->starts_us + e->offered * e->interval_us)) {
        struct msgbuf *buf = msgbuf_acquire(&s->pool, e->len);
        cr_assert_not_null(buf);
        uint32_t id = e->offered++;
        memcpy(msgbuf_data(buf), &id, sizeof(id));
        buf->len = e->len;
        e->is_full = sr_queue(&e->turn, &e->sr, buf) != ERR_OK;
        e->refused += e->is_full;
        e->given[id] = e->is_full;
    }
    struct sr_frame out;
    uint32_t at_once = 0;
    while (sr_next(&e->turn, &e->sr, &out)) {
        struct frame frame;
        struct stage_event data = {.sequence = out.sequence};
        cr_assert_eq(frame_decode(out.frame, &frame), ERR_OK);
        cr_assert_eq(frame.sequence, out.sequence);
        memcpy(&data.id, frame.message.data, sizeof(data.id));
        stage_send(s, e, data, out.frame.len);
        e->transmissions++;
        at_once++;
    }
    if (s->now_us >= e->settle_us && at_once > e->most_at_once) {
        e->most_at_once = at_once;
    }
    cr_assert_leq(e->sr.flight_frames, e->sr.limits.flight_frames);
    cr_assert_leq(e->sr.frames, e->sr.limits.queue_frames);
    cr_assert_leq(e->sr.bytes, e->sr.limits.queue_bytes);
}

static void stage_flush_strict(struct stage *s, struct stage_end *e)
{
    struct stage_strict *w = &e->strict;
    if (w->is_dead || s->now_us < w->due_us || s->now_us < e->starts_us) {
        return;
    }
    if (w->is_waiting && w->sent == 5) {
        w->is_dead = true;
        return;
    }
    if (!w->is_waiting && e->offered == e->total) {
        return;
    }
    if (!w->is_waiting) {
        w->is_waiting = true;
        w->id = e->offered++;
        w->first_sequence = w->next_sequence;
        w->sent = 0;
    }
    struct stage_event data = {.sequence = w->next_sequence++, .id = w->id};
    stage_send(s, e, data, FRAME_DATA_HEADER + e->len);
    e->transmissions++;
    w->due_us = s->now_us + ((uint64_t)500 * STAGE_MS << w->sent);
    w->sent++;
}

/* When it must run, should no datagram come before. */
static uint64_t stage_due_us(const struct stage *s, const struct stage_end *e)
{
    bool has_more = e->offered < e->total && sr_state(&e->sr) != SR_DEAD;
    uint64_t due_us = UINT64_MAX;
    if (e->kind != STAGE_SR) {
        bool is_busy = !e->strict.is_dead && (e->strict.is_waiting || has_more);
        return is_busy ? max_u64(e->strict.due_us, e->starts_us) : UINT64_MAX;
    }
    if (has_more && s->now_us < e->starts_us) {
        due_us = e->starts_us;
    } else if (has_more && e->interval_us != 0) {
        due_us = e->starts_us + e->offered * e->interval_us;
    } else if (has_more && !e->is_full && sr_unacked(&e->sr) < e->backlog) {
        due_us = s->now_us;
    }
    uint64_t timer_us = sr_next_us(&e->sr);
    if (timer_us != UINT64_MAX) { /* not before the next whole millisecond */
        timer_us = max_u64(timer_us, s->now_us + 1);
        timer_us = (timer_us + STAGE_MS - 1) / STAGE_MS * STAGE_MS;
    }
    return min_u64(due_us, timer_us);
}

/* Runs until `until_us`, or until there is nothing to do any more (false). */
static bool stage_run(struct stage *s, uint64_t until_us)
{
    for (;;) {
        uint64_t at_us = s->event_count > 0 ? s->events[0].at_us : UINT64_MAX;
        for (uint32_t i = 0; i < s->end_count; i++) {
            at_us = min_u64(at_us, stage_due_us(s, &s->ends[i]));
        }
        if (at_us >= until_us) {
            s->now_us = until_us == UINT64_MAX ? s->now_us : until_us;
            return at_us != UINT64_MAX;
        }
        s->now_us = max_u64(s->now_us, at_us);
        for (uint32_t i = 0; i < s->end_count; i++) {
            s->ends[i].turn.now_us = s->now_us;
        }
        while (s->event_count > 0 && s->events[0].at_us <= s->now_us) {
            struct stage_event event = stage_take(s);
            struct stage_end *e = &s->ends[event.to];
            if (e->kind == STAGE_SR) {
                stage_receive_sr(s, e, &event);
            } else {
                stage_receive_strict(s, e, &event);
            }
        }
        for (uint32_t i = 0; i < s->end_count; i++) {
            if (s->ends[i].kind == STAGE_SR) {
                stage_flush_sr(s, &s->ends[i]);
            } else {
                stage_flush_strict(s, &s->ends[i]);
            }
        }
    }
}

/* ---- judging ---- */

static uint64_t stage_metric(const struct stage_end *e, enum metric which)
{
    return metric_read(&e->metrics, which);
}

/* What end `i` has offered was passed on by the far end, or is given back here: nothing is lost
 * without a word. */
static void stage_account(struct stage *s, uint32_t i)
{
    struct stage_end *e = &s->ends[i];
    struct stage_end *far = &s->ends[e->far];
    for (struct msgbuf *buf = sr_give(&e->sr); buf != NULL; buf = sr_give(&e->sr)) {
        uint32_t id = UINT32_MAX;
        memcpy(&id, msgbuf_data(buf), sizeof(id));
        cr_assert_lt(id, e->offered);
        cr_assert_eq(e->given[id], 0, "given back twice");
        e->given[id] = 1;
        msgbuf_release(&s->pool, buf);
    }
    uint64_t missing = 0;
    for (uint32_t id = 0; id < e->offered; id++) {
        missing += far->passed[id] == 0 && e->given[id] == 0;
    }
    /* What was given up may have arrived all the same. */
    cr_assert_leq(missing, stage_metric(e, METRIC_sr_given_up), "%lu messages lost without a word",
                  missing - stage_metric(e, METRIC_sr_given_up));
}
