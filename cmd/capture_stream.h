/* SPDX-License-Identifier: Apache-2.0 */
/* capture_stream.h - the TCP streams of a capture: each direction's bytes in order.
 *
 * Segments that come too early wait for the one before them; one that a capture lacks for good is a
 * gap: counted, and the reader is told that it has to look for the next beginning.
 *
 * Owner:  copies of what waits; freed by capture_stream_end.
 * Limits: CAPTURE_FLOWS directions (the one longest unused makes room), in each CAPTURE_HELD
 * segments that came too early and CAPTURE_BUFFER bytes that are not a whole item yet. */
#pragma once
#include "cmd/capture.h"

enum { CAPTURE_STREAM_KEY = 37 }; /* family, addresses, ports */

/* What is known of the place where a reader stands. */
enum capture_stream_sync {
    CAPTURE_STREAM_IN_STEP,   /* at the beginning of an item, or of the stream */
    CAPTURE_STREAM_AFTER_GAP, /* anywhere in one: bytes before this were lost */
    CAPTURE_STREAM_ASTRAY,    /* behind bytes that were no item */
};

/* Takes items from the front of `in` and gives how many bytes are done with; `in` is never so long
 * that none can be while an item has CAPTURE_BUFFER bytes at most. */
typedef size_t capture_stream_take(void *ctx, const struct capture_item *item, struct slice in,
                                   enum capture_stream_sync *sync);

struct capture_stream_segment {
    uint8_t key[CAPTURE_STREAM_KEY];
    uint32_t sequence;
    bool is_syn;
    struct slice payload;
};

struct capture_stream;

struct capture_stream *capture_stream_new(capture_stream_take *take, void *ctx,
                                          struct capture_totals *totals);
/* `item` says which packet it is, and whose; it is handed on with its bytes. */
void capture_stream_segment(struct capture_stream *s, const struct capture_item *item,
                            const struct capture_stream_segment *segment);
/* The capture ends: what waits is read, gaps or not. */
void capture_stream_end(struct capture_stream *s);
