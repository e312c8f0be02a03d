/* SPDX-License-Identifier: Apache-2.0 */
/* refusal.h - bytes, why a cursor must refuse them, and at which of them. */
#pragma once
#include "codec/rw.h"

#include <criterion/criterion.h>

struct refusal {
    const char *bytes;
    size_t len;
    enum reject why;
    size_t at;
};

static inline void expect_refusal(const struct refusal *c, const struct rd *r, size_t i)
{
    const uint8_t *start = (const uint8_t *)c->bytes;
    cr_assert_eq(r->why, c->why, "case %zu: %s", i, reject_name(r->why));
    cr_assert_eq(r->at, start + c->at, "case %zu: at %td", i, r->at - start);
}

#define REFUSAL(text, why, at)                                                                     \
    {                                                                                              \
        text, sizeof(text) - 1, REJECT_##why, at                                                   \
    }
