/* SPDX-License-Identifier: Apache-2.0 */
/* What is written down is read again as it was; what was not is refused, with its line. */
#include "sim/fault_list.h"
#include <criterion/criterion.h>

static struct fault_listed items[FAULT_LIST_CAP];

Test(fault_list, is_read_as_it_was_written)
{
    struct fault_list wrote = {.items = items};
    struct rng rng;
    char text[3 * FAULT_LIST_LINE_CAP] = "# of a run\n\n";
    size_t len = strlen(text);
    rng_init(&rng, 7);
    for (uint64_t i = 0; i < 2; i++) {
        struct rng before = rng;
        (void)rng_next(&rng);
        fault_list_note(&wrote, 1000 * i, &before, i == 0 ? "kill" : "clog");
        len += fault_list_line(&items[i], text + len);
    }
    struct fault_listed first = items[0];
    struct fault_listed second = items[1];
    struct fault_list read = {.items = items};
    uint32_t line = 0;
    cr_assert_eq(fault_list_parse(&read, slice_of(text, len), &line), ERR_OK, "line %u", line);
    cr_assert_eq(read.count, 2);
    cr_assert(read.is_given);
    const struct fault_listed *one = fault_list_take(&read, 999);
    cr_assert_not_null(one);
    cr_assert_eq(memcmp(&one->state, &first.state, sizeof(one->state)), 0);
    cr_assert_null(fault_list_take(&read, 999)); /* not yet */
    one = fault_list_take(&read, 1000);
    cr_assert_not_null(one);
    cr_assert_eq(memcmp(&one->state, &second.state, sizeof(one->state)), 0);
    cr_assert_null(fault_list_take(&read, UINT64_MAX));
}

Test(fault_list, what_is_none_is_refused)
{
    static const char *const wrong[] = {
        "12\n",
        "12 0 0 0 kill\n",
        "12 0 0 0 0\n",
        "x 0 0 0 0 kill\n",
        "12 0 0 0 00000000000000000 kill\n12 0 0 g 0 kill\n",
        "18446744073709551616 0 0 0 0 kill\n",
        "12 0 0 0 0 kill\n11 0 0 0 0 kill\n",
    };
    struct fault_list l = {.items = items};
    uint32_t line = 0;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        cr_assert_eq(fault_list_parse(&l, slice_text(wrong[i]), &line), ERR_MALFORMED, "%s",
                     wrong[i]);
    }
    cr_assert_eq(line, 2); /* they are in order of time */
}

Test(fault_list, has_a_cap)
{
    struct fault_list l = {.items = items};
    struct rng rng = {{1, 2, 3, 4}};
    for (uint32_t i = 0; i < FAULT_LIST_CAP + 2; i++) {
        fault_list_note(&l, i, &rng, "kill");
    }
    cr_assert_eq(l.count, FAULT_LIST_CAP);
}
