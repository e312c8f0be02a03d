/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648 10, and each digit there and back. */
#include "codec/base64.h"
#include <criterion/criterion.h>

Test(base64, what_the_rfc_shows)
{
    const struct {
        struct slice bytes;
        const char *text;
    } rows[] = {{SLICE_LITERAL("f"), "Zg=="},        {SLICE_LITERAL("fo"), "Zm8="},
                {SLICE_LITERAL("foo"), "Zm9v"},      {SLICE_LITERAL("bar"), "YmFy"},
                {SLICE_LITERAL("\xff\xef"), "/+8="}, {SLICE_LITERAL("\0\0\0"), "AAAA"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char four[4];
        base64_four(rows[i].bytes, '=', four);
        cr_expect_eq(memcmp(four, rows[i].text, 4), 0, "%s: %.4s", rows[i].text, four);
    }
}

Test(base64, digits_there_and_back)
{
    unsigned found = 0;
    for (unsigned c = 0; c < 256; c++) {
        int digit = base64_digit((uint8_t)c);
        char four[4];
        if (digit >= 0) {
            uint8_t byte = (uint8_t)(digit << 2);
            base64_four(slice_of(&byte, 1), '=', four);
            cr_expect_eq((uint8_t)four[0], c);
            found++;
        }
    }
    cr_expect_eq(found, 64);
    cr_expect_eq(base64_digit('='), -1);
}
