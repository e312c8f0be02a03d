/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/fault_list.h"
#include <inttypes.h>
#include <stdio.h>

enum { WORDS = 4 }; /* of a state */

void fault_list_note(struct fault_list *l, uint64_t at_us, const struct rng *state,
                     const char *what)
{
    if (l->count < FAULT_LIST_CAP) {
        l->items[l->count++] = (struct fault_listed){.at_us = at_us, .state = *state, .what = what};
    }
}

const struct fault_listed *fault_list_take(struct fault_list *l, uint64_t now_us)
{
    bool is_due = l->at < l->count && l->items[l->at].at_us <= now_us;
    return is_due ? &l->items[l->at++] : NULL;
}

size_t fault_list_line(const struct fault_listed *one, char out[FAULT_LIST_LINE_CAP])
{
    const uint64_t *s = one->state.state;
    int len =
        snprintf(out, FAULT_LIST_LINE_CAP,
                 "%" PRIu64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %s\n",
                 one->at_us, s[0], s[1], s[2], s[3], one->what);
    CHECK(len > 0 && len < FAULT_LIST_LINE_CAP);
    return (size_t)len;
}

static uint64_t digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return (uint64_t)c - '0';
    }
    return c >= 'a' && c <= 'f' ? (uint64_t)c - 'a' + 10 : UINT64_MAX;
}

/* A number at the front of `s`, with the blank behind it. */
static bool take_number(struct slice *s, uint64_t base, uint64_t *out)
{
    size_t at = 0;
    *out = 0;
    for (; at < s->len && digit_of(s->data[at]) < base; at++) {
        if (__builtin_mul_overflow(*out, base, out) ||
            __builtin_add_overflow(*out, digit_of(s->data[at]), out)) {
            return false;
        }
    }
    if (at == 0 || at == s->len || s->data[at] != ' ') {
        return false;
    }
    *s = slice_from(*s, at + 1);
    return true;
}

static bool parse_line(struct slice line, struct fault_listed *one)
{
    bool good = take_number(&line, 10, &one->at_us);
    for (size_t i = 0; i < WORDS && good; i++) {
        good = take_number(&line, 16, &one->state.state[i]);
    }
    one->what = "given";
    return good && line.len > 0;
}

enum err fault_list_parse(struct fault_list *l, struct slice text, uint32_t *line)
{
    uint64_t before_us = 0;
    *line = 0;
    l->count = 0;
    l->at = 0;
    l->is_given = true;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct slice one = slice_of(text.data, len);
        text = slice_from(text, end == NULL ? len : len + 1);
        ++*line;
        if (one.len == 0 || one.data[0] == '#') {
            continue;
        }
        struct fault_listed listed;
        if (l->count == FAULT_LIST_CAP || !parse_line(one, &listed) || listed.at_us < before_us) {
            return ERR_MALFORMED;
        }
        before_us = listed.at_us;
        l->items[l->count++] = listed;
    }
    return ERR_OK;
}
