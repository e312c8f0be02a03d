/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vector/run_ack.h"
#include "codec/frame.h"
#include "codec/ids.h"

bool run_ack(const json_t *vector, char *why, size_t cap)
{
    struct frame_window window = {0, 0};
    const json_t *frames = json_object_get(vector, "frames");
    size_t i = 0;
    json_t *f = NULL;
    if (json_array_size(frames) == 0) {
        return run_base_fail(why, cap, "no frames");
    }
    json_array_foreach(frames, i, f)
    {
        const json_t *sequence_value = json_object_get(f, "sequence");
        uint32_t sequence = (uint32_t)json_integer_value(sequence_value);
        uint32_t want = (uint32_t)json_integer_value(json_object_get(f, "received"));
        uint32_t got = frame_window_note(&window, sequence);
        uint8_t ack[FRAME_ACK_BYTES];
        char text[2 * FRAME_ACK_BYTES + 1];
        if (!json_is_integer(sequence_value) || got != want) {
            return run_base_fail(why, cap, "frame %zu: received is %08x, not %08x", i, got, want);
        }
        frame_put_ack(ack, sequence, got);
        if (strcmp(ids_hex(slice_of(ack, sizeof(ack)), text), run_base_text(f, "ack")) != 0) {
            return run_base_fail(why, cap, "frame %zu: the ACK is %s", i, text);
        }
    }
    return true;
}
