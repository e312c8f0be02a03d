/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4-128, as `openssl mac SIPHASH` (size 16) has it: texts 00 01 02 ..., key 00 to 0f. */
#include "core/siphash.h"
#include <criterion/criterion.h>
#include <stdio.h>

Test(siphash, known_answers)
{
    static const struct {
        size_t len;
        const char *hex;
    } known[] = {
        {0, "a3817f04ba25a8e66df67214c7550293"},   {1, "da87c1d86b99af44347659119b22fc45"},
        {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},   {8, "3b62a9ba6258f5610f83e264f31497b4"},
        {15, "5493e99933b0a8117e08ec0f97cfc3d9"},  {63, "5150d1772f50834a503e069a973fbd7c"},
        {150, "f6d156e6e44b61545e779f21e772bd62"},
    };
    uint8_t text[150], key[SIPHASH_BYTES], out[SIPHASH_BYTES];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)i;
    }
    memcpy(key, text, sizeof(key));
    for (size_t k = 0; k < ARRAY_COUNT(known); k++) {
        char hex[2 * SIPHASH_BYTES + 1];
        siphash_128(key, slice_of(text, known[k].len), out);
        for (size_t i = 0; i < sizeof(out); i++) {
            (void)snprintf(hex + 2 * i, 3, "%02x", out[i]);
        }
        cr_assert_str_eq(hex, known[k].hex, "%zu bytes", known[k].len);
    }
}
