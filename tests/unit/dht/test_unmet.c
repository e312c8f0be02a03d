/* SPDX-License-Identifier: Apache-2.0 */
/* test_unmet.c - when a joining node takes it that nobody can dial it (RFC 6940 6.5.1.5). */
#include "core/turn.h"
#include "dht/chord_join.h"

#include <criterion/criterion.h>
#include <string.h>

struct heard {
    unsigned lines;
    char last[256];
};

static void hear(void *context, enum log_level level, const char *line, size_t len)
{
    struct heard *h = context;
    (void)level;
    h->lines++;
    len = len < sizeof(h->last) ? len : sizeof(h->last) - 1;
    memcpy(h->last, line, len);
    h->last[len] = 0;
}

/* Two others have to stay away within five minutes: one alone, however often, may be an enemy, and
 * those who have gone since say nothing of us. */
Test(unmet, two_others_within_five_minutes)
{
    static const uint64_t minute_us = 60000000;
    struct heard heard = {0};
    struct log log;
    struct chord c = {0};
    struct turn t = {.now_us = 1000000, .log = &log};
    const struct node_id ids[] = {{{1}}, {{2}}, {{3}}};
    log_init(&log, hear, &heard, LOG_DEBUG, 0);
    for (int i = 0; i < 5; i++) {
        chord_join_note_unmet(&t, &c, &ids[0]);
    }
    cr_assert_eq(heard.lines, 0, "one, five times");
    t.now_us += 6 * minute_us;
    chord_join_note_unmet(&t, &c, &ids[1]);
    cr_assert_eq(heard.lines, 0, "the other one was too long ago");
    t.now_us += 4 * minute_us;
    chord_join_note_unmet(&t, &c, &ids[2]);
    cr_assert_eq(heard.lines, 1);
    cr_assert_not_null(strstr(heard.last, "not_dialled"));
    chord_join_note_unmet(&t, &c, &ids[1]);
    chord_join_note_unmet(&t, &c, &ids[2]);
    cr_assert_eq(heard.lines, 1, "said once");
    t.now_us += 6 * minute_us;
    chord_join_note_unmet(&t, &c, &ids[2]);
    cr_assert_eq(heard.lines, 1, "the first is forgotten");
    chord_join_note_unmet(&t, &c, &ids[1]);
    cr_assert_eq(heard.lines, 2, "again");
    c.is_dialled = true;
    t.now_us += 6 * minute_us;
    chord_join_note_unmet(&t, &c, &ids[0]);
    chord_join_note_unmet(&t, &c, &ids[1]);
    cr_assert_eq(heard.lines, 2, "somebody has dialled us");
}
