/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - structured, rate-limited log lines: level, event name, key=value pairs.
 *
 * The line is written through a sink, so core makes no system call.  Each event name has its own
 * token bucket (10 at once, 1 a second); what is held back is counted and said with the next line
 * that passes. */
#pragma once
#include "core/address.h"
#include "core/bucket.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

typedef void (*log_sink)(void *context, enum log_level level, const char *line, size_t len);

enum { LOG_EVENTS = 64, LOG_LINE_CAP = 512 };

struct log_event_bucket {
    const char *event; /* the literal's address is the key */
    struct bucket bucket;
    uint64_t suppressed;
};

struct log {
    log_sink sink;
    void *context;
    enum log_level level; /* lines above it are not made */
    uint32_t shard;
    uint64_t suppressed; /* in total */
    struct log_event_bucket events[LOG_EVENTS];
};

void log_init(struct log *l, log_sink sink, void *context, enum log_level level, uint32_t shard);
/* `event` must be a string literal ("link_up"), `format` makes the key=value part.  Values that
 * came from outside are escaped by log_safe. */
void log_write(struct log *l, uint64_t now_us, enum log_level level, const char *event,
               const char *format, ...) PRINTF_LIKE(5, 6);
/* Copies `text` with control characters and quotes escaped, cut to fit; returns `out`. */
const char *log_safe(struct slice text, char *out, size_t cap);
