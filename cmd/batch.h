/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h - one line in, one line out: the loop behind `decode`, `encode` and `verify --batch`.
 *
 * Whatever comes in, exactly one line goes out for each line, in the same order, and all of it has
 * left before a read that might wait: somebody who writes a line and then reads gets its answer.
 *
 * Memory:  one buffer for input and one for answers, which grow with the longest line seen.
 * Limits:  BATCH_LINE_CAP for a line, BATCH_ANSWER_CAP for an answer; what exceeds one is refused
 *          in the command's own form (`refused` below), and the lines behind it answered as ever.
 * Threads: none of its own. */
#pragma once
#include "core/slice.h"

enum { BATCH_LINE_CAP = 16 << 20, BATCH_ANSWER_CAP = 256 << 20 };

/* The answers.  Only what batch_* below add is ever sent; `text` and `len` are there to look at. */
struct batch_out {
    char *text;
    size_t len;
    size_t cap;
    size_t begin;        /* of the answer that is being written */
    const char *refused; /* the line cannot be answered, and why: it is empty then */
    bool is_full;        /* the answer outgrew its cap or the memory: the line is refused instead */
};

/* Answers `line` (without its newline, borrowed until the return) by adding to `out` what is one
 * line of text; a newline inside becomes a space.  When that is too large, or nothing, it is called
 * once more with out->refused, and must answer with that text in a few hundred bytes. */
typedef void (*batch_one)(void *ctx, struct slice line, struct batch_out *out);

/* From stdin to stdout until stdin ends; what follows the last newline is a line too, unless it is
 * empty.  Gives the exit status: CMD_OK, or CMD_FAILED when reading or writing fails (said). */
int batch_run(batch_one one, void *ctx) MUST_USE;
/* The same between any two descriptors. */
int batch_run_between(int in, int out, batch_one one, void *ctx) MUST_USE;

/* Space for `len` more bytes, of which batch_took tells how many were used; NULL when full. */
char *batch_reserve(struct batch_out *out, size_t len) MUST_USE;
void batch_took(struct batch_out *out, size_t len);

void batch_bytes(struct batch_out *out, const void *bytes, size_t len);
void batch_text(struct batch_out *out, const char *text);
void batch_number(struct batch_out *out, uint64_t value);
/* A JSON string: quotes, backslashes, control characters and what is not ASCII are escaped (bytes
 * above 0x7f one by one, as \u00XX). */
void batch_string(struct batch_out *out, struct slice bytes);
/* A JSON string of lower-case hex digits. */
void batch_hex(struct batch_out *out, struct slice bytes);
