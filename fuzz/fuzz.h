/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - what the fuzz targets share: a cursor that spends the input on choices, and copies that
 * end where the memory ends.
 *
 * A target is one libFuzzer entry point.  Beyond "does not crash" it states properties with CHECK.
 * The first bytes of an input choose parameters, the rest is what a stranger sends. */
#pragma once
#include "codec/rw.h"
#include "core/err.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `bytes` in a heap block of exactly their size, so that a sanitizer sees the first byte too far.
 * Give it to free. */
static inline uint8_t *fuzz_copy(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    CHECK(copy != NULL);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return copy;
}

/* At most `max` of the bytes that are left: a length byte (or two, where `max` needs them) and the
 * bytes themselves; what is there when there are fewer. */
static inline struct slice fuzz_take(struct rd *r, size_t max)
{
    size_t wanted = max > UINT8_MAX ? rd_u16(r) : rd_u8(r);
    if (!rd_ok(r)) {
        return SLICE_EMPTY;
    }
    return rd_bytes(r, min_size(min_size(wanted, max), rd_left(r)));
}

/* What was written is what stood on the wire. */
static inline void fuzz_same(const struct wr *w, struct slice wire)
{
    CHECK(wr_ok(w));
    CHECK(slice_is_equal(wr_slice(w), wire));
}
