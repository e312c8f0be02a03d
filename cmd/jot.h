/* SPDX-License-Identifier: Apache-2.0 */
/* jot.h - writes JSON text into a fixed buffer, on a shard: nothing is allocated.
 *
 * When something does not fit, `is_full` is set and nothing more is written; a row that did not fit
 * is taken back with jot_back. */
#pragma once
#include "core/slice.h"

struct jot {
    char *text;
    size_t cap;
    size_t len;
    bool is_full;
};

struct jot jot_init(void *buffer, size_t cap);
void jot_add(struct jot *j, const char *format, ...) PRINTF_LIKE(2, 3);
/* With quotes; control characters, quotes and everything that is not ASCII as \u00XX. */
void jot_string(struct jot *j, struct slice bytes);
/* As a string of hex digits. */
void jot_hex(struct jot *j, struct slice bytes);
/* Back to where it was `len` bytes long. */
void jot_back(struct jot *j, size_t len);
