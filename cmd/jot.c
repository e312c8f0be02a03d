/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/jot.h"
#include <stdarg.h>
#include <stdio.h>

struct jot jot_init(void *buffer, size_t cap)
{
    CHECK(cap > 0);
    return (struct jot){.text = buffer, .cap = cap};
}

void jot_add(struct jot *j, const char *format, ...)
{
    va_list args;
    if (j->is_full) {
        return;
    }
    va_start(args, format);
    int used = vsnprintf(j->text + j->len, j->cap - j->len, format, args);
    va_end(args);
    if (used < 0 || (size_t)used >= j->cap - j->len) {
        j->is_full = true;
        return;
    }
    j->len += (size_t)used;
}

void jot_string(struct jot *j, struct slice bytes)
{
    jot_add(j, "\"");
    for (size_t i = 0; i < bytes.len && !j->is_full; i++) {
        uint8_t c = bytes.data[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            jot_add(j, "\\u%04x", c);
        } else {
            jot_add(j, "%c", c);
        }
    }
    jot_add(j, "\"");
}

void jot_hex(struct jot *j, struct slice bytes)
{
    jot_add(j, "\"");
    for (size_t i = 0; i < bytes.len && !j->is_full; i++) {
        jot_add(j, "%02x", bytes.data[i]);
    }
    jot_add(j, "\"");
}

void jot_back(struct jot *j, size_t len)
{
    CHECK(len <= j->len);
    j->len = len;
    j->is_full = false;
}
