/* SPDX-License-Identifier: Apache-2.0 */
/* What a command line's numbers may look like. */
#include "cmd/options.h"
#include <criterion/criterion.h>
#include <stdio.h>

static bool number(const char *text, uint64_t *out)
{
    char name[] = "test", option[] = "--kind", value[32];
    char *argv[] = {name, option, value, NULL};
    const struct options_item items[] = {{"kind", 0, OPTIONS_NUMBER, out, "K", "a Kind-ID"}};
    const struct options o = {.usage = "test", .items = items, .count = ARRAY_COUNT(items)};
    int rest = 0, status = 0;
    (void)snprintf(value, sizeof(value), "%s", text);
    bool is_good = options_parse(&o, 3, argv, &rest, &status);
    cr_assert_eq(status, is_good ? 0 : 2);
    return is_good;
}

/* A private Kind-ID is written as `ca update --add-kind` and RFC 6940 14.6 have it. */
Test(options, numbers_are_decimal_or_hexadecimal)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"16", 16}, {"0xf0000001", 0xf0000001}, {"0XA", 10}, {"010", 10}, {"0", 0}};
    static const char *const bad[] = {
        "", "-1", "0x", "0x-1", "1x", "f0", "0xg", "1 ", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        uint64_t out = 77;
        cr_expect(number(good[i].text, &out), "%s", good[i].text);
        cr_expect_eq(out, good[i].value, "%s", good[i].text);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint64_t out = 77;
        cr_expect_not(number(bad[i], &out), "%s", bad[i]);
        cr_expect_eq(out, 77);
    }
}
