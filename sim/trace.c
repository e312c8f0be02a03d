/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

enum { DIGITS = 6 }; /* behind the point: microseconds */
#define SECOND_US UINT64_C(1000000)
#define LONGEST_S UINT64_C(1000000000)

const char *trace_action_name(enum trace_action action)
{
    static const char *const names[TRACE_ACTIONS] = {[TRACE_JOIN] = "join",
                                                     [TRACE_LEAVE] = "leave",
                                                     [TRACE_CRASH] = "crash",
                                                     [TRACE_VANISH] = "vanish"};
    return names[action];
}

/* ---- reading ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice next_word(struct slice *line)
{
    while (line->len > 0 && is_blank(line->data[0])) {
        *line = slice_from(*line, 1);
    }
    size_t len = 0;
    while (len < line->len && !is_blank(line->data[len])) {
        len++;
    }
    struct slice word = slice_of(line->data, len);
    *line = slice_from(*line, len);
    return word;
}

/* Digits of `word` from *at on, no more than `most`; how many there were. */
static size_t read_digits(struct slice word, size_t *at, size_t most, uint64_t *out)
{
    size_t count = 0;
    *out = 0;
    for (; *at < word.len && count < most; ++*at, ++count) {
        uint8_t c = word.data[*at];
        if (c < '0' || c > '9') {
            break;
        }
        *out = *out * 10 + (uint64_t)(c - '0');
    }
    return count;
}

static bool read_time(struct slice word, uint64_t *out)
{
    enum { MOST = 10 };
    size_t at = 0;
    uint64_t seconds = 0;
    uint64_t rest = 0;
    if (read_digits(word, &at, MOST, &seconds) == 0 || seconds > LONGEST_S) {
        return false;
    }
    if (at < word.len && word.data[at] == '.') {
        at++;
        size_t digits = read_digits(word, &at, DIGITS, &rest);
        for (size_t i = digits; i < DIGITS; i++) {
            rest *= 10;
        }
        if (digits == 0) {
            return false;
        }
    }
    *out = seconds * SECOND_US + rest;
    return at == word.len;
}

static bool read_action(struct slice word, enum trace_action *out)
{
    for (unsigned i = 0; i < TRACE_ACTIONS; i++) {
        if (slice_is_equal(word, slice_text(trace_action_name((enum trace_action)i)))) {
            *out = (enum trace_action)i;
            return true;
        }
    }
    return false;
}

/* NULL: it is sound. */
static const char *read_event(struct slice line, uint64_t peers, struct trace_event *out)
{
    enum { MOST = 9 };
    uint64_t peer = 0;
    size_t at = 0;
    if (!read_time(next_word(&line), &out->at_us)) {
        return "no time in seconds, as 12.5";
    }
    struct slice word = next_word(&line);
    if (read_digits(word, &at, MOST, &peer) == 0 || at != word.len) {
        return "no number of a peer";
    }
    if (peer >= peers) {
        return "a peer beyond `nodes`";
    }
    if (!read_action(next_word(&line), &out->action)) {
        return "no join, leave, crash or vanish";
    }
    out->peer = (uint32_t)peer;
    return next_word(&line).len == 0 ? NULL : "something behind the action";
}

bool trace_parse(struct trace *t, struct slice text, uint64_t peers, uint32_t *line,
                 const char **why)
{
    uint64_t before_us = 0;
    t->count = 0;
    for (*line = 1; text.len > 0; ++*line) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        struct slice one = slice_of(text.data, len);
        text = slice_from(text, end == NULL ? len : len + 1);
        const uint8_t *comment = one.len == 0 ? NULL : memchr(one.data, '#', one.len);
        one.len = comment == NULL ? one.len : (size_t)(comment - one.data);
        struct slice rest = one;
        if (next_word(&rest).len == 0) {
            continue;
        }
        struct trace_event e = {0};
        *why = read_event(one, peers, &e);
        *why = *why == NULL && e.at_us < before_us ? "earlier than the line before" : *why;
        *why = *why == NULL && t->count == t->cap ? "more events than there may be" : *why;
        if (*why != NULL) {
            return false;
        }
        before_us = e.at_us;
        t->items[t->count++] = e;
    }
    return true;
}

/* ---- doing ---- */

bool trace_begins_with(const struct trace *t, uint32_t process, uint32_t shards)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->items[i].peer / shards == process) {
            return t->items[i].action != TRACE_JOIN;
        }
    }
    return true;
}

uint64_t trace_ends_us(const struct trace *t)
{
    return t->count == 0 ? 0 : t->items[t->count - 1].at_us;
}

static bool is_alive(const struct world *w, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (world_is_alive(w, i)) {
            return true;
        }
    }
    return false;
}

static void join(struct world *w, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        world_start(w, i);
    }
}

static void leave(struct world *w, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (world_is_alive(w, i)) {
            world_stop(w, i);
        }
    }
}

static void die(struct world *w, uint32_t first, bool is_silent)
{
    uint32_t i = first;
    while (!world_is_alive(w, i)) {
        i++;
    }
    if (is_silent) {
        world_vanish(w, i);
    } else {
        world_kill(w, i);
    }
}

void trace_step(const struct trace *t, uint32_t *next, uint64_t since_us, struct world *w,
                struct trace_counts *counts, churn_watch *watch, void *context)
{
    uint32_t shards = world_settings_of(w)->shards;
    for (; *next < t->count && t->items[*next].at_us <= since_us; ++*next) {
        const struct trace_event *e = &t->items[*next];
        uint32_t first = e->peer - e->peer % shards;
        bool lives = is_alive(w, first, shards);
        if (lives == (e->action == TRACE_JOIN)) {
            counts->passed_over++;
            continue;
        }
        counts->done[e->action]++;
        if (e->action == TRACE_JOIN) {
            join(w, first, shards);
            continue;
        }
        watch(context, w, first, shards, e->action == TRACE_LEAVE);
        if (e->action == TRACE_LEAVE) {
            leave(w, first, shards);
        } else {
            die(w, first, e->action == TRACE_VANISH);
        }
    }
}
