/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_frame.c - a stream of frames gives the same frames however it is cut, and the window of
 * received numbers never claims what has not come.
 *
 * Input: largest message, seed of the cuts, then the stream. */
#include "codec/frame.h"
#include "core/rng.h"
#include "fuzz/fuzz.h"

FUZZ_UNCOUNTED

static struct fuzz_block block;
static struct fuzz_block written;

/* One frame at `at`, seen through an exact copy of the first `shown` bytes that are left. */
static enum err look(struct slice stream, size_t at, size_t shown, size_t max, struct frame *out,
                     size_t *consumed)
{
    struct slice left = slice_sub(stream, at, shown);
    uint8_t *copy = fuzz_exact(&block, left);
    enum err e = frame_scan(slice_of(copy, left.len), max, out, consumed);
    if (e == ERR_OK && out->type == FRAME_DATA) { /* the same bytes, in the stream */
        CHECK(out->message.data == copy + FRAME_DATA_HEADER);
        out->message.data = stream.data + at + FRAME_DATA_HEADER;
    }
    return e;
}

static void check_frame(struct slice wire, const struct frame *f, size_t max)
{
    struct frame again;
    uint8_t *out = fuzz_exact(&written, wire);
    CHECK(frame_decode(wire, &again) == ERR_OK);
    struct wr w = wr_init(out, wire.len);
    frame_wr(&w, f);
    fuzz_same(&w, wire);
    CHECK(f->type != FRAME_DATA || f->message.len <= max);
    CHECK(again.sequence == f->sequence && again.received == f->received);
}

static void note(struct frame_window *window, uint32_t sequence, const uint32_t *came, size_t count)
{
    uint32_t received = frame_window_note(window, sequence);
    CHECK((received & 1) == 0);
    for (uint32_t k = 1; k < 32; k++) {
        bool has_come = false;
        for (size_t i = 0; i < count && !has_come; i++) {
            has_come = came[i] == sequence - k;
        }
        CHECK(has_come || (received >> k & 1) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { NOTED = 64 };
    struct rd r = rd_init(slice_of(data, min_size(size, FUZZ_BLOCK_MAX)));
    size_t max = rd_u16(&r), at = 0, seen = 0;
    struct rng rng;
    rng_init(&rng, rd_u8(&r));
    struct slice stream = rd_rest(&r);
    struct frame_window window = {0};
    uint32_t came[NOTED];
    for (;;) {
        struct frame whole, cut = {0};
        size_t all = 0, need = 0, shown = 0;
        enum err e = look(stream, at, stream.len - at, max, &whole, &all), piece = ERR_MORE;
        while (piece == ERR_MORE && shown < stream.len - at) {
            shown = min_size(stream.len - at, shown + 1 + rng_below(&rng, 12 + shown));
            piece = look(stream, at, shown, max, &cut, &need);
            CHECK(piece != ERR_MORE || need > shown);
            CHECK(piece != ERR_OK || need <= shown);
        }
        CHECK(piece == e && need <= max_size(all, 1));
        if (e != ERR_OK) {
            return 0;
        }
        CHECK(all == need && cut.type == whole.type && cut.sequence == whole.sequence);
        CHECK(cut.received == whole.received && slice_is_equal(cut.message, whole.message));
        check_frame(slice_sub(stream, at, all), &whole, max);
        if (whole.type == FRAME_DATA && seen < NOTED) {
            note(&window, whole.sequence, came, seen);
            came[seen++] = whole.sequence;
        }
        at += all;
    }
}

FUZZ_COUNTED
