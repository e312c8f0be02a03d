/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/date.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

/* Against the C library: each day of 400 years, at another second each. */
Test(date, is_that_of_the_library)
{
    for (uint64_t day = 0; day < 146097 + 366; day++) {
        char text[DATE_TEXT_CAP], expected[64];
        struct tm tm;
        time_t seconds = (time_t)(day * 86400 + day * 7919 % 86400);
        cr_assert_not_null(gmtime_r(&seconds, &tm));
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        struct slice got = date_text((uint64_t)seconds * 1000 + 999, text);
        cr_assert_str_eq(text, expected);
        cr_assert_eq(got.len, strlen(expected));
    }
}

Test(date, is_written_once_a_second)
{
    struct date_cache c = {0};
    cr_assert(slice_is_equal(date_now(&c, 0), SLICE_LITERAL("Thu, 01 Jan 1970 00:00:00 GMT")));
    c.text[0] = 'x'; /* whether it is written again */
    cr_assert_eq(date_now(&c, 999).data[0], 'x');
    cr_assert(slice_is_equal(date_now(&c, 1000), SLICE_LITERAL("Thu, 01 Jan 1970 00:00:01 GMT")));
    cr_assert(slice_is_equal(date_now(&c, 0), SLICE_LITERAL("Thu, 01 Jan 1970 00:00:00 GMT")));
}
