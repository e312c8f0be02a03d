/* SPDX-License-Identifier: Apache-2.0 */
/* test_sip_scan.c - the ways to scan a block say the same as a loop over its bytes. */
#include "codec/sip_scan.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct sip_scan_lines by_hand(const uint8_t *data, size_t len)
{
    struct sip_scan_lines want = {0, 0};
    for (size_t i = 0; i < len && i < SIP_SCAN_BLOCK; i++) {
        want.controls |= (uint64_t)(data[i] < 0x20) << i;
        want.colons |= (uint64_t)(data[i] == ':') << i;
    }
    return want;
}

static void compare(const uint8_t *data, size_t len)
{
    struct sip_scan_lines want = by_hand(data, len), got = {0, 0};
    for (enum sip_scan_way way = SIP_SCAN_PLAIN; way <= SIP_SCAN_AVX2; way++) {
        if (sip_scan_lines_by(way, data, len, &got)) {
            cr_assert_eq(got.controls, want.controls, "way %d, %zu bytes", way, len);
            cr_assert_eq(got.colons, want.colons, "way %d, %zu bytes", way, len);
        } else {
            cr_assert_neq(way, SIP_SCAN_PLAIN, "plain C goes everywhere");
        }
    }
    got = sip_scan_lines(data, len);
    cr_assert_eq(got.controls, want.controls);
    cr_assert_eq(got.colons, want.colons);
}

/* In blocks of exactly their size, so that a sanitizer sees a byte too far. */
Test(sip_scan, every_way_at_every_length)
{
    static const uint8_t sharp[8] = {0x0d, 0x0a, 0x3a, 0x1f, 0x20, 0x7f, 0x80, 0xff};
    uint32_t x = 12345;
    for (size_t len = 0; len <= SIP_SCAN_BLOCK + 3; len++) {
        uint8_t *data = malloc(len + (len == 0));
        cr_assert_not_null(data);
        for (int round = 0; round < 50; round++) {
            for (size_t i = 0; i < len; i++) {
                x = x * 1664525 + 1013904223;
                data[i] = round % 2 == 0 ? (uint8_t)(x >> 24) : sharp[x >> 29];
            }
            compare(data, len);
        }
        free(data);
    }
}

Test(sip_scan, every_byte_at_every_place)
{
    uint8_t data[SIP_SCAN_BLOCK];
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < sizeof(data); at++) {
            memset(data, 'a', sizeof(data));
            data[at] = (uint8_t)byte;
            compare(data, sizeof(data));
        }
    }
}
