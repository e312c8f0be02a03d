/* SPDX-License-Identifier: Apache-2.0 */
/* test_log.c - the form of a line, levels, holding back, escaping. */
#include "core/log.h"
#include <criterion/criterion.h>
#include <stdio.h>

struct seen {
    uint32_t count;
    char line[LOG_LINE_CAP + 1];
};

static void keep(void *context, enum log_level level, const char *line, size_t len)
{
    struct seen *s = context;
    (void)level;
    cr_assert(len < LOG_LINE_CAP);
    s->count++;
    memcpy(s->line, line, len);
    s->line[len] = '\0';
}

Test(log, lines)
{
    static struct log l;
    struct seen s = {0};
    log_init(&l, keep, &s, LOG_INFO, 2);
    log_write(&l, 0, LOG_INFO, "link_up", "peer=%d", 7);
    cr_assert_str_eq(s.line, "level=info shard=2 event=link_up peer=7");
    log_write(&l, 0, LOG_DEBUG, "detail", "x=1");
    cr_assert_eq(s.count, 1);
    log_write(&l, 0, LOG_ERROR, "bare", "%s", "");
    cr_assert_str_eq(s.line, "level=error shard=2 event=bare ");
    static char big[2000];
    memset(big, 'x', sizeof(big) - 1);
    log_write(&l, 0, LOG_WARNING, "big", "v=%s", big);
    cr_assert_eq(strlen(s.line), LOG_LINE_CAP - 1);
}

Test(log, holds_back_by_event)
{
    static struct log l;
    struct seen s = {0};
    static const char noisy[] = "noisy";
    log_init(&l, keep, &s, LOG_INFO, 0);
    for (size_t i = 0; i < 100; i++) {
        log_write(&l, 1000, LOG_INFO, noisy, "i=%zu", i);
    }
    cr_assert_eq(s.count, 10);
    cr_assert_eq(l.suppressed, 90);
    log_write(&l, 1000, LOG_INFO, "other", "i=1");
    cr_assert_eq(s.count, 11, "another event is not held back");
    log_write(&l, 2001000, LOG_INFO, noisy, "i=5");
    cr_assert_str_eq(s.line, "level=info shard=0 event=noisy suppressed=90 i=5");
    /* More names than entries: shared, bounded, and no crash. */
    static char names[200][8];
    for (size_t i = 0; i < 200; i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        log_write(&l, 2001000, LOG_INFO, names[i], "x=%d", 1);
    }
}

Test(log, escapes)
{
    char out[32];
    cr_assert_str_eq(log_safe(SLICE_LITERAL("alice@a.example"), out, sizeof(out)),
                     "alice@a.example");
    cr_assert_str_eq(log_safe(SLICE_LITERAL("a\nb\"=\xff"), out, sizeof(out)),
                     "a\\x0ab\\x22\\x3d\\xff");
    cr_assert_str_eq(log_safe(SLICE_LITERAL("abc\n"), out, 6), "abc");
    cr_assert_str_eq(log_safe(SLICE_LITERAL("abc"), out, 1), "");
}
