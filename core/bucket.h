/* SPDX-License-Identifier: Apache-2.0 */
/* bucket.h - token bucket, integer arithmetic, time as an argument. */
#pragma once
#include "core/base.h"

struct bucket {
    uint64_t filled_us; /* when `tokens_milli` was right */
    uint32_t tokens_milli;
    uint32_t rate_milli_per_s; /* 1000 = one token a second */
    uint32_t burst_milli;
};

void bucket_init(struct bucket *b, uint32_t rate_milli_per_s, uint32_t burst, uint64_t now_us);
/* Takes `tokens` and returns true, or takes nothing and returns false. */
bool bucket_take(struct bucket *b, uint32_t tokens, uint64_t now_us);
/* Would bucket_take be true? */
bool bucket_has(struct bucket *b, uint32_t tokens, uint64_t now_us);
