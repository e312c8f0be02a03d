/* SPDX-License-Identifier: Apache-2.0 */
/* test_trace.c - traces are read, or refused with the line and the reason. */
#include "sim/trace.h"
#include <criterion/criterion.h>
#include <string.h>

enum { CAP = 8, PEERS = 20 };

static struct trace_event items[CAP];

Test(trace, is_read)
{
    struct trace t = {.items = items, .cap = CAP};
    uint32_t line = 0;
    const char *why = NULL;
    struct slice text = SLICE_LITERAL("# a day\n\n 0 3 join\r\n12.5\t17  leave # he is tired\n"
                                      "12.500001 4 crash\n1000000000 4 vanish");
    cr_assert(trace_parse(&t, text, PEERS, &line, &why), "line %u: %s", line, why);
    cr_assert_eq(t.count, 4);
    cr_expect_eq(items[0].action, TRACE_JOIN);
    cr_expect_eq(items[1].at_us, 12500000);
    cr_expect_eq(items[1].peer, 17);
    cr_expect_eq(items[2].at_us, 12500001);
    cr_expect_eq(items[3].action, TRACE_VANISH);
    cr_expect_eq(trace_ends_us(&t), UINT64_C(1000000000000000));
    cr_expect_not(trace_begins_with(&t, 3, 1));
    cr_expect(trace_begins_with(&t, 17, 1));
    cr_expect(trace_begins_with(&t, 5, 1), "who is not named");
    cr_expect_not(trace_begins_with(&t, 1, 2), "3 is of the process of 2 and 3");
}

Test(trace, what_is_wrong_is_named)
{
    static const struct {
        const char *text;
        uint32_t line;
        const char *why;
    } wrong[] = {
        {"x 3 join\n", 1, "no time"},
        {"\n\n1. 3 join", 3, "no time"},
        {"1.1234567 3 join", 1, "no time"},
        {"1000000001 3 join", 1, "no time"},
        {"-1 3 join", 1, "no time"},
        {"1 x join", 1, "no number"},
        {"1 3x join", 1, "no number"},
        {"1", 1, "no number"},
        {"1 20 join", 1, "beyond"},
        {"1 3\n", 1, "no join"},
        {"1 3 Join\n", 1, "no join"},
        {"1 3 join now\n", 1, "behind"},
        {"2 3 join\n# and\n1 3 leave\n", 3, "earlier"},
        {"1 1 join\n1 1 join\n1 1 join\n1 1 join\n1 1 join\n1 1 join\n1 1 join\n1 1 join\n"
         "1 1 join\n",
         9, "more events"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct trace t = {.items = items, .cap = CAP};
        uint32_t line = 0;
        const char *why = NULL;
        cr_assert_not(trace_parse(&t, slice_text(wrong[i].text), PEERS, &line, &why), "%s",
                      wrong[i].text);
        cr_expect_eq(line, wrong[i].line, "%s: line %u", wrong[i].text, line);
        cr_expect_not_null(strstr(why, wrong[i].why), "%s: %s", wrong[i].text, why);
    }
}
