/* SPDX-License-Identifier: Apache-2.0 */
/* capture_stream.c - see capture_stream.h. */
#include "cmd/capture_stream.h"
#include <stdlib.h>

/* Bytes that are told again lie within a window behind the place; farther away is another
 * connection on the same ports, whose SYN was not captured. */
enum { WINDOW = 1 << 24 };

/* A segment that came before the one in front of it. */
struct held {
    struct held *next; /* with a higher sequence number */
    uint32_t sequence;
    struct capture_item item;
    size_t len;
    uint8_t bytes[];
};

/* One direction of a TCP connection. */
struct flow {
    uint8_t key[CAPTURE_STREAM_KEY];
    enum capture_stream_sync sync;
    uint32_t next; /* sequence number expected */
    uint64_t used; /* packet that touched it last; 0: free */
    struct held *held;
    size_t held_count;
    uint8_t *bytes; /* CAPTURE_BUFFER of them */
    size_t len;
};

struct capture_stream {
    capture_stream_take *take;
    void *ctx;
    struct capture_totals *totals;
    struct flow flows[CAPTURE_FLOWS];
};

struct capture_stream *capture_stream_new(capture_stream_take *take, void *ctx,
                                          struct capture_totals *totals)
{
    struct capture_stream *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->take = take;
    s->ctx = ctx;
    s->totals = totals;
    return s;
}

/* The next bytes of the stream, in pieces that fit. */
static void feed(struct capture_stream *s, struct flow *f, const struct capture_item *item,
                 struct slice payload)
{
    while (payload.len > 0) {
        size_t piece = min_size(payload.len, CAPTURE_BUFFER - f->len);
        CHECK(piece > 0);
        memcpy(f->bytes + f->len, payload.data, piece);
        f->len += piece;
        payload = slice_from(payload, piece);
        size_t done = s->take(s->ctx, item, slice_of(f->bytes, f->len), &f->sync);
        f->len -= done;
        memmove(f->bytes, f->bytes + done, f->len);
    }
}

/* A segment that begins at the expected byte or before it. */
static void take_segment(struct capture_stream *s, struct flow *f, const struct capture_item *item,
                         uint32_t sequence, struct slice payload)
{
    payload = slice_from(payload, f->next - sequence); /* without what came already */
    f->next += (uint32_t)payload.len;
    feed(s, f, item, payload);
}

/* How far `sequence` is ahead of the expected byte; numbers wrap. */
static int32_t ahead(const struct flow *f, uint32_t sequence)
{
    return (int32_t)(sequence - f->next);
}

static void take_held(struct capture_stream *s, struct flow *f)
{
    while (f->held != NULL && ahead(f, f->held->sequence) <= 0) {
        struct held *first = f->held;
        f->held = first->next;
        f->held_count--;
        take_segment(s, f, &first->item, first->sequence, slice_of(first->bytes, first->len));
        free(first);
    }
}

/* Bytes are lost: goes on behind them. */
static void skip_to(struct capture_stream *s, struct flow *f, uint32_t sequence)
{
    s->totals->gaps++;
    f->len = 0;
    f->next = sequence;
    if (f->sync == CAPTURE_STREAM_IN_STEP) {
        f->sync = CAPTURE_STREAM_AFTER_GAP;
    }
}

static void end_flow(struct capture_stream *s, struct flow *f)
{
    while (f->held != NULL) {
        skip_to(s, f, f->held->sequence);
        take_held(s, f);
    }
    s->totals->unfinished += f->len > 0 && f->sync == CAPTURE_STREAM_IN_STEP ? 1 : 0;
    f->len = 0;
}

static void begin_flow(struct capture_stream *s, struct flow *f, uint32_t sequence)
{
    end_flow(s, f);
    f->sync = CAPTURE_STREAM_IN_STEP;
    f->next = sequence;
}

/* Keeps a copy until what is missing has come.  When too many wait it will not come any more. */
static void hold(struct capture_stream *s, struct flow *f, const struct capture_item *item,
                 uint32_t sequence, struct slice payload)
{
    struct held *new = malloc(sizeof(*new) + payload.len);
    struct held **at = &f->held;
    CHECK(new != NULL);
    while (*at != NULL && ahead(f, (*at)->sequence) <= ahead(f, sequence)) {
        at = &(*at)->next;
    }
    *new = (struct held){.next = *at, .sequence = sequence, .item = *item, .len = payload.len};
    memcpy(new->bytes, payload.data, payload.len);
    *at = new;
    if (++f->held_count > CAPTURE_HELD) {
        skip_to(s, f, f->held->sequence);
        take_held(s, f);
    }
}

static struct flow *find_flow(struct capture_stream *s, const uint8_t key[CAPTURE_STREAM_KEY],
                              bool *is_new)
{
    struct flow *oldest = &s->flows[0];
    *is_new = false;
    for (size_t i = 0; i < CAPTURE_FLOWS; i++) {
        struct flow *f = &s->flows[i];
        if (f->used != 0 && memcmp(f->key, key, sizeof(f->key)) == 0) {
            return f;
        }
        oldest = f->used < oldest->used ? f : oldest;
    }
    *is_new = true;
    end_flow(s, oldest);
    memcpy(oldest->key, key, sizeof(oldest->key));
    if (oldest->bytes == NULL) {
        oldest->bytes = malloc(CAPTURE_BUFFER);
        CHECK(oldest->bytes != NULL);
    }
    return oldest;
}

void capture_stream_segment(struct capture_stream *s, const struct capture_item *item,
                            const struct capture_stream_segment *segment)
{
    bool is_new = false;
    struct flow *f = find_flow(s, segment->key, &is_new);
    uint32_t sequence = segment->sequence + (segment->is_syn ? 1 : 0);
    f->used = item->packet;
    if (is_new || segment->is_syn) { /* a stream joined later begins with what comes first */
        begin_flow(s, f, sequence);
    }
    if (segment->payload.len == 0) {
        return;
    }
    if (ahead(f, sequence) < -WINDOW) {
        end_flow(s, f);
        skip_to(s, f, sequence);
    }
    if (ahead(f, sequence) > 0) {
        hold(s, f, item, sequence, segment->payload);
        return;
    }
    take_segment(s, f, item, sequence, segment->payload);
    take_held(s, f);
}

void capture_stream_end(struct capture_stream *s)
{
    for (size_t i = 0; i < CAPTURE_FLOWS; i++) {
        end_flow(s, &s->flows[i]);
        free(s->flows[i].bytes);
    }
    free(s);
}
