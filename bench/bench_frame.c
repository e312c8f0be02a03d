/* SPDX-License-Identifier: Apache-2.0 */
/* bench_frame.c - frames of an overlay link: find one in a stream, and note its sequence number
 * for the acknowledgement (RFC 6940 6.6.2). */
#include "bench/bench.h"
#include "codec/frame.h"

#include <string.h>

enum { MESSAGE_BYTES = 500, FRAME_BYTES = FRAME_DATA_HEADER + MESSAGE_BYTES };

struct stream {
    uint8_t bytes[BENCH_SLOTS * FRAME_BYTES]; /* one frame behind the other, as TCP gives them */
};

static void *setup(void)
{
    static struct stream stream;
    struct wr w = wr_init(stream.bytes, sizeof(stream.bytes));
    for (uint32_t i = 0; i < BENCH_SLOTS; i++) {
        uint8_t message[MESSAGE_BYTES];
        memset(message, (int)i, sizeof(message));
        struct frame f = {FRAME_DATA, .sequence = i, .message = slice_of(message, sizeof(message))};
        frame_wr(&w, &f);
    }
    bench_require(wr_ok(&w) && wr_left(&w) == 0, "64 frames fill the stream");
    return &stream;
}

static uint64_t scan_want(const void *state, size_t input)
{
    (void)state;
    return input + MESSAGE_BYTES + FRAME_BYTES;
}

static uint64_t scan_run(void *state, uint64_t iterations)
{
    const struct stream *stream = state;
    uint64_t sum = 0;
    struct slice left = SLICE_EMPTY;
    for (uint64_t i = 0; i < iterations; i++) {
        struct frame f;
        size_t consumed = 0;
        left = left.len == 0 ? slice_of(stream->bytes, sizeof(stream->bytes)) : left;
        if (frame_scan(left, MESSAGE_BYTES, &f, &consumed) != ERR_OK) {
            break;
        }
        bench_keep(&f);
        sum += f.sequence + f.message.len + consumed;
        left = slice_from(left, consumed);
    }
    return sum;
}

/* Every input is the same here: in order, all before it received. */
static uint64_t window_want(const void *state, size_t input)
{
    (void)state;
    (void)input;
    return 1;
}

static uint64_t window_run(void *state, uint64_t iterations)
{
    struct frame_window window = {0};
    uint64_t sum = 0;
    (void)state;
    for (uint64_t i = 0; i < iterations; i++) {
        uint32_t sequence = (uint32_t)i;
        uint32_t before = i < 32 ? (1u << i) - 1 : UINT32_MAX;
        sum += frame_window_note(&window, sequence) == (before << 1);
    }
    return sum;
}

const struct bench bench_frame_list[] = {
    {"frame/scan", FRAME_BYTES, BENCH_SLOTS, setup, scan_run, scan_want},
    {"frame/window", FRAME_ACK_BYTES, BENCH_SLOTS, setup, window_run, window_want},
    {0},
};
