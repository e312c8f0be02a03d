/* SPDX-License-Identifier: Apache-2.0 */
/* test_address.c - text forms (RFC 4291 2.2, RFC 5952 4) and ranges. */
#include "core/address.h"
#include "core/rng.h"
#include <criterion/criterion.h>

Test(address, parse_and_text)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL = malformed */
    } cases[] = {
        {"192.0.2.1", "192.0.2.1:77"},
        {"192.0.2.1:5060", "192.0.2.1:5060"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"2001:db8::1", "[2001:db8::1]:77"},
        {"[2001:db8::1]:5060", "[2001:db8::1]:5060"},
        {"[2001:DB8:0:0:1:0:0:1]", "[2001:db8::1:0:0:1]:77"},
        {"::", "[::]:77"},
        {"::1", "[::1]:77"},
        {"1::", "[1::]:77"},
        {"1:0:0:2:0:0:0:3", "[1:0:0:2::3]:77"},
        {"1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:77"},
        {"1:0:3:4:5:6:7:8", "[1:0:3:4:5:6:7:8]:77"},
        {"1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:77"},
        {"::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]:77"},
        {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:77"},
        {"64:ff9b::192.0.2.33", "[64:ff9b::c000:221]:77"},
        {"", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4.5", NULL},
        {"1.2.3.256", NULL},
        {"01.2.3.4", NULL},
        {"1.2.3.4:", NULL},
        {"1.2.3.4:65536", NULL},
        {"1.2.3.4:99999999999", NULL},
        {"1.2.3.4 ", NULL},
        {"1.2.3.4:5x", NULL},
        {"[1.2.3.4]:5", NULL},
        {"[::1", NULL},
        {"::1]", NULL},
        {"[::1]:", NULL},
        {"[::1]x", NULL},
        {":", NULL},
        {":::", NULL},
        {"1:::2", NULL},
        {"1::2::3", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"1:2:3:4:5:6:7:8::", NULL},
        {"1:2:3:4:5:6:7:", NULL},
        {"12345::", NULL},
        {"::1.2.3", NULL},
        {"1.2.3.4::", NULL},
        {"fe80::1%eth0", NULL},
        {"example.org", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct address a = {0};
        char text[ADDRESS_TEXT_CAP];
        enum err e = address_parse(slice_text(cases[i].text), 77, &a);
        cr_assert_eq(e, cases[i].expected == NULL ? ERR_MALFORMED : ERR_OK, "%s", cases[i].text);
        if (e == ERR_OK) {
            cr_assert_str_eq(address_text(&a, text), cases[i].expected);
        }
    }
    struct address none = {0};
    char text[ADDRESS_TEXT_CAP];
    cr_assert_str_eq(address_text(&none, text), "-");
}

Test(address, random_round_trip)
{
    struct rng rng;
    rng_init(&rng, 4);
    for (size_t i = 0; i < 20000; i++) {
        struct address a = {.family = i % 2 ? 4 : 6, .port = (uint16_t)rng_next(&rng)};
        for (size_t j = 0; j < (a.family == 4 ? 4u : 16u); j++) {
            a.ip[j] = rng_below(&rng, 2) ? (uint8_t)rng_next(&rng) : 0;
        }
        char text[ADDRESS_TEXT_CAP];
        address_text(&a, text);
        cr_assert(strlen(text) < ADDRESS_TEXT_CAP);
        struct address b = {0};
        cr_assert_eq(address_parse(slice_text(text), 0, &b), ERR_OK, "%s", text);
        cr_assert(address_is_equal(&a, &b), "%s", text);
        address_host_text(&a, text);
        cr_assert_eq(address_parse(slice_text(text), a.port, &b), ERR_OK, "%s", text);
        cr_assert(address_is_equal(&a, &b), "%s", text);
        /* Garbage made of the right letters never reaches a CHECK. */
        char garbage[24];
        for (size_t j = 0; j < sizeof(garbage); j++) {
            garbage[j] = "0123456789abcdef:::...[]"[rng_below(&rng, 24)];
        }
        (void)!address_parse(slice_of(garbage, rng_below(&rng, sizeof(garbage))), 0, &b);
    }
}

Test(address, ranges)
{
    static const struct {
        const char *text;
        enum address_range range;
    } cases[] = {
        {"8.8.8.8", ADDRESS_GLOBAL},
        {"192.0.2.1", ADDRESS_GLOBAL},
        {"10.1.2.3", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.0", ADDRESS_GLOBAL},
        {"192.168.0.1", ADDRESS_PRIVATE},
        {"100.64.0.1", ADDRESS_PRIVATE},
        {"127.0.0.1", ADDRESS_LOOPBACK},
        {"127.255.0.1", ADDRESS_LOOPBACK},
        {"169.254.1.1", ADDRESS_LINK_LOCAL},
        {"0.0.0.0", ADDRESS_NEVER},
        {"0.1.2.3", ADDRESS_NEVER},
        {"224.0.0.1", ADDRESS_NEVER},
        {"255.255.255.255", ADDRESS_NEVER},
        {"2001:db8::1", ADDRESS_GLOBAL},
        {"::", ADDRESS_NEVER},
        {"::1", ADDRESS_LOOPBACK},
        {"::2", ADDRESS_NEVER},
        {"fe80::1", ADDRESS_LINK_LOCAL},
        {"fd00::1", ADDRESS_PRIVATE},
        {"fec0::1", ADDRESS_PRIVATE},
        {"ff02::1", ADDRESS_NEVER},
        {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
        {"::ffff:10.0.0.1", ADDRESS_PRIVATE},
        {"64:ff9b::127.0.0.1", ADDRESS_LOOPBACK},
        {"2002:7f00:1::1", ADDRESS_LOOPBACK},
        {"2001:0:1:2::1", ADDRESS_NEVER},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct address a = {0};
        cr_assert_eq(address_parse(slice_text(cases[i].text), 0, &a), ERR_OK);
        cr_assert_eq(address_range_of(&a), cases[i].range, "%s", cases[i].text);
        cr_expect_eq(address_is_mapped(&a), strncmp(cases[i].text, "::ffff:", 7) == 0);
    }
    struct address none = {0};
    cr_assert_eq(address_range_of(&none), ADDRESS_NEVER);
}

Test(address, each_bit_counts)
{
    struct address a = {.family = 4, .port = 6084, .ip = {192, 0, 2, 1}};
    for (size_t i = 0; i < 8 * sizeof(a); i++) {
        struct address b = a;
        cr_assert(address_is_equal(&a, &b));
        ((uint8_t *)&b)[i / 8] ^= (uint8_t)(1u << i % 8);
        cr_assert(!address_is_equal(&a, &b));
    }
}
