/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json.h - is a text one JSON object (RFC 8259), on one line and in UTF-8?
 *
 * Written anew from the grammar, so that it shares no mistake with what wrote the text. */
#pragma once
#include "core/slice.h"

enum { FUZZ_JSON_DEPTH = 24 };

static inline bool fuzz_json_skip(struct slice *s, const char *literal)
{
    size_t len = strlen(literal);
    if (s->len < len || memcmp(s->data, literal, len) != 0) {
        return false;
    }
    *s = slice_of(s->data + len, s->len - len);
    return true;
}

/* Takes one character of UTF-8 off; false when it is none. */
static inline bool fuzz_json_char(struct slice *s, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = s->data[0];
    size_t len = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    uint32_t v = len < 2 ? c : c & (0x7fu >> len);
    if (len == 0 || s->len < len) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (s->data[i] >> 6 != 2) {
            return false;
        }
        v = v << 6 | (s->data[i] & 0x3fu);
    }
    *s = slice_of(s->data + len, s->len - len);
    *out = v;
    return v >= least[len] && v <= 0x10ffff && v >> 11 != 0xd800u >> 11;
}

static inline bool fuzz_json_escape(struct slice *s)
{
    if (!fuzz_json_skip(s, "u")) {
        bool is_known = s->len > 0 && strchr("\"\\/bfnrt", s->data[0]) != NULL && s->data[0] != 0;
        *s = is_known ? slice_of(s->data + 1, s->len - 1) : *s;
        return is_known;
    }
    for (size_t i = 0; i < 4; i++) {
        if (s->len <= i || s->data[i] == 0 ||
            strchr("0123456789abcdefABCDEF", s->data[i]) == NULL) {
            return false;
        }
    }
    *s = slice_of(s->data + 4, s->len - 4);
    return true;
}

static inline bool fuzz_json_string(struct slice *s)
{
    if (!fuzz_json_skip(s, "\"")) {
        return false;
    }
    while (s->len > 0) {
        uint32_t c = 0;
        if (!fuzz_json_char(s, &c) || c < 0x20) {
            return false;
        }
        if (c == '"') {
            return true;
        }
        if (c == '\\' && !fuzz_json_escape(s)) {
            return false;
        }
    }
    return false;
}

/* Whole numbers without a sign are all that we write. */
static inline bool fuzz_json_number(struct slice *s)
{
    size_t len = 0;
    while (len < s->len && s->data[len] >= '0' && s->data[len] <= '9') {
        len++;
    }
    bool is_good = len == 1 || (len > 1 && s->data[0] != '0');
    *s = slice_of(s->data + len, s->len - len);
    return is_good;
}

static inline bool fuzz_json_scalar(struct slice *s)
{
    return fuzz_json_skip(s, "null") || fuzz_json_skip(s, "true") || fuzz_json_skip(s, "false") ||
           (s->len > 0 && s->data[0] == '"' ? fuzz_json_string(s) : fuzz_json_number(s));
}

/* One object and nothing else.  No white space is ever written, so none is taken. */
static inline bool fuzz_json_is_object(struct slice s)
{
    char closers[FUZZ_JSON_DEPTH];
    size_t depth = 0;
    bool wants_value = true; /* or what stands behind one */
    if (s.len == 0 || s.data[0] != '{') {
        return false;
    }
    do {
        bool is_object = s.len > 0 && s.data[0] == '{';
        if (wants_value && (fuzz_json_skip(&s, "{") || fuzz_json_skip(&s, "["))) {
            if (depth == FUZZ_JSON_DEPTH) {
                return false;
            }
            closers[depth++] = is_object ? '}' : ']';
            bool is_empty = fuzz_json_skip(&s, is_object ? "}" : "]");
            depth -= is_empty;
            wants_value = !is_empty;
        } else if (wants_value) {
            if (!fuzz_json_scalar(&s)) {
                return false;
            }
            wants_value = false;
        } else if (fuzz_json_skip(&s, ",")) {
            wants_value = true;
        } else if (s.len > 0 && s.data[0] == closers[depth - 1]) {
            s = slice_of(s.data + 1, s.len - 1);
            depth--;
            continue;
        } else {
            return false;
        }
        if (wants_value && closers[depth - 1] == '}' &&
            (!fuzz_json_string(&s) || !fuzz_json_skip(&s, ":"))) {
            return false;
        }
    } while (depth > 0);
    return s.len == 0;
}
