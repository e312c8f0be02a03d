/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - see log.h.  A line: level=info shard=0 event=link_up suppressed=3 key=value ... */
#include "core/log.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { RATE_MILLI_PER_S = 1000, BURST = 10 };

void log_init(struct log *l, log_sink sink, void *context, enum log_level level, uint32_t shard)
{
    memset(l, 0, sizeof(*l));
    l->sink = sink;
    l->context = context;
    l->level = level;
    l->shard = shard;
}

/* The entry of this event name; when all are taken, names share the one they hash to. */
static struct log_event_bucket *find(struct log *l, uint64_t now_us, const char *event)
{
    size_t home = (size_t)((uint64_t)(uintptr_t)event * 0x9e3779b97f4a7c15u >> 58);
    STATIC_CHECK(LOG_EVENTS == 64);
    for (size_t i = 0; i < LOG_EVENTS; i++) {
        struct log_event_bucket *e = &l->events[(home + i) % LOG_EVENTS];
        if (e->event == NULL) {
            e->event = event;
            bucket_init(&e->bucket, RATE_MILLI_PER_S, BURST, now_us);
        }
        if (e->event == event) {
            return e;
        }
    }
    return &l->events[home];
}

static const char *level_text(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return "error";
    case LOG_WARNING:
        return "warning";
    case LOG_INFO:
        return "info";
    case LOG_DEBUG:
        return "debug";
    }
    UNREACHABLE("log level");
}

void log_write(struct log *l, uint64_t now_us, enum log_level level, const char *event,
               const char *format, ...)
{
    if (level > l->level || l->sink == NULL) {
        return;
    }
    struct log_event_bucket *e = find(l, now_us, event);
    if (!bucket_take(&e->bucket, 1, now_us)) {
        e->suppressed++;
        l->suppressed++;
        return;
    }
    char line[LOG_LINE_CAP];
    char held[40] = "";
    if (e->suppressed > 0) {
        snprintf(held, sizeof(held), " suppressed=%" PRIu64, e->suppressed);
        e->suppressed = 0;
    }
    char space = *format == '\0' ? '\0' : ' ';
    int used = snprintf(line, sizeof(line), "level=%s shard=%" PRIu32 " event=%.64s%s%c",
                        level_text(level), l->shard, event, held, space);
    CHECK(used > 0);
    size_t len = min_size((size_t)used, sizeof(line) - 1) - (space == '\0');
    va_list args;
    va_start(args, format);
    used = vsnprintf(line + len, sizeof(line) - len, format, args);
    va_end(args);
    CHECK(used >= 0);
    len = min_size(len + (size_t)used, sizeof(line) - 1);
    l->sink(l->context, level, line, len);
}

const char *log_safe(struct slice text, char *out, size_t cap)
{
    CHECK(cap > 0);
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool is_plain = c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '=';
        size_t need = is_plain ? 1 : 4;
        if (at + need >= cap) {
            break;
        }
        if (is_plain) {
            out[at] = (char)c;
        } else {
            out[at] = '\\';
            out[at + 1] = 'x';
            out[at + 2] = hex[c >> 4];
            out[at + 3] = hex[c & 15];
        }
        at += need;
    }
    out[at] = '\0';
    return out;
}
