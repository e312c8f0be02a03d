/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz.h - what the fuzz targets share: a cursor that spends the input on choices, and copies that
 * end where the memory ends.
 *
 * A target is one libFuzzer entry point.  Beyond "does not crash" it states properties with CHECK.
 * The first bytes of an input choose parameters, the rest is what a stranger sends.
 *
 * Two kinds of exact copies: fuzz_copy takes a heap block; fuzz_exact uses a standing block in
 * which all but the copy is poisoned, which costs no allocation, for the targets that are to run
 * 100,000 times a second. */
#pragma once
#include "codec/rw.h"
#include "core/err.h"
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_POISON 1
#endif
#endif
#ifdef FUZZ_POISON
#include <sanitizer/asan_interface.h>
#endif

/* Between these two stands code of which no coverage is wanted: what a harness itself does is
 * nothing to find, and to count it makes the fastest targets a quarter slower. */
#ifdef __clang__
#define FUZZ_PRAGMA(text) _Pragma(#text)
#define FUZZ_UNCOUNTED                                                                             \
    FUZZ_PRAGMA(clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function))
#define FUZZ_COUNTED FUZZ_PRAGMA(clang attribute pop)
#else
#define FUZZ_UNCOUNTED
#define FUZZ_COUNTED
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef FUZZ_POISON
/* What ASAN_OPTIONS does not say.  The quarantine of 256 MiB that ASan takes by itself makes each
 * freed block come back cold; long stack traces of allocations cost more than most targets do. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=16:malloc_context_size=8";
}
#endif

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

enum {
    FUZZ_BLOCK_ROOM = 512, /* before the copy: poisoned, or lent by fuzz_open_front */
    FUZZ_BLOCK_MAX = 1 << 18,
    FUZZ_BLOCK_BEHIND = 4096,
};

/* A static one is ready for fuzz_exact. */
struct fuzz_block {
#ifdef FUZZ_POISON
    bool is_poisoned;
    size_t open; /* bytes of the copy that are not poisoned */
    _Alignas(16) uint8_t room[FUZZ_BLOCK_ROOM];
    uint8_t bytes[FUZZ_BLOCK_MAX];
    uint8_t behind[FUZZ_BLOCK_BEHIND];
#else
    uint8_t *heap;
#endif
};

/* `bytes` (at most FUZZ_BLOCK_MAX) in `block`, until the next call.  To touch the byte behind them
 * is an error that a sanitizer reports; so is what lies before them. */
static inline uint8_t *fuzz_exact(struct fuzz_block *block, struct slice bytes)
{
    CHECK(bytes.len <= FUZZ_BLOCK_MAX);
#ifdef FUZZ_POISON
    if (!block->is_poisoned) {
        block->is_poisoned = true;
        __asan_poison_memory_region(block->room, sizeof(block->room));
        __asan_poison_memory_region(block->bytes, sizeof(block->bytes));
        __asan_poison_memory_region(block->behind, sizeof(block->behind));
    }
    if (bytes.len < block->open) {
        __asan_poison_memory_region(block->bytes + bytes.len, block->open - bytes.len);
    }
    __asan_unpoison_memory_region(block->bytes, bytes.len);
    block->open = bytes.len;
    uint8_t *copy = block->bytes;
#else
    free(block->heap);
    block->heap = malloc(FUZZ_BLOCK_ROOM + bytes.len);
    CHECK(block->heap != NULL);
    uint8_t *copy = block->heap + FUZZ_BLOCK_ROOM;
#endif
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    return copy;
}

/* Lends `room` bytes (a multiple of 8, at most FUZZ_BLOCK_ROOM) in front of the copy. */
static inline void fuzz_open_front(struct fuzz_block *block, size_t room)
{
    CHECK(room <= FUZZ_BLOCK_ROOM && room % 8 == 0);
#ifdef FUZZ_POISON
    __asan_unpoison_memory_region(block->room + FUZZ_BLOCK_ROOM - room, room);
#else
    (void)block;
#endif
}

static inline void fuzz_close_front(struct fuzz_block *block)
{
#ifdef FUZZ_POISON
    __asan_poison_memory_region(block->room, FUZZ_BLOCK_ROOM);
#else
    (void)block;
#endif
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
