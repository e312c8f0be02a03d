/* SPDX-License-Identifier: Apache-2.0 */
/* wire_line.c - see wire_line.h. */
#include "cmd/wire_line.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r')) {
        c->at++;
    }
}

/* `wanted` and the white space around it. */
static bool take(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != (uint8_t)wanted) {
        return false;
    }
    c->at++;
    skip_space(c);
    return true;
}

static bool take_string(struct cursor *c, struct slice *out)
{
    if (c->at == c->end || *c->at != '"') {
        return false;
    }
    const uint8_t *start = c->at + 1;
    const uint8_t *quote = memchr(start, '"', (size_t)(c->end - start));
    if (quote == NULL) {
        return false;
    }
    bool is_plain = true;
    for (const uint8_t *p = start; p < quote; p++) { /* no exit: the compiler makes vectors of it */
        is_plain &= *p >= 0x20 && *p < 0x7f && *p != '\\';
    }
    *out = slice_of(start, (size_t)(quote - start));
    c->at = quote + 1;
    return is_plain;
}

static struct slice *member(struct wire_line *l, struct slice key)
{
    return slice_is_equal(key, SLICE_LITERAL("type"))  ? &l->type
           : slice_is_equal(key, SLICE_LITERAL("hex")) ? &l->hex
           : slice_is_equal(key, SLICE_LITERAL("a"))   ? &l->a
           : slice_is_equal(key, SLICE_LITERAL("b"))   ? &l->b
                                                       : NULL;
}

bool wire_line_read(struct slice line, struct wire_line *out)
{
    struct cursor c = {line.data, line.len == 0 ? line.data : line.data + line.len};
    *out = (struct wire_line){0};
    if (!take(&c, '{')) {
        return false;
    }
    do {
        struct slice key = SLICE_EMPTY;
        if (!take_string(&c, &key) || !take(&c, ':')) {
            return false;
        }
        struct slice *value = member(out, key);
        if (value == NULL || value->data != NULL || !take_string(&c, value)) {
            return false;
        }
    } while (take(&c, ','));
    return take(&c, '}') && c.at == c.end;
}
