/* SPDX-License-Identifier: Apache-2.0 */
/* Sequence numbers of documents count modulo 65535 (RFC 6940 6.3.2.1; CU-1, A-66). */
#include "dht/config_sequence.h"
#include <criterion/criterion.h>

Test(config_sequence, half_a_turn_ahead_is_newer)
{
    static const struct {
        uint16_t a, b;
        bool newer;
    } rows[] = {
        {1, 0, true},          {0, 1, false},     {0, 0, false},         {0, 65534, true},
        {65534, 0, false},     {32767, 0, true},  {32768, 0, false},     {0, 32768, true},
        {0, 32767, false},     {5, 65530, true},  {65530, 5, false},     {65534, 32767, true},
        {65534, 32766, false}, {65535, 0, false}, {65535, 65534, false}, {0, 65535, false},
        {65535, 65535, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        cr_expect_eq(config_sequence_is_newer(rows[i].a, rows[i].b), rows[i].newer, "%u and %u",
                     rows[i].a, rows[i].b);
    }
}

/* Of two different numbers exactly one is newer: 65535 is odd, so there is no tie. */
Test(config_sequence, one_of_two_is_newer)
{
    for (uint32_t a = 0; a < CONFIG_SEQUENCE_COUNT; a += 251) {
        for (uint32_t b = 0; b < CONFIG_SEQUENCE_COUNT; b += 241) {
            bool ab = config_sequence_is_newer((uint16_t)a, (uint16_t)b);
            bool ba = config_sequence_is_newer((uint16_t)b, (uint16_t)a);
            cr_assert(a == b ? !ab && !ba : ab != ba, "%u and %u", a, b);
        }
    }
}

Test(config_sequence, next_is_newer_and_a_documents)
{
    uint16_t at = 65000;
    for (unsigned i = 0; i < 2000; i++) {
        uint16_t next = config_sequence_next(at);
        cr_assert(config_sequence_is_document(next));
        cr_assert(config_sequence_is_newer(next, at));
        at = next;
    }
    cr_assert_eq(config_sequence_next(65534), 0);
    cr_assert_not(config_sequence_is_document(65535));
}
